"""The reference of the command line, written from the commands themselves.

A page has these fences, which become Markdown before it is parsed:

``{commands}``
    A table of all commands, each with the first line of its help.
``{options} mvenv create``
    The usage of a command, and a table of its arguments and options: names, variable,
    meaning and default, as click has them. Lines ``--name: text`` inside give text in
    the place of the help's, where there is more to say than help has room for. An
    argument has no help, so it needs such a line.
``{venv}``
    The same for ``python -m mvenv``, whose options `argparse` reads.
``{variables}``
    A table of all variables, each with the options that it stands for. Lines
    ``NAME: text`` add variables that no option has.

What fits no command is an error, and ends the build.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import click

from mvenv.cli.commands import command
from mvenv.cli.venv import venv_parser

__all__ = ["all_commands", "expand", "setup"]

_FENCE = re.compile(
    r"^```\{(commands|options|variables|venv)\} ?(.*)\n((?:.*\n)*?)```$", re.MULTILINE
)
_NOTE = re.compile(r"(\S+): (.+)")


def all_commands() -> dict[str, tuple[click.Command, click.Context]]:
    """Return each command that does something, by its words (``mvenv store list``)."""
    return dict(_below(command, click.Context(command, info_name="mvenv")))


def _below(
    group: click.Group, context: click.Context
) -> Iterator[tuple[str, tuple[click.Command, click.Context]]]:
    for name in group.list_commands(context):
        one = group.get_command(context, name)
        assert one is not None  # noqa: S101  it is in the list
        inner = click.Context(one, parent=context, info_name=name)
        if isinstance(one, click.Group):
            yield from _below(one, inner)
        else:
            yield inner.command_path, (one, inner)


def expand(text: str) -> str:
    """Return a page with its fences written out; ValueError for what fits nothing."""
    makers = {"commands": _commands, "options": _options, "venv": _venv}
    makers["variables"] = _variables
    return _FENCE.sub(
        lambda match: "\n".join(makers[match[1]](match[2].strip(), _notes(match[3]))),
        text,
    )


def _notes(body: str) -> dict[str, str]:
    notes: dict[str, str] = {}
    for line in body.splitlines():
        match = _NOTE.fullmatch(line)
        if match is None or match[1] in notes:
            raise ValueError(f"not a line `--name: text`, or a second one: {line}")
        notes[match[1]] = match[2]
    return notes


def _commands(_argument: str, _notes: Mapping[str, str]) -> Iterator[str]:
    yield from ("| command | |", "|---|---|")
    for path, (one, _) in all_commands().items():
        anchor = path.replace(" ", "-")
        yield f"| [`{path}`](#{anchor}) | {one.get_short_help_str(limit=200)} |"


def _options(path: str, notes: dict[str, str]) -> Iterator[str]:
    if path not in all_commands():
        raise ValueError(f"there is no command `{path}`")
    one, context = all_commands()[path]
    yield from ("```text", f"{path} {' '.join(one.collect_usage_pieces(context))}")
    yield from ("```", "", "| | variable | meaning |", "|---|---|---|")
    for parameter in one.params:
        cells = (
            _code(_names(parameter, context)),
            _code(_variable(parameter)),
            _meaning(parameter, notes),
        )
        yield f"| {' | '.join(cells)} |"
    if notes:
        raise ValueError(f"`{path}` has no {', '.join(notes)}")


def _names(parameter: click.Parameter, context: click.Context) -> str:
    """Return an option's names with its value's, as help has them."""
    if isinstance(parameter, click.Option):
        record = parameter.get_help_record(context)
        assert record is not None  # noqa: S101  no option is hidden
        return record[0].replace("|", r"\|")
    return parameter.human_readable_name.strip("[].")


def _variable(parameter: click.Parameter) -> str:
    if not isinstance(parameter.envvar, str):
        raise TypeError(f"{parameter.name} has no variable")
    return parameter.envvar


def _meaning(parameter: click.Parameter, notes: dict[str, str]) -> str:
    told = [notes.pop(name) for name in parameter.opts if name in notes]
    facts = parameter.to_info_dict()
    text = told[0] if told else facts.get("help")
    if not text or len(told) > 1:
        raise ValueError(f"{parameter.opts}: no text, or two of them")
    if parameter.multiple or parameter.nargs < 0:
        text += " Can be repeated."
    default = facts["default"]
    if default is not None and default is not False and default != ():
        text += f" Default: {_code(str(default))}."
    return str(text)


def _venv(_argument: str, _notes: Mapping[str, str]) -> Iterator[str]:
    parser = venv_parser("python -m mvenv")
    usage = " ".join(parser.format_usage().split()).removeprefix("usage: ")
    yield from ("```text", usage, "```", "", "| | meaning |", "|---|---|")
    for action in parser._actions:  # noqa: SLF001  there is no public list of them
        names = ", ".join(action.option_strings) or "ENV_DIR"
        if action.nargs is None:
            names += f" {action.metavar or action.dest.upper()}"
        yield f"| {_code(names)} | {action.help} |"


def _variables(_argument: str, notes: Mapping[str, str]) -> Iterator[str]:
    found: dict[str, dict[str, list[str]]] = {}
    for path, (one, context) in all_commands().items():
        for parameter in one.params:
            options = found.setdefault(_variable(parameter), {})
            label = (
                max(parameter.opts, key=len)
                if isinstance(parameter, click.Option)
                else _names(parameter, context)
            )
            options.setdefault(label, []).append(path.removeprefix("mvenv "))
    twice = notes.keys() & found.keys()
    if twice:
        raise ValueError(f"variables of options: {', '.join(twice)}")
    yield from ("| variable | stands for | of |", "|---|---|---|")
    rows = {
        name: [(_code(label), ", ".join(of)) for label, of in options.items()]
        for name, options in found.items()
    }
    rows |= {name: [(text, "")] for name, text in notes.items()}
    for name, uses in sorted(rows.items()):
        for label, of in uses:
            yield f"| {_code(name)} | {label} | {of} |"


def _code(text: str) -> str:
    return f"`{text}`"


def _on_source_read(_app: Any, _name: str, source: list[str]) -> None:
    source[0] = expand(source[0])


def setup(app: Any) -> dict[str, Any]:
    """Let Sphinx write the fences out as it reads the pages."""
    app.connect("source-read", _on_source_read)
    return {"parallel_read_safe": True, "version": "1"}
