"""Headers end where e-mail's parser says they do, readme or not."""

from __future__ import annotations

from email.parser import HeaderParser

from hypothesis import given
from hypothesis import strategies as st

from mvenv.wheels.metadata import parse_headers

_PIECES = st.sampled_from(
    [
        "Name: x",
        "Version:1",
        " more",
        "\t",
        "\n",
        "\r\n",
        "\r",
        "no header",
        ": ",
        " \n",
    ]
)


@given(st.lists(_PIECES, max_size=14).map("".join))
def test_headers_are_those_of_the_whole_file(text: str) -> None:
    """Leaving the readme out changes nothing, whatever ends the lines."""
    whole: dict[str, str] = {}
    for key, value in HeaderParser().parsestr(text).items():
        whole.setdefault(key.lower(), str(value).strip())

    assert whole == parse_headers(text.encode(), "METADATA")
