"""The reference pages say what the program does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from mvenv.cli.commands import command

DOCS = Path(__file__).parents[1] / "docs"


def _options() -> list[tuple[str, str, str]]:
    """Return (command, option, variable) of the whole command line."""
    found = []
    for name, one in _commands(command):
        for parameter in one.params:
            variable = parameter.envvar
            assert isinstance(variable, str), (
                f"{name}: {parameter.name} has no variable"
            )
            flags = [*parameter.opts, *parameter.secondary_opts]
            if isinstance(parameter, click.Option):
                found += [(name, flag, variable) for flag in flags]
            else:
                found.append(
                    (name, parameter.name.upper() if parameter.name else "", variable)
                )
    return found


def _commands(group: click.Group) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        one = group.get_command(context, name)
        assert one is not None
        if isinstance(one, click.Group):
            yield from ((f"{name} {below}", inner) for below, inner in _commands(one))
        else:
            yield name, one


@pytest.mark.parametrize(("name", "option", "variable"), _options())
def test_every_option_is_documented_with_its_variable(
    name: str, option: str, variable: str
) -> None:
    page = (DOCS / "cli.md").read_text(encoding="utf-8")

    assert f"## mvenv {name}" in page
    assert f"`{option}" in page or f"{option}`" in page or f"[{option}]" in page
    assert f"`{variable}`" in page


def test_every_page_is_in_the_index() -> None:
    index = (DOCS / "index.md").read_text(encoding="utf-8").split()
    pages = {page.stem for page in DOCS.glob("*.md")} - {"index"}

    assert pages <= set(index)
