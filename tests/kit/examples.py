"""Runs the examples of a page, one after the other, as a reader would.

Each language has its way; one without is an error, and so is a fence without a
language. Console examples run line by line: the exit code has to be 0, or what a
comment ``# exit code 1`` says, and where output is shown, that is what comes out, but
for numbers and sizes. ``…`` stands for anything, on a line of its own for any lines.
"""

from __future__ import annotations

import re
import shutil
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

from kit.fences import Fence
from kit.pipelines import run_dockerfile, run_pipeline
from kit.readers import Reader, pythons_here

__all__ = ["TOOLS", "is_run", "is_slow", "needed_tools", "run_example"]

TOOLS = ("poetry", "pdm", "hatch", "pre-commit", "jupyter", "pipx", "uv")
"""Programs that come from the real index."""
_ROOT = Path(__file__).parents[2]
_GENERATED = re.compile(r"\{(toctree|options|commands|variables|venv)\}")
_LINES = re.MULTILINE
_EXIT_CODE = re.compile(r"# exit code (\d+)$")
_YAML_FILE = re.compile(r"# (\S+\.ya?ml)\n")
_VERSION = re.compile(r"(?<=--python )3\.\d+\b")


def is_run(fence: Fence) -> bool:
    """Return whether a fence is an example."""
    return not _GENERATED.match(fence.language) and fence.language != "text"


def needed_tools(fence: Fence) -> set[str]:
    """Return the programs of `TOOLS` that a fence starts."""
    if fence.language != "console":
        return set()
    lines = " ; ".join(line for line, _ in _commands(fence))
    words = re.split(r"[\s;|&$()\"]+", re.sub(r" #.*", "", lines))
    return set(TOOLS).intersection(words)


def is_slow(fence: Fence) -> bool:
    """Return whether a fence is of tox or nox, which build packages and ask pip."""
    if fence.language in {"ini", "toml", "python"}:
        return bool(
            re.search(r"^\[tox|^\[testenv|^requires|^env_|nox", fence.text, _LINES)
        )
    words = re.findall(r"[\w-]+", re.sub(r" #.*", "", fence.text))
    return fence.language == "console" and not {"tox", "nox"}.isdisjoint(words)


def run_example(reader: Reader, fence: Fence) -> None:
    """Run one; AssertionError with the reason where it is not as the page says."""
    if fence.language not in _WAYS:
        raise AssertionError(f"{fence}: no way to run `{fence.language}`")
    if "fresh" in fence.marks:
        reader.start_afresh()
    for line in fence.before:
        code, out = reader.shell(line)
        assert code == 0, f"{fence}: before it: {line}\n{out}"
    _WAYS[fence.language](reader, fence)


# ---- console


def _commands(fence: Fence) -> Iterator[tuple[str, list[str]]]:
    """Return each command with the output that is shown."""
    command: str | None = None
    output: list[str] = []
    for line in fence.text.splitlines():
        if line.startswith(("$ ", "# ")):
            if command is not None:
                yield command, output
            command, output = line[2:], []
        elif command is None:
            raise AssertionError(f"{fence}: output before the first command: {line}")
        elif command.endswith("\\") and not output:
            command += "\n" + line.removeprefix("> ")
        else:
            output.append(line)
    assert command is not None, f"{fence}: no command"
    yield command, output


def _run_console(reader: Reader, fence: Fence) -> None:
    commands = list(_commands(fence))
    elsewhere = [_is_of_a_checkout(command) for command, _ in commands]
    if all(elsewhere):
        return
    assert not any(elsewhere), f"{fence}: what is for a checkout stands alone"
    script = "".join(
        f"printf '\\036'; printf '\\036' >&2\n{_with_pythons_here(command)}\n"
        "printf '\\037%s' $?\n"
        for command, _ in commands
    )
    _, out = reader.shell(script, apart=True)
    # Twice as many: the answers, and then what went to the other stream.
    ran = out.split("\036")[1:]
    half = len(ran) // 2
    for (command, output), one, told in zip(
        commands, ran[:half], ran[half:], strict=False
    ):
        said, _, code = one.rpartition("\037")
        expected = _EXIT_CODE.search(command)
        wanted = expected[1] if expected else "0"
        assert code == wanted, f"{fence}: $ {command}\nended with {code}:\n{said}{told}"
        if output:
            shown = reader.shown(said + (told if wanted != "0" else ""))
            assert _pattern(output).fullmatch(_plain(shown) + "\n"), (
                f"{fence}: $ {command}\nsaid:\n{shown}\nand the page:\n"
                + "\n".join(output)
            )
    assert half == len(commands), f"{fence}: the shell ended early:\n{out}"


def _with_pythons_here(command: str) -> str:
    """Return a command for this machine: it need not have the version of a page."""
    here = {one.short_version for one in pythons_here()}
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    return _VERSION.sub(lambda found: found[0] if found[0] in here else own, command)


def _plain(text: str) -> str:
    """Return text without what differs from run to run."""
    text = re.sub(r"\b[0-9a-f]{12,}\b", "H", text)
    text = re.sub(r"\d[\d,]*(?:\.\d+)*", "N", text)
    text = re.sub(r"\bN (?:B|kB|MB|GB)\b", "N B", text)
    text = re.sub(r"\bN ([a-z ]*?[a-z])s\b", r"N \1", text)
    return "\n".join(re.sub(r" +", " ", line).rstrip() for line in text.splitlines())


