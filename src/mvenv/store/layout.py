"""Where things are in a store, and whether a folder may be used as one."""

from __future__ import annotations

import os
import stat

from mvenv.errors import StoreError, SystemFault
from mvenv.paths import read_bytes
from mvenv.records import replace_bytes
from mvenv.values import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import NewType

    from mvenv.paths import StrPath

    StoreKey = NewType("StoreKey", str)
    """The sha256 of a wheel file, lower-case hexadecimal. Of what was learned from an
    environment, whose wheel nobody has seen: `ADOPTED` and the sha256 of the list of
    its files, so no lockfile ever names it."""
else:
    StoreKey = str

__all__ = [
    "ADOPTED",
    "FOLDERS",
    "FORMAT",
    "StoreKey",
    "StoreLayout",
    "entry_key",
    "is_adopted",
    "open_layout",
    "store_key",
]

FORMAT = 1

ADOPTED = "adopted-"
_SHA256_LENGTH = 64
_HEXADECIMAL = "0123456789abcdef"
FOLDERS = (
    "wheels",
    "adopted",
    "builds",
    "large",
    "plans",
    "ready",
    "resolutions",
    "interpreters",
    "envs",
    "tmp",
    "trash",
    "rescued",
    "locks",
)
"""All folders of a store."""
_WHEN_NEEDED = frozenset({"large"})
"""Those that stores of older versions do not have, and who only reads cannot make."""
_SAID = b"mvenv store %d\n" % FORMAT
_CACHEDIR_TAG = b"""Signature: 8a477f597d28d172789f06886806bc55
# This folder is a store of mvenv: backup tools may leave it out.
# See https://bford.info/cachedir/
"""


def _is_sha256(text: str) -> bool:
    return len(text) == _SHA256_LENGTH and not text.strip(_HEXADECIMAL)


def store_key(text: str) -> StoreKey:
    """Return ``text`` as a key; `StoreError` where it is none."""
    if not _is_sha256(text):
        raise StoreError(f"`{text}` is not a sha256")
    return StoreKey(text)


def entry_key(text: str) -> StoreKey:
    """Return ``text`` as the key of any entry; `StoreError` where it is none."""
    if not _is_sha256(text.removeprefix(ADOPTED)):
        raise StoreError(f"`{text}` is not the key of an entry")
    return StoreKey(text)


def is_adopted(key: StoreKey) -> bool:
    """Return whether an entry was learned from an environment."""
    return key.startswith(ADOPTED)


@dataclass(frozen=True, slots=True)
class StoreLayout:
    """The folders of one store."""

    given: StrPath

    @property
    def root_text(self) -> str:
        """Return the store's folder, as text."""
        return os.fspath(self.given)

    @property
    def root(self) -> Path:
        """Return the store's folder."""
        from pathlib import Path

        return Path(self.given)

    def entry_text(self, key: StoreKey) -> str:
        """Return the folder of a wheel, there or not, as text."""
        kind, name = "wheels", str(key)
        if is_adopted(key):
            kind, name = "adopted", key.removeprefix(ADOPTED)
        return f"{self.root_text}/{kind}/{name[:2]}/{name}"

    def entry(self, key: StoreKey) -> Path:
        """Return the folder of a wheel, there or not."""
        from pathlib import Path

        return Path(self.entry_text(key))

    def lock(self, name: str) -> Path:
        """Return the file that is locked for ``name``."""
        return self.root / "locks" / f"{name}.lock"

    @property
    def interpreters_text(self) -> str:
        """Return the folder of what inspecting interpreters said, as text."""
        return os.path.join(self.given, "interpreters")

    @property
    def interpreters(self) -> Path:
        """Return the folder of what inspecting interpreters said."""
        return self.root / "interpreters"

    @property
    def plans(self) -> Path:
        """Return the folder of plans, each under the sha256 of its bytes."""
        return self.root / "plans"

    @property
    def ready_text(self) -> str:
        """Return the folder that says which plan answers which question, as text."""
        return os.path.join(self.given, "ready")

    @property
    def ready(self) -> Path:
        """Return the folder that says which plan answers which question."""
        return self.root / "ready"

    @property
    def builds(self) -> Path:
        """Return the folder that says which wheel was built from which source."""
        return self.root / "builds"

    @property
    def large_text(self) -> str:
        """Return the folder that says which entries have which large file, as text."""
        return os.path.join(self.given, "large")

    @property
    def large(self) -> Path:
        """Return the folder that says which entries have which large file."""
        return self.root / "large"

    @property
    def resolutions(self) -> Path:
        """Return the folder of what pip has chosen, each for a question."""
        return self.root / "resolutions"

    @property
    def envs(self) -> Path:
        """Return the registry: one record for each environment."""
        return self.root / "envs"

    @property
    def tmp_text(self) -> str:
        """Return the folder of runs under way, as text."""
        return os.path.join(self.given, "tmp")

    @property
    def tmp(self) -> Path:
        """Return the folder of runs under way."""
        return self.root / "tmp"

    @property
    def trash(self) -> Path:
        """Return the folder of what is about to be deleted."""
        return self.root / "trash"

    @property
    def rescued(self) -> Path:
        """Return the folder of changed files that were taken out of wheels."""
        return self.root / "rescued"

    def rescued_from(self, key: StoreKey) -> str:
        """Return how the folders in ``rescued`` begin that have a wheel's files."""
        return f"{key[:16]}-"


