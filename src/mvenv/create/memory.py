"""Plans that were made before: the same question has the same answer.

A plan follows from the bytes of the lockfile and of the project beside it, the
interpreter, the groups and extras, the places to look in, and this version's rules. So
it is remembered under a digest of all these, by the name of the record that the store
keeps of it anyhow.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from mvenv import __version__
from mvenv.create.decision import Decision, Terms
from mvenv.plan.model import Plan, PlannedBytecode
from mvenv.plan.record import load_plan
from mvenv.records import load_json, store_json
from mvenv.store.names import SYNCED, TREE
from mvenv.store.plans import recall_plan

__all__ = ["Question", "recall", "remember"]

_KIND = "ready"
_FORMAT = 1
_PROJECT = "pyproject.toml"


class Question:
    """All that decides a plan, as a digest. `OSError` where the lock is unreadable."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.lockfile_sha256 = _sha256(terms.lockfile)
        project = ""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            project = _sha256(self._project)
        words = (
            __version__,
            terms.lockfile.name,
            self.lockfile_sha256,
            project,
            repr(terms.target),
            repr(terms.groups),
            repr(terms.seed),
            terms.bytecode.value,
            repr(sorted(terms.bare.paths())),
            repr(sorted(terms.bare.folder_links().items())),
            *terms.places,
        )
        told = "\n".join(f"{len(word)} {word}" for word in words)
        self.sha256 = hashlib.sha256(
            told.encode("utf-8", "surrogateescape")
        ).hexdigest()

    @property
    def _project(self) -> Path:
        return self.terms.lockfile.parent / _PROJECT

    @property
    def inputs(self) -> tuple[Path, ...]:
        """Return the files whose bytes are in it, there or not."""
        return (self.terms.lockfile, self._project)

    @property
    def answer(self) -> Path:
        """Return where its answer is kept."""
        return self.terms.layout.ready / self.sha256


def recall(question: Question) -> Decision | None:
    """Return what was decided before; `None` where it is not known, or not ready.

    Ready is a plan whose wheels are in the store, flushed. Their files are checked one
    by one as they are linked.
    """
    value = load_json(question.answer, _KIND, _FORMAT)
    try:
        sha256, needed = str(value[0]), tuple((str(a), str(b)) for a, b in value[1])
    # Not there, or of another version.
    except (TypeError, ValueError, IndexError):
        return None
    layout = question.terms.layout
    record = recall_plan(layout, sha256)
    plan = load_plan(record, layout) if record is not None else None
    if record is None or plan is None:
        return None
    for wheel in plan.wheels:
        if not (wheel.shared and os.path.exists(f"{wheel.root}/{SYNCED}")):
            return None
    if plan.bytecode is not None and not _is_flushed(plan, plan.bytecode):
        return None
    return Decision(
        plan=plan,
        record=record,
        sha256=sha256,
        lockfile_sha256=question.lockfile_sha256,
        needed=needed,
    )


def remember(question: Question, decision: Decision, inputs: Iterable[Path]) -> None:
    """Keep a decision whose plan is in the store, if the question was all of it.

    ``inputs`` are the files that decided it. What comes from folders can be another
    thing the next time, and is decided anew; so is what the user was warned of.
    """
    whole = decision.lasting and set(inputs) <= set(question.inputs)
    if whole and all(wheel.shared for wheel in decision.plan.wheels):
        with contextlib.suppress(OSError):
            said = [decision.sha256, decision.needed]
            store_json(question.answer, _KIND, _FORMAT, said)


def _is_flushed(plan: Plan, bytecode: PlannedBytecode) -> bool:
    """Return whether all bytecode of a plan is in the store, and on the disk."""
    used = {group.source for group in bytecode.links}
    folders = (wheel.bytecode(bytecode.tag) for wheel in plan.wheels)
    return all(
        os.path.exists(f"{folder.removesuffix(TREE)}{SYNCED}")
        for folder in folders
        if any(source == folder or source.startswith(f"{folder}/") for source in used)
    )


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
