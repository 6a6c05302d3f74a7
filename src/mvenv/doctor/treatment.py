"""Heal what was found in one store and its environments."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from mvenv.diagnose.model import Finding
from mvenv.diagnose.store import writable_fault
from mvenv.diagnose.subject import Subject
from mvenv.doctor.healing import QUIETLY, Healing
from mvenv.doctor.looking import in_use, users_of
from mvenv.doctor.means import Means
from mvenv.doctor.model import DoctorRequest, Outcome
from mvenv.doctor.sources import Sources
from mvenv.doctor.steps import new_rescue
from mvenv.progress import Reporter
from mvenv.store.entries import WheelStore
from mvenv.store.layout import StoreLayout, open_layout
from mvenv.store.runs import RunFolder

__all__ = ["treat"]


def treat(
    request: DoctorRequest,
    layout: StoreLayout,
    subjects: Sequence[Subject],
    findings: Sequence[Finding],
    reporter: Reporter,
) -> list[Outcome]:
    """Heal what may be healed, or find out what would be; one outcome a finding."""
    with _scratch(request, layout, findings) as run, in_use(layout):
        users = users_of(layout, subjects)
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
            subjects=tuple(subjects),
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
    # A damaged FORMAT is healed like the rest; to open the store it must be right.
    damaged = (layout.root / "FORMAT").exists() and any(
        one.code == "F47" and one.path == "FORMAT" for one in findings
    )
    with RunFolder(layout if damaged else open_layout(layout.root)) as run:
        yield run