def open_layout(root: StrPath) -> StoreLayout:
    """Return the store at ``root``, made if it is not there.

    `StoreError` where it is of a newer format, belongs to another user, or can be
    written by others (who could then put code into everybody's environments).
    """
    layout = StoreLayout(root)
    try:
        if not _is_complete(root):
            _make(layout.root)
        _check_owner(root)
        if not _has_format(root):
            _make(layout.root)
    except OSError as error:
        fault = SystemFault.from_os_error(error, "cannot use the store")
        fault.hint = "choose another place with `--store` or MVENV_STORE"
        raise fault from error
    return layout


def _is_complete(root: StrPath) -> bool:
    # One look is enough on every later run. All but `wheels/` and `envs/` may be
    # deleted by whoever wants room, and those too are only made anew.
    try:
        return {"FORMAT", *FOLDERS} - _WHEN_NEEDED <= set(os.listdir(root))
    except (FileNotFoundError, NotADirectoryError):
        return False


def _make(root: Path) -> None:
    if root.exists() and not root.is_dir():
        raise StoreError(f"`{root}` is not a folder")
    root.mkdir(mode=0o755, parents=True, exist_ok=True)
    _check_owner(root)
    if (root / "FORMAT").exists() and _has_format(root):
        _make_folders(root)
        return
    foreign = {entry.name for entry in root.iterdir()}
    # FORMAT too: another run may have finished making the store since we looked.
    foreign -= {*FOLDERS, "CACHEDIR.TAG", ".gitignore", "lost+found", "FORMAT"}
    if any(not name.startswith((".FORMAT", ".CACHEDIR", "..git")) for name in foreign):
        raise StoreError(
            f"`{root}` holds other things already: {', '.join(sorted(foreign)[:3])}",
            hint="give the store a folder of its own",
        )
    _make_folders(root)
    replace_bytes(root / "CACHEDIR.TAG", _CACHEDIR_TAG)
    replace_bytes(root / ".gitignore", b"*\n")
    replace_bytes(root / "FORMAT", _SAID)


def _make_folders(root: Path) -> None:
    for name in FOLDERS:
        (root / name).mkdir(mode=0o755, exist_ok=True)


def _check_owner(root: StrPath) -> None:
    seen = os.stat(root)
    if seen.st_uid != os.geteuid():
        raise StoreError(
            f"the store `{root}` belongs to another user (uid {seen.st_uid});"
            f" it is never written by uid {os.geteuid()}",
            hint="choose a store of your own with `--store` or MVENV_STORE",
        )
    if seen.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise StoreError(
            f"the store `{root}` can be written by other users, who could put code"
            " into your environments",
            hint=f"`chmod go-w {root}`, if you trust what is in it",
        )


def _has_format(root: StrPath) -> bool:
    """Return whether FORMAT says that it is ours; false where it says nothing.

    A power cut can have taken its bytes. `StoreError` where it says another thing.
    """
    path = os.path.join(root, "FORMAT")
    text = read_bytes(path).decode("utf-8", "replace")
    if not text.strip("\0"):
        return False
    if not text.startswith("mvenv store "):
        raise StoreError(
            f"`{path}` does not say what the store is",
            hint="`mvenv doctor` writes it again",
        )
    if text != _SAID.decode():
        raise StoreError(
            f"the store `{root}` has the format `{text.strip()[:60]}`, which this"
            f" version does not know (it knows `mvenv store {FORMAT}`)",
            hint="upgrade mvenv, or choose another store with `--store`",
        )
    return True
