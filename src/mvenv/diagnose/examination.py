"""Look at one environment, all of it: read from top to bottom. Never writes."""

from __future__ import annotations

import contextlib
import os
import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial

from mvenv.diagnose.absence import tell_missing
from mvenv.diagnose.bytecode import examine_bytecode
from mvenv.diagnose.claims import claims_of
from mvenv.diagnose.compiled import CompiledLook
from mvenv.diagnose.drift import Drift, find_drift
from mvenv.diagnose.environment import examine_surroundings, is_bare
from mvenv.diagnose.expected import generated_rows, ownership
from mvenv.diagnose.files import FilesLook, Grove
from mvenv.diagnose.judging import Judge
from mvenv.diagnose.model import Examination, Finding, HealClass, Level, Scrubbed
from mvenv.diagnose.reading import FOLDER_FLAGS
from mvenv.diagnose.scanning import Sure
from mvenv.diagnose.scrub import load_scrub, scrub
from mvenv.diagnose.stamps import load_stamps
from mvenv.diagnose.subject import Subject
from mvenv.diagnose.users import Users
from mvenv.env.receipt import FOLDER, Generated
from mvenv.errors import SystemFault
from mvenv.link.probe import PROBE
from mvenv.link.tree import TEMPORARY
from mvenv.plan.model import Plan
from mvenv.store.registry import Root, roots

__all__ = ["examine"]


def examine(
    subject: Subject, level: Level, *, scrub_seconds: float = 0.0
) -> Examination:
    """Return all that is found in an environment.

    ``scrub_seconds`` is the time for which a quick look hashes files that look right.
    `SystemFault` where the folder itself cannot be opened.
    """
    try:
        root = os.open(subject.place, FOLDER_FLAGS)
    except OSError as error:
        doing = "cannot look into the environment"
        raise SystemFault.from_os_error(error, doing) from error
    try:
        if subject.plan is None or subject.unfinished:
            return _without_plan(subject, root)
        return _Look(subject, subject.plan, root, level).look(scrub_seconds)
    finally:
        os.close(root)


def _without_plan(subject: Subject, root: int) -> Examination:
    """Look at what needs no plan: nothing is said about files."""
    surroundings = () if subject.unfinished else examine_surroundings(subject, root)
    return Examination(
        findings=(*subject.findings, *surroundings),
        checked=0,
        rehashed=0,
        bytes_hashed=0,
    )


@dataclass(slots=True)
class _Look:
    subject: Subject
    plan: Plan
    root: int
    level: Level

    def look(self, scrub_seconds: float) -> Examination:
        subject, root = self.subject, self.root
        rows = generated_rows(subject)
        drift = find_drift(subject, self.plan, root, rows)
        claims = _Claims(partial(claims_of, root, drift.foreign, self.plan))
        look = self._files(rows, drift, claims)
        look.look(root)
        edits = subject.receipt.edits if subject.receipt else ()
        findings = [*subject.findings, *drift.findings]
        findings += tell_missing(
            subject,
            look.owned,
            drift,
            look.missing,
            frozenset(edits),
        )
        findings += _strangers(subject, look, claims)
        findings += examine_surroundings(subject, root)
        compiled = look.compiled
        if self.plan.bytecode is not None:
            compiled.look(root, self.plan.bytecode)
        if look.whole:
            shipped = self._shipped(look) | compiled.settled
            findings += examine_bytecode(subject, root, look.bytecode, shipped)
        scrubbed = self._scrub(look, scrub_seconds)
        judge = look.judge
        findings += _unlinkable(subject, judge.unlinkable)
        return Examination(
            findings=(*findings, *compiled.findings, *_grouped(judge.findings)),
            checked=look.checked + len(compiled.settled),
            rehashed=judge.rehashed + len(compiled.settled) * look.whole,
            bytes_hashed=judge.bytes_hashed,
            touched=tuple(judge.touched),
            scrubbed=scrubbed,
            inodes=look.inodes,
        )

    def _files(
        self, rows: Mapping[str, Generated], drift: Drift, claims: _Claims
    ) -> FilesLook:
        subject = self.subject
        receipt = subject.receipt
        owned = ownership(subject, self.plan)
        edits = receipt.edits if receipt else ()
        owner, whole = os.fstat(self.root).st_uid, self.level is Level.FULL
        sure = Sure(owner, owned.hard_links, whole, alone=subject.unflushed)
        return FilesLook(
            owned=owned,
            grove=Grove.grow(self.plan, rows),
            judge=Judge(
                subject=subject,
                users=cache(partial(_users, subject)),
                hard_links=owned.hard_links,
                owner=owner,
                stamps=load_stamps(subject.place),
                changed=frozenset(drift.changed | set(edits)),
                claimed=claims.of,
            ),
            whole=whole,
            alone=sure.alone,
            compiled=CompiledLook(subject=subject, sure=sure),
        )

    def _shipped(self, look: FilesLook) -> frozenset[str]:
        caches = (path for path in look.bytecode if path in look.grove.files)
        return frozenset(
            f"{path}/{name}" for path in caches for name in look.grove.files[path]
        )

    def _scrub(self, look: FilesLook, seconds: float) -> Scrubbed | None:
        receipt = self.subject.receipt
        if look.whole or seconds <= 0 or receipt is None:
            return None
        known = load_scrub(self.subject.place, receipt.plan)
        return scrub(look, self.root, known, seconds)


