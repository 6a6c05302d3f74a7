"""What tox keeps in the folder of an environment is nobody's stray file."""

from __future__ import annotations

from pathlib import Path

from kit.commands import Runner
from kit.lockfiles import PylockWriter
from kit.wheels import WheelMaker


def test_only_where_tox_is(
    mvenv: Runner, make_wheel: WheelMaker, write_pylock: PylockWriter, tmp_path: Path
) -> None:
    env = tmp_path / "env"
    mvenv.create(env, write_pylock(make_wheel("one")))
    (env / "log").mkdir()
    (env / "log" / "1.log").touch()
    alone = mvenv("doctor", env, "--json").value
    (env / ".tox-info.json").touch()
    (env / "stray").touch()
    with_tox = mvenv("doctor", env, "--json").value

    assert [one["path"] for one in alone["findings"]] == ["log"]
    assert [one["path"] for one in with_tox["findings"]] == ["stray"]
