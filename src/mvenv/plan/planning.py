"""What will be done, as a value: pure, and free of the environment's path.

Whatever depends on where the environment will be (scripts, RECORD rows of scripts,
the bare environment) is kept as what it is made from, and made when the plan is
applied; so one plan serves every environment of the same lock and interpreter.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from mvenv.env.receipt import FOLDER, Installed
from mvenv.errors import MvenvError, PlanConflict, SeveralErrors
from mvenv.hashes import digest_bytes
from mvenv.link.tree import FileLink, FolderLinks
from mvenv.plan.compiled import AvailableBytecode, CompiledFiles, plan_bytecode
from mvenv.plan.model import (
    Conflict,
    Plan,
    PlannedFile,
    PlannedRecord,
    PlannedScript,
    PlannedWheel,
    Provided,
)
from mvenv.store.entries import StoredWheel
from mvenv.target import Scheme, Target
from mvenv.wheels.launchers import EntryPoint
from mvenv.wheels.layout import Placing, WheelLayout, layout_wheel
from mvenv.wheels.record import record_row

__all__ = ["make_plan", "plan_launchers"]


class _Claim(NamedTuple):
    """One distribution's wish for one path."""

    owner: int
    path: str
    sha256: str
    size: int
    link: tuple[str, FileLink] | None = None
    late: bool = False
    file: PlannedFile | None = None
    script: PlannedScript | None = None


def plan_launchers(
    points: Iterable[EntryPoint], target: Target
) -> tuple[PlannedScript, ...]:
    """Return the scripts that call entry points, for ``target``."""
    folder, python = target.scheme.scripts, target.version_info[:2]
    return tuple(
        PlannedScript(f"{folder}/{point.name}", point.launcher_body(python), b"")
        for point in points
    )


def make_plan(
    distributions: Sequence[Provided],
    scheme: Scheme,
    *,
    reserved: frozenset[str],
    aliases: Mapping[str, str],
    bytecode: AvailableBytecode | None = None,
) -> Plan:
    """Return the plan that installs ``distributions``, in the lockfile's order.

    Where two ship one path with different content the later wins, and the plan says
    so. ``reserved`` are the bare environment's own paths,
    ``aliases`` its links to folders (``lib64``) and what they point to;
    ``bytecode`` is what was compiled for the interpreter.
    `PlanConflict` where no order could meet all wishes.
    """
    claims: list[_Claim] = []
    installed: list[Installed] = []
    sites: list[str] = []
    for owner, one in enumerate(distributions):
        site = _site(one, scheme)
        claims += _resolved(_claims_of(owner, one, scheme, site), aliases)
        sites.append(site)
        installed.append(_installed(one, site))
    winners, conflicts = _settle(claims, distributions)
    folders = _parents(winners)
    compiled = plan_bytecode(
        ((claim.owner, claim.path, claim.link) for claim in winners.values()),
        distributions,
        bytecode,
        taken=winners,
    )
    records = _records(claims, winners, distributions, sites, compiled)
    taken = reserved.union(record.path for record in records)
    _check(winners, folders, distributions, taken)
    return Plan(
        folders=tuple(folders),
        links=_group(claim for claim in winners.values() if not claim.late),
        late_links=_group(claim for claim in winners.values() if claim.late),
        files=tuple(one.file for one in winners.values() if one.file is not None),
        scripts=tuple(one.script for one in winners.values() if one.script),
        records=records,
        conflicts=conflicts,
        distributions=tuple(installed),
        wheels=tuple(_wheels(winners.values(), distributions)),
        bytecode=compiled.planned if compiled else None,
    )


def _wheels(
    winners: Iterable[_Claim], distributions: Sequence[Provided]
) -> Iterator[PlannedWheel]:
    """Give the wheels, each with the files that no link brings."""
    linked: dict[int, set[tuple[str, str]]] = {}
    for claim in winners:
        if claim.link is not None:
            source, link = claim.link
            linked.setdefault(claim.owner, set()).add((source, link.source))
    for owner, one in enumerate(distributions):
        if one.wheel is None:
            continue
        brought = linked.get(owner, set())
        tree = str(one.wheel.tree)
        rest = []
        for file in one.wheel.manifest.files:
            folder, _, name = file.path.rpartition("/")
            if (f"{tree}/{folder}" if folder else tree, name) not in brought:
                rest.append(file)
        yield PlannedWheel(
            key=one.wheel.key,
            filename=one.wheel.manifest.filename,
            root=str(one.wheel.root),
            shared=one.shared,
            rest=tuple(rest),
        )


