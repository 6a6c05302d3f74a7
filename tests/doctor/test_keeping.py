"""What doctor keeps before it heals, proves when it has, and does not touch at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from doctor.conftest import World
from kit.lockfiles import PylockWriter
from kit.wheels import WheelMaker
from mvenv.diagnose.model import Expected, Finding, HealClass, Kind, Level
from mvenv.diagnose.store import examine_store
from mvenv.diagnose.users import Users
from mvenv.doctor.means import Means
from mvenv.doctor.sources import Sources
from mvenv.doctor.steps import Carrier, Repair
from mvenv.doctor.store_repair import plan_store_repair
from mvenv.errors import DamagedEntry
from mvenv.fetch.settings import FetchSettings
from mvenv.hashes import digest_bytes
from mvenv.progress import Silent
from mvenv.store.entries import WheelStore
from mvenv.store.layout import StoreLayout
from mvenv.store.registry import roots

GOOD = b"answer = 42\n" * 100


def sources_of(layout: StoreLayout, users: Users) -> Sources:
    return Sources(
        WheelStore(layout),
        users,
        run=None,
        settings=FetchSettings(),
        reporter=Silent(),
    )


def test_a_changed_script_is_kept(world: World) -> None:
    (a,) = world.make("a")
    script = a / "bin/victim"
    script.write_text("#!/bin/sh\necho mine\n")

    assert world.codes(a) == {"F26": "healed"}
    [kept] = (a / ".mvenv/rescued").glob("*/bin/victim")
    assert kept.read_text() == "#!/bin/sh\necho mine\n"
    assert world.healthy(a)


def test_a_changed_record_is_kept(world: World) -> None:
    (a,) = world.make("a")
    record = next(world.site(a).glob("victim-1.0.dist-info/RECORD"))
    record.write_text("mine\n")

    assert world.codes(a, "--fix") == {"F22": "healed"}
    [kept] = (a / ".mvenv/rescued").glob("*/lib/*/site-packages/*/RECORD")
    assert kept.read_text() == "mine\n"


def test_what_stands_where_a_folder_belongs_is_kept(world: World) -> None:
    (a,) = world.make("a")
    folder = world.site(a) / "victim_more"
    shutil.rmtree(folder)
    folder.write_text("mine\n")

    assert world.codes(a, "--fix") == {"F04": "healed"}
    [kept] = (a / ".mvenv/rescued").glob("*/lib/*/site-packages/victim_more")
    assert kept.read_text() == "mine\n"
    assert world.healthy(a)


def test_what_is_only_told_is_not_touched(
    world: World, make_wheel: WheelMaker, write_pylock: PylockWriter
) -> None:
    """Two distributions have one path: nobody but the user can say whose it is."""
    wheels = [make_wheel(name, files={"both.py": f"{name}\n"}) for name in ("x", "y")]
    env = world.folder / "env"
    world.mvenv.create(env, write_pylock(*wheels, path=world.folder / "pylock.xy.toml"))
    place = world.site(env) / "both.py"
    [other] = {"x\n", "y\n"} - {place.read_text()}
    place.unlink()
    place.write_text(other)

    assert world.codes(env, "--fix", "--full") == {"F15": "left"}
    assert place.read_text() == other


def test_nothing_is_healed_from_bytes_that_are_not_right(
    world: World, edit: Callable[..., None]
) -> None:
    """Whatever their stamp says; another environment has the right ones."""
    a, _ = world.make("a", "b", mode="copy")
    edit(world.stored(), GOOD.replace(b"42", b"43"), stamp=True)
    (world.site(a) / "victim.py").unlink()

    assert world.codes(a, "--offline")["F01"] == "healed"
    assert (world.site(a) / "victim.py").read_bytes() == GOOD


def test_nothing_is_healed_from_an_inode_that_was_wrong_once(
    world: World, edit: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failing disk may read it right the next time, and wrong again after that."""
    world.make("a", "b")
    layout = StoreLayout(world.mvenv.store)
    edit(world.stored(), GOOD.replace(b"42", b"43"), stamp=True)
    known = roots(layout)
    [found] = examine_store(layout, None, Level.FULL, known).findings
    users = Users(layout, known)
    sources = sources_of(layout, users)
    expected = found.expected
    assert expected is not None
    hashed: list[Path] = []

    def sha256(path: Path) -> str:
        hashed.append(path)
        return expected.sha256 if len(hashed) > 1 else "0" * 64

    monkeypatch.setattr("mvenv.doctor.sources.sha256_file", sha256)
    sources.distrust(world.stored(), expected)

    assert sources.find(expected) is None
    assert hashed == [world.stored()]


def test_a_heal_is_looked_at_again(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"bad")
    expected = Expected(
        path="file",
        sha256=digest_bytes(GOOD).sha256,
        size=3,
        mode=0o644,
        mtime_ns=(tmp_path / "file").stat().st_mtime_ns,
        kind=Kind.GENERATED,
        distribution=None,
        wheel=None,
        member="",
        sealed_mode=0o644,
    )
    finding = Finding(code="F01", where=tmp_path, heal=HealClass.PLAIN, detail="")
    repair = Repair(finding=finding, words="", proofs=((tmp_path, expected),))
    with pytest.raises(DamagedEntry, match="still not what it must be"):
        Carrier(renew=lambda _: False).carry_out(repair)


def test_nothing_is_sealed_that_was_changed_meanwhile(world: World) -> None:
    """A seal over other bytes would say that they are right."""
    world.make("a")
    layout = StoreLayout(world.mvenv.store)
    stored = world.stored()
    stored.chmod(0o666)
    known = roots(layout)
    [found] = examine_store(layout, None, Level.QUICK, known).findings
    assert found.code == "F44"
    stored.write_bytes(GOOD.replace(b"42", b"43"))
    before = stored.stat()
    users = Users(layout, known)
    means = Means(
        store=WheelStore(layout),
        users=users,
        sources=sources_of(layout, users),
        run=None,
        rescue=layout.rescued / "now",
    )
    with pytest.raises(DamagedEntry, match="still not what it must be"):
        Carrier(renew=lambda _: False).carry_out(plan_store_repair(found, means))

    assert os.stat(stored) == before
