"""Names of projects as the index has them (PEP 503), without the price of `re`."""

from __future__ import annotations

__all__ = ["normalized", "project_of"]


def normalized(name: str) -> str:
    """Return a project's name as PEP 503 has it."""
    text = name.lower().replace("_", "-").replace(".", "-")
    while "--" in text:
        text = text.replace("--", "-")
    return text


def project_of(filename: str) -> str:
    """Return the project that a wheel or a folder of metadata is of, by its name.

    What is before the first hyphen ("Binary distribution format", "Recording installed
    projects"), normalised.
    """
    return normalized(filename.partition("-")[0])
