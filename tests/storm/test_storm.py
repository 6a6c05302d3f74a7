"""The storm: every kind of fault at many places, in every link mode, found and healed.

``MVENV_FULL_FAULTS=1`` makes each kind 25 times on each file system: more than 4,000
faults.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kit.filesystems import Filesystems
from mvenv.link.modes import LinkPolicy
from mvenv.selftest import (
    Score,
    SelfTestRequest,
    new_scene,
    play_all,
    possible_kinds,
    score_of,
)
from mvenv.selftest.model import Reach

_FULL = os.environ.get("MVENV_FULL_FAULTS") == "1"
_PLACES = 25 if _FULL else 1
_SEED = int(os.environ.get("MVENV_STORM_SEED", "20"))
_DISKS = (
    ("ext4", LinkPolicy.HARDLINK),
    ("xfs", LinkPolicy.REFLINK),
    ("btrfs", LinkPolicy.REFLINK),
    ("tmpfs", LinkPolicy.COPY),
)


def storm(
    folder: Path,
    policy: LinkPolicy,
    places: int,
    reach: set[Reach],
    *,
    with_wheels: bool = True,
) -> Score:
    """Return the score of each kind at some places."""
    request = SelfTestRequest(
        folder=folder,
        rounds=places,
        seed=_SEED,
        python=None,
        environ=dict(os.environ),
        modules=5 if _FULL else 3,
    )
    scene = new_scene(folder / "scene", policy, request)
    scene.with_wheels = with_wheels
    scene.set_up()
    assert scene.mode.value == policy.value
    kinds = [
        kind
        for kind in possible_kinds(scene.mode, with_worlds=True)
        if kind.reach in reach
        for _ in range(places)
    ]
    return score_of(play_all(scene, kinds), [scene.mode], request.seed)


def check(score: Score) -> None:
    """Fail where anything was not as it must be; the figures are always told."""
    print(  # noqa: T201  the figures, with `-s`
        f"{score.injected} faults ({score.modes[0].value}): {score.detected} detected,"
        f" {score.healed} of {score.to_heal} healed, {score.lost} lost"
    )

    assert list(score.failures) == []
    assert score.detected == score.injected
    assert score.healed == score.to_heal
    assert score.lost == 0


@pytest.mark.slow
@pytest.mark.parametrize(("disk", "policy"), _DISKS)
def test_faults_of_files_are_found_and_healed(
    filesystems: Filesystems, disk: str, policy: LinkPolicy
) -> None:
    check(storm(filesystems.folder(disk), policy, _PLACES, {Reach.FILE}))


@pytest.mark.slow
@pytest.mark.parametrize(("disk", "policy"), _DISKS if _FULL else _DISKS[:1])
def test_faults_of_whole_environments_and_stores_are_found_and_healed(
    filesystems: Filesystems, disk: str, policy: LinkPolicy
) -> None:
    places = _PLACES if disk == "ext4" else min(_PLACES, 5)
    check(storm(filesystems.folder(disk), policy, places, {Reach.WORLD}))


@pytest.mark.slow
@pytest.mark.parametrize("policy", [LinkPolicy.HARDLINK, LinkPolicy.COPY])
def test_without_the_wheels_files_all_is_healed_that_is_anywhere(
    filesystems: Filesystems, policy: LinkPolicy
) -> None:
    """What a shared inode lost under all its names stays told, and as it is."""
    folder = filesystems.folder("tmpfs")

    check(storm(folder, policy, _PLACES, {Reach.FILE}, with_wheels=False))
