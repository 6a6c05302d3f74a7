"""Where files come from and how hard to try: values that the command line fills."""

from __future__ import annotations

from mvenv.fetch.redaction import redact_url
from mvenv.values import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

__all__ = ["DEFAULT_INDEX_URL", "FetchSettings", "IndexCredentials"]

DEFAULT_INDEX_URL = "https://pypi.org/simple/"
"""The public index: what a lockfile means when it names none."""

_POETRY_PREFIX = "POETRY_HTTP_BASIC_"
_POETRY_SUFFIXES = ("USERNAME", "PASSWORD")
_TRUE = frozenset({"1", "true", "t", "yes", "y", "on"})


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class IndexCredentials:
    """What an index that a lockfile knows by ``name`` asks for."""

    name: str
    username: str
    password: str

    def __repr__(self) -> str:
        return f"IndexCredentials(name={self.name!r})"

    def match(self, index_name: str) -> bool:
        """Tell whether they are for ``index_name``, by Poetry's rule for variables.

        Case, dots and hyphens make no difference, as in ``POETRY_HTTP_BASIC_<NAME>_…``.
        """
        return _variable_part(self.name) == _variable_part(index_name)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class FetchSettings:
    """All that decides where files are looked for. Its `repr` has no secrets."""

    index_url: str = DEFAULT_INDEX_URL
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    """Folders (paths or ``file:`` URLs), pages with links, or files."""
    trusted_hosts: tuple[str, ...] = ()
    """``host`` or ``host:port``, whose certificates are not checked."""
    offline: bool = False
    """Use no network; folders and ``file:`` URLs still serve."""
    timeout: float = 20.0
    """Seconds of silence after which a connection is given up."""
    retries: int = 4
    """How often a transient failure is tried again."""
    workers: int = 16
    """Files and pages fetched at a time."""
    ca_bundle: str | None = None
    """A file or folder of certificates to trust; `None`: the system's, or what
    ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` say (read by the HTTP library)."""
    client_cert: str | None = None
    """A PEM file with our own certificate and its key."""
    keyring: bool = False
    """Ask the keyring when an index refuses and nothing else knows a password."""
    credentials: tuple[IndexCredentials, ...] = ()

    def __repr__(self) -> str:
        return f"FetchSettings({', '.join(self.identity())})"

    def credentials_for(self, index_name: str | None) -> IndexCredentials | None:
        """Return the credentials of the index that a lockfile calls ``index_name``."""
        if index_name is None:
            return None
        return next((one for one in self.credentials if one.match(index_name)), None)

    def identity(self) -> tuple[str, ...]:
        """Return what decides which places are asked, without secrets: for keys."""
        return (
            f"index_url={redact_url(self.index_url)}",
            *(f"extra_index_url={redact_url(url)}" for url in self.extra_index_urls),
            *(f"find_links={redact_url(url)}" for url in self.find_links),
        )

    @classmethod
    def from_environment(cls, variables: Mapping[str, str]) -> Self:
        """Return what pip's and Poetry's own variables say.

        Read are ``PIP_INDEX_URL``, ``PIP_EXTRA_INDEX_URL``, ``PIP_FIND_LINKS``,
        ``PIP_TRUSTED_HOST``, ``PIP_NO_INDEX`` (as offline), ``PIP_CLIENT_CERT``,
        ``PIP_KEYRING_PROVIDER``, a bundle (``PIP_CERT``, ``REQUESTS_CA_BUNDLE``,
        ``CURL_CA_BUNDLE``), and ``POETRY_HTTP_BASIC_<NAME>_USERNAME`` with
        ``_PASSWORD``.
        """
        bundle = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
        keyring = variables.get("PIP_KEYRING_PROVIDER", "disabled").lower()
        return cls(
            index_url=variables.get("PIP_INDEX_URL") or DEFAULT_INDEX_URL,
            extra_index_urls=tuple(variables.get("PIP_EXTRA_INDEX_URL", "").split()),
            find_links=tuple(variables.get("PIP_FIND_LINKS", "").split()),
            trusted_hosts=tuple(variables.get("PIP_TRUSTED_HOST", "").split()),
            offline=variables.get("PIP_NO_INDEX", "").lower() in _TRUE,
            ca_bundle=next(filter(None, map(variables.get, bundle)), None),
            client_cert=variables.get("PIP_CLIENT_CERT") or None,
            keyring=keyring not in {"", "disabled"},
            credentials=_poetry_credentials(variables),
        )


def _poetry_credentials(variables: Mapping[str, str]) -> tuple[IndexCredentials, ...]:
    found: dict[str, dict[str, str]] = {}
    for variable, value in variables.items():
        if variable.startswith(_POETRY_PREFIX):
            name, _, part = variable.removeprefix(_POETRY_PREFIX).rpartition("_")
            if name and part in _POETRY_SUFFIXES:
                found.setdefault(name, {})[part] = value
    return tuple(
        IndexCredentials(
            name=name,
            username=parts.get("USERNAME", ""),
            password=parts.get("PASSWORD", ""),
        )
        for name, parts in sorted(found.items())
    )


def _variable_part(name: str) -> str:
    return name.replace("-", "_").replace(".", "_").upper()
