"""Large files that are equal in two wheels are one inode inside the store."""

from __future__ import annotations

import base64
import errno
import hashlib
import os
import shutil
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import pytest

from kit.commands import Runner
from kit.filesystems import Filesystems
from kit.lockfiles import PylockWriter
from kit.wheels import WheelMaker, sha256_of
from mvenv.errors import InvalidWheel
from mvenv.link.tree import TEMPORARY
from mvenv.locking import lock_folder
from mvenv.records import replace_bytes, seal_record, store_json
from mvenv.store import entries, large
from mvenv.store.entries import StoredWheel, WheelStore
from mvenv.store.layout import StoreLayout, open_layout, store_key
from mvenv.store.names import MANIFEST, SYNCED
from mvenv.store.runs import RunFolder, sweep
from mvenv.wheels.manifest import LARGE, Manifest

BIG = hashlib.shake_256(b"big").digest(LARGE)
OTHER = hashlib.shake_256(b"other").digest(LARGE)
SHA256 = hashlib.sha256(BIG).hexdigest()


@pytest.fixture
def first(make_wheel: WheelMaker) -> Path:
    """Return a wheel with a large file."""
    return make_wheel("first", files={"first/big.so": BIG, "first/__init__.py": ""})


@pytest.fixture
def second(make_wheel: WheelMaker) -> Path:
    """Return another with the same, under another name, and one more."""
    files = {"second/lib/same.so": BIG, "second/own.so": OTHER}
    return make_wheel("second", files=files)


@pytest.fixture
def layout(tmp_path: Path) -> StoreLayout:
    """Return an empty store."""
    return open_layout(tmp_path / "own")


def take_in(
    layout: StoreLayout, *wheels: Path, flushed: bool = True, seal: bool = True
) -> list[StoredWheel]:
    """Take wheels in as one run does, each whole before the next."""
    store = WheelStore(layout, seal=seal)
    with RunFolder(layout) as run:
        stored = [
            store.ingest(one, store_key(sha256_of(one)), one.name, run.new_path())
            for one in wheels
        ]
    for one in stored if flushed else ():
        store.mark_synced(one)
    return stored


def big_in(wheel: StoredWheel) -> Path:
    """Return the stored file that has, or should have, the bytes `BIG`."""
    [path] = [file.path for file in wheel.manifest.files if file.sha256 == SHA256]
    return wheel.tree / path


def share(one: StoredWheel, other: StoredWheel) -> bool:
    """Return whether two wheels have one inode, after a look at all of both."""
    layout = StoreLayout(one.root.parents[2])
    for wheel in (one, other):
        found = WheelStore(layout).find(wheel.key)
        assert found is not None
        assert found.manifest == wheel.manifest
        assert WheelStore(layout).verify(found) == ()
        assert big_in(found).read_bytes() == BIG
    return big_in(one).samefile(big_in(other))


@pytest.mark.parametrize("mode", ["hardlink", "copy"])
@pytest.mark.parametrize("more", [0, 4], ids=["threads", "processes"])
def test_two_wheels_of_one_lock(
    mvenv: Runner,
    first: Path,
    second: Path,
    make_wheel: WheelMaker,
    write_pylock: PylockWriter,
    tmp_path: Path,
    mode: str,
    more: int,
) -> None:
    others = [make_wheel(f"other{number}") for number in range(more)]
    lock = write_pylock(first, second, *others)
    made = mvenv.create(tmp_path / "a", lock, "--link-mode", mode, "--json").value
    stored = [mvenv.store.glob(f"wheels/*/*/tree/{one}") for one in ("first", "second")]
    one, other = next(stored[0]) / "big.so", next(stored[1]) / "lib/same.so"

    assert one.samefile(other)
    assert mvenv("store", "verify").code == 0
    small = sum(
        path.lstat().st_size
        for path in mvenv.store.glob("wheels/**/tree/**/*")
        if path.is_file() and path.stat().st_size < LARGE
    )
    assert made["stored_bytes"] == 2 * LARGE + small
    # The way of what is known already, too.
    mvenv.create(tmp_path / "b", lock, "--link-mode", mode)
    for name in ("a", "b"):
        assert mvenv("doctor", tmp_path / name, "--check", "--full").code == 0
        site = next((tmp_path / name).glob("lib/*/site-packages"))
        assert (site / "first/big.so").read_bytes() == BIG
        assert (site / "second/lib/same.so").read_bytes() == BIG
        assert (site / "first/big.so").samefile(one) is (mode == "hardlink")


