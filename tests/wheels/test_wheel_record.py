"""RECORD, as rendered for an environment."""

from __future__ import annotations

import base64
import csv
import hashlib
import io

import pytest

from mvenv.errors import InvalidWheel
from mvenv.wheels.record import read_record, record_row

SITE = "lib/python3.12/site-packages"
PATHS = {
    "in site-packages": (f"{SITE}/demo/a.py", "demo/a.py"),
    "at its top": (f"{SITE}/demo.py", "demo.py"),
    "script": ("bin/demo", "../../../bin/demo"),
    "at the top of the environment": ("demo.txt", "../../../demo.txt"),
    "header": (
        "include/site/python3.12/demo/demo.h",
        "../../../include/site/python3.12/demo/demo.h",
    ),
    "beside site-packages": ("lib/python3.12/x.py", "../x.py"),
    "with the same beginning": (f"{SITE}-2/x.py", "../site-packages-2/x.py"),
    "comma": (f"{SITE}/a,b.py", "a,b.py"),
    "quotes": (f'{SITE}/a"b".py', 'a"b".py'),
    "unicode": (f"{SITE}/größe.py", "größe.py"),
    "space": (f"{SITE}/a b.py", "a b.py"),
}


@pytest.mark.parametrize(("path", "expected"), PATHS.values(), ids=PATHS)
def test_rows_read_back(path: str, expected: str) -> None:
    digest = hashlib.sha256(path.encode())

    text = record_row(path, digest.hexdigest(), 123, SITE)

    encoded = base64.urlsafe_b64encode(digest.digest()).decode().rstrip("=")
    assert text.endswith("\n")
    assert list(csv.reader(io.StringIO(text, newline=""))) == [
        [expected, f"sha256={encoded}", "123"]
    ]


def test_records_own_row_is_empty() -> None:
    path = f"{SITE}/demo-1.0.dist-info/RECORD"

    assert record_row(path, None, None, SITE) == "demo-1.0.dist-info/RECORD,,\n"


def test_what_is_rendered_is_read_as_itself() -> None:
    digest = "ab" * 32
    rows = [(f"{SITE}/{number},{number}.py", digest, number) for number in range(50)]

    text = "".join(record_row(*row, SITE) for row in rows)
    entries = read_record(text.encode(), "RECORD")

    assert list(entries) == [path.removeprefix(f"{SITE}/") for path, _, _ in rows]
    for number, entry in enumerate(entries.values()):
        assert not entry.differs(digest, number)
        assert entry.differs(digest, number + 1)
        assert entry.differs("cd" * 32, number)


def test_a_cell_that_never_ends_is_refused() -> None:
    with pytest.raises(InvalidWheel, match="cannot be read"):
        read_record(b'"' + b"a" * 200_000, "RECORD")
