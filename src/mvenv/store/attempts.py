"""Work with stored wheels, begun again where they turn out to be changed."""

from __future__ import annotations

from mvenv.errors import StoreError
from mvenv.progress import Reporter
from mvenv.store.entries import StaleWheels, WheelStore
from mvenv.store.layout import store_key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    _Made = TypeVar("_Made")

__all__ = ["until_sound"]

_ATTEMPTS = 3
"""Damaged wheels are fetched anew; who damages them again and again must stop."""


def until_sound(
    attempt: Callable[[], _Made], store: WheelStore, reporter: Reporter
) -> _Made:
    """Return what ``attempt`` makes, again as long as it raises `StaleWheels`.

    Those wheels are made right in between, or taken out so that they are fetched
    anew. `StoreError` where they are changed again and again.
    """
    for _ in range(_ATTEMPTS):
        try:
            return attempt()
        except StaleWheels as stale:
            _mend(stale, store, reporter)
    raise StoreError(
        f"wheels in the store `{store.layout.root}` are changed again and again",
        hint="find out who writes to it, or choose another with `--store`",
    )


def _mend(stale: StaleWheels, store: WheelStore, reporter: Reporter) -> None:
    """Make damaged wheels right, or take them out so that they are fetched anew."""
    for key in sorted(stale.keys):
        mending = store.mend(store_key(key))
        if mending.usable:
            continue
        changed = ", ".join(mending.changed[:3]) or "its manifest"
        where = (
            f"; what was changed is kept in `{mending.kept}`" if mending.kept else ""
        )
        reporter.warn(
            f"a stored wheel had been changed ({changed}) and was not used{where}."
            " Other environments that share these files have the change too"
        )
