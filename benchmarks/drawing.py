"""Which pictures are drawn of which results."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from pictures import Amount, Point, draw_bars, draw_lines
from results import UNITS, Result

__all__ = ["draw_all"]

_TITLES = {"wall": "time", "df": "bytes by df", "blocks": "bytes by allocated blocks"}


def draw_all(results: Iterable[Result]) -> dict[str, str]:
    """Return pictures by file name: bars of each work, and lines where one grows."""
    results = list(results)
    return {**_bars(results), **_by_files(results), **_by_number(results)}


def _bars(results: list[Result]) -> dict[str, str]:
    pictures = {}
    for key, group in groupby(
        results, lambda one: (one.work, one.file_system, one.workload)
    ):
        those = list(group)
        for measure, title in _TITLES.items():
            shown = [one for one in those if measure in one.samples]
            if shown:
                slug = "-".join((*key, measure)).replace(", ", "-")
                pictures[slug] = draw_bars(
                    f"{key[0]}: {key[2]}, {key[1]}, {title}",
                    UNITS[measure][0],
                    [_amount(one, measure) for one in shown],
                )
    return pictures


def _amount(result: Result, measure: str) -> Amount:
    scale = UNITS[measure][1]
    samples = result.samples[measure]
    return Amount(
        name=result.contestant,
        value=result.median(measure) / scale,
        least=min(samples) / scale,
        most=max(samples) / scale,
    )


def _by_files(results: list[Result]) -> dict[str, str]:
    """Return time against the number of files, for each file system."""
    series: dict[str, dict[str, list[Point]]] = {}
    for one in results:
        if "files" in one.facts:
            lines = series.setdefault(one.file_system, {})
            point = (float(one.facts["files"]), one.median("wall"))
            lines.setdefault(one.contestant, []).append(point)
    axes = ("files of wheels", "seconds")
    return {
        f"files-{kind}": draw_lines(f"warm create by files, {kind}", axes, lines)
        for kind, lines in series.items()
    }


def _by_number(results: list[Result]) -> dict[str, str]:
    """Return time against the number of environments, and of wheels in the store."""
    pictures = {}
    stores: dict[str, list[Point]] = {}
    many: dict[str, dict[str, list[Point]]] = {}
    for one in results:
        if "wheels" in one.facts:
            point = (float(one.facts["wheels"]), one.median("wall"))
            stores.setdefault("mvenv", []).append(point)
        if "walls" in one.facts:
            walls = enumerate(one.facts["walls"], 1)
            line = [(float(number), float(wall)) for number, wall in walls]
            place = f"{one.workload}-{one.file_system}"
            many.setdefault(place, {})[one.contestant] = line
    if stores:
        axes = ("wheels in the store", "seconds")
        pictures["wheels"] = draw_lines("warm create by wheels", axes, stores)
    for place, lines in many.items():
        axes = ("environments made before, and this one", "seconds")
        title = f"the next environment, {place}"
        pictures[f"environments-{place}"] = draw_lines(title, axes, lines)
    return pictures
