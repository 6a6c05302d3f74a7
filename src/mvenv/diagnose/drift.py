"""What the user did to distributions on purpose, found before files are judged.

pip and others leave traces: another INSTALLER, another metadata folder of the same
name, no metadata at all. Nothing of a distribution that was changed is damage.
"""

from __future__ import annotations

import json
import os
import posixpath
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field

from mvenv.diagnose.claims import Foreign, listed_files, sha256_of_row
from mvenv.diagnose.model import Finding, HealClass
from mvenv.diagnose.reading import content_at, opened, sha256_at
from mvenv.diagnose.subject import Subject
from mvenv.env.receipt import Generated, Installed
from mvenv.names import normalized
from mvenv.plan.model import Plan

__all__ = ["Drift", "find_drift"]

_METADATA = (".dist-info", ".egg-info")
_OURS = b"mvenv"
_MOST = 1 << 26
"""Bytes of a RECORD; more is no RECORD."""


@dataclass(slots=True)
class Drift:
    """What of the plan's distributions is the user's own work by now."""

    changed: set[str] = field(default_factory=set)
    """Names of those that somebody installed anew."""
    without: set[str] = field(default_factory=set)
    """Names of those whose metadata folder is gone, and no other is there."""
    foreign: list[Foreign] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def find_drift(
    subject: Subject, plan: Plan, root: int, rows: Mapping[str, Generated]
) -> Drift:
    """Compare the metadata folders that are there with those of the plan.

    ``root`` is a descriptor of the environment's folder.
    """
    return _Search(subject, plan, root, rows).search()


