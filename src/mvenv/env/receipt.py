"""The receipt: what was put into an environment, from what, and how.

Written last, so an environment with a receipt is whole. A JSON record at
``.mvenv/receipt`` inside the environment; ``docs/store-format.md`` lists its keys.
"""

from __future__ import annotations

import os

from mvenv.records import load_json, store_json
from mvenv.values import NamedTuple, asdict, dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from mvenv.paths import StrPath

__all__ = [
    "BUILDING",
    "FOLDER",
    "PLAN",
    "RECEIPT",
    "Asked",
    "Generated",
    "Installed",
    "Receipt",
    "read_receipt",
    "write_receipt",
]

FOLDER = ".mvenv"
"""Our own folder inside an environment."""
RECEIPT = f"{FOLDER}/receipt"
PLAN = f"{FOLDER}/plan"
"""What every file of the environment must be: a link to the store's plan."""
BUILDING = f"{FOLDER}/building"
"""There while an environment is filled in place; locked while somebody does."""

_KIND = "receipt"
_FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """One distribution, as it was installed."""

    name: str
    version: str
    wheel: str | None
    """sha256 of its wheel; `None` for an editable."""
    filename: str | None
    """Of its wheel."""
    shared: bool
    """Its files come from the store."""
    dist_info: str
    """Folder of its metadata, below the environment."""


class Generated(NamedTuple):
    """A file that was written here and not linked, as it was left."""

    path: str
    sha256: str
    size: int
    mode: int
    mtime_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the user asked for, so that it can be made again."""

    policy: str
    """Link mode, or ``auto``."""
    prompt: str | None
    system_site_packages: bool
    seed: bool
    choices: dict[str, Any]
    """Groups and extras, as `selection.GroupOptions` has them."""
    bytecode: str = "none"
    """As `mvenv.env.compiled.Bytecode` has it; environments that were made before
    there was any have none."""
    copies: bool = False
    """The interpreter is copied, not linked to."""
    scm_ignore: bool = True
    """With the ``.gitignore`` that `venv` writes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What is in an environment."""

    id: str
    path: str
    """Of the environment, as written into its scripts."""
    mvenv: str
    """Version of mvenv that made it."""
    store: str
    boot_id: str
    """The machine's run in which it was made."""
    flushed: bool
    """Its private files were flushed to the disk before it was made known."""
    link_mode: str
    lockfile: str | None
    lockfile_sha256: str | None
    interpreter: str
    """The base interpreter."""
    interpreter_version: str
    interpreter_seen: tuple[str, int, int]
    """The base interpreter's real path, its size, its mtime in nanoseconds."""
    identity: tuple[int, int]
    """Device and inode of the environment's folder: tells a moved one from a copy."""
    plan: str
    """sha256 of the plan's record."""
    asked: Asked
    edits: tuple[str, ...]
    """Distributions whose files were made private on purpose (``mvenv edit``)."""
    distributions: tuple[Installed, ...]
    generated: tuple[Generated, ...]
    """Files written here and not linked."""


def write_receipt(environment: StrPath, receipt: Receipt) -> None:
    """Write the receipt into the environment's folder."""
    store_json(os.path.join(environment, RECEIPT), _KIND, _FORMAT, asdict(receipt))


def read_receipt(environment: StrPath) -> Receipt | None:
    """Return the receipt, or `None` where there is none that can be trusted."""
    value: Any = load_json(os.path.join(environment, RECEIPT), _KIND, _FORMAT)
    try:
        distributions = tuple(Installed(**one) for one in value["distributions"])
        receipt = Receipt(
            **{
                **value,
                "asked": Asked(**value["asked"]),
                "distributions": distributions,
                "edits": tuple(value["edits"]),
                "generated": tuple(Generated(*one) for one in value["generated"]),
                "identity": tuple(value["identity"]),
                "interpreter_seen": tuple(value["interpreter_seen"]),
            }
        )
    # Of another version, or by another hand: environments come with what people clone.
    except (KeyError, TypeError, ValueError):
        return None
    return receipt if isinstance(receipt.id, str) else None
