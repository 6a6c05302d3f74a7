"""The selection itself: `packaging.pylock.Pylock.select`, prepared and explained.

Before: wheels that do not fit are taken out, with the reason, and the rest is put in
order. After: each source becomes a choice. What `select` would stop at, one problem at
a time, is looked at here, so that all problems are told together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import unquote, urlsplit

from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
from packaging.pylock import (
    Package,
    PackageArchive,
    PackageDirectory,
    PackageSdist,
    PackageVcs,
    PackageWheel,
    PylockSelectError,
)

from mvenv.errors import MvenvError, NoCompatibleFile, SelectionError, SeveralErrors
from mvenv.selection.compatibility import Fit, Judge
from mvenv.selection.groups import ChosenGroups, GroupOptions, choose_groups
from mvenv.selection.model import (
    ArchiveChoice,
    Chosen,
    DirectoryChoice,
    FileChoice,
    IndexChoice,
    Selection,
    VcsChoice,
)
from mvenv.selection.reasons import describe_target

if TYPE_CHECKING:
    from packaging.markers import Environment, Marker

    from mvenv.lockfiles.model import Lockfile
    from mvenv.target import Target

    Source = (
        PackageVcs | PackageDirectory | PackageArchive | PackageWheel | PackageSdist
    )

__all__ = ["select"]

_NO_FILE = PackageSdist(name="nothing", hashes={})
"""Stands in for a file where none fits, so that `select` goes on."""
_FIND_ONE = (
    "choose an interpreter that the files are for (`--python`), or lock a release that "
    "has a file for this one"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Offer:
    """An entry of the lockfile, judged for the target."""

    locked: Package
    fitting: Package
    """With the wheels that fit, best first."""
    rejections: tuple[str, ...]


def select(lockfile: Lockfile, target: Target, options: GroupOptions) -> Selection:
    """Return all that is to be installed: see `mvenv.selection.select`."""
    chosen = choose_groups(lockfile, options)
    _check_interpreter(lockfile, target)
    judge = Judge(target)
    offers = [_judge(package, judge) for package in lockfile.pylock.packages]
    names = dict(lockfile.index_names)
    distributions: list[Chosen] = []
    errors: list[MvenvError] = []
    for offer, source in _run(lockfile, offers, judge, chosen):
        try:
            distributions.append(_choose(offer, source, judge, names))
        except SelectionError as error:
            errors.append(error)
    if errors:
        raise SeveralErrors.unless_one(errors)
    if lockfile.root and not options.no_root:
        root = DirectoryChoice(path=lockfile.root.folder, editable=True)
        distributions.append(Chosen(name=lockfile.root.name, version=None, source=root))
    return Selection(distributions=tuple(distributions), warnings=chosen.warnings)


def _check_interpreter(lockfile: Lockfile, target: Target) -> None:
    """Refuse an interpreter that the lockfile is not for."""
    pylock, name = lockfile.pylock, lockfile.path.name
    here = target.markers["python_full_version"]
    hint = "choose another interpreter with `--python`, or lock for this one"
    # A pre-release of a Python that is allowed is allowed, as for pip.
    if pylock.requires_python is not None and not pylock.requires_python.contains(
        here.rstrip("+"), prereleases=True
    ):
        raise SelectionError(
            f"`{name}` is for Python {pylock.requires_python}, this is {here}",
            hint=hint,
        )
    environments = pylock.environments or ()
    if environments and not any(_holds(marker, target) for marker in environments):
        wanted = " or ".join(f"`{marker}`" for marker in environments)
        raise SelectionError(
            f"`{name}` is for {wanted}, this is {describe_target(target)} on "
            f"{target.platform}",
            hint=hint,
        )


def _holds(marker: Marker, target: Target) -> bool:
    try:
        return marker.evaluate(target.markers, context="requirement")
    except (UndefinedComparison, UndefinedEnvironmentName):
        return False


def _judge(package: Package, judge: Judge) -> _Offer:
    """Sort an entry's wheels into those that fit, best first, and the others."""
    if package.vcs or package.directory or package.archive:
        clean = replace(package, requires_python=None)
        return _Offer(locked=package, fitting=clean, rejections=())
    fits: list[tuple[Fit, PackageWheel]] = []
    rejections = []
    for wheel in package.wheels or ():
        verdict = judge.judge(wheel.filename, package.name, package.version)
        if isinstance(verdict, Fit):
            fits.append((verdict, wheel))
        else:
            rejections.append(f"`{wheel.filename}` {_joined(verdict)}")
    # pip's order: the best tag, then the highest build number (sorts are stable).
    fits.sort(key=lambda pair: pair[0].build, reverse=True)
    fits.sort(key=lambda pair: pair[0].rank)
    wheels = [wheel for _, wheel in fits]
    sdist = package.sdist or (None if wheels else _NO_FILE)
    return _Offer(
        locked=package,
        fitting=replace(package, wheels=wheels, sdist=sdist, requires_python=None),
        rejections=tuple(rejections),
    )


def _joined(verdict: str) -> str:
    return verdict if verdict.startswith(("is ", "has ")) else f"is {verdict}"


def _run(
    lockfile: Lockfile, offers: list[_Offer], judge: Judge, chosen: ChosenGroups
) -> Iterator[tuple[_Offer, Source]]:
    """Run the specification's algorithm over what fits."""
    pylock = replace(
        lockfile.pylock,
        requires_python=None,
        environments=None,
        packages=[offer.fitting for offer in offers],
    )
    by_identity = {id(offer.fitting): offer for offer in offers}
    try:
        selected = list(
            pylock.select(
                environment=cast("Environment", judge.target.markers),
                tags=judge.tags,
                extras=chosen.extras,
                dependency_groups=chosen.groups,
            )
        )
    except (PylockSelectError, UndefinedComparison, UndefinedEnvironmentName) as error:
        raise _say_why(lockfile, judge.target, chosen, error) from error
    for package, source in selected:
        yield by_identity[id(package)], source


