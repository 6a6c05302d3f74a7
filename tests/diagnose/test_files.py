"""Faults of files: each is found, called by its name, and judged by its bytes."""

from __future__ import annotations

import base64
import hashlib
import itertools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from diagnose.conftest import CODE, Scene, put, stat_kept, write_through
from mvenv.diagnose.expected import expected_files
from mvenv.diagnose.model import HealClass, Kind, Level
from mvenv.diagnose.reading import sha256_at
from mvenv.link.tree import TEMPORARY

A, B, C = HealClass.PLAIN, HealClass.FIX, HealClass.REPORT


def test_a_healthy_environment_has_no_findings(any_scene: Scene) -> None:
    quick, full = any_scene.look(), any_scene.look(Level.FULL)

    assert quick.findings == full.findings == ()
    assert quick.rehashed == 0
    assert full.checked == full.rehashed == quick.checked > 30
    assert full.bytes_hashed > 20_000
    assert not quick.touched
    assert not full.touched


def test_what_is_expected_is_there(any_scene: Scene) -> None:
    files = {one.path: one for one in expected_files(any_scene.subject())}

    for path, one in files.items():
        seen = (any_scene.env / path).stat()
        assert (seen.st_size, seen.st_mtime_ns) == (one.size, one.mtime_ns), path
        assert seen.st_mode & 0o7777 == one.mode, path
        if one.wheel is not None:
            tree = any_scene.layout.entry(one.wheel) / "tree"
            assert (tree / one.member).stat().st_mode & 0o7777 == one.sealed_mode
    code = next(one for path, one in files.items() if path.endswith("tools/code.py"))
    assert (code.kind, code.distribution) == (Kind.LINKED, "tools")
    script = files["bin/run-tools"]
    assert (script.kind, script.distribution) == (Kind.GENERATED, "tools")
    assert files["pyvenv.cfg"].distribution is None


def test_a_missing_file(any_scene: Scene) -> None:
    (any_scene.site / "tools/code.py").unlink()

    found = any_scene.only()
    assert (found.code, found.heal, found.distribution) == ("F01", A, "tools")
    assert found.path is not None
    assert found.path.endswith("site-packages/tools/code.py")
    assert found.expected is not None
    assert found.expected.member == "tools/code.py"


def test_a_missing_folder_is_its_files(scene: Scene) -> None:
    shutil.rmtree(scene.site / "tools/deep")

    assert scene.only().code == "F01"


def test_a_missing_package_is_one_finding(any_scene: Scene) -> None:
    shutil.rmtree(any_scene.site / "tools")
    shutil.rmtree(any_scene.site / "both")
    (any_scene.site / "tools_paths.pth").unlink()

    found = any_scene.only()
    assert (found.code, found.heal, found.distribution) == ("F02", A, "tools")
    assert found.path is not None
    assert found.path.endswith("/tools")
    assert {one.path.rpartition("/")[2] for one in found.files} >= {
        "code.py",
        "more.py",
    }


def test_everything_gone_with_its_metadata_was_uninstalled(any_scene: Scene) -> None:
    (any_scene.site / "single.py").unlink()
    shutil.rmtree(any_scene.site / "single-3.1.dist-info")

    found = any_scene.only()
    assert (found.code, found.drift, found.heal) == ("F02u", True, C)


def test_a_link_in_place_of_a_file(any_scene: Scene, tmp_path: Path) -> None:
    place = any_scene.site / "tools/code.py"
    mine = tmp_path / "mine.py"
    mine.write_text("mine\n")
    place.unlink()
    place.symlink_to(mine)
    assert (any_scene.only().code, any_scene.only().heal) == ("F04", B)

    mine.unlink()
    assert any_scene.only().code == "F03"


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_something_else_in_place_of_a_file(scene: Scene, kind: str) -> None:
    """Also a pipe, which would stop whoever opens it without care."""
    place = scene.site / "tools/code.py"
    place.unlink()
    if kind == "folder":
        place.mkdir()
    else:
        os.mkfifo(place)

    assert (scene.only(Level.FULL).code, scene.only().heal) == ("F04", B)


