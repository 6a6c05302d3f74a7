"""Opening an environment: lost records, other places, unfinished runs."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path

import pytest

from diagnose.conftest import Scene
from mvenv.diagnose.model import HealClass, Level
from mvenv.diagnose.subject import open_subject
from mvenv.env.receipt import BUILDING, FOLDER, PLAN, RECEIPT
from mvenv.errors import Busy, EnvironmentFault
from mvenv.store.registry import unregister

A, B, C = HealClass.PLAIN, HealClass.FIX, HealClass.REPORT


def codes(scene: Scene, env: Path | None = None) -> list[str]:
    return [one.code for one in scene.subject(env).findings]


def damage(path: Path) -> None:
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[: len(content) // 2])


def test_a_healthy_one_is_known(scene: Scene) -> None:
    subject = scene.subject()

    assert subject.findings == ()
    assert subject.receipt == scene.receipt()
    assert subject.root is not None
    assert subject.root.id == scene.receipt().id
    assert subject.plan is not None


def test_it_is_known_by_another_name(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "name").symlink_to(scene.env)

    assert scene.look(env=tmp_path / "name").findings == ()


@pytest.mark.parametrize("name", [RECEIPT, PLAN])
@pytest.mark.parametrize("harm", [damage, Path.unlink])
def test_lost_records_are_found_elsewhere(
    any_scene: Scene, name: str, harm: object
) -> None:
    """Without one of them all files are still judged."""
    assert callable(harm)
    before = any_scene.subject().plan
    harm(any_scene.env / name)

    assert [(one.code, one.heal) for one in any_scene.subject().findings] == [
        ("F28", A)
    ]
    assert any_scene.subject().plan == before
    assert [one.code for one in any_scene.look(Level.FULL).findings] == ["F28"]
    (any_scene.site / "tools/code.py").unlink()
    assert sorted(one.code for one in any_scene.look().findings) == ["F01", "F28"]


def test_all_records_lost(any_scene: Scene) -> None:
    """The registry knows which plan it has."""
    shutil.rmtree(any_scene.env / FOLDER)
    (any_scene.site / "tools/code.py").unlink()

    found = sorted(one.code for one in any_scene.look().findings)
    assert set(found) == {"F01", "F28"}


def test_a_plan_is_taken_from_a_sibling(copied_scene: Scene) -> None:
    before = copied_scene.subject().plan
    (copied_scene.env / PLAN).unlink()
    shutil.rmtree(copied_scene.layout.plans)

    assert copied_scene.subject().plan == before


def test_a_lost_plan_is_no_empty_environment(scene: Scene) -> None:
    for place in (scene.env, scene.sibling):
        (place / PLAN).unlink()
    shutil.rmtree(scene.layout.plans)

    found = scene.look()
    assert [one.code for one in found.findings] == ["F28"]
    assert found.checked == 0


def test_another_plan_is_not_believed(scene: Scene) -> None:
    from mvenv.plan.record import seal_plan

    plan = scene.subject().plan
    assert plan is not None
    (scene.env / PLAN).unlink()
    from dataclasses import replace

    (scene.env / PLAN).write_bytes(seal_plan(replace(plan, links=plan.links[:1])))

    assert codes(scene) == ["F28"]
    assert scene.subject().plan == plan


def test_records_behind_a_link_are_not_believed(scene: Scene, tmp_path: Path) -> None:
    (scene.env / FOLDER).rename(tmp_path / "records")
    (scene.env / FOLDER).symlink_to(tmp_path / "records")

    assert codes(scene) == ["F28"]
    assert scene.subject().receipt is None


@pytest.mark.parametrize("path", ["../out.py", "/etc/passwd", "a/../../b", "a\0b"])
def test_paths_of_a_receipt_stay_inside(scene: Scene, path: str) -> None:
    """Environments come with what people clone: its checksum can be anybody's."""
    from dataclasses import replace

    from mvenv.env.receipt import Generated, write_receipt

    receipt = scene.receipt()
    row = Generated(path, "0" * 64, 3, 0o644, 5)
    write_receipt(scene.env, replace(receipt, generated=(*receipt.generated, row)))

    assert all(one.path != path for one in scene.look(Level.FULL).findings)


