"""What a bare environment is to be, in the words of ``venv``."""

from __future__ import annotations

import os

from mvenv.values import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mvenv.paths import StrPath
    from mvenv.surroundings import Surroundings

__all__ = ["VenvRequest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class VenvRequest:
    """What ``venv`` can be asked for, and where wheels are."""

    folder: StrPath
    start: StrPath
    """Where the user stands."""
    python: str | None
    """`None`: what runs mvenv, or the interpreter outside."""
    system_site_packages: bool
    copies: bool
    clear: bool
    upgrade: bool
    with_pip: bool
    prompt: str | None
    """``.`` is the folder that the user stands in."""
    upgrade_deps: bool
    scm_ignore: bool
    surroundings: Surroundings

    @property
    def prompt_shown(self) -> str | None:
        """Return the prompt; ``.`` is the folder one stands in, as for ``venv``."""
        return os.path.basename(self.start) if self.prompt == "." else self.prompt
