"""Pictures of the benchmark suite: well-formed, to scale, complete."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from drawing import draw_all
from pictures import Amount, draw_bars, draw_lines, ticks
from results import Result

_SVG = "{http://www.w3.org/2000/svg}"


def _read(picture: str) -> ET.Element:
    return ET.fromstring(picture)  # noqa: S314 made here


def _texts(picture: str) -> list[str]:
    return [text.text or "" for text in _read(picture).iter(f"{_SVG}text")]


@pytest.mark.parametrize(
    ("most", "marks"),
    [
        (1.0, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0.43, [0, 0.1, 0.2, 0.3, 0.4, 0.5]),
        (30_000, [0, 10_000, 20_000, 30_000]),
        (0, [0, 1]),
    ],
)
def test_marks_are_round_and_reach_the_most(most: float, marks: list[float]) -> None:
    assert ticks(most) == pytest.approx(marks)


def test_bars_are_as_long_as_their_values() -> None:
    amounts = [
        Amount(name="mvenv", value=1.0, least=0.9, most=1.2),
        Amount(name="a & b", value=2.0, least=2.0, most=2.0),
    ]

    picture = draw_bars("time <s>", "s", amounts)

    bars = [one for one in _read(picture).iter(f"{_SVG}rect") if "x" in one.attrib]
    short, long = (float(bar.attrib["width"]) for bar in bars)
    assert long == pytest.approx(2 * short, abs=0.2)
    assert {"time <s>", "mvenv", "a & b", "1 s", "2 s"} <= set(_texts(picture))


def test_lines_go_through_their_points_in_order() -> None:
    line = [(100.0, 2.0), (50.0, 1.0)]

    picture = draw_lines("growth", ("files", "seconds"), {"mvenv": line})

    (drawn,) = _read(picture).iter(f"{_SVG}polyline")
    first, last = (
        tuple(map(float, point.split(","))) for point in drawn.attrib["points"].split()
    )
    assert first[0] < last[0]
    assert first[1] > last[1]
    assert {"growth", "files", "seconds", "mvenv"} <= set(_texts(picture))


def test_each_work_has_a_picture_and_each_growth_a_line() -> None:
    def result(work: str, contestant: str, **more: object) -> Result:
        return Result(
            work=work,
            file_system="ext4",
            workload="web",
            contestant=contestant,
            samples={"df": (5e6,)} if work == "bytes" else {"wall": (1.0, 2.0)},
            facts=more,
        )

    drawn = draw_all(
        [
            result("warm", "mvenv", files=10),
            result("warm", "uv", files=10),
            result("cold, bytecode", "mvenv"),
            result("store", "1,000 wheels", wheels=1000),
            result("store", "10 wheels", wheels=10),
            result("bytes", "mvenv", walls=[0.1, 0.2]),
        ]
    )

    assert set(drawn) == {
        "warm-ext4-web-wall",
        "cold-bytecode-ext4-web-wall",
        "store-ext4-web-wall",
        "bytes-ext4-web-df",
        "files-ext4",
        "wheels",
        "environments-web-ext4",
    }
    for picture in drawn.values():
        assert _read(picture).tag == f"{_SVG}svg"
