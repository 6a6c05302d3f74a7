"""What the store learns from an environment: files whose hashes RECORD vouches for.

The wheel's own file was never seen, so an entry made in this way has a key of its own
(of the list of its files) and never serves a lockfile: it is trusted only as far as it
was proven.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mvenv.adopt.installed import Environment, Installation, Row
from mvenv.adopt.matching import Match, lay_out
from mvenv.adopt.sharing import own_bytes, state_of
from mvenv.apply.proving import ProvenCopies
from mvenv.errors import MvenvError
from mvenv.records import replace_bytes
from mvenv.store.adopted import adopted_key
from mvenv.store.durability import boot_id
from mvenv.store.entries import StoredWheel, WheelStore
from mvenv.store.large import LargeFiles
from mvenv.store.names import MANIFEST, TREE
from mvenv.store.runs import RunFolder
from mvenv.wheels.manifest import Manifest, ManifestFile
from mvenv.wheels.unpack import stamp_ns

__all__ = ["Learner"]

_SHEBANG_BYTES = 4096
"""Bytes in which a script names its interpreter, if it does."""
_BLOCK = 512
"""Bytes (``stat(2)``)."""
_CONTROL = frozenset(map(chr, [*range(32), 127]))


@dataclass(slots=True)
class Learner:
    """Takes in what the store lacks."""

    environment: Environment
    store: WheelStore
    run: RunFolder
    new: list[StoredWheel] = field(default_factory=list)
    """Entries that were made now, and are to be flushed."""
    proven: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Files of the environment that were hashed, and their state then."""
    _copies: ProvenCopies = field(default_factory=ProvenCopies)

    def learn(self, one: Installation) -> Match | None:
        """Return the new entry, or `None` where too little of it is proven."""
        stage = self.run.new_path()
        try:
            files = self._copy(one, stage / TREE)
            return self._take_in(one, stage, files) if files else None
        finally:
            shutil.rmtree(stage, ignore_errors=True)

    def expect(self, one: Installation) -> tuple[int, int, int]:
        """Return files and bytes that would be learned, and what that would free.

        By what RECORD says; no file is read.
        """
        count = size = freed = 0
        for row, _ in self.worth_learning(one):
            try:
                seen = (self.environment.place / row.path).lstat()
            except OSError:
                continue
            if stat.S_ISREG(seen.st_mode) and seen.st_size == row.size:
                count += 1
                size += seen.st_blocks * _BLOCK
                freed += own_bytes(self.environment.place / row.path, seen)
        return count, size, freed

    def not_in(self, match: Match) -> Iterator[Row]:
        """Yield what RECORD has and the entry lacks, since it was not proven."""
        for row, _ in self.worth_learning(match.installation):
            if row.path not in match.files:
                yield row

    def worth_learning(self, one: Installation) -> Iterator[tuple[Row, str]]:
        """Yield what can be learned of a distribution: rows, and places in a wheel."""
        for path, row in one.rows.items():
            if row.sha256 is None or one.is_written(path) or _CONTROL & set(path):
                continue
            member = self._member(one, path)
            if member is not None:
                yield row, member

    def _member(self, one: Installation, path: str) -> str | None:
        """Return where a wheel has what stands at ``path``; `None`: it has it not."""
        scheme = self.environment.scheme
        stem = os.path.basename(one.dist_info).removesuffix(".dist-info")
        headers = f"{scheme.headers}/{one.normalized}/"
        if path.startswith(f"{one.site}/"):
            return path.removeprefix(f"{one.site}/")
        if path.startswith(headers):
            return f"{stem}.data/headers/{path.removeprefix(headers)}"
        if path.startswith(f"{scheme.scripts}/"):
            if self._is_generated(path):
                return None
            return f"{stem}.data/scripts/{path.removeprefix(f'{scheme.scripts}/')}"
        return f"{stem}.data/data/{path}"

    def _is_generated(self, path: str) -> bool:
        """Return whether a script was written for this environment's interpreter."""
        try:
            with (self.environment.place / path).open("rb") as stream:
                head = stream.read(_SHEBANG_BYTES)
        except OSError:
            return True
        # Others may have made it for any interpreter: what has a shebang of Python
        # is nobody else's.
        line = head.partition(b"\n")[0]
        return line.startswith(b"#!") and (b"python" in line or b"'''exec'" in head)

    def _copy(self, one: Installation, tree: Path) -> list[ManifestFile]:
        tree.mkdir(parents=True, mode=0o755)
        moment = int(time.time())
        made = {tree}
        files = []
        for row, member in self.worth_learning(one):
            place, new = self.environment.place / row.path, tree / member
            if not self.environment.is_inside(row.path):
                continue
            try:
                seen = place.lstat()
            except OSError:
                continue
            _make_folders(new.parent, made)
            executable = bool(seen.st_mode & 0o100)
            proof = self._copies.copy(
                place,
                new,
                sha256=row.sha256 or "",
                size=seen.st_size,
                mode=self._mode(executable=executable),
                stamp=stamp_ns(row.sha256 or "", moment),
            )
            if proof is not None:
                self.proven[row.path] = state_of(seen)
                kept = new.stat()
                files.append(
                    ManifestFile(
                        member,
                        proof.sha256,
                        proof.xxh3,
                        proof.size,
                        stat.S_IMODE(kept.st_mode),
                        kept.st_mtime_ns,
                    )
                )
        return sorted(files)

    def _mode(self, *, executable: bool) -> int:
        if self.store.seal:
            return 0o555 if executable else 0o444
        return 0o755 if executable else 0o644

    def _take_in(
        self, one: Installation, stage: Path, files: list[ManifestFile]
    ) -> Match | None:
        stem = os.path.basename(one.dist_info).removesuffix(".dist-info")
        staged = _staged(stage, f"{stem}.adopted", files)
        try:
            _, placed = lay_out(staged, self.environment)
        except MvenvError:
            return None
        # What would go elsewhere, or be rewritten, is not what a wheel had there.
        right = {
            row.source
            for path, row in placed.items()
            if self._member(one, path) == row.source
        }
        for file in files:
            if file.path not in right:
                (staged.tree / file.path).unlink()
        kept = [file for file in files if file.path in right]
        staged = _staged(stage, f"{stem}.adopted", kept)
        try:
            facts, placed = lay_out(staged, self.environment)
        except MvenvError:
            return None
        wheel = self._commit(staged)
        return Match(one, wheel, facts, placed, learned=True)

    def _commit(self, staged: StoredWheel) -> StoredWheel:
        """Rename it into its place; whoever comes second gets what is there."""
        key = staged.key
        final = self.store.layout.entry(key)
        with self.store.locked(key):
            present = self.store.find(key)
            if present is not None:
                return present
            replace_bytes(
                staged.root / MANIFEST, staged.manifest.to_bytes(), mode=0o444
            )
            if final.exists():
                kept = self.store.layout.rescued / f"{key[:16]}-{time.time_ns()}"
                os.rename(final, kept)
            final.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            large = LargeFiles(self.store.layout)
            with large.committing(staged.tree, staged.manifest, stamps=True):
                os.rename(staged.root, final)
        wheel = StoredWheel(key=key, root=final, manifest=staged.manifest)
        self.new.append(wheel)
        return wheel


def _staged(stage: Path, filename: str, files: Iterable[ManifestFile]) -> StoredWheel:
    files = tuple(files)
    key = adopted_key(files)
    manifest = Manifest(sha256=key, filename=filename, boot_id=boot_id(), files=files)
    return StoredWheel(key=key, root=stage, manifest=manifest)


def _make_folders(folder: Path, made: set[Path]) -> None:
    if folder in made:
        return
    _make_folders(folder.parent, made)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    made.add(folder)
