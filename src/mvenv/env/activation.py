"""Activation scripts: templates, and values quoted for each shell.

Ordinary paths come out exactly as the interpreter's own ``venv`` writes them. Older
versions put values between double quotes as they are, newer ones (gh-124651) quote
them for a POSIX shell whatever shell they are for: where a path has characters that
this cannot carry, the value is quoted as its shell wants it. A prompt is evaluated
again each time it is shown, so there such characters are shown as ``_``.
Standard library only: part of the warm path.
"""

from __future__ import annotations

from mvenv.values import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Quoting", "Script", "own_rendering", "render_script", "shell_of"]

_PLACEHOLDERS = (
    "__VENV_DIR__",
    "__VENV_NAME__",
    "__VENV_PROMPT__",
    "__VENV_BIN_NAME__",
    "__VENV_PYTHON__",
    "__VIRTUAL_ENV__",
    "__VIRTUAL_NAME__",
    "__VIRTUAL_PROMPT__",
    "__BIN_NAME__",
    "__PATH_SEP__",
    "__LIB_FOLDERS__",
    "__DECODE_PATH__",
    "__TCL_LIBRARY__",
    "__TK_LIBRARY__",
)

_DIR = "__VENV_DIR__"
_PLAIN = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-"
)
"""What `shlex.quote` leaves as it is."""
_SHELLS = {
    "activate": "sh",
    "activate.csh": "csh",
    "activate.fish": "fish",
    "Activate.ps1": "powershell",
    "activate.nu": "nushell",
    "activate.xsh": "xonsh",
    "activate_this.py": "python",
}

_CONTROL = frozenset(map(chr, (*range(0x20), 0x7F)))
# Between double quotes these do not stand for themselves.
_UNFIT_BETWEEN_QUOTES = {
    "sh": frozenset('$`"\\'),
    "csh": frozenset('$`"\\!\n'),
    "fish": frozenset('$"\\'),
    "powershell": frozenset('$`"'),
}
# What `shlex.quote` leaves with a meaning in a shell it was not made for.
_UNFIT_FOR_SHLEX = {
    "csh": frozenset("\\!%\n"),
    "fish": frozenset("\\%"),
}
# Evaluated when a prompt is shown: by bash and by zsh with PROMPT_SUBST; `!` is
# the number of the command in csh.
_UNFIT_IN_PROMPT = {
    "sh": _CONTROL | frozenset("$`\\"),
    "csh": _CONTROL | frozenset("!\\"),
}
_SETS_PROMPT = {"sh": r"\bPS1=", "csh": r"\bset (?:prompt|env_name)\b"}
_XONSH_EXPANDS = r"\$(?:\w+|{)|=~"
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
    quote = _quote_powershell if powershell else _sh

    def put(name: str, _: int) -> str:
        value = values[name]
        return quote(value) if quoting.quoted else value

    return _filled(script.text, put)


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
        return _filled(script.text, lambda name, _: quote(values[name]))
    text = script.text

    def put(name: str, at: int) -> str:
        value = values[name]
        unfit = _UNFIT_IN_PROMPT.get(shell)
        if unfit and not unfit.isdisjoint(value) and _sets_prompt(shell, text, at):
            value = "".join("_" if one in unfit else one for one in value)
        return _put(value, shell, quoting)

    return _filled(text, put)


def _filled(text: str, put: Callable[[str, int], str]) -> str:
    """Return ``text`` with ``put(name, where)`` in place of each placeholder."""
    parts: list[str] = []
    done = 0
    at = text.find("__")
    while at >= 0:
        if text.startswith(_PLACEHOLDERS, at):
            end = text.index("__", at + 2) + 2
            parts += (text[done:at], put(text[at:end], at))
            done = end
            at = text.find("__", end)
        else:
            at = text.find("__", at + 1)
    return "".join((*parts, text[done:]))


def _sets_prompt(shell: str, text: str, at: int) -> bool:
    """Return whether what stands at ``at`` goes into the prompt."""
    import re

    start = text.rfind("\n", 0, at) + 1
    return re.compile(_SETS_PROMPT[shell]).search(text, start, at) is not None


def _can_hold(shell: str, path: str) -> bool:
    if shell == "csh":
        # `"$VIRTUAL_ENV/bin"` is an unmatched quote to it then.
        return "\n" not in path
    if shell == "xonsh" and not {"$", "="}.isdisjoint(path):
        import re

        if re.search(_XONSH_EXPANDS, path):
            return False
    return shell not in {"nushell", "xonsh"} or _is_text(path)


def _put(value: str, shell: str, quoting: Quoting) -> str:
    if quoting.quoted:
        unfit = _UNFIT_FOR_SHLEX.get(shell)
        if unfit is None or unfit.isdisjoint(value):
            return _quote_powershell(value) if shell == "powershell" else _sh(value)
        return _QUOTES[shell](value)
    if _UNFIT_BETWEEN_QUOTES[shell].isdisjoint(value):
        return value
    # Ends the template's quotes, and begins them again behind the literal.
    return f'"{_QUOTES[shell](value)}"'


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _sh(value: str) -> str:
    """Return what `shlex.quote` does, which few paths need."""
    if value and value.isascii() and _PLAIN.issuperset(value):
        return value
    import shlex

    return shlex.quote(value)


def _quote_powershell(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _quote_fish(value: str) -> str:
    special = {"'": r"\'", "\\": "\\\\"}
    return "'" + _with(value, special) + "'"


def _quote_csh(value: str) -> str:
    # Even between single quotes csh sees `!` and the end of the line.
    special = {"'": r"'\''", "!": r"'\!'", "\\": r"'\\'", "\n": "\\\n"}
    return "'" + _with(value, special) + "'"


def _with(value: str, special: Mapping[str, str]) -> str:
    return "".join(special.get(one, one) for one in value)


def _quote_nushell(value: str) -> str:
    marks = "#"
    while marks in value:
        marks += "#"
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
