"""Work that is shared out: the same results, whatever becomes of the processes.

Each case runs in an interpreter of its own: nothing is forked where threads are, and
the runner of these tests has some.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import mvenv
from mvenv.workers import at_once, processors

SOURCES = Path(mvenv.__file__).parents[1]
TWO = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="forks on Linux only"
)
BEGIN = """\
import os, signal, sys, threading, time
sys.path.insert(0, sys.argv[1])
os.sched_getaffinity = lambda _process: {0, 1}
from mvenv.workers import at_once, processors
here = os.getpid()
"""


def outcome(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", BEGIN + program, str(SOURCES)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@TWO
def test_parts_are_done_in_other_processes_and_come_in_their_order() -> None:
    program = """
found = at_once(lambda part: (part, os.getpid() == here), [1, 2, 3])
print(found, processors())
"""

    assert outcome(program) == "[(1, True), (2, False), (3, False)] 2"


@TWO
def test_large_results_come_whole() -> None:
    program = """
found = at_once(lambda part: bytes([part]) * 10_000_000, [1, 2])
print([len(one) for one in found], found[1][-1])
"""

    assert outcome(program) == "[10000000, 10000000] 2"


@TWO
@pytest.mark.parametrize(
    "fails",
    [
        "os.kill(os.getpid(), signal.SIGKILL)",
        "raise ValueError",
        "sys.exit(0)",
        "return object()",
    ],
)
def test_what_fails_elsewhere_is_done_here(fails: str) -> None:
    program = f"""
def work(part):
    if os.getpid() != here:
        {fails}
    return part, os.getpid() == here
print(at_once(work, [1, 2]))
"""

    assert outcome(program) == "[(1, True), (2, True)]"


@TWO
def test_an_error_here_leaves_no_process_behind() -> None:
    program = """
def work(part):
    if os.getpid() == here:
        raise ValueError
    time.sleep(600)
try:
    at_once(work, [1, 2])
except ValueError:
    try:
        os.waitpid(-1, 0)
    except ChildProcessError:
        print("alone", sorted(os.listdir("/proc/self/fd"))[:3])
"""

    assert outcome(program) == "alone ['0', '1', '2']"


@TWO
def test_nothing_is_forked_beside_a_thread() -> None:
    program = """
ended = threading.Event()
other = threading.Thread(target=ended.wait)
other.start()
print(processors(), at_once(lambda part: os.getpid() == here, [1, 2]))
ended.set()
"""

    assert outcome(program) == "1 [True, True]"


@TWO
def test_a_worker_ends_with_who_started_it_at_once() -> None:
    """By the kernel, while it is at something that takes long."""
    program = """
ours, theirs = os.pipe()
process = os.fork()
if not process:
    here = os.getpid()
    os.close(ours)
    def work(part):
        if os.getpid() != here:
            os.write(theirs, b"!")
        time.sleep(600)
    at_once(work, [1, 2])
os.close(theirs)
os.read(ours, 1)
os.kill(process, signal.SIGKILL)
os.waitpid(process, 0)
print(os.read(ours, 1))
"""

    assert outcome(program) == "b''"


@TWO
def test_nothing_is_forked_where_its_end_is_not_told() -> None:
    program = """
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
print(processors(), at_once(lambda part: os.getpid() == here, [1, 2]))
"""

    assert outcome(program) == "1 [True, True]"


@TWO
def test_a_worker_has_none_of_our_handlers() -> None:
    """What they clean up is the parent's; what it ignores stays ignored."""
    program = """
signal.signal(signal.SIGTERM, lambda *_: print("handled", flush=True))
signal.signal(signal.SIGHUP, signal.SIG_IGN)
def work(part):
    if os.getpid() != here:
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1)
    return os.getpid() == here
print(at_once(work, [1, 2]))
"""

    assert outcome(program) == "[True, True]"


@TWO
def test_a_signal_at_a_fork_loses_no_process() -> None:
    program = """
class Stopped(BaseException):
    pass
def stop(number, frame):
    raise Stopped
signal.signal(signal.SIGTERM, stop)
really = os.fork
def fork():
    child = really()
    # Before anybody has put down that there is a child, in both of them.
    os.kill(os.getpid(), signal.SIGTERM)
    for _ in range(100):
        pass
    return child
os.fork = fork
def work(part):
    time.sleep(600 if os.getpid() != here else 0)
try:
    at_once(work, [1, 2, 3])
except Stopped:
    assert os.getpid() == here
    try:
        os.waitpid(-1, 0)
    except ChildProcessError:
        print("alone", sorted(os.listdir("/proc/self/fd"))[:3])
"""

    assert outcome(program) == "alone ['0', '1', '2']"


def test_no_part_and_one_part() -> None:
    assert at_once(lambda part: part, list[int]()) == []
    assert at_once(lambda part: part, [1]) == [1]
    assert processors() >= 1


@TWO
def test_a_guest_forks_nothing() -> None:
    program = """
from mvenv.workers import detach, one_process
with one_process():
    with one_process():
        pass
    found = at_once(lambda part: os.getpid() == here, [1, 2])
    print(found, processors(), detach(lambda: None, keep=2))
print(processors())
"""

    assert outcome(program) == "[True, True] 1 False\n2"


@TWO
def test_what_a_flush_was_told_is_not_lost(tmp_path: Path) -> None:
    program = f"""
from mvenv.errors import SystemFault
from mvenv.store.durability import Flushing
for begin in (lambda _: "", lambda _: "the disk is broken", lambda _: os._exit(1)):
    Flushing._begin = begin
    with Flushing({str(tmp_path)!r}) as flushing:
        try:
            flushing.finish()
            print("fine")
        except SystemFault as error:
            print(error.message.split()[-1])
"""

    assert outcome(program) == "fine\nbroken\nlost"
