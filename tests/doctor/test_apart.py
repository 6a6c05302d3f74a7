"""A store that is on another file system by now."""

from __future__ import annotations

import shutil

from doctor.conftest import World
from kit.filesystems import Filesystems


def test_files_of_its_own_are_no_fault_then(
    world: World, filesystems: Filesystems
) -> None:
    """And nothing is copied, run after run."""
    [folder] = world.make("a")
    store = world.mvenv.store
    other = filesystems.folder("tmpfs") / "store"
    shutil.copytree(store, other, symlinks=True)
    shutil.rmtree(store)
    store.symlink_to(other)
    file = world.site(folder) / "victim.py"
    before = file.stat()
    assert before.st_nlink == 1

    for words in ((), ("--full",), ("--check",), ("--check", "--full")):
        outcome = world.doctor(folder, *words, "--offline")
        assert outcome.code == 0, outcome.out
        assert "F49 unlinkable" in outcome.out
        assert "the store is on another file system now" in outcome.out
        assert "F11" not in outcome.out
    assert file.stat() == before
    (world.site(folder) / "victim_more/data.bin").unlink()
    assert world.codes(folder, "--offline") == {"F49": "drift", "F01": "healed"}
    refused = world.mvenv("adopt", folder)
    assert refused.code == 18
    assert "`--store`" in refused.err


def test_adopt_shares_with_a_store_beside_it(
    world: World, filesystems: Filesystems
) -> None:
    [folder] = world.make("a")
    shutil.move(world.mvenv.store, filesystems.folder("tmpfs") / "store")
    near = world.folder / "near"

    outcome = world.mvenv("adopt", folder, store=near)

    assert outcome.code == 0, outcome.err
    assert (world.site(folder) / "victim.py").stat().st_nlink == 2
    looked = world.mvenv("doctor", folder, "--check", "--full", store=near)
    assert looked.code == 0, looked.out
