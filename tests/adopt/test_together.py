"""Adopting beside other commands, and what they make of what was adopted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from adopt.installing import MakeEnvironment, pip, site_of
from kit.commands import Runner
from kit.lockfiles import PylockWriter
from kit.wheels import WheelMaker
from mvenv.env.receipt import read_receipt
from mvenv.plan.record import load_plan
from mvenv.store.entries import WheelStore
from mvenv.store.layout import entry_key, open_layout
from mvenv.store.registry import roots


def inode(path: Path) -> int:
    return path.stat().st_ino


def test_doctor_finds_it_healthy_and_heals_it(
    mvenv: Runner, pip_environment: MakeEnvironment
) -> None:
    folder, other = pip_environment("one"), pip_environment("other")
    assert mvenv("adopt", folder, other).code == 0

    healthy = mvenv("doctor", folder, other, "--check", "--full", "--json", "--offline")

    assert (healthy.code, healthy.value["findings"]) == (0, []), healthy.out
    script = (folder / "bin/demo").read_bytes()
    for lost in (folder / "bin/demo", site_of(folder) / "plain/__init__.py"):
        lost.unlink()
    healed = mvenv("doctor", folder, "--offline")
    assert healed.code == 0, healed.out
    assert (folder / "bin/demo").read_bytes() == script
    name = "plain/__init__.py"
    assert inode(site_of(folder) / name) == inode(site_of(other) / name)


def test_two_distributions_with_one_path(
    mvenv: Runner, tmp_path: Path, pip_environment: MakeEnvironment
) -> None:
    """Who has it in the environment is planned to have it, whatever the order."""
    make_wheel = WheelMaker(folder=tmp_path / "contested")
    files = {"shared_name.py": "mine = 'a'\n", "aa.py": "x = 1\n"}
    first = make_wheel("aa", "1.0", files)
    last = make_wheel("zz", "1.0", {"shared_name.py": "mine = 'z'\n", "zz.py": "\n"})
    for number, order in enumerate([(first, last), (last, first)]):
        folder = pip_environment(f"env{number}", "plain==2.0")
        for wheel in order:
            pip(folder, "install", "--no-index", "--no-deps", wheel)
        winner = (site_of(folder) / "shared_name.py").read_bytes()

        assert mvenv("adopt", folder).code == 0

        assert (site_of(folder) / "shared_name.py").read_bytes() == winner
        outcome = mvenv("adopt", folder, "--json")
        assert outcome.code == 0
        [adopted] = outcome.value["environments"]
        assert [one["edited"] for one in adopted["distributions"]] == [[], [], []]
        looked = mvenv("doctor", folder, "--check", "--full", "--offline")
        assert looked.code == 0, looked.out


def test_many_at_once_on_one_store(
    mvenv: Runner, pip_environment: MakeEnvironment
) -> None:
    folders = [pip_environment(f"env{number}") for number in range(4)]
    command = [sys.executable, "-m", "mvenv", "adopt", "--link-mode", "hardlink"]
    environ = {**os.environ, "MVENV_STORE": str(mvenv.store)}
    # Each twice: the second waits for the first, or comes after it.
    running = [
        subprocess.Popen(
            [*command, str(folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environ,
        )
        for folder in (*folders, *folders)
    ]
    said = [process.communicate(timeout=120)[0].decode() for process in running]

    assert [process.returncode for process in running] == [0] * 8, said
    names = ("demo/data.bin", "plain/__init__.py")
    for name in names:
        assert len({inode(site_of(folder) / name) for folder in folders}) == 1
    layout = open_layout(mvenv.store)
    store = WheelStore(layout)
    for place in (mvenv.store / "adopted").glob("*/*"):
        wheel = store.find(entry_key(f"adopted-{place.name}"))
        assert wheel is not None
        assert store.verify(wheel) == ()
    assert os.listdir(mvenv.store / "tmp") == []
    for folder in folders:
        receipt = read_receipt(folder)
        assert receipt is not None
        assert load_plan((folder / ".mvenv/plan").read_bytes(), layout) is not None
    assert sorted(root.path for root in roots(layout)) == list(map(str, folders))


@pytest.mark.parametrize("name", ["link", ".venv"])
def test_an_environment_under_another_name(
    mvenv: Runner, pip_environment: MakeEnvironment, tmp_path: Path, name: str
) -> None:
    """By a link, or by a file that names it (PEP 832)."""
    folder = pip_environment("one", "plain==2.0")
    place = tmp_path / name
    if name == "link":
        place.symlink_to(folder)
    else:
        place.write_text(str(folder))

    outcome = mvenv("adopt", place, "--link-mode", "hardlink")

    assert outcome.code == 0, outcome.err
    assert (site_of(folder) / "plain/__init__.py").stat().st_nlink == 2


def test_what_was_made_private_on_purpose_stays_private(
    mvenv: Runner,
    wheels: Path,
    write_pylock: PylockWriter,
    tmp_path: Path,
) -> None:
    lock = write_pylock(*wheels.glob("demo-*"), *wheels.glob("plain-2.0-*"))
    folder = tmp_path / "one"
    mvenv.create(folder, lock, "--link-mode", "hardlink")
    assert mvenv("edit", folder, "plain").code == 0
    private = site_of(folder) / "plain/__init__.py"
    assert private.stat().st_nlink == 1

    outcome = mvenv("adopt", folder, "--json")

    assert outcome.code == 0, outcome.out
    assert private.stat().st_nlink == 1
    receipt = read_receipt(folder)
    assert receipt is not None
    assert receipt.edits == ("plain",)
    assert mvenv("doctor", folder, "--check", "--offline").code == 0


def test_an_adopted_environment_is_brought_to_a_lockfile(
    mvenv: Runner,
    pip_environment: MakeEnvironment,
    wheels: Path,
    write_pylock: PylockWriter,
) -> None:
    folder = pip_environment("one")
    assert mvenv("adopt", folder).code == 0
    own = ["pyvenv.cfg", "bin/python", "bin/activate", "bin/activate.fish"]
    lock = write_pylock(*wheels.glob("demo-*"), *wheels.glob("plain-3.0-*"))

    outcome = mvenv("sync", folder, "--from", lock)

    assert outcome.code == 0, outcome.err
    assert (site_of(folder) / "plain/__init__.py").read_text() == "x = 2\n" * 2000
    # What pip had installed was adopted: nothing is there by hand.
    assert "by pip" not in outcome.out
    looked = mvenv("doctor", folder, "--check", "--full", "--offline")
    assert looked.code == 0, looked.out
    assert [name for name in own if not os.path.lexists(folder / name)] == []
    works = [str(folder / "bin/python"), "-c", "import plain, sys; print(sys.prefix)"]
    done = subprocess.run(works, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(folder)
    (folder / "pyvenv.cfg").unlink()
    assert mvenv("doctor", folder, "--check", "--offline").code == 1
    assert mvenv("doctor", folder, "--offline").code == 0
    assert (folder / "pyvenv.cfg").is_file()
    for _ in ("back", "redo"):
        assert mvenv("rollback", folder).code == 0
        assert [name for name in own if not os.path.lexists(folder / name)] == []