def _unlinkable(subject: Subject, files: int) -> Iterator[Finding]:
    if files and subject.layout.root.is_dir():
        yield subject.finding(
            "F49",
            HealClass.PLAIN,
            f"has {files:,} {'file' if files == 1 else 'files'} of its own that were"
            " shared: the store is on another file system now",
            drift=True,
            remedy="`mvenv adopt --store FOLDER` shares with one on its file system",
        )


def _users(subject: Subject) -> Users:
    found: tuple[Root, ...] = ()
    # A store that is gone has no other users.
    with contextlib.suppress(OSError):
        found = roots(subject.layout)
    return Users(subject.layout, found)


def _grouped(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Yield findings, those of distributions that share nothing any more as one each.

    A copied environment has them for all of its files.
    """
    unshared: dict[str | None, list[Finding]] = {}
    for finding in findings:
        if finding.code == "F11":
            unshared.setdefault(finding.distribution, []).append(finding)
        else:
            yield finding
    for those in unshared.values():
        if len(those) < _MANY:
            yield from those
            continue
        files = tuple(one.expected for one in those if one.expected is not None)
        above = os.path.commonpath([os.path.dirname(one.path) for one in files])
        yield replace(
            those[0],
            path=above or None,
            detail=f"has {len(files):,} files of its own, equal to the store's",
            expected=None,
            files=files,
        )


_MANY = 10
"""Files of one distribution that are told as one."""


def _strangers(subject: Subject, look: FilesLook, claims: _Claims) -> Iterator[Finding]:
    """Tell what is in no plan: leftovers of ours, and what may be the user's."""
    for one in look.strangers:
        folder, _, name = one.path.rpartition("/")
        if name in _LEFTOVERS or name.startswith(PROBE):
            detail = "was left by a run that was killed"
            yield subject.finding("F52", HealClass.PLAIN, detail, one.path)
        elif not (
            is_bare(subject, one.path)
            or one.path.startswith(f"{FOLDER}/")
            or name.endswith(_METADATA)
            or posixpath.basename(folder) == "__pycache__"
            or claims.has(one.path)
        ):
            what = "folder" if one.is_folder else "file"
            detail = f"is a {what} that no distribution lists"
            yield subject.finding("F14", HealClass.REPORT, detail, one.path, drift=True)


_LEFTOVERS = frozenset({TEMPORARY, ".mvenv-file~"})
"""In these names files are made that replace others."""
_METADATA = (".dist-info", ".egg-info")


class _Claims:
    """Who else lists a path in a RECORD: read once, and only where it is asked for."""

    def __init__(
        self, read: Callable[[], Mapping[str, Mapping[str, str | None]]]
    ) -> None:
        self._read = read
        self._known: Mapping[str, Mapping[str, str | None]] | None = None
        self._folders: frozenset[str] = frozenset()

    def of(self, path: str) -> Mapping[str, str | None]:
        """Return the names of those who list a path, each with the sha256 it gives."""
        if self._known is None:
            self._known = self._read()
            self._folders = frozenset(_above(self._known))
        return self._known.get(path, {})

    def has(self, path: str) -> bool:
        """Return whether a path, or something below it, is listed."""
        return bool(self.of(path)) or path in self._folders


def _above(paths: Mapping[str, object]) -> Iterator[str]:
    known: set[str] = set()
    for path in paths:
        folder = posixpath.dirname(path)
        while folder and folder not in known:
            known.add(folder)
            yield folder
            folder = posixpath.dirname(folder)
