"""Which files of a wheel every environment gets for itself, never a link.

A link that is written through changes every environment. The seal stops honest
writers; these files are those that people and tools do write to, or copy with their
mode, so a link would harm or hinder them. Each rule says why.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import NamedTuple

__all__ = [
    "KNOWN_WRITERS",
    "SMALL_SCRIPT",
    "SMALL_TEXT",
    "KnownWriter",
    "in_template_folder",
    "is_private_data",
    "is_private_metadata",
    "is_site_hook",
    "known_patterns",
    "matches_known",
]

SMALL_TEXT = 1 << 16
"""Bytes of a text file below ``share/`` that people edit: Jupyter writes its JSON
settings and kernels there. Larger ones are data."""
SMALL_SCRIPT = 1 << 16
"""Bytes of a file in the scripts folder that people edit. Larger ones are programs
(linters and compilers of tens of megabytes), and are linked."""
_TEXT_SUFFIXES = (
    ".cfg",
    ".conf",
    ".css",
    ".desktop",
    ".html",
    ".ini",
    ".json",
    ".md",
    ".properties",
    ".py",
    ".rst",
    ".service",
    ".sh",
    ".toml",
    ".txt",
    ".xml",
    ".yaml",
    ".yml",
)
_TEMPLATE = re.compile(r"(?:^|/)(?:templates|[^/]*_templates?|skeletons?)(?:/|$)")
"""Folders that tools copy into projects, with modes: ``alembic init``, ``django-admin
startproject`` leave read-only files behind if these are sealed."""
_WRITTEN_BY_INSTALLERS = frozenset({"INSTALLER", "REQUESTED", "direct_url.json"})
_HOOKS = frozenset({"sitecustomize.py", "usercustomize.py"})


class KnownWriter(NamedTuple):
    """A file that is known to be written to where it is installed."""

    distribution: str
    """Normalised name."""
    pattern: str
    """Path below the top of the wheel, as `fnmatch` has it."""
    reason: str


KNOWN_WRITERS: tuple[KnownWriter, ...] = (
    KnownWriter(
        "certifi",
        "certifi/cacert.pem",
        "companies append their own certificate authority by hand (pip#4197)",
    ),
    KnownWriter(
        "pip",
        "pip/_vendor/certifi/cacert.pem",
        "as certifi's, for an index behind a company's proxy",
    ),
    KnownWriter(
        "requests",
        "requests/cacert.pem",
        "as certifi's; shipped by versions before 2.16 (pip#4197)",
    ),
    KnownWriter(
        "httplib2",
        "httplib2/cacerts.txt",
        "as certifi's (pip#4197)",
    ),
    KnownWriter(
        "botocore",
        "botocore/cacert.pem",
        "as certifi's",
    ),
    KnownWriter(
        "matplotlib",
        "matplotlib/mpl-data/matplotlibrc",
        "users edit it in place, as its own first lines once advised",
    ),
    KnownWriter(
        "transformers",
        "transformers-*.dist-info/METADATA",
        "installers of other projects relax its requirements in place (unsloth's"
        " patch_metadata.py, LMCache#3093)",
    ),
    KnownWriter(
        "vllm",
        "vllm-*.dist-info/METADATA",
        "as transformers' (LMCache#3100)",
    ),
    KnownWriter(
        "chromedriver-binary",
        "chromedriver_binary/*",
        "its driver is replaced in the package's folder (chromedriver-binary#9)",
    ),
    KnownWriter(
        "undetected-chromedriver",
        "undetected_chromedriver/*",
        "it patches a driver that lies beside it",
    ),
)


def known_patterns(distribution: str) -> tuple[str, ...]:
    """Return the patterns of `KNOWN_WRITERS` for one distribution."""
    return tuple(
        known.pattern for known in KNOWN_WRITERS if known.distribution == distribution
    )


def matches_known(path: str, patterns: tuple[str, ...]) -> bool:
    """Return whether one of the patterns is that of ``path``."""
    return any(fnmatchcase(path, pattern) for pattern in patterns)


def in_template_folder(folder: str) -> bool:
    """Return whether tools copy what is in ``folder`` into projects."""
    return _TEMPLATE.search(folder) is not None


def is_private_data(path: str, size: int) -> bool:
    """Return whether a file of the data scheme is one that people edit.

    ``path`` is below the environment. All of ``etc/``; small text of ``share/``.
    """
    if path.startswith("etc/"):
        return True
    return (
        path.startswith("share/")
        and size <= SMALL_TEXT
        and path.lower().endswith(_TEXT_SUFFIXES)
    )


def is_private_metadata(name: str) -> bool:
    """Return whether installers write a file of this name into the dist-info."""
    return name in _WRITTEN_BY_INSTALLERS


def is_site_hook(name: str) -> bool:
    """Return whether a name at the top of site-packages is run at every start.

    People add lines to ``.pth`` files and to sitecustomize, and several
    distributions ship files of these names.
    """
    return name.endswith(".pth") or name in _HOOKS
