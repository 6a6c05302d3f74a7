"""Export and import: the same bytes each time, and nothing taken on trust."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kit.commands import Runner
from kit.filesystems import Filesystems
from kit.lockfiles import PylockWriter
from kit.snapshots import Entry, tree_snapshot
from kit.wheels import WheelMaker, sha256_of
from mvenv.errors import (
    DamagedEntry,
    EnvironmentFault,
    HashMismatch,
    MvenvError,
    SystemFault,
    UsageError,
)
from mvenv.progress import Silent
from mvenv.store.adopted import adopted_key
from mvenv.store.durability import boot_id
from mvenv.store.entries import FileFault, StoredWheel, WheelStore
from mvenv.store.layout import StoreKey, open_layout, store_key
from mvenv.store.runs import RunFolder
from mvenv.transfer import (
    Exported,
    ExportRequest,
    Imported,
    ImportRequest,
    export_entries,
    import_entries,
)
from mvenv.wheels.manifest import Manifest, ManifestFile

LONG = "/".join(["demo", *(f"a-rather-long-folder-{n:02}" for n in range(12)), "x.py"])
FILES = {
    "demo/__init__.py": "version = 1\n",
    "demo/empty.py": "",
    "demo/großes-modul.py": "x = 'ß'\n",
    LONG: "deep = True\n",
    "demo-1.0.data/scripts/tool": "#!/bin/sh\nexit 3\n",
}


def _ingest(store: Path, *wheels: Path, seal: bool = True) -> list[StoredWheel]:
    layout = open_layout(store)
    opened = WheelStore(layout, seal=seal)
    with RunFolder(layout) as run:
        return [
            opened.ingest(
                wheel, store_key(sha256_of(wheel)), wheel.name, run.new_path()
            )
            for wheel in wheels
        ]


def _export(store: Path, target: Path, *environments: Path) -> Exported:
    request = ExportRequest(store=store, environments=environments, target=target)
    return export_entries(request, Silent())


def _import(
    store: Path, source: Path, sha256: str | None = None, *, seal: bool = True
) -> Imported:
    request = ImportRequest(store=store, seal=seal, source=source, sha256=sha256)
    return import_entries(request, Silent())


def _trees(store: Path) -> dict[str, object]:
    """Return every file of every entry, with its stamp."""
    found: dict[str, object] = {}
    for tree in store.glob("wheels/*/*/tree"):
        for path, entry in tree_snapshot(tree).items():
            stamp = (tree / path).stat().st_mtime_ns if entry.type == "file" else 0
            found[f"{tree.parent.name}/{path}"] = (entry, stamp)
    return found


@pytest.fixture
def store(tmp_path: Path, make_wheel: WheelMaker) -> Path:
    """Return a store of two wheels."""
    demo = make_wheel("demo", "1.0", FILES, executables=["demo-1.0.data/scripts/tool"])
    _ingest(tmp_path / "store", demo, make_wheel("other"))
    return tmp_path / "store"


def test_what_is_exported_comes_back_the_same(store: Path, tmp_path: Path) -> None:
    exported = _export(store, tmp_path / "a.tar")
    imported = _import(tmp_path / "new", tmp_path / "a.tar")

    assert exported.sha256 == imported.sha256 == sha256_of(tmp_path / "a.tar")
    assert len(imported.added) == len(exported.wheels) == 2
    assert _trees(tmp_path / "new") == _trees(store)
    assert len(_trees(store)) > 10
    opened = WheelStore(open_layout(tmp_path / "new"))
    for key in exported.wheels:
        wheel = opened.find(store_key(key))
        assert wheel is not None
        assert opened.verify(wheel) == ()
        assert wheel.manifest.boot_id == boot_id()
        assert (wheel.root / "synced").exists()
        assert exported.sha256 in (wheel.root / "imported").read_text()


def test_an_archive_is_the_same_each_time_and_everywhere(
    store: Path, tmp_path: Path
) -> None:
    first = _export(store, tmp_path / "a.tar")
    again = _export(store, tmp_path / "b.tar")
    _import(tmp_path / "new", tmp_path / "a.tar")
    elsewhere = _export(tmp_path / "new", tmp_path / "c.tar")

    assert first.sha256 == again.sha256 == elsewhere.sha256
    assert boot_id().encode() not in (tmp_path / "a.tar").read_bytes()


def test_tar_reads_it(store: Path, tmp_path: Path) -> None:
    _export(store, tmp_path / "a.tar")
    (tmp_path / "out").mkdir()
    subprocess.run(
        ["tar", "-xf", tmp_path / "a.tar", "-C", tmp_path / "out"], check=True
    )

    [found] = (tmp_path / "out").glob(f"wheels/*/*/tree/{LONG}")
    assert found.read_text() == "deep = True\n"
    with tarfile.open(tmp_path / "a.tar") as archive:
        assert {member.type for member in archive} == {tarfile.REGTYPE}


def test_importing_twice_changes_nothing(store: Path, tmp_path: Path) -> None:
    _export(store, tmp_path / "a.tar")
    _import(tmp_path / "new", tmp_path / "a.tar")
    before = {
        path: path.lstat().st_ino for path in (tmp_path / "new").rglob("wheels/**")
    }
    imported = _import(tmp_path / "new", tmp_path / "a.tar")

    assert (imported.added, imported.present, imported.bytes) == ((), 2, 0)
    after = {
        path: path.lstat().st_ino for path in (tmp_path / "new").rglob("wheels/**")
    }
    assert before == after


def test_a_damaged_entry_is_replaced_and_what_was_changed_is_kept(
    store: Path, tmp_path: Path
) -> None:
    _export(store, tmp_path / "a.tar")
    good = _trees(store)
    [file] = store.glob("wheels/*/*/tree/demo/__init__.py")
    file.chmod(0o644)
    file.write_text("mine\n")
    manifest = file.parent.parent.parent / "MANIFEST"
    manifest.chmod(0o644)
    manifest.write_bytes(b"garbage")
    imported = _import(store, tmp_path / "a.tar")

    assert len(imported.added) == 1
    assert _trees(store) == good
    [kept] = store.glob("rescued/**/demo/__init__.py")
    assert kept.read_text() == "mine\n"


def test_only_what_environments_use(
    mvenv: Runner, make_wheel: WheelMaker, write_pylock: PylockWriter, tmp_path: Path
) -> None:
    one, other = make_wheel("one"), make_wheel("other")
    mvenv.create(tmp_path / "a", write_pylock(one))
    mvenv.create(tmp_path / "b", write_pylock(other))
    exported = _export(mvenv.store, tmp_path / "a.tar", tmp_path / "a")

    assert exported.wheels == (sha256_of(one),)
    never = write_pylock(make_wheel("never"), markers={"never": "python_version < '3'"})
    mvenv.create(tmp_path / "empty", never)
    assert _export(mvenv.store, tmp_path / "b.tar", tmp_path / "empty").wheels == ()
    with pytest.raises(EnvironmentFault, match="no environment of mvenv"):
        _export(mvenv.store, tmp_path / "a.tar", tmp_path)


def test_an_imported_wheel_serves_offline(
    mvenv: Runner, make_wheel: WheelMaker, write_pylock: PylockWriter, tmp_path: Path
) -> None:
    lock = write_pylock(make_wheel("demo", "1.0", FILES))
    mvenv.create(tmp_path / "a", lock)
    _export(mvenv.store, tmp_path / "a.tar")
    _import(tmp_path / "new", tmp_path / "a.tar")
    (tmp_path / "wheels/demo-1.0-py3-none-any.whl").unlink()
    mvenv.create(tmp_path / "b", lock, "--offline", store=tmp_path / "new")

    [file] = (tmp_path / "b").glob("lib/*/site-packages/demo/__init__.py")
    assert file.read_text() == "version = 1\n"


def test_modes_are_those_of_the_store_that_imports(store: Path, tmp_path: Path) -> None:
    _export(store, tmp_path / "a.tar")
    _import(tmp_path / "open", tmp_path / "a.tar", seal=False)
    _export(tmp_path / "open", tmp_path / "b.tar")
    _import(tmp_path / "sealed", tmp_path / "b.tar")

    [tool] = (tmp_path / "open").glob("wheels/*/*/tree/*/scripts/tool")
    assert tool.stat().st_mode & 0o777 == 0o755
    assert _trees(tmp_path / "sealed") == _trees(store)
    for made in ("open", "sealed"):
        opened = WheelStore(open_layout(tmp_path / made))
        for path in (tmp_path / made).glob("wheels/*/*"):
            wheel = opened.find(store_key(path.name))
            assert wheel is not None
            assert opened.verify(wheel) == ()


def test_whatever_the_umask(store: Path, tmp_path: Path) -> None:
    _export(store, tmp_path / "a.tar")
    script = (
        "import os, pathlib, sys\n"
        "os.umask(0o077)\n"
        "from mvenv.progress import Silent\n"
        "from mvenv.transfer import ImportRequest, import_entries\n"
        "store, source = map(pathlib.Path, sys.argv[1:])\n"
        "import_entries(ImportRequest(store=store, seal=True, source=source,"
        " sha256=None), Silent())\n"
    )
    subprocess.run(
        [sys.executable, "-c", script, tmp_path / "new", tmp_path / "a.tar"], check=True
    )

    assert _trees(tmp_path / "new") == _trees(store)


def test_stamps_are_those_that_the_file_system_keeps(
    filesystems: Filesystems, store: Path, tmp_path: Path
) -> None:
    """An ext4 with inodes of 128 bytes has whole seconds."""
    image = tmp_path / "coarse.img"
    image.touch()
    os.truncate(image, 64 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-I", "128", image], check=True)
    disk = filesystems.tmpfs / "coarse"
    disk.mkdir()
    subprocess.run(["mount", "-o", "loop", image, disk], check=True)
    try:
        _export(store, tmp_path / "a.tar")
        _import(disk / "store", tmp_path / "a.tar")
        opened = WheelStore(open_layout(disk / "store"))
        faults: list[FileFault] = []
        for path in (disk / "store").glob("wheels/*/*"):
            wheel = opened.find(store_key(path.name))
            assert wheel is not None
            faults += opened.verify(wheel)
            assert {file.mtime_ns % 10**9 for file in wheel.manifest.files} == {0}
        assert faults == []
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("damage", ["changed", "missing", "shorter", "link"])
def test_nothing_damaged_is_exported(store: Path, tmp_path: Path, damage: str) -> None:
    [file] = store.glob("wheels/*/*/tree/demo/__init__.py")
    file.chmod(0o644)
    if damage == "changed":
        file.write_text("version = 2\n")
    elif damage == "shorter":
        file.write_text("x")
    else:
        file.unlink()
    if damage == "link":
        file.symlink_to(tmp_path / "thesis.txt")
        (tmp_path / "thesis.txt").write_text("version = 1\n")
    (tmp_path / "a.tar").write_text("before")

    with pytest.raises(DamagedEntry, match="damaged"):
        _export(store, tmp_path / "a.tar")
    assert (tmp_path / "a.tar").read_text() == "before"
    assert [path.name for path in tmp_path.glob(".a.tar*")] == []


def test_another_archive_than_asked_for_is_refused(store: Path, tmp_path: Path) -> None:
    exported = _export(store, tmp_path / "a.tar")
    _import(tmp_path / "new", tmp_path / "a.tar", exported.sha256.upper())
    with pytest.raises(HashMismatch, match="not the one"):
        _import(tmp_path / "newer", tmp_path / "a.tar", "0" * 64)
    with pytest.raises(UsageError, match="is not a sha256"):
        _import(tmp_path / "newer", tmp_path / "a.tar", "0")

    assert _trees(tmp_path / "newer") == {}


def test_a_stream_is_compared_at_its_end(store: Path, tmp_path: Path) -> None:
    _export(store, tmp_path / "a.tar")
    stream = io.BytesIO((tmp_path / "a.tar").read_bytes())
    request = ImportRequest(
        store=tmp_path / "new", seal=True, source=stream, sha256="0" * 64
    )
    with pytest.raises(HashMismatch):
        import_entries(request, Silent())

    assert _trees(tmp_path / "new") == {}


Member = tuple[str, bytes]


def _members(archive: Path) -> list[Member]:
    found = []
    with tarfile.open(archive) as opened:
        for one in opened:
            stream = opened.extractfile(one)
            assert stream is not None
            found.append((one.name, stream.read()))
    return found


def _rewrite(path: Path, members: list[Member]) -> Path:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in members:
            header = tarfile.TarInfo(name)
            header.size = len(content)
            archive.addfile(header, io.BytesIO(content))
    return path


def _assert_refused(store: Path, archive: Path, words: str = "refused") -> None:
    """Import has to fail with words for people, and to leave no trace."""
    open_layout(store)
    before = _all_but_locks(store)
    with pytest.raises(MvenvError, match=words) as caught:
        _import(store, archive)
    assert "\n" not in caught.value.message
    assert _all_but_locks(store) == before


def _all_but_locks(store: Path) -> dict[str, Entry]:
    found = tree_snapshot(store)
    return {path: one for path, one in found.items() if not path.startswith("locks/")}


def _swap(members: list[Member]) -> list[Member]:
    members[-1], members[-2] = members[-2], members[-1]
    return members


HOSTILE: dict[str, Callable[[list[Member]], list[Member]]] = {
    "one file more": lambda all_: [*all_, ("wheels/x", b"")],
    "a file outside": lambda all_: [*all_[:2], ("../../evil", b"x"), *all_[2:]],
    "an absolute path": lambda all_: [*all_[:2], ("/evil", b"x"), *all_[2:]],
    "a file twice": lambda all_: [*all_, all_[-1]],
    "a file less": lambda all_: all_[:-1],
    "a file in the middle less": lambda all_: [*all_[:3], *all_[4:]],
    "other bytes": lambda all_: [*all_[:-1], (all_[-1][0], b"x" * len(all_[-1][1]))],
    "more bytes": lambda all_: [*all_[:-1], (all_[-1][0], all_[-1][1] + b"x")],
    "another order": _swap,
    "no head": lambda all_: all_[1:],
    "a newer format": lambda all_: [("mvenv-export", b"mvenv export 2\n"), *all_[1:]],
    "a key that is none": lambda all_: [
        ("mvenv-export", b"mvenv export 1\n../../x\n"),
        *all_[1:],
    ],
    "a key that is not ASCII": lambda all_: [
        ("mvenv-export", b"mvenv export 1\n\xff\n"),
        *all_[1:],
    ],
    "keys twice": lambda all_: [(all_[0][0], all_[0][1] + b"f" * 65), *all_[1:]],
    "a manifest of another": lambda all_: [
        (name, all_[1][1]) if name.endswith("/MANIFEST") else (name, content)
        for name, content in all_
    ],
    "no manifest": lambda all_: [
        (all_[1][0], b"") if n == 1 else one for n, one in enumerate(all_)
    ],
    "nothing": lambda _: [],
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_an_archive_that_was_tampered_with_is_refused(
    store: Path, tmp_path: Path, kind: str
) -> None:
    _export(store, tmp_path / "a.tar")
    members = HOSTILE[kind](_members(tmp_path / "a.tar"))

    _assert_refused(tmp_path / "new", _rewrite(tmp_path / "b.tar", members))


def test_rewriting_an_archive_is_not_what_is_refused(
    store: Path, tmp_path: Path
) -> None:
    _export(store, tmp_path / "a.tar")
    _rewrite(tmp_path / "b.tar", _members(tmp_path / "a.tar"))

    assert len(_import(tmp_path / "new", tmp_path / "b.tar").added) == 2


@pytest.mark.parametrize(
    "kind",
    [
        tarfile.SYMTYPE,
        tarfile.LNKTYPE,
        tarfile.CHRTYPE,
        tarfile.BLKTYPE,
        tarfile.FIFOTYPE,
        tarfile.DIRTYPE,
        tarfile.GNUTYPE_LONGNAME,
        tarfile.GNUTYPE_SPARSE,
        tarfile.XGLTYPE,
        b"?",
    ],
)
def test_what_is_no_regular_file_is_refused(
    store: Path, tmp_path: Path, kind: bytes
) -> None:
    _export(store, tmp_path / "a.tar")
    members = _members(tmp_path / "a.tar")
    with tarfile.open(tmp_path / "b.tar", "w") as archive:
        for number, (name, content) in enumerate(members):
            header = tarfile.TarInfo(name)
            header.size = len(content)
            if number == 2:
                header.type, header.size, header.linkname = kind, 0, "/etc/passwd"
            archive.addfile(header, io.BytesIO(content if header.size else b""))

    _assert_refused(tmp_path / "new", tmp_path / "b.tar")
    _assert_refused(store, tmp_path / "b.tar")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\0" * 10240,
        b"not a tar archive " * 100,
        b"PK\x03\x04" + b"\0" * 1000,
        tarfile.TarInfo("x").tobuf()[:300],
    ],
)
def test_what_is_no_archive_is_refused(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "b.tar").write_bytes(raw)

    _assert_refused(tmp_path / "new", tmp_path / "b.tar")


def _extended(*records: bytes, size: int | None = None) -> bytes:
    content = b"".join(records)
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, len(content) if size is None else size
    return header.tobuf() + content + bytes(-len(content) % 512)


@pytest.mark.parametrize(
    "raw",
    [
        _extended(size=1 << 40),
        _extended(b"99 path=x\n"),
        _extended(b"0 path=x\n"),
        _extended(b"path=x\n"),
        _extended(b"20 size=99999999999\n"),
        _extended(b"11 size=-1\n"),
        _extended(b"22 GNU.sparse.major=1\n"),
        _extended(b"17 linkpath=/etc\n"),
    ],
)
def test_odd_extended_headers_are_refused(tmp_path: Path, raw: bytes) -> None:
    head = tarfile.TarInfo("mvenv-export")
    (tmp_path / "b.tar").write_bytes(raw + head.tobuf() + bytes(10240))

    _assert_refused(tmp_path / "new", tmp_path / "b.tar")


@pytest.mark.parametrize("end", ["cut", "followed", "unended"])
def test_the_end_has_to_be_right(store: Path, tmp_path: Path, end: str) -> None:
    _export(store, tmp_path / "a.tar")
    whole = (tmp_path / "a.tar").read_bytes()
    raw = {
        "cut": whole[: len(whole) // 2],
        "followed": whole + b"more",
        "unended": whole.rstrip(b"\0"),
    }[end]
    (tmp_path / "b.tar").write_bytes(raw)

    _assert_refused(tmp_path / "new", tmp_path / "b.tar")


def _file(path: str, content: bytes = b"x", **changes: Any) -> ManifestFile:
    import xxhash

    one = ManifestFile(
        path,
        hashlib.sha256(content).hexdigest(),
        xxhash.xxh3_128_hexdigest(content),
        len(content),
        0o444,
        10**18,
    )
    return one._replace(**changes)


def _archive(
    path: Path, files: list[ManifestFile], key: str = "a" * 64, filename: str = "a.whl"
) -> Path:
    manifest = Manifest(
        sha256=key, filename=filename, boot_id="", files=tuple(files)
    ).to_bytes()
    name = key.removeprefix("adopted-")
    folder = f"{'adopted' if name != key else 'wheels'}/{name[:2]}/{name}"
    members = [
        ("mvenv-export", f"mvenv export 1\n{key}\n".encode()),
        (f"{folder}/MANIFEST", manifest),
        *((f"{folder}/tree/{file.path}", b"x") for file in files),
    ]
    return _rewrite(path, members)


@pytest.mark.parametrize(
    "files",
    [
        [_file("../evil")],
        [_file("/evil")],
        [_file("a/../../evil")],
        [_file("a//b")],
        [_file("")],
        [_file(".")],
        [_file("a\\b")],
        [_file("x" * 256)],
        [_file("a"), _file("a")],
        [_file("a"), _file("a/b")],
        [_file("A"), _file("a")],
        [_file("b"), _file("a")],
        [_file(".mvenv-new~")],
        [_file("a", mode=0o4755)],
        [_file("a", mode=0o666)],
        [_file("a", size=-1)],
        [_file("a", mtime_ns=10**40)],
        [_file("a", sha256="A" * 64)],
        [_file("a", xxh3="0" * 32)],
    ],
    ids=str,
)
def test_no_manifest_leads_elsewhere(tmp_path: Path, files: list[ManifestFile]) -> None:
    _assert_refused(tmp_path / "new", _archive(tmp_path / "b.tar", files))
    assert not (tmp_path / "evil").exists()
    assert not Path("/evil").exists()


@pytest.mark.parametrize("filename", ["", "../x.whl", "a/b.whl", "x" * 300])
def test_names_of_wheels_are_names(tmp_path: Path, filename: str) -> None:
    archive = _archive(tmp_path / "b.tar", [_file("a")], filename=filename)

    _assert_refused(tmp_path / "new", archive)


def test_what_was_learned_from_environments_proves_itself(tmp_path: Path) -> None:
    files = [_file("a"), _file("b")]
    key = adopted_key(files)
    _import(tmp_path / "new", _archive(tmp_path / "a.tar", files, key))

    assert WheelStore(open_layout(tmp_path / "new")).find(StoreKey(key)) is not None
    _assert_refused(
        tmp_path / "newer", _archive(tmp_path / "b.tar", [*files, _file("c")], key)
    )


def test_what_is_rebuilt_stays_so(store: Path, tmp_path: Path) -> None:
    [tree] = store.glob("wheels/*/*/tree/demo")
    (tree.parent.parent / "rebuilt").write_text(
        "made 3 files again, from:\n  /home/me\n"
    )
    _export(store, tmp_path / "a.tar")
    _import(tmp_path / "new", tmp_path / "a.tar")
    _export(tmp_path / "new", tmp_path / "b.tar")

    [mark] = (tmp_path / "new").glob("wheels/*/*/rebuilt")
    assert mark.parent.name == tree.parent.parent.name
    assert b"/home/me" not in (tmp_path / "a.tar").read_bytes()
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_a_full_disk_leaves_nothing(
    filesystems: Filesystems, make_wheel: WheelMaker, tmp_path: Path
) -> None:
    content = os.urandom(1 << 20)
    wheels = [make_wheel(f"demo{n}", files={"x": content}) for n in range(6)]
    _ingest(tmp_path / "store", *wheels)
    _export(tmp_path / "store", tmp_path / "a.tar")
    disk = filesystems.limited_tmpfs(4 << 20)
    with pytest.raises(SystemFault, match="not enough room"):
        _import(disk / "store", tmp_path / "a.tar")
    with (tmp_path / "a.tar").open("rb") as stream, pytest.raises(SystemFault):
        import_entries(
            ImportRequest(store=disk / "store", seal=True, source=stream, sha256=None),
            Silent(),
        )

    assert _trees(disk / "store") == {}
    assert os.listdir(disk / "store/tmp") == []


@pytest.mark.slow
def test_a_large_archive_takes_little_memory(
    make_wheel: WheelMaker, tmp_path: Path
) -> None:
    files: dict[str, str | bytes] = {
        f"many/m{n:05}.py": f"x={n}\n" for n in range(5_000)
    }
    files["big.bin"] = os.urandom(1 << 20) * 60
    _ingest(tmp_path / "store", make_wheel("large", files=files))
    _export(tmp_path / "store", tmp_path / "a.tar")
    script = (
        "import pathlib, sys\n"
        "from mvenv.progress import Silent\n"
        "from mvenv.transfer import ImportRequest, import_entries\n"
        "store, source = map(pathlib.Path, sys.argv[1:])\n"
        "import_entries(ImportRequest(store=store, seal=True, source=source,"
        " sha256=None), Silent())\n"
        "lines = pathlib.Path('/proc/self/status').read_text().splitlines()\n"
        "print(next(line.split()[1] for line in lines if 'VmHWM' in line))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "new", tmp_path / "a.tar"],
        capture_output=True,
        check=True,
    )

    assert int(done.stdout) < 90_000, "kilobytes"
