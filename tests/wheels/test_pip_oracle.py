"""The same wheel by pip and by us: the same files, bytes and rows of RECORD."""

from __future__ import annotations

import base64
import csv
import importlib.util
import io
import json
import os
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from kit.wheels import WheelMaker, escape, sha256_of
from mvenv.env.scripts import compose_script
from mvenv.hashes import digest_bytes
from mvenv.target import Scheme
from mvenv.wheels.facts import WheelFacts, read_facts, versioned_launchers
from mvenv.wheels.layout import Placing, WheelLayout, layout_wheel
from mvenv.wheels.record import record_row
from mvenv.wheels.unpack import unpack

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("pip") is None, reason="needs pip beside pytest"
)

_SCHEME = """
import json, sys, sysconfig
paths = sysconfig.get_paths()
here = {name: paths[name][len(sys.prefix) + 1:] for name in ("purelib", "platlib",
    "scripts", "data")}
print(json.dumps(here | {"headers": "include/site/python%d.%d" % sys.version_info[:2]}))
"""
File = tuple[bytes, bool]
"""Content, and whether it can be executed."""


def make_environment(folder: Path) -> tuple[str, Scheme]:
    """Make a bare environment; return its interpreter and scheme."""
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True
    )
    python = str(folder / "bin/python")
    done = subprocess.run(
        [python, "-c", _SCHEME], check=True, capture_output=True, text=True
    )
    return python, Scheme(**json.loads(done.stdout))


def files_below(folder: Path) -> dict[str, File]:
    """Return all regular files, but what installing one by one would change."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.suffix != ".pyc":
            executable = bool(path.stat().st_mode & stat.S_IXUSR)
            found[path.relative_to(folder).as_posix()] = (
                path.read_bytes(),
                executable,
            )
    return found


def install_by_pip(wheel: Path, python: str) -> None:
    """Install with pip, under the umask that the comparison is for."""
    command = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet"]
    subprocess.run(
        [*command, "--no-deps", "--no-index", "--no-compile", str(wheel)],
        check=True,
        umask=0o022,
    )


def install_by_us(
    layout: WheelLayout, facts: WheelFacts, tree: Path, python: str, scheme: Scheme
) -> dict[str, File]:
    """Return what a plan would make of the layout."""
    made: dict[str, File] = {}
    for row in layout.rows:
        if row.how is Placing.REWRITE:
            script = layout.rewritten[row.source]
            content = compose_script(python, script.body, script.arguments)
            made[row.target] = (content, True)
        elif row.how is not Placing.DROPPED:
            content = (tree / row.source).read_bytes()
            if row.how is Placing.EMPTY:
                assert content == b""
            made[row.target] = (content, row.executable)
    version = sys.version_info[:2]
    for point in (*versioned_launchers(facts.console, version), *facts.gui):
        content = compose_script(python, point.launcher_body(version))
        made[f"{scheme.scripts}/{point.name}"] = (content, True)
    return made


def compare(wheel: Path, folder: Path) -> None:
    """Install a wheel both ways, and compare files, modes and RECORD."""
    python, scheme = make_environment(folder)
    bare = files_below(folder)
    install_by_pip(wheel, python)
    theirs = {
        path: file for path, file in files_below(folder).items() if path not in bare
    }

    tree = wheel.parent.parent / f"tree-{wheel.stem}"
    manifest = unpack(
        wheel,
        filename=wheel.name,
        sha256=sha256_of(wheel),
        destination=tree,
        boot_id="",
        moment=1_700_000_000,
    )
    facts = read_facts(tree, manifest)
    layout = layout_wheel(manifest, facts, scheme)
    ours = install_by_us(layout, facts, tree, python, scheme)

    site = scheme.purelib if facts.root_is_purelib else scheme.platlib
    info = f"{site}/{facts.dist_info}"
    record = theirs.pop(f"{info}/RECORD")[0]
    written = ("INSTALLER", "REQUESTED", "direct_url.json")
    for name in written:
        theirs.pop(f"{info}/{name}", None)
        ours.pop(f"{info}/{name}", None)
    assert ours == theirs
    own = {f"{facts.dist_info}/{name}" for name in ("RECORD", *written)}
    assert rows_of(ours, site) == {
        path: row
        for path, row in read_rows(record.decode()).items()
        if path not in own
        # pip keeps the rows of launchers that it leaves out.
        and ".data/scripts/" not in path
    }


def read_rows(record: str) -> dict[str, tuple[str, str]]:
    """Return RECORD's rows by path."""
    rows = csv.reader(io.StringIO(record, newline=""))
    return {path: (digest, size) for path, digest, size in rows}


