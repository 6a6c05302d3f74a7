"""A record of our own gets a further name, whoever writes it anew meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from mvenv.link.files import share_file
from mvenv.link.modes import LinkMode

_REPLACING = """\
import os, sys
from pathlib import Path
from mvenv.records import replace_bytes
path = Path(sys.argv[1])
print("ready", flush=True)
while path.with_name("going").exists():
    replace_bytes(path, b"the same", mode=0o444)
"""


def test_a_record_that_is_replaced_all_the_time(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_bytes(b"the same")
    going = tmp_path / "going"
    going.touch()
    with subprocess.Popen(
        [sys.executable, "-c", _REPLACING, str(kept)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        try:
            for number in range(3_000):
                new = tmp_path / f"new{number}"
                share_file(kept, new, [LinkMode.HARDLINK], b"the same")
                assert new.read_bytes() == b"the same"
        finally:
            going.unlink()
    assert len(os.listdir(tmp_path)) == 3_001
