"""``python -m mvenv ENV_DIR``: the command line of ``python -m venv``, read as it is.

The usual words are read by a table, since importing `argparse` takes as long as half an
environment; what is not in it (help, mistakes, abbreviations) is left to that, which
`venv` uses too. Environment variables of mvenv say where the store is, and how to link.
"""

from __future__ import annotations

import os

from mvenv.cli.asked import current_folder
from mvenv.cli.names import MODULES
from mvenv.errors import EnvironmentFault, MvenvError, SystemFault
from mvenv.paths import absolute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Mapping, Sequence
    from typing import Any

    from mvenv.cli.console import Console
    from mvenv.dropin.request import VenvRequest

__all__ = ["FAILED", "is_for_venv", "run_venv", "venv_parser"]

FAILED = 1
"""Exit code of ``venv`` whatever went wrong; a wrong command line is 2."""
_OUR_OWN = ("-h", "--help", "-V", "--version")
_NAMES = (".venv", "venv", "env")
_FLAGS: dict[str, tuple[str, bool]] = {
    "--system-site-packages": ("system_site_packages", True),
    "--symlinks": ("copies", False),
    "--copies": ("copies", True),
    "--clear": ("clear", True),
    "--upgrade": ("upgrade", True),
    "--without-pip": ("with_pip", False),
    "--upgrade-deps": ("upgrade_deps", True),
    "--without-scm-ignore-files": ("scm_ignore", False),
}
_TEXTS = {"--prompt": "prompt", "--python": "python", "-p": "python"}
_DESCRIPTION = (
    "Make virtual environments, as `python -m venv` does, with pip linked from the"
    " store. Commands of mvenv: `mvenv --help`."
)
_DEFAULTS: dict[str, Any] = {
    "system_site_packages": False,
    "copies": False,
    "clear": False,
    "upgrade": False,
    "with_pip": True,
    "prompt": None,
    "upgrade_deps": False,
    "scm_ignore": True,
    "python": None,
}


def is_for_venv(words: Sequence[str], *, as_module: bool) -> bool:
    """Return whether these words are those of ``python -m venv``, and no command.

    The script ``mvenv`` takes only folders that cannot be a mistyped command.
    """
    if not words or words[0] in MODULES or words[0] in _OUR_OWN:
        return False
    if as_module:
        return True
    plain = _read_plainly(words)
    return plain is not None and all(map(_is_surely_folder, plain["folders"]))


def _is_surely_folder(word: str) -> bool:
    return word in _NAMES or os.sep in word


def run_venv(words: Sequence[str], console: Console, *, program: str) -> int:
    """Make the environments, in their order, and return the exit code of ``venv``.

    The first one that cannot be made ends it. Prints nothing else, as ``venv`` does.
    """
    options = _read_plainly(words) or _read_whole(words, program)
    console.verbosity = -1
    try:
        for folder in options["folders"]:
            _make(folder, options, console)
    except OSError as error:
        fault = SystemFault.from_os_error(error, "the system refused")
        console.say(f"Error: {fault.message}")
        return FAILED
    except MvenvError as error:
        from mvenv.cli.problems import error_lines

        console.say(f"Error: {error.message}")
        for line in [*error_lines(error)][1:]:
            if line:
                console.say(line)
        return FAILED
    return 0


def _read_plainly(words: Sequence[str]) -> dict[str, Any] | None:
    """Return the options; `None` where `argparse` is to read them."""
    options = {**_DEFAULTS, "folders": []}
    rest = iter(words)
    for word in rest:
        if word in _FLAGS:
            name, value = _FLAGS[word]
            options[name] = value
        elif not word.startswith("-"):
            options["folders"].append(word)
        else:
            option, equals, text = word.partition("=")
            if not equals:
                text = next(rest, "")
            name = _TEXTS.get(option, "")
            if not name or not text or text.startswith("-") or option + equals == "-p=":
                return None
            options[name] = text
    both = {"--copies", "--symlinks"} <= {*words}
    return options if options["folders"] and not both else None


def _read_whole(words: Sequence[str], program: str) -> dict[str, Any]:
    """Read as ``venv`` does; exits with 2 for mistakes, with 0 after the help."""
    return vars(venv_parser(program).parse_args(words))


def venv_parser(program: str) -> ArgumentParser:
    """Return the parser for what is not in the table; the reference is made of it."""
    from argparse import ArgumentParser

    parser = ArgumentParser(
        prog=program,
        description=_DESCRIPTION,
    )
    parser.set_defaults(**_DEFAULTS)
    add = parser.add_argument
    add(
        "folders",
        metavar="ENV_DIR",
        nargs="+",
        help="a folder to make the environment in",
    )
    add(
        "--system-site-packages",
        action="store_true",
        help="give the environment access to the system's site-packages",
    )
    _add_links(parser)
    add(
        "--clear",
        action="store_true",
        help="delete what is in the folder, if it is there, first",
    )
    add(
        "--upgrade",
        action="store_true",
        help="let the environment use this interpreter, which was upgraded in place",
    )
    add(
        "--without-pip",
        dest="with_pip",
        action="store_false",
        help="leave out pip, which is installed otherwise",
    )
    add(
        "--prompt",
        help="what is shown before the shell's prompt; `.`: the folder's name",
    )
    add(
        "--upgrade-deps",
        action="store_true",
        help="install the newest pip (before 3.12: and setuptools) that the index has",
    )
    add(
        "--without-scm-ignore-files",
        dest="scm_ignore",
        action="store_false",
        help="leave out the .gitignore that is written for 3.13 and newer",
    )
    add(
        "-p",
        "--python",
        metavar="PYTHON",
        help="for another interpreter: a version, a name or a path",
    )
    return parser


def _add_links(parser: ArgumentParser) -> None:
    links = parser.add_mutually_exclusive_group()
    links.add_argument(
        "--symlinks",
        dest="copies",
        action="store_false",
        help="link to the interpreter (the default)",
    )
    links.add_argument(
        "--copies", action="store_true", help="copy the interpreter, do not link to it"
    )


def _make(folder: str, options: Mapping[str, Any], console: Console) -> None:
    from mvenv.dropin import make_venv

    make_venv(_request(folder, options), console)


def _request(folder: str, options: Mapping[str, Any]) -> VenvRequest:
    from mvenv.dropin.request import VenvRequest
    from mvenv.surroundings import Surroundings

    told = {name: value for name, value in options.items() if name in _DEFAULTS}
    surroundings = Surroundings.of(os.environ)
    told["python"] = told["python"] or surroundings.python
    if not folder:
        raise EnvironmentFault("the name of a folder is empty")
    start = current_folder()
    return VenvRequest(
        folder=absolute(folder),
        start=start,
        surroundings=surroundings,
        **told,
    )
