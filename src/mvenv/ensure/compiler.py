"""A script that runs inside another interpreter and compiles what it is told to.

Run as ``compiler.py JOBS``: a file with a JSON list a line, of the source, its name in
tracebacks, its sha256, the date (seconds) and the size that the bytecode is to be
valid for, and the file to make. One byte is printed for each: ``+`` made, ``-`` it is
no source for this interpreter, ``!`` the source is not what it was, ``e`` the disk
refuses (the exit status is the errno).

It must run on every CPython since 3.8.
"""

import hashlib
import importlib.util
import json
import marshal
import os
import struct
import sys
import warnings
from typing import Any

__all__ = ["compile_all"]


def _compile(source: str, name: str, sha256: str, moment: int, size: int) -> Any:
    """Return the verdict, and the content of the bytecode file (PEP 552)."""
    with open(source, "rb") as stream:
        text = stream.read()
    if hashlib.sha256(text).hexdigest() != sha256:
        return b"!", b""
    try:
        # What Python itself compares is the source's date; its name is set anew by
        # whoever imports it, so no path of ours is in it.
        code = compile(text, name, "exec", dont_inherit=True)
        body = marshal.dumps(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
        return b"-", b""
    word = 0xFFFFFFFF
    head = struct.pack("<LLL", 0, moment & word, size & word)
    return b"+", importlib.util.MAGIC_NUMBER + head + body


def compile_all(jobs: str) -> None:
    """Do all jobs in the file ``jobs``, in their order."""
    warnings.simplefilter("ignore")
    with open(jobs, encoding="utf-8", errors="surrogateescape") as stream:
        for line in stream:
            source, name, sha256, moment, size, made = json.loads(line)
            try:
                verdict, content = _compile(source, name, sha256, moment, size)
                if content:
                    with open(made, "xb") as target:
                        target.write(content)
            except OSError as error:
                os.write(1, b"e")
                sys.exit(error.errno)
            os.write(1, verdict)


if __name__ == "__main__":
    compile_all(sys.argv[1])
