"""What a user's environment variables say: where the store is, how to link, the index.

For whoever is asked without a command line of ours: the stand-in for `venv`, and the
doors for other programs. Options of commands are declared in `mvenv.cli`.
"""

from __future__ import annotations

import os

from mvenv.env.compiled import Bytecode
from mvenv.errors import StoreError, UsageError
from mvenv.link.modes import LinkPolicy
from mvenv.paths import absolute, data_folder
from mvenv.values import dataclass, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from mvenv.fetch.settings import FetchSettings
    from mvenv.paths import StrPath

__all__ = ["MODES", "Surroundings", "fetch_from", "store_at"]

MODES = {
    **{policy.value: policy for policy in LinkPolicy},
    "clone": LinkPolicy.REFLINK,
}
"""What ``--link-mode`` and MVENV_LINK_MODE can be."""

_SEEDS = ("virtualenv", "interpreter")
"""What MVENV_SEED_FROM can be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What is said without options."""

    store: str
    policy: LinkPolicy
    bytecode: Bytecode
    seal: bool
    """Keep stored files read-only."""
    python: str | None
    bundled_seeds: bool
    """pip is to be the one that came with the interpreter."""
    fetch: FetchSettings
    environ: Mapping[str, str]

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Surroundings:
        """Read them; `UsageError` where one has a value that cannot be."""
        mode = (environ.get("MVENV_LINK_MODE") or "auto").lower()
        bytecode = (environ.get("MVENV_BYTECODE") or Bytecode.EAGER.value).lower()
        if mode not in MODES:
            raise UsageError(
                f"MVENV_LINK_MODE is `{mode}`", hint=f"use one of {', '.join(MODES)}"
            )
        if bytecode not in {Bytecode.EAGER.value, Bytecode.LAZY.value}:
            raise UsageError(
                f"MVENV_BYTECODE is `{bytecode}`", hint="use `eager` or `lazy`"
            )
        seeds = environ.get("MVENV_SEED_FROM") or _SEEDS[0]
        if seeds not in _SEEDS:
            raise UsageError(
                f"MVENV_SEED_FROM is `{seeds}`", hint=f"use one of {', '.join(_SEEDS)}"
            )
        if _is_set(environ, "MVENV_NO_BYTECODE"):
            bytecode = Bytecode.NONE.value
        return cls(
            store=store_at(environ.get("MVENV_STORE") or None, environ),
            policy=MODES[mode],
            bytecode=Bytecode(bytecode),
            seal=not _is_set(environ, "MVENV_NO_SEAL"),
            bundled_seeds=seeds == _SEEDS[1],
            python=environ.get("MVENV_PYTHON") or None,
            fetch=fetch_from(
                environ,
                {
                    "index_url": environ.get("MVENV_INDEX_URL"),
                    "extra_index_url": _words(environ, "MVENV_EXTRA_INDEX_URL"),
                    "find_links": _words(environ, "MVENV_FIND_LINKS"),
                    "offline": _is_set(environ, "MVENV_OFFLINE"),
                },
            ),
            environ=dict(environ),
        )


def _is_set(environ: Mapping[str, str], name: str) -> bool:
    """Return whether a flag is on, in the words that options take, too."""
    return environ.get(name, "").lower() in {"1", "true", "t", "yes", "y", "on"}


def _words(environ: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple((environ.get(name) or "").split())


def store_at(folder: StrPath | None, environ: Mapping[str, str]) -> str:
    """Return the store's folder, absolute: the one that is named, else the user's own.

    `StoreError` where there is no home folder to have it in.
    """
    text = data_folder(environ) if folder is None else os.fspath(folder)
    if not text.startswith("~"):
        return absolute(text)
    from pathlib import Path

    try:
        return str(Path(text).expanduser().absolute())
    except RuntimeError as error:
        raise StoreError(
            "there is no home folder to have the store in",
            hint="name a folder with `--store` or MVENV_STORE",
        ) from error


def fetch_from(environ: Mapping[str, str], asked: Mapping[str, Any]) -> FetchSettings:
    """Return what is asked, our variables, pip's and Poetry's say, in this order.

    ``asked`` has ``index_url``, ``extra_index_url``, ``find_links`` and ``offline``.
    """
    from mvenv.fetch.settings import FetchSettings

    settings = FetchSettings.from_environment(environ)
    changes: dict[str, Any] = {}
    if asked["index_url"]:
        changes["index_url"] = asked["index_url"]
    for name in ("extra_index_url", "find_links"):
        if asked[name]:
            field = "extra_index_urls" if name == "extra_index_url" else name
            changes[field] = tuple(asked[name])
    if asked["offline"]:
        changes["offline"] = True
    return replace(settings, **changes)
