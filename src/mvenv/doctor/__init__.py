"""``mvenv doctor``: find what is broken, heal what may be, and say what became of it.

Read from top to bottom: choose, look, plan, heal, tell. Looking never writes; what is
wrong is healed only from bytes that were hashed in this run, after what was there has
been kept.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from mvenv.diagnose.model import Finding
from mvenv.diagnose.store import writable_fault
from mvenv.doctor.choosing import choose
from mvenv.doctor.healing import QUIETLY, Healing
from mvenv.doctor.looking import Seen, in_use, look, users_of
from mvenv.doctor.means import Means
from mvenv.doctor.model import DoctorReport, DoctorRequest, Fate, Outcome
from mvenv.doctor.remembering import remember
from mvenv.doctor.sources import Sources
from mvenv.doctor.steps import new_rescue
from mvenv.doctor.whole import REWRITTEN
from mvenv.progress import Reporter
from mvenv.store.entries import WheelStore
from mvenv.store.layout import StoreLayout, open_layout
from mvenv.store.runs import RunFolder

__all__ = ["doctor"]


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
        remember(layout, seen.scrubbed, seen.findings)
    places = _to_look_at_again(seen, outcomes)
    if not places:
        return [seen], outcomes
    second = _look(request, layout, places)
    known = {_name(one.finding) for one in outcomes}
    more = [one for one in second.findings if _name(one) not in known]
    seen.looked = [one for one in seen.looked if one.path not in places]
    seen.looked += second.looked
    return [seen], outcomes + _heal(request, layout, second, more, reporter)


def _to_look_at_again(seen: Seen, outcomes: Sequence[Outcome]) -> list[Path]:
    healed = [one.finding for one in outcomes if one.fate is Fate.HEALED]
    places = [one.where for one in healed if one.code in _AGAIN]
    keys = {one.wheel for one in healed if one.code == "F40"}
    places += [
        subject.place
        for subject in seen.subjects
        if subject.plan is not None
        and any(wheel.key in keys for wheel in subject.plan.wheels)
    ]
    return list(dict.fromkeys(places))


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
    with _scratch(request, layout, findings) as run, in_use(layout):
        users = users_of(layout, seen.subjects)
        store = WheelStore(layout, seal=request.seal)
        sources = Sources(
            store, users, run=run, settings=request.fetch, reporter=reporter
        )
        means = Means(
            store=store,
            users=users,
            sources=sources,
            run=run,
            rescue=new_rescue(layout.rescued),
        )
        healing = Healing(
            request=request,
            means=means,
            subjects=tuple(seen.subjects),
            reporter=reporter,
        )
        healing.heal(findings)
        if request.writes:
            healing.flush()
        return healing.outcomes


@contextlib.contextmanager
def _scratch(
    request: DoctorRequest, layout: StoreLayout, findings: Sequence[Finding]
) -> Iterator[RunFolder | None]:
    """Give a scratch folder in the store, which is made again where it is lost.

    None where nothing may be written, or where nothing is to be healed.
    """
    needed = request.writes and any(
        not one.drift or one.code in QUIETLY or request.restore for one in findings
    )
    if not needed or writable_fault(layout) is not None:
        yield None
        return
    with RunFolder(open_layout(layout.root)) as run:
        yield run
