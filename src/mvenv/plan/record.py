"""A plan as bytes: kept once in the store, and linked into each environment.

So an environment knows what every file in it must be, even without its store. A JSON
record whose lists are columns, since that is what is parsed fastest; the paths of the
store are left out, so that one record serves wherever the store is.
"""

from __future__ import annotations

import functools
import itertools
import os

from mvenv.env.compiled import CACHE
from mvenv.env.receipt import Installed
from mvenv.link.tree import FileLink, FolderLinks
from mvenv.plan.model import (
    Conflict,
    Plan,
    PlannedBytecode,
    PlannedFile,
    PlannedRecord,
    PlannedScript,
    PlannedWheel,
)
from mvenv.records import from_json, seal_record, to_json, unseal_record
from mvenv.store.layout import StoreKey, StoreLayout, entry_key
from mvenv.wheels.manifest import ManifestFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

__all__ = ["load_plan", "seal_plan"]

_KIND = "plan"
_FORMAT = 1
_TAG = r"[a-z]+-?[0-9]+[a-z]*"
_SHA256 = 64
_XXH3 = 32
_PRIVATE = 1
_EXECUTABLE = 2


def seal_plan(plan: Plan) -> bytes:
    """Return the plan as a record; equal plans give equal bytes."""
    trees = [wheel.tree for wheel in plan.wheels]
    value: dict[str, Any] = {
        "wheels": [
            [one.key, one.filename, one.shared, [list(file) for file in one.rest]]
            for one in plan.wheels
        ],
        "distributions": [
            [getattr(one, name) for name in _INSTALLED] for one in plan.distributions
        ],
        "folders": plan.folders,
        "links": _columns(plan.links, trees),
        "late_links": _columns(plan.late_links, trees),
        "files": [
            [path, content.decode("latin-1"), executable]
            for path, content, executable in plan.files
        ],
        "scripts": [
            [
                script.path,
                script.body.decode("latin-1"),
                script.arguments.decode("latin-1"),
                *([] if script.interpreter == "python" else [script.interpreter]),
            ]
            for script in plan.scripts
        ],
        "records": plan.records,
        "conflicts": plan.conflicts,
    }
    if plan.bytecode is not None:
        tag, links = plan.bytecode
        trees = [wheel.bytecode(tag) for wheel in plan.wheels]
        value["bytecode"] = {"tag": tag, **_columns(links, trees)}
    return seal_record(_KIND, _FORMAT, to_json(value))


_INSTALLED = tuple(Installed.__slots__)


def _columns(folders: Sequence[FolderLinks], sources: Sequence[str]) -> dict[str, Any]:
    trees = {tree: number for number, tree in enumerate(sources)}
    files = [file for folder in folders for file in folder.files]
    return {
        "folders": [
            [*_place_in_wheel(folder.source, trees), folder.target, len(folder.files)]
            for folder in folders
        ],
        "sources": [file.source for file in files],
        "targets": [
            "" if file.target == file.source else file.target for file in files
        ],
        "sizes": [file.size for file in files],
        "modes": [file.mode for file in files],
        "mtimes": [file.mtime_ns for file in files],
        "flags": [
            _PRIVATE * file.private | _EXECUTABLE * file.executable for file in files
        ],
        "sha256": "".join(file.sha256 for file in files),
        "xxh3": "".join(file.xxh3 for file in files),
    }


def _place_in_wheel(source: str, trees: Mapping[str, int]) -> tuple[int, str]:
    """Return the wheel's number and the folder in its tree."""
    tree = source
    while tree not in trees:
        tree = tree.rpartition("/")[0]
    return trees[tree], source[len(tree) + 1 :]


def load_plan(content: bytes, layout: StoreLayout) -> Plan | None:
    """Return the plan, with its sources in the store of ``layout``.

    `None` where it is damaged, of another format, or names a place outside of the
    environment or the store: it may come from a folder that somebody else filled.
    """
    payload = unseal_record(_KIND, _FORMAT, content)
    if payload is None:
        return None
    try:
        return _load(from_json(payload), layout)
    except (LookupError, TypeError, ValueError, RecursionError, AttributeError):
        return None


def _load(value: Mapping[str, Any], layout: StoreLayout) -> Plan:
    wheels = tuple(_wheels(value["wheels"], layout))
    trees = [wheel.tree for wheel in wheels]
    return Plan(
        folders=_below(value["folders"]),
        links=tuple(_folders(value["links"], trees)),
        late_links=tuple(_folders(value["late_links"], trees)),
        files=tuple(
            PlannedFile(_inside(path), content.encode("latin-1"), bool(executable))
            for path, content, executable in value["files"]
        ),
        scripts=tuple(
            PlannedScript(
                _inside(path),
                body.encode("latin-1"),
                arguments.encode("latin-1"),
                *map(_program, name),
            )
            for path, body, arguments, *name in value["scripts"]
        ),
        records=tuple(
            PlannedRecord(
                _inside(path),
                _inside(site),
                str(rows),
                tuple(_inside(script) for script in scripts),
            )
            for path, site, rows, scripts in value["records"]
        ),
        conflicts=tuple(
            Conflict(_text(path), _text(winner), tuple(map(_text, losers)))
            for path, winner, losers in value["conflicts"]
        ),
        distributions=tuple(map(_distribution, value["distributions"])),
        wheels=wheels,
        bytecode=_bytecode(value.get("bytecode"), wheels),
    )


