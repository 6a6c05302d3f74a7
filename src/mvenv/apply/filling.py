"""Fill a folder as a plan says: links, checked as they are made, and private files."""

from __future__ import annotations

import os
from functools import partial

from mvenv.apply.parts import Part, ToWrite
from mvenv.apply.recipe import Recipe
from mvenv.env.bare import BareEnvironment
from mvenv.env.compiled import CACHE
from mvenv.env.receipt import FOLDER, Generated
from mvenv.env.scripts import compose_script
from mvenv.env.writing import Writer
from mvenv.errors import LinkError, SystemFault
from mvenv.hashes import digest_bytes
from mvenv.link.modes import LinkMode
from mvenv.link.tree import Linker, Tally, Unlinked
from mvenv.plan.model import PlannedRecord, PlannedScript, PlannedWheel
from mvenv.store.entries import StaleWheels, WheelStore
from mvenv.store.runs import RunFolder
from mvenv.values import NamedTuple, dataclass
from mvenv.wheels.record import record_row
from mvenv.workers import at_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any

    from mvenv.paths import StrPath

__all__ = ["Filled", "fill"]

_Rows = dict[str, tuple[str, int]]
"""sha256 and size of scripts, by path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """What was made."""

    tally: Tally
    generated: tuple[Generated, ...]


def fill(
    recipe: Recipe,
    bare: BareEnvironment,
    folder: StrPath,
    *,
    python: str,
    modes: Sequence[LinkMode],
    replaces: bool,
    require_link: bool,
    store: WheelStore,
    run: RunFolder,
) -> Filled:
    """Fill ``folder`` as ``recipe`` says, and return what was made.

    ``python`` is the environment's interpreter as scripts are to name it.
    ``replaces`` makes each file beside its name and renames it over what is there.
    `StaleWheels` where stored files turned out to be changed: the folder is then
    incomplete and must not be committed. `SystemFault` where the disk refuses.
    """
    try:
        root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            filling = _Filling(
                recipe=recipe,
                root=root,
                modes=tuple(modes),
                require_link=require_link,
                replaces=replaces,
                store=store,
                run=run,
            )
            return filling.fill(bare, python)
        finally:
            os.close(root)
    except OSError as error:
        raise SystemFault.from_os_error(error, "cannot fill the environment") from error


class _Share(NamedTuple):
    """What one process makes."""

    part: Callable[[], Part]
    files: tuple[ToWrite, ...]
    """What names the environment's path, and no recipe can hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Filling:
    """How one environment is filled."""

    recipe: Recipe
    root: int
    """Descriptor of its folder."""
    modes: tuple[LinkMode, ...]
    require_link: bool
    replaces: bool
    store: WheelStore
    run: RunFolder

    def fill(self, bare: BareEnvironment, python: str) -> Filled:
        recipe = self.recipe
        scripts, rows = _composed(recipe.scripts, python)
        writer, linker = self._tools(replaces=self.replaces)
        writer.make_folders((FOLDER, *bare.folders, *recipe.trunk))
        work = [_Share(part, ()) for part in recipe.parts]
        work[0] = work[0]._replace(files=tuple(scripts))
        done = self._done(work, rows)
        for part, (failure, written, counted) in zip(recipe.parts, done, strict=True):
            if failure is not None:
                _raise(failure)
            writer.written += (Generated(*row) for row in written)
            _add(linker.tally, counted, part)
        self._link_rest(linker)
        writer.write_bare(bare)
        linker.link_all(recipe.late_links)
        self._link_rest(linker)
        return Filled(tally=linker.tally, generated=tuple(writer.written))

    def _tools(self, *, replaces: bool) -> tuple[Writer, Linker]:
        linker = Linker(
            self.root, self.modes, replace=replaces, require_link=self.require_link
        )
        return Writer(root=self.root, replaces=replaces), linker

    def _done(self, work: Sequence[_Share], rows: _Rows) -> Iterable[tuple[Any, ...]]:
        """Make all parts; what is there already is replaced by this process alone."""
        if self.replaces:
            # Others may look on: in the order of the plan.
            return [self._make(rows, True, share) for share in work]
        return at_once(
            partial(self._make, rows, False),
            work,
            # A process that was killed left some of it.
            again=partial(self._make, rows, True),
        )

    def _make(self, rows: _Rows, replaces: bool, share: _Share) -> tuple[Any, ...]:
        """Make a part; return why it failed, what was written, and what was linked.

        All of it in plain values, which another process can send.
        """
        writer, linker = self._tools(replaces=replaces)
        part = share.part()
        try:
            writer.make_folders(part.folders)
            linker.link_all(part.links)
            for path, told, executable in (*share.files, *part.files):
                content = told if isinstance(told, bytes) else _record(told, rows)
                writer.write(path, content, executable=executable)
        except LinkError as error:
            return ("link", error.message, error.hint), (), ()
        except OSError as error:
            return ("system", error.errno, error.strerror, error.filename), (), ()
        return None, list(map(tuple, writer.written)), _counted(linker.tally, part)

    def _link_rest(self, linker: Linker) -> None:
        """Link what found its stored file full; `StaleWheels` for what was changed."""
        while linker.tally.full:
            full, linker.tally.full = linker.tally.full, []
            for one in full:
                if _is_bytecode(one):
                    # Not worth a new inode in the store.
                    private = one.file._replace(private=True)
                    linker.link_folder(one.folder._replace(files=(private,)))
                    continue
                _renew(self.recipe.wheels, one, self.store, self.run)
                linker.link_folder(one.folder._replace(files=(one.file,)))
        if linker.tally.mismatched:
            sources = [one.folder.source for one in linker.tally.mismatched]
            raise StaleWheels(
                frozenset(
                    wheel.key
                    for wheel in self.recipe.wheels
                    if any(source.startswith(f"{wheel.root}/") for source in sources)
                )
            )


