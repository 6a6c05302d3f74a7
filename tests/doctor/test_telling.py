"""What doctor says of very much, and of what is no damage."""

from __future__ import annotations

import shutil
from pathlib import Path

from doctor.conftest import World
from kit.commands import Runner
from kit.lockfiles import PylockWriter
from kit.wheels import WheelMaker


def test_one_trouble_of_many_distributions_is_told_in_a_few_lines(
    tmp_path: Path, mvenv: Runner, make_wheel: WheelMaker, write_pylock: PylockWriter
) -> None:
    names = [f"dist-{number}" for number in range(9)]
    mvenv.create(tmp_path / "env", write_pylock(*map(make_wheel, names)))
    for wheel in (mvenv.store / "wheels").iterdir():
        shutil.rmtree(wheel)
    outcome = mvenv("doctor", tmp_path / "env", "--check", "--offline")
    whole = mvenv("doctor", tmp_path / "env", "--check", "--offline", "-v")

    assert outcome.code == 1
    assert "F40 pruned · 9 distributions" in outcome.out
    assert "and 6 more (-v)" in outcome.out
    assert len(outcome.out.splitlines()) < 14
    assert all(name in whole.out for name in names)


def test_what_cannot_be_shared_again_is_no_damage(world: World) -> None:
    (a,) = world.make("a", mode="hardlink")
    # Taken in anew for another environment: the same bytes with another date.
    for folder in ("wheels", "envs", "plans"):
        shutil.rmtree(world.mvenv.store / folder)
    world.make("b")
    outcome = world.doctor(a)

    assert outcome.code == 0
    assert "F11 unshared" in outcome.out
    assert world.mvenv("adopt", a).code == 0
    assert world.site(a).joinpath("victim.py").samefile(world.stored())
    assert world.healthy(a)


def test_what_lies_beside_two_environments_is_told_once(world: World) -> None:
    a, b = world.make("a", "b")
    place = world.folder / ".mvenv-build-00112233"
    (place / "new").mkdir(parents=True)
    (place / ".lock").touch()

    value = world.doctor(a, b, "--check", "--json").value

    assert [one["code"] for one in value["findings"]] == ["F36"]
