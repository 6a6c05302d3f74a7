"""A store made again from environments, with no network and no wheel files."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from kit.commands import Runner
from kit.lockfiles import PylockWriter
from kit.wheels import WheelMaker
from mvenv.apply.donors import Donors, find_donor
from mvenv.apply.rebuild import Rebuilt, rebuild_wheel
from mvenv.env.receipt import RECEIPT, read_receipt
from mvenv.store.entries import WheelStore
from mvenv.store.layout import StoreKey, open_layout
from mvenv.store.names import MANIFEST, REBUILT, SYNCED
from mvenv.store.runs import RunFolder

ENTRY_POINTS = "[console_scripts]\ndemo = demo:main\n"


@pytest.fixture
def wheels(make_wheel: WheelMaker) -> tuple[Path, Path, Path]:
    """Return a wheel with something of each kind, a plain one, one of shared paths."""
    demo = make_wheel(
        "demo",
        "1.0",
        {
            "demo/__init__.py": "def main():\n    print('demo')\n",
            "demo/empty.py": "",
            "demo/data.bin": os.urandom(300_000),
            "demo/templates/page.html": "<p>\n",
            "demo-1.0.data/scripts/tool": "#!python\nprint('tool')\n",
            "demo-1.0.data/scripts/other": "#!pythonw -u\nprint('other')\n",
            "demo-1.0.data/scripts/demo": "#!python\nleft out: it is a launcher\n",
            "demo-1.0.data/data/etc/demo.conf": "a=1\n",
            "demo-1.0.data/headers/demo.h": "int demo;\n",
            "demo.pth": "import sys\n",
        },
        entry_points=ENTRY_POINTS,
    )
    plain = make_wheel("plain", "2.0", {"plain.py": "x = 1\n", "LICENSE": "same\n"})
    loser = make_wheel("another", "1.0", {"another.py": "", "plain.py": "x = 2\n"})
    return demo, plain, loser


@pytest.fixture
def environments(
    mvenv: Runner,
    wheels: tuple[Path, Path, Path],
    write_pylock: PylockWriter,
    tmp_path: Path,
) -> list[Path]:
    """Return three environments of which each has other wheels."""
    demo, plain, loser = wheels
    made = []
    for number, chosen in enumerate([(demo, plain), (demo,), (loser, plain)]):
        lock = write_pylock(*chosen, path=tmp_path / f"pylock.{number}.toml")
        made.append(tmp_path / f"env{number}")
        mvenv.create(made[-1], lock)
    return made


def rebuild_all(store: Path, environments: list[Path]) -> dict[str, Rebuilt]:
    layout = open_layout(store)
    found = [find_donor(folder, layout) for folder in environments]
    donors = Donors(tuple(one for one in found if one is not None))
    kept = WheelStore(layout)
    with RunFolder(layout) as run:
        done = [
            rebuild_wheel(key, donors, store=kept, run=run)
            for key in sorted(donors.keys())
        ]
        assert sorted(os.listdir(run.path)) == [".lock"]
    return {name_of(one, donors): one for one in done}


def name_of(rebuilt: Rebuilt, donors: Donors) -> str:
    known = donors.wheel(rebuilt.key)
    assert known is not None
    return known.filename.partition("-")[0]


def entry(store: Path, name: str) -> Path:
    [found] = store.glob(f"wheels/*/*/tree/{name}-*.dist-info")
    return found.parents[1]


def contents(folder: Path) -> dict[str, tuple[int, bytes | str]]:
    """Return all but what says which environment it is."""
    found: dict[str, tuple[int, bytes | str]] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name.startswith(".mvenv") or path.is_dir():
            continue
        if path.is_symlink():
            found[name] = (0, str(path.readlink()))
            continue
        text = path.read_bytes().replace(os.fsencode(folder), b"<here>")
        if name.endswith("RECORD"):
            rows = text.splitlines()
            # Scripts have the environment's path in them, so their hashes differ.
            text = b"\n".join(row for row in rows if b"/bin/" not in row)
        found[name] = (path.stat().st_mode, text)
    return found


def test_a_lost_store_comes_back(mvenv: Runner, environments: list[Path]) -> None:
    stamps = {
        str(path.relative_to(mvenv.store)): path.stat().st_mtime_ns
        for path in mvenv.store.glob("wheels/*/*/tree/**/*")
        if path.is_file()
    }
    shutil.rmtree(mvenv.store)

    done = rebuild_all(mvenv.store, environments)

    assert {name: one.missing for name, one in done.items()} == {
        "demo": (),
        "plain": (),
        "another": ("plain.py",),
    }
    demo = done["demo"]
    assert demo.wheel is not None
    assert demo.left_out == ("demo-1.0.data/scripts/demo", "demo-1.0.dist-info/RECORD")
    assert demo.donors == (environments[0],)
    store = WheelStore(open_layout(mvenv.store))
    assert store.verify(demo.wheel) == ()
    assert store.find(demo.key) == demo.wheel
    assert sorted(os.listdir(demo.wheel.root)) == sorted(
        [MANIFEST, REBUILT, SYNCED, "tree"]
    )
    assert str(environments[0]) in (demo.wheel.root / REBUILT).read_text()
    for path in mvenv.store.glob("wheels/*/*/tree/**/*"):
        if path.is_file():
            name = str(path.relative_to(mvenv.store))
            assert path.stat().st_mtime_ns == stamps[name]
            assert path.stat().st_nlink == 1, "never the environment's own inode"


def test_an_environment_from_what_was_rebuilt_is_the_same(
    mvenv: Runner, environments: list[Path], tmp_path: Path
) -> None:
    lock = tmp_path / "pylock.0.toml"
    shutil.rmtree(mvenv.store)
    rebuild_all(mvenv.store, environments)
    shutil.rmtree(tmp_path / "wheels")

    new = tmp_path / "new" / environments[0].name
    outcome = mvenv.create(new, lock, "--offline", "--json")

    assert outcome.value["fetched"] == 0
    assert contents(new) == contents(environments[0])
    ran = subprocess.run([new / "bin/tool"], capture_output=True, text=True, check=True)
    assert ran.stdout == "tool\n"


def test_what_one_environment_changed_another_still_has(
    mvenv: Runner, environments: list[Path]
) -> None:
    for path in environments[0].glob("lib/*/site-packages/demo/*"):
        if path.is_file():
            size = path.stat().st_size
            path.unlink()
            path.write_bytes(b"#" * size)
    shutil.rmtree(mvenv.store)

    demo = rebuild_all(mvenv.store, environments)["demo"]

    assert demo.wheel is not None
    assert demo.donors == tuple(environments[:2])


def test_what_nobody_has_is_named_and_nothing_is_left(
    mvenv: Runner, environments: list[Path]
) -> None:
    for path in mvenv.store.glob("wheels/*/*/tree/demo/data.bin"):
        path.chmod(0o644)
        path.write_bytes(b"changed through the link")
    for folder in environments:
        (folder / "bin/tool").unlink(missing_ok=True)
    shutil.rmtree(mvenv.store)

    demo = rebuild_all(mvenv.store, environments)["demo"]

    assert demo.wheel is None
    assert demo.missing == ("demo/data.bin",)
    assert not list(mvenv.store.glob(f"wheels/*/{demo.key}"))


def test_only_what_is_missing_is_filled_in(
    mvenv: Runner, environments: list[Path]
) -> None:
    place = entry(mvenv.store, "demo")
    inodes = {
        path: path.stat().st_ino for path in place.rglob("tree/**/*") if path.is_file()
    }
    lost = [place / "tree/demo/data.bin", place / "tree/demo/templates/page.html"]
    for path in lost:
        path.unlink()
    manifest = (place / MANIFEST).read_bytes()

    demo = rebuild_all(mvenv.store, environments)["demo"]

    assert demo.made == ("demo/data.bin", "demo/templates/page.html")
    assert (place / MANIFEST).read_bytes() == manifest
    for path, inode in inodes.items():
        assert (path.stat().st_ino == inode) == (path not in lost)
    assert demo.wheel is not None
    assert WheelStore(open_layout(mvenv.store)).verify(demo.wheel) == ()


def test_a_lost_manifest_is_written_from_the_plan_and_not_from_the_files(
    mvenv: Runner, environments: list[Path]
) -> None:
    place = entry(mvenv.store, "demo")
    right = (place / MANIFEST).read_bytes()
    (place / MANIFEST).unlink()
    # Another inode, so that the environments still have the right bytes.
    changed = place / "tree/demo/data.bin"
    changed.unlink()
    changed.write_bytes(b"mine")

    left = rebuild_all(mvenv.store, environments)["demo"]

    assert (place / MANIFEST).read_bytes() == right
    assert left.changed == ("demo/data.bin",)
    assert changed.read_bytes() == b"mine"

    changed.unlink()
    demo = rebuild_all(mvenv.store, environments)["demo"]

    assert demo.made == ("demo/data.bin",)
    assert demo.wheel is not None
    assert WheelStore(open_layout(mvenv.store)).verify(demo.wheel) == ()


def test_an_environment_that_was_not_made_here_says_nothing(
    mvenv: Runner, environments: list[Path], tmp_path: Path
) -> None:
    layout = open_layout(mvenv.store)
    shutil.copytree(environments[0], tmp_path / "cloned", symlinks=True)
    assert find_donor(environments[0], layout) is not None
    assert find_donor(tmp_path / "cloned", layout) is None
    assert find_donor(environments[0], open_layout(tmp_path / "other")) is None
    assert find_donor(tmp_path / "nothing", layout) is None

    (environments[0] / RECEIPT).unlink()
    assert read_receipt(environments[0]) is None
    assert find_donor(environments[0], layout) is None


def test_a_wheel_that_nobody_knows(mvenv: Runner) -> None:
    layout = open_layout(mvenv.store)
    with RunFolder(layout) as run:
        key = StoreKey("0" * 64)
        none = rebuild_wheel(key, Donors(()), store=WheelStore(layout), run=run)

    assert none == Rebuilt(key=key, wheel=None)
