"""Look at a store and its environments; nothing is written, nothing is healed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mvenv.diagnose.entries import Count, EntryLook
from mvenv.diagnose.examination import examine
from mvenv.diagnose.model import Examination, Finding, HealClass, Kind, Level
from mvenv.diagnose.store import examine_store
from mvenv.diagnose.subject import Subject, open_subject
from mvenv.diagnose.twins import Twins
from mvenv.diagnose.users import Users
from mvenv.doctor.alike import inode_of, one_each
from mvenv.doctor.choosing import is_gone
from mvenv.doctor.identity import identity_of, registration
from mvenv.doctor.model import Looked, Unchecked
from mvenv.errors import Busy, MvenvError
from mvenv.locking import lock_folder
from mvenv.store.layout import StoreKey, StoreLayout
from mvenv.store.locking import using
from mvenv.store.names import SYNCED, TREE
from mvenv.store.registry import roots

__all__ = ["Seen", "in_use", "look", "look_into_store", "users_of"]

_NONE = (-1, -1)
"""The device and inode of no file."""
_SCRUB_SHARE = 8e-7
"""Seconds of scrubbing for each file: about a tenth of what looking at it takes."""


@dataclass(slots=True)
class Seen:
    """What one look at a store and its environments brought."""

    subjects: list[Subject] = field(default_factory=list)
    looked: list[Looked] = field(default_factory=list)
    store: Looked | None = None
    findings: list[Finding] = field(default_factory=list)
    unchecked: list[Unchecked] = field(default_factory=list)
    scrubbed: list[tuple[Subject, Examination]] = field(default_factory=list)
    unseen: list[tuple[Path, tuple[str, ...]]] = field(default_factory=list)
    """Entries of the store to be put down as they are, and paths of their files."""


def look(
    layout: StoreLayout,
    places: Iterable[Path],
    level: Level,
    *,
    whole_store: bool,
    scrubs: bool,
    behind: bool,
) -> Seen:
    """Look at environments, each under a shared lock, and at what is behind them.

    What cannot be looked at is put down, and the others are looked at. Without
    ``behind`` the store is left alone where the environments are sure to be right.
    """
    seen = Seen()
    with in_use(layout):
        for place in places:
            _look_at(place, layout, level, seen, scrubs=scrubs)
        if not behind and _is_right(seen):
            return seen
        keys = frozenset(
            wheel.key
            for subject in seen.subjects
            if subject.plan is not None
            for wheel in subject.plan.wheels
            if wheel.shared
        )
        users = users_of(layout, seen.subjects)
        twins = Twins(layout.root, seen.scrubbed, whole=level is Level.FULL)
        # A matrix has bytecode for each of its interpreters: a quick look is at one.
        narrow = level is Level.QUICK and not whole_store
        try:
            examination = examine_store(
                layout,
                None if whole_store else keys,
                level,
                users.roots,
                users=users,
                twins=twins,
                tags=_tags(seen.subjects) if narrow else None,
            )
        except OSError as error:
            seen.unchecked.append(Unchecked(layout.root, _unread(error)))
            return seen
        seen.unseen = twins.unseen
        seen.store = _looked(layout.root, examination)
        found = list(examination.findings)
        needed = _needed(seen.findings)
        _add_touched(needed, seen.scrubbed)
        _add_alike(needed, seen.findings, users)
        found += look_into_store(layout, users, needed, found)
        found = one_each(found)
        seen.findings = [*found, *_not_covered(seen.findings, found)]
        if whole_store:
            seen.findings += _gone(layout, users)
    return seen


def _is_right(seen: Seen) -> bool:
    """Return whether nothing is wrong, and stamps prove it: all is on the disk."""
    return all(one.drift for one in seen.findings) and all(
        map(_is_durable, seen.subjects)
    )


def _is_durable(subject: Subject) -> bool:
    """Return whether all that was linked into an environment was flushed."""
    plan = subject.plan
    if plan is None:
        return False
    marks = {f"{wheel.root}/{SYNCED}" for wheel in plan.wheels if wheel.shared}
    if plan.bytecode is not None:
        inside = f"/{plan.bytecode.tag}/"
        for group in plan.bytecode.links:
            above, _, _ = group.source.partition(f"{inside}{TREE}")
            marks.add(f"{above}{inside}{SYNCED}")
    return all(map(os.path.exists, marks))


def _tags(subjects: Iterable[Subject]) -> frozenset[str]:
    """Return the interpreters' tags that the environments have bytecode of."""
    plans = (subject.plan for subject in subjects)
    return frozenset(plan.bytecode.tag for plan in plans if plan and plan.bytecode)


