"""Changes are made at once, through no link, and keep what they are told to keep."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from mvenv.apply.changing import Changer
from mvenv.errors import DamagedEntry, EnvironmentFault, SystemFault
from mvenv.hashes import digest_bytes, digest_file
from mvenv.link.files import copy_file
from mvenv.link.modes import LinkMode
from mvenv.plan.changes import (
    Change,
    MakeFolder,
    Proof,
    Put,
    Remove,
    Seal,
    SetAside,
    Symlink,
)

STAMP = 1_700_000_000_000_000_000
GOOD = b"good = 1\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a folder with a package."""
    folder = tmp_path / "env"
    (folder / "lib" / "__pycache__").mkdir(parents=True)
    (folder / "lib" / "a.py").write_bytes(b"bad")
    for name in ("a.cpython-311.pyc", "a.cpython-39.opt-1.pyc", "ab.cpython-39.pyc"):
        (folder / "lib" / "__pycache__" / name).write_bytes(b"x")
    return folder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a sealed file."""
    path = tmp_path / "store" / "a.py"
    path.parent.mkdir()
    path.write_bytes(GOOD)
    path.chmod(0o444)
    os.utime(path, ns=(STAMP, STAMP))
    return path


def put(source: Path | None = None, **changes: Any) -> Put:
    made = Put(
        path="lib/a.py",
        sha256=digest_bytes(GOOD).sha256,
        size=len(GOOD),
        mode=0o644,
        mtime_ns=STAMP,
        source=str(source) if source else None,
        content=None if source else GOOD,
    )
    return made._replace(**changes)


def change(root: Path, *changes: Change, **options: Any) -> dict[str, Path]:
    rescue = root / ".mvenv" / "rescued"
    with Changer(root, rescue=rescue, **options) as changer:
        for one in changes:
            changer.make(one)
        return changer.rescued


def left_over(root: Path) -> list[Path]:
    return [path for path in root.rglob("*~") if path.is_file()]


def test_content_replaces_a_file_and_its_bytecode(root: Path) -> None:
    held = (root / "lib/a.py").open("rb")
    change(root, put())

    assert (root / "lib/a.py").read_bytes() == GOOD
    assert (root / "lib/a.py").stat().st_mtime_ns == STAMP
    assert os.listdir(root / "lib/__pycache__") == ["ab.cpython-39.pyc"]
    assert held.read() == b"bad"
    assert left_over(root) == []
    held.close()


def test_a_hard_link_is_the_source_itself(root: Path, source: Path) -> None:
    modes = (LinkMode.HARDLINK,)
    change(root, put(source, link=True), put(source, link=True), modes=modes)

    assert source.samefile(root / "lib/a.py")
    assert source.stat().st_nlink == 2
    assert left_over(root) == []


def test_without_leave_to_link_it_is_a_private_copy(root: Path, source: Path) -> None:
    change(root, put(source), modes=(LinkMode.HARDLINK,))

    assert not source.samefile(root / "lib/a.py")
    assert (root / "lib/a.py").stat().st_mode & 0o777 == 0o644


def test_wrong_bytes_never_get_the_name(root: Path, source: Path) -> None:
    source.chmod(0o644)
    source.write_bytes(GOOD.upper())
    for link in (True, False):
        with pytest.raises(DamagedEntry):
            change(root, put(source, link=link), modes=(LinkMode.HARDLINK,))
    with pytest.raises(DamagedEntry):
        change(root, put(content=b"else"))

    assert (root / "lib/a.py").read_bytes() == b"bad"
    assert left_over(root) == []


def test_a_stamp_that_is_off_is_no_proof(root: Path, source: Path) -> None:
    proven = put(source, proof=Proof.STAMP, sealed=(0o444, STAMP))
    change(root, proven)
    os.utime(source)
    with pytest.raises(DamagedEntry):
        change(root, proven)


def test_what_is_kept_has_its_bytes_and_date(root: Path) -> None:
    os.utime(root / "lib/a.py", ns=(STAMP + 5, STAMP + 5))
    kept = change(root, put(rescue=True))["lib/a.py"]

    assert kept.read_bytes() == b"bad"
    assert kept.stat().st_mtime_ns == STAMP + 5
    again = change(root, put(rescue=True))["lib/a.py"]
    assert again != kept
    assert kept.read_bytes() == b"bad"


def test_what_is_written_to_while_it_is_kept_stays(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else what was written last would be nowhere."""
    place = root / "lib/a.py"

    def copy(*names: Any, **how: Any) -> None:
        copy_file(*names, **how)
        place.write_bytes(b"written meanwhile")

    monkeypatch.setattr("mvenv.apply.changing.copy_file", copy)
    with pytest.raises(SystemFault, match="changed while it was copied"):
        change(root, put(rescue=True))

    assert place.read_bytes() == b"written meanwhile"


