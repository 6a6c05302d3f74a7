"""What is kept is on the disk, and right, before its name is given to other bytes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from mvenv.apply.changing import Changer
from mvenv.errors import SystemFault
from mvenv.hashes import digest_bytes
from mvenv.plan.changes import Put

PROGRAM = """\
import sys
from pathlib import Path
from mvenv.apply.changing import Changer
from mvenv.hashes import digest_bytes
from mvenv.plan.changes import Put
root = Path(sys.argv[1])
digest = digest_bytes(b"new")
put = Put(path="a.py", sha256=digest.sha256, size=3, mode=0o644, mtime_ns=10**18,
          source=None, content=b"new", rescue=True)
with Changer(root, rescue=root / "kept") as changer:
    changer.make(put)
"""


@pytest.mark.skipif(not shutil.which("strace"), reason="there is no `strace`")
def test_it_is_flushed_with_its_folder_before_the_rename(tmp_path: Path) -> None:
    root, log = tmp_path / "root", tmp_path / "log"
    root.mkdir()
    (root / "a.py").write_text("of the user")
    command = [
        "strace",
        "-y",
        "-e",
        "trace=fsync,rename,renameat,renameat2,unlink,unlinkat",
    ]
    subprocess.run(
        [*command, "-o", log, sys.executable, "-c", PROGRAM, root],
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    flushed_or_named = [
        re.sub(r"\d+<(.*)>", r"\1", line.split(")")[0]).replace(str(root), "")
        for line in log.read_text().splitlines()
        if str(root) in line and " = -1" not in line
    ]
    calls = [line.partition("(")[0] for line in flushed_or_named]

    assert (root / "kept/a.py").read_text() == "of the user"
    assert flushed_or_named[:2] == ["fsync(/kept/a.py", "fsync(/kept"]
    assert [call[:6] for call in calls] == ["fsync", "fsync", "rename"]


def test_what_changes_meanwhile_is_left_as_it_is(tmp_path: Path) -> None:
    """Somebody writes on while a large file is copied: no state of it is lost."""
    place = tmp_path / "a.bin"
    place.write_bytes(bytes(30_000_000))
    ended = threading.Event()

    def write() -> None:
        with place.open("r+b", buffering=0) as stream:
            number = 0
            while not ended.is_set():
                stream.seek(0)
                stream.write(b"%09d" % number)
                number += 1

    writer = threading.Thread(target=write)
    writer.start()
    put = Put(
        path="a.bin",
        sha256=digest_bytes(b"new").sha256,
        size=3,
        mode=0o644,
        mtime_ns=10**18,
        source=None,
        content=b"new",
        rescue=True,
    )
    try:
        with (
            Changer(tmp_path, rescue=tmp_path / "kept") as changer,
            pytest.raises(SystemFault, match="changed while it was copied"),
        ):
            changer.make(put)
    finally:
        ended.set()
        writer.join()

    assert place.stat().st_size == 30_000_000
