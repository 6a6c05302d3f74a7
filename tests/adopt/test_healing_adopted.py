"""What doctor makes of the files that another tool wrote, once they are adopted."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from adopt.installing import MakeEnvironment, pip
from kit.commands import Runner
from kit.lockfiles import PylockWriter
from kit.wheels import WheelMaker

_MINOR = f"python{sys.version_info.major}.{sys.version_info.minor}"


@pytest.mark.parametrize("name", ["pyvenv.cfg", "bin/activate"])
def test_a_lost_file_comes_back_as_its_tool_made_it(
    mvenv: Runner, pip_environment: MakeEnvironment, name: str
) -> None:
    """Not as mvenv would have made it."""
    folder = pip_environment("one", "plain==2.0")
    with (folder / name).open("a") as stream:
        stream.write("# made-by-another-tool = 1\n")
    assert mvenv("adopt", folder).code == 0
    content = (folder / name).read_bytes()
    (folder / name).unlink()

    outcome = mvenv("doctor", folder, "--fix", "--offline")

    assert outcome.code == 0, outcome.out
    assert (folder / name).read_bytes() == content
    looked = mvenv("doctor", folder, "--check", "--full", "--json", "--offline")
    assert (looked.code, looked.value["findings"]) == (0, [])


def test_a_script_that_went_with_an_upgrade_stays_away(
    mvenv: Runner,
    pip_environment: MakeEnvironment,
    make_wheel: WheelMaker,
) -> None:
    """Its distribution is another one now, and has none."""
    main = {"tooly.py": "def main(): pass\n"}
    script = "[console_scripts]\ntooly = tooly:main\n"
    old = make_wheel("tooly", "1.0", main, entry_points=script)
    new = make_wheel("tooly", "2.0", {"tooly.py": "x = 2\n"})
    folder = pip_environment("one", "plain==2.0")
    pip(folder, "install", "--no-index", old)
    assert mvenv("adopt", folder).code == 0
    (folder / "bin/tooly").unlink()
    assert mvenv("doctor", folder, "--offline").code == 0
    assert (folder / "bin/tooly").exists()

    pip(folder, "install", "--no-index", new)
    looked = mvenv("doctor", folder, "--offline", "--json")

    assert {one["code"] for one in looked.value["findings"]} == {"F24"}
    assert not (folder / "bin/tooly").exists()


@pytest.mark.parametrize("interpreter", ["python", "python3", _MINOR])
def test_scripts_follow_when_it_is_moved_twice(
    mvenv: Runner,
    pip_environment: MakeEnvironment,
    tmp_path: Path,
    interpreter: str,
) -> None:
    """As the one that installed it was run by."""
    folder = pip_environment("one", "demo")
    script = (folder / "bin/demo").read_text()
    first = f"#!{folder}/bin/python"
    assert script.startswith(f"{first}\n")
    (folder / "bin/demo").write_text(
        script.replace(first, f"#!{folder}/bin/{interpreter}", 1)
    )
    (folder / "bin/foreign").write_text(f"#!{sys.executable}\nprint('foreign')\n")
    (folder / "bin/foreign").chmod(0o755)
    assert mvenv("adopt", folder).code == 0

    for place in (tmp_path / "second", tmp_path / "third"):
        os.rename(folder, place)
        folder = place
        assert mvenv("doctor", folder, "--fix", "--offline").code == 0

        line = (folder / "bin/demo").read_text().partition("\n")[0]
        assert line == f"#!{folder}/bin/{interpreter}"
        said = subprocess.run(
            [folder / "bin/demo"], capture_output=True, text=True, check=True
        )
        assert said.stdout == "demo\n"
        assert (folder / "bin/foreign").read_text().startswith(f"#!{sys.executable}\n")
        looked = mvenv("doctor", folder, "--check", "--full", "--offline")
        assert looked.code == 0, looked.out


@pytest.mark.parametrize("lost", ["file", "folder"])
def test_what_the_store_has_lost_is_told_and_stays(
    mvenv: Runner,
    make_wheel: WheelMaker,
    write_pylock: PylockWriter,
    tmp_path: Path,
    lost: str,
) -> None:
    """Of an entry that says it had it; the rest of it is shared."""
    files: dict[str, str | bytes] = {"demo/a.py": "a = 1\n", "demo/b/c.py": "c = 1\n"}
    folder = tmp_path / "env"
    mvenv.create(folder, write_pylock(make_wheel("demo", "1.0", files)))
    [stored] = mvenv.store.glob("wheels/*/*/tree/demo")
    if lost == "file":
        (stored / "b/c.py").unlink()
    else:
        shutil.rmtree(stored / "b")
    [site] = folder.glob("lib/python*/site-packages")

    outcome = mvenv("adopt", folder)

    assert outcome.code == 0, outcome.err
    assert "demo/b/c.py: damaged in the store: run `mvenv doctor`" in outcome.out
    assert (site / "demo/b/c.py").read_text() == "c = 1\n"
    assert mvenv("doctor", folder, "--offline").code == 0
    assert (stored / "b/c.py").read_text() == "c = 1\n"
    again = mvenv("adopt", folder)
    assert "damaged" not in again.out
    assert (site / "demo/b/c.py").samefile(stored / "b/c.py")
