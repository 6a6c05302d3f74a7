"""Packaging metadata: lost, doubled, untrue; and what the user did to it."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from pathlib import Path

import pytest

from diagnose.conftest import Scene, put
from mvenv.diagnose.model import HealClass, Level

A, B, C = HealClass.PLAIN, HealClass.FIX, HealClass.REPORT


def test_lost_metadata(any_scene: Scene) -> None:
    shutil.rmtree(any_scene.site / "tools-2.0.dist-info")

    found = any_scene.only()
    assert (found.code, found.heal, found.distribution) == ("F20", A, "tools")
    names = {one.path.rpartition("/")[2] for one in found.files}
    assert names >= {"METADATA", "RECORD", "INSTALLER"}


def second(scene: Scene, version: str, record: str) -> Path:
    info = scene.site / f"tools-{version}.dist-info"
    shutil.copytree(scene.site / "tools-2.0.dist-info", info)
    put(info / "RECORD", record.encode())
    return info


@pytest.mark.parametrize("version", ["1.0", "9.0"])
def test_two_versions_are_told_apart_by_their_files(scene: Scene, version: str) -> None:
    record = (scene.site / "tools-2.0.dist-info/RECORD").read_text()
    info = second(scene, version, record.replace("sha256=", "sha256=AAAA"))

    found = scene.only()
    assert (found.code, found.heal) == ("F21", B)
    assert found.path == str(info.relative_to(scene.env))


def test_the_old_of_two_versions_is_ours(scene: Scene) -> None:
    """An upgrade that was killed: the files are the new ones, and no damage."""
    put(scene.site / "tools/code.py", b"new = 1\n")
    digest = base64.urlsafe_b64encode(hashlib.sha256(b"new = 1\n").digest()).decode()
    record = f"tools/code.py,sha256={digest.rstrip('=')},8\n"
    second(scene, "3.0", record)

    found = scene.only()
    assert (found.code, found.heal) == ("F21", B)
    assert found.path is not None
    assert found.path.endswith("tools-2.0.dist-info")


def test_two_versions_that_both_fit_are_nobodys_to_choose(scene: Scene) -> None:
    record = (scene.site / "tools-2.0.dist-info/RECORD").read_text()
    second(scene, "1.0", record)

    assert (scene.only().code, scene.only().heal) == ("F21", C)


def test_a_record_is_gone_or_untrue(scene: Scene) -> None:
    place = scene.site / "tools-2.0.dist-info/RECORD"
    content = place.read_text()
    place.unlink()
    assert (scene.only().code, scene.only().heal) == ("F22", A)

    for other in ("\0\0,,", content.partition("\n")[2], content.replace("=", "=A")):
        place.unlink(missing_ok=True)
        place.write_text(other)
        assert (scene.only().code, scene.only().heal) == ("F22", B)


def test_rows_that_somebody_added_to_a_record_are_drift(scene: Scene) -> None:
    place = scene.site / "tools-2.0.dist-info/RECORD"
    place.write_text(place.read_text() + "mine.py,,\n")

    assert (scene.only().code, scene.only().drift) == ("F22", True)


@pytest.mark.parametrize("content", [b"\xff\xfe nothing", b"Name: other\nVersion: 1\n"])
def test_metadata_that_says_nothing(any_scene: Scene, content: bytes) -> None:
    put(any_scene.site / "tools-2.0.dist-info/METADATA", content)

    found = any_scene.only()
    assert (found.code, found.heal) == ("F23", A)


def test_an_edit_of_metadata_is_the_users(scene: Scene) -> None:
    place = scene.site / "tools-2.0.dist-info/METADATA"
    put(place, place.read_bytes() + b"\nmine\n")

    assert (scene.only().code, scene.only().drift) == ("F10", True)


def test_another_installer(scene: Scene) -> None:
    """Nothing of what somebody installed again is damage."""
    put(scene.site / "tools-2.0.dist-info/INSTALLER", b"pip\n")
    put(scene.site / "tools/code.py", b"")
    (scene.site / "tools/part1.py").unlink()

    found = scene.only(Level.FULL)
    assert (found.code, found.drift, found.distribution) == ("F24", True, "tools")


def test_a_garbled_installer_is_nobody(scene: Scene) -> None:
    put(scene.site / "tools-2.0.dist-info/INSTALLER", b"\0\0\0\0\0\0")
    (scene.site / "tools/part1.py").unlink()

    assert "F01" in {one.code for one in scene.look().findings}


def test_an_editable_project_is_gone(scene: Scene, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (scene.site / "mine.pth").write_text(f"{project}\n")
    assert scene.faults() == []

    project.rmdir()
    assert [(one.code, one.heal) for one in scene.faults()] == [("F25", C)]


def test_an_editable_project_that_only_its_url_names_is_gone(
    scene: Scene, tmp_path: Path
) -> None:
    """Import hooks name the folder in no ``.pth`` file (PEP 660)."""
    project = tmp_path / "project"
    project.mkdir()
    metadata = scene.site / "mine-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Name: mine\nVersion: 1.0\n")
    (metadata / "RECORD").write_text("")
    (metadata / "direct_url.json").write_text(
        json.dumps({"url": project.as_uri(), "dir_info": {"editable": True}})
    )
    assert scene.faults() == []

    project.rmdir()
    assert [(one.code, one.heal) for one in scene.faults()] == [("F25", C)]
