"""Whether a wheel fits a target, and the sentence that says why not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from mvenv.selection.reasons import Accepted, explain

if TYPE_CHECKING:
    from packaging.utils import NormalizedName
    from packaging.version import Version

    from mvenv.target import Target

__all__ = ["Fit", "Judge"]

_NOT_WHEELS = {
    ".egg": "is an egg, a format that was given up",
    ".exe": "is a Windows installer",
    ".msi": "is a Windows installer",
    ".rpm": "is a package of a Linux system",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """How well a wheel fits."""

    rank: int
    """Of its best tag, the best is 0."""
    build: tuple[int, str] | tuple[()]
    """Its build number, of which the highest is meant."""


class Judge:
    """Tells which wheels a target accepts."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.tags = [Tag(*text.split("-", 2)) for text in target.tags]
        """The target's, best first."""
        self._ranks = {tag: rank for rank, tag in reversed(list(enumerate(self.tags)))}
        self._accepted = Accepted.of(target, self.tags)
        self._reasons: dict[str, str] = {}

    def judge(
        self, filename: str, name: NormalizedName, version: Version | None
    ) -> Fit | str:
        """Return how well the wheel fits, or why it does not."""
        if not filename.endswith(".whl"):
            end = filename[filename.rfind(".") :]
            return _NOT_WHEELS.get(end, "is neither a wheel nor an sdist")
        try:
            its_name, its_version, build, tags = parse_wheel_filename(filename)
        except InvalidWheelFilename:
            return "has a name that no wheel may have"
        if its_name != name or version not in {None, its_version}:
            return f"is a wheel of `{its_name}` {its_version}"
        ranks = [rank for tag in tags if (rank := self._ranks.get(tag)) is not None]
        if ranks:
            return Fit(rank=min(ranks), build=build)
        return self._explain(filename, tags)

    def _explain(self, filename: str, tags: Iterable[Tag]) -> str:
        # Large projects have the same few dozen tags in every release.
        key = "-".join(filename[:-4].rsplit("-", 3)[1:])
        if key not in self._reasons:
            self._reasons[key] = explain(tags, self._accepted)
        return self._reasons[key]
