"""From findings in what mvenv wrote into an environment to repairs of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mvenv.diagnose.expected import UNKNOWN
from mvenv.diagnose.model import Expected, Finding
from mvenv.doctor.comparing import is_worthless
from mvenv.doctor.means import Unhealable
from mvenv.doctor.steps import Repair, Root, Step
from mvenv.env.receipt import Generated as Row
from mvenv.env.receipt import Receipt, read_receipt, write_receipt
from mvenv.hashes import digest_bytes, digest_file
from mvenv.link.modes import LinkMode
from mvenv.plan.changes import Put, Rescue, Seal, SetAside, Symlink
from mvenv.plan.model import Plan

if TYPE_CHECKING:
    from mvenv.doctor.generating import Generated

__all__ = ["Ward", "keep_present", "write_again", "write_bare", "write_record"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ward:
    """One environment that is being healed."""

    place: Path
    """Where it really is."""
    receipt: Receipt
    plan: Plan
    generated: Callable[[], Mapping[str, Generated]]
    """What is written here and not linked, by path; found out when first needed."""

    @property
    def hard_links(self) -> bool:
        """Return whether its files are other names of the store's."""
        return self.receipt.link_mode == LinkMode.HARDLINK.value


def write_bare(finding: Finding, ward: Ward, root: Root) -> Repair:
    """Write a file or link of the bare environment that the receipt does not list."""
    if finding.code not in {"F01", "F03"}:
        raise Unhealable("nobody but you can decide this")
    path = finding.path or ""
    made = ward.generated().get(path)
    if made is None:
        raise Unhealable("what belongs there is not known")
    keep = [Step(root, SetAside(path))] if os.path.lexists(ward.place / path) else []
    if isinstance(made.content, str):
        link = Step(root, Symlink(path, made.content))
        return Repair(finding=finding, words="linked again", steps=(link,))
    digest = digest_bytes(made.content)
    put = Put(
        path=path,
        sha256=digest.sha256,
        size=digest.size,
        mode=made.mode,
        mtime_ns=None,
        content=made.content,
    )
    steps = (*keep, Step(root, put))
    return Repair(finding=finding, words="written again", steps=steps)


def write_again(finding: Finding, expected: Expected, ward: Ward, root: Root) -> Repair:
    """Return what writes a file again that mvenv wrote; an edit of it is kept."""
    made = ward.generated().get(expected.path)
    place = ward.place / expected.path
    if made is None:
        raise Unhealable("what belongs there is not known")
    steps = list(keep_present(finding, expected, place, None, root))
    if isinstance(made.content, str):
        steps.append(Step(root, Symlink(expected.path, made.content)))
        return Repair(finding=finding, words="linked again", steps=tuple(steps))
    digest = digest_bytes(made.content)
    same = digest.sha256 == expected.sha256
    act: Callable[[], None] | None = None
    if finding.code == "F12" and _is(place, expected.sha256):
        seal = Seal(expected.path, expected.mode, expected.mtime_ns)
        steps = [Step(root, seal)]
        same = True
    else:
        put = Put(
            path=expected.path,
            sha256=digest.sha256,
            size=digest.size,
            mode=made.mode,
            mtime_ns=expected.mtime_ns
            if same and expected.mtime_ns != UNKNOWN
            else None,
            content=made.content,
        )
        steps.append(Step(root, put))
        if not same:
            act = partial(_put_on_receipt, ward.place, put)
    return Repair(
        finding=finding,
        words="written again",
        steps=tuple(steps),
        act=act,
        proofs=((ward.place, expected),) if same else (),
    )


def _put_on_receipt(place: Path, put: Put) -> None:
    """Put down what was written, where it is not what the receipt had."""
    receipt = read_receipt(place)
    if receipt is None:
        return
    moment = (place / put.path).lstat().st_mtime_ns
    row = Row(put.path, put.sha256, put.size, put.mode, moment)
    others = (one for one in receipt.generated if one.path != put.path)
    write_receipt(place, replace(receipt, generated=(*others, row)))


def _is(place: Path, sha256: str) -> bool:
    try:
        return digest_file(place).sha256 == sha256
    except OSError:
        return False


def write_record(finding: Finding, ward: Ward, root: Root) -> Repair:
    """Write a RECORD again, and keep what others put into it."""
    path = finding.path or ""
    made = ward.generated().get(path)
    if made is None or isinstance(made.content, str):
        raise Unhealable("what belongs there is not known")
    place = ward.place / path
    content = made.content + b"".join(_foreign_rows(place, made.content))
    digest = digest_bytes(content)
    keep = [Step(root, Rescue(path))] if os.path.lexists(place) else []
    if place.is_dir() and not place.is_symlink():
        keep = [Step(root, SetAside(path))]
    expected = finding.expected
    same = expected is not None and expected.sha256 == digest.sha256
    put = Put(
        path=path,
        sha256=digest.sha256,
        size=digest.size,
        mode=made.mode,
        mtime_ns=expected.mtime_ns
        if expected is not None and same and expected.mtime_ns != UNKNOWN
        else None,
        content=content,
    )
    return Repair(
        finding=finding,
        words="written again from what was installed",
        steps=(*keep, Step(root, put)),
        act=None if same else partial(_put_on_receipt, ward.place, put),
    )


def _foreign_rows(place: Path, ours: bytes) -> Iterator[bytes]:
    """Yield rows of a RECORD that are about files that we know nothing of."""
    import csv

    try:
        text = place.read_bytes().decode()
        known = {row[0] for row in csv.reader(ours.decode().splitlines()) if row}
        rows = list(csv.reader(text.splitlines()))
    except (OSError, ValueError, csv.Error):
        return
    for line, row in zip(text.splitlines(), rows, strict=False):
        if len(row) == _COLUMNS and row[0] not in known and "\0" not in line:
            base = place.parent.parent
            if (base / row[0]).exists():
                yield line.encode() + b"\n"


_COLUMNS = 3
"""Of a RECORD: path, hash, size."""


def keep_present(
    finding: Finding, expected: Expected, bad: Path, good: Path | None, root: Root
) -> Iterator[Step]:
    """Yield what must come first, so that nothing of a user's is lost."""
    if not os.path.lexists(bad):
        return
    if bad.is_symlink() or not bad.is_file():
        yield Step(root, SetAside(expected.path))
    elif finding.code != "F17" and not is_worthless(bad, good):
        yield Step(root, Rescue(expected.path))
