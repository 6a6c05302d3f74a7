"""What a sync would change, told from what is on record; writes nothing at all."""

from __future__ import annotations

import time
from pathlib import Path

from mvenv import __version__
from mvenv.apply.present import before_change
from mvenv.env.generations import read_journal
from mvenv.env.paths import python_in
from mvenv.env.receipt import Installed, Receipt
from mvenv.env.state import EnvironmentState
from mvenv.plan.wanted import wanted_files
from mvenv.selection import Chosen, Selection
from mvenv.selection.model import ArchiveChoice, IndexChoice
from mvenv.store.layout import StoreLayout
from mvenv.sync.difference import compare
from mvenv.sync.drift import find_foreign, ours_of
from mvenv.sync.outcome import Changed, Synced, restored_names
from mvenv.sync.work import bare_of
from mvenv.target import Target

__all__ = ["foresee", "is_installed"]


def foresee(
    receipt: Receipt,
    state: EnvironmentState,
    selection: Selection,
    target: Target,
    layout: StoreLayout,
    *,
    exact: bool,
    started: float,
) -> Synced:
    """Return what a sync to ``selection`` would change.

    By distribution: the files of wheels that are not in the store are not known.
    """
    place = state.place
    journal = read_journal(place)
    before = before_change(place, receipt, journal, layout)
    bare = bare_of(receipt, target, layout)
    foreign = find_foreign(
        place,
        (target.scheme.purelib, target.scheme.platlib),
        ours_of((*before.plan.distributions, *receipt.distributions), (before.plan,)),
        aliases=bare.folder_links(),
        reserved=bare.paths(),
    )
    names = {str(one.name) for one in selection.distributions}
    taken = [one for one in foreign if one.files and (exact or one.name in names)]
    rows = {row.path: row for row in receipt.generated}
    wanted = wanted_files(before.plan, python_in(receipt.path), rows)
    changed = tuple(_changed(before.plan.distributions, selection))
    going = {one.name for one in changed}
    difference = compare(
        place,
        wanted,
        wanted,
        fixed=frozenset(bare.folders),
        private=receipt.edits,
        gone={},
    )
    again = restored_names(difference, before.plan, before.plan)
    return Synced(
        path=Path(receipt.path),
        lockfile=receipt.lockfile,
        dry_run=True,
        untouched=difference.is_empty() and not (changed or taken or journal),
        changed=changed,
        restored=tuple(name for name in again if name not in going),
        taken_out=tuple(taken),
        back=(),
        left=tuple(one for one in foreign if one not in taken),
        edited=tuple(sorted(difference.edited)),
        rescued=(),
        conflicts=(),
        put=0,
        removed=0,
        fetched=0,
        built=0,
        seconds=time.monotonic() - started,
    )


def _changed(old: tuple[Installed, ...], selection: Selection) -> list[Changed]:
    had = {one.name: one for one in old}
    chosen = {str(one.name): one for one in selection.distributions}
    found = [
        Changed(name, had[name].version, None) for name in had if name not in chosen
    ]
    for name, one in chosen.items():
        if name not in had:
            found.append(Changed(name, None, one.version or "?"))
        elif not _is_same(had[name], one):
            version = had[name].version
            found.append(Changed(name, version, one.version or version))
    return sorted(found)


def _is_same(installed: Installed, one: Chosen) -> bool:
    if one.version is not None and one.version != installed.version:
        return False
    if not isinstance(one.source, (IndexChoice, ArchiveChoice)):
        return True
    wheels = {
        file.sha256 for file in one.source.files if file.filename.endswith(".whl")
    }
    # What was built of an sdist has a hash that no lockfile knows.
    return installed.wheel in wheels or not wheels or None in wheels


def is_installed(selection: Selection, now: Receipt, asked: Receipt) -> bool:
    """Return whether what is asked for is, file by file, what was installed.

    Only where that can be told from hashes: what is built is built to find out.
    """
    wheels = [_wheel(one) for one in selection.distributions]
    return (
        asked == now
        and now.mvenv == __version__
        and None not in wheels
        and wheels == [one.wheel for one in now.distributions]
    )


def _wheel(one: Chosen) -> str | None:
    if not isinstance(one.source, (IndexChoice, ArchiveChoice)):
        return None
    best = one.source.files[0]
    return best.sha256 if best.filename.endswith(".whl") else None
