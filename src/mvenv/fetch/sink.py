"""A file being received: written, hashed and measured as it comes."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from mvenv.errors import FetchError, HashMismatch, SystemFault

__all__ = ["Sink", "check_hashes"]

_UNTRUSTED = frozenset({"md5", "sha1"})
"""Collisions can be made: good for finding accidents, no proof."""
_KNOWN = frozenset(
    name for name in hashlib.algorithms_guaranteed if not name.startswith("shake_")
)


def check_hashes(filename: str, hashes: tuple[tuple[str, str], ...]) -> None:
    """Refuse a file whose hashes prove nothing, with a `FetchError`."""
    hint = "lock again with a tool that writes sha256 hashes"
    if not hashes:
        raise FetchError(f"`{filename}` has no hash in the lockfile", hint=hint)
    algorithms = {name.lower() for name, _ in hashes}
    if not algorithms & (_KNOWN - _UNTRUSTED):
        raise FetchError(
            f"`{filename}` has no hash that proves anything in the lockfile, only"
            f" {', '.join(sorted(algorithms))}",
            hint=hint,
        )


class Sink:
    """A new file at ``path``, for bytes that must have ``hashes``.

    `SystemFault` for what the disk refuses.
    """

    def __init__(
        self, path: Path, filename: str, hashes: tuple[tuple[str, str], ...]
    ) -> None:
        self._path = path
        self.filename = filename
        """What messages call it."""
        self._expected: dict[str, set[str]] = {}
        for algorithm, value in hashes:
            if algorithm.lower() in _KNOWN:
                values = self._expected.setdefault(algorithm.lower(), set())
                values.add(value.lower())
        self.count = 0
        """Bytes received."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            descriptor = os.open(path, flags, 0o644)
        except OSError as error:
            raise SystemFault.from_os_error(error, "making a file") from error
        self._stream = open(descriptor, "wb", buffering=0)  # noqa: SIM115  closed by `close`
        self._start_hashing()

    def _start_hashing(self) -> None:
        names = {"sha256", *self._expected}
        self._hashes = {
            name: hashlib.new(name, usedforsecurity=name not in _UNTRUSTED)
            for name in names
        }

    def write(self, chunk: bytes) -> None:
        """Take the next bytes."""
        for one in self._hashes.values():
            one.update(chunk)
        self.count += len(chunk)
        rest = memoryview(chunk)
        try:
            while rest:
                rest = rest[self._stream.write(rest) :]
        except OSError as error:
            fault = SystemFault.from_os_error(error, f"writing `{self.filename}`")
            raise fault from error

    def restart(self) -> None:
        """Forget what came so far."""
        try:
            self._stream.seek(0)
            self._stream.truncate()
        except OSError as error:
            fault = SystemFault.from_os_error(error, f"writing `{self.filename}`")
            raise fault from error
        self.count = 0
        self._start_hashing()

    def verify(self, origin: str) -> str:
        """Return the sha256 of what came; `HashMismatch` where a hash is not right."""
        for name, values in sorted(self._expected.items()):
            actual = self._hashes[name].hexdigest()
            if actual not in values:
                expected = tuple(f"{name}:{value}" for value in sorted(values))
                raise HashMismatch(
                    f"`{self.filename}` from `{origin}` is not the file that was"
                    f" locked: expected {' or '.join(expected)}, got {name}:{actual}",
                    expected=expected,
                    actual=f"{name}:{actual}",
                    hint="nothing of it was kept. Was the file replaced on the index"
                    " after locking? If that is right, lock again",
                )
        return self._hashes["sha256"].hexdigest()

    def close(self) -> None:
        """Close the file."""
        try:
            self._stream.close()
        except OSError as error:
            fault = SystemFault.from_os_error(error, f"writing `{self.filename}`")
            raise fault from error