def _say_why(
    lockfile: Lockfile, target: Target, chosen: ChosenGroups, error: Exception
) -> MvenvError:
    """Return the errors for conditions that nobody can evaluate, or that overlap."""
    errors: list[MvenvError] = []
    wanted: dict[str, list[str]] = {}
    environment: dict[str, str | frozenset[str]] = {
        **target.markers,
        "extras": chosen.extras,
        "dependency_groups": chosen.groups,
    }
    for package in lockfile.pylock.packages:
        try:
            if package.marker and not package.marker.evaluate(
                environment, context="lock_file"
            ):
                continue
        except (UndefinedComparison, UndefinedEnvironmentName):
            errors.append(
                SelectionError(
                    f"the condition of `{package.name}` cannot be evaluated: "
                    f"`{package.marker}`",
                    hint="write the lockfile anew",
                )
            )
            continue
        wanted.setdefault(package.name, []).append(str(package.version or "a folder"))
    errors += [
        SelectionError(
            f"`{lockfile.path.name}` has several entries of `{name}` for this choice "
            f"and interpreter: {' and '.join(versions)}",
            hint="choose groups and extras that do not exclude each other, or lock "
            "again",
        )
        for name, versions in wanted.items()
        if len(versions) > 1
    ]
    return SeveralErrors.unless_one(errors or [SelectionError(str(error))])


def _choose(
    offer: _Offer, source: Source, judge: Judge, index_names: Mapping[str, str]
) -> Chosen:
    """Return the choice for one entry; `SelectionError` where it cannot be met."""
    package = offer.locked
    _check_requires_python(package, judge.target)
    choice: IndexChoice | ArchiveChoice | VcsChoice | DirectoryChoice
    if isinstance(source, PackageVcs):
        choice = _choose_vcs(source)
    elif isinstance(source, PackageDirectory):
        path = Path(source.path)
        choice = DirectoryChoice(
            path=path / source.subdirectory if source.subdirectory else path,
            editable=bool(source.editable),
        )
    elif isinstance(source, PackageArchive):
        choice = _choose_archive(package, source, judge)
    elif source is _NO_FILE:
        raise _nothing_fits(package, offer.rejections, judge.target)
    else:
        choice = _choose_index(offer, index_names)
    version = str(package.version) if package.version else None
    return Chosen(name=package.name, version=version, source=choice)


def _check_requires_python(package: Package, target: Target) -> None:
    here = target.markers["python_full_version"]
    needed = package.requires_python
    if needed and not needed.contains(here.rstrip("+"), prereleases=True):
        raise SelectionError(
            f"{_title(package)} needs Python {needed}, this is {here}",
            hint="choose another interpreter with `--python`, or lock for this one",
        )


def _choose_vcs(source: PackageVcs) -> VcsChoice:
    return VcsChoice(
        kind=source.type,
        url=source.url or Path(source.path or "").as_uri(),
        commit=source.commit_id,
        requested_revision=source.requested_revision,
        subdirectory=source.subdirectory,
    )


def _choose_archive(
    package: Package, source: PackageArchive, judge: Judge
) -> ArchiveChoice:
    try:
        where = source.path or unquote(urlsplit(source.url or "").path)
    except ValueError:
        raise SelectionError(
            f"{_title(package)} comes from `{source.url}`, which is not an URL",
            hint="write the lockfile anew",
        ) from None
    filename = Path(where).name
    if filename.endswith(".whl"):
        verdict = judge.judge(filename, package.name, package.version)
        if isinstance(verdict, str):
            rejections = (f"`{filename}` {_joined(verdict)}",)
            raise _nothing_fits(package, rejections, judge.target)
    return ArchiveChoice(
        file=_to_file(filename, source), subdirectory=source.subdirectory
    )


def _choose_index(offer: _Offer, index_names: Mapping[str, str]) -> IndexChoice:
    package = offer.fitting
    sdist = package.sdist
    return IndexChoice(
        wheels=tuple(_to_file(one.filename, one) for one in package.wheels or ()),
        sdist=_to_file(sdist.filename, sdist) if sdist else None,
        index=package.index,
        index_name=index_names.get(package.index) if package.index else None,
        rejections=offer.rejections,
    )


def _to_file(
    filename: str, source: PackageWheel | PackageSdist | PackageArchive
) -> FileChoice:
    hashes = {name.lower(): text.lower() for name, text in source.hashes.items()}
    return FileChoice(
        filename=filename,
        sha256=hashes.get("sha256"),
        hashes=tuple(sorted(hashes.items())),
        url=source.url,
        path=Path(source.path) if source.path else None,
        size=source.size,
    )


def _nothing_fits(
    package: Package, rejections: Iterable[str], target: Target
) -> NoCompatibleFile:
    rejections = tuple(rejections)
    where = f"{describe_target(target)} on {target.platform}"
    if not rejections:
        return NoCompatibleFile(
            f"the lockfile names no file of {_title(package)}",
            rejections=(),
            hint="lock again, from an index that has it",
        )
    return NoCompatibleFile(
        f"no file of {_title(package)} fits {where}",
        rejections=rejections,
        hint=_FIND_ONE,
    )


def _title(package: Package) -> str:
    return f"`{package.name}` {package.version or ''}".rstrip()
