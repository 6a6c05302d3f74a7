"""Every example of README and the documentation is run.

A page is one reader: the examples are run in their order, in one project. Those that
need the real index or much time are run, with all before them, under these markers.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from kit.examples import is_run, is_slow, needed_tools, run_example
from kit.fences import Fence, read_fences
from kit.readers import Index, Reader, make_index

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    *sorted(
        page for page in (ROOT / "docs").rglob("*.md") if "_build" not in page.parts
    ),
]
SPECS = {
    "hatch": ["hatch"],
    "jupyter": ["jupyter_client", "nbclient"],
    # Neither resolves with the newest of these, with mvenv or without.
    "pdm": ["pdm>=2.29", "hishel<2", "unearth<0.19"],
    "poetry": ["poetry"],
    "pre-commit": ["pre-commit"],
}
"""What is installed for a program."""
WITH_BOTH = {ROOT / "docs" / "tutorial.md"}
"""Pages that are read with tiny wheels, and once more with the real index."""
NOWHERE = {
    ("docs/howto/pre-commit.md", "$ pipx inject pre-commit mvenv"),
    ("docs/virtualenv.md", "$ pipx inject poetry mvenv"),
}
"""Examples that are not run, by page and first line: installers that put mvenv from the
public index into environments of their own. The pages say so."""


def _examples(page: Path) -> list[Fence]:
    return [fence for fence in read_fences(page) if is_run(fence)]


def _markers(fence: Fence) -> frozenset[str]:
    """Return the markers that a fence's tests have."""
    marks = fence.marks & {"index", "slow"}
    marks |= {"index"} if needed_tools(fence) else set()
    return marks | {"slow"} if is_slow(fence) else marks


def _runs() -> Iterator[object]:
    """Return the tests: a page's plain examples, then these with the marked ones."""
    for page in PAGES:
        examples = [one for one in _examples(page) if "nowhere" not in one.marks]
        for marks in sorted({_markers(one) for one in examples}, key=sorted):
            name = "-".join([str(page.relative_to(ROOT)), *sorted(marks)])
            chosen = [one for one in examples if _markers(one) <= marks]
            yield pytest.param(
                chosen, id=name, marks=[getattr(pytest.mark, one) for one in marks]
            )
        if page in WITH_BOTH:
            name = f"{page.relative_to(ROOT)}-real"
            yield pytest.param(examples, id=name, marks=pytest.mark.index)


@pytest.fixture(scope="session")
def reader_index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    """Return the index that readers use."""
    return make_index(tmp_path_factory.mktemp("reader-index"))


@pytest.fixture(scope="session")
def tool(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return what installs a program from the real index, once for all workers."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def install(name: str) -> Path:
        place = shared / "tools" / name
        place.parent.mkdir(exist_ok=True)
        with FileLock(f"{place}.lock"):
            if not place.exists():
                words = [sys.executable, "-m", "venv", "--without-pip", f"{place}.new"]
                subprocess.run(words, check=True)
                pip = [sys.executable, "-m", "pip", "--python", f"{place}.new", "-q"]
                others = ("PYTHONPATH", "PYTHONHOME")  # what is there is not installed
                subprocess.run(
                    [*pip, "install", *SPECS[name]],
                    check=True,
                    capture_output=True,
                    env={k: v for k, v in os.environ.items() if k not in others},
                )
                # Programs begin with their interpreter's path, which must stay.
                place.symlink_to(f"{place}.new")
        return place / "bin" / name

    return install


@pytest.mark.parametrize("examples", [*_runs()])
def test_examples_do_what_the_page_says(
    examples: list[Fence],
    reader_index: Index,
    tool: Callable[[str], Path],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    tools = set().union(*map(needed_tools, examples))
    first = next((one.text for one in examples if one.language == "console"), "")
    reader = Reader(
        home=tmp_path / "me",
        index=reader_index,
        installed=not first.startswith("$ pip install mvenv"),
        programs={name: tool(name) for name in sorted(tools)},
        public=any("index" in one.marks for one in examples)
        or request.node.name.endswith("-real]"),
    )

    for example in examples:
        run_example(reader, example)


def test_what_is_not_run_is_known_and_its_page_says_so() -> None:
    found = {
        (str(page.relative_to(ROOT)), example.text.splitlines()[0])
        for page in PAGES
        for example in _examples(page)
        if "nowhere" in example.marks
    }

    assert found == NOWHERE
    for page, _ in found:
        assert "pipx" in (ROOT / page).read_text("utf-8").split("## What was tried")[1]
