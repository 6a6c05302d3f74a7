"""Who asks, and who never learns of it."""

from __future__ import annotations

import re
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from kit.misbehaving import (
    CONTENT,
    DEAD,
    FILE,
    Behaviour,
    MisbehavingServer,
    Remembering,
    fetch_all,
    guarded,
    ok,
    page,
    redirect,
    reset,
    status,
    wanted,
)
from mvenv.errors import FetchError, SeveralErrors
from mvenv.fetch.settings import IndexCredentials

SECRET = "s3cr3t p@ss/word"  # noqa: S105  of a test
QUOTED = "s3cr3t%20p%40ss%2Fword"


def script(server: MisbehavingServer) -> str:
    link = f'<a href="/files/{FILE}">{FILE}</a>'
    server.on("/simple/demo/", guarded("me", SECRET, page(link)))
    server.on(f"/files/{FILE}", guarded("me", SECRET, ok(CONTENT)))
    return server.url("/simple/", f"me:{QUOTED}@")


def test_credentials_in_the_url(server: MisbehavingServer, folder: Path) -> None:
    [found] = fetch_all(
        [wanted(CONTENT)], folder, replace(DEAD, index_url=script(server))
    )

    assert found.path.read_bytes() == CONTENT


def test_credentials_in_the_url_of_a_file(
    server: MisbehavingServer, folder: Path
) -> None:
    script(server)
    url = server.url(f"/files/{FILE}", f"me:{QUOTED}@")

    [found] = fetch_all([wanted(CONTENT, url=url)], folder)

    assert found.path.read_bytes() == CONTENT


def test_credentials_in_netrc(
    server: MisbehavingServer,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script(server)
    netrc = tmp_path / "netrc"
    line = f'machine 127.0.0.1 login me password "{SECRET}"\n'
    netrc.write_text(line)
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))

    [found] = fetch_all(
        [wanted(CONTENT)], folder, replace(DEAD, index_url=server.url("/simple/"))
    )

    assert found.path.read_bytes() == CONTENT


def test_credentials_of_a_named_source(server: MisbehavingServer, folder: Path) -> None:
    script(server)
    known = IndexCredentials(name="MY_SOURCE", username="me", password=SECRET)
    request = wanted(CONTENT, index=server.url("/simple"), index_name="my-source")

    [found] = fetch_all([request], folder, replace(DEAD, credentials=(known,)))

    assert found.path.read_bytes() == CONTENT


def test_credentials_the_right_ones_of_two_indexes_on_a_host(
    server: MisbehavingServer, folder: Path
) -> None:
    link = f'<a href="{FILE}">{FILE}</a>'
    server.on("/one/simple/demo/", guarded("a", "1", page("")))
    server.on("/two/simple/demo/", guarded("b", "2", page(link)))
    server.on(f"/two/simple/demo/{FILE}", guarded("b", "2", ok(CONTENT)))
    chosen = replace(
        DEAD,
        index_url=server.url("/one/simple/", "a:1@"),
        extra_index_urls=(server.url("/two/simple/", "b:2@"),),
    )

    [found] = fetch_all([wanted(CONTENT)], folder, chosen)

    assert found.path.read_bytes() == CONTENT


def test_credentials_refused(server: MisbehavingServer, folder: Path) -> None:
    script(server)

    with pytest.raises(FetchError, match="401 Unauthorized") as caught:
        fetch_all(
            [wanted(CONTENT)], folder, replace(DEAD, index_url=server.url("/simple/"))
        )

    assert caught.value.hint
    assert "netrc" in caught.value.hint


def test_credentials_are_not_sent_to_another_host(
    server: MisbehavingServer, folder: Path
) -> None:
    other = MisbehavingServer()
    threading.Thread(target=other.serve_forever, daemon=True).start()
    script(server)
    target = other.on(f"/{FILE}", ok(CONTENT))
    target = target.replace("127.0.0.1", "localhost")
    server.on(f"/files/{FILE}", guarded("me", SECRET, redirect(target)))

    [found] = fetch_all(
        [wanted(CONTENT)],
        folder,
        replace(DEAD, index_url=server.url("/simple/", f"me:{QUOTED}@")),
    )
    other.shutdown()
    other.server_close()

    assert found.path.read_bytes() == CONTENT
    assert ["Authorization" in seen for seen in other.seen] == [False]


@pytest.mark.parametrize(
    "behaviour",
    [status(403), status(404), status(500), reset, ok(b"wrong")],
    ids=["403", "404", "500", "reset", "wrong"],
)
def test_credentials_are_never_shown(
    server: MisbehavingServer,
    folder: Path,
    behaviour: Behaviour,
    reporter: Remembering,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(0)
    url = server.on(f"/{FILE}", behaviour)
    url = url.replace("127", f"token:{QUOTED}@127") + "?X-Signature=geheim"
    server.scripts[f"/{FILE}?X-Signature=geheim"] = [behaviour]
    index = server.url("/simple/", f"token:{QUOTED}@")
    chosen = replace(DEAD, index_url=index, retries=1)

    with pytest.raises(SeveralErrors) as caught:
        fetch_all(
            [wanted(CONTENT, url=url), wanted(b"x", "other-1-py3-none-any.whl")],
            folder,
            chosen,
            reporter,
        )

    shown = "\n".join(
        [
            repr(chosen),
            str(chosen.identity()),
            *(repr(vars(error)) for error in caught.value.errors),
            *reporter.lines,
            *(
                record.getMessage()
                for record in caplog.records
                if record.name.startswith("mvenv")
            ),
        ]
    )
    assert not re.search("s3cr3t|token|geheim", shown)
    logged = "\n".join(record.getMessage() for record in caplog.records)
    assert not re.search("s3cr3t", logged)


def test_credentials_of_the_keyring(
    server: MisbehavingServer,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script(server)
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules/keyring.py").write_text(
        "from types import SimpleNamespace\n"
        "def get_credential(url, username):\n"
        f"    return SimpleNamespace(username='me', password={SECRET!r})\n"
    )
    monkeypatch.syspath_prepend(tmp_path / "modules")
    monkeypatch.delitem(sys.modules, "keyring", raising=False)
    chosen = replace(DEAD, index_url=server.url("/simple/"))

    with pytest.raises(FetchError, match="401"):
        fetch_all([wanted(CONTENT)], folder, chosen)
    [found] = fetch_all([wanted(CONTENT)], folder, replace(chosen, keyring=True))
    sys.modules.pop("keyring", None)

    assert found.path.read_bytes() == CONTENT


def test_credentials_in_the_links_of_a_page(
    server: MisbehavingServer, folder: Path
) -> None:
    script(server)
    link = server.url(f"/files/{FILE}", f"me:{QUOTED}@")
    server.on("/simple/demo/", page(f'<a href="{link}">{FILE}</a>'))
    chosen = replace(DEAD, index_url=server.url("/simple/"))

    assert fetch_all([wanted(CONTENT)], folder, chosen)
