"""Everything mvenv raises on purpose.

Each error carries its facts as attributes and a ``hint`` as data; the command line
alone turns them into words. One exit code per family, documented in
``docs/cli.md`` and compared with it by a test.

.. code-block:: text

    MvenvError                    1
    ├── SeveralErrors             the code of its first member
    ├── UsageError                2
    ├── LockfileError             10
    │   └── UnsupportedLockfile   10
    ├── SelectionError            11
    │   └── NoCompatibleFile      11
    ├── InterpreterError          12
    ├── FetchError                13
    │   ├── FileNotOffered        13
    │   ├── HashMismatch          13
    │   └── OfflineError          13
    ├── BuildError                14
    ├── InvalidWheel              15
    ├── StoreError                16
    │   └── DamagedEntry          16
    ├── EnvironmentFault          17
    │   ├── EnvironmentExists     17
    │   └── PlanConflict          17
    ├── SystemFault               18
    │   └── LinkError             18
    └── Busy                      75
"""

from __future__ import annotations

__all__ = [
    "BuildError",
    "Busy",
    "DamagedEntry",
    "EnvironmentExists",
    "EnvironmentFault",
    "FetchError",
    "FileNotOffered",
    "HashMismatch",
    "InterpreterError",
    "InvalidWheel",
    "LinkError",
    "LockfileError",
    "MvenvError",
    "NoCompatibleFile",
    "OfflineError",
    "PlanConflict",
    "SelectionError",
    "SeveralErrors",
    "StoreError",
    "SystemFault",
    "UnsupportedLockfile",
    "UsageError",
]


class MvenvError(Exception):
    """The root of all errors that mvenv raises on purpose.

    ``message`` starts in lower case and has no final full stop unless it has
    several sentences; ``hint`` says what to do next; ``kept`` says what was kept
    or left as it was.
    """

    exit_code: int = 1

    def __init__(
        self, message: str, *, hint: str | None = None, kept: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.kept = kept


class SeveralErrors(MvenvError):
    """Independent errors that are reported together."""

    def __init__(self, errors: tuple[MvenvError, ...]) -> None:
        super().__init__(f"{len(errors)} problems")
        self.errors = errors
        self.exit_code = errors[0].exit_code

    @classmethod
    def unless_one(cls, errors: list[MvenvError]) -> MvenvError:
        """Return the only error as it is, several as one `SeveralErrors`."""
        return errors[0] if len(errors) == 1 else cls(tuple(errors))


class UsageError(MvenvError):
    """Options that cannot be meant together, or a value that cannot be."""

    exit_code = 2


class LockfileError(MvenvError):
    """A lockfile that is missing, unreadable or wrong.

    ``place`` is the path inside the document, like ``package[3].files[1].hash``.
    """

    exit_code = 10

    def __init__(
        self, message: str, *, place: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.place = place


class UnsupportedLockfile(LockfileError):
    """A lockfile of a format or version that mvenv does not read."""


class SelectionError(MvenvError):
    """A choice that the lockfile cannot satisfy for this interpreter."""

    exit_code = 11


class NoCompatibleFile(SelectionError):
    """No file of a distribution fits the interpreter.

    ``rejections`` has one sentence for each file that was there.
    """

    def __init__(
        self,
        message: str,
        *,
        rejections: tuple[str, ...],
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.rejections = rejections


class InterpreterError(MvenvError):
    """An interpreter that was not found, does not run, or is not supported."""

    exit_code = 12


class FetchError(MvenvError):
    """A file that could not be fetched."""

    exit_code = 13


class FileNotOffered(FetchError):
    """No index or folder offers a file that the lockfile names.

    ``rejections`` has one sentence for each place that was asked.
    """

    def __init__(
        self,
        message: str,
        *,
        rejections: tuple[str, ...] = (),
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.rejections = rejections


class HashMismatch(FetchError):
    """Bytes that are not those the lockfile names; they were thrown away."""

    def __init__(
        self,
        message: str,
        *,
        expected: tuple[str, ...],
        actual: str,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.expected = expected
        self.actual = actual


class OfflineError(FetchError):
    """A file that is needed, not in the store, and not to be fetched."""


class BuildError(MvenvError):
    """A build back end that failed; ``output`` is what it printed."""

    exit_code = 14

    def __init__(
        self, message: str, *, output: str = "", hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.output = output


class InvalidWheel(MvenvError):
    """A wheel that is refused: damaged, hostile, or not what its name says.

    ``member`` is the path inside the archive, where one is at fault.
    """

    exit_code = 15

    def __init__(
        self, message: str, *, member: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.member = member


class StoreError(MvenvError):
    """A store that cannot be used."""

    exit_code = 16


class DamagedEntry(StoreError):
    """A stored wheel whose files are not what its manifest says."""


class EnvironmentFault(MvenvError):
    """An environment folder that cannot be made, or is not what was expected."""

    exit_code = 17


class EnvironmentExists(EnvironmentFault):
    """The target folder holds something already."""


class PlanConflict(EnvironmentFault):
    """Distributions that claim one path in ways that cannot both be met."""


class SystemFault(MvenvError):
    """What the operating system refused: a full disk, a denied path, an I/O error."""

    exit_code = 18

    @classmethod
    def from_os_error(cls, error: OSError, doing: str) -> SystemFault:
        """Describe what the system refused while ``doing`` it."""
        where = f": {error.filename}" if error.filename else ""
        reason = error.strerror or str(error)
        return cls(f"{doing}{where}: {reason[:1].lower()}{reason[1:]}")


class LinkError(SystemFault):
    """Files that could be linked in none of the allowed ways."""


class Busy(MvenvError):
    """Another mvenv is at work on the same thing, and was not done in time.

    As ``EX_TEMPFAIL`` of ``sysexits.h``: try again later.
    """

    exit_code = 75
