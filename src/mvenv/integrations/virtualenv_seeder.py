"""The seeder for virtualenv: entry point ``mvenv`` of the group ``virtualenv.seed``.

virtualenv imports the seeders of all who are installed, for every environment that
anybody makes with it; so this module has nothing but what virtualenv has anyway.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from virtualenv.seed.embed.base_embed import BaseEmbed
from virtualenv.seed.embed.via_app_data.via_app_data import FromAppData

if TYPE_CHECKING:
    from virtualenv.config.cli.parser import VirtualEnvOptions
    from virtualenv.create.creator import Creator
    from virtualenv.seed.wheels.util import Wheel

__all__ = ["MvenvSeeder"]

LOGGER = logging.getLogger(__name__)


class MvenvSeeder(FromAppData):
    """Seeds as virtualenv's own seeder does, with links from mvenv's store.

    The same options, the same wheels. Where mvenv cannot, for whatever reason, it says
    so in one line, and virtualenv's own seeder does it.
    """

    def __init__(self, options: VirtualEnvOptions) -> None:
        super().__init__(options)
        self._found: dict[str, Wheel] | None = None

    def __repr__(self) -> str:
        if self.symlinks:
            return super().__repr__()
        told = BaseEmbed.__repr__(self)
        return f"{told[:-1]}, via=mvenv, app_data_dir={self.app_data}{told[-1]}"

    def run(self, creator: Creator) -> None:
        """Seed an environment; what virtualenv's own raises, this raises."""
        if not self.enabled:
            return
        # Who asks for symbolic links to virtualenv's folder gets them.
        if self.symlinks or os.name != "posix":
            super().run(creator)
            return
        with self._get_seed_wheels(creator) as found:
            try:
                self._seed(creator, found)
            # A store, a disk, another's interpreter: nothing of ours may break a tool.
            except Exception as error:
                LOGGER.warning("seeding without mvenv: %s", _said(error))
                LOGGER.debug("what came between", exc_info=True)
                self._found = found
                super().run(creator)

    @contextlib.contextmanager
    def _get_seed_wheels(self, creator: Creator) -> Iterator[dict[str, Wheel]]:
        """Give the wheels to seed; those that were found already, as they are."""
        if self._found is not None:
            yield self._found
            return
        with super()._get_seed_wheels(creator) as found:
            yield found

    def _seed(self, creator: Creator, found: dict[str, Wheel]) -> None:
        from mvenv.integrations.seeding import Seeding, seed

        seeding = Seeding(
            environment=str(creator.dest),
            purelib=str(creator.purelib),
            platlib=str(creator.platlib),
            scripts=str(creator.script_dir),
            python=str(creator.exe),
            interpreter=str(creator.interpreter.system_executable),
            wheels=tuple(str(found[name].path) for name in sorted(found)),
        )
        seeded = seed(seeding, self.env)
        LOGGER.debug("seeded %s with mvenv: %s", seeding.environment, seeded)


def _said(error: Exception) -> str:
    """Return what went wrong, in one line."""
    told = [str(one) for one in getattr(error, "errors", (error,))]
    return " ".join("; ".join(told).split()) or type(error).__name__
