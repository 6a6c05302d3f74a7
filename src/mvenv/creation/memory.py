"""Plans that were made before: the same question has the same answer.

A plan follows from the bytes of the lockfile and of the project beside it, the
interpreter, the groups and extras, the places to look in, and this version's rules. So
it is remembered under a digest of all these, by the name of the record that the store
keeps of it anyhow.

What comes from a folder is never remembered, the project itself least of all: its back
end may read any file, or ask a repository for the version, and nobody knows which.
"""

from __future__ import annotations

import contextlib
import os

from mvenv import __version__
from mvenv.apply.recipe import keep_recipe, recall_recipe
from mvenv.creation.decision import Decision, Needed, Terms
from mvenv.hashes import sha256_bytes
from mvenv.paths import parent_of, read_bytes
from mvenv.records import load_json, store_json
from mvenv.store.plans import ANSWER
from mvenv.values import NamedTuple
from mvenv.workers import processors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from mvenv.paths import StrPath

__all__ = ["Question", "recall", "remember"]

_PROJECT = "pyproject.toml"


class Question:
    """All that decides a plan, as a digest. `OSError` where the lock is unreadable."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.lockfile_sha256: str | None = None
        self.digests: frozenset[tuple[str, str]] = frozenset()
        read: tuple[str, ...] = ()
        if terms.lockfile is not None:
            read = self._read(terms.lockfile)
        words = (
            __version__,
            repr(read),
            repr(terms.target),
            repr(terms.groups),
            repr((terms.bundled_seeds, *_seeds(terms))),
            terms.bytecode.value,
            repr(sorted(terms.bare.paths())),
            repr(sorted(terms.bare.folder_links().items())),
            *terms.places,
        )
        told = "\n".join(f"{len(word)} {word}" for word in words)
        self.sha256 = sha256_bytes(told.encode("utf-8", "surrogateescape"))

    def _read(self, lockfile: str) -> tuple[str, ...]:
        """Put down digests of what is read, and return what they decide."""
        self.lockfile_sha256 = _sha256(lockfile)
        beside = os.path.join(parent_of(lockfile), _PROJECT)
        project = ""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            project = _sha256(beside)
        self.digests = frozenset({(lockfile, self.lockfile_sha256), (beside, project)})
        return (os.path.basename(lockfile), self.lockfile_sha256, project)

    @property
    def answer(self) -> str:
        """Return where its answer is kept."""
        return os.path.join(self.terms.layout.ready_text, self.sha256)


def _seeds(terms: Terms) -> tuple[str, ...]:
    if not terms.seeds:
        return ()
    from mvenv.env.seeds import seed_identity

    return seed_identity(terms.target, terms.seeds)


class _Answer(NamedTuple):
    """What is kept of a decision."""

    plan: str
    """sha256 of its record."""
    folder: str
    """Of the lockfile, where what follows speaks of paths beside it; else empty."""
    needed: tuple[Needed, ...]
    warnings: tuple[str, ...]


def recall(question: Question) -> Decision | None:
    """Return what was decided before; `None` where it is not known, or not ready.

    Ready is a plan whose wheels are in the store, flushed. Their files are checked one
    by one as they are linked.
    """
    answer = _read(question.answer)
    if answer is None or answer.folder not in {"", _folder(question)}:
        return None
    recipe = recall_recipe(question.terms.layout, answer.plan)
    if recipe is None:
        return None
    return Decision(
        recipe=recipe,
        record=None,
        sha256=answer.plan,
        lockfile_sha256=question.lockfile_sha256,
        needed=answer.needed,
        warnings=answer.warnings,
    )


def remember(
    question: Question, decision: Decision, digests: Iterable[tuple[StrPath, str]]
) -> None:
    """Keep a decision whose plan is in the store, if the question was all of it.

    ``digests`` are the files that decided it, as they were read: one can have been
    replaced since the question was put. What comes from folders can be another thing
    the next time, and is decided anew.
    """
    whole = decision.lasting and question.digests.issuperset(
        (os.fspath(path), sha256) for path, sha256 in digests
    )
    if whole and all(one.shared for one in decision.recipe.distributions):
        beside = decision.needed or decision.warnings
        answer = _Answer(
            decision.sha256,
            _folder(question) if beside else "",
            decision.needed,
            decision.warnings,
        )
        if decision.plan is not None:
            layout = question.terms.layout
            keep_recipe(layout, decision.plan, decision.sha256, processes=processors())
        with contextlib.suppress(OSError):
            store_json(question.answer, *ANSWER, answer)


def _folder(question: Question) -> str:
    lockfile = question.terms.lockfile
    return "" if lockfile is None else parent_of(lockfile)


def _read(path: str) -> _Answer | None:
    """Return an answer, or `None`: not there, damaged, or not as we would write it.

    A checksum keeps accidents away, and nothing else.
    """
    try:
        if os.stat(path).st_size > _LONGEST:
            return None
    except OSError:
        return None
    value = load_json(path, *ANSWER)
    try:
        plan, folder, needed, warnings = value
        answer = _Answer(
            plan,
            folder,
            tuple((what, place) for what, place in needed),
            tuple(warnings),
        )
    except (TypeError, ValueError):
        return None
    words: list[Any] = [plan, folder, *answer.warnings]
    words += [word for pair in answer.needed for word in pair]
    if all(map(_is_text, words)) and _is_digest(plan):
        return answer
    return None


def _is_text(word: Any) -> bool:
    """Return whether it is text that can be a path; the system knows no NUL in one."""
    if not isinstance(word, str) or "\0" in word:
        return False
    try:
        os.fsencode(word)
    except UnicodeEncodeError:
        return False
    return True


def _sha256(path: str) -> str:
    return sha256_bytes(read_bytes(path))


def _is_digest(text: str) -> bool:
    return len(text) == _DIGEST_LENGTH and not text.strip("0123456789abcdef")


_DIGEST_LENGTH = 64
_LONGEST = 1 << 20
"""Bytes; each file beside a lockfile takes some hundred."""
