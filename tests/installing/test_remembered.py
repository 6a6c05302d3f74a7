"""How long what pip has chosen is believed."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from kit.targets import make_target
from mvenv.installing.arguments import read_arguments
from mvenv.installing.remembered import Remembered, resolution_key
from mvenv.installing.request import InstallRequest
from mvenv.store.layout import StoreLayout, open_layout
from mvenv.surroundings import Surroundings
from mvenv.values import replace

PACKAGES = ({"name": "one", "version": "1.0"},)


@pytest.fixture
def layout(tmp_path: Path) -> StoreLayout:
    """Return a new store."""
    return open_layout(tmp_path / "store")


def test_only_what_is_young_enough(
    layout: StoreLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing from the future: a clock was put back."""
    now = int(time.time())
    monkeypatch.setattr(time, "time", lambda: now)
    memory = Remembered(layout, 100)
    memory.keep("key", PACKAGES)

    assert memory.recall("key") == PACKAGES
    assert memory.recall("other") is None
    assert Remembered(layout, 0).recall("key") is None
    monkeypatch.setattr(time, "time", lambda: now + 101)
    assert memory.recall("key") is None
    monkeypatch.setattr(time, "time", lambda: now - 1)
    assert memory.recall("key") is None


def test_what_was_changed_is_not_believed(layout: StoreLayout) -> None:
    memory = Remembered(layout, 100)
    memory.keep("key", PACKAGES)
    record = layout.resolutions / "key"
    record.write_bytes(record.read_bytes().replace(b"1.0", b"6.6"))

    assert memory.recall("key") is None


def test_nothing_is_kept_that_will_never_be_believed(layout: StoreLayout) -> None:
    Remembered(layout, 0).keep("key", PACKAGES)

    assert not [*layout.resolutions.iterdir()]


def test_what_is_old_is_deleted(
    layout: StoreLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = Remembered(layout, 100)
    memory.keep("old", PACKAGES)
    later = time.time() + 40 * 24 * 3600
    monkeypatch.setattr(time, "time", lambda: later)
    # Its file has the time that the disk knows.
    memory.keep("new", PACKAGES)

    assert not (layout.resolutions / "old").exists()


def _request(folder: Path, **environ: str) -> InstallRequest:
    environ["MVENV_STORE"] = str(folder / "store")
    return InstallRequest(
        folder=folder / "env",
        arguments=(),
        start=folder,
        notes=folder / "notes",
        remember=100.0,
        surroundings=Surroundings.of(environ),
        environ=environ,
    )


@pytest.mark.parametrize("name", ["constraint", "find-links", "find_links"])
def test_what_a_configuration_of_pip_names_is_read(tmp_path: Path, name: str) -> None:
    """Its contents decide, as those of what a variable names."""
    named = tmp_path / "named"
    if name == "constraint":
        named.write_text("one<2\n", encoding="utf-8")
    else:
        named.mkdir()
    config = tmp_path / "pip.conf"
    config.write_text(f"[global]\n{name} = {named}\n", encoding="utf-8")
    request = _request(tmp_path, PIP_CONFIG_FILE=str(config))
    asked = read_arguments(("one",), tmp_path)
    key = resolution_key(asked, (), make_target(), request)
    assert key == resolution_key(asked, (), make_target(), request)

    if name == "constraint":
        named.write_text("one<3\n", encoding="utf-8")
    else:
        (named / "one-3.0-py3-none-any.whl").touch()
    assert resolution_key(asked, (), make_target(), request) != key


def test_the_question_is_the_interpreters_and_not_its_paths(tmp_path: Path) -> None:
    """`python3` and `python3.12` are one; another platform is another."""
    target = make_target()
    request = _request(tmp_path)
    asked = read_arguments(("one", "two>1"), tmp_path)
    key = resolution_key(asked, (), target, request)

    other = replace(target, executable=f"{target.executable}.9")
    assert key is not None
    assert resolution_key(asked, (), other, request) == key
    other = replace(target, tags=target.tags[1:])
    assert resolution_key(asked, (), other, request) != key
    other = replace(target, markers={**target.markers, "python_version": "4.0"})
    assert resolution_key(asked, (), other, request) != key
