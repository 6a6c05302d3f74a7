"""A wheel that is at hand, added to what was selected: pip, when asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from packaging.utils import canonicalize_name, parse_wheel_filename

from mvenv.hashes import sha256_file
from mvenv.selection.model import (
    Chosen,
    FileChoice,
    IndexChoice,
    Selection,
    WheelChoice,
)

__all__ = ["with_own_wheel", "with_wheel"]


def with_wheel(selection: Selection, name: str, wheel: Path) -> Selection:
    """Return ``selection`` with the distribution first, unless it has it already."""
    normalized = canonicalize_name(name)
    if any(one.name == normalized for one in selection.distributions):
        return selection
    digest = sha256_file(wheel)
    file = FileChoice(
        filename=wheel.name,
        sha256=digest,
        hashes=(("sha256", digest),),
        url=None,
        path=wheel,
        size=wheel.stat().st_size,
    )
    source = IndexChoice(
        wheels=(file,), sdist=None, index=None, index_name=None, rejections=()
    )
    added = Chosen(name=normalized, version=None, source=source)
    return replace(selection, distributions=(added, *selection.distributions))


def with_own_wheel(selection: Selection, wheel: Path) -> Selection:
    """Return ``selection`` with a project's wheel last, in place of its namesake."""
    name, version, _, _ = parse_wheel_filename(wheel.name)
    others = tuple(one for one in selection.distributions if one.name != name)
    source = WheelChoice(path=wheel.absolute())
    added = Chosen(name=name, version=str(version), source=source)
    return replace(selection, distributions=(*others, added))