def rows_of(files: Mapping[str, File], site: str) -> dict[str, tuple[str, str]]:
    """Return the rows that we would write."""
    rows = []
    for path, (content, _) in files.items():
        digest = digest_bytes(content)
        rows.append(record_row(path, digest.sha256, digest.size, site))
    return read_rows("".join(rows))


def all_kinds(name: str) -> dict[str, str | bytes]:
    """Return files of every kind that a wheel can have."""
    package, data = escape(name), f"{escape(name)}-1.0.data"
    info = f"{escape(name)}-1.0.dist-info"
    return {
        f"{package}/__init__.py": "",
        f"{package}/main.py": "def run(): print('ran')\n",
        f"{package}/a, b.txt": "quoted\n",
        f"{package}/größe.txt": "ß\n",
        f"{package}/tool": "#!/bin/sh\n",
        f"{package}.pth": "# nothing\n",
        f"{data}/purelib/{package}_pure.py": "x = 1\n",
        f"{data}/platlib/{package}_plat/__init__.py": "x = 1\n",
        f"{data}/headers/{package}.h": "int x;\n",
        f"{data}/headers/sub/more.h": "int y;\n",
        f"{data}/scripts/shell": "#!/bin/sh\necho hello\n",
        f"{data}/scripts/py": "#!python\nprint('hello')\n",
        f"{data}/scripts/pyw": "#!pythonw\r\nprint('hello')\r\n",
        f"{data}/scripts/sub/deep": "#!python\nprint('deep')\n",
        f"{data}/scripts/command": "#!python\nby setuptools\n",
        f"{data}/scripts/command-script.py": "#!python\nby setuptools\n",
        f"{data}/data/etc/{package}.json": "{}\n",
        f"{data}/data/share/{package}/a.txt": "a\n",
        f"{data}/data/{package}.top": "top\n",
        f"{info}/RECORD.jws": "{}",
        f"{package}/_vendor/other-1.0.dist-info/RECORD": "somebody's\n",
        f"{package}/_vendor/other-1.0.dist-info/INSTALLER": "somebody's\n",
        f"{info}/INSTALLER": "somebody\n",
        f"{info}/licenses/LICENSE": "free\n",
    }


ENTRY_POINTS = """
[console_scripts]
command = {0}.main:run
other.command = {0}.main:run.__call__ [extra]
[gui_scripts]
window = {0}.main:run
[{0}.plugins]
plugin = {0}.main
"""


@pytest.mark.parametrize(
    ("name", "purelib"), [("demo", True), ("Some.Demo_Name", False)]
)
def test_a_wheel_of_all_kinds(
    tmp_path: Path, make_wheel: WheelMaker, name: str, purelib: bool
) -> None:
    files = all_kinds(name)
    scripts = [path for path in files if ".data/scripts/" in path]
    wheel = make_wheel(
        name,
        files=files,
        entry_points=ENTRY_POINTS.format(escape(name)),
        executables=[*scripts, f"{escape(name)}/tool"],
        root_is_purelib=purelib,
    )

    compare(wheel, tmp_path / "environment")


def test_pips_own_launchers(tmp_path: Path, make_wheel: WheelMaker) -> None:
    wheel = make_wheel(
        "pip",
        "1.0",
        files={"elsewhere/__init__.py": "def main(): ...\n"},
        entry_points="[console_scripts]\npip = elsewhere:main\npip3 = elsewhere:main\n"
        "pip3.4 = elsewhere:main\npipe = elsewhere:main\n"
        "easy_install = elsewhere:main\neasy_install-3.4 = elsewhere:main\n",
    )

    compare(wheel, tmp_path / "environment")


def test_scripts_are_made_executable_where_pip_forgets(
    tmp_path: Path, make_wheel: WheelMaker
) -> None:
    """The specification allows it, and a script that cannot run is of no use."""
    wheel = make_wheel("demo", files={"demo-1.0.data/scripts/run": "#!python\n"})

    with pytest.raises(AssertionError):
        compare(wheel, tmp_path / "environment")


def test_the_comparison_can_fail() -> None:
    site = "lib"
    encoded = base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")

    assert rows_of({"lib/a": (b"", False)}, site) != {"a": (f"sha256={encoded}", "0")}
