"""Parts of an environment that several processes can fill at once.

Each part is some whole subtrees, so that no two processes wait for one folder. The
folders above them, the trunk, are made before.
"""

from __future__ import annotations

from mvenv.link.tree import FolderLinks
from mvenv.plan.model import Plan, PlannedRecord
from mvenv.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Part", "ToWrite", "share_out"]

_FOLDER, _LINK, _FILE = 3, 1, 4
"""What making each of them costs, about."""
_WORTH_IT = 3_000
"""Such costs for which another process is worth its start."""
_UNITS = 16
"""Units for each part, at least: so that the parts come out about equal."""


class ToWrite(NamedTuple):
    """A file to write; a RECORD's content is put together by who writes it."""

    path: str
    content: bytes | PlannedRecord
    executable: bool


class Part(NamedTuple):
    """What one process makes."""

    folders: list[str]
    """Parents first."""
    links: list[FolderLinks]
    files: list[ToWrite]


def share_out(
    plan: Plan, files: Iterable[ToWrite], most: int
) -> tuple[Sequence[str], list[Part]]:
    """Return the trunk, parents first, and at most ``most`` parts of about one weight.

    ``files`` are to be written in folders of the plan or of the bare environment.
    """
    folders, links = plan.folders, plan.links
    if plan.bytecode is not None:
        folders = tuple(dict.fromkeys((*folders, *plan.bytecode.folders())))
        links = (*links, *plan.bytecode.links)
    own: dict[str, int] = dict.fromkeys(folders, _FOLDER)
    for group in links:
        own[group.target] = own.get(group.target, 0) + _weight(group)
    written = [(_above(one.path), one) for one in files]
    for folder, _ in written:
        own[folder] = own.get(folder, 0) + _FILE
    total = sum(own.values())
    count = max(1, min(most, total // _WORTH_IT))
    if count == 1:
        every = [one for _, one in written]
        return (), [Part(list(folders), list(links), every)]
    trunk, part_of = _assign(folders, own, total, count)
    parts = [Part([], [], []) for _ in range(count)]
    known = frozenset(trunk)
    for folder in folders:
        if folder not in known:
            parts[part_of[folder]].folders.append(folder)
    for group in links:
        parts[part_of.get(group.target, 0)].links.append(group)
    for folder, one in written:
        parts[part_of.get(folder, 0)].files.append(one)
    return trunk, parts


def _assign(
    folders: Sequence[str], own: dict[str, int], total: int, count: int
) -> tuple[list[str], dict[str, int]]:
    """Return the trunk, and the number of each folder's part."""
    whole = dict(own)
    for folder in reversed(folders):
        above = _above(folder)
        whole[above] = whole.get(above, 0) + whole[folder]
    limit = total // (count * _UNITS)
    trunk: list[str] = []
    part_of: dict[str, int] = {}
    loads = [0] * count
    in_trunk = {""}
    for folder in folders:
        above = _above(folder)
        if above in part_of and above not in in_trunk:
            part_of[folder] = part_of[above]
            continue
        number = loads.index(min(loads))
        part_of[folder] = number
        if whole[folder] > limit:
            trunk.append(folder)
            in_trunk.add(folder)
            loads[number] += own[folder]
        else:
            loads[number] += whole[folder]
    return trunk, part_of


def _weight(group: FolderLinks) -> int:
    return sum(_FILE if file.private else _LINK for file in group.files)


def _above(path: str) -> str:
    return path.rpartition("/")[0]
