"""`mvenv edit`: private files, on record; back again with the edits rescued."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from kit.commands import Runner
from kit.lockfiles import PylockWriter
from kit.snapshots import tree_snapshot
from kit.wheels import WheelMaker
from mvenv.env.receipt import FOLDER, read_receipt


def site(environment: Path) -> Path:
    """Return the environment's site-packages."""
    return next(environment.glob("lib/python3*/site-packages"))


def edits(environment: Path) -> tuple[str, ...]:
    """Return what is on record as edited."""
    receipt = read_receipt(environment)
    assert receipt is not None
    return receipt.edits


@pytest.fixture
def lock(make_wheel: WheelMaker, write_pylock: PylockWriter) -> Path:
    """Return a lock of two wheels, one with an executable."""
    alpha = make_wheel(
        "my-alpha",
        "1.0",
        {"alpha/__init__.py": "value = 1\n", "alpha/run.sh": "#!/bin/sh\n"},
        executables=["alpha/run.sh"],
    )
    return write_pylock(alpha, make_wheel("other", "1.0"))


@pytest.fixture
def env(mvenv: Runner, lock: Path, tmp_path: Path) -> Path:
    """Return an environment of hard links."""
    mvenv.create(tmp_path / "env", lock, "--link-mode", "hardlink")
    return tmp_path / "env"


def test_an_edit_reaches_nobody_else(
    mvenv: Runner, env: Path, lock: Path, tmp_path: Path
) -> None:
    mvenv.create(tmp_path / "twin", lock, "--link-mode", "hardlink")
    other = (site(env) / "other" / "__init__.py").stat()
    outcome = mvenv("edit", env, "My_Alpha", "--json")

    assert outcome.code == 0, outcome.err
    assert outcome.value["files"] == 4
    assert outcome.value["bytes"] == sum(
        path.stat().st_size
        for folder in ("alpha", "my_alpha-1.0.dist-info")
        for path in (site(env) / folder).iterdir()
        if path.name not in {"RECORD", "INSTALLER", "REQUESTED", "__pycache__"}
    )
    assert edits(env) == ("my-alpha",)
    module = site(env) / "alpha" / "__init__.py"
    assert (module.stat().st_nlink, module.stat().st_mode & 0o7777) == (1, 0o644)
    assert (site(env) / "alpha" / "run.sh").stat().st_mode & 0o7777 == 0o755
    assert (site(env) / "other" / "__init__.py").stat() == other

    module.write_text("value = 2\n")
    said = "import alpha; print(alpha.value)"
    for folder, value in ((env, "2"), (tmp_path / "twin", "1")):
        python = folder / "bin" / "python"
        done = subprocess.run(
            [python, "-c", said], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == value
    again = mvenv("edit", env, "my-alpha", "--json")
    assert (again.code, again.value["files"]) == (0, 0)
    assert module.read_text() == "value = 2\n"


def test_undo_rescues_and_shares_again(mvenv: Runner, env: Path) -> None:
    before = {
        path: entry
        for path, entry in tree_snapshot(env).items()
        if not path.startswith(FOLDER) and not path.endswith(".pyc")
    }
    assert mvenv("edit", env, "my-alpha").code == 0
    module = site(env) / "alpha" / "__init__.py"
    module.write_text("value = 2\n")
    (site(env) / "alpha" / "run.sh").unlink()
    outcome = mvenv("edit", env, "--undo")

    assert outcome.code == 0, outcome.err
    assert "your lib/" in outcome.out
    assert edits(env) == ()
    (kept,) = (env / FOLDER / "rescued").rglob("__init__.py")
    assert kept.read_text() == "value = 2\n"
    after = {
        path: entry
        for path, entry in tree_snapshot(env).items()
        if not path.startswith(FOLDER) and not path.endswith(".pyc")
    }
    assert after == before
    assert module.stat().st_nlink > 1


def test_undo_without_the_store_changes_nothing(mvenv: Runner, env: Path) -> None:
    assert mvenv("edit", env, "my-alpha").code == 0
    module = site(env) / "alpha" / "__init__.py"
    module.write_text("value = 2\n")
    for path in mvenv.store.glob("wheels/*/*/tree/alpha/__init__.py"):
        path.unlink()
    outcome = mvenv("edit", env, "my-alpha", "--undo")

    assert outcome.code == 17
    assert "mvenv doctor" in outcome.err
    assert module.read_text() == "value = 2\n"
    assert edits(env) == ("my-alpha",)


def test_unknown_names_are_told_with_near_ones(mvenv: Runner, env: Path) -> None:
    before = tree_snapshot(env)
    outcome = mvenv("edit", env, "alpha", "othr", "my-alpha")

    assert outcome.code == 2
    assert "`my-alpha`" in outcome.err
    assert "`other`" in outcome.err
    assert tree_snapshot(env) == before


def test_what_was_changed_through_the_link_is_told(mvenv: Runner, env: Path) -> None:
    module = site(env) / "alpha" / "__init__.py"
    module.chmod(0o644)
    module.write_text("value = 3\n")
    outcome = mvenv("edit", env, "my-alpha")

    assert outcome.code == 0
    assert "had been changed through the link" in outcome.err
    assert module.read_text() == "value = 3\n"
    assert module.stat().st_nlink == 1


def test_names_alone_are_listed(mvenv: Runner, env: Path) -> None:
    assert "nothing" in mvenv("edit", env).out
    mvenv("edit", env, "other")
    assert "under edit" in (said := mvenv("edit", env).out)
    assert "other" in said


def test_sync_leaves_edits_until_the_version_changes(
    mvenv: Runner,
    env: Path,
    make_wheel: WheelMaker,
    write_pylock: PylockWriter,
    tmp_path: Path,
) -> None:
    assert mvenv("edit", env, "my-alpha").code == 0
    module = site(env) / "alpha" / "__init__.py"
    module.write_text("value = 2\n")
    same = mvenv("sync", env)
    assert same.code == 0
    assert "nothing to do" in same.out
    assert "edited under `mvenv edit`: left" in same.out
    assert module.read_text() == "value = 2\n"

    newer = make_wheel("my-alpha", "1.1", {"alpha/__init__.py": "value = 9\n"})
    further = write_pylock(newer, path=tmp_path / "pylock.next.toml")
    outcome = mvenv("sync", env, "--from", further)
    assert outcome.code == 0, outcome.err
    assert module.read_text() == "value = 9\n"
    assert edits(env) == ()
    (kept,) = (env / FOLDER / "rescued").rglob("__init__.py")
    assert kept.read_text() == "value = 2\n"

    assert mvenv("rollback", env).code == 0
    assert module.read_text() == "value = 2\n"
    assert edits(env) == ("my-alpha",)


def test_sync_brings_back_what_was_uninstalled_under_edit(
    mvenv: Runner, env: Path
) -> None:
    assert mvenv("edit", env, "my-alpha").code == 0
    for path in site(env).glob("*alpha*/*"):
        if path.is_file():
            path.unlink()
    outcome = mvenv("sync", env)

    assert outcome.code == 0, outcome.err
    assert (site(env) / "alpha" / "__init__.py").read_text() == "value = 1\n"
    assert edits(env) == ("my-alpha",)
