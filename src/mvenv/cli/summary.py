"""What ``create`` says at its end."""

from __future__ import annotations

from mvenv.cli.words import in_words, shortest
from mvenv.creation import Created
from mvenv.link.modes import LinkMode

__all__ = ["summarise"]

_NOUNS = {
    LinkMode.REFLINK: "reflinks",
    LinkMode.HARDLINK: "hard links",
    LinkMode.COPY: "copies",
}


def summarise(created: Created) -> str:
    """Return the lines a person reads: what, how, how much, how long."""
    tally = created.tally
    ways = [
        f"{count:,} {_NOUNS[mode]}" for mode in LinkMode if (count := tally.files[mode])
    ]
    ways.append(f"{created.private_files:,} private files")
    packages = _count(len(created.distributions), "package")
    room = [
        f"{in_words(created.shared_bytes)} shared with the store",
        f"{in_words(created.new_bytes)} new",
    ]
    if created.stored_bytes:
        room.append(f"{in_words(created.stored_bytes)} added to the store")
    where = shortest(created.path)
    lines = [
        f"created {where} · CPython {created.version} · {created.seconds:.2f} s",
        f"  {packages} ({_fetched(created)}) · {' · '.join(ways)}",
        f"  {' · '.join(room)}",
    ]
    lines += [
        f"  no {_NOUNS[one.mode]}: {one.reason}"
        for one in created.passed_over
        if one.mode is not LinkMode.REFLINK or tally.files[LinkMode.COPY]
    ]
    lines += [
        f"  {path}: {winner} has it, {', '.join(losers)} had it too"
        for path, winner, losers in created.conflicts
    ]
    return "\n".join(lines)


def _fetched(created: Created) -> str:
    parts = []
    if created.fetched:
        parts.append(f"{created.fetched} fetched")
    if created.built:
        parts.append(f"{created.built} built")
    return ", ".join(parts) or "all from the store"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
