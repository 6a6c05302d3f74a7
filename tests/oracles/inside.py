"""Run by an environment's own interpreter (3.8 or newer): tells what is in there."""

from __future__ import annotations

import json
import os
import re
import sys
from importlib import metadata
from typing import Any

_SUFFIX = re.compile(r"(\.py|(\.cpython-\w+|\.abi3)(-[\w-]+)?\.so)$")


def _entry_points(one: metadata.Distribution) -> list[str]:
    return sorted(
        f"{point.group} {point.name} = {point.value}" for point in one.entry_points
    )


def describe(one: metadata.Distribution) -> dict[str, Any]:
    """Return what `importlib.metadata` knows of a distribution."""
    files = one.files or []
    return {
        "version": one.version,
        "entry_points": _entry_points(one),
        "requires": sorted(one.requires or []),
        "files": sorted(str(file) for file in files if file.suffix != ".pyc"),
        "missing": [str(file) for file in files if not os.path.isfile(file.locate())],
        "direct_url": one.read_text("direct_url.json"),
        "modules": sorted(_modules(one)),
    }


def _modules(one: metadata.Distribution) -> set[str]:
    """Return the top-level modules that a distribution ships."""
    found = set()
    for file in one.files or []:
        top = file.parts[0]
        if len(file.parts) == 1:
            if not _SUFFIX.search(top):
                continue
            top = _SUFFIX.sub("", top)
        elif not _SUFFIX.search(file.name):
            continue
        if top.isidentifier() and top != "__pycache__":
            found.add(top)
    return found


def try_import(module: str) -> str:
    """Import a module in a process of its own; return ``ok`` or what went wrong."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        devnull = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(devnull, stream)
        answer = "ok"
        try:
            __import__(module)
        except BaseException as error:  # noqa: BLE001  told to who asked
            answer = f"{type(error).__name__}: {error}"
        os.write(writing, answer.encode()[:4000])
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as answers:
        answer = answers.read().decode().replace(sys.prefix, "<environment>")
    _, status = os.waitpid(child, 0)
    return answer or f"died with status {status}"


def main() -> None:
    """Print one JSON object: distributions by name, and imports where asked for."""
    found: dict[str, dict[str, Any]] = {
        one.metadata["Name"].lower().replace("_", "-"): describe(one)
        for one in metadata.distributions()
    }
    modules = sorted({module for one in found.values() for module in one["modules"]})
    wanted = modules if "--import" in sys.argv else []
    imports = {module: try_import(module) for module in wanted}
    print(json.dumps({"distributions": found, "imports": imports}))  # noqa: T201  this is what it is for


if __name__ == "__main__":
    main()
