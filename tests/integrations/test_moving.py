"""Distributions are taken out as their RECORD says, and never more than that."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mvenv.integrations import moving
from mvenv.integrations.moving import move_in, remove_installed

SITE = "lib/python3.12/site-packages"


def _files(folder: Path) -> set[str]:
    return {
        str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()
    }


def _write(folder: Path, *paths: str) -> None:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(path)


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """Return one with two distributions, of one of which a RECORD says too much."""
    folder = tmp_path / "env"
    names = ["bin/tool", f"{SITE}/Some_Tool-1.0.dist-info/METADATA"]
    names += [f"{SITE}/some/__init__.py", f"{SITE}/some/below/module.py"]
    own = [f"{SITE}/some/__pycache__/__init__.cpython-312.pyc"]
    own += [f"{SITE}/some/below/__pycache__/module.cpython-312.opt-1.pyc"]
    rest = [f"{SITE}/other/__init__.py", f"{SITE}/other-1.0.dist-info/RECORD"]
    rest += [f"{SITE}/other/__pycache__/__init__.cpython-312.pyc"]
    rest += [f"{SITE}/some/kept.txt"]
    _write(folder, *names, *own, *rest)
    _write(tmp_path, "outside", "far/away")
    (folder / "link").symlink_to(tmp_path / "far")
    rows = ["Some_Tool-1.0.dist-info/RECORD"]
    rows += [os.path.relpath(name, SITE) for name in names]
    rows += ["../../../../outside", str(tmp_path / "outside"), "../../../link/away"]
    rows += ["some/__pycache__", "not/there.py", ""]
    record = folder / SITE / "Some_Tool-1.0.dist-info" / "RECORD"
    record.write_text("".join(f"{row},,\n" for row in rows))
    return folder


def test_a_distribution_goes_whole_and_nothing_else(
    environment: Path, tmp_path: Path
) -> None:
    remove_installed(str(environment), str(environment / SITE), {"some-tool"})

    assert _files(environment) == {
        f"{SITE}/other/__init__.py",
        f"{SITE}/other/__pycache__/__init__.cpython-312.pyc",
        f"{SITE}/other-1.0.dist-info/RECORD",
        f"{SITE}/some/kept.txt",
    }
    assert not (environment / SITE / "some" / "below").exists()
    assert (tmp_path / "outside").exists()
    assert (tmp_path / "far" / "away").exists()


def test_killed_it_can_be_done_again(
    environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = environment / SITE
    unlinked: list[str] = []

    def stop_at_last(path: str) -> None:
        unlinked.append(path)
        if len(unlinked) == 4:
            raise KeyboardInterrupt
        Path(path).unlink(missing_ok=True)

    with monkeypatch.context() as patch:
        patch.setattr(moving, "_unlink", stop_at_last)
        with pytest.raises(KeyboardInterrupt):
            remove_installed(str(environment), str(site), {"some-tool"})
    assert (site / "Some_Tool-1.0.dist-info" / "RECORD").exists()

    remove_installed(str(environment), str(site), {"some-tool"})

    assert not (site / "Some_Tool-1.0.dist-info").exists()
    assert not (environment / "bin" / "tool").exists()


def test_without_a_folder_nothing_is_there(tmp_path: Path) -> None:
    remove_installed(str(tmp_path), str(tmp_path / "none"), {"pip"})


def test_trees_are_moved_whole_and_files_take_the_place_of_files(
    tmp_path: Path,
) -> None:
    new, place = tmp_path / "new", tmp_path / "place"
    _write(new, "lib/a/b/one", "lib/a/two", "lib/c/three", "bin/run", "lib64/four")
    _write(new, ".mvenv/plan")
    _write(place, "lib/a/old", "bin/other")
    (place / "lib" / "a" / "two").write_text("old")
    (place / "lib" / "c").write_text("a file, where a folder is to be")
    (place / "lib64").symlink_to("lib")
    shared = tmp_path / "shared"
    os.link(place / "lib" / "a" / "two", shared)

    move_in(str(new), str(place))

    assert _files(place) == {
        *("lib/a/b/one", "lib/a/two", "lib/a/old", "lib/c/three", "lib/four"),
        *("bin/run", "bin/other"),
    }
    assert (place / "lib" / "a" / "two").read_text() == "lib/a/two"
    assert shared.read_text() == "old"


def test_metadata_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever finds half of a distribution then knows what it is, and takes it out."""
    new, place = tmp_path / "new", tmp_path / "place"
    _write(new, "site/a/one", "site/z-1.dist-info/RECORD", "site/z/two")
    _write(place, "site/old")
    renamed: list[str] = []
    rename = os.rename

    def remember(source: str, target: str) -> None:
        renamed.append(os.path.basename(target))
        rename(source, target)

    monkeypatch.setattr(os, "rename", remember)

    move_in(str(new), str(place))

    assert renamed == ["z-1.dist-info", "a", "z"]
