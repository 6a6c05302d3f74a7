"""What unpacking leaves: bytes, modes, stamps, and a manifest that is true."""

from __future__ import annotations

import base64
import hashlib
import os
import stat
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from kit.wheels import WheelMaker
from mvenv.errors import SystemFault
from mvenv.hashes import digest_bytes
from mvenv.wheels.manifest import Manifest
from mvenv.wheels.unpack import stamp_ns, unpack
from wheels.rawzip import METADATA, Entry, write_wheel

pytestmark = pytest.mark.usefixtures("engine")

MOMENT = 1_700_000_000
FILENAME = "demo-1.0-py3-none-any.whl"


def unpack_here(
    archive: Path, *, seal: bool = True, moment: int = MOMENT, filename: str = FILENAME
) -> tuple[Path, Manifest]:
    """Unpack beside the archive."""
    tree = archive.parent / "tree"
    manifest = unpack(
        archive,
        filename=filename,
        sha256="ab" * 32,
        destination=tree,
        seal=seal,
        boot_id="boot",
        moment=moment,
    )
    return tree, manifest


def assert_true(tree: Path, manifest: Manifest, contents: Mapping[str, bytes]) -> None:
    """Compare the tree with its manifest, and both with ``contents``."""
    found = {
        path.relative_to(tree).as_posix(): path
        for path in tree.rglob("*")
        if not path.is_dir()
    }

    assert {path: one.read_bytes() for path, one in found.items()} == contents
    assert [file.path for file in manifest.files] == sorted(contents)
    for file in manifest.files:
        seen = found[file.path].lstat()
        digest = digest_bytes(contents[file.path])

        assert (file.sha256, file.xxh3, file.size) == (
            digest.sha256,
            digest.xxh3,
            digest.size,
        )
        assert file.mode == stat.S_IMODE(seen.st_mode)
        assert file.mtime_ns == seen.st_mtime_ns


def test_the_tree_is_the_archives(make_wheel: WheelMaker) -> None:
    files: dict[str, str | bytes] = {
        "demo/__init__.py": "",
        "demo/größe/ß.py": "x = 1\n",
        "demo/big.bin": os.urandom(3 << 20),
        "demo/text.txt": b"all the same\n" * 300_000,
        "demo-1.0.data/scripts/run": "#!python\n",
        "demo-1.0.data/data/etc/demo.conf": "a, b\n",
    }
    archive = make_wheel("demo", files=files)
    with zipfile.ZipFile(archive) as opened:
        contents = {name: opened.read(name) for name in opened.namelist()}

    tree, manifest = unpack_here(archive)

    assert_true(tree, manifest, contents)
    assert manifest.filename == FILENAME
    assert (manifest.sha256, manifest.boot_id) == ("ab" * 32, "boot")
    assert Manifest.from_bytes(manifest.to_bytes()) == manifest


@pytest.mark.parametrize(
    ("seal", "modes"), [(True, (0o444, 0o555)), (False, (0o644, 0o755))]
)
def test_modes_are_the_same_under_every_umask(
    tmp_path: Path, make_wheel: WheelMaker, seal: bool, modes: tuple[int, int]
) -> None:
    archive = make_wheel(
        "demo", files={"demo/sub/a.py": "", "demo/run": "#!/bin/sh\n"},
        executables=["demo/run"],
    )  # fmt: skip
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from mvenv.wheels.unpack import unpack\n"
        "os.umask(int(sys.argv[1], 8))\n"
        f"unpack(Path({str(archive)!r}), filename={FILENAME!r}, sha256='0' * 64,\n"
        f"  destination=Path(sys.argv[2]), seal={seal}, boot_id='', moment=1)\n"
    )
    for umask in ("000", "022", "077", "777"):
        tree = tmp_path / umask
        subprocess.run(
            [sys.executable, "-c", script, umask, str(tree)],
            check=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )

        assert stat.S_IMODE((tree / "demo/sub/a.py").stat().st_mode) == modes[0]
        assert stat.S_IMODE((tree / "demo/run").stat().st_mode) == modes[1]
        for folder in (tree, tree / "demo", tree / "demo/sub"):
            assert stat.S_IMODE(folder.stat().st_mode) == 0o755


MODES = {
    "nobody": (0o100644, 0o444),
    "owner": (0o100744, 0o555),
    "others only": (0o100645, 0o555),
    "no type, so not by pip": (0o755, 0o444),
    "none at all": (0, 0o444),
    "setuid is dropped": (0o104755, 0o555),
}


@pytest.mark.parametrize(("mode", "expected"), MODES.values(), ids=MODES)
def test_what_is_executable(tmp_path: Path, mode: int, expected: int) -> None:
    archive = write_wheel(tmp_path / "a.whl", [Entry("demo/a", mode=mode)])

    tree, _ = unpack_here(archive)

    assert stat.S_IMODE((tree / "demo/a").stat().st_mode) == expected


