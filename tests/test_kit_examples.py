"""Examples that are wrong are found to be: what runs the pages can fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.examples import is_run, needed_tools, run_example
from kit.fences import Fence, read_fences
from kit.readers import Index, Reader, make_index


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    """Return the index of a reader."""
    return make_index(tmp_path_factory.mktemp("index"))


@pytest.fixture
def reader(index: Index, tmp_path: Path) -> Reader:
    """Return a reader who has mvenv."""
    return Reader(home=tmp_path / "me", index=index)


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """Return where a page is written."""
    return tmp_path / "page.md"


def _fences(page: Path, text: str) -> list[Fence]:
    page.write_text(text, encoding="utf-8")
    return list(read_fences(page))


def _run(reader: Reader, page: Path, text: str) -> None:
    for fence in _fences(page, text):
        if is_run(fence):
            run_example(reader, fence)


RIGHT = {
    "no output shown": "```console\n$ echo one\n```\n",
    "another number": "```console\n$ echo 12 files, 3.5 kB\n1 file, 200 B\n```\n",
    "anything": "```console\n$ echo one two\none …\n$ seq 9\n…\n9\n```\n",
    "an exit code": "```console\n$ false     # exit code 1\n$ true\n```\n",
    "two lines": "```console\n$ echo \\\n> one\none\n```\n",
    "a shell goes on": (
        "```console\n$ export A=1; cd src\n```\n"
        "```console\n$ echo $A; basename $PWD\n1\nsrc\n```\n"
    ),
    "errors are no output": "```console\n$ echo no >&2; echo yes\nyes\n```\n",
    "before": "<!-- before: touch made -->\n```console\n$ ls made\nmade\n```\n",
    "fresh": (
        "```console\n$ touch made\n```\n"
        "<!-- example: fresh -->\n```console\n$ ls made # exit code 2\n```\n"
    ),
    "home": "```console\n$ echo $HOME\n/home/me\n```\n",
    "no example": "```text\nnothing\n```\n```{toctree}\nnothing\n```\n",
    "a checkout": "```console\n$ python3 dev.py test\n```\n",
    "python": "```python\nimport mvenv\n```\n",
}
WRONG = {
    "another output": "```console\n$ echo one\ntwo\n```\n",
    "less output": "```console\n$ echo one; echo two\none\n```\n",
    "more output": "```console\n$ echo one\none\ntwo\n```\n",
    "a failure": "```console\n$ false\n$ true\n```\n",
    "no such program": "```console\n$ mvenb create\n```\n",
    "no such option": "```console\n$ mvenv create --nothing\n```\n",
    "no such failure": "```console\n$ true # exit code 1\n```\n",
    "the end": "```console\n$ exit 0\n$ true\n```\n",
    "no command": "```console\nnothing\n```\n",
    "before it": "<!-- before: false -->\n```console\n$ true\n```\n",
    "no language": "```\nmvenv create\n```\n",
    "toml": "```toml\n[project]\nname = 'twice'\n```\n",
    "a file without a name": "```yaml\na: 1\n```\n",
    "another language": "```powershell\nmvenv create\n```\n",
    "no such step": "```console\n$ python3 dev.py nothing\n```\n",
    "no such benchmark option": (
        "```console\n$ python benchmarks/run.py --nothing\n```\n"
    ),
    "python": "```python\nimport mvenv.nothing\n```\n",
}
WRONG_FOR_TOOLS = {
    "tox": "```ini\n[testenv]\ndeps = no-such-thing\n```\n",
    "not our tox": "```ini\n[testenv]\nrunner = virtualenv\n```\n",
    "nox": "```python\n@nox.session\ndef a(session):\n    nothing\n```\n",
    "virtualenv": "```ini\n[virtualenv]\nseeder = nothing\n```\n",
}


@pytest.mark.parametrize("text", RIGHT.values(), ids=list(RIGHT))
def test_what_is_right_passes(reader: Reader, page: Path, text: str) -> None:
    _run(reader, page, text)


@pytest.mark.parametrize("text", WRONG.values(), ids=list(WRONG))
def test_what_is_wrong_fails(reader: Reader, page: Path, text: str) -> None:
    with pytest.raises((AssertionError, ValueError)):
        _run(reader, page, text)


@pytest.mark.slow
@pytest.mark.parametrize("text", WRONG_FOR_TOOLS.values(), ids=list(WRONG_FOR_TOOLS))
def test_what_is_wrong_for_tools_fails(reader: Reader, page: Path, text: str) -> None:
    with pytest.raises(AssertionError):
        _run(reader, page, text)


@pytest.mark.parametrize(
    "text",
    [
        "```console\n$ true\n",
        "<!-- example: nothing -->\n```console\n$ true\n```\n",
        "<!-- example: fresh -->\nWords.\n",
    ],
)
def test_what_is_not_clear_is_an_error(page: Path, text: str) -> None:
    with pytest.raises(ValueError, match=r"page\.md:"):
        _fences(page, text)


def test_programs_of_the_real_index_are_seen(page: Path) -> None:
    text = "```console\n$ A=1 poetry run x | (pdm y) # hatch\n```\n"

    (fence,) = _fences(page, text)

    assert needed_tools(fence) == {"poetry", "pdm"}


_WORKFLOW = """\
```yaml
# .github/workflows/test.yml
name: test
jobs:
  test:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/cache@v4
        with:
          path: store.tar
          key: ${{{{ hashFiles('poetry.lock') }}}}
      - run: {first}
      - run: mvenv create
      - run: {last}
```
"""
_IMPORT = "if [ -e store.tar ]; then mvenv store import store.tar; fi"
_EXPORT = "mvenv store export store.tar"


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ("echo", _EXPORT),
        (_IMPORT, "echo"),
        (_IMPORT, f"{_EXPORT} --env nothing"),
    ],
    ids=["never imported", "never exported", "failing"],
)
def test_a_workflow_that_does_not_use_its_cache_fails(
    reader: Reader, page: Path, first: str, last: str
) -> None:
    _run(reader, page, _WORKFLOW.format(first=_IMPORT, last=_EXPORT))

    with pytest.raises((AssertionError, KeyError)):
        _run(reader, page, _WORKFLOW.format(first=first, last=last))


_IMAGE = """\
```dockerfile
FROM python:3.12
WORKDIR /app
COPY pyproject.toml poetry.lock ./
{lines}
```
"""
_IN_ONE = (
    "ENV MVENV_STORE=/opt/mvenv\n"
    "RUN mvenv create .venv --no-root && mvenv create .venv-2 --no-root"
)
_MOUNTED = (
    "RUN --mount=type=cache,target=/var/cache/m"
    " MVENV_STORE=/var/cache/m mvenv create --link-mode {mode}"
)


@pytest.mark.parametrize(
    "lines",
    [
        _IN_ONE.replace("create .venv ", "create .venv --link-mode copy "),
        _IN_ONE.replace("/opt/mvenv", "/app/elsewhere") + " && rm -r elsewhere",
        _MOUNTED.format(mode="hardlink"),
        _MOUNTED.format(mode="copy").replace("MVENV_STORE=/var/cache/m", ""),
        f"{_IN_ONE} && false",
        f"{_IN_ONE}\nEXPOSE 80",
        f'{_IN_ONE}\nCMD [".venv/bin/nothing"]',
    ],
    ids=["copies", "no store", "linked", "store inside", "fails", "unknown", "no CMD"],
)
def test_an_image_that_is_not_as_told_fails(
    reader: Reader, page: Path, lines: str
) -> None:
    with pytest.raises(AssertionError):
        _run(reader, page, _IMAGE.format(lines=lines))


@pytest.mark.parametrize("lines", [_IN_ONE, _MOUNTED.format(mode="copy")])
def test_an_image_that_is_as_told_passes(
    reader: Reader, page: Path, lines: str
) -> None:
    _run(reader, page, _IMAGE.format(lines=lines))
