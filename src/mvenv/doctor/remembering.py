"""What a look leaves behind for the next: no heals, only what was learned."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable
from pathlib import Path

from mvenv.diagnose.model import Examination, Finding
from mvenv.diagnose.scrub import save_scrub
from mvenv.diagnose.stamps import load_stamps, save_stamps
from mvenv.diagnose.store import writable_fault
from mvenv.diagnose.subject import Subject
from mvenv.env.receipt import FOLDER, read_receipt, write_receipt
from mvenv.errors import Busy
from mvenv.locking import lock_folder
from mvenv.store.layout import StoreLayout
from mvenv.store.registry import mark_absent, mark_seen
from mvenv.store.seen import put_down
from mvenv.values import replace

__all__ = ["remember"]

_PATIENCE = 1.0
"""Seconds: nothing is lost where an environment is busy."""


def remember(
    layout: StoreLayout,
    looks: Iterable[tuple[Subject, Examination]],
    findings: Collection[Finding],
    unseen: Iterable[tuple[Path, tuple[str, ...]]],
) -> None:
    """Put down dates of touched files, how far the scrub came, who was seen or not.

    And what stored wheels have, which were looked at by way of an environment. Where
    that fails, the next look does the same work again.
    """
    if writable_fault(layout) is None:
        for root, paths in unseen:
            put_down(root, paths)
    wrong = {one.where for one in findings if not one.drift}
    for subject, examination in looks:
        with contextlib.suppress(OSError, Busy):
            if subject.root is not None:
                mark_seen(layout, subject.root.id)
            if not os.path.islink(subject.place / FOLDER):
                _put_down(subject, examination)
                if subject.unflushed and subject.place not in wrong:
                    _put_down_flushed(subject)
    for finding in findings:
        if finding.code == "F35" and finding.path is not None:
            with contextlib.suppress(OSError):
                mark_absent(layout, finding.path.rpartition("/")[2])


def _put_down_flushed(subject: Subject) -> None:
    """Note that its private files are on the disk: this machine has read them there."""
    with lock_folder(subject.place, exclusive=True, patience=_PATIENCE):
        receipt = read_receipt(subject.place)
        if receipt is not None and receipt == subject.receipt:
            write_receipt(subject.place, replace(receipt, flushed=True))


def _put_down(subject: Subject, examination: Examination) -> None:
    if not (examination.touched or examination.scrubbed):
        return
    with lock_folder(subject.place, exclusive=True, patience=_PATIENCE):
        if examination.touched:
            known = load_stamps(subject.place)
            save_stamps(subject.place, known, examination.touched)
        if examination.scrubbed is not None:
            save_scrub(subject.place, examination.scrubbed)
