"""Work that is handed to other processes, whatever becomes of them.

Each case runs in an interpreter of its own: nothing is forked where threads are, and
the runner of these tests has some.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="forks on Linux only"
)

SOURCES = Path(__file__).parents[1] / "src"
BEGIN = """\
import os, signal, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
sys.path.insert(0, sys.argv[1])
os.sched_getaffinity = lambda _process: {0, 1}
from mvenv.crew import Crew
here = os.getpid()
def nothing():
    pass
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


def test_threads_hand_out_work_and_have_each_its_own_result() -> None:
    program = """
with Crew(lambda piece: (piece * 2, os.getpid()), nothing) as crew:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(crew.ask, range(100)))
print(len(crew), [one for one, _ in found] == [2 * one for one in range(100)],
      here in {where for _, where in found})
"""

    assert outcome(program) == "0 True False"


def test_both_processes_work_at_once() -> None:
    program = """
def work(piece):
    # Each waits until the other has begun.
    os.write(piece[0], b"x")
    return os.read(piece[1], 1)
a, b = os.pipe(), os.pipe()
with Crew(work, nothing) as crew, ThreadPoolExecutor(2) as pool:
    print(len(crew), list(pool.map(crew.ask, [(a[1], b[0]), (b[1], a[0])])))
"""

    assert outcome(program) == "2 [b'x', b'x']"


def test_large_pieces_and_results_come_whole() -> None:
    program = """
with Crew(lambda piece: piece[::-1], nothing) as crew:
    sent = bytes(range(256)) * 100_000
    print(crew.ask(sent) == sent[::-1])
"""

    assert outcome(program) == "True"


@pytest.mark.parametrize("fails", ["raise ValueError", "return object()"])
def test_work_that_fails_has_no_result_and_others_go_on(fails: str) -> None:
    program = f"""
def work(piece):
    if piece == 1:
        {fails}
    return piece
with Crew(work, nothing) as crew:
    print([crew.ask(piece) for piece in [0, 1, 2, 1, 2, 1, 2]])
"""

    assert outcome(program) == "[0, None, 2, None, 2, None, 2]"


@pytest.mark.parametrize(
    "fails", ["os.kill(os.getpid(), signal.SIGKILL)", "raise KeyboardInterrupt"]
)
def test_a_lost_process_leaves_the_work_to_who_asked(fails: str) -> None:
    program = f"""
def work(piece):
    if piece == 1:
        {fails}
    return piece
with Crew(work, nothing) as crew, ThreadPoolExecutor(2) as pool:
    print([crew.ask(piece) for piece in [1, 1, 0, 0]],
          list(pool.map(crew.ask, [0, 0, 0, 0])))
"""

    assert outcome(program) == "[None, None, None, None] [None, None, None, None]"


def test_one_that_cannot_get_ready_is_a_lost_one() -> None:
    program = """
def prepare():
    raise ImportError
with Crew(lambda piece: piece, prepare) as crew:
    print([crew.ask(piece) for piece in [1, 2, 3]])
"""

    assert outcome(program) == "[None, None, None]"


def test_breaking_off_wakes_who_waits_and_leaves_nothing_behind() -> None:
    program = """
def work(piece):
    os.write(piece, b"x")
    time.sleep(600)
began, told = os.pipe()
before = sorted(os.listdir("/proc/self/fd"))
with Crew(work, nothing) as crew, ThreadPoolExecutor(2) as pool:
    jobs = [pool.submit(crew.ask, told) for _ in range(2)]
    while len(os.read(began, 1)) and not all(job.running() for job in jobs):
        pass
    crew.break_off()
    print([job.result() for job in jobs])
try:
    os.waitpid(-1, 0)
except ChildProcessError:
    print("alone", sorted(os.listdir("/proc/self/fd")) == before)
"""

    assert outcome(program) == "[None, None]\nalone True"


def test_they_are_killed_with_who_made_them() -> None:
    program = """
said, told = os.pipe()
child = os.fork()
if not child:
    os.close(said)
    def work(piece):
        os.write(told, b"x")
        time.sleep(600)
    with Crew(work, nothing) as crew:
        crew.ask(1)
os.close(told)
os.read(said, 1)
os.kill(child, signal.SIGKILL)
# The end of what only they have open.
print(os.read(said, 1))
"""

    assert outcome(program) == "b''"


def test_there_are_none_beside_a_thread() -> None:
    program = """
ended = threading.Event()
other = threading.Thread(target=ended.wait)
other.start()
with Crew(lambda piece: piece, nothing) as crew:
    print(len(crew), crew.ask(1))
ended.set()
"""

    assert outcome(program) == "0 None"
