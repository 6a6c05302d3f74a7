"""The `installer` library puts the same bytes in the same places."""

from __future__ import annotations

import sysconfig
from pathlib import Path

import pytest
from installer import install
from installer.destinations import SchemeDictionaryDestination
from installer.sources import WheelFile

from kit.commands import Runner
from kit.lockfiles import PylockWriter
from kit.snapshots import tree_snapshot
from kit.wheels import WheelMaker

WHEELS: dict[str, dict[str, str | bytes]] = {
    "plain": {"demo/__init__.py": "x = 1\n", "demo/empty.py": ""},
    "all of data": {
        "demo.py": "x = 1\n",
        "demo-1.0.data/purelib/pure.py": "p = 1\n",
        "demo-1.0.data/platlib/plat.py": "p = 2\n",
        "demo-1.0.data/headers/demo.h": "int x;\n",
        "demo-1.0.data/scripts/tool": "#!/bin/sh\necho tool\n",
        "demo-1.0.data/data/share/demo/x.txt": "x\n",
    },
}


@pytest.mark.parametrize("pure", [True, False])
@pytest.mark.parametrize("kind", WHEELS)
def test_files_and_modes(
    mvenv: Runner,
    make_wheel: WheelMaker,
    write_pylock: PylockWriter,
    tmp_path: Path,
    kind: str,
    pure: bool,
) -> None:
    wheel = make_wheel(
        "demo",
        "1.0",
        WHEELS[kind],
        root_is_purelib=pure,
        executables=["demo-1.0.data/scripts/tool"],
    )
    env, other = tmp_path / "env", tmp_path / "other"
    mvenv.create(env, write_pylock(wheel), "--link-mode", "copy")
    base = {"base": str(other), "platbase": str(other), "installed_base": str(other)}
    scheme = sysconfig.get_paths("posix_prefix", vars=base)
    version = f"python{sysconfig.get_python_version()}"
    scheme["headers"] = f"{other}/include/site/{version}/demo"
    with WheelFile.open(wheel) as source:
        destination = SchemeDictionaryDestination(scheme, "python", "posix")
        install(source, destination, {"INSTALLER": b"mvenv\n", "REQUESTED": b""})
    theirs = {
        path: entry
        for path, entry in tree_snapshot(other).items()
        if not path.endswith("/RECORD")
    }
    ours = tree_snapshot(env)

    assert {path: ours.get(path) for path in theirs} == theirs
    assert theirs
