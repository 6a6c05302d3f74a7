"""What the benchmark suite makes of samples: medians, ratios, bars, a table."""

from __future__ import annotations

import json

import pytest

from measuring import Run
from results import BARS, UNITS, Result, Row, judge, print_rows, to_json


def _result(contestant: str, *walls: float, work: str = "warm") -> Result:
    return Result(
        work=work,
        file_system="ext4",
        workload="web",
        contestant=contestant,
        samples={"wall": walls},
    )


def _row(rows: list[Row], contestant: str) -> Row:
    return next(row for row in rows if row.result.contestant == contestant)


def test_the_first_contestant_is_compared_with_each_by_medians() -> None:
    rows = judge([_result("mvenv", 9.0, 2.0, 1.0), _result("cp -a", 4.0, 3.0, 99.0)])

    assert _row(rows, "mvenv").ratio == 1.0
    assert _row(rows, "cp -a").ratio == 0.5


@pytest.mark.parametrize(("wall", "met"), [(0.8, True), (0.81, False)])
def test_a_bar_is_met_up_to_its_figure(wall: float, met: bool) -> None:
    rows = judge([_result("mvenv", wall), _result("uv", 1.0)])

    assert _row(rows, "uv").met is met
    assert _row(rows, "mvenv").met is None


def test_a_bar_holds_for_its_own_work_workload_and_file_system_alone() -> None:
    other = _result("uv", 1.0, work="import")

    assert all(row.bar is None for row in judge([_result("mvenv", 1.0), other]))


def test_works_are_not_compared_with_each_other() -> None:
    rows = judge(
        [
            _result("mvenv", 1.0),
            _result("mvenv", 3.0, work="import"),
            _result("uv", 2.0, work="import"),
        ]
    )

    assert [row.ratio for row in rows] == [1.0, 1.0, 1.5]


def test_of_what_takes_nothing_there_is_no_ratio_to_fear() -> None:
    rows = judge([_result("mvenv", 0.0), _result("uv", 0.0)])

    assert _row(rows, "uv").ratio == 1.0


def test_memory_is_shown_where_it_is_the_matter() -> None:
    run = Run(wall=1.0, user=0.5, system=0.5, memory=30_000_000)
    results = [
        Result.of_runs(work, ("ext4", "science"), "mvenv", [run])
        for work in ("warm", "cold")
    ]

    shown = {(row.result.work, row.measure) for row in judge(results)}

    assert shown == {("warm", "wall"), ("cold", "wall"), ("cold", "memory")}


def test_every_bar_is_of_a_measure_that_is_shown() -> None:
    assert {bar.measure for bar in BARS} <= set(UNITS)


def test_the_table_has_the_bar_and_whether_it_is_met(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_rows(judge([_result("mvenv", 0.9, 1.0, 1.3), _result("uv", 1.0)]))

    head, _, ours, theirs = capsys.readouterr().out.splitlines()
    assert [cell.strip() for cell in head.split("|")[1:5]] == [
        "work",
        "contestant",
        "measure",
        "median",
    ]
    assert [cell.strip() for cell in ours.split("|")[4:7]] == [
        "1.000",
        "0.900",
        "1.300",
    ]
    assert [cell.strip() for cell in theirs.split("|")[7:10]] == [
        "1.000",
        "<= 0.8",
        "NOT MET",
    ]


def test_all_samples_are_kept() -> None:
    (kept,) = json.loads(json.dumps(to_json([_result("mvenv", 1.0, 2.0)])))

    assert kept["samples"] == {"wall": [1.0, 2.0]}
    assert kept["contestant"] == "mvenv"
