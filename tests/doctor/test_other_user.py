"""What an ordinary user meets: files, folders and stores that are another's.

The commands run as ``nobody``, who shares with nobody: root is stopped by nothing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from kit.lockfiles import PylockWriter
from kit.others import NOBODY, OtherUser, give
from kit.wheels import WheelMaker

_FILES: dict[str, str | bytes] = {
    "victim.py": "x = 1\n" * 100,
    "victim_b/__init__.py": "b = 1\n",
    "victim_b/data.bin": b"x" * 5000,
}


@dataclass(frozen=True, slots=True)
class World:
    """Environments of ``nobody``; ``old`` and ``new`` are locks."""

    mvenv: OtherUser
    old: Path
    new: Path

    @property
    def env(self) -> Path:
        """Return the environment that all is about."""
        return self.mvenv.home / "env"

    @property
    def site(self) -> Path:
        """Return its site-packages."""
        return next(self.env.glob("lib/python*/site-packages"))

    def codes(self, *words: str | Path) -> dict[str, str]:
        """Return what doctor finds, and what became of it."""
        value = self.mvenv("doctor", *words, "--json", "--offline").value
        return {one["code"]: one["fate"] for one in value["findings"]}


@pytest.fixture
def world(tmp_path: Path, make_wheel: WheelMaker, write_pylock: PylockWriter) -> World:
    """Return a world with one healthy environment."""
    old = make_wheel("victim", "1.0", _FILES)
    new = make_wheel("victim", "2.0", {"victim.py": "x = 2\n" * 100})
    made = World(
        OtherUser(tmp_path),
        write_pylock(old, path=tmp_path / "pylock.old.toml"),
        write_pylock(new, path=tmp_path / "pylock.new.toml"),
    )
    mode = ("--link-mode", "hardlink", "--require-link")
    said = made.mvenv("create", made.env, "--from", made.old, *mode)
    assert said.code == 0, said.err
    return made


def test_normal_life(world: World) -> None:
    """Sealed files of one's own can be linked, with ``fs.protected_hardlinks`` too."""
    assert (world.site / "victim.py").stat().st_uid == NOBODY
    (world.site / "victim.py").unlink()

    assert world.codes(world.env) == {"F01": "healed"}
    assert (world.site / "victim.py").stat().st_nlink == 2
    for words in (
        ("doctor", world.env, "--full", "--fix"),
        ("adopt", world.env),
        ("sync", world.env, "--from", world.new),
        ("rollback", world.env),
        ("edit", world.env, "victim"),
        ("edit", world.env, "--undo"),
        ("create", world.env, "--clear", "--from", world.old),
        ("list",),
        ("du",),
        ("store", "verify"),
        ("store", "prune"),
        ("store", "export", world.mvenv.home / "all.tar"),
        ("store", "clean", "--yes"),
        ("doctor", "--all"),
    ):
        said = world.mvenv(*words)
        assert said.code == 0, (words, said.out, said.err)


def test_a_file_of_another_user(world: World) -> None:
    place = world.site / "victim_b/data.bin"
    place.unlink()
    place.write_bytes(b"x" * 5000)
    place.chmod(0o600)

    said = world.mvenv("doctor", world.env, "--full", "--fix")

    assert said.code == 1
    assert f"sudo chown {NOBODY} " in said.out
    assert place.stat().st_uid == 0
    refused = world.mvenv("sync", world.env, "--from", world.new)
    assert refused.code == 18
    assert "victim_b/data.bin: permission denied" in refused.err
    give(place)
    assert world.codes(world.env) == {"F12": "healed"}


def test_a_folder_of_another_user(world: World) -> None:
    os.chown(world.site, 0, 0)
    world.site.chmod(0o700)

    said = world.mvenv("doctor", world.env)

    assert said.code == 1
    assert world.codes(world.env) == {"F13": "left"}
    assert f"sudo chown -R {NOBODY} {world.site}" in said.out
    assert world.mvenv("sync", world.env, "--from", world.new).code == 18
    for words in (("list",), ("du",), ("store", "prune"), ("store", "verify")):
        assert world.mvenv(*words).code == 0
    give(world.site)
    world.site.chmod(0o755)
    assert world.mvenv("doctor", world.env, "--full", "--all").code == 0
    assert world.mvenv("store", "verify").code == 0


def test_adopt_forgets_nothing_that_it_cannot_read(world: World) -> None:
    """Else the next prune takes the wheels of an environment that is well."""
    world.site.chmod(0)

    refused = world.mvenv("adopt", world.env)

    assert refused.code == 17
    assert "cannot be listed: permission denied" in refused.err
    assert "removed 0 wheels" in world.mvenv("store", "prune").out
    assert f"chmod u+rwx {world.site}" in world.mvenv("doctor", world.env).out
    world.site.chmod(0o755)
    assert world.codes(world.env) == {}