@pytest.mark.parametrize("kind", ["file", "link"])
def test_something_else_in_place_of_a_folder(
    scene: Scene, kind: str, tmp_path: Path
) -> None:
    """What a link leads to is not looked at: it is not the environment's."""
    place = scene.site / "tools/deep"
    place.rename(tmp_path / "deep")
    if kind == "file":
        place.write_text("mine\n")
    else:
        place.symlink_to(tmp_path / "deep")
        (tmp_path / "deep/er/more.py").unlink()

    found = scene.only()
    assert (found.code, found.heal) == ("F04", B)
    assert [one.path.rpartition("/")[2] for one in found.files] == ["more.py"]


def test_an_emptied_file(any_scene: Scene) -> None:
    put(any_scene.site / "tools/code.py", b"")

    assert (any_scene.only().code, any_scene.only().heal) == ("F05", A)


def test_a_lost_end_is_proven_by_the_store(any_scene: Scene) -> None:
    put(any_scene.site / "tools/code.py", CODE.encode()[:1000])

    assert (any_scene.only().code, any_scene.only().heal) == ("F06", A)


def test_a_lost_end_that_is_shared_cannot_be_proven_here(scene: Scene) -> None:
    write_through(scene.site / "tools/code.py", CODE.encode()[:1000])

    found = scene.only()
    assert (found.code, found.heal) == ("F06", B)
    assert found.users == (scene.sibling,)


def test_a_shorter_edit_is_no_lost_end(any_scene: Scene) -> None:
    put(any_scene.site / "tools/code.py", b"# mine\n")

    found = any_scene.only()
    assert (found.code, found.drift) == ("F10", True)


@pytest.mark.parametrize("hidden", [False, True])
def test_null_bytes(any_scene: Scene, hidden: bool) -> None:
    place = any_scene.site / "tools/code.py"
    with stat_kept(place):
        write_through(place, bytes(len(CODE)))
    if not hidden:
        os.utime(place)

    assert any_scene.only(Level.FULL).code == "F07"
    quick = [one.code for one in any_scene.look().findings]
    assert quick == ([] if hidden else ["F07"])


def test_an_edit_through_a_link_tells_all_who_are_hit(scene: Scene) -> None:
    write_through(scene.site / "tools/code.py", CODE.encode() + b"# mine\n")

    for env, other in ((scene.env, scene.sibling), (scene.sibling, scene.env)):
        found = scene.only(env=env)
        assert (found.code, found.heal, found.users) == ("F08", B, (other,))


def test_an_edit_through_a_link_without_its_store(scene: Scene) -> None:
    """Two environments share an inode that the store has no more."""
    place = scene.site / "tools/code.py"
    put(scene.stored(place), CODE.encode(), 0o444)
    write_through(place, CODE.encode() + b"# mine\n")

    assert (scene.only().code, scene.only().users) == ("F08", (scene.sibling,))


def test_an_edit_of_an_own_copy_is_the_users(copied_scene: Scene) -> None:
    write_through(copied_scene.site / "tools/code.py", CODE.encode() + b"# mine\n")

    found = copied_scene.only()
    assert (found.code, found.heal, found.drift) == ("F10", C, True)


def test_an_edit_that_broke_the_link_is_the_users(scene: Scene) -> None:
    put(scene.site / "tools/code.py", CODE.encode() + b"# mine\n")

    assert (scene.only().code, scene.only().drift) == ("F10", True)


def test_an_edit_of_a_private_file_is_the_users(any_scene: Scene) -> None:
    place = any_scene.site / "tools/templates/page.html"
    place.write_text(place.read_text() + "<p>mine</p>\n")

    assert any_scene.only().code == "F10"


def test_a_hidden_edit_is_found_by_hashing(any_scene: Scene) -> None:
    place = any_scene.site / "tools/code.py"
    with stat_kept(place):
        write_through(place, CODE.encode().replace(b"7", b"8"))

    assert any_scene.look().findings == ()
    found = any_scene.only(Level.FULL)
    assert (found.code, found.heal) == ("F09", B)
    assert found.users == ((any_scene.sibling,) if any_scene.mode != "copy" else ())


