"""All checks, by their code: the one table, for the command line, docs and tests."""

from __future__ import annotations

import enum
from typing import NamedTuple

from mvenv.diagnose.model import HealClass

__all__ = ["CHECKS", "Check", "Scope", "check_named"]

_A, _B, _C = HealClass.PLAIN, HealClass.FIX, HealClass.REPORT


class Scope(enum.Enum):
    """What is looked at."""

    FILES = "files in the environment"
    METADATA = "packaging metadata"
    ENVIRONMENT = "the environment as a whole"
    STORE = "the store"


class Check(NamedTuple):
    """One thing that can be wrong."""

    code: str
    name: str
    scope: Scope
    heal: HealClass
    """As a rule; a finding says it for itself."""
    title: str


_F, _M, _E, _S = Scope.FILES, Scope.METADATA, Scope.ENVIRONMENT, Scope.STORE

CHECKS: tuple[Check, ...] = (
    Check("F01", "missing-file", _F, _A, "a file is missing"),
    Check("F02", "missing-package", _F, _A, "the files of a distribution are missing"),
    Check("F02u", "uninstalled", _F, _C, "a distribution was uninstalled"),
    Check("F03", "dangling-link", _F, _A, "a symbolic link leads nowhere"),
    Check("F04", "wrong-type", _F, _B, "a folder or link stands where a file belongs"),
    Check("F05", "emptied", _F, _A, "a file has lost all its bytes"),
    Check("F06", "truncated", _F, _A, "a file has lost its end"),
    Check("F07", "zeroed", _F, _A, "a file has only null bytes"),
    Check("F08", "shared-edit", _F, _B, "a shared file was changed through a link"),
    Check("F09", "hidden-edit", _F, _B, "a file was changed and its stamp put back"),
    Check("F10", "private-edit", _F, _C, "a private file was edited"),
    Check("F11", "unshared", _F, _A, "a file no longer shares the store's bytes"),
    Check("F12", "wrong-mode", _F, _A, "a file has other permissions"),
    Check("F13", "unreadable", _F, _C, "a file belongs to another user"),
    Check("F14", "extra-file", _F, _C, "a file belongs to no distribution"),
    Check("F15", "clobbered", _F, _C, "two distributions have one path"),
    Check("F16", "bit-rot", _F, _A, "bits of a file have turned over"),
    Check("F17", "read-error", _F, _A, "the disk cannot read a file"),
    Check("F18", "stale-bytecode", _F, _A, "bytecode does not fit its source"),
    Check("F19", "quarantined", _F, _A, "a native file is quarantined"),
    Check("F20", "missing-metadata", _M, _A, "a distribution has lost its metadata"),
    Check("F21", "two-versions", _M, _B, "a distribution has two metadata folders"),
    Check("F22", "wrong-record", _M, _B, "RECORD is not true"),
    Check("F23", "wrong-metadata", _M, _A, "METADATA cannot be read"),
    Check("F24", "changed-distribution", _M, _C, "a distribution was changed by hand"),
    Check("F25", "editable-gone", _M, _C, "an editable project is gone"),
    Check("F26", "broken-script", _M, _A, "a script is missing or changed"),
    Check("F27", "lock-changed", _M, _C, "the lockfile has changed since"),
    Check("F28", "lost-receipt", _M, _A, "mvenv's own records are missing or damaged"),
    Check("F30", "interpreter-gone", _E, _B, "the interpreter is gone"),
    Check("F31", "interpreter-upgraded", _E, _A, "the interpreter was upgraded"),
    Check("F32", "interpreter-changed", _E, _C, "the interpreter is another one"),
    Check("F33", "moved", _E, _B, "the environment was moved"),
    Check("F34", "copied", _E, _A, "the environment is a copy of another"),
    Check("F35", "deleted", _E, _A, "an environment on record is gone"),
    Check("F36", "half-built", _E, _A, "an environment was never finished"),
    Check("F37", "not-writable", _E, _C, "the disk is full or cannot be written to"),
    Check("F40", "pruned", _S, _A, "a wheel in use is not in the store"),
    Check("F41", "incomplete-entry", _S, _A, "files of a stored wheel are missing"),
    Check("F42", "abandoned-run", _S, _A, "a killed run left its scratch folder"),
    Check("F43", "unflushed", _S, _A, "a power cut took bytes of a stored wheel"),
    Check("F44", "broken-seal", _S, _A, "a stored file has another mode or stamp"),
    Check("F45", "lost-manifest", _S, _A, "the manifest of a stored wheel is damaged"),
    Check("F46", "alien-file", _S, _B, "a file in the store is nobody's"),
    Check("F47", "damaged-records", _S, _A, "records of the store are damaged"),
    Check("F48", "unregistered", _S, _A, "an environment is not on record"),
    Check("F49", "unlinkable", _S, _A, "store and environment can share no more"),
    Check("F50", "full-inode", _S, _A, "a stored file takes no more links"),
    Check("F51", "foreign-store", _S, _C, "the store belongs to another user"),
    Check("F52", "leftovers", _S, _A, "leftovers of killed runs"),
    Check("F53", "damaged-archive", _S, _A, "a kept wheel archive is damaged"),
)
"""In the order of the catalogue, whose numbers the codes are."""

_BY_NAME = {word: check for check in CHECKS for word in (check.code, check.name)}


def check_named(word: str) -> Check | None:
    """Return the check with this code or name, or `None`."""
    return _BY_NAME.get(word)
