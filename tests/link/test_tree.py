"""Files are linked, checked as they are linked, in every mode, on real disks."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from kit.filesystems import Filesystems
from mvenv.errors import LinkError
from mvenv.hashes import digest_bytes, quick_digest
from mvenv.link.modes import LinkMode, LinkPolicy
from mvenv.link.probe import probe
from mvenv.link.tree import FileLink, FolderLinks, Linker

STAMP = 1_700_000_000_123_456_000


def _store_file(folder: Path, name: str, content: bytes, mode: int = 0o444) -> FileLink:
    path = folder / name
    path.write_bytes(content)
    path.chmod(mode)
    os.utime(path, ns=(STAMP, STAMP))
    stamp = path.stat().st_mtime_ns
    return FileLink(
        source=name,
        target=name,
        size=len(content),
        mode=mode,
        mtime_ns=stamp,
        private=False,
        executable=mode == 0o555,
        sha256=digest_bytes(content).sha256,
        xxh3=quick_digest(content),
    )


def _open(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY)


def _link(
    folder: Path, files: list[FileLink], modes: list[LinkMode], **options: bool
) -> Linker:
    source, target = folder / "store", folder / "env"
    target.mkdir(exist_ok=True)
    descriptor = _open(target)
    try:
        linker = Linker(descriptor, modes, **options)
        linker.link_all([FolderLinks(str(source), "", tuple(files))])
        return linker
    finally:
        os.close(descriptor)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Return a folder of stored files."""
    folder = tmp_path / "store"
    folder.mkdir()
    return folder


def test_hard_link_is_the_same_file(tmp_path: Path, store: Path) -> None:
    file = _store_file(store, "a.py", b"a = 1\n")
    linker = _link(tmp_path, [file], [LinkMode.HARDLINK, LinkMode.COPY])

    assert os.path.samefile(store / "a.py", tmp_path / "env" / "a.py")
    assert linker.tally.files == {LinkMode.HARDLINK: 1}
    assert linker.tally.bytes == {LinkMode.HARDLINK: 6}


def test_copy_is_private_and_writable_and_keeps_the_stamp(
    tmp_path: Path, store: Path
) -> None:
    files = [
        _store_file(store, "a.py", b"a = 1\n"),
        _store_file(store, "run", b"#!/bin/sh\n", 0o555),
    ]
    _link(tmp_path, files, [LinkMode.COPY])
    made = {path.name: path.stat() for path in (tmp_path / "env").iterdir()}

    assert made["a.py"].st_mode & 0o7777 == 0o644
    assert made["run"].st_mode & 0o7777 == 0o755
    assert made["a.py"].st_mtime_ns == STAMP
    assert made["a.py"].st_nlink == 1


def test_private_files_are_never_links(tmp_path: Path, store: Path) -> None:
    file = _store_file(store, "x.pth", b"/somewhere\n")._replace(private=True)
    linker = _link(tmp_path, [file], [LinkMode.HARDLINK, LinkMode.COPY])

    assert (tmp_path / "env" / "x.pth").stat().st_nlink == 1
    assert (linker.tally.private_files, linker.tally.private) == (1, 11)


def test_empty_private_files_are_made_fresh(tmp_path: Path, store: Path) -> None:
    file = _store_file(store, "__init__.py", b"")._replace(private=True)
    _link(tmp_path, [file], [LinkMode.HARDLINK])

    made = (tmp_path / "env" / "__init__.py").stat()
    assert (made.st_nlink, made.st_size, made.st_mtime_ns) == (1, 0, STAMP)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda path: path.write_bytes(b"a = 2\n"), id="content"),
        pytest.param(lambda path: path.write_bytes(b""), id="size"),
        pytest.param(lambda path: path.chmod(0o644), id="mode"),
        pytest.param(lambda path: os.utime(path, (1, 1)), id="stamp"),
        pytest.param(lambda path: path.unlink(), id="missing"),
        pytest.param(
            lambda path: (path.unlink(), path.symlink_to("/etc/passwd")), id="link"
        ),
    ],
)
@pytest.mark.parametrize("mode", [LinkMode.HARDLINK, LinkMode.COPY])
@pytest.mark.parametrize("private", [False, True])
def test_a_changed_file_is_never_linked(
    tmp_path: Path,
    store: Path,
    damage: Callable[[Path], object],
    mode: LinkMode,
    private: bool,
) -> None:
    bad = _store_file(store, "bad.py", b"a = 1\n")._replace(private=private)
    good = _store_file(store, "good.py", b"b = 1\n")
    damage(store / "bad.py")
    linker = _link(tmp_path, [bad, good], [mode])

    assert [one.file for one in linker.tally.mismatched] == [bad]
    assert [path.name for path in (tmp_path / "env").iterdir()] == ["good.py"]