def test_an_environment_of_another_user(world: World) -> None:
    give(world.env, 0)
    before = world.site.joinpath("victim.py").stat()

    said = world.mvenv("doctor", world.env, "--fix")

    assert said.code == 1
    assert f"belongs to the user 0, and you are {NOBODY}" in said.out
    assert world.mvenv("adopt", world.env).code == 17
    assert world.mvenv("sync", world.env, "--from", world.new).code in {17, 18}
    clearing = world.mvenv("create", world.env, "--clear", "--from", world.old)
    assert clearing.code == 18
    assert world.site.joinpath("victim.py").stat().st_ino == before.st_ino


def test_a_store_of_another_user(world: World) -> None:
    (world.site / "victim.py").unlink()
    give(world.mvenv.store, 0)

    said = world.mvenv("doctor", world.env)

    assert said.code == 1
    assert "F51 foreign-store" in said.out
    assert f"sudo chown -R {NOBODY} {world.mvenv.store}" in said.out
    for words in (
        ("create", world.mvenv.home / "further", "--from", world.old),
        ("adopt", world.env),
        ("sync", world.env, "--from", world.new),
        ("store", "prune"),
        ("store", "clean", "--yes"),
    ):
        refused = world.mvenv(*words)
        assert refused.code == 16, (words, refused)
        assert "belongs to another user (uid 0)" in refused.err
    verdict = world.mvenv("store", "verify")
    assert verdict.code == 1
    assert "next: sudo chown" in verdict.out
    assert "heals what can be healed" not in verdict.out
    for looking in (("list",), ("du",), ("store", "list")):
        assert world.mvenv(*looking).code == 0
    everything = world.mvenv.store.rglob("*")
    assert {path.lstat().st_uid for path in everything} == {0}


def test_a_healthy_environment_of_another_users_store_works(world: World) -> None:
    """It has all of its files; what is missing comes as a copy."""
    give(world.mvenv.store, 0)
    (world.site / "victim.py").unlink()

    fates = world.codes(world.env)

    assert fates["F51"] == "left"
    assert fates["F01"] == "healed"
    assert (world.site / "victim.py").read_text() == "x = 1\n" * 100
    assert (world.site / "victim.py").stat().st_uid == NOBODY


def test_an_environment_that_is_shut(world: World) -> None:
    """It is told, and whatever else there is is looked at and healed."""
    other = world.mvenv.home / "other"
    assert world.mvenv("create", other, "--from", world.old).code == 0
    next(other.glob("lib/python*/site-packages/victim.py")).unlink()
    world.env.chmod(0)

    for words in ((world.env, other), ("--all",)):
        said = world.mvenv("doctor", *words)
        assert said.code == 4, said
        assert "not checked: " in said.out
        assert "permission denied" in said.out
    assert next(other.glob("lib/python*/site-packages/victim.py")).is_file()
    for refused in (
        world.mvenv("sync", world.env),
        world.mvenv("create", world.env, "--clear", "--from", world.old),
    ):
        assert refused.code == 18, refused
        assert "permission denied" in refused.err


def test_the_nearest_environment_is_shut(world: World) -> None:
    world.env.rename(world.mvenv.home / ".venv")
    (world.mvenv.home / ".venv").chmod(0)

    said = world.mvenv("doctor")

    assert said.code == 4, said
    assert ".venv · not checked: " in said.out


def test_a_store_that_is_shut(world: World) -> None:
    (world.mvenv.store / "wheels").chmod(0)

    for words in ((world.env,), (world.env, "--check"), ("--whole-store",)):
        said = world.mvenv("doctor", *words)
        assert said.code == 4, said
        assert "cannot be read: permission denied" in said.out


def test_a_lockfile_that_is_shut(world: World) -> None:
    world.old.chmod(0)

    refused = world.mvenv("create", world.mvenv.home / "new", "--from", world.old)

    assert refused.code == 10
    assert "permission denied" in refused.err


def test_what_a_killed_run_left_cannot_be_deleted(world: World) -> None:
    """It is not said to be removed while it is there."""
    place = world.mvenv.home / ".mvenv-build-00112233"
    (place / "shut").mkdir(parents=True)
    (place / "shut/file").touch()
    (place / ".lock").touch()
    give(place)
    (place / "shut").chmod(0o500)

    assert world.codes(world.env) == {"F36": "left"}
    assert (place / "shut/file").exists()

    (place / "shut").chmod(0o700)
    assert world.codes(world.env) == {"F36": "healed"}
    assert not place.exists()
