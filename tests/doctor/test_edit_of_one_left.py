"""A create or a sync mends the store for itself: who had the edit, too, is known."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from doctor.conftest import World

GOOD = b"answer = 42\n" * 100
EDIT = b"answer = 43\n" * 100


@pytest.mark.parametrize("manifest", [True, False])
def test_the_last_one_with_a_shared_edit_is_healed_and_not_taken_for_private(
    world: World,
    edit: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    *,
    manifest: bool,
) -> None:
    # Taken in again in the same second, it has the same stamps, and can be shared.
    now = time.time()
    monkeypatch.setattr("mvenv.store.entries.time.time", lambda: now)
    a, b = world.make("a", "b")
    edit(world.site(a) / "victim.py", EDIT)
    if not manifest:
        [lost] = world.mvenv.store.glob("wheels/*/*/MANIFEST")
        lost.unlink()
    # Made anew from the wheel; the edited file goes to the store's rescued ones.
    world.mvenv.create(a, world.lock, "--clear", "--link-mode", "hardlink")
    assert (world.site(a) / "victim.py").read_bytes() == GOOD
    assert (world.site(b) / "victim.py").read_bytes() == EDIT

    # What is right of the old inodes is shared anew by the way (F11).
    assert world.codes(a, b).pop("F08") == "left"
    outcome = world.doctor(a, b, "--fix", "--json")

    [finding] = outcome.value["findings"]
    assert (finding["code"], finding["fate"]) == ("F08", "healed")
    [kept] = finding["rescued"]
    assert Path(kept["kept"]).read_bytes() == EDIT
    assert (world.site(b) / "victim.py").samefile(world.stored())
    assert world.healthy(a, b)


def test_an_edit_of_one_alone_stays_private(world: World) -> None:
    a, b = world.make("a", "b")
    place = world.site(b) / "victim.py"
    place.unlink()
    place.write_bytes(EDIT)
    # Another name of the user's own.
    (world.folder / "mine.py").hardlink_to(place)

    assert world.codes(a, b, "--fix") == {"F10": "drift"}
    assert place.read_bytes() == EDIT
