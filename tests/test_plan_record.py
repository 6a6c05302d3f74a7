"""A plan's record: the same plan comes back, and no path leads outside."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kit.commands import Runner
from kit.wheels import WheelMaker
from mvenv.env.receipt import PLAN, read_receipt
from mvenv.hashes import digest_bytes
from mvenv.plan.model import Plan
from mvenv.plan.record import load_plan, seal_plan
from mvenv.records import seal_record, unseal_record
from mvenv.store.layout import StoreLayout

Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def environment(
    tmp_path: Path,
    mvenv: Runner,
    make_wheel: WheelMaker,
    write_pylock: Callable[..., Path],
) -> Path:
    """Return an environment with two distributions."""
    one = make_wheel(
        "one",
        files={"one/__init__.py": "a = 1\n", "one/é/empty.txt": "", "two.pth": "\n"},
        entry_points="[console_scripts]\none = one:main\n",
    )
    two = make_wheel(
        "two", files={"two.py": "b = 2\n", "two-1.0.data/scripts/b": "#!python\n1\n"}
    )
    mvenv.create(tmp_path / "env", write_pylock(one, two))
    return tmp_path / "env"


def test_the_environment_shares_its_plan_with_the_store(
    environment: Path, mvenv: Runner
) -> None:
    receipt = read_receipt(environment)

    assert receipt is not None
    kept = mvenv.store / "plans" / receipt.plan
    content = (environment / PLAN).read_bytes()
    assert digest_bytes(content).sha256 == receipt.plan
    assert kept.read_bytes() == content
    if receipt.link_mode == "hardlink":
        assert kept.samefile(environment / PLAN)


def test_a_plan_comes_back_as_it_was(environment: Path, mvenv: Runner) -> None:
    content = (environment / PLAN).read_bytes()
    plan = load_plan(content, StoreLayout(mvenv.store))

    assert isinstance(plan, Plan)
    assert seal_plan(plan) == content
    assert {one.name for one in plan.distributions} == {"one", "two"}
    assert {
        file.path.rpartition("/")[2] for one in plan.wheels for file in one.rest
    } == {
        "RECORD",
        "b",
    }
    for folder in plan.links:
        for file in folder.files:
            assert Path(folder.source, file.source).stat().st_size == file.size


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value["folders"].append("../out"),
        lambda value: value["folders"].append("/out"),
        lambda value: value["links"]["targets"].__setitem__(0, "../out"),
        lambda value: value["links"]["targets"].__setitem__(0, ".."),
        lambda value: value["links"]["sources"].__setitem__(0, "a\0b"),
        lambda value: value["links"]["folders"][0].__setitem__(1, "../.."),
        lambda value: value["links"]["folders"][0].__setitem__(2, "lib/../../x"),
        lambda value: value["links"]["folders"][0].__setitem__(0, 99),
        lambda value: value["links"]["sizes"].__setitem__(0, "1"),
        lambda value: value["links"].update(sha256="ab"),
        lambda value: value["files"].append(["../x", "", False]),
        lambda value: value["scripts"].append(["/bin/x", "", ""]),
        lambda value: value["records"][0].__setitem__(0, "../RECORD"),
        lambda value: value["wheels"][0].__setitem__(0, "../../x"),
        lambda value: value["distributions"][0].pop(),
        lambda value: value["distributions"][0].__setitem__(-1, "../x"),
        lambda value: value.clear(),
    ],
)
def test_a_plan_that_leads_outside_is_none(
    environment: Path, mvenv: Runner, change: Change
) -> None:
    """Its checksum is against accidents: anybody can make one that is right."""
    payload = unseal_record("plan", 1, (environment / PLAN).read_bytes())
    assert payload is not None
    value = json.loads(payload)
    change(value)

    content = seal_record("plan", 1, json.dumps(value).encode())
    assert load_plan(content, StoreLayout(mvenv.store)) is None


@pytest.mark.parametrize("more", [-1, 1, 99])
def test_a_plan_whose_folders_have_other_files_than_it_has_is_none(
    environment: Path, mvenv: Runner, more: int
) -> None:
    payload = unseal_record("plan", 1, (environment / PLAN).read_bytes())
    assert payload is not None
    value = json.loads(payload)
    value["links"]["folders"][-1][3] += more
    content = seal_record("plan", 1, json.dumps(value).encode())

    assert load_plan(content, StoreLayout(mvenv.store)) is None


def test_a_damaged_plan_is_none(environment: Path, mvenv: Runner) -> None:
    content = bytearray((environment / PLAN).read_bytes())
    content[-5] ^= 1

    assert load_plan(bytes(content), StoreLayout(mvenv.store)) is None
