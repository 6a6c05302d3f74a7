"""Pages of indexes, well made and badly."""

from __future__ import annotations

import json
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from kit.indexes import IndexMaker
from kit.misbehaving import (
    DEAD,
    MisbehavingServer,
    Remembering,
    page,
    status,
    truncated,
)
from kit.wheels import WheelMaker
from mvenv.errors import FetchError
from mvenv.fetch.index import Index
from mvenv.fetch.pages import Offer, read_page
from mvenv.fetch.settings import DEFAULT_INDEX_URL, FetchSettings
from mvenv.fetch.urls import filename_of
from mvenv.progress import Silent

BASE = "https://host/simple/demo/"
DIGEST = "ab" * 32


def read_html(text: str) -> dict[str, tuple[Offer, ...]]:
    """Return what a page at `BASE` offers."""
    return dict(read_page(text, BASE, is_json=False))


@pytest.mark.parametrize(
    ("link", "filename", "url"),
    [
        ('<a href="a-1.tar.gz">x</a>', "a-1.tar.gz", BASE + "a-1.tar.gz"),
        ("<A HREF='../../f/a-1.whl'>x</A>", "a-1.whl", "https://host/f/a-1.whl"),
        ("<a href=/f/a-1.whl>x</a>", "a-1.whl", "https://host/f/a-1.whl"),
        ('<a rel="x"href="//cdn/a-1.whl">', "a-1.whl", "https://cdn/a-1.whl"),
        (
            '<a data-requires-python=">=3.8,<4" href="a-1.whl" data-yanked>x</a>',
            "a-1.whl",
            BASE + "a-1.whl",
        ),
        (
            '<a\n  class="y"\n  href = "https://cdn/f/a-1%2Bcu12-py3.whl"\n>x</a>',
            "a-1+cu12-py3.whl",
            "https://cdn/f/a-1%2Bcu12-py3.whl",
        ),
        (
            '<a href="https://cdn/a-1.whl?sig=1&amp;t=2">',
            "a-1.whl",
            "https://cdn/a-1.whl?sig=1&t=2",
        ),
        ('<a data-href="no.whl" href="a-1.whl">', "a-1.whl", BASE + "a-1.whl"),
    ],
)
def test_links(link: str, filename: str, url: str) -> None:
    assert read_html(f"<html><body>{link}</body>") == {
        filename: (Offer(filename=filename, url=url),)
    }


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<a>no link</a>",
        '<a name="x">',
        '<!-- <a href="a-1.whl">x</a> -->',
        "<script>\"<a href='a-1.whl'>\"</script>",
        '<abbr href="a-1.whl">',
        '<a href="">',
        '<a href="folder/">',
    ],
)
def test_what_is_no_link_to_a_file(text: str) -> None:
    assert read_html(text) == {}


def test_hashes_in_fragments() -> None:
    found = read_html(f'<a href="a-1.whl#sha256={DIGEST.upper()}">x</a>')
    other = read_html('<a href="a-1.whl#egg=a-1&subdirectory=b">x</a>')

    assert found["a-1.whl"][0].hashes == (("sha256", DIGEST),)
    assert found["a-1.whl"][0].url == BASE + "a-1.whl"
    assert other["a-1.whl"][0].hashes == ()


@pytest.mark.parametrize("base", ["https://cdn/files/", "//cdn/files/", "/files/"])
def test_base_moves_links(base: str) -> None:
    found = read_html(f'<base href="{base}"><base href="x"><a href="a-1.whl">x</a>')

    host = "cdn" if "cdn" in base else "host"
    assert found["a-1.whl"][0].url == f"https://{host}/files/a-1.whl"


def test_one_name_twice() -> None:
    found = read_html('<a href="/x/a-1.whl"></a><a href="/y/a-1.whl"></a>')

    assert [offer.url for offer in found["a-1.whl"]] == [
        "https://host/x/a-1.whl",
        "https://host/y/a-1.whl",
    ]


def test_json() -> None:
    text = json.dumps(
        {
            "meta": {"api-version": "1.4"},
            "name": "demo",
            "files": [
                {
                    "filename": "a-1+l.whl",
                    "url": "../../f/a-1%2Bl.whl#x=y",
                    "hashes": {"SHA256": DIGEST.upper()},
                    "size": 12,
                    "yanked": "broken",
                    "requires-python": ">=99",
                },
                {"filename": "b-1.whl", "url": "b-1.whl", "hashes": {}},
                {"filename": "no url"},
                None,
            ],
        }
    )

    assert dict(read_page(text, BASE, is_json=True)) == {
        "a-1+l.whl": (
            Offer(
                filename="a-1+l.whl",
                url="https://host/f/a-1%2Bl.whl",
                hashes=(("sha256", DIGEST),),
            ),
        ),
        "b-1.whl": (Offer(filename="b-1.whl", url=BASE + "b-1.whl"),),
    }


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"files": 1}', '{"files": [], "meta": 1}']
)
def test_json_that_is_no_index(text: str) -> None:
    with pytest.raises(FetchError, match="`https://host/simple/demo/`"):
        read_page(text, BASE, is_json=True)


def test_json_of_the_future() -> None:
    with pytest.raises(FetchError, match=r"version 2\.0"):
        read_page('{"meta": {"api-version": "2.0"}, "files": []}', BASE, is_json=True)


@pytest.mark.parametrize("kind", ["html", "json", "file"])
def test_locate(make_wheel: WheelMaker, simple_index: IndexMaker, kind: str) -> None:
    wheels = [make_wheel("demo"), make_wheel("demo", "2.0", tag="py3-none-win32")]
    url = simple_index([*wheels, make_wheel("other")], kind)  # type: ignore[arg-type]  # one of its three
    chosen = replace(DEAD, index_url=url)

    with Index(chosen, Silent()) as index:
        found = index.locate(canonicalize_name("demo"))

    assert found == {path.name: (simple_index.file_url(url, path),) for path in wheels}


