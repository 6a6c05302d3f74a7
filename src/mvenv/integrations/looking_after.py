"""A quick look at an environment before it is used, and healing what may be healed."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from mvenv.diagnose.model import Level
from mvenv.doctor import doctor
from mvenv.doctor.model import DoctorRequest, Fate, Outcome
from mvenv.env.state import observe
from mvenv.errors import Busy
from mvenv.installing.notes import Notes
from mvenv.integrations.words import LogReporter
from mvenv.store.layout import StoreLayout
from mvenv.store.runs import sweep_runs
from mvenv.surroundings import Surroundings

__all__ = ["look_after"]

_WRONG = (Fate.LEFT, Fate.FAILED)
_SHOWN = 3


def look_after(
    folder: Path, said: Surroundings, notes: Notes | None = None
) -> tuple[str, str]:
    """Look at an environment, and heal it; return what was healed and what is wrong.

    Each as one line, empty where there is nothing to say. What the user did on purpose
    is neither. `MvenvError` where it cannot be looked at. What killed runs left in the
    store is deleted. ``notes`` are those by which something is going to be installed:
    where an environment has outlived them, that would take out what they had.
    """
    sweep_runs(StoreLayout(said.store))
    report = doctor(_request(folder, said), LogReporter(detailed=False))
    for one in report.unchecked:
        if one.busy:
            raise Busy(f"`{one.path}` is in use: {one.reason}")
        return "", one.reason
    if notes is not None and _has_outlived(folder, notes):
        return "", "what mvenv noted of it, so as to know what is installed, is gone"
    healed = [one for one in report.outcomes if one.fate is Fate.HEALED]
    wrong = [one for one in report.outcomes if one.fate in _WRONG]
    return (
        f"healed by mvenv: {_named(healed)}" if healed else "",
        _named(wrong) if wrong else "",
    )


def _has_outlived(folder: Path, notes: Notes) -> bool:
    if notes.are_there():
        return False
    receipt = observe(folder).receipt
    if receipt is None or receipt.lockfile is None:
        return False
    # Those of another folder of notes, for one environment that two work on.
    others = notes.is_like(receipt.lockfile) and not os.path.exists(receipt.lockfile)
    return others or receipt.lockfile == str(notes.lockfile)


def _request(folder: Path, said: Surroundings) -> DoctorRequest:
    return DoctorRequest(
        folders=(folder,),
        start=folder,
        active=None,
        every=False,
        whole_store=False,
        level=Level.QUICK,
        check=False,
        dry_run=False,
        fix=False,
        restore=False,
        only=frozenset(),
        store=Path(said.store),
        store_chosen=False,
        fetch=said.fetch,
        environ=said.environ,
        seal=said.seal,
        behind=False,
    )


def _named(outcomes: Iterable[Outcome]) -> str:
    said = []
    for one in outcomes:
        where = one.finding.path or str(one.finding.where)
        said.append(f"{where} {one.finding.detail}")
    more = f" and {len(said) - _SHOWN} more" if len(said) > _SHOWN else ""
    return "; ".join(said[:_SHOWN]) + more
