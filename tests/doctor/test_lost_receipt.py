"""A lost receipt: what comes back, and what is said of the rest."""

from __future__ import annotations

from doctor.conftest import World
from mvenv.env.receipt import RECEIPT


def test_what_nobody_knows_any_more_is_told(world: World) -> None:
    [folder] = world.make("a")
    (folder / RECEIPT).unlink()

    outcome = world.doctor(folder, "--offline")

    assert outcome.code == 0, outcome.out
    assert "which groups and extras were asked for" in outcome.out
    assert "`mvenv sync`" in outcome.out
    assert world.healthy(folder)
