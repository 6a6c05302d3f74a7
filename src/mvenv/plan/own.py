"""What in a plan is the environment's own, and comes of no distribution."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

from mvenv.errors import InvalidWheel
from mvenv.plan.model import Plan, PlannedFile, PlannedRecord
from mvenv.wheels.record import read_record

__all__ = ["paths_of", "with_own_files"]


def with_own_files(plan: Plan, known: Plan) -> Plan:
    """Return ``plan`` with what of ``known`` is the environment's own.

    pyvenv.cfg, and what activates it, of one that another tool made: nobody can write
    them again as they were, so its plan has them, whatever is installed in it.
    """
    own = [one for one in known.files if not _is_metadata(one)]
    if not own:
        return plan
    taken = {path for record in known.records for path in paths_of(record)}
    taken |= plan.paths()
    files = (*plan.files, *(one for one in own if one.path not in taken))
    return replace(plan, files=files)


def _is_metadata(file: PlannedFile) -> bool:
    return file.path.rpartition("/")[0].endswith(".dist-info")


def paths_of(record: PlannedRecord) -> Iterator[str]:
    """Yield the paths of a RECORD's files, below the environment."""
    yield from record.scripts
    content = record.rows.encode("utf-8", "surrogateescape")
    try:
        entries = read_record(content, "RECORD")
    except InvalidWheel:
        return
    for path in entries:
        yield os.path.normpath(f"{record.site}/{path}")
