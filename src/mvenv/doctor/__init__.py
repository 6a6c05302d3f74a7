"""``mvenv doctor``: find what is broken, heal what may be, and say what became of it.

Read from top to bottom: choose, look, plan, heal, tell. Looking never writes; what is
wrong is healed only from bytes that were hashed in this run, after what was there has
been kept.
"""

from __future__ import annotations

import time
from collections.abc import Container, Sequence
from pathlib import Path

from mvenv.collector import collector_at_work, collector_held
from mvenv.diagnose.model import Finding
from mvenv.doctor.choosing import choose
from mvenv.doctor.identity import REWRITTEN
from mvenv.doctor.looking import Seen, look
from mvenv.doctor.model import DoctorReport, DoctorRequest, Fate, Outcome
from mvenv.doctor.remembering import remember
from mvenv.progress import Reporter
from mvenv.store.layout import StoreKey, StoreLayout

__all__ = ["doctor"]


# Until the plans are given back too: else all of them are gone through at its end.
@collector_held()
def doctor(request: DoctorRequest, reporter: Reporter) -> DoctorReport:
    """Look at environments and the store behind them, and heal what may be healed.

    `UsageError` where there is nothing to look at; `Busy` where another mvenv holds
    what is to be healed. What cannot be looked at is told in the report.
    """
    started = time.monotonic()
    chosen = choose(request)
    seen: list[Seen] = []
    outcomes: list[Outcome] = []
    for store, places in chosen.by_store.items():
        rounds, became = _attend(request, StoreLayout(store), places, reporter)
        seen += rounds
        outcomes += became
    first = next((one.store for one in seen if one.store is not None), None)
    return DoctorReport(
        environments=tuple(looked for one in seen for looked in one.looked),
        store=first,
        outcomes=tuple(outcomes),
        unchecked=(
            *chosen.unchecked,
            *(one for some in seen for one in some.unchecked),
        ),
        level=request.level,
        seconds=time.monotonic() - started,
    )


def _attend(
    request: DoctorRequest,
    layout: StoreLayout,
    places: Sequence[Path],
    reporter: Reporter,
) -> tuple[list[Seen], list[Outcome]]:
    """Look at one store and its environments, and heal them.

    Some are looked at once more when something of theirs is there again: their own
    records, or a wheel that they can share.
    """
    seen = _look(request, layout, places)
    outcomes = _heal(request, layout, seen, seen.findings, reporter)
    if request.writes:
        remember(layout, seen.scrubbed, seen.findings, seen.unseen)
    places = _to_look_at_again(seen, outcomes)
    if not places:
        return [seen], outcomes
    second = _look(request, layout, places)
    second.findings += _apart(second, _stored_anew(outcomes))
    known = {_name(one.finding) for one in outcomes}
    more = [one for one in second.findings if _name(one) not in known]
    seen.looked = [one for one in seen.looked if one.path not in places]
    seen.looked += second.looked
    return [seen], outcomes + _heal(request, layout, second, more, reporter)


def _to_look_at_again(seen: Seen, outcomes: Sequence[Outcome]) -> list[Path]:
    healed = [one.finding for one in outcomes if one.fate is Fate.HEALED]
    places = [one.where for one in healed if one.code in _AGAIN]
    keys = _stored_anew(outcomes)
    places += [
        subject.place
        for subject in seen.subjects
        if subject.plan is not None
        and any(wheel.key in keys for wheel in subject.plan.wheels)
    ]
    return list(dict.fromkeys(places))


def _stored_anew(outcomes: Sequence[Outcome]) -> frozenset[StoreKey]:
    """Return the wheels that were lost, and are there again."""
    healed = [one.finding for one in outcomes if one.fate is Fate.HEALED]
    keys = (one.wheel for one in healed if one.code == "F40")
    return frozenset(key for key in keys if key is not None)


def _apart(seen: Seen, keys: Container[StoreKey]) -> list[Finding]:
    """Find what is shared, but not with the store; not by a look at the link count."""
    from mvenv.diagnose.apart import find_apart

    return [
        finding
        for subject, examination in seen.scrubbed
        for finding in find_apart(subject, examination, keys)
    ]


def _name(finding: Finding) -> tuple[str, Path, str | None]:
    return (finding.code, finding.where, finding.path)


_AGAIN = frozenset({"F28", "F34", "F36"}) | REWRITTEN


def _look(request: DoctorRequest, layout: StoreLayout, places: Sequence[Path]) -> Seen:
    return look(
        layout,
        places,
        request.level,
        whole_store=request.whole_store or request.every,
        scrubs=request.writes,
        behind=request.behind,
    )


def _heal(
    request: DoctorRequest,
    layout: StoreLayout,
    seen: Seen,
    findings: Sequence[Finding],
    reporter: Reporter,
) -> list[Outcome]:
    if not findings:
        return []
    # Most looks find nothing, and take less time than this import.
    from mvenv.doctor.treatment import treat

    with collector_at_work():
        return treat(request, layout, seen.subjects, findings, reporter)