def test_a_missing_folder_is_a_mismatch_of_all_its_files(
    tmp_path: Path, store: Path
) -> None:
    file = _store_file(store, "a.py", b"a")
    (store / "a.py").unlink()
    store.rmdir()
    linker = _link(tmp_path, [file], [LinkMode.HARDLINK])

    assert [one.file for one in linker.tally.mismatched] == [file]


def test_replacing_never_writes_through_a_link(tmp_path: Path, store: Path) -> None:
    file = _store_file(store, "a.py", b"new\n")
    precious = tmp_path / "precious"
    precious.write_bytes(b"old\n")
    (tmp_path / "env").mkdir()
    os.link(precious, tmp_path / "env" / "a.py")
    for modes in ([LinkMode.COPY], [LinkMode.HARDLINK], [LinkMode.HARDLINK]):
        _link(tmp_path, [file], modes, replace=True)

    assert precious.read_bytes() == b"old\n"
    assert [path.name for path in (tmp_path / "env").iterdir()] == ["a.py"]
    assert (tmp_path / "env" / "a.py").read_bytes() == b"new\n"


def test_a_run_killed_while_replacing_does_not_stop_the_next(
    tmp_path: Path, store: Path
) -> None:
    file = _store_file(store, "a.py", b"new\n")
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / ".mvenv-new~").write_bytes(b"torn")
    _link(tmp_path, [file], [LinkMode.COPY], replace=True)

    assert [path.name for path in (tmp_path / "env").iterdir()] == ["a.py"]