def _site(one: Provided, scheme: Scheme) -> str:
    pure = one.facts is None or one.facts.root_is_purelib
    return scheme.purelib if pure else scheme.platlib


def _installed(one: Provided, site: str) -> Installed:
    wheel = one.wheel
    return Installed(
        name=one.name,
        version=one.version,
        wheel=wheel.key if wheel else None,
        filename=wheel.manifest.filename if wheel else None,
        shared=one.shared and wheel is not None,
        dist_info=f"{site}/{one.dist_info}",
    )


def _claims_of(owner: int, one: Provided, scheme: Scheme, site: str) -> list[_Claim]:
    claims: list[_Claim] = []
    if one.wheel is not None and one.facts is not None:
        laid_out = layout_wheel(one.wheel.manifest, one.facts, scheme)
        claims += _wheel_claims(owner, one, one.wheel, laid_out)
    claims += [_file_claim(owner, PlannedFile(*lifted)) for lifted in one.lifted]
    claims += [_script_claim(owner, script) for script in one.scripts]
    folder = f"{site}/{one.dist_info}"
    written = {"INSTALLER": f"{one.installer}\n".encode()}
    if one.requested:
        written["REQUESTED"] = b""
    if one.direct_url is not None:
        written["direct_url.json"] = one.direct_url
    claims += [
        _file_claim(owner, PlannedFile(f"{folder}/{name}", content, False))
        for name, content in written.items()
    ]
    # A wheel that ships what the installer writes (or an entry point under the name
    # of a script it also has) has to yield: the last claim of one owner stands.
    return list({claim.path: claim for claim in claims}.values())


def _wheel_claims(
    owner: int, one: Provided, wheel: StoredWheel, laid_out: WheelLayout
) -> list[_Claim]:
    tree = str(wheel.tree)
    claims = []
    for row in laid_out.rows:
        file = row.file
        if row.how is Placing.DROPPED:
            continue
        if row.how is Placing.REWRITE:
            script = PlannedScript(row.target, *laid_out.rewritten[row.source])
            claims.append(_script_claim(owner, script))
            continue
        folder, _, name = row.source.rpartition("/")
        link = FileLink(
            source=name,
            target=row.target.rpartition("/")[2],
            size=file.size,
            mode=file.mode,
            mtime_ns=file.mtime_ns,
            private=not one.shared or row.how is not Placing.LINK,
            executable=row.executable,
            sha256=file.sha256,
            xxh3=file.xxh3,
        )
        source = f"{tree}/{folder}" if folder else tree
        claims.append(
            _Claim(
                owner,
                row.target,
                file.sha256,
                file.size,
                link=(source, link),
                late=row.is_pth,
            )
        )
    return claims


def _file_claim(owner: int, file: PlannedFile) -> _Claim:
    digest = digest_bytes(file.content)
    return _Claim(owner, file.path, digest.sha256, digest.size, file=file)


def _script_claim(owner: int, script: PlannedScript) -> _Claim:
    # The digest only tells equal scripts from others; RECORD gets the real one.
    digest = digest_bytes(script.arguments + b"\n" + script.body)
    return _Claim(owner, script.path, digest.sha256, -1, script=script)


def _resolved(claims: list[_Claim], aliases: Mapping[str, str]) -> list[_Claim]:
    """Return claims with a folder's real name where they have an alias of it.

    Files of the data scheme may go to ``lib64``, which is a link.
    """
    resolved = []
    for claim in claims:
        top, slash, below = claim.path.partition("/")
        if slash and top in aliases:
            path = f"{aliases[top]}/{below}"
            script = claim.script and claim.script._replace(path=path)
            file = claim.file and claim.file._replace(path=path)
            resolved.append(claim._replace(path=path, script=script, file=file))
        else:
            resolved.append(claim)
    return resolved


