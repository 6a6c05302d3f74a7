"""Wheels that are refused: each with its reason, and nothing left behind."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest

from mvenv.errors import InvalidWheel
from mvenv.wheels.archive import WheelArchive
from mvenv.wheels.unpack import unpack
from wheels.rawzip import METADATA, STORED, WHEEL, Entry, write_wheel, write_zip

pytestmark = pytest.mark.usefixtures("engine")

FILENAME = "demo-1.0-py3-none-any.whl"


def refusal(archive: Path, filename: str = FILENAME) -> InvalidWheel:
    """Return why a wheel is refused; nothing may be left of it."""
    before = sorted(archive.parent.iterdir())
    with pytest.raises(InvalidWheel) as caught:
        unpack(
            archive,
            filename=filename,
            sha256="0" * 64,
            destination=archive.parent / "tree",
            boot_id="boot",
            moment=1_700_000_000,
        )

    assert sorted(archive.parent.iterdir()) == before
    assert caught.value.message.startswith(f"`{filename}` is refused: ")
    return caught.value


NAMES = {
    "parent": ("../evil.py", "leads out of its folder"),
    "parent inside": ("demo/../../evil.py", "leads out of its folder"),
    "parent of data": ("demo-1.0.data/data/../../evil", "leads out of its folder"),
    "parent as a folder": ("demo/../", "leads out of its folder"),
    "absolute": ("/etc/evil", "is absolute"),
    "UNC": ("//server/share/evil", "is absolute"),
    "UNC with backslashes": ("\\\\server\\share\\evil", "a backslash"),
    "backslash": ("demo\\evil.py", "a backslash"),
    "drive": ("C:/evil.py", "drive letter"),
    "drive, relative": ("c:evil.py", "drive letter"),
    "newline": ("demo/a\nb.py", "control character"),
    "tab": ("demo/a\tb.py", "control character"),
    "NUL": (b"demo/a.py\0.txt", "control character"),
    "C1": ("demo/a\x85b.py", "control character"),
    "empty part": ("demo//a.py", "empty part"),
    "dot": ("./demo/a.py", "empty part"),
    "no name": ("", "empty part"),
    "long part": ("demo/" + "a" * 256, "longer than 255 bytes"),
    "long part in UTF-8": ("demo/" + "ä" * 128, "longer than 255 bytes"),
    "long path": ("demo/" * 210 + "a.py", "longer than 1024 bytes"),
    "marker": (".mvenv/receipt", "mvenv keeps for itself"),
    "temporary": ("demo/.mvenv-new~", "mvenv keeps for itself"),
}


@pytest.mark.parametrize(("name", "reason"), NAMES.values(), ids=NAMES)
def test_names_that_lead_elsewhere(
    tmp_path: Path, name: str | bytes, reason: str
) -> None:
    archive = write_wheel(tmp_path / "a.whl", [Entry(name)])

    error = refusal(archive)

    assert reason in error.message
    assert error.member is not None
    assert "\n" not in error.message


COLLISIONS = {
    "twice": (["demo/a.py", "demo/a.py"], "is there twice"),
    "case": (["demo/a.py", "demo/A.py"], "falls together"),
    "case of a folder": (["demo/a.py", "Demo/a.py"], "falls together"),
    "case beyond ASCII": (["straße", "STRASSE"], "falls together"),
    "normalised": (["demo/\u00e9", "demo/e\u0301"], "falls together"),
    "file and folder": (["demo", "demo/a.py"], "also a folder"),
    "file and folder by case": (["demo/a.py", "Demo"], "also a folder"),
    "file and empty folder": (["demo/", "demo"], "also a folder"),
}


@pytest.mark.parametrize(("names", "reason"), COLLISIONS.values(), ids=COLLISIONS)
def test_names_that_fall_together(
    tmp_path: Path, names: list[str], reason: str
) -> None:
    entries = [Entry(name, b"" if name.endswith("/") else b"1") for name in names]

    error = refusal(write_wheel(tmp_path / "a.whl", entries))

    assert reason in error.message


BIG = 3 << 20
BROKEN = {
    "symlink": ([Entry("demo/a", b"/etc/passwd", mode=0o120777)], "symbolic link"),
    "device": ([Entry("demo/a", b"", mode=0o020666)], "special file"),
    "fifo": ([Entry("demo/a", b"", mode=0o010666)], "special file"),
    "CRC": ([Entry("demo/a.py", crc=1)], "(CRC)"),
    "CRC of a big one": ([Entry("demo/a.py", bytes(BIG), crc=1)], "(CRC)"),
    "CRC of a stored one": ([Entry("demo/a", b"abc", method=STORED, crc=1)], "(CRC)"),
    "encrypted": ([Entry("demo/a.py", flags=0x801)], "is encrypted"),
    "bzip2": ([Entry("demo/a.py", method=12)], "compressed in a way"),
    "larger than said": ([Entry("demo/a", bytes(5000), size=10)], "is larger than"),
    "big, larger than said": (
        [Entry("demo/a", bytes(2 * BIG), size=BIG)],
        "is larger than",
    ),
    "smaller than said": ([Entry("demo/a", b"abc", size=10)], "is smaller than"),
    "big, smaller than said": (
        [Entry("demo/a", bytes(10), size=BIG)],
        "is smaller than",
    ),
    "stored with another size": (
        [Entry("demo/a", b"abc", method=STORED, size=4)],
        "contradict",
    ),
    "bomb by its own word": ([Entry("demo/a", b"", size=1 << 30)], "bomb"),
    "other name inside": ([Entry("demo/a", local_name=b"demo/b")], "otherwise"),
    "overlapping": ([Entry("demo/a"), Entry("demo/a2", shares=0)], "overlaps"),
}


@pytest.mark.parametrize(("entries", "reason"), BROKEN.values(), ids=BROKEN)
def test_members_that_are_not_plain_files(
    tmp_path: Path, entries: list[Entry], reason: str
) -> None:
    error = refusal(write_wheel(tmp_path / "a.whl", entries))

    assert reason in error.message


def test_a_bomb_in_pieces_is_stopped_as_a_whole(tmp_path: Path) -> None:
    piece = bytes(12_000)
    entries = [Entry(f"demo/{number}", piece, size=12 << 20) for number in range(23)]

    error = refusal(write_wheel(tmp_path / "a.whl", entries))

    assert "bomb" in error.message


def test_a_bomb_is_stopped_where_its_own_word_ends(tmp_path: Path) -> None:
    """Not once it has filled the disk."""
    declared = 2 << 20
    entry = Entry("demo/a", bytes(16 << 20), size=declared)
    with WheelArchive(write_zip(tmp_path / "a.whl", [entry])) as archive:
        reader = archive.open(archive.members[0])
        given = 0
        with pytest.raises(InvalidWheel, match="is larger than"):
            while piece := reader.read(1 << 16):
                given += len(piece)

    assert given == declared


def test_damaged_data_is_refused(tmp_path: Path) -> None:
    archive = write_wheel(tmp_path / "a.whl", [Entry("demo/a.py", b"abc" * 99)])
    content = bytearray(archive.read_bytes())
    start = content.index(b"demo/a.py") + len(b"demo/a.py")
    content[start] ^= 0b110  # the kind of the deflate block
    archive.write_bytes(content)

    assert "damaged" in refusal(archive).message


@pytest.mark.parametrize("kept", [0, 1, 21, 50, 100, 200, 250])
def test_truncated_archives_are_refused(tmp_path: Path, kept: int) -> None:
    archive = write_wheel(tmp_path / "a.whl", [Entry("demo/a.py")])
    archive.write_bytes(archive.read_bytes()[:kept])

    assert "not a whole zip archive" in refusal(archive).message


def test_every_cut_and_every_cut_out_is_refused(tmp_path: Path) -> None:
    archive = write_wheel(tmp_path / "a.whl", [Entry("demo/a.py")])
    whole = archive.read_bytes()
    directory = whole.index(b"PK\x01\x02")
    for kept in range(0, len(whole) - 1, 7):
        archive.write_bytes(whole[:kept])
        refusal(archive)
    for missing in range(1, directory, 7):
        archive.write_bytes(whole[missing:])
        refusal(archive)


def test_names_that_are_not_their_encoding_are_refused(tmp_path: Path) -> None:
    archive = write_wheel(tmp_path / "a.whl", [Entry(b"demo/\xff.py")])

    assert "not a whole zip archive" in refusal(archive).message


def row(path: str, content: bytes, *, algorithm: str = "sha256") -> str:
    """Return a row of RECORD."""
    digest = hashlib.new(algorithm, content).digest()
    encoded = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    return f"{path},{algorithm}={encoded},{len(content)}\n"


SMALL, LARGE = b"x = 1\n", b"0123456789" * 300_000
RECORDS = {
    "hash": (row("demo/a.py", b"y = 1\n"), "not what RECORD says"),
    "hash of a big one": (row("demo/big", LARGE[::-1]), "not what RECORD says"),
    "size": (row("demo/a.py", SMALL).replace(",6\n", ",7\n"), "not what RECORD says"),
    "size alone": ("demo/a.py,,7\n", "not what RECORD says"),
    "sha512": (row("demo/a.py", b"y = 1\n", algorithm="sha512"), "not what RECORD"),
    "sha512, big": (row("demo/big", LARGE[::-1], algorithm="sha512"), "not what"),
    "not base64": ("demo/a.py,sha256=???,6\n", "not what RECORD says"),
    "missing": (row("demo/b.py", SMALL), "does not have it"),
    "missing, no hash": ("demo/b.py,,\n", "does not have it"),
    "two things": ("demo/a.py,,6\ndemo/a.py,,7\n", "twice"),
    "no size": ("demo/a.py,,six\n", "no valid size"),
    "not text": ("demo/\udcff.py,,\n", "cannot be read"),
}


@pytest.mark.parametrize(("record", "reason"), RECORDS.values(), ids=RECORDS)
def test_what_record_says_otherwise(tmp_path: Path, record: str, reason: str) -> None:
    entries = [Entry("demo/a.py", SMALL), Entry("demo/big", LARGE)]
    content = record.encode("utf-8", "surrogateescape")

    error = refusal(write_wheel(tmp_path / "a.whl", entries, record=content))

    assert reason in error.message


def test_no_metadata_folder(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "a.whl", [Entry("demo/a.py")])

    assert "no `.dist-info` folder" in refusal(archive).message


def test_two_metadata_folders(tmp_path: Path) -> None:
    archive = write_wheel(tmp_path / "a.whl", [Entry("other-1.0.dist-info/METADATA")])

    assert "several `.dist-info` folders" in refusal(archive).message


@pytest.mark.parametrize("name", ["METADATA", "WHEEL", "RECORD"])
def test_missing_metadata(tmp_path: Path, name: str) -> None:
    archive = write_wheel(
        tmp_path / "a.whl",
        metadata=None if name == "METADATA" else METADATA,
        wheel=None if name == "WHEEL" else WHEEL,
        record=None if name == "RECORD" else b"",
    )

    assert f"has no `demo-1.0.dist-info/{name}`" in refusal(archive).message


WORDS = {
    "name": (METADATA.replace(b"demo", b"other"), WHEEL, "`Name: other`"),
    "version": (METADATA.replace(b": 1.0", b": 1.1"), WHEEL, "`Version: 1.1`"),
    "no version": (b"Name: demo\n", WHEEL, "has no `Version`"),
    "odd version": (b"Name: demo\nVersion: x\n", WHEEL, "`Version: x`"),
    "no name": (b"Version: 1.0\n", WHEEL, "has no `Name`"),
    "not text": (METADATA + b"Summary: \xff\n", WHEEL, "is not UTF-8"),
    "wheel 2": (METADATA, b"Wheel-Version: 2.0\n", "Wheel-Version 2.0"),
    "no wheel version": (METADATA, b"Generator: me\n", "no valid `Wheel-Version`"),
    "odd wheel version": (METADATA, b"Wheel-Version: x\n", "no valid `Wheel-Vers"),
}


@pytest.mark.parametrize(("metadata", "wheel", "reason"), WORDS.values(), ids=WORDS)
def test_metadata_of_something_else(
    tmp_path: Path, metadata: bytes, wheel: bytes, reason: str
) -> None:
    archive = write_wheel(tmp_path / "a.whl", metadata=metadata, wheel=wheel)

    assert reason in refusal(archive).message


@pytest.mark.parametrize("info", ["other-1.0.dist-info", "demo-1.1.dist-info"])
def test_a_metadata_folder_of_something_else(tmp_path: Path, info: str) -> None:
    archive = write_wheel(tmp_path / "a.whl", info=info)

    assert "is not that of" in refusal(archive).message


@pytest.mark.parametrize(
    "path",
    ["demo-1.0.data/bin/a", "demo-1.0.data/a", "demo-1.0.data/scripts", "x.data"],
)
def test_data_in_no_scheme(tmp_path: Path, path: str) -> None:
    archive = write_wheel(tmp_path / "a.whl", [Entry(path)])

    assert "in none of the folders" in refusal(archive).message


def test_a_file_name_that_is_not_a_wheels(tmp_path: Path) -> None:
    archive = write_wheel(tmp_path / "a.whl")

    assert "file name" in refusal(archive, "demo.zip").message