def _raise(failure: tuple[Any, ...]) -> None:
    kind, *told = failure
    if kind == "link":
        message, hint = told
        raise LinkError(message, hint=hint)
    raise OSError(*told)


def _counted(tally: Tally, part: Part) -> tuple[Any, ...]:
    """Return a tally of a part in plain values."""
    return (
        {mode.value: count for mode, count in tally.files.items()},
        {mode.value: size for mode, size in tally.bytes.items()},
        tally.private,
        tally.private_files,
        dict(tally.fallen_back),
        list(_numbered(tally.mismatched, part)),
        list(_numbered(tally.full, part)),
    )


def _numbered(those: Iterable[Unlinked], part: Part) -> Iterator[tuple[int, int]]:
    for one in those:
        yield part.links.index(one.folder), one.folder.files.index(one.file)


def _add(tally: Tally, counted: tuple[Any, ...], part: Callable[[], Part]) -> None:
    files, sizes, private, private_files, fallen_back, mismatched, full = counted
    tally.files.update({LinkMode(mode): count for mode, count in files.items()})
    tally.bytes.update({LinkMode(mode): size for mode, size in sizes.items()})
    tally.private += private
    tally.private_files += private_files
    tally.fallen_back.update(fallen_back)
    if not (mismatched or full):
        return
    links = part().links
    for those, numbers in ((tally.mismatched, mismatched), (tally.full, full)):
        for group, file in numbers:
            folder = links[group]
            those.append(Unlinked(folder, folder.files[file]))


def _renew(
    wheels: Sequence[PlannedWheel], one: Unlinked, store: WheelStore, run: RunFolder
) -> None:
    wheel, path = _wheel_of(wheels, one)
    if os.stat(os.path.join(one.folder.source, one.file.source)).st_nlink == 1:
        raise LinkError(
            f"`{one.folder.source}` takes no hard links",
            hint="choose another mode with `--link-mode`",
        )
    store.fresh_inode(wheel.key, path, run)


def _is_bytecode(one: Unlinked) -> bool:
    return one.folder.target.rpartition("/")[2] == CACHE and one.file.target.endswith(
        ".pyc"
    )


def _wheel_of(
    wheels: Sequence[PlannedWheel], one: Unlinked
) -> tuple[PlannedWheel, str]:
    from pathlib import Path

    source = Path(one.folder.source, one.file.source)
    for wheel in wheels:
        if source.is_relative_to(wheel.tree):
            return wheel, source.relative_to(wheel.tree).as_posix()
    raise AssertionError(f"{source} is in no wheel of the plan")


def _composed(
    planned: Iterable[PlannedScript], python: str
) -> tuple[list[ToWrite], _Rows]:
    """Return the scripts, and their hashes and sizes for RECORD."""
    scripts: list[ToWrite] = []
    rows: _Rows = {}
    for script in planned:
        own = script.shebang_of(python)
        content = compose_script(own, script.body, script.arguments)
        scripts.append(ToWrite(script.path, content, True))
        rows[script.path] = (digest_bytes(content).sha256, len(content))
    return scripts, rows


def _record(record: PlannedRecord, rows: _Rows) -> bytes:
    lines = [record.rows]
    for path in record.scripts:
        digest, size = rows[path]
        lines.append(record_row(path, digest, size, record.site))
    return "".join(lines).encode("utf-8", "surrogateescape")
