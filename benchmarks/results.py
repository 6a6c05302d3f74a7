"""What was measured, as values: samples of contestants, and what bars say of them."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from measuring import Run, table

__all__ = ["BARS", "UNITS", "Bar", "Result", "Row", "judge", "print_rows", "to_json"]

UNITS = {
    "wall": ("s", 1.0),
    "memory": ("MB", 1e6),
    "together": ("MB", 1e6),
    "blocks": ("MB", 1e6),
    "df": ("MB", 1e6),
}
"""For each measure how it is shown, and by what its samples are divided for that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The samples of one contestant at one work."""

    work: str
    file_system: str
    workload: str
    contestant: str
    samples: Mapping[str, tuple[float, ...]]
    """By measure: seconds and bytes."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What else is to be known, such as the number of files."""

    @classmethod
    def of_runs(
        cls, work: str, where: tuple[str, str], contestant: str, runs: Sequence[Run]
    ) -> Result:
        """Return the result of timed runs, on a file system with a workload."""
        names = ("wall", "user", "system", "memory")
        return cls(
            work=work,
            file_system=where[0],
            workload=where[1],
            contestant=contestant,
            samples={
                name: tuple(float(getattr(run, name)) for run in runs) for name in names
            },
        )

    def median(self, measure: str) -> float:
        """Return the middle one of the samples."""
        return statistics.median(self.samples[measure])


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """How much the first contestant of a work may take, as a part of another's."""

    work: str
    contestant: str
    """The other one."""
    most: float
    workloads: tuple[str, ...]
    file_systems: tuple[str, ...] = ("ext4",)
    measure: str = "wall"

    def applies(self, result: Result, measure: str) -> bool:
        """Return whether ``result`` is the other one."""
        return (
            (self.work, self.contestant, self.measure)
            == (result.work, result.contestant, measure)
            and result.workload in self.workloads
            and result.file_system in self.file_systems
        )


_LARGE = ("web", "science")
_SCIENCE = ("science",)
BARS = (
    Bar(work="warm", contestant="uv", most=0.8, workloads=_LARGE),
    Bar(work="warm", contestant="cp -al", most=0.6, workloads=_LARGE),
    Bar(work="warm", contestant="C, links alone", most=1.3, workloads=_LARGE),
    Bar(work="warm", contestant="uv", most=1.5, workloads=("small",)),
    Bar(
        work="warm",
        contestant="uv",
        most=0.8,
        workloads=("web",),
        file_systems=("xfs", "btrfs"),
    ),
    Bar(work="bytecode", contestant="uv, compiling", most=0.05, workloads=_SCIENCE),
    Bar(work="import", contestant="uv", most=0.5, workloads=_SCIENCE),
    Bar(work="installers", contestant="pip", most=0.03, workloads=_SCIENCE),
    Bar(work="installers", contestant="Poetry", most=0.03, workloads=_SCIENCE),
    Bar(work="cold", contestant="uv", most=1.3, workloads=_LARGE),
    Bar(work="cold, bytecode", contestant="uv, compiling", most=1.0, workloads=_LARGE),
    Bar(work="bytes", contestant="uv", most=1.1, workloads=_SCIENCE, measure="blocks"),
    Bar(
        work="bytes",
        contestant="uv",
        most=1.1,
        workloads=_SCIENCE,
        file_systems=("ext4", "xfs", "btrfs"),
        measure="df",
    ),
    Bar(work="store", contestant="10 wheels", most=1.1, workloads=("small",)),
    *(
        Bar(work=work, contestant=uv, most=1.5, workloads=_SCIENCE, measure=measure)
        for work, uv, measure in (
            ("memory", "uv", "memory"),
            ("memory", "uv", "together"),
            ("cold", "uv", "memory"),
            ("cold, bytecode", "uv, compiling", "memory"),
        )
    ),
)
"""The bars of issue 4. Memory: a warm create, and a cold one, by both counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One contestant's median, and how the first contestant compares with it."""

    result: Result
    measure: str
    ratio: float
    """The first contestant's median divided by this one's."""
    bar: Bar | None

    @property
    def met(self) -> bool | None:
        """Return whether the bar is met; None where there is none."""
        return None if self.bar is None else self.ratio <= self.bar.most


def judge(results: Iterable[Result]) -> list[Row]:
    """Compare each contestant with the first of the same work, place and workload."""
    first: dict[tuple[str, str, str], Result] = {}
    rows = []
    for result in results:
        group = (result.work, result.file_system, result.workload)
        ours = first.setdefault(group, result)
        for measure in UNITS.keys() & result.samples.keys():
            theirs = result.median(measure)
            bars = (bar for bar in BARS if bar.applies(result, measure))
            rows.append(
                Row(
                    result=result,
                    measure=measure,
                    ratio=ours.median(measure) / theirs if theirs else 1.0,
                    bar=next(bars, None),
                )
            )
    # Memory is told of all, and shown where it is the matter.
    matters = (row for row in rows if row.measure != "memory" or _of_memory(row))
    return sorted(matters, key=lambda row: list(UNITS).index(row.measure))


def _of_memory(row: Row) -> bool:
    return row.result.work.startswith(("memory", "cold"))


def print_rows(rows: Sequence[Row]) -> None:
    """Print one table of all."""
    words = {True: "met", False: "NOT MET", None: ""}
    head = ["work", "contestant", "measure", "median"]
    head += ["fastest, least", "slowest, most", "mvenv / this", "bar", ""]
    lines = []
    for row in rows:
        one = row.result
        unit, scale = UNITS[row.measure]
        digits = 3 if unit == "s" else 1
        samples = one.samples[row.measure]
        shown = (one.median(row.measure), min(samples), max(samples))
        lines.append(
            [
                f"{one.work}: {one.workload}, {one.file_system}",
                one.contestant,
                f"{row.measure}, {unit}",
                *(f"{value / scale:,.{digits}f}" for value in shown),
                f"{row.ratio:.3f}",
                f"<= {row.bar.most}" if row.bar else "",
                words[row.met],
            ]
        )
    print(table(head, lines))


def to_json(results: Iterable[Result]) -> list[dict[str, Any]]:
    """Return all samples, the order of the results kept."""
    return [asdict(result) for result in results]
