"""What ``venv_params`` of a nox session say to the backend."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mvenv.errors import UsageError

__all__ = ["read_parameters"]

_PARAMETERS = {
    "--system-site-packages": "system_site_packages",
    "--copies": "copies",
    "--always-copy": "copies",
    "--seed": "seed",
}


def read_parameters(parameters: Iterable[str]) -> dict[str, Any]:
    """Return the parameters by the names that they have in a request.

    `UsageError` where one is not understood.
    """
    chosen: dict[str, Any] = dict.fromkeys(_PARAMETERS.values(), False)
    chosen["prompt"] = None
    rest = iter(parameters)
    for word in rest:
        option, equals, value = word.partition("=")
        if word in _PARAMETERS:
            chosen[_PARAMETERS[word]] = True
        elif option == "--prompt":
            chosen["prompt"] = value if equals else next(rest, None)
        else:
            raise UsageError(
                f"the backend mvenv does not know `{word}` of venv_params; it knows"
                f" {', '.join([*_PARAMETERS, '--prompt'])}"
            )
    return chosen
