"""Each injector really damages something, and only what it says."""

from __future__ import annotations

import os
import random
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mvenv.diagnose.checks import CHECKS
from mvenv.link.modes import LinkPolicy
from mvenv.selftest.catalogue import KINDS, NOT_MADE
from mvenv.selftest.judging import has_changed
from mvenv.selftest.looking import Snapshot, differences, look
from mvenv.selftest.model import Damage, Kind, Reach
from mvenv.selftest.scene import NoRoom, Scene
from mvenv.selftest.surroundings import make_interpreter


def new_scene(folder: Path, policy: LinkPolicy) -> Scene:
    real = Path(os.path.realpath(sys.executable))
    python = folder / "python" / "bin" / real.name

    def prepare(place: Path) -> None:
        if not python.exists():
            make_interpreter(place / "python", real)

    return Scene(
        folder=folder,
        policy=policy,
        random=random.Random(7),  # noqa: S311  no secrets
        environ=dict(os.environ),
        python=str(python),
        modules=2,
        prepare=prepare,
    )


def outside_of(damage: Damage, before: Snapshot, after: Snapshot) -> Iterator[str]:
    """Yield what was changed that the damage does not tell; folders apart."""
    told = [str(path) for path in (*damage.places, *damage.done, *damage.may_change)]
    for path in differences(before, after, inodes=True):
        entry = after.get(path) or before[path]
        if entry.type != stat.S_IFDIR and not any(
            path == place or path.startswith(f"{place}/") for place in told
        ):
            yield path


@pytest.mark.slow
@pytest.mark.parametrize("policy", [LinkPolicy.HARDLINK, LinkPolicy.COPY])
def test_every_kind_changes_what_it_says_and_nothing_else(
    tmp_path: Path, policy: LinkPolicy
) -> None:
    scene = new_scene(tmp_path / "scene", policy)
    scene.set_up()
    mode, wrong = scene.mode, []
    for kind in sorted(KINDS, key=lambda one: one.reach is Reach.WORLD):
        if mode not in kind.modes or (kind.needs_root and os.geteuid()):
            continue
        before = look(scene.folder)
        try:
            damage = kind.inject(scene)
        except NoRoom:
            scene.set_up()
            before = look(scene.folder)
            damage = kind.inject(scene)
        after = look(scene.folder)
        if damage.kind != kind.name:
            wrong.append(f"{kind.name}: says it is `{damage.kind}`")
        if not has_changed(damage, before, after):
            wrong.append(f"{kind.name}: nothing was changed")
        outside = [
            path
            for path in outside_of(damage, before, after)
            if not path.startswith(str(scene.outside))
        ]
        wrong += [f"{kind.name}: `{path}` was changed too" for path in outside]
        if kind.reach is Reach.WORLD:
            scene.set_up()

    assert wrong == []


def test_every_code_is_made_or_has_a_reason() -> None:
    made = {kind.code for kind in KINDS}

    assert made | NOT_MADE.keys() == {check.code for check in CHECKS}
    assert not made & NOT_MADE.keys()


def test_names_of_kinds_are_unique() -> None:
    assert len({kind.name for kind in KINDS}) == len(KINDS)


def test_a_kind_says_its_own_name(tmp_path: Path) -> None:
    scene = new_scene(tmp_path / "scene", LinkPolicy.COPY)
    scene.set_up()

    def says(kind: Kind) -> bool:
        return kind.inject(scene).kind == kind.name

    # With this seed the second would take one of two that share a path.
    assert all(says(kind) for kind in KINDS[:3])