@contextlib.contextmanager
def in_use(layout: StoreLayout) -> Iterator[None]:
    """Keep the store from being pruned meanwhile, where there is one to read."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            stack.enter_context(using(layout))
        yield


def users_of(layout: StoreLayout, subjects: Iterable[Subject]) -> Users:
    """Return all environments whose word can be taken: on record, or made here."""
    try:
        known = list(roots(layout))
    except OSError:
        known = []
    places = {os.path.realpath(root.path) for root in known}
    known += [
        registration(subject.receipt, subject.plan, str(subject.place))
        for subject in subjects
        if subject.receipt is not None
        and subject.plan is not None
        and str(subject.place) not in places
        and subject.receipt.identity == identity_of(subject.place)
    ]
    return Users(layout, known)


def _look_at(
    place: Path,
    layout: StoreLayout,
    level: Level,
    seen: Seen,
    *,
    scrubs: bool,
) -> None:
    try:
        with lock_folder(place, exclusive=False):
            subject = open_subject(place, layout)
            seconds = _scrub_seconds(subject) if scrubs else 0.0
            examination = examine(subject, level, scrub_seconds=seconds)
    except Busy as error:
        seen.unchecked.append(Unchecked(place, error.message, busy=True))
    except MvenvError as error:
        hint = f" ({error.hint})" if error.hint else ""
        seen.unchecked.append(Unchecked(place, error.message + hint))
    except OSError as error:
        seen.unchecked.append(Unchecked(place, _unread(error)))
    else:
        seen.subjects.append(subject)
        seen.looked.append(_looked(place, examination))
        seen.scrubbed.append((subject, examination))
        opening = [one for one in subject.findings if one not in examination.findings]
        found = [*opening, *examination.findings]
        # Of environments that lie beside one another, both see what lies there.
        seen.findings += [
            one for one in found if one.where == place or one not in seen.findings
        ]


def _unread(error: OSError) -> str:
    reason = (error.strerror or str(error)).lower()
    what = f"`{error.filename}`" if error.filename else "it"
    return f"{what} cannot be read: {reason}"


def _scrub_seconds(subject: Subject) -> float:
    if subject.plan is None:
        return 0.0
    groups = (*subject.plan.links, *subject.plan.late_links)
    return _SCRUB_SHARE * sum(len(group.files) for group in groups)


def _looked(path: Path, examination: Examination) -> Looked:
    return Looked(
        path=path,
        checked=examination.checked,
        rehashed=examination.rehashed,
        bytes_hashed=examination.bytes_hashed,
    )


def _needed(findings: Iterable[Finding]) -> dict[StoreKey, set[str]]:
    """Return the stored files that heals of environments would be made from."""
    needed: dict[StoreKey, set[str]] = {}
    for finding in findings:
        if finding.drift:
            continue
        single = () if finding.expected is None else (finding.expected,)
        for expected in (*single, *finding.files):
            if expected.wheel is not None and expected.kind is not Kind.GENERATED:
                needed.setdefault(expected.wheel, set()).add(expected.member)
    return needed


def _add_touched(
    needed: dict[StoreKey, set[str]], looks: Iterable[tuple[Subject, Examination]]
) -> None:
    """Add the files whose date somebody moved, of the store's own file too."""
    for _, examination in looks:
        for one in examination.touched:
            if one.shared and one.expected.wheel is not None:
                member = one.expected.member
                needed.setdefault(one.expected.wheel, set()).add(member)


def _add_alike(
    needed: dict[StoreKey, set[str]], findings: Iterable[Finding], users: Users
) -> None:
    """Add the names that a wrong file has in the store, if other wheels have it."""
    for finding in findings:
        inode = None if finding.drift else inode_of(finding)
        if inode is not None and finding.expected is not None:
            for name in users.stored_alike(finding.expected, inode):
                needed.setdefault(name.key, set()).add(name.file.path)


def look_into_store(
    layout: StoreLayout,
    users: Users,
    needed: dict[StoreKey, set[str]],
    known: Iterable[Finding],
) -> list[Finding]:
    """Hash the stored files that are needed, and return what was not known yet."""
    before = {(one.wheel, one.path) for one in known}
    lost = {one.wheel for one in known if one.code in {"F40", "F45"}}
    count = Count()
    for key, members in needed.items():
        if key not in lost and layout.entry(key).is_dir():
            look = EntryLook(
                layout=layout, key=key, level=Level.FULL, users=users, count=count
            )
            look.look_at(members)
    return [one for one in count.findings if (one.wheel, one.path) not in before]


def _not_covered(
    findings: Iterable[Finding], stored: Sequence[Finding]
) -> Iterator[Finding]:
    """Yield the findings that are not one with a finding in the store.

    A file changed through a link is bad under all its names, and is one fault; a large
    one has the names of several wheels.
    """
    covered = {
        (user, one.wheel, one.expected.member)
        for one in stored
        if one.expected is not None
        for user in one.users
    }
    alike = {(user, inode_of(one)) for one in stored for user in one.users}
    for finding in findings:
        expected = finding.expected
        if expected is None or (
            (finding.where, expected.wheel, expected.member) not in covered
            and (finding.where, inode_of(finding) or _NONE) not in alike
        ):
            yield finding


def _gone(layout: StoreLayout, users: Users) -> Iterator[Finding]:
    for root in users.roots:
        if is_gone(Path(root.path)):
            yield Finding(
                code="F35",
                where=layout.root,
                heal=HealClass.PLAIN,
                detail=f"`{root.path}` is gone; `mvenv store prune` forgets it in time",
                path=f"envs/{root.id}",
                drift=True,
            )
