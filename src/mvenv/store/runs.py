"""The scratch folder of one run in a store, and what killed runs left behind."""

from __future__ import annotations

import contextlib
import os
from _thread import allocate_lock

from mvenv.errors import Busy, SystemFault
from mvenv.locking import lock_folder
from mvenv.records import sweep_temporaries
from mvenv.scratch import ScratchFolder, sweep_scratch
from mvenv.store.durability import boot_id
from mvenv.store.layout import StoreLayout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = [
    "RunFolder",
    "bury",
    "deleting",
    "discard",
    "is_being_deleted",
    "sweep",
    "sweep_runs",
]

_MOMENT = 1.0
"""Seconds; others hold that lock only to ask."""
_HOUR = 3600 * 10**9
"""Nanoseconds: nobody takes that long to write one record."""


class RunFolder(ScratchFolder):
    """A scratch folder inside the store, gone with the context. Safe for threads.

    `SystemFault` where the store cannot be written to.
    """

    def __init__(self, layout: StoreLayout) -> None:
        self._naming = allocate_lock()
        try:
            parent = layout.tmp_text
            super().__init__(parent, f"{boot_id() or 'boot'}.{os.getpid()}.")
        except OSError as error:
            fault = SystemFault.from_os_error(error, "cannot write to the store")
            fault.hint = "choose another store with `--store` or MVENV_STORE"
            raise fault from error

    def new_path(self) -> Path:
        """Return a path in the folder that nothing has yet."""
        with self._naming:
            return super().new_path()


@contextlib.contextmanager
def deleting(layout: StoreLayout) -> Iterator[None]:
    """Tell others that what is in the trash is not what somebody left there."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError, Busy):
            lock = lock_folder(layout.trash, exclusive=False, patience=_MOMENT)
            stack.enter_context(lock)
        yield


def is_being_deleted(layout: StoreLayout) -> bool:
    """Return whether somebody is deleting what is in the trash; writes nothing."""
    try:
        with lock_folder(layout.trash, exclusive=True, patience=0.0):
            return False
    except Busy:
        return True
    except OSError:
        return False


def bury(layout: StoreLayout, path: Path) -> Path:
    """Take a name out of the store at once, and return where it waits for deletion."""
    # Process numbers are the same in every container that uses this store.
    grave = layout.trash / f"{path.name}.{os.urandom(8).hex()}"
    os.rename(path, grave)
    return grave


def discard(layout: StoreLayout, path: Path) -> None:
    """Delete a folder of the store: renamed into the trash, then removed."""
    import shutil

    with deleting(layout):
        shutil.rmtree(bury(layout, path), ignore_errors=True)


def sweep_runs(layout: StoreLayout) -> None:
    """Delete the scratch folders of killed runs, and nothing else: one listing.

    Of this run of the machine only: others can be alive on a machine that shares the
    disk, and not the locks.
    """
    if boot := boot_id():
        sweep_scratch(layout.tmp_text, f"{boot}.")


def sweep(layout: StoreLayout) -> None:
    """Delete what killed runs left: scratch folders, trash, records without a name."""
    import shutil

    sweep_scratch(layout.tmp_text, "")
    # The folder's own time moves with each run, and is of the file system's clock.
    before = layout.tmp.stat().st_mtime_ns - _HOUR
    records = (layout.envs, layout.plans, layout.ready, layout.builds, layout.large)
    for folder in (layout.root, *records, layout.interpreters):
        sweep_temporaries(folder, before_ns=before)
    with deleting(layout):
        for name in os.listdir(layout.trash):
            shutil.rmtree(layout.trash / name, ignore_errors=True)