def test_a_source_that_is_gone_is_told(root: Path, source: Path) -> None:
    """Its entry is damaged; nothing is wrong with the environment."""
    source.unlink()
    for proof in Proof:
        one = put(source, link=True, proof=proof, sealed=(0o444, STAMP))
        with pytest.raises(DamagedEntry, match="is not there"):
            change(root, one, modes=(LinkMode.HARDLINK,))
    source.parent.rmdir()
    with pytest.raises(DamagedEntry, match="is not there"):
        change(root, put(source))

    assert (root / "lib/a.py").read_bytes() == b"bad"


def test_a_folder_in_the_way_is_never_replaced(root: Path) -> None:
    (root / "lib/a.py").unlink()
    (root / "lib/a.py").mkdir()
    (root / "lib/a.py/mine").write_text("mine")
    with pytest.raises(EnvironmentFault):
        change(root, put())
    assert left_over(root) == []

    kept = change(root, SetAside("lib/a.py"), put())["lib/a.py"]
    assert (kept / "mine").read_text() == "mine"
    assert (root / "lib/a.py").read_bytes() == GOOD


@pytest.mark.parametrize(
    "one", [put(), Remove("lib/a.py"), SetAside("lib/a.py"), Seal("lib/a.py", 0, 0)]
)
def test_a_link_on_the_way_is_not_followed(
    root: Path, tmp_path: Path, one: Change
) -> None:
    (root / "lib").rename(tmp_path / "elsewhere")
    (root / "lib").symlink_to(tmp_path / "elsewhere")
    with pytest.raises((EnvironmentFault, SystemFault)):
        change(root, one)

    assert (tmp_path / "elsewhere/a.py").read_bytes() == b"bad"


def test_links_are_replaced_and_not_followed(root: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (root / "lib/a.py").unlink()
    (root / "lib/a.py").symlink_to(tmp_path / "mine")
    kept = change(root, put(rescue=True))["lib/a.py"]

    assert os.readlink(kept) == str(tmp_path / "mine")
    assert (tmp_path / "mine").read_text() == "mine"
    change(root, Symlink("lib/a.py", "b"), Symlink("lib64", "lib"))
    assert os.readlink(root / "lib/a.py") == "b"
    with pytest.raises(SystemFault):
        change(root, Seal("lib/a.py", 0o644, STAMP))


def test_removing_what_is_gone_is_as_good(root: Path) -> None:
    gone = (Remove("lib/a.py"), Remove("lib/a.py"), Remove("no/such/file"))
    change(root, *gone, MakeFolder("new/er"))

    assert not (root / "lib/a.py").exists()
    assert (root / "new/er").is_dir()
    assert not (root / "no").exists()


def test_bytecode_that_a_wheel_ships_stays(root: Path) -> None:
    shipped = "lib/__pycache__/a.cpython-311.pyc"
    change(root, Remove("lib/a.py"), keep=frozenset({shipped}))

    assert (root / shipped).exists()


def test_a_free_name_is_linked_at_once_and_a_taken_one_replaced(tmp_path: Path) -> None:
    source = tmp_path / "source.py"
    source.write_text("x = 1\n")
    source.chmod(0o444)
    seen = source.stat()
    put = Put(
        "sub/new.py",
        digest_file(source).sha256,
        seen.st_size,
        0o644,
        seen.st_mtime_ns,
        source=str(source),
        link=True,
        proof=Proof.STAMP,
        sealed=(0o444, seen.st_mtime_ns),
    )
    target = tmp_path / "root" / "sub" / "new.py"
    target.parent.mkdir(parents=True)
    for before in (None, "old\n"):
        target.unlink(missing_ok=True)
        if before is not None:
            target.write_text(before)
        with Changer(
            tmp_path / "root",
            rescue=tmp_path / "rescue",
            modes=(LinkMode.HARDLINK, LinkMode.COPY),
        ) as changer:
            changer.make(put)
        assert target.stat().st_ino == seen.st_ino
        assert os.listdir(target.parent) == ["new.py"]
    target.unlink()
    source.chmod(0o644)
    with (
        Changer(
            tmp_path / "root",
            rescue=tmp_path / "rescue",
            modes=(LinkMode.HARDLINK, LinkMode.COPY),
        ) as changer,
        pytest.raises(DamagedEntry),
    ):
        changer.make(put)
    assert os.listdir(target.parent) == []
