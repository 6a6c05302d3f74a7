"""Where each file of a wheel goes in an environment, and how: pure.

"Binary distribution format", installing a wheel: what is at the top goes to purelib
or platlib, what is in ``.data/<scheme>/`` to that scheme's folder.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from mvenv.errors import InvalidWheel
from mvenv.target import Scheme
from mvenv.wheels.facts import ScriptBody, WheelFacts
from mvenv.wheels.launchers import is_launcher_name
from mvenv.wheels.manifest import Manifest, ManifestFile
from mvenv.wheels.private import (
    SMALL_SCRIPT,
    in_template_folder,
    is_private_data,
    is_private_metadata,
    is_site_hook,
    known_patterns,
    matches_known,
)

__all__ = ["PlacedFile", "Placing", "WheelLayout", "layout_wheel"]


class Placing(enum.Enum):
    """How a file comes into the environment."""

    LINK = "linked: shared with other environments"
    PRIVATE = "copied"
    EMPTY = "made anew: it has no bytes to share"
    REWRITE = "written with the environment's own shebang"
    DROPPED = "left out: written anew by whoever installs"


class PlacedFile(NamedTuple):
    """One file of the wheel and its place."""

    how: Placing
    source: str
    """Below the tree."""
    target: str
    """Below the environment, "/" between; empty where it is dropped."""
    file: ManifestFile
    executable: bool
    """In the environment, where it is not linked."""
    is_pth: bool
    """A ``.pth`` file of site-packages: to be written last, since it is run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelLayout:
    """The place of every file of one wheel, sorted by source."""

    rows: tuple[PlacedFile, ...]
    rewritten: Mapping[str, ScriptBody]
    """Scripts to rewrite, by source."""


class _Folder(NamedTuple):
    """What all files of one folder of the tree have in common."""

    target: str
    """With its final slash, or empty for the environment itself."""
    kind: str
    """Scheme they belong to; ``root`` for the wheel's top."""
    site_top: bool
    """They land directly in site-packages."""
    private: bool
    metadata: bool
    """The dist-info folder itself."""


def layout_wheel(manifest: Manifest, facts: WheelFacts, scheme: Scheme) -> WheelLayout:
    """Return the layout of a wheel for an interpreter's ``scheme``.

    `InvalidWheel` where two files that differ have one place.
    """
    folders: dict[str, _Folder] = {}
    points = frozenset(point.name for point in (*facts.console, *facts.gui))
    known = known_patterns(facts.normalized_name)
    rows: list[PlacedFile] = []
    taken: dict[str, PlacedFile] = {}
    for file in manifest.files:
        path = file.path
        source, _, name = path.rpartition("/")
        folder = folders.get(source)
        if folder is None:
            folder = folders[source] = _place_folder(source, facts, scheme)
        scripts = folder.kind == "scripts"
        row = PlacedFile(
            _placing(file, name, folder, facts, known),
            path,
            folder.target + name,
            file,
            # "Unix installers may need to add the +x bit to these files."
            scripts or bool(file.mode & 0o100),
            folder.site_top and name.endswith(".pth"),
        )
        if scripts and is_launcher_name(name, points):
            row = row._replace(how=Placing.DROPPED)
        if row.how is not Placing.DROPPED:
            other = taken.setdefault(row.target, row)
            if other is not row:
                _check_same(row, other, manifest)
                continue
        rows.append(row)
    return WheelLayout(rows=tuple(rows), rewritten=facts.rewritten_scripts)


def _check_same(row: PlacedFile, other: PlacedFile, manifest: Manifest) -> None:
    if (row.file.sha256, row.executable) != (other.file.sha256, other.executable):
        raise InvalidWheel(
            f"`{manifest.filename}` is refused: `{row.source}` and `{other.source}`"
            f" differ, and both go to `{row.target}`",
            member=row.source,
        )


def _place_folder(source: str, facts: WheelFacts, scheme: Scheme) -> _Folder:
    top, _, below = source.partition("/")
    kind = "root"
    target = scheme.purelib if facts.root_is_purelib else scheme.platlib
    rest = source
    if top.endswith(".data"):
        kind, _, rest = below.partition("/")
        target = {
            "purelib": scheme.purelib,
            "platlib": scheme.platlib,
            # The normalised name, as pip and uv do.
            "headers": f"{scheme.headers}/{facts.normalized_name}",
            "scripts": scheme.scripts,
            "data": scheme.data,
        }[kind]
    folder = "/".join(part for part in (target, rest) if part)
    return _Folder(
        target=f"{folder}/" if folder else "",
        kind=kind,
        site_top=folder in {scheme.purelib, scheme.platlib},
        private=in_template_folder(rest),
        metadata=source == facts.dist_info,
    )


def _placing(
    file: ManifestFile,
    name: str,
    folder: _Folder,
    facts: WheelFacts,
    known: tuple[str, ...],
) -> Placing:
    if folder.metadata and name == "RECORD":
        return Placing.DROPPED
    if file.path in facts.rewritten_scripts:
        return Placing.REWRITE
    if not file.size:
        return Placing.EMPTY
    if (
        folder.private
        or file.path in facts.namespaces
        or (folder.site_top and is_site_hook(name))
        or (folder.metadata and is_private_metadata(name))
        or (folder.kind == "data" and is_private_data(folder.target + name, file.size))
        or (folder.kind == "scripts" and _is_private_script(file))
        or (known and matches_known(file.path, known))
    ):
        return Placing.PRIVATE
    return Placing.LINK


def _is_private_script(file: ManifestFile) -> bool:
    # A link has the stored file's mode, so one that is not executable there cannot be.
    return file.size <= SMALL_SCRIPT or not file.mode & 0o100
