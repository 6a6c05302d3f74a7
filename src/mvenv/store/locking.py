"""Who uses a store, and who deletes from it: not at the same time."""

from __future__ import annotations

import contextlib

from mvenv.locking import PATIENCE, lock_folder
from mvenv.store.layout import StoreLayout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["alone", "using"]


@contextlib.contextmanager
def using(layout: StoreLayout, *, patience: float = PATIENCE) -> Iterator[None]:
    """Keep wheels from being taken out, from the first look at them until linked."""
    with lock_folder(layout.root_text, exclusive=False, patience=patience):
        yield


@contextlib.contextmanager
def alone(layout: StoreLayout, *, patience: float = PATIENCE) -> Iterator[None]:
    """Take wheels out while nobody is about to link them; only for renames."""
    with lock_folder(layout.root, exclusive=True, patience=patience):
        yield
