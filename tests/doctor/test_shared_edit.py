"""A file changed through a link: kept once, put right everywhere, in one run."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from doctor.conftest import World

GOOD = b"answer = 42\n" * 100
EDIT = b"answer = 43\n" * 100


def test_fifty_environments_are_healed_in_one_run(
    world: World, edit: Callable[..., None]
) -> None:
    environments = world.make(*(f"e{number:02}" for number in range(50)))
    edit(world.site(environments[17]) / "victim.py", EDIT)

    left = world.doctor(environments[17])
    assert left.code == 1
    assert "--fix" in left.out
    outcome = world.doctor(environments[17], "--fix", "--json")
    value = outcome.value
    assert outcome.code == 0
    [finding] = value["findings"]
    assert (finding["code"], finding["fate"]) == ("F08", "healed")
    assert sorted(finding["users"]) == sorted(map(str, environments))
    [kept] = finding["rescued"]
    assert Path(kept["kept"]).read_bytes() == EDIT
    for environment in environments:
        path = world.site(environment) / "victim.py"
        assert path.read_bytes() == GOOD
        assert path.samefile(world.stored())
    assert world.healthy(*environments)


def test_the_restore_command_brings_the_edit_back_to_one_alone(
    world: World, edit: Callable[..., None]
) -> None:
    a, b = world.make("a", "b")
    edit(world.site(a) / "victim.py", EDIT)
    value = world.doctor(a, "--fix", "--json").value
    [kept] = value["findings"][0]["rescued"]
    assert os.system(kept["command"]) == 0  # noqa: S605  what the user would type

    assert (world.site(a) / "victim.py").read_bytes() == EDIT
    assert (world.site(b) / "victim.py").read_bytes() == GOOD
    assert world.stored().read_bytes() == GOOD


def test_a_hidden_edit_is_found_in_full_and_healed_everywhere(
    world: World, edit: Callable[..., None]
) -> None:
    a, b = world.make("a", "b")
    edit(world.site(a) / "victim.py", EDIT, stamp=True)

    assert world.codes(b, "--check", "--full") == {"F09": "left"}
    assert world.codes(b, "--fix", "--full") == {"F09": "healed"}
    assert world.healthy(a, b)


def test_a_hidden_edit_of_what_no_environment_shares_is_found_in_full(
    world: World, edit: Callable[..., None]
) -> None:
    """The store's own file of what environments have as private copies."""
    (a,) = world.make("a")
    record = world.stored("victim-1.0.dist-info/RECORD")
    edit(record, record.read_bytes().swapcase(), stamp=True)

    assert world.doctor(a, "--check").code == 0
    assert world.codes(a, "--check", "--full").keys() == {"F09"}
    assert world.doctor(a, "--full", "--fix").code == 0
    assert world.healthy(a)


def test_turned_bits_are_healed_without_being_asked(
    world: World, edit: Callable[..., None], make_copy: Path
) -> None:
    a, b = world.make("a", "b")
    content = bytearray(GOOD)
    content[500] ^= 0x10
    edit(world.site(a) / "victim.py", bytes(content), stamp=True)
    assert make_copy.is_dir()

    assert world.codes(a, "--check", "--full") == {"F16": "left"}
    outcome = world.doctor(a, "--full")
    assert outcome.code == 0, outcome.out
    assert "bit" in outcome.out
    assert world.healthy(a, b)


@pytest.fixture
def make_copy(world: World) -> Path:
    """Return an environment of copies: it has the right bytes, come what may."""
    (folder,) = world.make("copy", mode="copy")
    return folder


@pytest.mark.parametrize("damage", ["emptied", "zeroed", "cut"])
def test_what_is_nobodys_work_is_healed_everywhere(
    world: World, edit: Callable[..., None], damage: str
) -> None:
    a, b = world.make("a", "b")
    content = {"emptied": b"", "zeroed": bytes(len(GOOD)), "cut": GOOD[:100]}[damage]
    (world.site(a)).mkdir(exist_ok=True)
    edit(world.site(a) / "victim.py", content)
    world.doctor(b, "--fix" if damage == "cut" else "--full")

    assert (world.site(a) / "victim.py").read_bytes() == GOOD
    assert world.healthy(a, b)


def test_offline_another_environments_bytes_do(
    world: World, edit: Callable[..., None], make_copy: Path
) -> None:
    a, b = world.make("a", "b")
    world.wheel.unlink()
    edit(world.site(a) / "victim.py", EDIT)
    outcome = world.doctor(a, "--fix", "--offline")

    assert outcome.code == 0, outcome.out
    assert world.healthy(a, b, make_copy)


def test_without_any_source_nothing_is_touched(
    world: World, edit: Callable[..., None]
) -> None:
    a, b = world.make("a", "b")
    world.wheel.unlink()
    edit(world.site(a) / "victim.py", EDIT)
    before = (world.site(a) / "victim.py").stat()
    outcome = world.doctor(a, "--fix", "--offline")

    assert outcome.code == 1
    assert "no good copy was found" in outcome.out
    assert (world.site(b) / "victim.py").stat().st_ino == before.st_ino
    assert (world.site(a) / "victim.py").read_bytes() == EDIT


def test_an_unreadable_environment_keeps_no_other_from_being_healed(
    world: World, edit: Callable[..., None]
) -> None:
    a, b, c = world.make("a", "b", "c")
    edit(world.site(a) / "victim.py", EDIT)
    (b / ".mvenv").rename(world.folder / "hidden")
    b.rename(world.folder / "away")
    outcome = world.doctor(a, "--fix")

    assert outcome.code == 0, outcome.out
    assert world.healthy(a, c)


def test_an_edit_of_one_that_is_detached_is_drift(world: World) -> None:
    a, b = world.make("a", "b")
    path = world.site(a) / "victim.py"
    other = path.with_name("other")
    other.write_bytes(EDIT)
    other.replace(path)
    outcome = world.doctor(a, "--fix")

    assert outcome.code == 0
    assert path.read_bytes() == EDIT
    assert world.healthy(b)


def test_a_touched_date_is_no_fault_and_is_put_back(world: World) -> None:
    a, b = world.make("a", "b")
    os.utime(world.site(a) / "victim.py")

    assert world.doctor(a, "--check").code == 0
    assert world.doctor(a).code == 0
    assert world.healthy(a, b)