def _distribution(row: Sequence[Any]) -> Installed:
    one = Installed(**dict(zip(_INSTALLED, row, strict=True)))
    _inside(one.dist_info)
    for word in (one.name, one.version, one.wheel or "", one.filename or ""):
        _text(word)
    if type(one.shared) is not bool:
        raise ValueError("neither true nor false")
    return one


def _text(word: str) -> str:
    if not isinstance(word, str):
        raise TypeError("not text")
    return word


def _wheels(rows: Iterable[Any], layout: StoreLayout) -> Iterator[PlannedWheel]:
    for key, filename, shared, rest in rows:
        files = tuple(ManifestFile(*row) for row in rest)
        for file in files:
            _inside(file.path)
            _text(file.sha256 + file.xxh3)
            if {type(file.size), type(file.mode), type(file.mtime_ns)} != {int}:
                raise ValueError("not a number")
        wheel = _checked_key(key)
        root = layout.entry_text(wheel)
        yield PlannedWheel(wheel, str(filename), root, bool(shared), files)


def _checked_key(key: str) -> StoreKey:
    from mvenv.errors import StoreError

    try:
        return entry_key(key)
    except StoreError as error:
        raise ValueError(key) from error


def _bytecode(
    value: Mapping[str, Any] | None, wheels: Sequence[PlannedWheel]
) -> PlannedBytecode | None:
    if value is None:
        return None
    import re

    tag = str(value["tag"])
    if not re.fullmatch(_TAG, tag):
        raise ValueError(f"`{tag}` is no tag of bytecode")
    links = tuple(_folders(value, [wheel.bytecode(tag) for wheel in wheels]))
    if not all(link.target.rpartition("/")[2] == CACHE for link in links):
        raise ValueError("bytecode outside of its folders")
    return PlannedBytecode(tag, links)


def _folders(columns: Mapping[str, Any], trees: Sequence[str]) -> Iterator[FolderLinks]:
    rows = columns["folders"]
    _check_inside([path for _, source, target, _ in rows for path in (source, target)])
    files = _files(columns)
    for number, source, target, count in rows:
        tree = trees[number]
        found = tuple(itertools.islice(files, count))
        yield _make_folder((f"{tree}/{source}" if source else tree, target, found))
    if sum(count for *_, count in rows) != len(columns["sources"]):
        raise ValueError("files without a folder, or folders without their files")


def _check_inside(paths: Iterable[str]) -> None:
    """Raise `ValueError` unless all are below a folder, or that folder: all at once."""
    named = [path for path in paths if path]
    # A search in all of them at once takes a tenth of one in each.
    text = "/" + "/\n/".join(named) + "/"
    if named and (
        text.count("\n") != len(named) - 1 or any(part in text for part in _OUTSIDE)
    ):
        raise ValueError("a path leads elsewhere")


_OUTSIDE = ("//", "/./", "/../", "\0")
"""Empty parts, an absolute path, dots."""


def _files(columns: Mapping[str, Any]) -> Iterator[FileLink]:
    sources = columns["sources"]
    targets = [
        target or source
        for source, target in zip(sources, columns["targets"], strict=True)
    ]
    for names in (sources, targets):
        text = "".join(names)
        if not _NO_NAMES.isdisjoint(names) or "/" in text or "\0" in text:
            raise ValueError("not a name")
    flags = columns["flags"]
    numbers = (columns[name] for name in ("sizes", "modes", "mtimes"))
    if not set(map(type, itertools.chain(*numbers))) <= {int}:
        raise ValueError("not a number")
    rows = zip(
        sources,
        targets,
        columns["sizes"],
        columns["modes"],
        columns["mtimes"],
        [bool(flag & _PRIVATE) for flag in flags],
        [bool(flag & _EXECUTABLE) for flag in flags],
        _sliced(columns["sha256"], _SHA256, len(sources)),
        _sliced(columns["xxh3"], _XXH3, len(sources)),
        strict=True,
    )
    return map(_make_link, rows)


_make_link = functools.partial(tuple.__new__, FileLink)
_make_folder = functools.partial(tuple.__new__, FolderLinks)
"""As ``FileLink._make``, at a third of its time: there are tens of thousands."""
_NO_NAMES = frozenset({"", ".", ".."})


def _sliced(text: str, width: int, count: int) -> list[str]:
    if len(text) != width * count:
        raise ValueError("digests are missing")
    return [text[start : start + width] for start in range(0, len(text), width)]


def _below(paths: Sequence[str]) -> tuple[str, ...]:
    """Return paths below a folder, as long as they really are."""
    _check_inside(paths)
    if "" in paths:
        raise ValueError("an empty path")
    return tuple(paths)


def _program(name: str) -> str:
    """Return the name of an interpreter beside ``python``; `ValueError` for others."""
    version = name.removeprefix("python").removesuffix("t")
    if not name.startswith("python") or version.strip("0123456789."):
        raise ValueError(f"`{name}` is no interpreter of an environment")
    return name


def _inside(path: str) -> str:
    """Return a path below a folder, as long as it really is one."""
    if (
        not path
        or path.startswith("/")
        or "\0" in path
        or os.path.normpath(path) != path
        or path.split("/", 1)[0] == ".."
    ):
        raise ValueError(path)
    return path
