"""Faults of an environment as a whole: F27 and F30 to F36."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from mvenv.diagnose.model import HealClass
from mvenv.env.receipt import BUILDING, RECEIPT, read_receipt
from mvenv.selftest.model import Damage, Kind, Reach
from mvenv.selftest.scene import NoRoom, Scene
from mvenv.store.registry import roots

__all__ = ["WORLD_KINDS", "make_interpreter"]

_PLAIN, _FIX, _REPORT = HealClass.PLAIN, HealClass.FIX, HealClass.REPORT
_TIMEOUT = 60


def make_interpreter(folder: Path, real: Path) -> Path:
    """Return an interpreter of our own: a copy of the program over the real library.

    It can be taken away, and upgraded, as no interpreter of the user's may be.
    """
    program = folder / "bin" / real.name
    program.parent.mkdir(parents=True)
    shutil.copy2(real, program)
    (folder / "lib").symlink_to(real.parent.parent / "lib")
    return program


def _runs(environment: Path) -> str | None:
    """Return what is wrong with the environment's interpreter and its packages."""
    command = [str(environment / "bin" / "python"), "-Ic", "import alder, sys"]
    try:
        done = subprocess.run(
            [*command[:-1], f"{command[-1]}; print(sys.prefix)"],
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT,
        )
    except OSError as error:
        return f"its interpreter cannot be started: {error.strerror}"
    if done.returncode:
        return f"its interpreter fails: {done.stderr.strip()[-200:]}"
    if done.stdout.strip() != str(environment):
        return f"its interpreter is in {done.stdout.strip()}"
    return None


def _lock_changed(scene: Scene) -> Damage:
    with scene.lockfile.open("ab") as stream:
        stream.write(b"# changed since\n")
    return Damage(
        kind="lock-changed",
        codes=frozenset({"F27"}),
        places=(),
        heal=_REPORT,
        drift=True,
        done=(scene.lockfile,),
    )


def _python_link(scene: Scene) -> Damage:
    """Let a link of the bare environment lead nowhere."""
    link = scene.environment / "bin" / "python3"
    if not link.is_symlink():
        raise NoRoom
    link.unlink()
    link.symlink_to(scene.outside / "python-that-is-gone")
    return Damage(
        kind="dangling-python3",
        codes=frozenset({"F03", "F30"}),
        places=(link,),
        heal=_PLAIN,
    )


def _configuration_gone(scene: Scene) -> Damage:
    place = scene.environment / "pyvenv.cfg"
    place.unlink()
    return Damage(
        kind="missing-configuration",
        codes=frozenset({"F01", "F26", "F30"}),
        places=(place, scene.environment),
        heal=_PLAIN,
        done=(place,),
    )


def _own_interpreter(scene: Scene) -> Path:
    real = Path(scene.receipt().interpreter_seen[0])
    if not real.is_relative_to(scene.folder):
        raise NoRoom
    return real


def _interpreter_gone(scene: Scene) -> Damage:
    real = _own_interpreter(scene)
    shutil.rmtree(real.parent.parent)
    # Where no other of its version is known, it can only be reported.
    return Damage(
        kind="interpreter-gone",
        codes=frozenset({"F30"}),
        places=(scene.environment, scene.sibling),
        heal=_FIX,
        done=(real.parent.parent,),
        may_change=scene.environments,
        wrong=lambda: _runs(scene.environment),
    )


def _interpreter_upgraded(scene: Scene) -> Damage:
    real = _own_interpreter(scene)
    seen = real.stat()
    os.utime(real, ns=(seen.st_atime_ns, seen.st_mtime_ns + 10**9))
    after = real.stat().st_mtime_ns

    def wrong() -> str | None:
        receipt = read_receipt(scene.environment)
        if receipt is None or receipt.interpreter_seen[2] != after:
            return "the receipt knows the interpreter as it was"
        return _runs(scene.environment)

    return Damage(
        kind="interpreter-upgraded",
        codes=frozenset({"F31"}),
        places=(scene.environment,),
        heal=_PLAIN,
        done=(real,),
        may_change=scene.environments,
        wrong=wrong,
    )