class _Search:
    def __init__(
        self, subject: Subject, plan: Plan, root: int, rows: Mapping[str, Generated]
    ) -> None:
        self._subject, self._plan = subject, plan
        self._root, self._rows = root, rows
        self._drift = Drift()

    def search(self) -> Drift:
        drift = self._drift
        sites = dict.fromkeys(record.site for record in self._plan.records)
        present: dict[str, None] = {}
        for site in sites:
            present |= dict.fromkeys(f"{site}/{name}" for name in self._names(site))
        planned = {one.dist_info: one for one in self._plan.distributions}
        others: dict[str, list[Foreign]] = {}
        for path in present:
            if path.endswith(_METADATA) and path not in planned:
                foreign = self._read(path)
                others.setdefault(foreign.name, []).append(foreign)
        for path, one in planned.items():
            rivals = others.pop(normalized(one.name), [])
            drift.foreign += rivals
            self._compare(one, rivals, present=path in present)
        for foreign in (one for those in others.values() for one in those):
            drift.foreign.append(foreign)
            self._tell_foreign(foreign)
        targets: set[str] = set()
        for path in present:
            if path.endswith(".pth"):
                self._look_at_paths(path, targets)
        self._look_at_editables(targets)
        return drift

    def _names(self, site: str) -> list[str]:
        try:
            with opened(self._root, site) as folder:
                return sorted(
                    name
                    for name in os.listdir(folder)
                    if name.endswith((*_METADATA, ".pth")) and not name.startswith("~")
                )
        except OSError:
            return []

    def _read(self, metadata: str) -> Foreign:
        stem = posixpath.splitext(posixpath.basename(metadata))[0]
        name, _, version = stem.partition("-")
        installer = self._content(f"{metadata}/INSTALLER", 80) or b""
        return Foreign(
            name=normalized(name),
            version=version.partition("-py")[0],
            metadata=metadata,
            installer=installer.decode(errors="replace").strip(),
        )

    def _content(self, path: str, most: int) -> bytes | None:
        above, _, name = path.rpartition("/")
        try:
            with opened(self._root, above) as folder:
                return content_at(name, folder, most)
        except OSError:
            return None

    def _find(
        self,
        code: str,
        heal: HealClass,
        detail: str,
        path: str,
        name: str | None,
        *,
        drift: bool = False,
        remedy: str | None = None,
    ) -> None:
        self._drift.findings.append(
            Finding(
                code=code,
                where=self._subject.place,
                heal=heal,
                detail=detail,
                path=path,
                distribution=name,
                drift=drift,
                remedy=remedy,
            )
        )

    def _compare(self, one: Installed, rivals: list[Foreign], *, present: bool) -> None:
        back = "`mvenv sync` goes back to the lock"
        if present and rivals:
            self._tell_two(one, rivals)
        elif present:
            installer = self._other_installer(one)
            if installer is not None:
                self._drift.changed.add(one.name)
                self._drift.foreign.append(self._read(one.dist_info))
                detail = f"was installed again, by `{installer}`"
                self._find(
                    "F24",
                    HealClass.REPORT,
                    detail,
                    one.dist_info,
                    one.name,
                    drift=True,
                    remedy=back,
                )
        elif rivals:
            self._drift.changed.add(one.name)
            other = rivals[0]
            by = f", by `{other.installer}`" if other.installer else ""
            self._find(
                "F24",
                HealClass.REPORT,
                f"has the version {other.version} in place of {one.version}{by}",
                other.metadata,
                one.name,
                drift=True,
                remedy=back,
            )
        else:
            self._drift.without.add(one.name)

    def _other_installer(self, one: Installed) -> str | None:
        """Return who else installed it; `None`: mvenv did, or nobody says."""
        path = f"{one.dist_info}/INSTALLER"
        row = self._rows.get(path)
        try:
            seen = os.stat(path, dir_fd=self._root, follow_symlinks=False)
        except OSError:
            return None
        if row is not None and _is_unchanged(row, seen):
            return None
        text = (self._content(path, 80) or b"").strip()
        # What has no letters is damage, and nobody's name.
        if text == _OURS or not text.isascii() or not text[:1].isalpha():
            return None
        return text.decode()

    def _tell_two(self, one: Installed, rivals: list[Foreign]) -> None:
        """Judge by the files which of several versions is really there."""
        ours = self._fits(one.dist_info)
        fitting = [other for other in rivals if self._fits(other.metadata)]
        if ours and not fitting:
            for other in rivals:
                self._find(
                    "F21",
                    HealClass.FIX,
                    f"is left of the version {other.version}; the files are those of"
                    f" {one.version}",
                    other.metadata,
                    one.name,
                )
        elif fitting and not ours:
            self._drift.changed.add(one.name)
            self._find(
                "F21",
                HealClass.FIX,
                f"is left of the version {one.version}; the files are those of"
                f" {fitting[0].version}",
                one.dist_info,
                one.name,
            )
        else:
            which = "fit both" if ours else "fit neither"
            versions = ", ".join((one.version, *(other.version for other in rivals)))
            self._find(
                "F21",
                HealClass.REPORT,
                f"is there in several versions ({versions}); the files {which}",
                rivals[0].metadata,
                one.name,
            )

    def _fits(self, metadata: str) -> bool:
        """Return whether all files that a RECORD lists, but metadata, are there."""
        found = False
        for path, row in listed_files(self._root, metadata).items():
            if path.startswith(f"{metadata}/"):
                continue
            sha256 = sha256_of_row(row)
            if sha256 is None:
                continue
            above, _, name = path.rpartition("/")
            try:
                with opened(self._root, above) as folder:
                    if sha256_at(name, folder) != sha256:
                        return False
            except OSError:
                return False
            found = True
        return found

    def _tell_foreign(self, foreign: Foreign) -> None:
        by = f" by `{foreign.installer}`" if foreign.installer else " by hand"
        detail = f"version {foreign.version} was installed{by}, and is in no lock"
        self._find(
            "F24", HealClass.REPORT, detail, foreign.metadata, foreign.name, drift=True
        )

    def _look_at_paths(self, path: str, targets: set[str]) -> None:
        """Find folders that a ``.pth`` file names and that are gone."""
        content = self._content(path, 1 << 16) or b""
        for line in content.decode("utf-8", "surrogateescape").splitlines():
            target = line.strip()
            if target.startswith("/") and "\0" not in target and _is_gone(target):
                targets.add(target)
                detail = f"names the folder `{target}`, which is gone"
                self._find("F25", HealClass.REPORT, detail, path, None)

    def _look_at_editables(self, targets: set[str]) -> None:
        urls = [
            (foreign.name, path, self._content(path, 1 << 16) or b"")
            for foreign in self._drift.foreign
            if (path := f"{foreign.metadata}/direct_url.json")
        ]
        names = {one.dist_info: one.name for one in self._plan.distributions}
        urls += [
            (names.get(path.rpartition("/")[0], ""), path, content)
            for path, content, _ in self._plan.files
            if path.endswith("/direct_url.json")
        ]
        for name, path, content in urls:
            target = _editable_target(content)
            if (
                target is None
                or name in self._drift.changed | self._drift.without
                or not _is_gone(target)
                or any(one == target or one.startswith(f"{target}/") for one in targets)
            ):
                continue
            detail = f"is a project in `{target}`, which is gone"
            self._find("F25", HealClass.REPORT, detail, path, name)


def _is_unchanged(row: Generated, seen: os.stat_result) -> bool:
    # Where the date is not known it is equal to none.
    return (row.size, row.mtime_ns) == (seen.st_size, seen.st_mtime_ns)


def _editable_target(content: bytes) -> str | None:
    """Return the folder of an editable install (PEP 610)."""
    try:
        value = json.loads(content)
        if not value["dir_info"]["editable"]:
            return None
        url = urllib.parse.urlsplit(value["url"])
    except (ValueError, KeyError, TypeError):
        return None
    path = urllib.parse.unquote(url.path)
    ours = url.scheme == "file" and path.startswith("/") and "\0" not in path
    return posixpath.normpath(path) if ours else None


def _is_gone(path: str) -> bool:
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False
