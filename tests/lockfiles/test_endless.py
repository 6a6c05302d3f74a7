"""Locks that go deeper or longer than Python can follow: an error, never a crash."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.commands import Runner
from mvenv.errors import LockfileError
from mvenv.lockfiles import read_lockfile

DIGITS = "1" * 5000
DEEP = "(" * 3000 + "os_name == 'x'" + ")" * 3000
PYLOCK = 'lock-version = "1.0"\ncreated-by = "x"\n[[packages]]\nname = "demo"\n'
POETRY = """\
[[package]]
name = "demo"
version = "1.0"
groups = ["main"]
files = []
{more}

[metadata]
lock-version = "2.1"
python-versions = "*"
content-hash = "x"
"""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pylock.toml", f"{PYLOCK}x = {DIGITS}\n"),
        ("pylock.toml", f'{PYLOCK}version = "{DIGITS}"\n'),
        ("pylock.toml", f'{PYLOCK}requires-python = ">={DIGITS}"\n'),
        ("pylock.toml", PYLOCK.replace("1.0", DIGITS)),
        ("pylock.toml", f'{PYLOCK}marker = "{DEEP}"\n'),
        ("poetry.lock", POETRY.format(more="").replace("1.0", DIGITS)),
        ("poetry.lock", POETRY.format(more="").replace("2.1", DIGITS)),
        ("poetry.lock", POETRY.format(more="").replace('"*"', f'">={DIGITS}"')),
        ("poetry.lock", POETRY.format(more=f'markers = "{DEEP}"')),
    ],
    ids=range(9),
)
def test_is_refused(tmp_path: Path, name: str, text: str) -> None:
    lock = tmp_path / name
    lock.write_text(text)
    with pytest.raises(LockfileError):
        read_lockfile(lock)


def test_a_file_url_with_nul(mvenv: Runner, tmp_path: Path) -> None:
    lock = tmp_path / "pylock.toml"
    wheel = "demo-1.0-py3-none-any.whl"
    lock.write_text(
        f'{PYLOCK}version = "1.0"\nwheels = [{{name = "{wheel}",'
        f' url = "file:///a%00b/{wheel}", hashes = {{sha256 = "{"0" * 64}"}}}}]\n'
    )
    outcome = mvenv("create", tmp_path / "env", "--from", lock)

    assert outcome.code == 13
