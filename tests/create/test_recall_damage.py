"""What recalls a plan may be lost, cut, foreign or hostile: then it is decided anew."""

from __future__ import annotations

import json
import marshal
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kit.commands import Runner
from kit.deciding import Deciding
from mvenv.hashes import digest_bytes
from mvenv.records import (
    read_record,
    seal_record,
    store_json,
    unseal_record,
    write_record,
)
from mvenv.store.names import SYNCED

Change = Callable[[Path], object]
HOSTILE = "0" * 64


def answer_of(mvenv: Runner) -> Path:
    """Return the only record of an answer."""
    [answer] = (path for path in (mvenv.store / "ready").iterdir() if not path.suffix)
    return answer


def entry_of(mvenv: Runner, name: str) -> Path:
    """Return the folder of a wheel in the store."""
    [found] = (mvenv.store / "wheels").glob(f"*/*/tree/{name}")
    return found.parents[name.count("/") + 1]


def healed(decides: Deciding, lock: Path) -> None:
    """See that a plan is decided on, and known again."""
    assert decides(lock)
    assert "Traceback" not in decides.last.err
    assert list(decides.env.rglob("plain/__init__.py"))
    assert not decides(lock)


# ---- wheels that are not as the plan says


@pytest.mark.parametrize("what", ["wheel", SYNCED, "MANIFEST", "tree"])
def test_a_wheel_that_is_gone_or_not_whole(
    decides: Deciding, lock: Path, mvenv: Runner, what: str
) -> None:
    decides(lock)
    entry = entry_of(mvenv, "plain")
    if what == "wheel":
        shutil.rmtree(entry)
    elif what == "tree":
        shutil.rmtree(entry / "tree")
    else:
        (entry / what).unlink()
    if what == "MANIFEST":  # Nothing of it is needed to link what is as it was.
        assert not decides(lock)
        return

    assert decides(lock)
    assert list(decides.env.rglob("plain/__init__.py"))
    if what == SYNCED:
        # The same run of the machine: it is trusted, and flushed with what comes new.
        (entry / SYNCED).touch()
    assert not decides(lock)


def test_what_was_pruned_is_fetched_again(
    decides: Deciding, lock: Path, mvenv: Runner
) -> None:
    decides(lock)
    shutil.rmtree(decides.env)
    mvenv("store", "prune", "--forget", decides.env)
    assert not list((mvenv.store / "wheels").glob("*/*"))

    healed(decides, lock)


@pytest.mark.parametrize("name", ["plain/__init__.py", "tools.pth"])
def test_a_stored_file_that_was_edited(
    decides: Deciding, lock: Path, mvenv: Runner, name: str
) -> None:
    """One is linked, and one is copied after everything else."""
    decides(lock)
    stored = entry_of(mvenv, name) / "tree" / name
    stored.chmod(0o644)
    stored.write_text("edited = True\n")

    assert decides(lock)
    assert "had been changed" in decides.last.err
    assert "edited" not in next(decides.env.rglob(name)).read_text()
    assert not decides(lock)


# ---- records that are not as they were written


