"""Settings, and what may be shown of URLs."""

from __future__ import annotations

from pathlib import Path

import pytest

from mvenv.fetch.redaction import redact_text, redact_url
from mvenv.fetch.settings import DEFAULT_INDEX_URL, FetchSettings
from mvenv.fetch.urls import Userinfo, file_url_path, origin_of, split_userinfo


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://host/simple/", "https://host/simple/"),
        ("https://host:8443/simple/", "https://host:8443/simple/"),
        ("https://me:secret@host/simple/", "https://***@host/simple/"),
        ("https://token@host/simple/", "https://***@host/simple/"),
        ("https://me:sec@ret@host/", "https://***@host/"),
        ("https://me:sec/ret@host/", "https://***"),
        ("https://me:sec?ret@host/", "https://***"),
        ("https://host/f.whl?signature=secret#sha256=1", "https://host/f.whl"),
        ("https://[::1]/x", "https://[::1]/x"),
        ("https://[::1]:80/x", "https://[::1]:80/x"),
        ("git+https://me:secret@host/r@1234", "git+https://***@host/r@1234"),
        ("file:///a/b@c", "file:///a/b@c"),
        ("/folder/a@b", "/folder/a@b"),
    ],
)
def test_what_is_shown(url: str, shown: str) -> None:
    assert redact_url(url) == shown


def test_texts_are_cleaned() -> None:
    text = "Looking at 'https://me:secret@host/x', http://t@h/ and mail@host"

    assert redact_text(text) == (
        "Looking at 'https://***@host/x', http://***@h/ and mail@host"
    )


def test_userinfo() -> None:
    assert split_userinfo("https://a%40b:c%2Fd@h:1/x?y") == (
        "https://h:1/x?y",
        Userinfo("a@b", "c/d"),
    )
    assert split_userinfo("https://t@h/") == ("https://h/", Userinfo("t", None))
    assert split_userinfo("https://h/x@y") == ("https://h/x@y", None)


def test_origins() -> None:
    assert origin_of("HTTPS://Host:443/x") == origin_of("https://host/y")
    assert origin_of("http://host:443/x") != origin_of("https://host/x")


def test_file_urls() -> None:
    assert file_url_path("file:///a%20b/c") == Path("/a b/c")
    assert file_url_path("file://localhost/a") == Path("/a")
    assert file_url_path("file://server/a") is None
    assert file_url_path("https://h/a") is None


def test_the_environment() -> None:
    found = FetchSettings.from_environment(
        {
            "PIP_INDEX_URL": "https://me:secret@h/simple",
            "PIP_EXTRA_INDEX_URL": "https://a/ https://b/",
            "PIP_FIND_LINKS": "/wheels https://c/",
            "PIP_TRUSTED_HOST": "h:8080",
            "PIP_NO_INDEX": "1",
            "REQUESTS_CA_BUNDLE": "/bundle.pem",
            "PIP_CLIENT_CERT": "/me.pem",
            "PIP_KEYRING_PROVIDER": "auto",
            "POETRY_HTTP_BASIC_MY_REPO_USERNAME": "me",
            "POETRY_HTTP_BASIC_MY_REPO_PASSWORD": "secret",
            "HOME": "/home",
        }
    )

    assert found.index_url == "https://me:secret@h/simple"
    assert found.extra_index_urls == ("https://a/", "https://b/")
    assert found.find_links == ("/wheels", "https://c/")
    assert found.trusted_hosts == ("h:8080",)
    assert found.offline
    assert found.ca_bundle == "/bundle.pem"
    assert found.client_cert == "/me.pem"
    assert found.keyring
    known = found.credentials_for("my.Repo")
    assert known is not None
    assert (known.username, known.password) == ("me", "secret")
    assert found.credentials_for("other") is None
    assert found.credentials_for(None) is None
    assert "secret" not in repr(found) + repr(known) + str(found.identity())
    assert hash(found)


def test_without_an_environment() -> None:
    assert FetchSettings.from_environment({}) == FetchSettings()
    assert FetchSettings().index_url == DEFAULT_INDEX_URL


def test_identity_tells_places_apart() -> None:
    one = FetchSettings(extra_index_urls=("https://a/",))
    other = FetchSettings(find_links=("https://a/",))

    assert len({FetchSettings().identity(), one.identity(), other.identity()}) == 3
