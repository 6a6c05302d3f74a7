"""``mvenv create`` read without click, where a command line is plain.

Importing click takes longer than making a small environment. So what most people type
is read here, by a table; whatever is not in it (help, mistakes, other spellings, other
commands) is left to click, whose declarations in `mvenv.cli.create` are the truth. A
test compares both readings.
"""

from __future__ import annotations

from mvenv.cli.asked import split_names
from mvenv.surroundings import MODES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

__all__ = ["read_plainly"]

_FLAGS: dict[str, tuple[str, bool]] = {
    "--no-root": ("no_root", True),
    "--all-groups": ("all_groups", True),
    "--all-extras": ("all_extras", True),
    "--require-link": ("require_link", True),
    "--seed": ("seed", True),
    "--no-seed": ("seed", False),
    "--system-site-packages": ("system_site_packages", True),
    "--clear": ("clear", True),
    "--no-seal": ("no_seal", True),
    "--no-bytecode": ("no_bytecode", True),
    "--offline": ("offline", True),
    "--json": ("as_json", True),
    "-q": ("quiet", True),
    "--quiet": ("quiet", True),
    "-v": ("verbose", True),
    "--verbose": ("verbose", True),
}
_TEXTS = {
    "--from": "lockfile",
    "--python": "python",
    "-p": "python",
    "--link-mode": "link_mode",
    "--bytecode": "bytecode",
    "--prompt": "prompt",
    "--store": "store",
    "--index-url": "index_url",
}
_SEVERAL = {
    "--extra": "extra",
    "-E": "extra",
    "--only": "only",
    "--without": "without",
    "--with": "with",
    "--extra-index-url": "extra_index_url",
    "--find-links": "find_links",
}
_BYTECODE = ("eager", "lazy")
_NAMES = ("extra", "only", "without", "with")
_VARIABLES = {
    "MVENV_ENV_DIR": "env_dir",
    "MVENV_FROM": "lockfile",
    "MVENV_PYTHON": "python",
    "MVENV_LINK_MODE": "link_mode",
    "MVENV_BYTECODE": "bytecode",
    "MVENV_PROMPT": "prompt",
    "MVENV_STORE": "store",
    "MVENV_INDEX_URL": "index_url",
}


def read_plainly(
    words: Sequence[str], environ: Mapping[str, str]
) -> dict[str, Any] | None:
    """Return the options of ``mvenv create``; `None` where click is to read them."""
    if not words or words[0] != "create":
        return None
    options: dict[str, Any] = dict.fromkeys(_TEXTS.values())
    options |= {name: False for name, _ in _FLAGS.values()}
    options |= dict.fromkeys(_SEVERAL.values(), ())
    options |= {"env_dir": ".venv", "link_mode": "auto", "bytecode": "eager"}
    told = _told_by(environ)
    given = _given_by(words[1:])
    if told is None or given is None:
        return None
    options |= {**told, **given}
    known = options["link_mode"].lower() in MODES
    if not known or options["bytecode"].lower() not in _BYTECODE:
        return None
    for name in _NAMES:
        options[name] = split_names(options[name])
    return options


def _told_by(environ: Mapping[str, str]) -> dict[str, Any] | None:
    told = {}
    for variable, value in environ.items():
        if variable.startswith(("MVENV_", "_MVENV_")) and value:
            if variable not in _VARIABLES:
                return None
            told[_VARIABLES[variable]] = value
    return told


def _given_by(words: Sequence[str]) -> dict[str, Any] | None:
    given: dict[str, Any] = {}
    rest = iter(words)
    for word in rest:
        if word in _FLAGS:
            name, value = _FLAGS[word]
            given[name] = value
        elif not word.startswith("-"):
            if "env_dir" in given or not word:
                return None
            given["env_dir"] = word
        else:
            option, equals, text = word.partition("=")
            if not equals:
                text = next(rest, "")
            elif not option.startswith("--"):
                return None
            # What click would refuse, or take for something else.
            if not text.strip() or text.startswith("-"):
                return None
            if option in _TEXTS:
                given[_TEXTS[option]] = text
            elif option in _SEVERAL:
                name = _SEVERAL[option]
                given[name] = (*given.get(name, ()), text)
            else:
                return None
    return given
