"""Files come whole and proven, or not at all, whatever the server does."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kit.indexes import IndexMaker
from kit.misbehaving import (
    CONTENT,
    DEAD,
    FILE,
    Behaviour,
    Handler,
    MisbehavingServer,
    Remembering,
    fetch_all,
    ok,
    page,
    redirect,
    reset,
    sha256,
    stalled,
    status,
    truncated,
    wanted,
    with_ranges,
)
from kit.wheels import WheelMaker
from mvenv.errors import (
    FetchError,
    FileNotOffered,
    HashMismatch,
    SeveralErrors,
    SystemFault,
)
from mvenv.fetch.download import Fetched, Fetcher, FileRequest
from mvenv.fetch.session import Session, Transient
from mvenv.fetch.settings import FetchSettings
from mvenv.progress import Silent


@pytest.mark.parametrize("kind", ["html", "json", "file"])
def test_files_of_an_index(
    make_wheel: WheelMaker, simple_index: IndexMaker, folder: Path, kind: str
) -> None:
    wheels = [make_wheel("one"), make_wheel("Two.Parts", "2.0"), make_wheel("three")]
    index = simple_index(wheels, kind)  # type: ignore[arg-type]  # one of its three
    requests = [wanted(path.read_bytes(), path.name) for path in wheels]
    requests[1] = FileRequest(
        name="two-parts",  # type: ignore[arg-type]  # normalized
        filename=wheels[1].name,
        hashes=requests[1].hashes,
    )

    found = fetch_all(requests, folder, replace(DEAD, index_url=index))

    assert {one.path.name: one.path.read_bytes() for one in found} == {
        path.name: path.read_bytes() for path in wheels
    }
    assert {one.sha256 for one in found} == {dict(r.hashes)["sha256"] for r in requests}
    assert sorted(one.request.filename for one in found) == sorted(
        path.name for path in folder.rglob("*") if path.is_file()
    )


@pytest.mark.parametrize("there", [0, 1, 2])
def test_the_best_of_what_an_index_has(
    make_wheel: WheelMaker, simple_index: IndexMaker, folder: Path, there: int
) -> None:
    tags = ("cp311-cp311-linux_x86_64", "py3-none-linux_x86_64", "py3-none-any")
    wheels = [make_wheel("some", tag=tag) for tag in tags]
    best, *others = (wanted(path.read_bytes(), path.name) for path in wheels)
    request = replace(best, alternatives=tuple(others))
    settings = replace(DEAD, index_url=simple_index(wheels[there:]))

    [found] = fetch_all([request], folder, settings)

    assert found.path.name == found.request.filename == wheels[there].name
    assert simple_index.requests == [
        "GET /simple/some/",
        f"GET /files/{found.path.name}",
    ]


def test_an_alternative_without_a_hash_is_not_fetched(
    make_wheel: WheelMaker, simple_index: IndexMaker, folder: Path
) -> None:
    wheel = make_wheel("some")
    best = wanted(b"gone", "some-1.0-cp311-cp311-linux_x86_64.whl")
    request = replace(
        best, alternatives=(replace(best, filename=wheel.name, hashes=()),)
    )

    with pytest.raises(FetchError, match="no hash"):
        fetch_all([request], folder, replace(DEAD, index_url=simple_index([wheel])))

    assert simple_index.requests == ["GET /simple/some/"]


def test_a_direct_url_and_a_path(
    server: MisbehavingServer, folder: Path, tmp_path: Path
) -> None:
    local = tmp_path / "some-2.0-py3-none-any.whl"
    local.write_bytes(b"local")
    url = server.on(f"/{FILE}", ok(CONTENT))

    found = fetch_all(
        [
            wanted(CONTENT, url=f"{url}#sha256=x"),
            wanted(b"local", local.name, path=local),
        ],
        folder,
    )

    assert sorted(one.path.read_bytes() for one in found) == sorted([CONTENT, b"local"])
    assert local.read_bytes() == b"local"


@pytest.mark.parametrize(
    "fault",
    [
        reset,
        status(503),
        status(500),
        status(429, Retry_After="1"),
        truncated(CONTENT, 300_000),
    ],
    ids=["reset", "503", "500", "429", "truncated"],
)
def test_what_may_pass_is_tried_again(
    server: MisbehavingServer, folder: Path, fault: Behaviour, reporter: Remembering
) -> None:
    url = server.on(f"/{FILE}", fault, fault, ok(CONTENT))

    [found] = fetch_all([wanted(CONTENT, url=url)], folder, DEAD, reporter)

    assert found.path.read_bytes() == CONTENT
    assert len(server.asked) == 3
    assert [task.done for task in reporter.tasks] == [len(CONTENT)]


def test_silence_is_given_up_and_tried_again(
    server: MisbehavingServer, folder: Path
) -> None:
    url = server.on(f"/{FILE}", stalled(CONTENT, 300_000), ok(CONTENT))
    # Small, and many retries: a busy machine is silent too.
    chosen = FetchSettings(timeout=0.5, retries=20)

    [found] = fetch_all([wanted(CONTENT, url=url)], folder, chosen)

    assert found.path.read_bytes() == CONTENT
    assert len(server.asked) >= 2


def test_an_interrupted_file_goes_on_where_it_stopped(
    server: MisbehavingServer, folder: Path
) -> None:
    cut = truncated(CONTENT, 700_000, ETag='"v1"')
    url = server.on(f"/{FILE}", cut, with_ranges(CONTENT, '"v1"'))

    [found] = fetch_all([wanted(CONTENT, url=url)], folder)

    assert found.path.read_bytes() == CONTENT
    assert server.seen[1]["Range"] == "bytes=700000-"


def test_a_file_that_changed_meanwhile_is_begun_again(
    server: MisbehavingServer, folder: Path
) -> None:
    cut = truncated(b"x" * len(CONTENT), 700_000, ETag='"v1"')
    url = server.on(f"/{FILE}", cut, with_ranges(CONTENT, '"v2"'))

    [found] = fetch_all([wanted(CONTENT, url=url)], folder)

    assert found.path.read_bytes() == CONTENT


@pytest.mark.parametrize("code", [400, 403, 404, 410, 501])
def test_what_stays_is_not_tried_again(
    server: MisbehavingServer, folder: Path, code: int
) -> None:
    url = server.on(f"/{FILE}", status(code))

    with pytest.raises(FetchError) as caught:
        fetch_all([wanted(CONTENT, url=url)], folder)

    assert len(server.asked) == 1
    assert isinstance(caught.value, FileNotOffered) == (code in {404, 410})
    assert not list(folder.iterdir())


def test_retries_end(server: MisbehavingServer, folder: Path) -> None:
    url = server.on(f"/{FILE}", status(502))

    with pytest.raises(FetchError, match="502 Bad Gateway"):
        fetch_all([wanted(CONTENT, url=url)], folder, replace(DEAD, retries=2))

    assert len(server.asked) == 3
    assert not list(folder.iterdir())


def test_a_server_that_asks_for_too_much_patience_is_given_up(
    server: MisbehavingServer, folder: Path
) -> None:
    url = server.on(f"/{FILE}", status(429, Retry_After="3600"))

    with pytest.raises(FetchError, match="429"):
        fetch_all([wanted(CONTENT, url=url)], folder)

    assert len(server.asked) == 1


def test_nobody_listens(folder: Path) -> None:
    requests = [
        wanted(CONTENT, f"demo{n}-1-py3-none-any.whl", url=f"http://127.0.0.1:9/{n}")
        for n in range(40)
    ]

    with pytest.raises(FetchError, match="40 files need `http://127") as caught:
        fetch_all(requests, folder)

    assert "Connection refused" in caught.value.message


def test_a_host_out_of_reach_is_tried_again_for_one_file_only() -> None:
    session = Session(replace(DEAD, retries=2))
    tries = []

    def attempt() -> None:
        tries.append(1)
        raise Transient("out of reach", unreachable="http://h")

    for expected in (3, 4, 5):
        with pytest.raises(Transient):
            session.retrying(attempt)
        assert len(tries) == expected


def test_wrong_bytes_are_thrown_away(server: MisbehavingServer, folder: Path) -> None:
    url = server.on(f"/{FILE}", ok(CONTENT[:-1] + b"!"))

    with pytest.raises(HashMismatch) as caught:
        fetch_all([wanted(CONTENT, url=url)], folder)

    assert caught.value.expected == (f"sha256:{sha256(CONTENT)}",)
    assert caught.value.actual == f"sha256:{sha256(CONTENT[:-1] + b'!')}"
    assert caught.value.actual in caught.value.message
    assert not list(folder.iterdir())


def test_every_hash_counts(server: MisbehavingServer, folder: Path) -> None:
    url = server.on(f"/{FILE}", ok(CONTENT))
    hashes = (("sha256", sha256(CONTENT)), ("sha512", "0" * 128))

    with pytest.raises(HashMismatch, match="sha512"):
        fetch_all([wanted(CONTENT, url=url, hashes=hashes)], folder)


def test_other_strong_hashes_do(server: MisbehavingServer, folder: Path) -> None:
    url = server.on(f"/{FILE}", ok(CONTENT))
    hashes = (
        ("md5", hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()),
        ("blake2b", hashlib.blake2b(CONTENT).hexdigest().upper()),
    )

    [found] = fetch_all([wanted(CONTENT, url=url, hashes=hashes)], folder)

    assert found.sha256 == sha256(CONTENT)


@pytest.mark.parametrize(
    "hashes",
    [
        (),
        (("md5", hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()),),
        (("sha1", hashlib.sha1(CONTENT, usedforsecurity=False).hexdigest()),),
        (("crc32", "00000000"),),
    ],
    ids=["none", "md5", "sha1", "unknown"],
)
def test_without_a_proof_nothing_is_asked_for(
    server: MisbehavingServer, folder: Path, hashes: tuple[tuple[str, str], ...]
) -> None:
    url = server.on(f"/{FILE}", ok(CONTENT))
    good = server.on("/good-1-py3-none-any.whl", ok(b"good"))

    with pytest.raises(FetchError, match=FILE):
        fetch_all(
            [
                wanted(b"good", "good-1-py3-none-any.whl", url=good),
                wanted(CONTENT, url=url, hashes=hashes),
            ],
            folder,
        )

    assert server.asked == []


def test_more_bytes_than_were_locked(server: MisbehavingServer, folder: Path) -> None:
    endless_sent = []

    def endless(handler: object) -> None:
        handler.send_response(200)  # type: ignore[attr-defined]  # the handler's own
        handler.end_headers()  # type: ignore[attr-defined]  # as above
        for _ in range(2000):
            handler.wfile.write(bytes(1 << 20))  # type: ignore[attr-defined]  # as above
            endless_sent.append(1)

    url = server.on(f"/{FILE}", endless)

    with pytest.raises(HashMismatch, match="more than 1280000"):
        fetch_all([wanted(CONTENT, url=url, size=len(CONTENT))], folder)

    assert len(endless_sent) < 200
    assert not list(folder.iterdir())


def test_another_length_is_refused_before_the_bytes(
    server: MisbehavingServer, folder: Path
) -> None:
    url = server.on(f"/{FILE}", ok(CONTENT))

    with pytest.raises(HashMismatch, match="1280000 bytes, not 7") as caught:
        fetch_all([wanted(CONTENT, url=url, size=7)], folder)

    assert caught.value.actual == "1280000 bytes"


def test_failures_are_reported_together_after_the_rest(
    server: MisbehavingServer, folder: Path
) -> None:
    good = [
        wanted(
            b"%d" % n,
            f"good{n}-1-py3-none-any.whl",
            url=server.on(f"/{n}", ok(b"%d" % n)),
        )
        for n in range(20)
    ]
    gone = wanted(CONTENT, "gone-1-py3-none-any.whl", url=server.url("/gone"))
    wrong = wanted(CONTENT, url=server.on("/wrong", ok(b"wrong")))
    came: list[Fetched] = []

    with (
        Fetcher(DEAD, Silent()) as fetcher,
        pytest.raises(SeveralErrors) as caught,
    ):
        came += fetcher.fetch([gone, wrong, *good], folder)

    assert {one.request for one in came} == set(good)
    assert {type(error) for error in caught.value.errors} == {
        FileNotOffered,
        HashMismatch,
    }


def test_files_are_handed_over_as_they_come(
    server: MisbehavingServer, folder: Path
) -> None:
    slow = wanted(CONTENT, url=server.on(f"/{FILE}", stalled(CONTENT, 10)), size=10**9)
    quick = wanted(b"q", "q-1-py3-none-any.whl", url=server.on("/q", ok(b"q")))

    with Fetcher(DEAD, Silent()) as fetcher:
        iterator = fetcher.fetch([slow, quick], folder)
        first = next(iterator)
        iterator.close()

    assert first.request == quick
    assert first.path.read_bytes() == b"q"


def test_breaking_off_is_quick_and_leaves_nothing(
    server: MisbehavingServer, folder: Path
) -> None:
    stuck = [
        wanted(
            CONTENT,
            f"s{n}-1-py3-none-any.whl",
            url=server.on(f"/{n}", stalled(CONTENT, 300_000)),
        )
        for n in range(8)
    ]
    quick = wanted(b"q", "q-1-py3-none-any.whl", url=server.on("/q", ok(b"q")))
    chosen = FetchSettings(timeout=60)
    before = set(threading.enumerate())

    with Fetcher(chosen, Silent()) as fetcher:
        iterator = fetcher.fetch([*stuck, quick], folder)
        next(iterator)
        while len(server.asked) < 9:
            time.sleep(0.01)
        begin = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            iterator.throw(KeyboardInterrupt())
        assert time.monotonic() - begin < 30  # half of what a stuck read waits

    left = [one for one in set(threading.enumerate()) - before if one.name == "fetch"]
    assert left == []
    assert [path.name for path in folder.rglob("*") if path.is_file()] == [
        "q-1-py3-none-any.whl"
    ]


def test_a_folder_that_is_not_there(server: MisbehavingServer, tmp_path: Path) -> None:
    url = server.on(f"/{FILE}", ok(CONTENT))

    with (
        Fetcher(DEAD, Silent()) as fetcher,
        pytest.raises(SystemFault, match="no such file"),
    ):
        list(fetcher.fetch([wanted(CONTENT, url=url)], tmp_path / "none"))


@pytest.mark.parametrize("filename", ["../x-1.whl", "/x-1.whl", "..", "a\0b"])
def test_file_names_stay_inside(folder: Path, filename: str) -> None:
    with pytest.raises(FetchError, match="no file name"):
        fetch_all([wanted(CONTENT, filename)], folder)


def test_the_index_announces_another_file(
    server: MisbehavingServer, folder: Path
) -> None:
    link = f'<a href="/files/{FILE}#sha256={"0" * 64}">{FILE}</a>'
    server.on("/simple/demo/", page(link))
    server.on(f"/files/{FILE}", ok(CONTENT))

    with pytest.raises(HashMismatch, match="the index says"):
        fetch_all(
            [wanted(CONTENT)], folder, replace(DEAD, index_url=server.url("/simple/"))
        )

    assert server.asked == ["/simple/demo/"]


def test_another_place_has_the_right_file(
    server: MisbehavingServer, folder: Path, tmp_path: Path
) -> None:
    links = tmp_path / "links"
    links.mkdir()
    (links / FILE).write_bytes(b"built here, with other bytes")
    server.on("/a/demo/", status(404))
    server.on("/b/demo/", page(f'<a href="/gone/{FILE}">{FILE}</a>'))
    server.on("/c/demo/", page(f'<a href="../../files/{FILE}">{FILE}</a>'))
    server.on(f"/files/{FILE}", ok(CONTENT))
    chosen = replace(
        DEAD,
        index_url=server.url("/a/"),
        extra_index_urls=(server.url("/b"), server.url("/c/")),
        find_links=(str(links),),
    )

    [found] = fetch_all([wanted(CONTENT)], folder, chosen)

    assert found.path.read_bytes() == CONTENT


def test_nowhere_says_what_is_there(server: MisbehavingServer, folder: Path) -> None:
    names = ["demo-1.1-py3-none-any.whl", "demo-1.0.tar.gz", "demo-0.1.tar.gz"]
    server.on("/a/demo/", page("".join(f'<a href="{n}">{n}</a>' for n in names)))
    chosen = replace(
        DEAD, index_url=server.url("/a/"), extra_index_urls=(server.url("/b/"),)
    )

    with pytest.raises(FileNotOffered) as caught:
        fetch_all([wanted(CONTENT)], folder, chosen)

    first, second = caught.value.rejections
    assert first.startswith(f"`{server.url('/a/')}` has 3 files, not this one")
    assert "`demo-1.1-py3-none-any.whl`" in first
    assert second == f"`{server.url('/b/')}` has nothing of `demo`"
    assert FILE in caught.value.message


def test_redirects_lead_to_files_and_pages(
    server: MisbehavingServer, folder: Path
) -> None:
    server.on("/simple/demo/", redirect("/mirror/simple/demo/"))
    link = f'<a href="../../files/{FILE}">{FILE}</a>'
    server.on("/mirror/simple/demo/", page(link))
    server.on(f"/mirror/files/{FILE}", redirect("/cdn/1"))
    server.on("/cdn/1", ok(CONTENT))

    [found] = fetch_all(
        [wanted(CONTENT)], folder, replace(DEAD, index_url=server.url("/simple/"))
    )

    assert found.path.read_bytes() == CONTENT


def test_one_page_for_all_files_of_a_project(
    make_wheel: WheelMaker, simple_index: IndexMaker, folder: Path
) -> None:
    wheels = [make_wheel("many", f"{n}.0") for n in range(12)]
    index = simple_index(wheels)

    fetch_all(
        [wanted(path.read_bytes(), path.name) for path in wheels],
        folder,
        replace(DEAD, index_url=index),
    )

    assert simple_index.requests.count("GET /simple/many/") == 1
    assert len(simple_index.requests) == 13


def test_an_index_without_a_host(folder: Path) -> None:
    chosen = replace(DEAD, index_url="http://nowhere.invalid/simple/", retries=1)

    with pytest.raises(FetchError, match=r"`http://nowhere\.invalid/simple/demo/`"):
        fetch_all([wanted(CONTENT)], folder, chosen)


def test_a_host_is_looked_up_once(
    server: MisbehavingServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up = []
    real = socket.getaddrinfo

    def look_up(host: str, *rest: Any, **named: Any) -> Any:
        looked_up.append(host)
        return real(host, *rest, **named)

    monkeypatch.setattr("mvenv.fetch.transport.socket.getaddrinfo", look_up)
    requests = [
        wanted(b"%d" % n, f"f{n}-1.whl", url=server.on(f"/{n}", ok(b"%d" % n)))
        for n in range(20)
    ]

    fetch_all(requests, folder)

    assert looked_up == ["127.0.0.1"]


def test_connections_are_kept(server: MisbehavingServer, folder: Path) -> None:
    ports = set()

    def note(handler: Handler) -> None:
        ports.add(handler.client_address[1])
        ok(b"x")(handler)

    requests = [
        wanted(b"x", f"f{n}-1.whl", url=server.on(f"/{n}", note)) for n in range(30)
    ]

    fetch_all(requests, folder, replace(DEAD, workers=3))

    assert len(ports) <= 3


def test_a_kept_connection_that_the_server_closed_says_nothing(
    server: MisbehavingServer, folder: Path
) -> None:
    def close_after(handler: Handler) -> None:
        ok(b"x")(handler)
        handler.close_connection = True  # without saying so

    requests = [
        wanted(b"x", f"f{n}-1.whl", url=server.on(f"/{n}", close_after))
        for n in range(6)
    ]

    found = fetch_all(requests, folder, replace(DEAD, workers=1, retries=0))

    assert len(found) == 6


@pytest.mark.index
def test_the_public_index_gives_files(folder: Path) -> None:
    files = {
        "idna-3.10-py3-none-any.whl": (
            "946d195a0d259cbba61165e88e65941f16e9b36ea6ddb97f00452bae8b1287d3"
        ),
        "six-1.16.0-py2.py3-none-any.whl": (
            "8abb2f1d86890a2dfb989f9a77cfcfd3e47c2a354b01111771326f8aa26e0254"
        ),
    }
    requests = [
        wanted(b"", name, hashes=(("sha256", digest),))
        for name, digest in files.items()
    ]

    found = fetch_all(requests, folder, FetchSettings())

    assert {one.path.name: one.sha256 for one in found} == files
