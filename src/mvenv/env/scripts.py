"""Scripts that an environment's interpreter runs: shebangs and launchers.

The rules are those of pip 26.3 and its distlib: the interpreter directly after
``#!`` where the kernel can take it, else a first line for ``/bin/sh`` that Python
takes for a string. Where pip's own line would break (a ``$`` in a path with spaces,
bytes that are not UTF-8), ours differs so that it works.
"""

from __future__ import annotations

import os
import sys

__all__ = ["compose_script", "shebang"]

_MAX_SHEBANG = 512 if sys.platform == "darwin" else 127
"""Bytes of a shebang with ``#!`` and newline that every kernel in use takes whole."""
_NOT_DIRECT = frozenset(b" \t\r\n")
_NOT_QUOTABLE = rb"""[\x00-\x1f\x7f"'$`\\]"""
"""What double quotes of a shell, or Python's string around them, would not keep."""
_NEEDS_QUOTES = rb"[^A-Za-z0-9_@%+=:,./~\x80-\xff-]"
_OCTAL_SAFE = rb"[A-Za-z0-9_/.-]"
_CODING = rb"[ \t\f]*#.*?coding[:=][ \t]*([-_.a-zA-Z0-9]+)"
"""PEP 263."""


def shebang(python: str, arguments: bytes = b"") -> bytes:
    """Return the first line or lines, newline included, that run ``python``.

    ``arguments`` go to the interpreter, before the script's name.
    """
    path = os.fsencode(python)
    behind = b" " + arguments if arguments else b""
    direct = b"#!%s%s\n" % (path, behind)
    if (
        len(direct) <= _MAX_SHEBANG
        and _NOT_DIRECT.isdisjoint(path)
        and _is_utf8(direct)
    ):
        return direct
    return b"#!/bin/sh\n" + _exec_lines(path, behind)


def _exec_lines(path: bytes, arguments: bytes) -> bytes:
    """Return a command for a shell that Python takes for a string."""
    return b"'''exec' %s%s \"$0\" \"$@\"\n' '''\n" % (_quoted(path), arguments)


def _is_utf8(text: bytes) -> bool:
    # Python reads a script's first line, too, before it knows of another encoding.
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _quoted(path: bytes) -> bytes:
    # Nearly all paths can stand directly behind `#!`.
    import re

    if re.search(_NOT_QUOTABLE, path) or not _is_utf8(path):
        # Octal, since the line has to be UTF-8 for Python, and a string without
        # escapes of its own; the doubled backslash is one for either reader.
        octal = [
            bytes([byte])
            if re.match(_OCTAL_SAFE, bytes([byte]))
            else b"\\\\%03o" % byte
            for byte in path
        ]
        return b'"$(printf "%s")"' % b"".join(octal)
    return b'"%s"' % path if re.search(_NEEDS_QUOTES, path) else path


def compose_script(python: str, body: bytes, arguments: bytes = b"") -> bytes:
    """Return a whole script; keeps an encoding that ``body`` declares (PEP 263).

    Python looks for it in the first two lines, and a shebang by ``/bin/sh`` takes
    three.
    """
    first = shebang(python, arguments)
    if first.count(b"\n") == 1:
        return first + body
    import re

    line = body.partition(b"\n")[0].rstrip(b"\r")
    if not re.match(_CODING, line):
        return first + body
    head, _, command = first.partition(b"\n")
    return b"%s\n%s\n%s%s" % (head, line, command, body)
