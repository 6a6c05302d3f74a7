"""What other tools made is shared, and stays theirs to change."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from adopt.conftest import Templates
from adopt.installing import MakeEnvironment, find_uv, pip, run, site_of
from kit.commands import Runner
from kit.filesystems import MOUNTED_KINDS, Filesystems
from kit.lockfiles import PylockWriter
from kit.snapshots import tree_snapshot
from kit.wheels import WheelMaker
from mvenv.apply.donors import Donors, find_donor
from mvenv.apply.rebuild import rebuild_wheel
from mvenv.env.receipt import read_receipt
from mvenv.link.tree import TEMPORARY
from mvenv.plan.record import load_plan
from mvenv.store.durability import flush_file_system
from mvenv.store.entries import WheelStore
from mvenv.store.layout import open_layout
from mvenv.store.registry import roots
from mvenv.store.runs import RunFolder

SHARED = ("demo/__init__.py", "demo/data.bin", "plain/__init__.py")
PRIVATE = ("demo/empty.py", "demo/templates/page.html", "demo.pth")


def identity(path: Path) -> tuple[int, int]:
    seen = path.lstat()
    return (seen.st_dev, seen.st_ino)


def files_below(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield path


def contents(environment: Path) -> dict[str, bytes]:
    """Return all files that were there before mvenv came, but for bytecode."""
    return {
        str(path.relative_to(environment)): path.read_bytes()
        for path in files_below(environment)
        if ".mvenv" not in path.parts
        and path.suffix != ".pyc"
        and path.name != TEMPORARY
    }


def adopt(mvenv: Runner, *words: str | Path) -> list[dict[str, object]]:
    outcome = mvenv("adopt", *words, "--link-mode", "hardlink", "--json")
    assert outcome.code == 0, outcome.out + outcome.err
    found = outcome.value["environments"]
    assert isinstance(found, list)
    return found


def by_name(adopted: dict[str, object]) -> dict[str, dict[str, object]]:
    distributions = adopted["distributions"]
    assert isinstance(distributions, list)
    return {one["name"]: one for one in distributions}


def test_two_environments_of_pip_share_their_files(
    mvenv: Runner, pip_environment: MakeEnvironment
) -> None:
    one, other = pip_environment("one"), pip_environment("other")
    before = {folder: contents(folder) for folder in (one, other)}

    first, second = adopt(mvenv, one, other)

    assert {folder: contents(folder) for folder in (one, other)} == before
    assert (first["shared"], first["learned"]) == (2, 2)
    assert (second["shared"], second["learned"]) == (2, 0)
    for name in SHARED:
        assert identity(site_of(one) / name) == identity(site_of(other) / name)
        assert (site_of(one) / name).stat().st_mode & 0o777 == 0o444
    for name in PRIVATE:
        assert (site_of(one) / name).stat().st_nlink == 1
        assert (site_of(one) / name).stat().st_mode & 0o777 == 0o644
    assert identity(one / "bin/program") == identity(other / "bin/program")
    assert identity(one / "bin/tool") != identity(other / "bin/tool")
    assert identity(one / "etc/demo.conf") != identity(other / "etc/demo.conf")
    for folder in (one, other):
        assert run(folder / "bin/demo") == "demo\n"
        assert run(folder / "bin/tool") == "tool\n"


def test_what_is_given_back_is_what_the_disk_has_more(
    mvenv: Runner, pip_environment: MakeEnvironment
) -> None:
    one, other = pip_environment("one"), pip_environment("other")

    def used() -> int:
        """Return the bytes on the disk, of each inode once."""
        found = {
            identity(path): path.stat().st_blocks * 512
            for folder in (one, other, mvenv.store / "adopted")
            for path in files_below(folder)
            if not {".mvenv", "MANIFEST", "synced"} & set(path.parts)
        }
        return sum(found.values())

    at_first = used()
    [first] = adopt(mvenv, one)
    then = used()
    [second] = adopt(mvenv, other)

    assert first["given_back_bytes"] == 0
    assert second["stored_bytes"] == 0
    assert then - at_first == int(str(first["stored_bytes"])) - int(
        str(first["freed_bytes"])
    )
    assert second["given_back_bytes"] == then - used()
    assert then - used() > 200_000


def test_bytecode_stays_valid(mvenv: Runner, pip_environment: MakeEnvironment) -> None:
    folder = pip_environment("one")
    cached = sorted(site_of(folder).rglob("*.pyc"))
    assert cached, "pip compiles"
    code = {path: path.read_bytes()[16:] for path in cached}

    adopt(mvenv, folder)

    assert sorted(site_of(folder).rglob("*.pyc")) == cached
    stamps = {path: path.stat().st_mtime_ns for path in cached}
    run(folder / "bin/python", "-c", "import demo, demo.empty, plain")
    for path in cached:
        assert path.read_bytes()[16:] == code[path]
        assert path.stat().st_mtime_ns == stamps[path], "Python compiled it again"


def test_stale_bytecode_does_not_become_valid(
    mvenv: Runner, pip_environment: MakeEnvironment
) -> None:
    folder = pip_environment("one")
    cached = Path(
        importlib.util.cache_from_source(str(site_of(folder) / "plain/__init__.py"))
    )
    content = bytearray(cached.read_bytes())
    content[8:12] = b"\0\0\0\0"
    cached.write_bytes(content)

    adopt(mvenv, folder)

    assert not cached.exists()


def test_bytecode_with_another_name_is_not_written_to(
    mvenv: Runner, pip_environment: MakeEnvironment, tmp_path: Path
) -> None:
    folder = pip_environment("one")
    cached = next(site_of(folder).rglob("plain/__pycache__/*.pyc"))
    other = tmp_path / "backup.pyc"
    os.link(cached, other)
    before = other.read_bytes()

    adopt(mvenv, folder)

    assert other.read_bytes() == before
    assert identity(cached) != identity(other)
    stamp = cached.stat().st_mtime_ns
    run(folder / "bin/python", "-c", "import plain")
    assert cached.stat().st_mtime_ns == stamp, "Python compiled it again"


def test_the_cache_of_uv_is_not_touched(
    mvenv: Runner, uv_environment: MakeEnvironment, tmp_path: Path
) -> None:
    folder = uv_environment("one")
    cache = tmp_path / "uv-cache"
    assert (site_of(folder) / "demo/data.bin").stat().st_nlink > 1

    def seen() -> dict[str, tuple[bytes, int, int, int]]:
        return {
            str(path): (
                path.read_bytes(),
                path.stat().st_mode,
                path.stat().st_mtime_ns,
                path.stat().st_ino,
            )
            for path in files_below(cache)
        }

    before, installed = seen(), contents(folder)

    [adopted] = adopt(mvenv, folder)

    assert seen() == before
    assert contents(folder) == installed
    assert adopted["shared"] == 2
    assert adopted["given_back_bytes"] == 0, "uv's cache still has the old files"
    for name in (*SHARED, *PRIVATE):
        assert identity(site_of(folder) / name)[1] not in {
            inode for _, _, _, inode in before.values()
        }


def test_an_environment_of_uv_and_one_of_pip_share(
    mvenv: Runner, uv_environment: MakeEnvironment, pip_environment: MakeEnvironment
) -> None:
    one, other = uv_environment("one"), pip_environment("other")

    adopt(mvenv, one, other)

    for name in SHARED:
        assert identity(site_of(one) / name) == identity(site_of(other) / name)


def test_uv_goes_on_with_it(
    mvenv: Runner, uv_environment: MakeEnvironment, wheels: Path, tmp_path: Path
) -> None:
    folder = uv_environment("one")
    adopt(mvenv, folder)
    uv, cache = find_uv(), {"UV_CACHE_DIR": str(tmp_path / "uv-cache")}
    common = ("--python", folder, "--no-index", "--find-links", wheels)

    run(uv, "pip", "install", *common, "plain==3.0", **cache)
    run(uv, "pip", "install", *common, "--reinstall", "demo", **cache)
    run(uv, "pip", "check", "--python", folder, **cache)
    run(uv, "pip", "uninstall", "--python", folder, "demo", **cache)

    assert not (site_of(folder) / "demo").exists()
    assert "plain==3.0" in run(uv, "pip", "freeze", "--python", folder, **cache)
    [adopted] = adopt(mvenv, folder)
    assert list(by_name(adopted)) == ["plain"]


def test_pip_goes_on_with_it(
    mvenv: Runner, pip_environment: MakeEnvironment, wheels: Path
) -> None:
    folder, other = pip_environment("one"), pip_environment("other")
    adopt(mvenv, folder, other)
    kept = contents(other)

    pip(folder, "check")
    pip(folder, "install", "--no-index", "--find-links", wheels, "plain==3.0")
    pip(folder, "uninstall", "--yes", "demo")

    left = [path.name for path in (folder / "bin").iterdir()]
    assert not {"demo", "tool", "program"} & set(left)
    assert not (site_of(folder) / "demo").exists()
    assert contents(other) == kept
    [adopted] = adopt(mvenv, folder)
    assert [(one["name"], one["version"]) for one in by_name(adopted).values()] == [
        ("plain", "3.0")
    ]
    receipt = read_receipt(folder)
    assert receipt is not None
    assert [one.version for one in receipt.distributions] == ["3.0"]


def test_what_the_store_has_is_not_learned(
    mvenv: Runner,
    pip_environment: MakeEnvironment,
    wheels: Path,
    write_pylock: PylockWriter,
    tmp_path: Path,
) -> None:
    lock = write_pylock(*wheels.glob("demo-*"), *wheels.glob("plain-2.0-*"))
    made = tmp_path / "made"
    mvenv.create(made, lock, "--link-mode", "hardlink")
    folder = pip_environment("one")

    [adopted] = adopt(mvenv, folder)

    assert (adopted["shared"], adopted["learned"], adopted["stored_bytes"]) == (2, 0, 0)
    for name in SHARED:
        assert identity(site_of(folder) / name) == identity(site_of(made) / name)
    assert not list((mvenv.store / "adopted").iterdir())


def test_what_was_learned_serves_no_lockfile(
    mvenv: Runner,
    pip_environment: MakeEnvironment,
    wheels: Path,
    write_pylock: PylockWriter,
    tmp_path: Path,
) -> None:
    adopt(mvenv, pip_environment("one"))
    lock = write_pylock(*wheels.glob("plain-2.0-*"))
    shutil.rmtree(wheels)

    outcome = mvenv("create", tmp_path / "made", "--from", lock, "--offline")

    assert outcome.code != 0


@pytest.mark.parametrize("mine", ["mine = True\n", "x = 2\n" * 2000])
def test_an_edit_stays_and_is_told(
    mvenv: Runner, pip_environment: MakeEnvironment, mine: str
) -> None:
    """Also one of the same size."""
    folder, other = pip_environment("one"), pip_environment("other")
    edited = site_of(folder) / "plain/__init__.py"
    edited.write_text(mine)
    inode = identity(edited)
    (site_of(folder) / "demo/data.bin").unlink()

    first, second, again = adopt(mvenv, folder, other, folder)

    assert edited.read_text() == mine
    assert identity(edited) == inode
    assert (site_of(other) / "plain/__init__.py").read_text() == "x = 1\n" * 2000
    assert first["shared"] == second["shared"] == again["shared"] == 2
    site = site_of(folder).relative_to(folder)
    # When it is learned, and when the other one knows the whole of it.
    for adopted in (first, again):
        assert by_name(adopted)["plain"]["edited"] == [f"{site}/plain/__init__.py"]
        assert by_name(adopted)["demo"]["missing"] == [f"{site}/demo/data.bin"]
    assert by_name(second)["plain"]["edited"] == []
    text = mvenv("adopt", folder).out
    assert f"{site}/plain/__init__.py: edited" in text


def test_a_file_that_was_made_executable_stays_so(
    mvenv: Runner, pip_environment: MakeEnvironment
) -> None:
    folder, other = pip_environment("one"), pip_environment("other")
    adopt(mvenv, other)
    changed = site_of(folder) / "plain/__init__.py"
    changed.chmod(0o755)

    [adopted] = adopt(mvenv, folder)

    assert changed.stat().st_mode & 0o777 == 0o755
    assert by_name(adopted)["plain"]["shared"], "the rest of it is"


def test_doctor_knows_what_it_needs(
    mvenv: Runner, pip_environment: MakeEnvironment
) -> None:
    folder = pip_environment("one")

    adopt(mvenv, folder)

    layout = open_layout(mvenv.store)
    receipt = read_receipt(folder)
    assert receipt is not None
    assert receipt.lockfile is None
    assert (receipt.path, receipt.store) == (str(folder), str(mvenv.store))
    [root] = roots(layout)
    assert (root.id, root.path, root.plan) == (receipt.id, str(folder), receipt.plan)
    plan = load_plan((folder / ".mvenv/plan").read_bytes(), layout)
    assert plan is not None
    assert set(root.wheels) == {wheel.key for wheel in plan.wheels}
    known = plan.paths() | {row.path for row in receipt.generated}
    assert set(contents(folder)) <= known
    for group in (*plan.links, *plan.late_links):
        for file in group.files:
            seen = (folder / group.target / file.target).stat()
            assert seen.st_mtime_ns == file.mtime_ns
            assert seen.st_size == file.size
    for row in receipt.generated:
        seen = (folder / row.path).stat()
        assert (seen.st_mtime_ns, seen.st_size) == (row.mtime_ns, row.size)


def test_the_store_may_go_and_comes_back(
    mvenv: Runner, pip_environment: MakeEnvironment
) -> None:
    folder, other = pip_environment("one"), pip_environment("other")
    adopt(mvenv, folder, other)
    before = contents(folder)
    shutil.rmtree(mvenv.store)

    assert run(folder / "bin/demo") == "demo\n"
    assert contents(folder) == before

    layout = open_layout(mvenv.store)
    donor = find_donor(folder, layout)
    assert donor is not None
    donors = Donors((donor,))
    store = WheelStore(layout)
    with RunFolder(layout) as scratch:
        for key in sorted(donors.keys()):
            rebuilt = rebuild_wheel(key, donors, store=store, run=scratch)
            assert (rebuilt.missing, rebuilt.left_out) == ((), ())
            assert rebuilt.wheel is not None
            assert store.verify(rebuilt.wheel) == ()

    first, second = adopt(mvenv, folder, other)

    assert first["learned"] == second["learned"] == 0
    assert contents(folder) == before
    for name in SHARED:
        assert identity(site_of(folder) / name) == identity(site_of(other) / name)
        assert (site_of(folder) / name).stat().st_nlink == 3


def test_adopting_rebuilds_the_store_by_itself(
    mvenv: Runner,
    wheels: Path,
    write_pylock: PylockWriter,
    tmp_path: Path,
) -> None:
    lock = write_pylock(*wheels.glob("demo-*"), *wheels.glob("plain-2.0-*"))
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        mvenv.create(folder, lock, "--link-mode", "hardlink")
    before = contents(one)
    shutil.rmtree(mvenv.store)
    shutil.rmtree(wheels)

    first, second = adopt(mvenv, one, other)

    assert (first["learned"], second["learned"]) == (0, 0)
    assert contents(one) == before
    for name in SHARED:
        assert identity(site_of(one) / name) == identity(site_of(other) / name)
        assert (site_of(one) / name).stat().st_nlink == 3
    receipt = read_receipt(one)
    assert receipt is not None
    assert receipt.lockfile == str(lock)
    mvenv.create(tmp_path / "new", lock, "--offline")


def test_an_environment_of_ours_gets_its_sharing_back(
    mvenv: Runner,
    wheels: Path,
    write_pylock: PylockWriter,
    tmp_path: Path,
) -> None:
    lock = write_pylock(*wheels.glob("demo-*"))
    folder, other = tmp_path / "one", tmp_path / "other"
    for one in (folder, other):
        mvenv.create(one, lock, "--link-mode", "hardlink")
    detached = site_of(folder) / "demo/data.bin"
    content = detached.read_bytes()
    detached.unlink()
    detached.write_bytes(content)
    pip(folder, "install", "--no-index", "--find-links", wheels, "plain==2.0")
    old = read_receipt(folder)
    before = contents(folder)

    [adopted] = adopt(mvenv, folder)

    assert contents(folder) == before
    assert by_name(adopted)["demo"]["linked_files"] == 1
    assert by_name(adopted)["plain"]["learned"]
    assert identity(detached) == identity(site_of(other) / "demo/data.bin")
    new = read_receipt(folder)
    assert old is not None
    assert new is not None
    assert (new.id, new.lockfile, new.asked) == (old.id, old.lockfile, old.asked)
    assert [one.name for one in new.distributions] == ["demo", "plain"]
    assert len(roots(open_layout(mvenv.store))) == 2
    plan = load_plan((folder / ".mvenv/plan").read_bytes(), open_layout(mvenv.store))
    assert plan is not None
    # Its own scripts can be written again, for another place too.
    assert {script.path for script in plan.scripts} == {"bin/demo", "bin/tool"}


def test_what_was_copied_once_is_shared_from_then_on(
    mvenv: Runner, wheels: Path, write_pylock: PylockWriter, tmp_path: Path
) -> None:
    """Also what comes later: else doctor would miss the sharing of it."""
    demo, plain = [*wheels.glob("demo-*")], [*wheels.glob("plain-*")]
    folder = tmp_path / "one"
    mvenv.create(folder, write_pylock(*demo), "--link-mode", "copy")
    adopt(mvenv, folder)
    assert mvenv("edit", folder, "demo").code == 0
    assert mvenv("edit", folder, "demo", "--undo").code == 0
    assert (site_of(folder) / "demo/data.bin").stat().st_nlink > 1
    assert mvenv("doctor", "--check", folder).code == 0

    lock = write_pylock(*demo, plain[0], path=tmp_path / "pylock.more.toml")
    assert mvenv("sync", folder, "--from", lock).code == 0
    receipt = read_receipt(folder)
    assert receipt is not None
    assert receipt.link_mode == "hardlink"
    assert mvenv("doctor", "--check", folder).code == 0


def test_what_cannot_be_proven_is_left_alone(
    mvenv: Runner, pip_environment: MakeEnvironment, tmp_path: Path
) -> None:
    folder = pip_environment("one")
    project = tmp_path / "project"
    (project / "local").mkdir(parents=True)
    (project / "local/__init__.py").write_text("")
    info = site_of(folder) / "local-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: local\nVersion: 1\n")
    (info / "RECORD").write_text("local-1.0.dist-info/METADATA,,\n")
    (info / "direct_url.json").write_text(
        json.dumps({"url": project.as_uri(), "dir_info": {"editable": True}})
    )
    record = site_of(folder) / "plain-2.0.dist-info/RECORD"
    rows = [line.partition(",")[0] for line in record.read_text().splitlines()]
    record.write_text("".join(f"{row},,\n" for row in rows))
    (site_of(folder) / "demo-1.0.dist-info/RECORD").unlink()
    before = tree_snapshot(site_of(folder))

    [adopted] = adopt(mvenv, folder)

    assert {name: one["left_alone"] for name, one in by_name(adopted).items()} == {
        "demo": "it has no RECORD",
        "local": "it is editable",
        "plain": "its RECORD has no hashes",
    }
    assert tree_snapshot(site_of(folder)) == before


def test_without_hashes_the_stores_wheel_proves_it(
    mvenv: Runner,
    pip_environment: MakeEnvironment,
    wheels: Path,
    write_pylock: PylockWriter,
    tmp_path: Path,
) -> None:
    mvenv.create(tmp_path / "made", write_pylock(*wheels.glob("plain-2.0-*")))
    folder = pip_environment("one", "plain==2.0")
    record = site_of(folder) / "plain-2.0.dist-info/RECORD"
    rows = [line.partition(",")[0] for line in record.read_text().splitlines()]
    record.write_text("".join(f"{row},,\n" for row in rows))

    [adopted] = adopt(mvenv, folder)

    assert by_name(adopted)["plain"]["shared"]
    assert (site_of(folder) / "plain/__init__.py").stat().st_nlink > 1


def test_a_wheel_of_the_same_version_with_other_files_is_another(
    mvenv: Runner,
    pip_environment: MakeEnvironment,
    make_wheel: WheelMaker,
    write_pylock: PylockWriter,
    tmp_path: Path,
) -> None:
    built = make_wheel(
        "plain",
        "2.0",
        {"plain/__init__.py": "built = 'by another'\n"},
        folder=tmp_path / "others",
    )
    mvenv.create(tmp_path / "made", write_pylock(built))
    folder = pip_environment("one", "plain==2.0")

    [adopted] = adopt(mvenv, folder)

    assert by_name(adopted)["plain"]["learned"]
    assert (site_of(folder) / "plain/__init__.py").read_text() == "x = 1\n" * 2000


def test_a_dry_run_changes_nothing(
    mvenv: Runner, pip_environment: MakeEnvironment
) -> None:
    folder = pip_environment("one")
    before = tree_snapshot(folder)

    [adopted] = adopt(mvenv, folder, "--dry-run")

    assert tree_snapshot(folder) == before
    assert (adopted["shared"], adopted["learned"]) == (2, 2)
    assert not list((mvenv.store / "adopted").iterdir())
    assert roots(open_layout(mvenv.store)) == ()
    assert "would adopt" in mvenv("adopt", folder, "--dry-run").out


def test_nothing_behind_a_link_is_touched(
    mvenv: Runner, pip_environment: MakeEnvironment, tmp_path: Path
) -> None:
    folder = pip_environment("one")
    mine = tmp_path / "mine"
    shutil.move(site_of(folder) / "plain", mine)
    (site_of(folder) / "plain").symlink_to(mine)
    data = site_of(folder) / "demo/data.bin"
    shutil.move(data, tmp_path / "data.bin")
    data.symlink_to(tmp_path / "data.bin")
    before = tree_snapshot(mine)

    [adopted] = adopt(mvenv, folder)

    assert tree_snapshot(mine) == before
    assert data.is_symlink()
    assert by_name(adopted)["demo"]["shared"]


def test_paths_that_lead_outside_are_not_followed(
    mvenv: Runner, pip_environment: MakeEnvironment, tmp_path: Path
) -> None:
    folder = pip_environment("one", "plain==2.0")
    victim = tmp_path / "victim.txt"
    victim.write_text("x = 1\n" * 2000)
    inode = identity(victim)
    record = site_of(folder) / "plain-2.0.dist-info/RECORD"
    row = next(
        line for line in record.read_text().splitlines() if "plain/__init__.py" in line
    )
    hashed = row.partition(",")[2]
    with record.open("a") as stream:
        stream.write(f"../../../../victim.txt,{hashed}\n{victim},{hashed}\n")

    adopt(mvenv, folder)

    assert identity(victim) == inode


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_an_environment_of_another_user_is_refused(
    mvenv: Runner, pip_environment: MakeEnvironment
) -> None:
    folder = pip_environment("one", "plain==2.0")
    os.chown(folder, 12345, 12345)

    outcome = mvenv("adopt", folder)

    assert outcome.code == 17
    assert "belongs to another user" in outcome.err


def test_what_is_no_environment_is_refused_and_the_others_are_adopted(
    mvenv: Runner, pip_environment: MakeEnvironment, tmp_path: Path
) -> None:
    folder = pip_environment("one", "plain==2.0")
    (tmp_path / "empty").mkdir()

    outcome = mvenv("adopt", tmp_path / "empty", folder)

    assert outcome.code == 17
    assert "no environment to adopt" in outcome.err
    assert "1 distribution · 1 shared (1 learned)" in outcome.out


@pytest.mark.parametrize("kind", MOUNTED_KINDS)
def test_each_file_system_in_its_best_way(
    mvenv: Runner, templates: Templates, filesystems: Filesystems, kind: str
) -> None:
    disk = filesystems.folder(kind)
    store, one, other = disk / "store", disk / "one", disk / "other"
    for folder in (one, other):
        templates.copy(("demo", "plain==2.0"), folder)
    flush_file_system(disk)
    before = {folder: contents(folder) for folder in (one, other)}

    outcome = mvenv("adopt", one, other, "--json", store=store)

    assert outcome.code == 0, outcome.out
    first, second = outcome.value["environments"]
    assert {folder: contents(folder) for folder in (one, other)} == before
    reflinks = first["link_mode"] == "reflink"
    assert reflinks == (kind in {"xfs", "btrfs"})
    assert (first["learned"], second["learned"]) == (2, 0)
    assert first["given_back_bytes"] == 0
    assert second["given_back_bytes"] >= 200_000
    shared = site_of(other) / "demo/data.bin"
    assert shared.stat().st_mode & 0o777 == (0o644 if reflinks else 0o444)
    assert shared.stat().st_nlink == (1 if reflinks else 3)
    # Detached, with its stamp: only the file system can tell.
    copy = disk / "copy"
    copy.write_bytes(shared.read_bytes())
    shutil.copystat(shared, copy)
    flush_file_system(disk)
    copy.replace(shared)
    outcome = mvenv("adopt", other, "--json", store=store)
    [again] = outcome.value["environments"]
    assert sum(one["linked_files"] for one in again["distributions"]) == 1
    assert run(other / "bin/demo") == "demo\n"


@pytest.mark.slow
def test_poetry_goes_on_with_it(mvenv: Runner, wheels: Path, tmp_path: Path) -> None:
    poetry = shutil.which("poetry")
    if poetry is None:
        pytest.skip("there is no `poetry`")
    project = tmp_path / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text(
        "[tool.poetry]\npackage-mode = false\n"
        '[tool.poetry.dependencies]\npython = ">=3.8"\n'
        f'demo = {{path = "{wheels}/demo-1.0-py3-none-any.whl"}}\n'
        f'plain = {{path = "{wheels}/plain-2.0-py3-none-any.whl"}}\n'
    )

    def run_poetry(*words: str) -> str:
        return run(
            poetry,
            "--directory",
            project,
            *words,
            POETRY_VIRTUALENVS_IN_PROJECT="true",
            POETRY_CACHE_DIR=str(tmp_path / "poetry"),
        )

    run_poetry("install")
    folder = project / ".venv"
    installed = contents(folder)

    [adopted] = adopt(mvenv, folder)

    assert contents(folder) == installed
    assert by_name(adopted)["demo"]["shared"]
    assert "No dependencies to install" in run_poetry("install")
    assert run_poetry("run", "demo").endswith("demo\n")
    run_poetry("remove", "plain")
    assert not (site_of(folder) / "plain").exists()


@pytest.mark.slow
def test_killed_anywhere_it_works_and_the_next_run_finishes(
    mvenv: Runner, pip_environment: MakeEnvironment, tmp_path: Path
) -> None:
    """Ended without warning at one change after the other, in a process of its own."""
    script = Path(__file__).with_name("killed.py")
    folder, template = tmp_path / "case", tmp_path / "template"
    shutil.copytree(pip_environment("case"), template, symlinks=True)
    expected = contents(folder)
    ended = 0
    for count in range(1, 400, 23):
        shutil.rmtree(folder)
        shutil.copytree(template, folder, symlinks=True)
        store = tmp_path / f"store{count}"
        words = (script, count, "adopt", folder, "--store", store)
        command = [sys.executable, *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode in {0, -9}, done.stderr
        ended += done.returncode == -9
        assert contents(folder) == expected
        assert run(folder / "bin/demo") == "demo\n"
        again = mvenv("adopt", folder, "--link-mode", "hardlink", store=store)
        assert again.code == 0, again.err
        assert contents(folder) == expected
        assert (site_of(folder) / "demo/data.bin").stat().st_nlink == 2
        assert not list(folder.rglob(TEMPORARY))
        assert os.listdir(store / "tmp") == []
    assert ended > 5
