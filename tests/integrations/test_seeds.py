"""Which scripts seeds get, and what is not taken in or planned."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.targets import make_target
from kit.wheels import WheelMaker, sha256_of
from mvenv.env.compiled import Bytecode
from mvenv.errors import InvalidWheel, PlanConflict, SeveralErrors, SystemFault
from mvenv.integrations import seeds
from mvenv.integrations.seeds import Seed, SeedPlans, console_scripts, read_seeds
from mvenv.store.entries import WheelStore
from mvenv.store.layout import open_layout, store_key
from mvenv.store.runs import RunFolder
from mvenv.wheels.launchers import EntryPoint


def _names(*declared: str) -> list[str]:
    points = [EntryPoint(name, "module", name) for name in declared]
    return [point.name for point in console_scripts(points, (3, 12))]


@pytest.mark.parametrize(
    "declared", [["pip"], ["pip", "pip3"], ["pip3.9"], ["pip-3.9", "pip"]]
)
def test_whatever_a_wheel_declares_the_scripts_are_the_targets(
    declared: list[str],
) -> None:
    assert _names(*declared) == ["pip", "pip3", "pip-3.12", "pip3.12"]


def test_other_digits_are_a_part_of_the_name() -> None:
    assert _names("2to3", "python3-config")[::4] == ["2to3", "python3-config"]


def test_the_last_of_one_name_counts() -> None:
    (point, *_) = console_scripts(
        [EntryPoint("pip", "first", "main"), EntryPoint("pip3", "second", "main")],
        (3, 12),
    )

    assert point == EntryPoint("pip", "second", "main")


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunFolder]:
    """Begin a run in a new store."""
    with RunFolder(open_layout(tmp_path / "store")) as folder:
        yield folder


def _plans(tmp_path: Path, run: RunFolder, *these: Seed) -> SeedPlans:
    return SeedPlans(
        store=WheelStore(open_layout(tmp_path / "store")),
        run=run,
        target=make_target(),
        seeds=these,
        bytecode=Bytecode.NONE,
        python="python",
    )


def test_a_wheel_that_was_replaced_is_not_taken_in(
    make_wheel: WheelMaker, run: RunFolder, tmp_path: Path
) -> None:
    old, new = make_wheel("pip", "1.0"), make_wheel("pip", "2.0")
    seed = Seed(str(new), store_key(sha256_of(old)))

    with pytest.raises(InvalidWheel, match="replaced"):
        _plans(tmp_path, run, seed).make()

    assert not list((tmp_path / "store" / "wheels").iterdir())


def test_no_seed_takes_the_interpreters_place(
    make_wheel: WheelMaker, run: RunFolder, tmp_path: Path
) -> None:
    points = "[console_scripts]\npython3 = pip:main\n"
    wheel = make_wheel("pip", "1.0", entry_points=points)

    with pytest.raises(SeveralErrors) as caught:
        _plans(tmp_path, run, *read_seeds([str(wheel)])).make()

    assert {type(one) for one in caught.value.errors} == {PlanConflict}


def test_what_was_planned_is_recalled_once_it_is_flushed(
    make_wheel: WheelMaker,
    run: RunFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plans = _plans(tmp_path, run, *read_seeds([str(make_wheel("pip", "1.0"))]))
    assert plans.recall() is None

    def fail(_: object) -> None:
        raise SystemFault("the disk reports an error")

    with monkeypatch.context() as patch:
        patch.setattr(seeds, "flush_file_system", fail)
        with pytest.raises(SystemFault):
            plans.make()
    assert plans.recall() is None

    made = plans.make()

    recalled = plans.recall()
    assert recalled is not None
    assert (
        recalled.wheels == made.wheels or recalled.wheels[0].key == made.wheels[0].key
    )
    assert [part() for part in recalled.parts] != []
