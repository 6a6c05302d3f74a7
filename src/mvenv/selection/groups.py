"""Groups and extras: what options choose of those a lockfile has."""

from __future__ import annotations

from mvenv.errors import MvenvError, SelectionError, SeveralErrors, UsageError
from mvenv.values import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from packaging.utils import NormalizedName

    from mvenv.lockfiles.model import Lockfile

__all__ = ["ChosenGroups", "GroupOptions", "choose_groups"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupOptions:
    """What to take of a lockfile, as `poetry install` has it; names in any spelling."""

    with_groups: tuple[str, ...] = ()
    """Added to the default groups."""
    without: tuple[str, ...] = ()
    """Left out, also when added."""
    only: tuple[str, ...] = ()
    """Instead of the default groups; the other two have no effect then."""
    extras: tuple[str, ...] = ()
    all_extras: bool = False
    all_groups: bool = False
    no_root: bool = False
    """Leave out the root project. No other option does, as in Poetry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenGroups:
    """The outcome: what markers are evaluated with."""

    groups: frozenset[NormalizedName]
    extras: frozenset[NormalizedName]
    warnings: tuple[str, ...]


def choose_groups(lockfile: Lockfile, options: GroupOptions) -> ChosenGroups:
    """Return the groups and extras that ``options`` choose.

    Raises `UsageError` for options that exclude each other and `SelectionError` for
    unknown names, several as `SeveralErrors`.
    """
    _check_usage(options)
    errors: list[MvenvError] = []

    def known(option: str, names: Iterable[str]) -> frozenset[NormalizedName]:
        return _known(lockfile, option, names, errors)

    added = known("--with", options.with_groups)
    removed = known("--without", options.without)
    only = known("--only", options.only)
    extras = known("--extra", options.extras)
    if errors:
        raise SeveralErrors.unless_one(errors)
    warnings = []
    if only and (added or removed):
        warnings.append("`--with` and `--without` have no effect beside `--only`")
    groups = only or (lockfile.default_groups | added) - removed
    return ChosenGroups(
        groups=lockfile.groups if options.all_groups else groups,
        extras=lockfile.extras if options.all_extras else extras,
        warnings=tuple(warnings),
    )


def _check_usage(options: GroupOptions) -> None:
    if options.extras and options.all_extras:
        raise UsageError("`--extra` and `--all-extras` exclude each other")
    if options.all_groups and (options.with_groups or options.without or options.only):
        raise UsageError(
            "`--all-groups` excludes `--with`, `--without` and `--only`",
        )


def _known(
    lockfile: Lockfile,
    option: str,
    names: Iterable[str],
    errors: list[MvenvError],
) -> frozenset[NormalizedName]:
    """Return the names, normalised; note each that the lockfile does not have."""
    from packaging.utils import canonicalize_name

    what = "extra" if option == "--extra" else "group"
    there = lockfile.extras if what == "extra" else lockfile.groups
    found = set()
    for name in names:
        normalized = canonicalize_name(name.strip())
        if normalized in there:
            found.add(normalized)
            continue
        errors.append(
            SelectionError(
                f"`{lockfile.path.name}` has no {what} `{name}` (`{option}`)",
                hint=_suggest(normalized, there, what),
            )
        )
    return frozenset(found)


def _suggest(name: str, there: frozenset[NormalizedName], what: str) -> str:
    from difflib import get_close_matches

    if not there:
        return f"it has no {what}s at all"
    listed = f"it has {', '.join(f'`{one}`' for one in sorted(there))}"
    if close := get_close_matches(name, there, n=1):
        return f"did you mean `{close[0]}`? {listed[:1].upper()}{listed[1:]}"
    return listed
