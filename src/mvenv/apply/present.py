"""What stands in an environment that is to be changed, and what was to stand there."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from mvenv.env.generations import (
    GENERATIONS,
    NEXT_PLAN,
    Journal,
    generation_folder,
    generation_receipt,
)
from mvenv.env.receipt import FOLDER, PLAN, Receipt
from mvenv.env.state import EnvironmentState, Standing
from mvenv.errors import EnvironmentFault
from mvenv.hashes import digest_bytes
from mvenv.link.probe import sweep_probes
from mvenv.plan.changes import Proof, Put
from mvenv.plan.model import Plan
from mvenv.plan.record import load_plan
from mvenv.plan.wanted import WantedFile
from mvenv.records import sweep_temporaries
from mvenv.store.layout import StoreLayout
from mvenv.store.plans import recall_plan

__all__ = [
    "Before",
    "as_before",
    "before_change",
    "find_plan",
    "next_plan",
    "receipt_of",
    "rescue_folder",
    "restored",
    "still_edited",
    "stored_put",
    "tidy",
]

_RESCUED = f"{FOLDER}/rescued"
_ID = re.compile(r"[0-9a-f]{16}")
"""Of an environment; it names a file in the store's registry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What an environment was when it was last whole."""

    receipt: Receipt
    plan: Plan
    record: bytes
    """The plan's."""


def receipt_of(state: EnvironmentState) -> Receipt:
    """Return the receipt; `EnvironmentFault` where it is no environment of ours.

    Or where it was moved, so that its scripts name another place.
    """
    if state.standing is not Standing.ENVIRONMENT:
        what = {
            Standing.ABSENT: "is not there",
            Standing.EMPTY: "is empty",
            Standing.HALF_BUILT: "was never finished",
            Standing.FOREIGN: "is not a virtual environment",
        }[state.standing]
        raise EnvironmentFault(
            f"`{state.path}` {what}", hint="make the environment with `mvenv create`"
        )
    receipt = state.receipt
    if receipt is None:
        raise EnvironmentFault(
            f"`{state.path}` has no receipt of mvenv that can be read",
            hint="`mvenv adopt` takes over what another tool made, `mvenv doctor`"
            " mends what is ours, `mvenv create --clear` makes it anew",
        )
    _check_own(state, receipt)
    if os.path.realpath(receipt.path) != os.path.realpath(state.place):
        raise EnvironmentFault(
            f"`{state.path}` was made as `{receipt.path}`, and moved or copied since",
            hint="`mvenv doctor --fix` lets it be at home here",
        )
    return receipt


def _check_own(state: EnvironmentState, receipt: Receipt) -> None:
    """Raise `EnvironmentFault` where our own folder would lead us elsewhere.

    Environments come with what people clone.
    """
    for name in (FOLDER, GENERATIONS, _RESCUED):
        if (state.place / name).is_symlink():
            raise EnvironmentFault(
                f"`{state.place / name}` is a link, and not a folder of its own",
                hint="`mvenv create --clear` makes the environment anew",
            )
    if not _ID.fullmatch(receipt.id):
        raise EnvironmentFault(
            f"the receipt of `{state.path}` was not written by mvenv",
            hint="`mvenv create --clear` makes the environment anew",
        )


def before_change(
    place: Path, receipt: Receipt, journal: Journal | None, layout: StoreLayout
) -> Before:
    """Return what the environment was, before the change in ``journal`` if any.

    `EnvironmentFault` where that is not known any more.
    """
    folders = [place]
    if journal is not None:
        kept = generation_receipt(place, journal.number)
        if kept is not None:
            receipt = kept
            folders.insert(0, generation_folder(place, journal.number))
    record, plan = find_plan(
        [folder / PLAN for folder in folders], receipt.plan, layout
    )
    if plan is None:
        raise EnvironmentFault(
            f"the plan of `{receipt.path}`, which says what it was made of, is lost",
            hint="`mvenv doctor` mends it, `mvenv create --clear` makes it anew",
        )
    return Before(receipt=receipt, plan=plan, record=record)


def find_plan(
    paths: Iterable[Path], sha256: str, layout: StoreLayout
) -> tuple[bytes, Plan | None]:
    """Return the plan with this sha256 from ``paths``, else from the store."""
    for content in (*_contents(paths), recall_plan(layout, sha256)):
        if content is not None and digest_bytes(content).sha256 == sha256:
            plan = load_plan(content, layout)
            if plan is not None:
                return content, plan
    return b"", None


def _contents(paths: Iterable[Path]) -> Iterator[bytes]:
    for path in paths:
        with contextlib.suppress(OSError):
            yield path.read_bytes()


def restored(
    place: Path, journal: Journal, wanted: dict[str, WantedFile]
) -> dict[str, WantedFile]:
    """Return what stood there before a change: the plan of then, and what differed."""
    was = {path: one for path, one in wanted.items() if path not in journal.absent}
    for one in journal.other:
        was[one.path] = WantedFile(
            path=one.path,
            sha256=one.sha256,
            size=one.size,
            mode=one.mode,
            mtime_ns=one.mtime_ns,
            source=str(place / one.place),
            sealed=None,
            content=None,
            shared=False,
            late=one.path.endswith(".pth"),
            owner=None,
        )
    return was


def tidy(place: Path) -> None:
    """Delete what killed runs left in our own folder; it is locked."""
    folder = place / FOLDER
    sweep_temporaries(folder)
    sweep_probes(folder)


def next_plan(place: Path, journal: Journal, layout: StoreLayout) -> Plan | None:
    """Return the plan that a change under way leads to, where it can be found."""
    return find_plan([place / NEXT_PLAN, place / PLAN], journal.plan, layout)[1]


def as_before(receipt: Receipt, now: Receipt) -> Receipt:
    """Return an older receipt as that of the environment as it is placed now."""
    return replace(
        receipt, id=now.id, path=now.path, identity=now.identity, store=receipt.store
    )


def still_edited(receipt: Receipt, plan: Plan) -> frozenset[str]:
    """Return the distributions of ``mvenv edit`` that ``plan`` leaves as they are."""
    wheels = {one.name: one.wheel for one in plan.distributions}
    return frozenset(
        one.name
        for one in receipt.distributions
        if one.name in receipt.edits and wheels.get(one.name, "") == one.wheel
    )


def rescue_folder(place: Path) -> Path:
    """Return a new name for a folder of rescued files, not there yet."""
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    return place / _RESCUED / f"{moment}-{secrets.token_hex(3)}"


def stored_put(wanted: WantedFile) -> Put | None:
    """Return how to put a file there from the store, or write it.

    `None` where its source is not what it must be.
    """
    if wanted.content is not None:
        return Put(
            wanted.path,
            wanted.sha256,
            wanted.size,
            wanted.mode,
            None,
            content=wanted.content,
        )
    if wanted.source is None or wanted.sealed is None:
        return None
    try:
        seen = os.lstat(wanted.source)
    except (FileNotFoundError, NotADirectoryError):
        return None
    found = (seen.st_mode, seen.st_mtime_ns, seen.st_size)
    if found != (stat.S_IFREG | wanted.sealed[0], wanted.sealed[1], wanted.size):
        return None
    return Put(
        wanted.path,
        wanted.sha256,
        wanted.size,
        wanted.mode,
        wanted.mtime_ns,
        source=wanted.source,
        # Whose file it is could rewrite it.
        link=wanted.shared and seen.st_uid == os.geteuid(),
        proof=Proof.STAMP,
        sealed=wanted.sealed,
    )
