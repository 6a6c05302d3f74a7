"""Bytecode beside its source: of another state of it, cut off, or garbled.

Only what Python made for itself, in ``__pycache__`` and with a source beside it;
that of other interpreters is judged by its header alone. What it holds is unmarshalled
by the environment's interpreter, since garbled bytecode can end a process.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Container, Iterable, Iterator

from mvenv.diagnose.model import Finding, HealClass
from mvenv.diagnose.reading import content_at, opened
from mvenv.diagnose.subject import Subject

__all__ = ["examine_bytecode"]

_NAME = re.compile(r"(?P<stem>.+?)\.(?P<tag>[a-z]+-?\d+[a-z]*)(\.opt-\w+)?\.pyc")
_HEADER = 16
"""Bytes, since Python 3.7 (PEP 552)."""
_BATCH = 1 << 18
"""Bytes of paths that are given to one run of the interpreter."""
_TRY = """
import importlib.util, marshal, os, sys
os.chdir(sys.argv[1])
for path in sys.argv[2:]:
    try:
        with open(path, "rb") as stream:
            content = stream.read()
        good = content[:4] == importlib.util.MAGIC_NUMBER
        good = good and hasattr(marshal.loads(content[16:]), "co_code")
    except Exception:
        good = False
    os.write(1, b"." if good else b"!")
"""


def examine_bytecode(
    subject: Subject, root: int, folders: Iterable[str], shipped: Container[str]
) -> Iterator[Finding]:
    """Yield what does not fit its source, in the ``__pycache__`` folders ``folders``.

    ``root`` is a descriptor of the environment's folder; ``shipped`` are the files of
    the plan, which are judged by their bytes.
    """
    tag = _own_tag(subject)
    doubtful = []
    for folder in folders:
        for path, source, of_tag in _compiled(root, folder):
            if path in shipped:
                continue
            detail = _stale(root, path, source)
            if detail is not None:
                yield subject.finding("F18", HealClass.PLAIN, detail, path)
            elif of_tag == tag:
                doubtful.append(path)
    for path in _garbled(subject, doubtful):
        detail = "is no bytecode of this interpreter"
        yield subject.finding("F18", HealClass.PLAIN, detail, path)


def _own_tag(subject: Subject) -> str | None:
    if subject.receipt is None:
        return None
    major, minor = subject.receipt.interpreter_version.split(".")[:2]
    return f"cpython-{major}{minor}"


def _compiled(root: int, folder: str) -> Iterator[tuple[str, os.stat_result, str]]:
    """Yield the bytecode whose source is there, with the source's stat and the tag."""
    above = folder.rpartition("/")[0]
    try:
        with opened(root, above) as beside, opened(root, folder) as cache:
            for name in sorted(os.listdir(cache)):
                match = _NAME.fullmatch(name)
                if match is None:
                    continue
                try:
                    source = f"{match['stem']}.py"
                    seen = os.stat(source, dir_fd=beside, follow_symlinks=False)
                except OSError:
                    continue
                if stat.S_ISREG(seen.st_mode):
                    yield f"{folder}/{name}", seen, match["tag"]
    except OSError:
        return


def _stale(root: int, path: str, source: os.stat_result) -> str | None:
    """Return why a header does not fit the source; `None` where it does."""
    folder, _, name = path.rpartition("/")
    try:
        with opened(root, folder) as cache:
            header = content_at(name, cache, _HEADER)
    except OSError as error:
        return None if isinstance(error, PermissionError) else "cannot be read"
    if len(header) < _HEADER:
        return "is cut off"
    flags = int.from_bytes(header[4:8], "little")
    if flags:
        # By hash (PEP 552): Python compares it, or was told not to.
        known = not flags & ~0b11
        return None if known else "has a header that no Python writes"
    numbers = (source.st_mtime_ns // 10**9, source.st_size)
    if header[8:] != b"".join(_word(number) for number in numbers):
        return "is of another state of its source"
    return None


def _word(number: int) -> bytes:
    return (number & 0xFFFFFFFF).to_bytes(4, "little")


def _garbled(subject: Subject, paths: list[str]) -> Iterator[str]:
    """Yield the bytecode that the environment's interpreter cannot take."""
    receipt = subject.receipt
    if receipt is None:
        return
    from mvenv.errors import InterpreterError
    from mvenv.interpreters.running import run_python

    while paths:
        batch = list(_batch(paths))
        command = ["-I", "-S", "-B", "-c", _TRY, str(subject.place), *batch]
        try:
            answer = run_python(receipt.interpreter, command)
        except InterpreterError:
            # That it does not run is a finding of its own.
            return
        verdicts = answer.output
        for path, verdict in zip(batch, verdicts, strict=False):
            if verdict == ord("!"):
                yield path
        done = len(verdicts)
        if done < len(batch):
            if answer.status >= 0:
                return
            # It ended the process.
            yield batch[done]
            done += 1
        paths = paths[done:]


def _batch(paths: list[str]) -> Iterator[str]:
    room = _BATCH
    for path in paths:
        room -= len(os.fsencode(path)) + 1
        if room < 0:
            return
        yield path