def test_hard_links_of_other_owners_are_copied(tmp_path: Path, store: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    file = _store_file(store, "a.py", b"a\n")
    os.chown(store / "a.py", 4321, 4321)
    linker = _link(tmp_path, [file], [LinkMode.HARDLINK, LinkMode.COPY])

    assert linker.tally.files == {LinkMode.COPY: 1}
    assert (tmp_path / "env" / "a.py").stat().st_uid == 0


def test_require_link_refuses_to_copy(tmp_path: Path, store: Path) -> None:
    file = _store_file(store, "a.py", b"a\n")
    with pytest.raises(LinkError, match="could only be copied"):
        _link(tmp_path, [file], [LinkMode.COPY], require_link=True)


def test_reflinks_keep_mode_and_stamp(filesystems: Filesystems) -> None:
    for kind in ("xfs", "btrfs"):
        folder = filesystems.folder(kind)
        (folder / "store").mkdir()
        files = [
            _store_file(folder / "store", "a.py", os.urandom(50_000)),
            _store_file(folder / "store", "run", b"#!/bin/sh\n", 0o555),
        ]
        linker = _link(folder, files, [LinkMode.REFLINK])
        made = folder / "env"

        assert linker.tally.files == {LinkMode.REFLINK: 2}
        assert (made / "a.py").read_bytes() == (folder / "store/a.py").read_bytes()
        assert (made / "a.py").stat().st_mode & 0o7777 == 0o644
        assert (made / "run").stat().st_mode & 0o7777 == 0o755
        assert (made / "a.py").stat().st_mtime_ns == files[0].mtime_ns
        assert (made / "a.py").stat().st_ino != (folder / "store/a.py").stat().st_ino


def test_writing_to_a_reflink_leaves_the_store_alone(filesystems: Filesystems) -> None:
    folder = filesystems.folder("xfs")
    (folder / "store").mkdir()
    file = _store_file(folder / "store", "a.py", b"x" * 9000)
    _link(folder, [file], [LinkMode.REFLINK])
    (folder / "env" / "a.py").write_bytes(b"mine")

    assert (folder / "store" / "a.py").read_bytes() == b"x" * 9000


def test_what_auto_chooses_on_each_file_system(filesystems: Filesystems) -> None:
    chosen = {}
    for kind in ("ext4", "xfs", "btrfs", "tmpfs"):
        folder = filesystems.folder(kind)
        chosen[kind] = probe(folder, folder).best

    assert chosen == {
        "ext4": LinkMode.HARDLINK,
        "xfs": LinkMode.REFLINK,
        "btrfs": LinkMode.REFLINK,
        "tmpfs": LinkMode.HARDLINK,
    }


def test_probing_leaves_nothing(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    for policy in LinkPolicy:
        probe(one, other, policy)

    assert [*one.iterdir(), *other.iterdir()] == []


def test_another_file_system_means_copies_and_says_so(
    filesystems: Filesystems, tmp_path: Path
) -> None:
    choice = probe(tmp_path, filesystems.folder("tmpfs"))

    assert choice.best is LinkMode.COPY
    assert {one.mode for one in choice.passed_over} == {
        LinkMode.REFLINK,
        LinkMode.HARDLINK,
    }
    assert "another file system or mount" in choice.passed_over[-1].reason


def test_a_bind_mount_is_told_by_trying(
    filesystems: Filesystems, tmp_path: Path
) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    bound = filesystems.bind(inner)

    assert bound.stat().st_dev == tmp_path.stat().st_dev
    assert probe(tmp_path, bound).best is LinkMode.COPY


def test_reflinks_work_across_bind_mounts_and_subvolumes(
    filesystems: Filesystems,
) -> None:
    folder = filesystems.folder("btrfs")
    bound = filesystems.bind(folder)

    assert probe(folder, bound).best is LinkMode.REFLINK
    assert probe(folder, filesystems.subvolume()).best is LinkMode.REFLINK


def test_a_project_quota_refuses_hard_links(filesystems: Filesystems) -> None:
    folder = filesystems.folder("xfs")
    target = filesystems.project_folder()
    choice = probe(folder, target, LinkPolicy.HARDLINK)

    assert choice.best is LinkMode.COPY
    with pytest.raises(OSError, match="cross-device"):
        (target / "x").hardlink_to(_touched(folder / "x"))


def _touched(path: Path) -> Path:
    path.write_bytes(b"x")
    return path


def test_a_store_of_another_owner_is_not_hard_linked(tmp_path: Path) -> None:
    choice = probe(tmp_path, tmp_path, LinkPolicy.HARDLINK, same_owner=False)

    assert choice.best is LinkMode.COPY
    assert "another user" in choice.passed_over[0].reason


def test_the_65000th_link_of_an_ext4_file_is_reported_as_full(
    filesystems: Filesystems,
) -> None:
    folder = filesystems.folder("ext4")
    (folder / "store").mkdir()
    (folder / "many").mkdir()
    file = _store_file(folder / "store", "a.py", b"a\n")
    with pytest.raises(OSError) as refused:  # noqa: PT011  any link may be the last
        for number in range(66_000):
            os.link(folder / "store" / "a.py", folder / "many" / str(number))
    assert refused.value.errno == errno.EMLINK
    assert (folder / "store" / "a.py").stat().st_nlink == 65_000

    linker = _link(folder, [file], [LinkMode.HARDLINK, LinkMode.COPY])

    assert [one.file for one in linker.tally.full] == [file]
    assert list((folder / "env").iterdir()) == []


def test_where_nothing_can_be_made_there_is_no_mode(
    filesystems: Filesystems, tmp_path: Path
) -> None:
    target = filesystems.folder("ext4")
    subprocess.run(["chattr", "+i", str(target)], check=True)
    try:
        with pytest.raises(PermissionError):
            probe(tmp_path, target)
    finally:
        subprocess.run(["chattr", "-i", str(target)], check=True)
    assert os.listdir(tmp_path) == []
