"""From findings in the files of an environment to repairs of it."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from mvenv.diagnose.model import Expected, Finding, Kind
from mvenv.diagnose.users import Place
from mvenv.doctor.means import Means, Unhealable
from mvenv.doctor.steps import Repair, Step, put_of
from mvenv.doctor.written_repair import (
    Ward,
    keep_present,
    write_again,
    write_bare,
    write_record,
)
from mvenv.hashes import digest_file
from mvenv.plan.changes import Change, Put, Remove, Seal, SetAside

__all__ = ["plan_file_repair", "plan_files_repair"]


def plan_file_repair(finding: Finding, ward: Ward, means: Means) -> Repair:
    """Return what heals a finding of one file; `Unhealable` where there is no way."""
    expected = finding.expected
    root = means.environment(ward.place)
    if finding.code in _PLAIN and finding.path is not None:
        words, change = _PLAIN[finding.code]
        return Repair(
            finding=finding, words=words, steps=(Step(root, change(finding.path)),)
        )
    if finding.code == "F22":
        return write_record(finding, ward, root)
    if expected is None:
        return write_bare(finding, ward, root)
    if expected.kind is Kind.GENERATED:
        return write_again(finding, expected, ward, root)
    heal = _OF_FILE.get(finding.code, _put_back)
    return heal(finding, expected, ward, means)


def plan_files_repair(finding: Finding, ward: Ward, means: Means) -> Repair:
    """Return what heals a finding about several files, all of them together.

    What stands where a folder belongs is moved aside first, with all that is in it.
    """
    root = means.environment(ward.place)
    parts = []
    for expected in finding.files:
        single = replace(
            finding,
            code="F11" if finding.code == "F11" else "F01",
            path=expected.path,
            expected=expected,
            files=(),
            wheel=expected.wheel,
        )
        parts.append(plan_file_repair(single, ward, means))
    aside: list[Step] = []
    if finding.code == "F04" and finding.path is not None:
        aside = [Step(root, SetAside(finding.path))]
    words = dict.fromkeys(part.words for part in parts)
    return Repair(
        finding=finding,
        words=", ".join(words),
        steps=(*aside, *(step for part in parts for step in part.steps)),
        proofs=tuple(proof for part in parts for proof in part.proofs),
    )


_PLAIN: dict[str, tuple[str, Callable[[str], Change]]] = {
    "F18": ("removed: Python compiles it anew", Remove),
    "F21": ("the one whose files are not there was moved aside", SetAside),
    "F52": ("removed", Remove),
}


def _put_back(finding: Finding, expected: Expected, ward: Ward, means: Means) -> Repair:
    """Put the right bytes under a name, and under every other name of the bad inode."""
    root = means.environment(ward.place)
    bad = ward.place / expected.path
    means.sources.distrust(bad, expected)
    good = means.source_for(expected, finding)
    steps = list(keep_present(finding, expected, bad, good, root))
    put = _put(expected, good, ward, means)
    places = [(root, put)]
    proofs = [(ward.place, expected)]
    for place in _others(finding, expected, bad, means):
        other = expected._replace(path=place.path)
        folder = means.environment(place.environment)
        if (place.environment, place.path) != (ward.place, expected.path):
            places.append((folder, put._replace(path=place.path)))
            proofs.append((place.environment, other))
    steps += [Step(folder, change) for folder, change in places]
    return Repair(
        finding=finding,
        words=_words(good, expected, len(places) - 1, means),
        steps=tuple(steps),
        proofs=tuple(proofs),
    )


def _put(expected: Expected, good: Path, ward: Ward, means: Means) -> Put:
    stored = means.sources.stored(expected)
    link = (
        ward.hard_links
        and expected.kind is Kind.LINKED
        and expected.size > 0
        and good == stored
        and _has_stamp(good, expected)
    )
    return put_of(expected, good)._replace(link=link)


def _has_stamp(path: Path, expected: Expected) -> bool:
    try:
        seen = path.lstat()
    except OSError:
        return False
    return (
        seen.st_mtime_ns == expected.mtime_ns
        and stat.S_IMODE(seen.st_mode) == expected.sealed_mode
        and seen.st_uid == os.geteuid()
    )


def _others(
    finding: Finding, expected: Expected, bad: Path, means: Means
) -> Iterator[Place]:
    """Yield the other names of a bad file that several environments share."""
    if expected.wheel is None or finding.code == "F10":
        return
    try:
        seen = bad.lstat()
    except OSError:
        return
    if stat.S_ISREG(seen.st_mode) and seen.st_nlink > 1:
        inode = (seen.st_dev, seen.st_ino)
        yield from means.users.sharing(expected, inode)


def _words(good: Path, expected: Expected, others: int, means: Means) -> str:
    if good == means.sources.stored(expected):
        words = "put back from the store"
    elif means.run is not None and good.is_relative_to(means.run.path):
        words = "put back from the wheel, which was fetched"
    elif good.is_relative_to(means.layout.root):
        words = "put back from another wheel in the store"
    else:
        words = "put back from another environment"
    if others:
        words += f", here and in {others} other{'' if others == 1 else 's'}"
    return words


def _seal(finding: Finding, expected: Expected, ward: Ward, means: Means) -> Repair:
    """Set mode and stamp of a file that is nobody else's; else mend the store's."""
    place = ward.place / expected.path
    try:
        right = digest_file(place).sha256 == expected.sha256
    except PermissionError:
        return _open_up(finding, expected, ward, means)
    if not right:
        return _put_back(finding, expected, ward, means)
    stored = means.sources.stored(expected)
    if stored is not None and os.path.samefile(stored, place):
        root = means.tree(expected.wheel) if expected.wheel else None
        if root is None:
            raise Unhealable("its wheel is not known")
        own = expected._replace(path=expected.member, mode=expected.sealed_mode)
        seal = means.sealing(stored, own)
        words = "sealed again, in the store"
    elif place.stat().st_nlink > 1:
        # Shared with somebody the store knows nothing of.
        return _put_back(finding, expected, ward, means)
    elif stored is not None and ward.hard_links and expected.kind is Kind.LINKED:
        # It is not shared, either.
        return _share(finding, expected, ward, means)
    else:
        root = means.environment(ward.place)
        seal = Seal(expected.path, expected.mode, expected.mtime_ns)
        words = f"has its mode {expected.mode:o} again"
    return Repair(
        finding=finding,
        words=words,
        steps=(Step(root, seal),),
        proofs=((ward.place, expected),),
    )


def _open_up(finding: Finding, expected: Expected, ward: Ward, means: Means) -> Repair:
    """Make one's own file readable; whether it is right is seen when it can be read."""
    moment = (ward.place / expected.path).lstat().st_mtime_ns
    seal = Seal(expected.path, expected.mode, moment)
    steps = (Step(means.environment(ward.place), seal),)
    return Repair(
        finding=finding,
        words=f"has its mode {expected.mode:o} again",
        steps=steps,
        proofs=((ward.place, expected),),
    )


def _share(finding: Finding, expected: Expected, ward: Ward, means: Means) -> Repair:
    """Make the same bytes the store's own file again."""
    place = ward.place / expected.path
    if digest_file(place).sha256 != expected.sha256:
        raise Unhealable("it was changed meanwhile")
    stored = means.sources.stored(expected)
    if stored is None or not _has_stamp(stored, expected):
        raise Unhealable(
            "the store has it with another date; `mvenv adopt` shares it again"
        )
    put = _put(expected, stored, ward, means)
    return Repair(
        finding=finding,
        words="shared with the store again",
        steps=(Step(means.environment(ward.place), put),),
        proofs=((ward.place, expected),),
    )


_OF_FILE: dict[str, Callable[[Finding, Expected, Ward, Means], Repair]] = {
    "F11": _share,
    "F12": _seal,
}
