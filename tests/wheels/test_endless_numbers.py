"""Numbers of more digits than Python turns into a number: refused, never a crash."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.wheels import WheelMaker
from mvenv.errors import InvalidWheel
from mvenv.wheels.unpack import unpack

INFO = "demo-1.0.dist-info"
DIGITS = "1" * 5000


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("METADATA", f"Metadata-Version: 2.1\nName: demo\nVersion: {DIGITS}\n"),
        ("WHEEL", f"Wheel-Version: {DIGITS}.0\n"),
        ("WHEEL", "Wheel-Version: ².0\n"),
        ("RECORD", f"demo.py,,{DIGITS}\n"),
        ("RECORD", "demo.py,,٣\n"),
    ],
    ids=["version", "format", "superscript", "size", "Arabic"],
)
def test_a_wheel(
    make_wheel: WheelMaker, tmp_path: Path, name: str, content: str
) -> None:
    wheel = make_wheel("demo", "1.0", {"demo.py": "x=1", f"{INFO}/{name}": content})
    with pytest.raises(InvalidWheel):
        unpack(
            wheel,
            filename=wheel.name,
            sha256="0" * 64,
            destination=tmp_path / "tree",
            boot_id="",
            moment=0,
        )

    assert not (tmp_path / "tree").exists()