def _sealed(value: Any) -> Change:
    return lambda path: store_json(path, "ready", 2, value)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _link_to_nothing_that_ends(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


RECORDS: dict[str, Change] = {
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: os.truncate(path, path.stat().st_size - 5),
    "flipped": lambda path: path.write_bytes(path.read_bytes().replace(b"[", b"{", 1)),
    "deleted": Path.unlink,
    "of another format": lambda path: store_json(path, "ready", 99, [HOSTILE]),
    "of another kind": lambda path: store_json(path, "build", 2, [HOSTILE]),
    "no JSON": lambda path: path.write_bytes(seal_record("ready", 2, b"]")),
    "too deep": lambda path: path.write_bytes(
        seal_record("ready", 2, b"[" * 100_000 + b"]" * 100_000)
    ),
    "no text": lambda path: path.write_bytes(seal_record("ready", 2, b"\xff\xfe")),
    "null": _sealed(None),
    "a number": _sealed(5),
    "an object": _sealed({"0": HOSTILE}),
    "nothing in it": _sealed([]),
    "of the first format": _sealed([HOSTILE, []]),
    "numbers in it": _sealed([1, 2, 3, 4]),
    "numbers deeper in it": _sealed([HOSTILE, "", [[1, 2]], [3]]),
    "triples": _sealed([HOSTILE, "", [["a", "b", "c"]], []]),
    "a path": _sealed(["../../../etc/passwd", "", [], []]),
    "an endless path": _sealed(["/dev/zero", "", [], []]),
    "a path with NUL": _sealed(["a\0b", "", [], []]),
    "a need with NUL": _sealed([HOSTILE, "", [["a", "b\0"]], []]),
    "no plan": _sealed([HOSTILE, "", [], []]),
    "half a letter": lambda path: path.write_bytes(
        seal_record("ready", 2, b'["\\ud800","",[],[]]')
    ),
    "a long list": _sealed([HOSTILE, "", [["a", "b"]] * 200_000, []]),
    "a folder": _folder,
    "a link": _link_to_nothing_that_ends,
    "a pipe": _fifo,
    "more than fits into memory": lambda path: os.truncate(path, 1 << 42),
}


@pytest.mark.parametrize("change", RECORDS.values(), ids=RECORDS.keys())
def test_a_record_of_an_answer(
    decides: Deciding, lock: Path, mvenv: Runner, change: Change
) -> None:
    decides(lock)
    answer = answer_of(mvenv)
    change(answer)

    assert decides(lock)
    assert "Traceback" not in decides.last.err
    assert list(decides.env.rglob("plain/__init__.py"))
    if not answer.is_dir():
        assert not decides(lock)


def _marshalled(value: Any) -> Change:
    return lambda path: write_record(path, "recipe", 1, marshal.dumps(value))


RECIPES: dict[str, Change] = {
    **{name: RECORDS[name] for name in ("empty", "cut", "deleted", "a folder")},
    "of another format": lambda path: write_record(path, "recipe", 99, b""),
    "no marshal": lambda path: write_record(path, "recipe", 1, b"garbage"),
    "half of it": lambda path: write_record(path, "recipe", 1, marshal.dumps([1])[:-1]),
    "nothing": _marshalled(None),
    "a number": _marshalled(5),
    "too little": _marshalled((marshal.version,)),
    "numbers": _marshalled((marshal.version, *range(9))),
    "of another plan": lambda path: _change_recipe(path, 1, (1, 2, 3)),
    "of another Python": lambda path: _change_recipe(path, 0, 99),
    "a wheel elsewhere": lambda path: _change_recipe(path, 2, [("../../etc", "x")]),
    "a wheel that is a number": lambda path: _change_recipe(path, 2, [(5, "x")]),
    "marks of no wheel": lambda path: _change_recipe(path, 3, [(99, "x")]),
    "a distribution of numbers": lambda path: _change_recipe(path, 4, [(1, 2)]),
    "conflicts of numbers": lambda path: _change_recipe(path, 5, [5]),
    "scripts of numbers": lambda path: _change_recipe(path, 6, [(5,)]),
    "links of numbers": lambda path: _change_recipe(path, 7, [(5, 5, 5)]),
}


def _change_recipe(path: Path, index: int, value: object) -> None:
    payload = read_record(path, "recipe", 1)
    assert payload is not None
    told = list(marshal.loads(payload))  # noqa: S302 our own
    told[index] = value
    write_record(path, "recipe", 1, marshal.dumps(tuple(told)))


@pytest.mark.parametrize("change", RECIPES.values(), ids=RECIPES.keys())
def test_a_recipe(decides: Deciding, lock: Path, mvenv: Runner, change: Change) -> None:
    decides(lock)
    [recipe] = (mvenv.store / "ready").glob("*.recipe")
    change(recipe)

    assert decides(lock)
    assert "Traceback" not in decides.last.err
    assert list(decides.env.rglob("plain/__init__.py"))
    if not recipe.is_dir():
        assert not decides(lock)


# The same plan with something else in it, and an answer that names it.

PLANS: dict[str, tuple[list[str | int], Any]] = {
    "a wheel elsewhere": (["wheels", 0, 0], "../../../../etc"),
    "a wheel that is a number": (["wheels", 0, 0], 5),
    "rest outside": (["wheels", 0, 3], [["../x", "0", "0", 1, 1, 1]]),
    "rest of words": (["wheels", 0, 3], [["x", "0", "0", "1", 1, 1]]),
    "a folder outside": (["folders", 0], "../outside"),
    "an absolute folder": (["folders", 0], "/outside"),
    "a folder that is a number": (["folders", 0], 5),
    "folders that are none": (["folders"], None),
    "a source outside": (["links", "folders", 0, 1], "../../.."),
    "a target outside": (["links", "folders", 0, 2], "lib/../../outside"),
    "an absolute target": (["links", "folders", 0, 2], "/outside"),
    "no such wheel": (["links", "folders", 0, 0], 99),
    "a wheel by name": (["links", "folders", 0, 0], "plain"),
    "a count below zero": (["links", "folders", 0, 3], -1),
    "a count too large": (["links", "folders", 0, 3], 99),
    "a name that is a path": (["links", "targets", 0], "../outside"),
    "a name that is dots": (["links", "targets", 0], ".."),
    "a source that is a path": (["links", "sources", 0], "../MANIFEST"),
    "a size that is a word": (["links", "sizes", 0], "1"),
    "a mode that is a word": (["links", "modes", 0], "1"),
    "flags that are words": (["links", "flags", 0], "1"),
    "no digests": (["links", "sha256"], ""),
    "digests that are none": (["links", "sha256"], 5),
    "a file outside": (["files", 0, 0], "../outside"),
    "a file that is a number": (["files", 0, 1], 5),
    "a file of no bytes": (["files", 0, 1], "\u1234"),
    "a script outside": (["scripts", 0, 0], "bin/../../outside"),
    "a record outside": (["records", 0, 0], "/outside"),
    "a site outside": (["records", 0, 1], ".."),
    "a record's script outside": (["records", 0, 3], ["../outside"]),
    "a distribution of numbers": (["distributions", 0], [1, 2, 3, 4, 5, 6]),
    "a name that is a number": (["distributions", 0, 0], 5),
    "shared or not": (["distributions", 0, 4], "perhaps"),
    "metadata outside": (["distributions", 0, 5], "../x.dist-info"),
    "a conflict of numbers": (["conflicts"], [[1, 2, [3]]]),
    "nothing": ([], None),
    "a list": ([], []),
}


@pytest.mark.parametrize(("place", "value"), PLANS.values(), ids=PLANS.keys())
def test_a_hostile_plan_with_a_true_digest(
    decides: Deciding,
    lock: Path,
    mvenv: Runner,
    place: list[str | int],
    value: object,
) -> None:
    decides(lock)
    swap_plan(mvenv, place, value)

    healed(decides, lock)

    assert not list(decides.env.parents[1].rglob("outside*"))
    assert not Path("/outside").exists()


def swap_plan(mvenv: Runner, place: list[str | int], value: object) -> None:
    """Put something else into the plan that is recalled, with digests that fit."""
    answer = answer_of(mvenv)
    sealed = read_record(answer, "ready", 2)
    assert sealed is not None
    told = json.loads(sealed)
    payload = unseal_record("plan", 1, (mvenv.store / "plans" / told[0]).read_bytes())
    assert payload is not None
    plan = json.loads(payload)
    holder: Any = {"plan": plan}
    inner = holder
    *above, last = ["plan", *place]
    for key in above:
        inner = inner[key]
    inner[last] = value
    plan = holder["plan"]
    text = json.dumps(plan, ensure_ascii=False, separators=(",", ":"))
    content = seal_record("plan", 1, text.encode("utf-8", "surrogateescape"))
    digest = digest_bytes(content).sha256
    (mvenv.store / "plans" / digest).write_bytes(content)
    store_json(answer, "ready", 2, [digest, *told[1:]])


@pytest.mark.parametrize("damage", ["deleted", "cut", "flipped", "a folder"])
def test_a_plan_that_is_damaged(
    decides: Deciding, lock: Path, mvenv: Runner, damage: str
) -> None:
    decides(lock)
    [plan] = (mvenv.store / "plans").iterdir()
    plan.chmod(0o644)
    RECORDS[damage](plan)
    if damage == "a folder":
        outcome = decides.create(lock)
        assert outcome.code == 18
        assert "Traceback" not in outcome.err
        return

    healed(decides, lock)


def test_a_store_whose_memory_cannot_be_written_to(
    decides: Deciding, lock: Path, mvenv: Runner
) -> None:
    """Then it is decided each time, and nobody is told of it."""
    (mvenv.store / "ready").mkdir(parents=True)
    decides(lock)
    shutil.rmtree(mvenv.store / "ready")
    (mvenv.store / "ready").write_bytes(b"")

    assert decides(lock)
    assert decides(lock)
    assert decides.last.err == ""