def test_locate_adds_up_the_places(
    server: MisbehavingServer, tmp_path: Path, reporter: Remembering
) -> None:
    links = tmp_path / "with space"
    links.mkdir()
    (links / "demo-1.tar.gz").touch()
    (links / "more.html").write_text('<a href="https://h/demo-4.whl">x</a>')
    (links / "notes.txt").touch()
    server.on("/a/demo/", page('<a href="demo-1.tar.gz"></a><a href="demo-2.whl"></a>'))
    server.on("/b/demo/", page('<a href="demo-2.whl"></a>'))
    server.on("/links", page('<a href="demo-3.whl"></a><a href="other-1.whl"></a>'))
    chosen = replace(
        DEAD,
        index_url=server.url("/a"),
        extra_index_urls=(server.url("/b/"), server.url("/missing")),
        find_links=(
            str(links),
            server.url("/links"),
            "https://h/f/demo-5.whl",
            str(tmp_path / "gone"),
        ),
    )

    with Index(chosen, reporter) as index:
        found = index.locate(canonicalize_name("demo"))

    assert {name: urls for name, urls in found.items() if name.startswith("demo")} == {
        "demo-1.tar.gz": (
            (links / "demo-1.tar.gz").as_uri(),
            server.url("/a/demo/demo-1.tar.gz"),
        ),
        "demo-2.whl": (
            server.url("/a/demo/demo-2.whl"),
            server.url("/b/demo/demo-2.whl"),
        ),
        "demo-3.whl": (server.url("/demo-3.whl"),),
        "demo-4.whl": ("https://h/demo-4.whl",),
        "demo-5.whl": ("https://h/f/demo-5.whl",),
    }
    assert f"find-links: `{tmp_path / 'gone'}` does not exist" in reporter.lines


def test_a_named_index_alone_is_asked(server: MisbehavingServer) -> None:
    server.on("/own/demo/", page('<a href="demo-1.whl"></a>'))
    chosen = replace(DEAD, index_url=server.url("/default/"))

    with Index(chosen, Silent()) as index:
        found = index.locate(canonicalize_name("demo"), index=server.url("/own"))

    assert list(found) == ["demo-1.whl"]
    assert server.asked == ["/own/demo/"]


def test_a_mirror_stands_in_for_the_public_index(server: MisbehavingServer) -> None:
    server.on("/mirror/demo/", page('<a href="demo-1.whl"></a>'))
    chosen = replace(DEAD, index_url=server.url("/mirror/"))

    with Index(chosen, Silent()) as index:
        found = index.locate(
            canonicalize_name("demo"), index=DEFAULT_INDEX_URL.rstrip("/")
        )

    assert list(found) == ["demo-1.whl"]


@pytest.mark.parametrize("media_type", ["text/plain", "application/octet-stream"])
def test_the_text_decides_where_the_type_does_not(
    server: MisbehavingServer, media_type: str
) -> None:
    text = ' \n{"files": [{"filename": "demo-1.whl", "url": "demo-1.whl"}]}'
    server.on("/demo/", page(text, media_type))
    server.on("/html/demo/", page('<a href="demo-2.whl"></a>', media_type))
    chosen = replace(
        DEAD, index_url=server.url("/"), extra_index_urls=(server.url("/html/"),)
    )

    with Index(chosen, Silent()) as index:
        found = index.locate(canonicalize_name("demo"))

    assert list(found) == ["demo-1.whl", "demo-2.whl"]


def test_a_page_is_asked_for_once(server: MisbehavingServer) -> None:
    server.on("/demo/", page('<a href="demo-1.whl"></a>'))
    server.on("/gone/", status(404))
    chosen = replace(DEAD, index_url=server.url("/"))

    with Index(chosen, Silent()) as index:
        for name in ("demo", "gone", "demo", "gone"):
            index.locate(canonicalize_name(name))

    assert server.asked == ["/demo/", "/gone/"]


def test_half_a_page_is_no_page(server: MisbehavingServer) -> None:
    whole = b'<a href="demo-1.whl"></a><a href="demo-2.whl"></a>'
    server.on("/demo/", truncated(whole, 30), page(whole.decode()))

    with Index(replace(DEAD, index_url=server.url("/")), Silent()) as index:
        found = index.locate(canonicalize_name("demo"))

    assert list(found) == ["demo-1.whl", "demo-2.whl"]


@pytest.mark.index
@pytest.mark.parametrize(
    "name", ["numpy", "setuptools", "pip", "pyyaml", "zope-interface"]
)
def test_the_public_index_is_read_as_unearth_reads_it(name: str) -> None:
    from unearth.collector import IndexPage, parse_html_page
    from unearth.link import Link

    url = f"{DEFAULT_INDEX_URL}{name}/"
    with urllib.request.urlopen(url) as response:  # noqa: S310  https
        content = response.read()
    oracle = parse_html_page(IndexPage(Link(url), content, "utf-8", "text/html"))

    offers = read_page(content.decode(), url, is_json=False)

    assert sum(len(group) for group in offers.values()) > 20
    assert sorted(
        (offer.filename, offer.url, dict(offer.hashes).get("sha256"))
        for group in offers.values()
        for offer in group
    ) == sorted(
        (filename_of(link.url), link.url_without_fragment, link.hash) for link in oracle
    )


@pytest.mark.index
def test_the_public_index_locates() -> None:
    with Index(FetchSettings(), Silent()) as index:
        found = index.locate(canonicalize_name("idna"))

    assert len(found["idna-3.10-py3-none-any.whl"]) == 1