def _moved(scene: Scene) -> Damage:
    before = scene.environment
    after = scene.folder / "other" / "moved"
    after.parent.mkdir()
    before.rename(after)
    identifier = read_receipt(after)

    def wrong() -> str | None:
        receipt = read_receipt(after)
        if receipt is None or receipt.path != str(after):
            return "the receipt names the old place"
        if identifier is None or receipt.id != identifier.id:
            return "the environment has another identifier"
        if not any(root.path == str(after) for root in roots(scene.layout)):
            return "the new place is not on record"
        if str(before) in (after / "bin" / "activate").read_text():
            return "a script names the old place"
        return _runs(after)

    return Damage(
        kind="moved",
        codes=frozenset({"F33"}),
        places=(after,),
        heal=_FIX,
        done=(before, after),
        wrong=wrong,
    )


def _copied(scene: Scene) -> Damage:
    after = scene.folder / "other" / "copy"
    after.parent.mkdir()
    shutil.copytree(scene.environment, after, symlinks=True)
    first = scene.receipt()

    def wrong() -> str | None:
        receipt, original = read_receipt(after), read_receipt(scene.environment)
        if receipt is None or original is None or receipt.id == original.id:
            return "two environments have one identifier"
        if original.id != first.id:
            return "the original has another identifier"
        known = {root.path for root in roots(scene.layout)}
        if not {str(after), str(scene.environment)} <= known:
            return "one of both is not on record"
        return None

    return Damage(
        kind="copied",
        codes=frozenset({"F34"}),
        places=(after,),
        heal=_PLAIN,
        done=(after,),
        wrong=wrong,
    )


def _deleted(scene: Scene) -> Damage:
    identifier = scene.receipt(scene.sibling).id
    shutil.rmtree(scene.sibling)

    def wrong() -> str | None:
        if not (scene.layout.envs / identifier).exists():
            return "it was taken off the record at first sight"
        return None

    return Damage(
        kind="deleted",
        codes=frozenset({"F35"}),
        places=(scene.sibling, scene.layout.envs / identifier),
        heal=_PLAIN,
        done=(scene.sibling,),
        wrong=wrong,
    )


def _half_built(scene: Scene) -> Damage:
    """Leave what a create leaves that was killed while it filled a folder in place."""
    for path in (RECEIPT, "pyvenv.cfg"):
        (scene.sibling / path).unlink()
    (scene.sibling / BUILDING).write_text("0" * 64)

    def wrong() -> str | None:
        ready = not (scene.sibling / BUILDING).exists()
        if ready and read_receipt(scene.sibling) is None:
            return "it passes for finished, without a receipt"
        return None

    return Damage(
        kind="half-built",
        codes=frozenset({"F36"}),
        places=(scene.sibling,),
        heal=_PLAIN,
        done=(scene.sibling,),
        wrong=wrong,
    )


def _left_beside(scene: Scene) -> Damage:
    place = scene.environment.parent / ".mvenv-build-00112233"
    (place / "new" / "lib").mkdir(parents=True)
    (place / "new" / "lib" / "half.py").write_text("half = 1\n")
    (place / ".lock").touch()
    return Damage(
        kind="half-built-beside",
        codes=frozenset({"F36", "F52"}),
        places=(place,),
        heal=_PLAIN,
    )


def _world(name: str, code: str, inject: Callable[[Scene], Damage]) -> Kind:
    return Kind(name=name, code=code, inject=inject, reach=Reach.WORLD)


WORLD_KINDS: tuple[Kind, ...] = (
    _world("lock-changed", "F27", _lock_changed),
    _world("dangling-python3", "F03", _python_link),
    _world("missing-configuration", "F30", _configuration_gone),
    _world("interpreter-gone", "F30", _interpreter_gone),
    _world("interpreter-upgraded", "F31", _interpreter_upgraded),
    _world("moved", "F33", _moved),
    _world("copied", "F34", _copied),
    _world("deleted", "F35", _deleted),
    _world("half-built", "F36", _half_built),
    _world("half-built-beside", "F36", _left_beside),
)
