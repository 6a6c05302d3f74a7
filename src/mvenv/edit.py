"""``mvenv edit``: files of a distribution, private and writable, on record as meant so.

The name goes on record before the first file becomes private, and off it after the
last file is shared again: who is killed leaves files that are allowed to be either.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mvenv.apply.changing import Changer
from mvenv.apply.present import before_change, receipt_of, rescue_folder, stored_put
from mvenv.env.generations import read_journal
from mvenv.env.paths import python_in
from mvenv.env.receipt import FOLDER, Receipt, write_receipt
from mvenv.env.state import observe
from mvenv.errors import (
    EnvironmentFault,
    MvenvError,
    SeveralErrors,
    SystemFault,
    UsageError,
)
from mvenv.hashes import digest_file
from mvenv.link.modes import LinkChoice, LinkMode, LinkPolicy
from mvenv.link.probe import probe
from mvenv.locking import lock_folder
from mvenv.names import normalized
from mvenv.plan.changes import Proof, Put
from mvenv.plan.wanted import WantedFile, wanted_files
from mvenv.progress import Reporter
from mvenv.store.layout import open_layout
from mvenv.store.locking import using
from mvenv.store.runs import RunFolder

__all__ = ["EditRequest", "Edited", "edit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EditRequest:
    """Which distributions to make private, or to share again."""

    folder: Path
    names: tuple[str, ...]
    """In any spelling. None: nothing is made private; with ``undo`` all are meant."""
    undo: bool
    store: Path | None
    """`None`: the one the environment was made from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edited:
    """What became of the files."""

    path: Path
    names: tuple[str, ...]
    """Normalised names of what was asked for."""
    undo: bool
    files: int
    """Files that became private, or were shared again."""
    bytes: int
    """In them: what the disk has once more, or once less."""
    rescued: tuple[tuple[str, Path], ...]
    """Edited files that were put back: path, and where the edit is now."""
    edits: tuple[str, ...]
    """All distributions that are on record as edited now."""

    def as_json(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        return {
            "path": str(self.path),
            "names": list(self.names),
            "undo": self.undo,
            "files": self.files,
            "bytes": self.bytes,
            "rescued": [
                {"path": path, "kept": str(kept)} for path, kept in self.rescued
            ],
            "edits": list(self.edits),
        }


def edit(request: EditRequest, reporter: Reporter) -> Edited:
    """Make the files of distributions private and writable, or share them again.

    `UsageError` for names that are not there, `EnvironmentFault` where the
    environment is none of ours, or the store lacks what is to be shared again:
    nothing is changed then.
    """
    state = observe(request.folder)
    layout = open_layout(request.store or Path(receipt_of(state).store))
    with using(layout), lock_folder(state.place, exclusive=True):
        receipt = receipt_of(observe(request.folder))
        if read_journal(state.place) is not None:
            raise EnvironmentFault(
                f"a sync of `{state.path}` was interrupted",
                hint="`mvenv sync` finishes it, `mvenv rollback` undoes it",
            )
        asked = request.names or (receipt.edits if request.undo else ())
        names = _known(asked, receipt)
        before = before_change(state.place, receipt, None, layout)
        rows = {row.path: row for row in receipt.generated}
        wanted = wanted_files(before.plan, python_in(receipt.path), rows)
        mine = [
            one for one in wanted.values() if one.owner in names and one.content is None
        ]
        editing = _Editing(state.place, receipt, frozenset(names), mine, reporter)
        try:
            if request.undo:
                with RunFolder(layout) as run:
                    editing.undo(_modes(run, state.place, receipt))
            elif names:
                editing.make_private()
        except OSError as error:
            doing = "cannot change the environment"
            raise SystemFault.from_os_error(error, doing) from error
        now = receipt_of(observe(request.folder))
    return Edited(
        path=Path(receipt.path),
        names=names,
        undo=request.undo,
        files=editing.files,
        bytes=editing.bytes,
        rescued=tuple(sorted(editing.rescued.items())),
        edits=now.edits,
    )


def _known(names: Iterable[str], receipt: Receipt) -> tuple[str, ...]:
    """Return names as they are on record; errors for all that are not, together."""
    there = {one.name for one in receipt.distributions}
    normalised = dict.fromkeys(normalized(name) for name in names)
    unknown = [name for name in normalised if name not in there]
    if unknown:
        raise SeveralErrors.unless_one([_unknown(name, there) for name in unknown])
    return tuple(normalised)


def _unknown(name: str, there: Iterable[str]) -> MvenvError:
    from difflib import get_close_matches

    close = get_close_matches(name, sorted(there), n=3)
    listed = " or ".join(f"`{one}`" for one in close)
    return UsageError(
        f"the environment has no distribution `{name}` from its lockfile",
        hint=f"did you mean {listed}?" if close else None,
    )


def _modes(run: RunFolder, place: Path, receipt: Receipt) -> LinkChoice:
    same_owner = place.stat().st_uid == os.geteuid()
    policy = LinkPolicy(receipt.asked.policy)
    return probe(run.path, place / FOLDER, policy, same_owner=same_owner)


@dataclass(slots=True)
class _Editing:
    place: Path
    receipt: Receipt
    names: frozenset[str]
    wanted: Sequence[WantedFile]
    reporter: Reporter
    files: int = 0
    bytes: int = 0
    rescued: dict[str, Path] = field(default_factory=dict)

    def make_private(self) -> None:
        """Put the names on record, then give each shared file an inode of its own."""
        self._put_down(self.names.union(self.receipt.edits))
        changed: list[str] = []
        with Changer(self.place, rescue=rescue_folder(self.place)) as changer:
            for one in self.wanted:
                put = self._private(one)
                if put is None:
                    continue
                if put.sha256 != one.sha256:
                    changed.append(one.path)
                changer.make(put)
                self._count(put)
        if changed:
            self.reporter.warn(
                f"{len(changed)} of these files had been changed through the link that"
                f" other environments share ({', '.join(changed[:3])}): they have the"
                " change too, until `mvenv doctor --all --fix`"
            )

    def _private(self, one: WantedFile) -> Put | None:
        """Return how a file becomes private; `None` where it is, or is not there."""
        path = self.place / one.path
        try:
            seen = path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        writable = bool(seen.st_mode & stat.S_IWUSR)
        if not stat.S_ISREG(seen.st_mode) or (writable and seen.st_nlink == 1):
            return None
        digest = digest_file(path)
        return Put(
            one.path,
            digest.sha256,
            digest.size,
            one.mode,
            seen.st_mtime_ns,
            source=str(path),
        )

    def undo(self, choice: LinkChoice) -> None:
        """Share each file again, edits rescued first, then take the names off."""
        puts = list(self._puts_back(shares=choice.best is LinkMode.HARDLINK))
        with Changer(
            self.place, rescue=rescue_folder(self.place), modes=choice.modes
        ) as changer:
            for put in puts:
                changer.make(put)
                self._count(put)
            self.rescued = dict(changer.rescued)
        self._put_down(frozenset(self.receipt.edits) - self.names)

    def _puts_back(self, *, shares: bool) -> list[Put]:
        puts: list[Put] = []
        missing: list[str] = []
        for one in self.wanted:
            path = self.place / one.path
            digest = None
            if os.path.lexists(path):
                seen = path.lstat()
                private = shares and one.shared and seen.st_nlink == 1
                if one.is_met_by(seen) and not private:
                    continue
                if stat.S_ISREG(seen.st_mode):
                    digest = digest_file(path).sha256
            put = stored_put(one)
            if put is None:
                missing.append(one.path)
                continue
            # An edit is worth more than a second of hashing.
            put = put._replace(proof=Proof.HASH, link=put.link and shares)
            puts.append(put._replace(rescue=digest != one.sha256))
        if missing:
            raise EnvironmentFault(
                f"the store lacks {len(missing)} of these files"
                f" ({', '.join(missing[:3])})",
                hint="`mvenv doctor` brings them back",
                kept="all edits, and their place on record",
            )
        return puts

    def _count(self, put: Put) -> None:
        self.files += 1
        self.bytes += put.size

    def _put_down(self, names: Iterable[str]) -> None:
        edits = tuple(sorted(names))
        if edits != self.receipt.edits:
            write_receipt(self.place, replace(self.receipt, edits=edits))
