"""What ``doctor`` says: a line for each environment, then what was wrong in groups."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from mvenv.cli.words import in_words
from mvenv.diagnose.checks import CHECKS, check_named
from mvenv.diagnose.model import HealClass, Level
from mvenv.doctor.model import DoctorReport, Fate, Looked, Outcome

__all__ = ["list_checks", "tell"]

_SHOWN = 3
"""Paths or places of a group that are named without ``-v``."""
_HEADINGS = {
    Fate.HEALED: "healed",
    Fate.PLANNED: "would be healed",
    Fate.FAILED: "could not be healed",
    Fate.LEFT: "left",
    Fate.DRIFT: "left alone",
}


def tell(report: DoctorReport, *, verbose: bool, here: Path) -> str:
    """Return the lines a person reads: verdicts, what was wrong, what to do next."""
    lines = [_verdict(one, report, here) for one in report.environments]
    if report.store is not None:
        lines.append(_store_verdict(report.store, report, here))
    lines += [
        f"{_short(one.path, here)} · not checked: {one.reason}"
        for one in report.unchecked
    ]
    for fate, heading in _HEADINGS.items():
        groups = _grouped(one for one in report.outcomes if one.fate is fate)
        if groups:
            colour = _COLOURS[fate]
            lines += ["", click.style(f"{heading}:", fg=colour, bold=True)]
            for alike in _alike(groups):
                if len(alike) > _SHOWN and not verbose:
                    lines += _merged_lines(alike, here=here)
                    continue
                for group in alike:
                    lines += _group_lines(group, verbose=verbose, here=here)
    lines += _rescue_lines(report.outcomes, verbose=verbose)
    return "\n".join(lines)


def list_checks() -> str:
    """Return all checks: code, class, name, and what it means."""
    width = max(len(check.name) for check in CHECKS)
    lines = []
    scope = None
    for check in CHECKS:
        if check.scope is not scope:
            lines += ["", f"{check.scope.value}:"]
            scope = check.scope
        name = check.name.ljust(width)
        lines.append(f"  {check.code:<5}{check.heal.value}  {name}  {check.title}")
    lines += [
        "",
        f"{HealClass.PLAIN.value}: healed by `mvenv doctor`.",
        f"{HealClass.FIX.value}: healed with `--fix`; the present bytes are kept.",
        f"{HealClass.REPORT.value}: reported only.",
    ]
    return "\n".join(lines).lstrip("\n")


_COLOURS = {
    Fate.HEALED: "green",
    Fate.PLANNED: "cyan",
    Fate.FAILED: "red",
    Fate.LEFT: "red",
    Fate.DRIFT: "blue",
}


_LABELS = {Fate.HEALED: "done", Fate.FAILED: "why", Fate.DRIFT: "note"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """Findings of one kind, with one fate, of one distribution."""

    outcomes: tuple[Outcome, ...]

    @property
    def first(self) -> Outcome:
        return self.outcomes[0]


def _grouped(outcomes: Iterable[Outcome]) -> list[_Group]:
    groups: dict[tuple[object, ...], list[Outcome]] = {}
    for one in outcomes:
        finding = one.finding
        key = (finding.code, finding.where, finding.distribution, one.words)
        groups.setdefault(key, []).append(one)
    return [_Group(outcomes=tuple(some)) for some in groups.values()]


def _alike(groups: list[_Group]) -> list[list[_Group]]:
    """Return groups of one kind in one place together, in their order."""
    found: dict[tuple[str, Path], list[_Group]] = {}
    for group in groups:
        finding = group.first.finding
        found.setdefault((finding.code, finding.where), []).append(group)
    return list(found.values())


def _merged_lines(alike: list[_Group], *, here: Path) -> Iterator[str]:
    """Tell of many distributions with one trouble in a few lines."""
    outcomes = [one for group in alike for one in group.outcomes]
    finding = outcomes[0].finding
    check = check_named(finding.code)
    names = dict.fromkeys(
        one.finding.distribution or _place(one, here) for one in outcomes
    )
    noun = "distribution" if len(names) == 1 else "distributions"
    yield (
        f"  {finding.code} {check.name if check else ''} · {len(names):,} {noun}"
        f" · {_short(finding.where, here)}"
    )
    if len({one.finding.detail for one in outcomes}) == 1:
        yield f"    {finding.detail}"
    yield f"    {', '.join(_cut(list(names), verbose=False))}"
    hit = sorted({_short(user, here) for one in outcomes for user in one.finding.users})
    if hit:
        noun = "environment" if len(hit) == 1 else "environments"
        yield f"    hit: {len(hit):,} {noun}: {', '.join(_cut(hit, verbose=False))}"
    said = Counter(one.words for one in outcomes if one.words)
    if said:
        label = _LABELS.get(outcomes[0].fate, "next")
        words, number = said.most_common(1)[0]
        most = "" if number == len(outcomes) else " (most of them)"
        yield f"    {label}: {words}{most}"


def _verdict(looked: Looked, report: DoctorReport, here: Path) -> str:
    own = [
        one
        for one in report.outcomes
        if one.finding.where == looked.path or looked.path in one.finding.users
    ]
    return _line(_short(looked.path, here), looked, own, report.level)


def _store_verdict(looked: Looked, report: DoctorReport, here: Path) -> str:
    own = [one for one in report.outcomes if one.finding.where == looked.path]
    name = f"store {_short(looked.path, here)}"
    return _line(name, looked, own, report.level)


def _line(name: str, looked: Looked, own: list[Outcome], level: Level) -> str:
    if level is Level.FULL:
        # What an environment shares with the store is one file, and was read there.
        read = looked.bytes_hashed
        how = f"{looked.rehashed:,} files hashed, "
        how += in_words(read) if read else "as the environment's"
    else:
        by_stamp = looked.checked - looked.rehashed
        how = f"{by_stamp:,} files by stamp, {looked.rehashed:,} rehashed"
    return f"{name} · {_state(own)} · {how}"


def _state(own: list[Outcome]) -> str:
    words = []
    for fate, text in (
        (Fate.HEALED, "healed"),
        (Fate.PLANNED, "to heal"),
        (Fate.FAILED, "failed"),
        (Fate.LEFT, "left"),
    ):
        number = sum(one.fate is fate for one in own)
        if number:
            words.append(f"{number:,} {text}")
    drifted = sum(one.fate is Fate.DRIFT for one in own)
    if not words:
        return f"healthy, {drifted:,} of your own changes" if drifted else "healthy"
    faults = sum(one.fate is not Fate.DRIFT for one in own)
    noun = "fault" if faults == 1 else "faults"
    return f"{faults:,} {noun}: {', '.join(words)}"


def _group_lines(group: _Group, *, verbose: bool, here: Path) -> Iterator[str]:
    first = group.first
    finding = first.finding
    check = check_named(finding.code)
    title = check.name if check else ""
    number = len(group.outcomes)
    parts = [f"{finding.code} {title}"]
    if finding.distribution:
        parts.append(finding.distribution)
    if number > 1:
        parts.append(f"{number:,} files" if finding.path else f"{number:,} times")
    else:
        parts.append(_place(first, here))
    yield f"  {' · '.join(parts)}"
    details = dict.fromkeys(one.finding.detail for one in group.outcomes)
    if number > 1:
        names = [f"{_place(one, here)}: {one.finding.detail}" for one in group.outcomes]
        if len(details) == 1:
            names = [_place(one, here) for one in group.outcomes]
            yield f"    {finding.detail}"
        yield from (f"    {line}" for line in _cut(names, verbose=verbose))
    else:
        yield f"    {finding.detail}"
    hit = {user for one in group.outcomes for user in one.finding.users}
    if hit:
        names = sorted(_short(user, here) for user in hit)
        noun = "environment" if len(names) == 1 else "environments"
        named = ", ".join(_cut(names, verbose=verbose))
        yield f"    hit: {len(names):,} {noun}: {named}"
    if first.words:
        yield f"    {_LABELS.get(first.fate, 'next')}: {first.words}"
    if finding.remedy not in {None, first.words} and first.fate is not Fate.HEALED:
        yield f"    next: {finding.remedy}"


def _place(outcome: Outcome, here: Path) -> str:
    finding = outcome.finding
    if outcome.face is not None:
        return _short(outcome.face, here)
    place = finding.where / finding.path if finding.path else finding.where
    return re.sub(r"/([0-9a-f]{8})[0-9a-f]{56}", r"/\1…", _short(place, here))


def _cut(names: list[str], *, verbose: bool) -> list[str]:
    if verbose or len(names) <= _SHOWN + 1:
        return names
    return [*names[:_SHOWN], f"and {len(names) - _SHOWN:,} more (-v)"]


def _rescue_lines(outcomes: Iterable[Outcome], *, verbose: bool) -> Iterator[str]:
    rescued = dict.fromkeys(one for some in outcomes for one in some.rescued)
    if rescued:
        yield ""
        yield "kept, and how to bring it back:"
        commands = [one.command for one in rescued]
        yield from (f"  {line}" for line in _cut(commands, verbose=verbose))


def _short(path: Path, here: Path) -> str:
    if path == here:
        return "."
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
