"""What a file that does not look right really is: hashed, and judged by its bytes."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mvenv.diagnose.expected import (
    EXECUTABLE,
    PLAIN,
    UNKNOWN,
    claimed_paths,
    path_of_row,
)
from mvenv.diagnose.headers import says_whose_it_is
from mvenv.diagnose.model import Expected, Finding, HealClass, Kind, Touched
from mvenv.diagnose.reading import begins, content_at, only_nulls, sha256_at
from mvenv.diagnose.subject import Subject
from mvenv.diagnose.users import Users
from mvenv.store.names import TREE

__all__ = ["Judge", "reason_of"]

_DENIED = frozenset({errno.EACCES, errno.EPERM})
_MOST = 1 << 22
"""Bytes of METADATA that are looked at."""
_OTHER_CODES: tuple[tuple[str, str], ...] = (
    ("/RECORD", "F22"),
    ("/direct_url.json", "F23"),
)


@dataclass(slots=True, kw_only=True)
class Judge:
    """Judges the files of one environment; what it finds is kept in it."""

    subject: Subject
    users: Callable[[], Users]
    """Gives the environments of the store: only asked where something is wrong."""
    hard_links: bool
    """Shared files are hard links here."""
    owner: int
    """Of the environment's folder."""
    stamps: Mapping[str, tuple[int, int]]
    """Size and date of files that were touched, and were found right."""
    changed: Collection[str]
    """Distributions that the user changed: nothing of theirs is damage."""
    claimed: Callable[[str], Mapping[str, str | None]]
    """Tells which others list a path in their RECORD, and with which sha256."""
    findings: list[Finding] = field(default_factory=list)
    touched: list[Touched] = field(default_factory=list)
    rehashed: int = 0
    bytes_hashed: int = 0
    unlinkable: int = 0
    """Files that were shared with a store that now is elsewhere, or gone."""

    def find(
        self,
        expected: Expected,
        code: str,
        heal: HealClass,
        detail: str,
        *,
        drift: bool = False,
        users: tuple[Path, ...] = (),
        remedy: str | None = None,
    ) -> None:
        """Put down a finding about a file."""
        self.findings.append(
            Finding(
                code=code,
                where=self.subject.place,
                heal=heal,
                detail=detail,
                path=expected.path,
                distribution=expected.distribution,
                drift=drift,
                users=users,
                remedy=remedy,
                expected=expected,
                wheel=expected.wheel,
            )
        )

    def is_left_alone(self, expected: Expected) -> bool:
        """Return whether the file is the user's own business."""
        name = expected.distribution
        return name is not None and name in self.changed

    def judge(
        self, expected: Expected, seen: os.stat_result, folder: int, *, whole: bool
    ) -> None:
        """Judge one file that is there; ``whole``: by its bytes in any case."""
        if self.is_left_alone(expected):
            return
        if not stat.S_ISREG(seen.st_mode):
            self._other_type(expected, seen, folder)
            return
        stamped = self._is_stamped(expected, seen)
        right_mode = stat.S_IMODE(seen.st_mode) in self._modes(expected, seen)
        detached = self._is_detached(expected, seen)
        right = right_mode and not detached and seen.st_uid == self.owner
        if stamped and right and not whole:
            return
        name = expected.path.rpartition("/")[2]
        try:
            sha256 = self._hash(name, folder, seen)
            if sha256 != expected.sha256 and stamped:
                # Memory and cables turn bits too: what is wrong once may be right.
                sha256 = self._hash(name, folder, seen)
            if sha256 != expected.sha256:
                self._wrong(expected, seen, folder, sha256)
                return
        except OSError as error:
            self._unreadable(expected, seen, error)
            return
        self._right(expected, seen, right_mode=right_mode, detached=detached)

    def _hash(self, name: str, folder: int, seen: os.stat_result) -> str:
        self.rehashed += 1
        self.bytes_hashed += seen.st_size
        return sha256_at(name, folder)

    def _is_stamped(self, expected: Expected, seen: os.stat_result) -> bool:
        if seen.st_size != expected.size or expected.mtime_ns == UNKNOWN:
            return False
        known = self.stamps.get(expected.path)
        return seen.st_mtime_ns == expected.mtime_ns or (
            known == (seen.st_size, seen.st_mtime_ns)
        )

    def _modes(self, expected: Expected, seen: os.stat_result) -> frozenset[int]:
        """Return the modes that the file may have, linked or not."""
        found = {expected.mode}
        if expected.kind is Kind.LINKED:
            found.add(expected.sealed_mode)
            if seen.st_nlink == 1 or not self.hard_links:
                executable = expected.sealed_mode & stat.S_IXUSR
                found.add(EXECUTABLE if executable else PLAIN)
        return frozenset(found)

    def _is_detached(self, expected: Expected, seen: os.stat_result) -> bool:
        if not (
            self.hard_links
            and expected.kind is Kind.LINKED
            and seen.st_nlink == 1
            and expected.size > 0
        ):
            return False
        with contextlib.suppress(OSError):
            if seen.st_dev == os.stat(self.subject.layout.root).st_dev:
                return True
        self.unlinkable += 1
        return False

    def _right(
        self,
        expected: Expected,
        seen: os.stat_result,
        *,
        right_mode: bool,
        detached: bool,
    ) -> None:
        """Say what is not right about a file whose bytes are."""
        if seen.st_uid != self.owner:
            self._foreign(expected, seen)
        elif not right_mode:
            self._wrong_mode(expected, seen)
        elif detached and self._stored(expected) is not None:
            detail = "has its own bytes, equal to the store's"
            self.find(expected, "F11", HealClass.PLAIN, detail)
        if expected.mtime_ns not in {UNKNOWN, seen.st_mtime_ns}:
            shared = expected.kind is Kind.LINKED and seen.st_nlink > 1
            known = self.stamps.get(expected.path)
            if shared or known != (seen.st_size, seen.st_mtime_ns):
                self.touched.append(
                    Touched(
                        expected.path, seen.st_size, seen.st_mtime_ns, shared, expected
                    )
                )

    def _wrong_mode(self, expected: Expected, seen: os.stat_result) -> None:
        found = stat.S_IMODE(seen.st_mode)
        detail = f"has the mode {found:o} in place of {expected.mode:o}"
        self.find(expected, "F12", HealClass.PLAIN, detail)

    def _foreign(self, expected: Expected, seen: os.stat_result) -> None:
        place = self.subject.place / expected.path
        self.find(
            expected,
            "F13",
            HealClass.REPORT,
            f"belongs to the user {seen.st_uid}, the environment to {self.owner}",
            remedy=f"sudo chown {self.owner} {place}",
        )

    def _unreadable(
        self, expected: Expected, seen: os.stat_result, error: OSError
    ) -> None:
        if error.errno not in _DENIED:
            detail = f"cannot be read: {reason_of(error)}"
            self.find(expected, "F17", HealClass.PLAIN, detail)
        elif seen.st_uid == self.owner == os.geteuid():
            self._wrong_mode(expected, seen)
        elif seen.st_uid != self.owner:
            self._foreign(expected, seen)
        else:
            detail = f"cannot be read by the user {os.geteuid()}"
            remedy = f"run the same command as the user {self.owner}"
            self.find(expected, "F13", HealClass.REPORT, detail, remedy=remedy)

    def _other_type(
        self, expected: Expected, seen: os.stat_result, folder: int
    ) -> None:
        name = expected.path.rpartition("/")[2]
        if stat.S_ISLNK(seen.st_mode):
            target = os.readlink(name, dir_fd=folder)
            try:
                os.stat(name, dir_fd=folder)
            except OSError:
                detail = f"is a link to `{target}`, which is not there"
                self.find(expected, "F03", HealClass.FIX, detail)
            else:
                detail = f"is a link to `{target}`"
                self.find(expected, "F04", HealClass.FIX, detail)
            return
        what = "a folder" if stat.S_ISDIR(seen.st_mode) else "no regular file"
        self.find(expected, "F04", HealClass.FIX, f"is {what}")

    def _wrong(
        self, expected: Expected, seen: os.stat_result, folder: int, sha256: str
    ) -> None:
        """Say what has become of a file with other bytes."""
        name = expected.path.rpartition("/")[2]
        size = seen.st_size
        if not size:
            detail = f"is empty, {expected.size:,} bytes belong there"
            self.find(expected, _code("F05", expected), HealClass.PLAIN, detail)
        elif only_nulls(name, folder):
            detail = "has only null bytes"
            self.find(expected, _code("F07", expected), HealClass.PLAIN, detail)
        elif not (
            self._wrong_generated(expected, folder)
            or self._is_clobbered(expected, sha256)
            or self._is_no_metadata(expected, seen, folder)
            or self._is_cut(expected, seen, folder)
        ):
            self._edited(expected, seen)

    def _wrong_generated(self, expected: Expected, folder: int) -> bool:
        code = _code("F10", expected)
        if expected.kind is not Kind.GENERATED or code == "F10":
            return False
        if code == "F22" and self._has_only_more(expected, folder):
            detail = "has rows that somebody added; ours are right"
            self.find(expected, code, HealClass.REPORT, detail, drift=True)
            return True
        heal = HealClass.FIX if code == "F22" else HealClass.PLAIN
        self.find(expected, code, heal, "is not as mvenv wrote it")
        return True

    def _has_only_more(self, expected: Expected, folder: int) -> bool:
        """Return whether a RECORD has all of our rows, and more of others."""
        plan = self.subject.plan
        for record in plan.records if plan else ():
            if record.path == expected.path:
                ours = frozenset(claimed_paths(record)) | {record.path}
                content = content_at(expected.path.rpartition("/")[2], folder, _MOST)
                rows = [
                    row
                    for row in content.splitlines(keepends=True)
                    if path_of_row(os.fsdecode(row), record.site) in ours
                ]
                return hashlib.sha256(b"".join(rows)).hexdigest() == expected.sha256
        return False

    def _is_clobbered(self, expected: Expected, sha256: str) -> bool:
        """Find whether another distribution's file took this one's place."""
        for other, listed in self.claimed(expected.path).items():
            if listed == sha256:
                self.find(
                    expected,
                    "F15",
                    HealClass.REPORT,
                    f"is the file of `{other}`, and `{expected.distribution}` has"
                    " another there",
                    drift=other in self.changed or other not in self._planned(),
                    remedy=f"uninstall `{other}`, or leave it as it is",
                )
                return True
        return False

    def _is_no_metadata(
        self, expected: Expected, seen: os.stat_result, folder: int
    ) -> bool:
        """Find whether METADATA no longer says whose it is."""
        above, _, name = expected.path.rpartition("/")
        if name != "METADATA" or not above.endswith(".dist-info"):
            return False
        content = content_at(name, folder, _MOST)
        if says_whose_it_is(content, expected.distribution or ""):
            return False
        detail = "does not say whose it is"
        users = self._sharing(expected, seen)
        self.find(expected, "F23", HealClass.PLAIN, detail, users=users)
        return True

    def _planned(self) -> frozenset[str]:
        plan = self.subject.plan
        return (
            frozenset(one.name for one in plan.distributions) if plan else frozenset()
        )

    def _is_cut(self, expected: Expected, seen: os.stat_result, folder: int) -> bool:
        """Find whether a file has lost its end, as far as the right bytes are there."""
        if seen.st_size >= expected.size:
            return False
        name = expected.path.rpartition("/")[2]
        detail = f"has {seen.st_size:,} of {expected.size:,} bytes"
        stored = self._stored(expected)
        with contextlib.suppress(OSError):
            if stored is not None and not os.path.samestat(stored.lstat(), seen):
                if begins(name, folder, stored):
                    self.find(expected, "F06", HealClass.PLAIN, detail)
                    return True
                if sha256_at(stored) == expected.sha256:
                    return False
        self.find(
            expected, "F06", HealClass.FIX, detail, users=self._sharing(expected, seen)
        )
        return True

    def _edited(self, expected: Expected, seen: os.stat_result) -> None:
        users = self._sharing(expected, seen)
        if self._is_stamped(expected, seen):
            detail = "has other bytes behind the right size and date"
            self.find(expected, "F09", HealClass.FIX, detail, users=users)
        elif users or self._is_stored(expected, seen):
            detail = "has other bytes, through a link that others share"
            self.find(expected, "F08", HealClass.FIX, detail, users=users)
        else:
            detail = "was edited, here alone"
            self.find(expected, "F10", HealClass.REPORT, detail, drift=True)

    def _stored(self, expected: Expected) -> Path | None:
        """Return the store's file, if it is there."""
        if expected.wheel is None:
            return None
        entry = self.subject.layout.entry(expected.wheel)
        stored = entry / TREE / expected.member
        try:
            return stored if stat.S_ISREG(stored.lstat().st_mode) else None
        except OSError:
            return None

    def _is_stored(self, expected: Expected, seen: os.stat_result) -> bool:
        """Return whether the store has this very inode, or had it."""
        stored = self._stored(expected)
        with contextlib.suppress(OSError):
            if stored is not None and os.path.samestat(stored.lstat(), seen):
                return True
        inode = (seen.st_dev, seen.st_ino)
        if seen.st_nlink == 1 or expected.wheel is None:
            return False
        return self.users().was_stored(expected, inode)

    def _sharing(self, expected: Expected, seen: os.stat_result) -> tuple[Path, ...]:
        """Return the other environments that have this very inode."""
        if seen.st_nlink == 1 or expected.wheel is None:
            return ()
        inode = (seen.st_dev, seen.st_ino)
        places = self.users().sharing(expected, inode)
        found = dict.fromkeys(place.environment for place in places)
        return tuple(one for one in found if one != self.subject.place)


def _code(code: str, expected: Expected) -> str:
    """Return the code for a file that is wrong; those that mvenv writes have theirs."""
    if expected.kind is not Kind.GENERATED:
        return code
    for suffix, other in _OTHER_CODES:
        if expected.path.endswith(suffix):
            return other
    if expected.distribution is not None and "/" in expected.path:
        folder = expected.path.rpartition("/")[0]
        if folder.rpartition("/")[2] in {"bin", "Scripts"}:
            return "F26"
    return code


def reason_of(error: OSError) -> str:
    """Return the system's words for an error."""
    return (error.strerror or str(error)).lower()
