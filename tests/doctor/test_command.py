"""The command: what it says, its exit codes, and two of it at once."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from doctor.conftest import World
from mvenv.diagnose.checks import CHECKS
from mvenv.env.receipt import read_receipt

PAGE = Path(__file__).parents[2] / "docs" / "doctor.md"
GOOD = b"answer = 42\n" * 100


def test_all_checks_are_listed_and_documented(world: World) -> None:
    listed = world.doctor("--list").out
    page = PAGE.read_text(encoding="utf-8")
    codes = [one["code"] for one in world.doctor("--list", "--json").value["checks"]]

    assert codes == [check.code for check in CHECKS]
    for check in CHECKS:
        assert check.name in listed
        assert (
            f"| {check.code} | `{check.name}` | {check.heal.value} | {check.title} |"
            in page
        )


def test_a_healthy_environment_is_one_line(world: World) -> None:
    (a,) = world.make("a")
    outcome = world.doctor(a)

    assert outcome.code == 0
    assert outcome.out.count("\n") == 2
    assert "· healthy · " in outcome.out


def test_the_nearest_environment_is_meant(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.make("project/.venv")
    below = world.folder / "project/src/deep"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    [looked] = world.doctor("--json").value["environments"]

    assert looked["path"] == str(world.folder / "project/.venv")


def test_the_active_environment_comes_first(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, _ = world.make("a", "project/.venv")
    monkeypatch.chdir(world.folder / "project")
    monkeypatch.setenv("VIRTUAL_ENV", str(a))
    [looked] = world.doctor("--json").value["environments"]

    assert looked["path"] == str(a)


def test_without_an_environment_the_command_line_is_wrong(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(world.folder)
    assert world.doctor().code == 2
    assert world.doctor("--only", "no-such-check").code == 2
    assert world.doctor("--check", "--fix").code == 2


def test_what_cannot_be_looked_at_is_told_and_others_go_on(world: World) -> None:
    (a,) = world.make("a")
    foreign = world.folder / "foreign"
    foreign.mkdir()
    (foreign / "pyvenv.cfg").write_text("home = /usr/bin\n")
    (world.site(a) / "victim.py").unlink()
    outcome = world.doctor(world.folder / "nothing", foreign, a)

    assert outcome.code == 4
    assert "mvenv adopt" in outcome.out
    assert (world.site(a) / "victim.py").read_bytes() == GOOD


def test_the_store_is_the_one_that_an_environment_was_made_from(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from mvenv.cli import run

    (a,) = world.make("a")
    (world.site(a) / "victim.py").unlink()
    monkeypatch.setenv("XDG_DATA_HOME", str(world.folder / "elsewhere"))
    monkeypatch.delenv("MVENV_STORE")
    capsys.readouterr()

    assert run(["doctor", str(a), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["store"]["path"] == str(
        world.mvenv.store
    )
    assert (world.site(a) / "victim.py").samefile(world.stored())


def test_a_renamed_home_has_its_store_in_it(
    tmp_path: Path,
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Nothing is made again, or fetched, under the name that it had."""
    from mvenv.cli import run

    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    monkeypatch.delenv("MVENV_STORE")
    monkeypatch.setenv("XDG_DATA_HOME", str(old))
    assert run(["create", str(old / "env"), "--from", str(world.lock)]) == 0
    old.rename(new)
    monkeypatch.setenv("XDG_DATA_HOME", str(new))
    capsys.readouterr()

    assert run(["doctor", str(new / "env"), "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["store"]["path"] == str(new / "mvenv")
    assert [one["code"] for one in said["findings"]] == ["F33"]
    assert run(["doctor", str(new / "env"), "--fix"]) == 0
    receipt = read_receipt(new / "env")
    assert receipt is not None
    assert receipt.store == str(new / "mvenv")
    assert run(["sync", str(new / "env"), "--from", str(world.lock)]) == 0
    assert run(["doctor", str(new / "env"), "--check", "--full"]) == 0
    assert not old.exists()


def test_a_long_list_is_cut(world: World) -> None:
    environments = world.make(*(f"e{number}" for number in range(9)))
    path = world.site(environments[0]) / "victim.py"
    path.chmod(0o644)
    path.write_bytes(b"edited")
    short = world.doctor(environments[0], "--check").out
    long = world.doctor(environments[0], "--check", "-v").out

    assert "and 6 more (-v)" in short
    assert str(environments[8]) in long


def test_an_environment_on_record_that_is_gone_is_no_fault(world: World) -> None:
    a, b = world.make("a", "b")
    shutil.rmtree(b)
    outcome = world.doctor("--all", "--json")

    assert outcome.code == 0
    assert [one["code"] for one in outcome.value["findings"]] == ["F35"]
    assert list((world.mvenv.store / "envs").glob("*.absent"))
    assert a.exists()


def test_what_others_hold_is_not_healed_meanwhile(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mvenv import locking

    (a,) = world.make("a")
    (world.site(a) / "victim.py").unlink()
    monkeypatch.setattr(locking.lock_folder, "__kwdefaults__", {"patience": 0.1})
    monkeypatch.setattr(
        locking.lock_folder.__wrapped__,  # type: ignore[attr-defined]  # contextmanager's
        "__kwdefaults__",
        {"patience": 0.1},
    )
    with locking.lock_folder(a, exclusive=True):
        outcome = world.doctor(a)
    with locking.lock_folder(a, exclusive=False):
        second = world.doctor(a)

    assert outcome.code == 75
    assert second.code == 75
    assert str(os.getpid()) in second.err
    assert world.doctor(a).code == 0


def test_a_check_remembers_nothing(world: World) -> None:
    """Nor does it what would have to be remembered: a slice of the scrub."""
    (a,) = world.make("a")
    [looked] = world.doctor(a, "--check", "--json").value["environments"]
    assert looked["rehashed"] == 0
    assert not (a / ".mvenv/scrub").exists()

    [looked] = world.doctor(a, "--json").value["environments"]
    assert looked["rehashed"] > 0
    assert (a / ".mvenv/scrub").exists()


@pytest.mark.slow
def test_several_doctors_at_once_heal_everything_once(
    world: World, edit: Callable[..., None]
) -> None:
    environments = world.make(*(f"e{number}" for number in range(6)))
    edit(world.site(environments[0]) / "victim.py", b"mine = 1\n")
    for environment in environments:
        (world.site(environment) / "victim_more/data.bin").unlink()
        (environment / "bin/victim").unlink()
    command = [sys.executable, "-m", "mvenv", "doctor", "--fix", "--store"]
    running = [
        subprocess.Popen(
            [*command, world.mvenv.store, *turn, "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for turn in (environments, environments[::-1], environments[3:], ["--all"])
    ]
    for process in running:
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, out + err

    left = world.doctor(*environments, "--check", "--full")
    assert left.code == 0, left.out
    assert world.healthy(*environments), left.out
    kept = {path.read_bytes() for path in (world.mvenv.store / "rescued").rglob("*.py")}
    assert kept == {b"mine = 1\n"}
