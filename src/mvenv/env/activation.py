"""Activation scripts: templates, and values quoted for each shell.

Ordinary paths come out exactly as the interpreter's own ``venv`` writes them. Older
versions put values between double quotes as they are, newer ones (gh-124651) quote
them for a POSIX shell whatever shell they are for: where a path has characters that
this cannot carry, the value is quoted as its shell wants it. A prompt is evaluated
again each time it is shown, so there such characters are shown as ``_``.
Standard library only: part of the warm path.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Quoting", "Script", "own_rendering", "render_script", "shell_of"]

_PLACEHOLDER = re.compile(
    r"__(?:VENV_(?:DIR|NAME|PROMPT|BIN_NAME|PYTHON)"
    r"|VIRTUAL_(?:ENV|NAME|PROMPT)|BIN_NAME|PATH_SEP|LIB_FOLDERS|DECODE_PATH"
    r"|TCL_LIBRARY|TK_LIBRARY)__"
)

_DIR = "__VENV_DIR__"
_SHELLS = {
    "activate": "sh",
    "activate.csh": "csh",
    "activate.fish": "fish",
    "Activate.ps1": "powershell",
    "activate.nu": "nushell",
    "activate.xsh": "xonsh",
    "activate_this.py": "python",
}

# Between double quotes these do not stand for themselves.
_UNFIT_BETWEEN_QUOTES = {
    "sh": re.compile(r'[$`"\\]'),
    "csh": re.compile(r'[$`"\\!\n]'),
    "fish": re.compile(r'[$"\\]'),
    "powershell": re.compile(r'[$`"]'),
}
# What `shlex.quote` leaves with a meaning in a shell it was not made for.
_UNFIT_FOR_SHLEX = {
    "csh": re.compile(r"[\\!%\n]"),
    "fish": re.compile(r"[\\%]"),
}
# Evaluated when a prompt is shown: by bash and by zsh with PROMPT_SUBST; `!` is
# the number of the command in csh.
_UNFIT_IN_PROMPT = {
    "sh": re.compile(r"[$`\\\x00-\x1f\x7f]"),
    "csh": re.compile(r"[!\\\x00-\x1f\x7f]"),
}
_SETS_PROMPT = {
    "sh": re.compile(r"\bPS1="),
    "csh": re.compile(r"\bset (?:prompt|env_name)\b"),
}
_XONSH_EXPANDS = re.compile(r"\$(?:\w+|{)|=~")
"""As virtualenv finds them: xonsh expands these in every path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quoting:
    """How an interpreter's own ``venv`` puts values into its templates."""

    quoted: bool
    """Since gh-124651; else as they are, between the template's double quotes."""
    decorated_prompt: bool
    """Up to 3.12 the prompt is given as ``(name)`` and a space."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A template below ``bin``."""

    name: str
    text: str
    mode: int


def shell_of(name: str) -> str:
    """Return which shell the script ``name`` is for; ``sh`` where it is unknown."""
    return _SHELLS.get(name, "sh")


def own_rendering(script: Script, values: Mapping[str, str], quoting: Quoting) -> str:
    """Return what the interpreter's own ``venv`` would write."""
    powershell = shell_of(script.name) == "powershell"
    quote = _quote_powershell if powershell else shlex.quote

    def put(match: re.Match[str]) -> str:
        value = values[match[0]]
        return quote(value) if quoting.quoted else value

    return _PLACEHOLDER.sub(put, script.text)


def render_script(
    script: Script, values: Mapping[str, str], quoting: Quoting | None
) -> str | None:
    """Return the script with its values in place; `None` where it cannot hold them.

    Without ``quoting`` it is one of virtualenv's templates, which want literals.
    """
    shell = shell_of(script.name)
    if not _can_hold(shell, values["__VIRTUAL_ENV__" if quoting is None else _DIR]):
        return None
    if quoting is None:
        quote = _QUOTES[shell]
        return _PLACEHOLDER.sub(lambda match: quote(values[match[0]]), script.text)
    text = script.text
    shows = _SETS_PROMPT.get(shell)
    unfit = _UNFIT_IN_PROMPT.get(shell)

    def put(match: re.Match[str]) -> str:
        value = values[match[0]]
        if shows is not None and unfit is not None and unfit.search(value):
            start = text.rfind("\n", 0, match.start()) + 1
            if shows.search(text, start, match.start()):
                value = unfit.sub("_", value)
        return _put(value, shell, quoting)

    return _PLACEHOLDER.sub(put, text)


def _can_hold(shell: str, path: str) -> bool:
    if shell == "csh":
        # `"$VIRTUAL_ENV/bin"` is an unmatched quote to it then.
        return "\n" not in path
    if shell == "xonsh" and _XONSH_EXPANDS.search(path):
        return False
    return shell not in {"nushell", "xonsh"} or _is_text(path)


def _put(value: str, shell: str, quoting: Quoting) -> str:
    if quoting.quoted:
        unfit = _UNFIT_FOR_SHLEX.get(shell)
        if unfit is None or not unfit.search(value):
            return _quote_powershell(value) if shell == "powershell" else _sh(value)
        return _QUOTES[shell](value)
    if not _UNFIT_BETWEEN_QUOTES[shell].search(value):
        return value
    # Ends the template's quotes, and begins them again behind the literal.
    return f'"{_QUOTES[shell](value)}"'


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


_sh = shlex.quote


def _quote_powershell(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _quote_fish(value: str) -> str:
    return "'" + re.sub(r"[\\']", r"\\\g<0>", value) + "'"


def _quote_csh(value: str) -> str:
    # Even between single quotes csh sees `!` and the end of the line.
    special = {"'": r"'\''", "!": r"'\!'", "\\": r"'\\'", "\n": "\\\n"}
    return "'" + re.sub(r"['!\\\n]", lambda match: special[match[0]], value) + "'"


def _quote_nushell(value: str) -> str:
    runs = re.findall("#+", value)
    marks = "#" * (max(map(len, runs), default=0) + 1)
    return f"r{marks}'{value}'{marks}"


_QUOTES = {
    "sh": _sh,
    "csh": _quote_csh,
    "fish": _quote_fish,
    "powershell": _quote_powershell,
    "nushell": _quote_nushell,
    "xonsh": ascii,
    "python": ascii,
}