def test_the_stamp_tells_contents_apart() -> None:
    stamps = {
        stamp_ns(hashlib.sha256(str(number).encode()).hexdigest(), MOMENT)
        for number in range(20_000)
    }

    assert len(stamps) == 20_000
    assert all(MOMENT - 1024 < stamp // 10**9 <= MOMENT for stamp in stamps)
    assert len({stamp // 10**9 for stamp in stamps}) == 1024


def test_the_stamp_is_on_the_file(tmp_path: Path) -> None:
    archive = write_wheel(tmp_path / "a.whl", [Entry("demo/a.py", b"1")])

    tree, manifest = unpack_here(archive)

    expected = stamp_ns(hashlib.sha256(b"1").hexdigest(), MOMENT)
    assert (tree / "demo/a.py").stat().st_mtime_ns == expected
    assert manifest.files[-1].mtime_ns == expected


def test_an_upgrade_looks_newer() -> None:
    old, new = "f" * 64, "0" * 64

    assert stamp_ns(new, MOMENT + 1024) > stamp_ns(old, MOMENT)
    assert stamp_ns(old, MOMENT + 1024) > stamp_ns(new, MOMENT)


def digest(content: bytes, algorithm: str) -> str:
    """Return a hash as RECORD has it."""
    value = hashlib.new(algorithm, content).digest()
    return f"{algorithm}={base64.urlsafe_b64encode(value).decode().rstrip('=')}"


CODE = b"x = 1\n"
TOLERATED = {
    "empty": "",
    "sha512": f"demo/a.py,{digest(CODE, 'sha512')},6\n",
    "padded": f"demo/a.py,{digest(CODE, 'sha256')}=,6\n",
    "no size": f"demo/a.py,{digest(CODE, 'sha256')},\n",
    "two columns": f"demo/a.py,{digest(CODE, 'sha256')}\n",
    "one column": "demo/a.py\n",
    "four columns": f"demo/a.py,{digest(CODE, 'sha256')},6,more\n",
    "weak hashes do not count": "demo/a.py,md5=wrong,6\n",
    "sha1 does not count": "demo/a.py,sha1=wrong,\n",
    "not canonical": f"./demo//a.py,{digest(CODE, 'sha256')},6\n",
    "written on Windows": f"demo\\a.py,{digest(CODE, 'sha256')},6\r\n",
    "a folder": "demo/,,\n",
    "blank lines": "\n\ndemo/a.py,,\n\n",
    "its own hash": f"demo-1.0.dist-info/RECORD,{digest(b'', 'sha256')},99\n",
}


@pytest.mark.parametrize("record", TOLERATED.values(), ids=TOLERATED)
def test_records_in_the_wild_are_tolerated(tmp_path: Path, record: str) -> None:
    """As with pip, which does not check them: what is not wrong passes."""
    archive = write_wheel(
        tmp_path / "a.whl", [Entry("demo/a.py", CODE)], record=record.encode()
    )

    tree, _ = unpack_here(archive)

    assert (tree / "demo/a.py").read_bytes() == CODE


def test_folders_in_the_archive_are_not_made_when_empty(tmp_path: Path) -> None:
    entries = [
        Entry("demo/", b"", mode=0o040755),
        Entry("demo/a.py"),
        Entry("demo/empty/", b"", mode=0o040755),
    ]

    tree, manifest = unpack_here(write_wheel(tmp_path / "a.whl", entries))

    assert not (tree / "demo/empty").exists()
    assert [file.path for file in manifest.files][-1] == "demo/a.py"


def test_versions_are_compared_as_versions(tmp_path: Path) -> None:
    metadata = METADATA.replace(b"1.0", b"1.0.0").replace(b"demo", b"De.Mo")
    archive = write_wheel(
        tmp_path / "a.whl", metadata=metadata, info="de_mo-1.0.0.dist-info"
    )

    unpack_here(archive, filename="de_mo-1.0-py3-none-any.whl")


def test_a_later_minor_wheel_version_is_read(tmp_path: Path) -> None:
    unpack_here(write_wheel(tmp_path / "a.whl", wheel=b"Wheel-Version: 1.9\n"))


def test_compressible_text_is_no_bomb(tmp_path: Path) -> None:
    text = b"0,0,0,0\n" * (1 << 21)
    archive = write_wheel(tmp_path / "a.whl", [Entry("demo/data.csv", text)])
    assert archive.stat().st_size * 100 < len(text)

    tree, _ = unpack_here(archive)

    assert (tree / "demo/data.csv").stat().st_size == len(text)


def test_what_is_there_already_is_left_alone(tmp_path: Path) -> None:
    archive = write_wheel(tmp_path / "a.whl")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/mine").write_text("mine")

    with pytest.raises(SystemFault, match="cannot unpack"):
        unpack_here(archive)

    assert (tmp_path / "tree/mine").read_text() == "mine"


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    """`RLIMIT_FSIZE` stands in for the disk: a write fails in the middle."""
    content = os.urandom(4 << 20)
    entries = [Entry("demo/a.py"), Entry("demo/b", content)]
    archive = write_wheel(tmp_path / "a.whl", entries)
    script = (
        "import resource, signal\n"
        "from pathlib import Path\n"
        "from mvenv.errors import SystemFault\n"
        "from mvenv.wheels.unpack import unpack\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
        "try:\n"
        f"    unpack(Path({str(archive)!r}), filename={FILENAME!r}, sha256='0' * 64,\n"
        f"      destination=Path({str(tmp_path / 'tree')!r}), boot_id='', moment=1)\n"
        "except SystemFault as error:\n"
        "    print(error.message)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )

    assert done.stdout.startswith(f"cannot unpack `{FILENAME}`: file too large")
    assert sorted(tmp_path.iterdir()) == [archive]


def test_memory_is_bounded(tmp_path: Path) -> None:
    entries = [Entry("demo/big", os.urandom(1 << 20) * 16)]
    archive = write_wheel(tmp_path / "a.whl", entries)
    del entries
    tracemalloc.start()
    try:
        unpack_here(archive)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 4 << 20