def test_a_wheel_that_comes_later(
    layout: StoreLayout, first: Path, second: Path
) -> None:
    [one] = take_in(layout, first)
    [other] = take_in(layout, second)

    assert share(one, other)
    assert (one.shared, other.shared) == (0, LARGE)
    assert big_in(one).stat().st_nlink == 2
    assert len(os.listdir(layout.large)) == 2


def test_nothing_is_written_for_what_is_known(
    layout: StoreLayout, first: Path, second: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_in(layout, first)
    written = []
    write = os.write

    def counting(descriptor: int, content: bytes) -> int:
        written.append(len(content))
        return write(descriptor, content)

    monkeypatch.setattr(os, "write", counting)
    take_in(layout, second)

    assert LARGE <= sum(written) < LARGE + 10_000


def test_three_in_a_row_and_the_first_one_gone(
    layout: StoreLayout, first: Path, second: Path, make_wheel: WheelMaker
) -> None:
    third = make_wheel("third", files={"third.so": BIG, "again.so": BIG})
    [one] = take_in(layout, first)
    [other] = take_in(layout, second)
    WheelStore(layout).throw_away(one)
    [last] = take_in(layout, third)

    tree = last.tree
    assert (tree / "third.so").samefile(big_in(other))
    assert (tree / "again.so").samefile(big_in(other))
    assert WheelStore(layout).verify(last) == ()


def test_small_files_are_not_shared(
    layout: StoreLayout, make_wheel: WheelMaker
) -> None:
    content = BIG[:-1]
    wheels = [make_wheel(name, files={f"{name}.so": content}) for name in "ab"]
    one, other = take_in(layout, *wheels)

    assert not (one.tree / "a.so").samefile(other.tree / "b.so")
    assert os.listdir(layout.large) == []


def test_executables_and_others_are_apart(
    layout: StoreLayout, first: Path, make_wheel: WheelMaker
) -> None:
    tool = make_wheel("tool", files={"tool.bin": BIG}, executables=["tool.bin"])
    one, other = take_in(layout, first, tool)

    assert not share(one, other)


def test_sealed_and_not_are_apart(
    layout: StoreLayout, first: Path, second: Path, make_wheel: WheelMaker
) -> None:
    third = make_wheel("third", files={"third.so": BIG})
    [one] = take_in(layout, first)
    other, last = take_in(layout, second, third, seal=False)

    assert not share(one, other)
    assert share(other, last)
    assert big_in(one).stat().st_mode & 0o777 == 0o444


def test_what_another_run_has_not_flushed_is_left(
    layout: StoreLayout, first: Path, second: Path, make_wheel: WheelMaker
) -> None:
    """Its flush may fail, and nobody else is told."""
    third = make_wheel("third", files={"third.so": BIG})
    one, last = take_in(layout, first, third, flushed=False)
    [other] = take_in(layout, second)

    assert share(one, last)
    assert not share(one, other)


def test_an_archive_without_hashes_is_shared_in_the_end(
    layout: StoreLayout, first: Path, make_wheel: WheelMaker
) -> None:
    digest = base64.urlsafe_b64encode(hashlib.sha512(BIG).digest()).decode().rstrip("=")
    row = f"other.so,sha512={digest},{LARGE}\n"
    files: dict[str, str | bytes] = {"other.so": BIG, "other-1.0.dist-info/RECORD": row}
    [one] = take_in(layout, first)
    [other] = take_in(layout, make_wheel("other", files=files))

    assert share(one, other)
    assert TEMPORARY not in os.listdir(other.tree)


def test_two_that_come_at_once(
    layout: StoreLayout, first: Path, second: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = threading.Barrier(2)
    unpack = WheelStore._unpack

    def together(*words: object) -> Manifest:
        manifest = unpack(*words)  # type: ignore[arg-type]  # whatever it takes
        both.wait(timeout=30)
        return manifest

    monkeypatch.setattr(WheelStore, "_unpack", together)
    store = WheelStore(layout)
    with RunFolder(layout) as run, ThreadPoolExecutor(2) as pool:
        one, other = pool.map(
            lambda wheel: store.ingest(
                wheel, store_key(sha256_of(wheel)), wheel.name, run.new_path()
            ),
            (first, second),
        )

    assert share(one, other)


def _become_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def _become_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _become_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _edit(path: Path, *, stamp: bool) -> None:
    before = path.stat()
    path.chmod(0o644)
    path.write_bytes(OTHER)
    path.chmod(0o444)
    if stamp:
        os.utime(path, ns=(before.st_mtime_ns, before.st_mtime_ns))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "edited": lambda path: _edit(path, stamp=False),
    "edited, its stamp put back": lambda path: _edit(path, stamp=True),
    "cut": lambda path: os.truncate(path, 100),
    "another date": os.utime,
    "another mode": lambda path: path.chmod(0o644),
    "a link": _become_link,
    "a folder": _become_folder,
    "a pipe": _become_pipe,
    "gone": lambda path: path.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_never_spreads(
    layout: StoreLayout, first: Path, second: Path, damage: Callable[[Path], object]
) -> None:
    [one] = take_in(layout, first)
    damage(big_in(one))
    [other] = take_in(layout, second)

    assert WheelStore(layout).verify(other) == ()
    assert big_in(other).read_bytes() == BIG
    assert big_in(other).stat().st_nlink == 1
    assert other.shared == 0


def _hostile(layout: StoreLayout, value: object) -> None:
    store_json(layout.large / SHA256, "large", 1, value)


def _without(root: Path, name: str) -> None:
    (root / name).unlink()


ROWS: dict[str, Callable[[StoreLayout, StoredWheel], object]] = {
    "no row": lambda layout, _: (layout.large / SHA256).unlink(),
    "no folder": lambda layout, _: shutil.rmtree(layout.large),
    "a damaged row": lambda layout, _: (layout.large / SHA256).write_bytes(b"x"),
    "a folder": lambda layout, _: _become_folder(layout.large / SHA256),
    "no json": lambda layout, _: (layout.large / SHA256).write_bytes(
        seal_record("large", 1, b"{[")
    ),
    "another format": lambda layout, one: store_json(
        layout.large / SHA256, "large", 2, [[one.key, ""]]
    ),
    "no list": lambda layout, _: _hostile(layout, {"a": 1}),
    "odd rows": lambda layout, one: _hostile(layout, [1, [one.key], [[], {}], None]),
    "a path": lambda layout, _: _hostile(layout, [["../../etc", ""]]),
    "another entry": lambda layout, _: _hostile(layout, [["0" * 64, ""]]),
    "the entry is gone": lambda _, one: shutil.rmtree(one.root),
    "its tree is gone": lambda _, one: shutil.rmtree(one.tree),
    "its manifest is gone": lambda _, one: _without(one.root, MANIFEST),
    "its manifest is damaged": lambda _, one: replace_bytes(
        one.root / MANIFEST, b"damaged"
    ),
    "it was not flushed": lambda _, one: _without(one.root, SYNCED),
}


@pytest.mark.parametrize("damage", ROWS.values(), ids=ROWS)
def test_a_row_that_is_of_no_use_is_ignored(
    layout: StoreLayout,
    first: Path,
    second: Path,
    make_wheel: WheelMaker,
    damage: Callable[[StoreLayout, StoredWheel], object],
) -> None:
    [one] = take_in(layout, first)
    damage(layout, one)
    [other] = take_in(layout, second)

    assert WheelStore(layout).verify(other) == ()
    assert big_in(other).stat().st_nlink == 1
    # And it is put right by the way, where that can be.
    open_layout(layout.root)
    [third] = take_in(layout, make_wheel("third", files={"third.so": BIG}))
    [last] = take_in(layout, make_wheel("last", files={"last.so": BIG}))
    if not (layout.large / SHA256).is_dir():
        assert share(third, last)


@pytest.mark.parametrize(
    "number", [errno.EMLINK, errno.EXDEV, errno.EPERM, errno.ENOENT, errno.EIO]
)
def test_what_takes_no_link_is_written(
    layout: StoreLayout,
    first: Path,
    second: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
) -> None:
    """A full inode, a file system of its own; a prune in that very moment."""
    [one] = take_in(layout, first)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)
    [other] = take_in(layout, second)

    assert not share(one, other)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_prune_in_that_moment(
    layout: StoreLayout,
    first: Path,
    second: Path,
    monkeypatch: pytest.MonkeyPatch,
    when: str,
) -> None:
    [one] = take_in(layout, first)
    link = os.link

    def late(*words: object, **options: object) -> None:
        if when == "before":
            shutil.rmtree(one.root)
        link(*words, **options)  # type: ignore[arg-type]  # whatever it takes
        shutil.rmtree(one.root)

    monkeypatch.setattr(os, "link", late)
    [other] = take_in(layout, second)

    assert WheelStore(layout).verify(other) == ()
    assert big_in(other).stat().st_nlink == 1


def test_what_is_changed_while_it_is_hashed(
    layout: StoreLayout, first: Path, second: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [one] = take_in(layout, first)
    digest = hashlib.file_digest

    def late(*words: object) -> object:
        found = digest(*words)  # type: ignore[arg-type]  # whatever it takes
        _edit(big_in(one), stamp=False)
        return found

    monkeypatch.setattr(hashlib, "file_digest", late)
    [other] = take_in(layout, second)

    assert big_in(other).read_bytes() == BIG
    assert WheelStore(layout).verify(other) == ()


def test_who_waits_too_long_shares_nothing(
    layout: StoreLayout, first: Path, second: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(large, "_PATIENCE", 0.0)
    with lock_folder(layout.large, exclusive=True):
        one, other = take_in(layout, first, second)

    assert not share(one, other)
    assert os.listdir(layout.large) == []


def test_a_wheel_that_lies_about_a_known_file(
    layout: StoreLayout, first: Path, make_wheel: WheelMaker
) -> None:
    """RECORD has the hash of a stored file, and the archive has other bytes."""
    digest = base64.urlsafe_b64encode(bytes.fromhex(SHA256)).decode().rstrip("=")
    record = f"liar.so,sha256={digest},{LARGE}\n"
    files: dict[str, str | bytes] = {
        "liar.so": OTHER,
        "liar-1.0.dist-info/RECORD": record,
    }
    [one] = take_in(layout, first)

    with pytest.raises(InvalidWheel, match="not what RECORD says"):
        take_in(layout, make_wheel("liar", files=files))
    assert big_in(one).read_bytes() == BIG
    assert big_in(one).stat().st_nlink == 1
    assert WheelStore(layout).verify(one) == ()
    assert len(list(layout.root.glob("wheels/*/*"))) == 1


@pytest.mark.parametrize("where", ["put_down", "rename"])
def test_a_run_that_ends_before_the_entry_has_its_name(
    layout: StoreLayout,
    first: Path,
    second: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
) -> None:
    [one] = take_in(layout, first)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if where == "rename":
            patch.setattr(WheelStore, "_name", stop)
        else:
            patch.setattr(large, "_put_down", stop)
        with pytest.raises(KeyboardInterrupt):
            take_in(layout, second)
    assert big_in(one).read_bytes() == BIG
    [other] = take_in(layout, second)
    assert share(one, other)
    assert big_in(one).stat().st_nlink == 2


@pytest.mark.parametrize(
    ("module", "name"),
    [(large, "_is_right"), (large, "_put_down"), (entries, "stage_manifest")],
    ids=["linked", "before it is on record", "before its manifest"],
)
def test_a_killed_run(
    layout: StoreLayout, first: Path, second: Path, module: ModuleType, name: str
) -> None:
    [one] = take_in(layout, first)
    child = os.fork()
    if not child:
        vars(module)[name] = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        take_in(layout, second)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    sweep(layout)

    assert big_in(one).stat().st_nlink == (2 if name == "_put_down" else 1)
    [other] = take_in(layout, second)
    assert share(one, other)
    assert big_in(one).stat().st_nlink == 2
    assert os.listdir(layout.tmp) == []


def test_what_is_staged_for_nobody_shares_nothing(
    layout: StoreLayout, first: Path, second: Path
) -> None:
    """Its stamps are set to what environments have: those of others must stay."""
    take_in(layout, first)
    with RunFolder(layout) as run:
        key = store_key(sha256_of(second))
        staged = WheelStore(layout).stage(second, key, second.name, run.new_path())

        assert (staged.tree / "second/lib/same.so").stat().st_nlink == 1


def test_a_fresh_inode_is_for_one_wheel(
    layout: StoreLayout, first: Path, second: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = take_in(layout, first, second)
    monkeypatch.setattr(entries, "_FRESH_ENOUGH", 1)
    with RunFolder(layout) as run:
        WheelStore(layout).fresh_inode(one.key, "first/big.so", run)

    assert not share(one, other)
    assert big_in(one).stat().st_mtime_ns == big_in(other).stat().st_mtime_ns


def _with_other_stamps(wheel: StoredWheel) -> None:
    """Write its manifest as one of an earlier ingest was.

    An hour earlier: the stamps of one content are whole seconds apart, so by a second
    they would fall together with those of a wheel that the test took in just before.
    """
    hour = 3600 * 10**9
    files = tuple(
        file._replace(mtime_ns=file.mtime_ns - hour) for file in wheel.manifest.files
    )
    for file in files:
        if file.sha256 != SHA256:
            stamp = file.mtime_ns
            os.utime(wheel.tree / file.path, ns=(stamp, stamp))
    manifest = Manifest(
        sha256=wheel.key, filename=wheel.manifest.filename, boot_id="", files=files
    )
    (wheel.root / MANIFEST).chmod(0o644)
    (wheel.root / MANIFEST).write_bytes(manifest.to_bytes())


def test_two_stamps_are_two_inodes(
    layout: StoreLayout, first: Path, second: Path
) -> None:
    """Sealing one wheel again must not break the seal of the other."""
    one, other = take_in(layout, first, second)
    before = big_in(other).stat()
    _with_other_stamps(one)
    store = WheelStore(layout)

    assert store.mend(one.key).usable
    found = store.find(one.key)
    assert found is not None
    assert store.verify(found) == ()
    assert store.verify(other) == ()
    assert big_in(other).stat().st_ino == before.st_ino
    assert not big_in(one).samefile(big_in(other))


def test_sealing_again_keeps_what_is_shared(
    layout: StoreLayout, first: Path, second: Path
) -> None:
    one, other = take_in(layout, first, second)
    os.utime(big_in(one))

    assert WheelStore(layout).mend(one.key).usable
    assert share(one, other)


def test_an_archive_brings_the_sharing_along(
    mvenv: Runner, layout: StoreLayout, first: Path, second: Path, tmp_path: Path
) -> None:
    take_in(layout, first, second)
    archive = tmp_path / "archive"
    exported = mvenv("store", "export", archive, store=layout.root)
    assert exported.code == 0, exported.err
    assert mvenv("store", "import", archive).code == 0
    one, other = (
        next(mvenv.store.glob(f"wheels/*/*/tree/{path}"))
        for path in ("first/big.so", "second/lib/same.so")
    )

    assert one.samefile(other)
    assert mvenv("store", "verify").code == 0


def test_an_archive_keeps_its_stamps(
    mvenv: Runner, layout: StoreLayout, first: Path, second: Path, tmp_path: Path
) -> None:
    """Environments elsewhere may have them; so another stamp is another inode."""
    take_in(layout, second)
    archive = tmp_path / "archive"
    assert mvenv("store", "export", archive, store=layout.root).code == 0
    here = open_layout(mvenv.store)
    [one] = take_in(here, first)
    _move_stamps(one, here)
    assert mvenv("store", "import", archive).code == 0

    assert mvenv("store", "verify").code == 0
    found = WheelStore(here).find(store_key(sha256_of(second)))
    assert found is not None
    assert not big_in(one).samefile(big_in(found))


def _move_stamps(wheel: StoredWheel, layout: StoreLayout) -> None:
    """Let a wheel be one that came an hour earlier."""
    _with_other_stamps(wheel)
    assert WheelStore(layout).mend(wheel.key).usable


def test_a_store_without_the_folder(
    mvenv: Runner,
    first: Path,
    second: Path,
    write_pylock: PylockWriter,
    tmp_path: Path,
) -> None:
    """As older versions made them."""
    mvenv.create(tmp_path / "a", write_pylock(first))
    shutil.rmtree(mvenv.store / "large")
    assert mvenv("store", "verify").code == 0
    assert mvenv("doctor", "--whole-store", "--check").code == 0
    # Who only reads makes nothing: the disk may be read-only.
    assert mvenv("store", "export", tmp_path / "archive").code == 0
    assert not (mvenv.store / "large").exists()
    mvenv.create(tmp_path / "b", write_pylock(second))

    assert mvenv("doctor", "--whole-store", "--check", "--full").code == 0
    assert len(os.listdir(mvenv.store / "large")) == 2


@pytest.mark.parametrize("kind", ["xfs", "btrfs"])
def test_where_files_are_reflinked(
    mvenv: Runner,
    first: Path,
    second: Path,
    write_pylock: PylockWriter,
    filesystems: Filesystems,
    kind: str,
) -> None:
    """The store has one inode all the same; environments have copies of their own."""
    folder = filesystems.folder(kind)
    lock = write_pylock(first, second)
    made = mvenv.create(folder / "env", lock, "--json", store=folder / "store").value
    assert made["link_mode"] == "reflink"
    one = next(folder.glob("store/wheels/*/*/tree/first/big.so"))
    other = next(folder.glob("store/wheels/*/*/tree/second/lib/same.so"))
    assert one.samefile(other)
    assert one.stat().st_nlink == 2
    here = next((folder / "env").glob("lib/*/site-packages/first/big.so"))
    here.write_bytes(b"mine")

    assert other.read_bytes() == BIG
    assert mvenv("store", "verify", store=folder / "store").code == 0


def test_the_lock_is_let_go(layout: StoreLayout, first: Path) -> None:
    take_in(layout, first)
    with lock_folder(layout.large, exclusive=True, patience=0.0):
        pass


def test_what_nobody_asks_is_not_locked(
    layout: StoreLayout, make_wheel: WheelMaker
) -> None:
    """A wheel without large files waits for nobody."""
    with lock_folder(layout.large, exclusive=True):
        take_in(layout, make_wheel("small"))
