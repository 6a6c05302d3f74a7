"""What is missing, by whose it is: a file, a package, its metadata, or all of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

from mvenv.diagnose.drift import Drift
from mvenv.diagnose.expected import Ownership, claimed_paths, expected_files
from mvenv.diagnose.model import Expected, Finding, HealClass, Kind
from mvenv.diagnose.subject import Subject
from mvenv.env.receipt import Installed

__all__ = ["tell_missing"]


def tell_missing(
    subject: Subject,
    owned: Ownership,
    drift: Drift,
    missing: Iterable[Expected],
    private: Collection[str],
) -> Iterator[Finding]:
    """Yield findings for all that is missing.

    ``private`` are distributions whose files the user may change.
    """
    by_name: dict[str | None, list[Expected]] = {}
    for one in missing:
        by_name.setdefault(one.distribution, []).append(one)
    if not by_name and not drift.without:
        return
    told = _Missing(subject, owned, drift)
    for owner in owned.plan.distributions:
        lost = by_name.pop(owner.name, [])
        if owner.name in drift.changed:
            yield from told.still_needed(lost)
        elif owner.name in drift.without:
            yield from told.without_metadata(owner, lost)
        elif owner.name not in private:
            yield from told.of_distribution(owner, lost)
    for lost in by_name.values():
        yield from told.single(lost)


class _Missing:
    def __init__(
        self,
        subject: Subject,
        owned: Ownership,
        drift: Drift,
    ) -> None:
        self._subject, self._owned, self._drift = subject, owned, drift
        self._all: dict[str | None, list[Expected]] = {}
        for one in expected_files(subject):
            self._all.setdefault(one.distribution, []).append(one)
        self._claims: dict[str, set[str]] | None = None

    def _find(
        self,
        code: str,
        heal: HealClass,
        detail: str,
        path: str,
        name: str | None,
        *,
        files: Iterable[Expected] = (),
        drift: bool = False,
    ) -> Finding:
        found = self._subject.finding(code, heal, detail, path, drift=drift)
        return replace(found, distribution=name, files=tuple(files))

    def single(self, lost: Iterable[Expected]) -> Iterator[Finding]:
        """Yield a finding for each file."""
        for one in lost:
            found = self._find(
                _code(one),
                HealClass.PLAIN,
                "is missing",
                one.path,
                one.distribution,
            )
            yield replace(found, expected=one, wheel=one.wheel)

    def of_distribution(
        self, one: Installed, lost: list[Expected]
    ) -> Iterator[Finding]:
        """Yield one finding where all of its modules are gone, else one a file."""
        modules = [each for each in self._all[one.name] if _is_module(each, one)]
        gone = [each for each in lost if _is_module(each, one)]
        if len(gone) < len(modules) or len(gone) < 2:  # noqa: PLR2004  one is no group
            yield from self.single(lost)
            return
        yield self._find(
            "F02",
            HealClass.PLAIN,
            f"all {len(gone):,} files of its modules are missing",
            _common_folder(gone, one),
            one.name,
            files=gone,
        )
        yield from self.single(each for each in lost if not _is_module(each, one))

    def without_metadata(
        self, one: Installed, lost: list[Expected]
    ) -> Iterator[Finding]:
        """Tell an uninstalled distribution from one that lost its metadata."""
        paths = {each.path for each in lost}
        site = one.dist_info.rpartition("/")[0]
        remaining = [
            each.path
            for each in self._all.get(one.name, [])
            if each.path not in paths
            and each.path.startswith(f"{site}/")
            and not self._others(each.path, one.name)
        ]
        if not remaining:
            detail = "was uninstalled; `mvenv sync` installs it again"
            yield self._find(
                "F02u", HealClass.REPORT, detail, one.dist_info, one.name, drift=True
            )
            yield from self.still_needed(lost)
            return
        metadata = [each for each in lost if _is_metadata(each, one)]
        if not metadata:
            # It cannot be looked into, and that is told already.
            return
        yield self._find(
            "F20",
            HealClass.PLAIN,
            "has lost its metadata, its modules are there",
            one.dist_info,
            one.name,
            files=metadata,
        )
        yield from self.single(each for each in lost if not _is_metadata(each, one))

    def still_needed(self, lost: Iterable[Expected]) -> Iterator[Finding]:
        """Yield what went with a distribution and is in another one's RECORD too."""
        contested = {conflict.path for conflict in self._owned.plan.conflicts}
        for one in lost:
            others = self._others(one.path, one.distribution)
            if not others:
                continue
            other = min(others)
            if one.path in contested:
                # What belongs there now is not what was planned.
                detail = f"went with `{one.distribution}`, and `{other}` has another"
                heal, code = HealClass.REPORT, "F15"
            else:
                detail = f"went with `{one.distribution}`, and `{other}` has it too"
                heal, code = HealClass.PLAIN, "F01"
            drift = heal is HealClass.REPORT
            found = self._find(code, heal, detail, one.path, other, drift=drift)
            yield replace(found, expected=one, wheel=one.wheel)

    def _others(self, path: str, name: str | None) -> set[str]:
        """Return which distributions that are still there list a path, too."""
        if self._claims is None:
            self._claims = {}
            gone = self._drift.changed | self._drift.without
            for record in self._owned.plan.records:
                owner = self._owned.by_folder.get(record.path.rpartition("/")[0])
                if owner is not None and owner.name not in gone:
                    for claimed in claimed_paths(record):
                        self._claims.setdefault(claimed, set()).add(owner.name)
        return self._claims.get(path, set()) - {name or ""}


def _code(one: Expected) -> str:
    """Return the code for a single file that is missing."""
    if one.kind is Kind.GENERATED:
        if one.path.endswith("/RECORD"):
            return "F22"
        if one.path.startswith("bin/"):
            return "F26"
    return "F01"


def _is_metadata(one: Expected, owner: Installed) -> bool:
    return one.path.startswith(f"{owner.dist_info}/")


def _is_module(one: Expected, owner: Installed) -> bool:
    """Return whether it is in the site folder; scripts and data are elsewhere."""
    site = owner.dist_info.rpartition("/")[0]
    return one.path.startswith(f"{site}/") and not _is_metadata(one, owner)


def _common_folder(files: list[Expected], owner: Installed) -> str:
    """Return where most of a distribution was: its folder, if it has one."""
    depth = owner.dist_info.count("/") + 1
    tops = Counter("/".join(one.path.split("/")[:depth]) for one in files)
    return tops.most_common(1)[0][0]
