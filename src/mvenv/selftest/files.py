"""Faults of files in an environment: F01 to F18."""

from __future__ import annotations

import importlib.util
import marshal
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from mvenv.diagnose.model import HealClass
from mvenv.link.modes import LinkMode
from mvenv.selftest.blows import (
    edited,
    put_in_place_of,
    write_through,
)
from mvenv.selftest.model import Damage, Kind, damaged, digest_of
from mvenv.selftest.samples import CONTESTANTS, CONTESTED
from mvenv.selftest.scene import NoRoom, Scene, SceneFile

__all__ = ["FILE_KINDS"]

_HARDLINK = frozenset({LinkMode.HARDLINK})
_PRIVATE = frozenset({LinkMode.REFLINK, LinkMode.COPY})
_PLAIN, _FIX, _REPORT = HealClass.PLAIN, HealClass.FIX, HealClass.REPORT
_NOBODY = 65534


def _missing(scene: Scene) -> Damage:
    file = scene.take_file(private=None, smallest=0)
    file.name.unlink()
    return damaged("missing", "F01", [file.name], _PLAIN)


def _missing_package(scene: Scene) -> Damage:
    """Remove all modules and scripts of a distribution, not its metadata."""
    name = scene.take_distribution()
    info = scene.dist_info(name)
    rows = (info / "RECORD").read_text(encoding="utf-8").splitlines()
    places = []
    for row in rows:
        place = Path(os.path.normpath(scene.site / row.split(",")[0]))
        if not place.is_relative_to(info) and CONTESTED not in row:
            place.unlink()
            places.append(place)
    shutil.rmtree(scene.site / name)
    # Where another ships one of its paths, not all of its files are missing.
    return damaged("missing-package", "F02 F01", places, _PLAIN)


def _uninstalled(scene: Scene) -> Damage:
    # What goes with one of these is the other's, too.
    name = scene.take_distribution(but=CONTESTANTS)
    info = scene.dist_info(name)
    rows = (info / "RECORD").read_text(encoding="utf-8").splitlines()
    places = []
    for row in rows:
        place = scene.site / row.split(",")[0]
        place.unlink()
        places.append(Path(os.path.normpath(place)))
    shutil.rmtree(info)
    shutil.rmtree(scene.site / name)
    return damaged("uninstalled", "F02u", places, _REPORT, drift=True)


def _dangling_link(scene: Scene) -> Damage:
    file = scene.take_file(private=None)
    file.name.unlink()
    file.name.symlink_to(scene.outside / f"gone-{scene.random.getrandbits(32)}")
    return damaged("dangling-link", "F03 F04", [file.name], _FIX)


def _folder_for_file(scene: Scene) -> Damage:
    file = scene.take_file(private=None)
    file.name.unlink()
    file.name.mkdir()
    mine = scene.random.randbytes(200)
    (file.name / "mine.txt").write_bytes(mine)
    return damaged("folder-for-file", "F04", [file.name], _FIX, kept=(digest_of(mine),))


def _link_for_file(scene: Scene) -> Damage:
    """Make a link to a user's own file: writing through it would destroy that."""
    file = scene.take_file(private=None)
    mine = scene.outside / f"mine-{scene.random.getrandbits(32)}"
    mine.write_bytes(scene.random.randbytes(200))
    file.name.unlink()
    file.name.symlink_to(mine)
    return damaged("link-for-file", "F04", [file.name], _FIX)


def _pipe_for_file(scene: Scene) -> Damage:
    """Make a pipe: whoever opens it without care waits for ever."""
    file = scene.take_file(private=None)
    file.name.unlink()
    os.mkfifo(file.name)
    return damaged("pipe-for-file", "F04", [file.name], _FIX)


def _file_for_folder(scene: Scene) -> Damage:
    name = scene.take_distribution()
    folder = scene.site / name / "deep"
    if not folder.is_dir():
        raise NoRoom
    shutil.rmtree(folder)
    mine = scene.random.randbytes(300)
    folder.write_bytes(mine)
    return damaged(
        "file-for-folder", "F04 F02 F01", [folder], _FIX, kept=(digest_of(mine),)
    )


def _emptied_alone(scene: Scene) -> Damage:
    file = scene.take_file(private=None)
    put_in_place_of(file.name, b"")
    return damaged("emptied-alone", "F05", [file.name], _PLAIN)


def _replaced(scene: Scene) -> Damage:
    file = scene.take_file()
    content = edited(file.name.read_bytes(), scene.random)
    put_in_place_of(file.name, content, mode=0o644)
    return damaged(
        "replaced-by-edit",
        "F10",
        [file.name],
        _REPORT,
        drift=True,
        kept=(digest_of(content),),
    )


