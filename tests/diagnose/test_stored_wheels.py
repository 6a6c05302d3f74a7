"""Faults of a store: each is found, by itself and by way of an environment's look."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from diagnose.conftest import CODE, Scene, stat_kept, write_through
from mvenv.diagnose.model import Examination, Finding, HealClass, Level
from mvenv.diagnose.store import examine_store
from mvenv.diagnose.twins import Twins
from mvenv.hashes import Digest, digest_file
from mvenv.link.tree import TEMPORARY
from mvenv.store.registry import roots

A, B, C = HealClass.PLAIN, HealClass.FIX, HealClass.REPORT
DAY = 86_400 * 10**9


def look(
    scene: Scene, level: Level = Level.QUICK, *, with_twins: bool
) -> tuple[Finding, ...]:
    """Look at the whole store; ``with_twins``: the environments were looked at."""
    known = roots(scene.layout)
    twins = None
    if with_twins:
        looks = []
        for root in known:
            subject = scene.subject(Path(root.path))
            examination: Examination = scene.look(level, Path(root.path))
            looks.append((subject, examination))
        twins = Twins(scene.layout.root, looks, whole=level is Level.FULL)
    return examine_store(scene.layout, None, level, known, twins=twins).findings


def stored(scene: Scene, name: str = "tools/code.py") -> Path:
    """Return a file in the store."""
    return next(scene.layout.root.glob(f"wheels/*/*/tree/{name}"))


def entry(scene: Scene) -> Path:
    """Return the entry that it is in."""
    return stored(scene).parent.parent.parent


def _become_folder(scene: Scene) -> None:
    place = stored(scene)
    place.unlink()
    place.mkdir()


def _edit(scene: Scene) -> None:
    write_through(stored(scene), CODE.encode() + b"# mine\n")


def _edit_record(scene: Scene) -> None:
    """Of which no environment has a link: each has its own."""
    write_through(stored(scene, "tools-2.0.dist-info/RECORD"), b"mine\n" * 999)


def _edit_at_once(scene: Scene) -> None:
    """With the right size, and a date of its own."""
    write_through(stored(scene), CODE.encode().swapcase())


def _edit_hidden(scene: Scene) -> None:
    with stat_kept(stored(scene)):
        _edit_at_once(scene)


def _leave_run(scene: Scene) -> None:
    folder = scene.layout.tmp / "boot.1.abcdef01"
    (folder / "1").mkdir(parents=True)
    (folder / ".lock").touch()


def _break_manifest(scene: Scene) -> None:
    write_through(entry(scene) / "MANIFEST", b"mvenv manifest 1 00\n")


def _leave_nameless(folder: str) -> Callable[[Scene], object]:
    def leave(scene: Scene) -> None:
        place = scene.layout.root / folder / ".0123.77.0"
        place.write_bytes(b"half")
        past = scene.layout.tmp.stat().st_mtime_ns - DAY
        os.utime(place, ns=(past, past))

    return leave


def _break_plan(scene: Scene) -> None:
    [plan] = scene.layout.plans.iterdir()
    write_through(plan, plan.read_bytes()[:-1])


def _break_record(folder: str) -> Callable[[Scene], object]:
    def damage(scene: Scene) -> None:
        record = next((scene.layout.root / folder).iterdir())
        record.write_bytes(record.read_bytes()[:-4])

    return damage


class Fault(NamedTuple):
    """What is done to a store, and what must be told."""

    code: str
    heal: HealClass
    make: Callable[[Scene], object]
    drift: bool = False
    full: bool = False
    """A quick look cannot know."""


FAULTS = {
    "pruned": Fault("F40", A, lambda scene: shutil.rmtree(entry(scene))),
    "missing": Fault("F41", A, lambda scene: stored(scene).unlink()),
    "folder missing": Fault(
        "F41", A, lambda scene: shutil.rmtree(stored(scene, "tools/deep"))
    ),
    "not linked missing": Fault(
        "F41", A, lambda scene: stored(scene, "tools-2.0.dist-info/RECORD").unlink()
    ),
    "not linked edited": Fault("F08", B, _edit_record),
    "folder": Fault("F04", B, _become_folder),
    "emptied": Fault("F05", A, lambda scene: write_through(stored(scene), b"")),
    "cut": Fault("F06", B, lambda scene: write_through(stored(scene), b"value_0")),
    "zeroed": Fault("F07", A, lambda scene: write_through(stored(scene), bytes(999))),
    "edited": Fault("F08", B, _edit),
    "edited, same size": Fault("F08", B, _edit_at_once),
    "edited, hidden": Fault("F09", B, _edit_hidden, full=True),
    "killed run": Fault("F42", A, _leave_run),
    "mode": Fault("F44", A, lambda scene: stored(scene).chmod(0o666)),
    "date": Fault("F44", A, lambda scene: os.utime(stored(scene)), drift=True),
    "manifest damaged": Fault("F45", A, _break_manifest),
    "manifest gone": Fault(
        "F45", A, lambda scene: (entry(scene) / "MANIFEST").unlink()
    ),
    "alien in a tree": Fault(
        "F46", B, lambda scene: stored(scene).with_name("mine.py").touch()
    ),
    "alien folder": Fault(
        "F46", B, lambda scene: stored(scene).with_name("mine").mkdir()
    ),
    "alien in an entry": Fault("F46", B, lambda scene: (entry(scene) / "x").touch()),
    "alien beside": Fault(
        "F46", B, lambda scene: (scene.layout.root / "wheels/mine").touch()
    ),
    "alien at the top": Fault(
        "F46", B, lambda scene: (scene.layout.root / "mine").touch()
    ),
    "registry": Fault("F47", A, _break_record("envs")),
    "interpreter": Fault("F47", A, _break_record("interpreters")),
    "plan": Fault("F47", A, _break_plan),
    "answer": Fault("F47", A, _break_record("ready")),
    "format": Fault("F47", A, lambda scene: (scene.layout.root / "FORMAT").unlink()),
    "newer": Fault(
        "F47",
        C,
        lambda scene: (scene.layout.root / "FORMAT").write_text("mvenv store 9\n"),
    ),
    "writable": Fault("F51", C, lambda scene: scene.layout.root.chmod(0o777)),
    "temporary": Fault("F52", A, lambda scene: (entry(scene) / TEMPORARY).touch()),
    "temporary in a tree": Fault(
        "F52", A, lambda scene: stored(scene).with_name(TEMPORARY).touch()
    ),
    "trash": Fault("F52", A, lambda scene: (scene.layout.trash / "old").mkdir()),
    "nameless": Fault("F52", A, _leave_nameless("plans")),
    "nameless answer": Fault("F52", A, _leave_nameless("ready")),
}


WAYS = [(level, with_twins) for level in Level for with_twins in (False, True)]


def test_a_sound_store_has_no_findings(any_scene: Scene) -> None:
    for level, with_twins in WAYS:
        assert look(any_scene, level, with_twins=with_twins) == ()


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_the_store(scene: Scene, name: str) -> None:
    fault = FAULTS[name]
    fault.make(scene)

    for level, with_twins in WAYS:
        told = look(scene, level, with_twins=with_twins)
        unseen = fault.full and level is Level.QUICK
        assert [(one.code, one.heal, one.drift) for one in told] == (
            [] if unseen else [(fault.code, fault.heal, fault.drift)]
        ), (level, with_twins)


def test_what_is_wrong_once_is_read_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory and cables turn bits too, and what is on the disk is right."""
    calls = itertools.count()

    def digest(name: str, *, dir_fd: int | None = None) -> Digest:
        right = digest_file(name, dir_fd=dir_fd)
        return right if next(calls) else replace(right, sha256="0" * 64)

    monkeypatch.setattr("mvenv.diagnose.entries.digest_file", digest)

    assert look(scene, Level.FULL, with_twins=False) == ()
    assert next(calls) > 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_store_of_somebody_else(scene: Scene) -> None:
    os.chown(scene.layout.root, 65534, 65534)

    [found] = look(scene, with_twins=False)
    assert (found.code, found.heal) == ("F51", C)


def test_what_a_power_cut_may_have_taken_is_hashed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    (entry(scene) / "synced").unlink()
    for module in ("entries", "twins"):
        monkeypatch.setattr(f"mvenv.diagnose.{module}.boot_id", lambda: "another")
    for with_twins in (False, True):
        [found] = look(scene, with_twins=with_twins)
        assert (found.code, found.drift) == ("F43", True)

    _edit_hidden(scene)
    for with_twins in (False, True):
        [found] = look(scene, with_twins=with_twins)
        assert (found.code, found.drift) == ("F43", False)