def test_what_is_wrong_once_is_read_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory and cables turn bits too, and what is on the disk is right."""
    calls = itertools.count()

    def sha256(name: str | Path, folder: int | None = None) -> str:
        return sha256_at(name, folder) if next(calls) else "0" * 64

    monkeypatch.setattr("mvenv.diagnose.judging.sha256_at", sha256)
    monkeypatch.setattr("mvenv.diagnose.scanning.has_content", lambda *_: False)

    assert scene.look(Level.FULL).findings == ()
    assert next(calls) > 1


@pytest.mark.parametrize("path", ["pyvenv.cfg", "bin/activate"])
def test_hidden_rot_of_what_was_written_here(scene: Scene, path: str) -> None:
    place = scene.env / path
    content = place.read_bytes()
    with stat_kept(place):
        write_through(place, content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])

    assert scene.only(Level.FULL).code == "F09"


@pytest.mark.parametrize("mode", [0o444, 0o644])
def test_equal_bytes_of_its_own_are_unshared(scene: Scene, mode: int) -> None:
    """Whether they are sealed, or as a copy is that was never a link."""
    place = scene.site / "tools/code.py"
    with stat_kept(place):
        put(place, place.read_bytes())
    place.chmod(mode)

    found = scene.only()
    assert (found.code, found.heal) == ("F11", A)


def test_an_equal_file_of_the_same_stamp_is_unshared(scene: Scene) -> None:
    """Only the number of its links tells."""
    place = scene.site / "tools/code.py"
    seen = place.stat()
    put(place, place.read_bytes())
    os.utime(place, ns=(seen.st_mtime_ns, seen.st_mtime_ns))

    assert (scene.only().code, scene.only().heal) == ("F11", A)


def test_another_size_behind_the_same_date_is_seen(any_scene: Scene) -> None:
    place = any_scene.site / "tools/templates/page.html"
    seen = place.stat()
    place.write_bytes(b"<p>longer</p>\n" * 20)
    os.utime(place, ns=(seen.st_mtime_ns, seen.st_mtime_ns))

    [found] = any_scene.drifts()
    assert found.code == "F10"


def test_nothing_is_unshared_where_the_store_has_it_not(scene: Scene) -> None:
    """Pruned: the environment lives on, and that is another finding."""
    shutil.rmtree(scene.layout.root / "wheels")
    shutil.rmtree(scene.sibling)

    assert scene.look().findings == ()


def test_a_distribution_that_shares_nothing_is_one_finding(
    scene: Scene, tmp_path: Path
) -> None:
    shutil.copytree(scene.env, tmp_path / "copy", symlinks=True)
    shutil.rmtree(scene.env)
    (tmp_path / "copy").rename(scene.env)

    found = scene.look().findings
    assert {one.code for one in found} == {"F11"}
    many = next(one for one in found if one.distribution == "tools")
    assert len(many.files) > 10
    assert many.path is not None
    assert many.path.endswith("site-packages")


@pytest.mark.parametrize("mode", [0o644, 0o755, 0o4555, 0o000, 0o400])
def test_a_wrong_mode(any_scene: Scene, mode: int) -> None:
    place = any_scene.site / "tools/code.py"
    right = place.stat().st_mode & 0o7777
    place.chmod(mode)
    found = any_scene.look().findings
    if mode == right:
        assert found == ()
    else:
        assert [(one.code, one.heal) for one in found] == [("F12", A)]


def test_a_script_that_cannot_be_run(scene: Scene) -> None:
    (scene.env / "bin/run-tools").chmod(0o644)

    assert scene.only().code == "F12"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_of_another_user(any_scene: Scene) -> None:
    os.chown(any_scene.site / "tools/code.py", 65534, 65534)

    found = any_scene.only()
    assert (found.code, found.heal) == ("F13", C)
    assert found.remedy is not None
    assert found.remedy.startswith("sudo chown 0 ")


def test_what_nobody_lists_is_only_told(scene: Scene) -> None:
    (scene.site / "mine.py").write_text("mine = 1\n")
    (scene.site / "tools/mine").mkdir()
    (scene.env / "notes.txt").write_text("mine\n")

    found = scene.look().findings
    assert {(one.code, one.drift) for one in found} == {("F14", True)}
    assert sorted((one.path or "").rpartition("/")[2] for one in found) == [
        "mine",
        "mine.py",
        "notes.txt",
    ]


def test_our_own_leftovers_are_told_apart(scene: Scene) -> None:
    (scene.site / "tools" / TEMPORARY).write_text("")

    assert (scene.only().code, scene.only().heal) == ("F52", A)


def test_a_file_of_another_distribution_in_its_place(scene: Scene) -> None:
    """As pip leaves it when two ship one path; the order of the lock decides."""
    place = scene.site / "both/__init__.py"
    winner, loser = (
        ("plain", "tools")
        if "plain" in place.read_text()
        else (
            "tools",
            "plain",
        )
    )
    put(place, f"owner = {loser!r}\n".encode())

    found = scene.only()
    assert (found.code, found.heal, found.distribution) == ("F15", C, winner)
    assert loser in found.detail


def test_a_file_that_another_installer_put_there(scene: Scene) -> None:
    content = b"owner = 'guest'\n"
    put(scene.site / "plain/a.py", content)
    info = scene.site / "guest-1.0.dist-info"
    info.mkdir()
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode()
    (info / "RECORD").write_text(f"plain/a.py,sha256={digest.rstrip('=')},16\n")

    found = {one.code: one for one in scene.look().findings}
    assert found.keys() == {"F15", "F24"}
    assert found["F15"].drift
    assert scene.faults() == []


def test_a_touched_file_is_hashed_once(any_scene: Scene) -> None:
    from mvenv.diagnose.stamps import save_stamps

    place = any_scene.site / "tools/templates/page.html"
    os.utime(place)

    looked = any_scene.look()
    assert looked.findings == ()
    assert looked.rehashed == 1
    assert [one.shared for one in looked.touched] == [False]
    save_stamps(any_scene.env, {}, looked.touched)
    again = any_scene.look()
    assert (again.rehashed, again.findings, again.touched) == (0, (), ())
    place.write_text(place.read_text() + "mine\n")
    assert any_scene.only().code == "F10"


def test_a_touched_shared_file_is_told_as_such(scene: Scene) -> None:
    os.utime(scene.site / "tools/code.py")

    looked = scene.look()
    assert [one.shared for one in looked.touched] == [True]
    assert looked.findings == ()


def test_files_that_were_made_private_on_purpose_are_left_alone(scene: Scene) -> None:
    from dataclasses import replace

    from mvenv.env.receipt import write_receipt

    write_receipt(scene.env, replace(scene.receipt(), edits=("tools",)))
    put(scene.site / "tools/code.py", b"mine = 1\n")
    put(scene.site / "tools/data.bin", (scene.site / "tools/data.bin").read_bytes())
    (scene.site / "tools/empty.py").unlink()

    assert scene.look(Level.FULL).findings == ()


_LOOK = """
import sys
from pathlib import Path
from mvenv.diagnose.examination import examine
from mvenv.diagnose.model import Level
from mvenv.diagnose.subject import open_subject
from mvenv.store.layout import StoreLayout
subject = open_subject(Path(sys.argv[1]), StoreLayout(Path(sys.argv[2])))
for one in examine(subject, Level.FULL).findings:
    print(one.code, one.path)
"""


def test_a_disk_that_cannot_read_stops_nothing(scene: Scene, tmp_path: Path) -> None:
    """The scan goes on behind the file: the second fault is found too."""
    if shutil.which("strace") is None:
        pytest.skip("strace makes reads fail")
    bad = scene.site / "tools/data.bin"
    put(scene.site / "plain/a.py", b"")
    command = ["strace", "-f", "-qq", "-o", str(tmp_path / "log"), "-P", str(bad)]
    command += ["-e", "trace=read", "-e", "inject=read:error=EIO"]
    command += [sys.executable, "-c", _LOOK, str(scene.env), str(scene.mvenv.store)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )

    assert done.returncode == 0, done.stderr
    codes = sorted(line.split()[0] for line in done.stdout.splitlines())
    assert codes == ["F05", "F17"]
