"""Large files that wheels have in common: what sharing them saves, and what it takes.

``python benchmarks/large_files.py --help``; ``README.md`` beside this file says what is
measured and how. Needs mvenv, and a folder of wheels.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from measuring import Run, describe_machine, measure, spread, table

_WITHOUT = "without"


def unpack_all(wheels: Path, store: Path, *, shares: bool) -> list[dict[str, Any]]:
    """Take all wheels of a folder into a new store, one after the other.

    Returns what each brought, and what of it others had; nothing is flushed.
    """
    import mvenv.store.large
    import mvenv.wheels.unpack
    from mvenv.store.entries import WheelStore
    from mvenv.store.layout import open_layout, store_key
    from mvenv.store.runs import RunFolder

    if not shares:
        for module in (mvenv.store.large, mvenv.wheels.unpack):
            vars(module)["LARGE"] = sys.maxsize
    layout = open_layout(store)
    opened = WheelStore(layout)
    found = []
    with RunFolder(layout) as run:
        for wheel in sorted(wheels.glob("*.whl")):
            with wheel.open("rb") as stream:
                key = hashlib.file_digest(stream, "sha256").hexdigest()
            stored = opened.ingest(wheel, store_key(key), wheel.name, run.new_path())
            files = stored.manifest.files
            found.append(
                {
                    "wheel": wheel.name,
                    "bytes": sum(file.size for file in files),
                    "large": sum(file.size >= 1 << 20 for file in files),
                    "shared": stored.shared,
                }
            )
    return found


def told(found: list[dict[str, Any]]) -> str:
    """Return what wheels share, as a table of those that share something."""
    rows = [
        [one["wheel"], f"{one['bytes'] / 1e6:,.1f}", f"{one['shared'] / 1e6:,.1f}"]
        for one in found
        if one["shared"]
    ]
    total, shared = (sum(one[name] for one in found) for name in ("bytes", "shared"))
    large = sum(one["large"] for one in found)
    rows.append(
        [
            f"all {len(found)}, with {large:,} large files",
            f"{total / 1e6:,.1f}",
            f"{shared / 1e6:,.1f}",
        ]
    )
    return table(["wheel", "MB", "of which others have"], rows)


def race(wheels: Path, folder: Path, runs: int) -> dict[str, Any]:
    """Unpack with and without, in turns; one round does not count."""
    taken: dict[str, list[Run]] = {"with": [], _WITHOUT: []}
    for number in range(runs + 1):
        names = list(taken) if number % 2 else list(reversed(taken))
        for name in names:
            store = Path(tempfile.mkdtemp(dir=folder)) / "store"
            words: list[str | Path] = ["--wheels", wheels, "--into", store]
            words += ["--without"] if name == _WITHOUT else []
            command = [sys.executable, __file__, *words]
            run = measure(command, log=folder / "log", environ=os.environ)
            if number:
                taken[name].append(run)
            shutil.rmtree(store.parent)
    return {name: spread(some) for name, some in taken.items()}


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--wheels", type=Path, required=True, help="a folder of them")
    parser.add_argument("--folder", type=Path, help="where stores are made")
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--json", type=Path, help="where all figures go")
    parser.add_argument("--into", type=Path, help="unpack once, into this store")
    parser.add_argument("--without", action="store_true", help="share nothing")
    asked = parser.parse_args()
    if asked.into is not None:
        unpack_all(asked.wheels, asked.into, shares=not asked.without)
        return
    with tempfile.TemporaryDirectory(dir=asked.folder) as name:
        folder = Path(name)
        machine = describe_machine(folder)
        shared = unpack_all(asked.wheels, folder / "first", shares=True)
        shutil.rmtree(folder / "first")
        print(told(shared), flush=True)
        figures = race(asked.wheels, folder, asked.runs)
    rows = [
        [
            name,
            *(f"{one[column]:.3f}" for column in ("wall", "fastest", "slowest")),
            *(f"{one[column]:.3f}" for column in ("user", "system")),
            f"{one['wall'] / figures[_WITHOUT]['wall']:.3f}",
        ]
        for name, one in figures.items()
    ]
    head = ["", "wall s", "fastest", "slowest", "user s", "system s", "/ without"]
    print(f"\n{table(head, rows)}\n\n{json.dumps(machine)}")
    if asked.json is not None:
        value = {"machine": machine, "shared": shared, "runs": figures}
        asked.json.write_text(json.dumps(value, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
