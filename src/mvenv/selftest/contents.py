"""Faults of bytes: through every name of a file, and in the store alone."""

from __future__ import annotations

from collections.abc import Callable

from mvenv.diagnose.model import HealClass
from mvenv.link.modes import LinkMode
from mvenv.selftest.blows import (
    BLOCK,
    edited,
    flipped,
    scrambled_block,
    stat_kept,
    write_through,
)
from mvenv.selftest.model import Damage, Kind, damaged, digest_of
from mvenv.selftest.scene import Scene

__all__ = ["CONTENT_KINDS"]

_HARDLINK = frozenset({LinkMode.HARDLINK})
_PRIVATE = frozenset({LinkMode.REFLINK, LinkMode.COPY})
_PLAIN, _FIX, _REPORT = HealClass.PLAIN, HealClass.FIX, HealClass.REPORT


def _through(
    kind: str,
    codes: str,
    heal: HealClass,
    change: Callable[[bytes, Scene], bytes],
    *,
    smallest: int = 2,
    suffix: str = "",
    hidden: bool = False,
    users_bytes: bool = False,
    drift: bool = False,
) -> Callable[[Scene], Damage]:
    """Return an injector that changes bytes under all names of a file."""

    def inject(scene: Scene) -> Damage:
        file = scene.take_file(smallest=smallest, suffix=suffix)
        names = scene.names_of(file)
        content = change(file.name.read_bytes(), scene)
        target = scene.random.choice(names)
        if hidden:
            with stat_kept(target):
                write_through(target, content)
        else:
            write_through(target, content)
        # Where a distribution's own name is hit, that is what is told.
        own = " F23" if file.path.endswith(".dist-info/METADATA") else ""
        return damaged(
            kind,
            codes + own,
            names,
            heal,
            drift=drift,
            hidden=hidden,
            kept=(digest_of(content),) if users_bytes else (),
            users=scene.environments if len(names) > 1 else (),
            # All names have lost them: only the wheel's own file is left.
            source=len(names) == 1 or scene.has_wheels,
        )

    return inject


def _cut(content: bytes, scene: Scene) -> bytes:
    return content[: scene.random.randint(1, len(content) - 1)]


def _stored_only(
    kind: str,
    codes: str,
    heal: HealClass,
    change: Callable[[bytes, Scene], bytes],
    *,
    smallest: int = 2,
    hidden: bool = False,
    users_bytes: bool = False,
) -> Callable[[Scene], Damage]:
    """Return an injector that changes the store's copy, where that is one."""

    def inject(scene: Scene) -> Damage:
        file = scene.take_file(smallest=smallest)
        content = change(file.stored.read_bytes(), scene)
        if hidden:
            with stat_kept(file.stored):
                write_through(file.stored, content)
        else:
            write_through(file.stored, content)
        kept = (digest_of(content),) if users_bytes else ()
        return damaged(kind, codes, [file.stored], heal, hidden=hidden, kept=kept)

    return inject


CONTENT_KINDS: tuple[Kind, ...] = (
    Kind(
        name="emptied",
        code="F05",
        inject=_through("emptied", "F05", _PLAIN, lambda *_: b""),
    ),
    Kind(
        name="truncated",
        code="F06",
        inject=_through("truncated", "F06", _PLAIN, _cut),
    ),
    Kind(
        name="zeroed",
        code="F07",
        inject=_through("zeroed", "F07", _PLAIN, lambda old, _: bytes(len(old))),
    ),
    Kind(
        name="zeroed-unseen",
        code="F07",
        inject=_through(
            "zeroed-unseen",
            "F07",
            _PLAIN,
            lambda old, _: bytes(len(old)),
            hidden=True,
        ),
    ),
    Kind(
        name="shared-edit",
        code="F08",
        modes=_HARDLINK,
        inject=_through(
            "shared-edit",
            "F08",
            _FIX,
            lambda old, scene: edited(old, scene.random),
            users_bytes=True,
        ),
    ),
    Kind(
        name="shared-edit-same-size",
        code="F08",
        modes=_HARDLINK,
        inject=_through(
            "shared-edit-same-size",
            "F08",
            _FIX,
            lambda old, scene: edited(old, scene.random, same_size=True),
            smallest=64,
            suffix=".py",
            users_bytes=True,
        ),
    ),
    Kind(
        name="hidden-edit",
        code="F09",
        inject=_through(
            "hidden-edit",
            "F09",
            _FIX,
            lambda old, scene: edited(old, scene.random, same_size=True),
            smallest=64,
            suffix=".py",
            hidden=True,
            users_bytes=True,
        ),
    ),
    Kind(
        name="private-edit",
        code="F10",
        modes=_PRIVATE,
        inject=_through(
            "private-edit",
            "F10",
            _REPORT,
            lambda old, scene: edited(old, scene.random),
            users_bytes=True,
            drift=True,
        ),
    ),
    Kind(
        name="bit-rot",
        code="F16",
        inject=_through(
            "bit-rot",
            "F16 F09",
            _PLAIN,
            lambda old, scene: flipped(old, scene.random),
            smallest=64,
            hidden=True,
        ),
    ),
    Kind(
        name="lost-block",
        code="F16",
        inject=_through(
            "lost-block",
            "F16 F09",
            _PLAIN,
            lambda old, scene: scrambled_block(old, scene.random),
            smallest=3 * BLOCK,
            hidden=True,
        ),
    ),
    Kind(
        name="bit-rot-in-store",
        code="F16",
        modes=_PRIVATE,
        inject=_stored_only(
            "bit-rot-in-store",
            "F16 F09",
            _PLAIN,
            lambda old, scene: flipped(old, scene.random),
            smallest=64,
            hidden=True,
        ),
    ),
    Kind(
        name="edited-in-store",
        code="F08",
        modes=_PRIVATE,
        inject=_stored_only(
            "edited-in-store",
            "F08",
            _FIX,
            lambda old, scene: edited(old, scene.random),
            users_bytes=True,
        ),
    ),
)
