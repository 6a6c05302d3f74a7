"""Interpreters that compile: ended, stuck, refused."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest

from mvenv.ensure import compilers
from mvenv.ensure.compilers import Job, Verdict, compile_files
from mvenv.errors import InterpreterError, SystemFault


def _job(folder: Path, name: str, text: str, sha256: str | None = None) -> Job:
    source = folder / f"{name}.py"
    source.write_text(text)
    right = hashlib.sha256(source.read_bytes()).hexdigest()
    made = str(folder / f"{name}.pyc")
    return Job(str(source), f"{name}.py", sha256 or right, 1, len(text), made)


def _script(folder: Path, text: str) -> str:
    """Return an interpreter that does what ``text`` says in place of compiling."""
    path = folder / "python"
    path.write_text(f"#!{sys.executable}\nimport json, os, signal, sys, time\n{text}")
    path.chmod(0o755)
    return str(path)


_EACH = """
for line in open(sys.argv[-1]):
    name = json.loads(line)[1]
    if name == "bad.py":
        BAD
    os.write(1, b"+")
"""


def test_verdicts_come_in_the_order_of_the_jobs(tmp_path: Path) -> None:
    jobs = [
        _job(tmp_path, "a", "a = 1\n"),
        _job(tmp_path, "b", "print 'b'\n"),
        _job(tmp_path, "c", "c = 1\n", "0" * 64),
        *(_job(tmp_path, f"d{number}", "d = 1\n" * number) for number in range(50)),
    ]
    done: list[int] = []
    for count in (1, 3):
        for one in tmp_path.glob("*.pyc"):
            one.unlink()
        verdicts = compile_files(
            sys.executable, jobs, tmp_path, count=count, done=done.append
        )
        assert verdicts[:3] == [Verdict.MADE, Verdict.NO_SOURCE, Verdict.CHANGED]
        assert verdicts[3:] == [Verdict.MADE] * 50
        assert sum(done) == len(jobs)
        done.clear()


def test_who_ends_it_is_passed_over(tmp_path: Path) -> None:
    python = _script(
        tmp_path, _EACH.replace("BAD", "os.kill(os.getpid(), signal.SIGSEGV)")
    )
    names = ["a", "bad", "c"]
    jobs = [_job(tmp_path, name, "a = 1\n") for name in names]
    verdicts = compile_files(python, jobs, tmp_path, count=1, done=lambda _: None)

    assert verdicts == [Verdict.MADE, Verdict.NO_SOURCE, Verdict.MADE]


def test_who_keeps_it_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compilers, "_PATIENCE", 1.0)
    python = _script(tmp_path, _EACH.replace("BAD", "time.sleep(600)"))
    jobs = [_job(tmp_path, name, "a = 1\n") for name in ("a", "bad", "c")]
    verdicts = compile_files(python, jobs, tmp_path, count=1, done=lambda _: None)

    assert verdicts == [Verdict.MADE, Verdict.NO_SOURCE, Verdict.MADE]


def test_one_that_always_ends_is_told(tmp_path: Path) -> None:
    python = _script(tmp_path, "sys.exit(3)")
    jobs = [_job(tmp_path, f"a{number}", "a = 1\n") for number in range(60)]
    with pytest.raises(InterpreterError, match="again and again") as caught:
        compile_files(python, jobs, tmp_path, count=2, done=lambda _: None)
    assert "--no-bytecode" in (caught.value.hint or "")


def test_one_that_is_not_there_is_told(tmp_path: Path) -> None:
    jobs = [_job(tmp_path, "a", "a = 1\n")]
    with pytest.raises(SystemFault, match="cannot compile"):
        compile_files(
            str(tmp_path / "nothing"), jobs, tmp_path, count=1, done=lambda _: None
        )


def test_a_disk_that_refuses_is_told(tmp_path: Path) -> None:
    job = _job(tmp_path, "a", "a = 1\n")
    with pytest.raises(SystemFault, match="cannot write bytecode: not a directory"):
        compile_files(
            sys.executable,
            [job._replace(made="/dev/full/a.pyc"), job],
            tmp_path,
            count=1,
            done=lambda _: None,
        )
