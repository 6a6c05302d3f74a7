"""The rolling scrub: round and round, the longest unseen first."""

from __future__ import annotations

from diagnose.conftest import CODE, Scene, stat_kept, write_through
from mvenv.diagnose.model import Scrubbed
from mvenv.diagnose.scrub import SCRUB, load_scrub, save_scrub


def test_a_quick_look_hashes_a_few_more_each_time(any_scene: Scene) -> None:
    place = any_scene.site / "tools/code.py"
    with stat_kept(place):
        write_through(place, CODE.encode().replace(b"7", b"8"))
    assert any_scene.look().findings == ()

    rehashed, rounds, found = 0, 0, False
    while rehashed < any_scene.look().checked:
        looked = any_scene.look(scrub=1e-6)
        assert looked.scrubbed is not None
        # The clock may owe what a slow disk took: then this look makes up for it.
        save_scrub(any_scene.env, looked.scrubbed._replace(debt=0.0))
        rehashed += looked.rehashed
        rounds += 1
        found = found or [one.code for one in looked.findings] == ["F09"]
        assert rounds < 1000
    assert found
    assert rounds > 3


def test_enough_time_is_a_full_round(scene: Scene) -> None:
    looked = scene.look(scrub=60.0)

    assert looked.rehashed >= looked.checked
    assert looked.scrubbed is not None
    assert looked.scrubbed.next == 0


def test_a_full_round_misses_no_file(any_scene: Scene) -> None:
    """Wherever it begins: in a folder, between two, at the end."""
    plan = any_scene.receipt().plan
    whole = any_scene.look(scrub=60.0).rehashed
    place = any_scene.site / "tools/code.py"
    with stat_kept(place):
        write_through(place, CODE.encode().replace(b"7", b"8"))
    for start in range(whole):
        save_scrub(any_scene.env, Scrubbed(plan, start, 0.0))
        looked = any_scene.look(scrub=60.0)

        assert [one.code for one in looked.findings] == ["F09"]
        assert looked.scrubbed is not None
        assert looked.scrubbed.next == start


def test_what_overran_is_made_up_for(scene: Scene) -> None:
    plan = scene.receipt().plan
    save_scrub(scene.env, Scrubbed(plan, 3, 5.0))

    looked = scene.look(scrub=2.0)
    assert looked.rehashed == 0
    assert looked.scrubbed == Scrubbed(plan, 3, 3.0)


def test_a_memory_of_something_else_begins_anew(scene: Scene) -> None:
    plan = scene.receipt().plan
    assert load_scrub(scene.env, plan) == Scrubbed(plan, 0, 0.0)
    save_scrub(scene.env, Scrubbed("other", 7, 0.0))
    assert load_scrub(scene.env, plan).next == 0
    (scene.env / SCRUB).write_text("garbage")
    assert load_scrub(scene.env, plan).next == 0
    save_scrub(scene.env, Scrubbed(plan, 10**9, 0.0))
    assert scene.look(scrub=0.1).findings == ()