def _settle(
    claims: Iterable[_Claim], distributions: Sequence[Provided]
) -> tuple[dict[str, _Claim], tuple[Conflict, ...]]:
    """Return who gets each path, and where others wished for something else."""
    winners: dict[str, _Claim] = {}
    contested: dict[str, list[_Claim]] = {}
    for claim in claims:
        other = winners.get(claim.path)
        if other is not None and other.sha256 != claim.sha256:
            contested.setdefault(claim.path, [other]).append(claim)
        if other is None or other.sha256 != claim.sha256:
            # The winner is linked where its last owner stands in the order.
            winners.pop(claim.path, None)
            winners[claim.path] = claim
    conflicts = [
        Conflict(
            path,
            distributions[those[-1].owner].name,
            tuple(
                dict.fromkeys(distributions[claim.owner].name for claim in those[:-1])
            ),
        )
        for path, those in sorted(contested.items())
    ]
    return winners, tuple(conflicts)


def _check(
    winners: dict[str, _Claim],
    folders: Container[str],
    distributions: Sequence[Provided],
    reserved: frozenset[str],
) -> None:
    problems: list[MvenvError] = []
    for path, claim in winners.items():
        name = distributions[claim.owner].name
        if path in reserved or path.split("/", 1)[0] == FOLDER:
            problems.append(
                PlanConflict(
                    f"`{name}` ships `{path}`, which is part of the environment itself"
                )
            )
        elif path in folders:
            problems.append(
                PlanConflict(
                    f"`{name}` ships the file `{path}`, which is a folder of another"
                    " distribution"
                )
            )
    if problems:
        raise SeveralErrors.unless_one(problems)


def _parents(paths: Iterable[str]) -> dict[str, None]:
    """Return every folder above ``paths``, parents first in each chain."""
    known: dict[str, None] = {}
    for nearest in dict.fromkeys([path.rpartition("/")[0] for path in paths]):
        folder = nearest
        missing = []
        while folder and folder not in known:
            missing.append(folder)
            folder = folder.rpartition("/")[0]
        known.update(dict.fromkeys(reversed(missing)))
    return known


def _group(claims: Iterable[_Claim]) -> tuple[FolderLinks, ...]:
    """Return links by the folder they come from and the folder they go to."""
    groups: dict[tuple[str, str], list[FileLink]] = {}
    for claim in claims:
        if claim.link is not None:
            source, link = claim.link
            target = claim.path.rpartition("/")[0]
            groups.setdefault((source, target), []).append(link)
    return tuple(
        FolderLinks(source, target, tuple(files))
        for (source, target), files in groups.items()
    )


def _records(
    claims: Iterable[_Claim],
    winners: dict[str, _Claim],
    distributions: Sequence[Provided],
    sites: Sequence[str],
    compiled: CompiledFiles | None,
) -> tuple[PlannedRecord, ...]:
    """Return a RECORD for each distribution: true for what will really be there.

    A path that another distribution won is listed with the bytes that stand there.
    """
    rows: list[list[str]] = [[] for _ in distributions]
    scripts: list[list[str]] = [[] for _ in distributions]
    for claim in claims:
        winner = winners[claim.path]
        if winner.script is not None:
            scripts[claim.owner].append(claim.path)
        else:
            site = sites[claim.owner]
            row = record_row(claim.path, winner.sha256, winner.size, site)
            rows[claim.owner].append(row)
    for owner, path, sha256, size in compiled.rows if compiled else ():
        rows[owner].append(record_row(path, sha256, size, sites[owner]))
    records = []
    for owner, one in enumerate(distributions):
        site = sites[owner]
        folder = f"{site}/{one.dist_info}"
        own = record_row(f"{folder}/RECORD", None, None, site)
        records.append(
            PlannedRecord(
                f"{folder}/RECORD",
                site,
                "".join([*rows[owner], own]),
                tuple(scripts[owner]),
            )
        )
    return tuple(records)