def test_a_moved_one(scene: Scene, tmp_path: Path) -> None:
    scene.env.rename(tmp_path / "moved")

    found = scene.only(env=tmp_path / "moved")
    assert (found.code, found.heal) == ("F33", B)
    assert str(scene.env) in found.detail


def test_one_moved_by_a_copy(scene: Scene, tmp_path: Path) -> None:
    """To another file system: the inode differs, but nobody else claims its id."""
    shutil.copytree(scene.env, tmp_path / "moved", symlinks=True)
    shutil.rmtree(scene.env)

    assert codes(scene, tmp_path / "moved") == ["F33"]


def test_a_copied_one(copied_scene: Scene, tmp_path: Path) -> None:
    shutil.copytree(copied_scene.env, tmp_path / "copy", symlinks=True)

    found = copied_scene.only(env=tmp_path / "copy")
    assert (found.code, found.heal, found.users) == ("F34", A, (copied_scene.env,))
    assert copied_scene.look().findings == ()


def test_one_that_a_copy_took_the_place_of(copied_scene: Scene, tmp_path: Path) -> None:
    """As a backup that is put back: it is where it says."""
    shutil.copytree(copied_scene.env, tmp_path / "copy", symlinks=True)
    shutil.rmtree(copied_scene.env)
    (tmp_path / "copy").rename(copied_scene.env)

    assert copied_scene.look().findings == ()


def test_one_that_is_on_no_record(scene: Scene) -> None:
    unregister(scene.layout, scene.receipt().id)

    assert (scene.only().code, scene.only().heal) == ("F48", A)


def test_one_whose_store_is_gone(scene: Scene) -> None:
    shutil.rmtree(scene.mvenv.store)

    assert codes(scene) == ["F48"]
    assert {one.code for one in scene.look(Level.FULL).findings} == {"F48"}


def test_one_of_another_store(scene: Scene, tmp_path: Path) -> None:
    from mvenv.store.layout import open_layout

    other = open_layout(tmp_path / "other-store")
    assert open_subject(scene.env, other).findings == ()


def test_what_was_never_finished(scene: Scene) -> None:
    (scene.env / RECEIPT).unlink()
    (scene.env / "pyvenv.cfg").unlink()
    (scene.env / BUILDING).write_text("0" * 64)
    (scene.site / "tools/code.py").unlink()

    found = scene.only(Level.FULL)
    assert (found.code, found.heal) == ("F36", A)


def test_what_is_being_filled_is_busy(scene: Scene) -> None:
    mark = scene.env / BUILDING
    mark.write_text("0" * 64)
    with mark.open("r+b") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        with pytest.raises(Busy):
            scene.subject()


def test_what_a_killed_create_left_beside(scene: Scene) -> None:
    place = scene.env.parent / ".mvenv-build-00112233"
    place.mkdir()
    lock = place / ".lock"
    lock.touch()
    # As between the making of a lock and its locking: nothing to be told of.
    assert scene.look().findings == ()
    (place / "new").mkdir()

    found = scene.only()
    assert (found.code, found.where, found.path) == ("F36", place.parent, place.name)
    with lock.open("rb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        assert scene.look().findings == ()


def test_an_unfinished_sync(scene: Scene) -> None:
    (scene.env / FOLDER / "syncing").write_text("journal")
    (scene.site / "tools/code.py").unlink()

    found = scene.only()
    # Doctor cannot finish it, and must not be said to.
    assert (found.code, found.heal, found.path) == ("F36", C, f"{FOLDER}/syncing")


def test_lost_settings_make_it_no_foreign_folder(scene: Scene) -> None:
    (scene.env / "pyvenv.cfg").unlink()

    found = scene.only()
    assert (found.code, found.heal, found.path) == ("F01", A, "pyvenv.cfg")


def test_what_is_no_environment_of_ours(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "pyvenv.cfg").write_text("home = /usr/bin\n")

    for name, words in (
        ("folder", "is not a virtual environment"),
        ("absent", "is not a virtual environment"),
        ("other", "was not made by mvenv"),
    ):
        with pytest.raises(EnvironmentFault, match=words):
            scene.subject(tmp_path / name)


def test_a_pipe_for_a_lock_stops_nobody(scene: Scene) -> None:
    place = scene.env.parent / ".mvenv-build-44556677"
    place.mkdir()
    os.mkfifo(place / ".lock")

    assert {one.code for one in scene.look().findings} <= {"F36"}