def _private_edit(scene: Scene) -> Damage:
    """Edit a file that people are meant to edit."""
    file = scene.take_file(private=True)
    content = edited(file.name.read_bytes(), scene.random)
    write_through(file.name, content)
    return damaged(
        "edited-settings",
        "F10",
        [file.name],
        _REPORT,
        drift=True,
        kept=(digest_of(content),),
    )


def _unshared(scene: Scene) -> Damage:
    file = scene.take_file()
    seen = file.name.stat()
    put_in_place_of(file.name, file.name.read_bytes())
    if scene.random.random() < 0.5:  # noqa: PLR2004  a coin: ``cp -p`` or ``cp``
        os.utime(file.name, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    return damaged("unshared", "F11", [file.name], _PLAIN)


def _wrong_mode(scene: Scene) -> Damage:
    file = scene.take_file(private=False, smallest=1)
    names = scene.names_of(file)
    modes = {0o600, 0o755, 0o4755, 0o666, 0o000, 0o640}
    file.name.chmod(scene.random.choice(sorted(modes)))
    return damaged("wrong-mode", "F12 F44", names, _PLAIN)


def _wrong_owner(scene: Scene) -> Damage:
    file = scene.take_file()
    names = scene.names_of(file)
    os.chown(file.name, _NOBODY, _NOBODY)
    return damaged("wrong-owner", "F13", names, _REPORT)


def _extra_file(scene: Scene) -> Damage:
    file = scene.take_file(private=None)
    number = scene.random.getrandbits(32)
    place = file.name.with_name(f"local_settings_{number}.py")
    content = f"MINE = {number}\n".encode()
    place.write_bytes(content)
    return damaged("extra-file", "F14", [place], _REPORT, kept=(digest_of(content),))


def _clobbered(scene: Scene) -> Damage:
    """Let the other distribution that ships a path have it, as pip would."""
    path = f"{scene.site.relative_to(scene.environment)}/{CONTESTED}"
    if path in scene.used or scene.used & CONTESTANTS:
        raise NoRoom
    scene.used |= {path, "some of maple", "some of oak"}
    place = scene.environment / path
    owner = "oak" if b"maple" in place.read_bytes() else "maple"
    put_in_place_of(place, f"owner = {owner!r}\n".encode(), mode=0o644)
    return damaged("clobbered", "F15", [place], _REPORT)


def _bytecode_of(file: SceneFile) -> Path:
    tag = Path(importlib.util.cache_from_source(file.name.name)).suffixes[-2]
    return file.name.parent / "__pycache__" / f"{file.name.stem}{tag}.pyc"


def _bytecode(kind: str, body: bytes, *, stale: bool) -> Callable[[Scene], Damage]:
    """Return an injector of bytecode that does not fit."""

    def inject(scene: Scene) -> Damage:
        file = scene.take_file(
            suffix=".py", where=lambda one: not _bytecode_of(one).exists()
        )
        seen = file.name.stat()
        mtime = int(seen.st_mtime) - (99 if stale else 0)
        header = importlib.util.MAGIC_NUMBER + bytes(4)
        header += (mtime & 0xFFFFFFFF).to_bytes(4, "little")
        header += (seen.st_size & 0xFFFFFFFF).to_bytes(4, "little")
        place = _bytecode_of(file)
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(header + body)
        return damaged(kind, "F18", [place], _PLAIN, hidden=True)

    return inject


_CODE = marshal.dumps(compile("x = 1", "<self-test>", "exec"))

FILE_KINDS: tuple[Kind, ...] = (
    Kind(name="missing", code="F01", inject=_missing),
    Kind(name="missing-package", code="F02", inject=_missing_package),
    Kind(name="uninstalled", code="F02u", inject=_uninstalled),
    Kind(name="dangling-link", code="F03", inject=_dangling_link),
    Kind(name="folder-for-file", code="F04", inject=_folder_for_file),
    Kind(name="link-for-file", code="F04", inject=_link_for_file),
    Kind(name="pipe-for-file", code="F04", inject=_pipe_for_file),
    Kind(name="file-for-folder", code="F04", inject=_file_for_folder),
    Kind(name="emptied-alone", code="F05", inject=_emptied_alone),
    Kind(name="replaced-by-edit", code="F10", inject=_replaced),
    Kind(name="edited-settings", code="F10", inject=_private_edit),
    Kind(name="unshared", code="F11", modes=_HARDLINK, inject=_unshared),
    Kind(name="wrong-mode", code="F12", inject=_wrong_mode),
    Kind(name="wrong-owner", code="F13", inject=_wrong_owner, needs_root=True),
    Kind(name="extra-file", code="F14", inject=_extra_file),
    Kind(name="clobbered", code="F15", inject=_clobbered),
    Kind(
        name="broken-bytecode",
        code="F18",
        inject=_bytecode("broken-bytecode", _CODE[: len(_CODE) // 2], stale=False),
    ),
    Kind(
        name="stale-bytecode",
        code="F18",
        inject=_bytecode("stale-bytecode", _CODE, stale=True),
    ),
)