def _pattern(lines: list[str]) -> re.Pattern[str]:
    parts = []
    for line in _plain("\n".join(lines)).splitlines():
        if line.strip() == "…":
            parts.append(r"(?:.*\n)*")
        else:
            parts.append(re.escape(line).replace("…", ".*") + "\n")
    return re.compile("".join(parts))


def _is_of_a_checkout(command: str) -> bool:
    """Return whether a command is for a clone of mvenv; it has to be right, too.

    ``dev.py`` is run by CI itself. A benchmark takes hours: its options are looked at.
    """
    found = re.search(r"\bpython3? ((?:dev|benchmarks/\w+)\.py)(.*)", command)
    if not found:
        return False
    script, words = found.groups()
    if script == "dev.py":
        steps = (_ROOT / ".ci" / "run").read_text(encoding="utf-8")
        assert f'"$python" dev.py{words.split(" #")[0]}' in steps, command
        return True
    source = (_ROOT / script).read_text(encoding="utf-8")
    for option in re.findall(r" (--[\w-]+)", words):
        assert f'"{option}"' in source, f"{script} has no {option}"
    return True


def _run_fish(reader: Reader, fence: Fence) -> None:
    if shutil.which("fish"):
        code, out = reader.shell(fence.text, program="fish")
        assert code == 0, f"{fence}:\n{out}"


# ---- files


def _write(reader: Reader, name: str, text: str) -> Path:
    path = reader.project / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def _run_tox(reader: Reader, fence: Fence, name: str, text: str) -> None:
    """Run all environments; each has to be one of ours.

    What tox is told stays, for the console examples that follow.
    """
    for other in ("tox.ini", "tox.toml"):
        (reader.project / other).unlink(missing_ok=True)
    _write(reader, name, text)
    code, out = reader.shell("tox run --result-json tox.json")
    assert code == 0, f"{fence}:\n{out}"
    made = [path.parent for path in reader.project.glob(".tox/*/pyvenv.cfg")]
    assert made, out
    for path in made:
        assert (path / ".mvenv" / "receipt").is_file(), f"{fence}: {path.name}\n{out}"
    shutil.rmtree(reader.project / ".tox")


def _run_ini(reader: Reader, fence: Fence) -> None:
    sections = re.findall(r"^\[(.*)\]$", fence.text, re.MULTILINE)
    if sections == ["virtualenv"]:
        _write(reader, "../.config/virtualenv/virtualenv.ini", fence.text)
        code, out = reader.shell("virtualenv .ours && rm -r .ours")
        assert code == 0, f"{fence}:\n{out}"
        shutil.rmtree(reader.home / ".config")
        return
    assert sections, f"{fence}: no section"
    core = "" if "tox" in sections else "[tox]\nrequires = mvenv\n"
    _run_tox(reader, fence, "tox.ini", core + fence.text)


def _run_toml(reader: Reader, fence: Fence) -> None:
    document = tomllib.loads(fence.text)
    if "tool" in document or "project" in document or "dependency-groups" in document:
        path = reader.project / "pyproject.toml"
        path.write_text(path.read_text() + "\n" + fence.text)
        tomllib.loads(path.read_text())
    else:
        core = "" if "requires" in document else 'requires = ["mvenv"]\n'
        _run_tox(reader, fence, "tox.toml", core + fence.text)


def _run_python(reader: Reader, fence: Fence) -> None:
    if re.search(r"\bnox\.", fence.text):
        head = "" if "import nox" in fence.text else "import mvenv.nox\nimport nox\n\n"
        chosen = "" if "venv_backend" in fence.text else _CHOSEN
        _write(reader, "noxfile.py", head + chosen + fence.text)
        code, out = reader.shell("nox --non-interactive")
        assert code == 0, f"{fence}:\n{out}"
        made = list(reader.project.glob(".nox/*/.mvenv/receipt"))
        assert made, f"{fence}: no session has an environment of ours\n{out}"
        shutil.rmtree(reader.project / ".nox")
        return
    _write(reader, "example.py", fence.text)
    code, out = reader.shell("python example.py && rm example.py")
    assert code == 0, f"{fence}:\n{out}"


_CHOSEN = 'nox.options.default_venv_backend = "mvenv"\n\n'


def _run_yaml(reader: Reader, fence: Fence) -> None:
    found = _YAML_FILE.match(fence.text)
    assert found, f"{fence}: its first line names no file"
    path = _write(reader, found[1], fence.text)
    if path.name.endswith(".pre-commit-config.yaml"):
        return  # the next console example runs it
    run_pipeline(reader, path)


def _run_dockerfile(reader: Reader, fence: Fence) -> None:
    run_dockerfile(reader, fence.text)


_WAYS: dict[str, Callable[[Reader, Fence], None]] = {
    "console": _run_console,
    "fish": _run_fish,
    "ini": _run_ini,
    "toml": _run_toml,
    "python": _run_python,
    "yaml": _run_yaml,
    "dockerfile": _run_dockerfile,
}
