"""One file edited through a hard link: what uv does about it, and what mvenv does.

``python benchmarks/edit_through_link.py --help``. Makes environments of one small
lock with each tool, appends a line to a module in one of them as an editor does (in
place), and looks into the others, and into those made afterwards. Nothing is timed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

from measuring import describe_machine, run_quietly

_LOCKS = Path(__file__).parent / "locks"
_EDIT = b"EDITED = True\n"
_WHERE = ("INDEX_URL", "DEFAULT_INDEX")
"""Variables that say where packages come from."""
_MODULE = "idna/core.py"


def edit(path: Path) -> None:
    """Append a line in place, as a forgetful person would: `sudo`, or after chmod."""
    path.chmod(path.stat().st_mode | 0o200)
    with path.open("ab") as stream:
        stream.write(_EDIT)


def module_in(environment: Path) -> Path:
    """Return the module in an environment."""
    (found,) = environment.glob(f"lib/python*/site-packages/{_MODULE}")
    return found


def edited(environments: list[Path]) -> int:
    """Return how many of the environments have the edit."""
    return sum(
        module_in(one).read_bytes().endswith(_EDIT)
        for one in environments
        if one.exists()
    )


class Comparison:
    """Both tools in one folder, with a cache and a store of their own."""

    def __init__(self, folder: Path, mvenv: str, uv: str, count: int) -> None:
        self.folder = folder
        self.mvenv = mvenv
        self.uv = uv
        self.count = count
        kept = ("MVENV_", "UV_", "VIRTUAL_ENV", "PYTHON")
        self.environ = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(kept) or name.endswith(_WHERE)
        }
        self.environ["UV_CACHE_DIR"] = str(folder / "uv-cache")
        self.environ["MVENV_STORE"] = str(folder / "store")

    def run(self, *command: str | Path) -> str:
        """Run a command that has to work, and return what it says."""
        return run_quietly(command, environ=self.environ, folder=self.folder)

    def uv_environment(self, name: str, requirements: Path) -> Path:
        """Make an environment with uv, by hard links, hashes checked."""
        place = self.folder / name
        self.run(self.uv, "venv", "-q", "--python", sys.executable, place)
        self.uv_install(place, requirements)
        return place

    def uv_install(self, place: Path, requirements: Path, *more: str) -> None:
        """Install, with hashes required, as the careful do."""
        options = ("--require-hashes", "--link-mode", "hardlink", *more)
        python = place / "bin" / "python"
        command = (self.uv, "pip", "install", "-q", "--python", str(python))
        self.run(*command, *options, "-r", requirements)

    def with_uv(self) -> dict[str, object]:
        """Return what became of the edit with uv."""
        lock = json.loads(self.run(self.mvenv, "create", "pins", *self.lock, "--json"))
        names = [f"{one['name']}=={one['version']}" for one in lock["distributions"]]
        pins = self.folder / "pins.in"
        pins.write_text("\n".join(names) + "\n", encoding="utf-8")
        requirements = self.folder / "requirements.txt"
        compiled = ("pip", "compile", "-q", "--generate-hashes", "--no-header")
        self.run(self.uv, *compiled, pins, "-o", requirements)
        made = [self.uv_environment(f"uv{n}", requirements) for n in range(self.count)]
        edit(module_in(made[0]))
        hit = edited(made)
        check = self.run(self.uv, "pip", "check", "--python", made[1] / "bin/python")
        self.run(self.uv, "cache", "prune")
        later = edited([self.uv_environment("uv-later", requirements)])
        seen = {
            "environments": len(made),
            "with the edit": hit,
            "`uv pip check` says": check.strip() or "nothing",
            "a new environment, hashes required, after `uv cache prune`": bool(later),
        }
        for options in (["--offline", "--reinstall"], ["--reinstall"]):
            self.uv_install(made[1], requirements, *options)
            what = f"reinstalled with {' '.join(options)}, hashes required"
            seen[what] = bool(edited([made[1]]))
        seen["with the edit at the end"] = edited(made)
        return seen

    @property
    def lock(self) -> tuple[str, ...]:
        """Return the options that name the lock."""
        return ("--from", str(_LOCKS / "small" / "poetry.lock"), "--no-root")

    def with_mvenv(self) -> dict[str, object]:
        """Return what became of the edit with mvenv."""
        made = [self.folder / f"mvenv{n}" for n in range(self.count)]
        for place in made:
            mode = ("--link-mode", "hardlink")
            self.run(self.mvenv, "create", place, *self.lock, *mode)
        edit(module_in(made[0]))
        hit = edited(made)
        later = self.folder / "mvenv-later"
        self.run(self.mvenv, "create", later, *self.lock, "--link-mode", "hardlink")
        told = self.run(self.mvenv, "doctor", made[0], "--fix", "--full")
        return {
            "environments": len(made),
            "with the edit": hit,
            "a new environment has the edit": bool(edited([later])),
            "with the edit after one `mvenv doctor --fix`": edited(made),
            "what doctor said": "\n" + told,
        }


def main() -> None:
    """Compare, and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--mvenv", default=shutil.which("mvenv") or "mvenv")
    parser.add_argument("--uv", default=shutil.which("uv") or "uv")
    parser.add_argument("--environments", type=int, default=50)
    parser.add_argument("--folder", type=Path, help="on the disk to try it on")
    chosen = parser.parse_args()
    print(json.dumps(describe_machine(Path.cwd()), indent=2))
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        both = Comparison(Path(folder), chosen.mvenv, chosen.uv, chosen.environments)
        for tool, seen in (("uv", both.with_uv()), ("mvenv", both.with_mvenv())):
            print(f"\n{tool}:")
            for what, value in seen.items():
                print(f"  {what}: {value}")


if __name__ == "__main__":
    main()
