"""Activation, really done in each shell that is here, at paths that shells dislike."""

from __future__ import annotations

import ast
import dataclasses
import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from kit.interpreters import FoundInterpreter, find_interpreters
from mvenv.env.bare import BareEnvironment, render
from mvenv.env.paths import python_in
from mvenv.env.skeleton import Skeleton, load_skeleton
from mvenv.interpreters import inspect_interpreter

NAMES = (
    "plain",
    "a b",
    "ünï",
    "$HOME x",
    "it's",
    'say "hi"',
    "`touch canary`",
    "$(touch canary)",
    "${IFS}",
    "a;touch canary",
    "a&b|c>d<e",
    "back\\slash\\",
    "bang!bang",
    "*?[x]{y}(z)",
    "#~^@=+,",
    "%n%percent%self",
    "-dash",
    "tab\tx",
    "new\nline",
    "__VENV_NAME____VENV_DIR__",
    "\udcff bytes",
    "'\"$`\\!\"'",
)

# Each prints, NUL between: VIRTUAL_ENV, the interpreter found, its prefix,
# VIRTUAL_ENV_PROMPT, the prompt as it is shown; then, deactivated, VIRTUAL_ENV and
# PATH.
POSIX = r"""
PS1='> '
. "$ENV_DIR/bin/activate"
printf '%s\0' "$VIRTUAL_ENV" "$(command -v python; echo .)"
python -I -c "$CODE"
printf '%s\0' "$VIRTUAL_ENV_PROMPT"
SHOW
deactivate
printf '%s\0' "${VIRTUAL_ENV-unset}" "$PATH"
"""
SHOW = {
    # As bash, zsh with PROMPT_SUBST, and dash evaluate it each time it is shown.
    "bash": "printf '%s\\0' \"${PS1@P}\"",
    "zsh": "setopt PROMPT_SUBST; print -nP -- \"$PS1\"; printf '\\0'",
    "dash": 'eval "printf \'%s\\\\0\' \\"$PS1\\""',
}
FISH = r"""
function fish_prompt; printf '> '; end
source "$ENV_DIR/bin/activate.fish"
printf '%s\0' "$VIRTUAL_ENV"
printf '%s.\0' (command -v python | string collect)\n
python -I -c "$CODE"
printf '%s\0' "$VIRTUAL_ENV_PROMPT" (fish_prompt | string collect)
deactivate
set -q VIRTUAL_ENV; and printf '%s\0' "$VIRTUAL_ENV"; or printf 'unset\0'
printf '%s\0' (string join : $PATH)
"""
CSH = r"""
set prompt="> "
source "$ENV_DIR:q/bin/activate.csh"
printf '%s\0' "$VIRTUAL_ENV:q"
sh -c 'printf "%s\0" "$(command -v python; echo .)"'
python -I -c "$CODE:q"
printf '%s\0' "${PROMPT_SEEN}" "$prompt:q"
deactivate
if ($?VIRTUAL_ENV) then
  printf '%s\0' "$VIRTUAL_ENV:q"
else
  printf 'unset\0'
endif
printf '%s\0' "$PATH:q"
"""
CODE = "import os, sys; os.write(1, os.fsencode(sys.prefix) + bytes(1))"

EACH = tuple(find_interpreters())
# One of each way in which templates were ever written.
STYLES = {
    f"{one.origin}-{one.short_version}": one
    for one in EACH
    if one.short_version in {"3.8", "3.12", "3.13"} or one.origin == "system"
}
STYLES["quoted"] = EACH[-1]


@dataclasses.dataclass(frozen=True)
class Shell:
    """A shell and the script it is tested with."""

    name: str
    command: tuple[str, ...]
    script: str


SHELLS = (
    Shell("bash", ("bash", "--norc"), POSIX.replace("SHOW", SHOW["bash"])),
    Shell("dash", ("dash",), POSIX.replace("SHOW", SHOW["dash"])),
    Shell("zsh", ("zsh", "-f"), POSIX.replace("SHOW", SHOW["zsh"])),
    Shell("fish", ("fish", "--no-config"), FISH),
    Shell("tcsh", ("tcsh", "-f"), CSH),
)


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which the interpreters' skeletons are kept."""
    return tmp_path_factory.mktemp("memory")


def skeleton_of(found: FoundInterpreter, memory: Path) -> Skeleton:
    """Return the interpreter's skeleton."""
    target = inspect_interpreter(str(found.executable), memory=memory)
    return load_skeleton(target, memory)


def quoted(skeleton: Skeleton) -> Skeleton:
    """Return it as the releases from 3.13.1 on have it (gh-124651)."""
    if skeleton.quoting.quoted:
        return skeleton
    scripts = tuple(
        # Out of the template's quotes: `venv` quotes the values itself.
        dataclasses.replace(one, text=re.sub("__VENV_[A-Z_]+?__", r'"\g<0>"', one.text))
        for one in skeleton.scripts
    )
    quoting = dataclasses.replace(skeleton.quoting, quoted=True)
    return dataclasses.replace(skeleton, scripts=scripts, quoting=quoting)


def materialise(bare: BareEnvironment, folder: Path) -> None:
    """Write a bare environment."""
    folder.mkdir()
    for path in bare.folders:
        (folder / path).mkdir()
    for path, to in bare.symlinks:
        (folder / path).symlink_to(to)
    for path, content, mode in bare.files:
        (folder / path).write_bytes(content)
        (folder / path).chmod(mode)


def run_shell(
    shell: Shell, env_dir: Path, cwd: Path
) -> tuple[list[bytes], Mapping[str, str], str]:
    """Return what the shell printed, its environment, and its complaints."""
    executable = shutil.which(shell.command[0])
    if executable is None:
        pytest.skip(f"{shell.name} is not installed here")
    script = cwd / "script"
    script.write_text(shell.script)
    environ = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(cwd),
        "ENV_DIR": str(env_dir),
        "CODE": CODE,
        "PROMPT_SEEN": "",
        "LC_ALL": "C.UTF-8",
        "TERM": "dumb",
        "XDG_CONFIG_HOME": str(cwd),
        "XDG_DATA_HOME": str(cwd),
    }
    done = subprocess.run(
        [executable, *shell.command[1:], str(script)],
        env=environ,
        cwd=cwd,
        capture_output=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return done.stdout.split(b"\0"), environ, os.fsdecode(done.stderr)


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell.name)
@pytest.mark.parametrize("style", STYLES)
def test_activation(shell: Shell, style: str, tmp_path: Path, memory: Path) -> None:
    skeleton = skeleton_of(STYLES[style], memory)
    if style == "quoted":
        skeleton = quoted(skeleton)
    cwd = tmp_path / "here"
    cwd.mkdir()
    wrong = {}
    for name in NAMES:
        env_dir = tmp_path / name
        materialise(render(skeleton, env_dir=str(env_dir)), env_dir)
        if shell.name == "tcsh" and "\n" in name:
            # "$VIRTUAL_ENV" in double quotes cannot hold it, so there is no script.
            assert not (env_dir / "bin" / "activate.csh").exists()
            continue
        said, environ, complaints = run_shell(shell, env_dir, cwd)
        here = os.fsencode(env_dir)
        python = os.fsencode(python_in(str(env_dir)))
        expected = [here, python + b"\n.", here]
        after = [b"unset", environ["PATH"].encode(), b""]
        if said[:3] != expected or said[-3:] != after or complaints:
            wrong[name] = (said, complaints)
        shown = said[4] if len(said) > 4 else b""
        if name.isalpha() and name.encode() not in shown:
            wrong[name] = (said, "not in the prompt")

    assert wrong == {}
    assert not (cwd / "canary").exists()


@pytest.mark.parametrize("name", NAMES)
def test_activate_this(name: str, tmp_path: Path, memory: Path) -> None:
    found = EACH[-1]
    skeleton = skeleton_of(found, memory)
    env_dir = tmp_path / name
    materialise(render(skeleton, env_dir=str(env_dir), prompt="it's"), env_dir)
    code = """
import json, os, runpy, sys
runpy.run_path(os.path.join(sys.argv[1], "bin", "activate_this.py"))
print(json.dumps([sys.prefix, os.environ["VIRTUAL_ENV_PROMPT"], sys.path]))
"""
    done = subprocess.run(
        [str(found.executable), "-c", code, str(env_dir)],
        capture_output=True,
        check=True,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
    )
    prefix, prompt, path = json.loads(done.stdout)

    assert prefix == str(env_dir)
    assert prompt == "it's"
    assert path[0] == str(env_dir / skeleton.site_packages)


@pytest.mark.parametrize("name", NAMES)
def test_literals_of_xonsh_and_nushell(name: str, tmp_path: Path, memory: Path) -> None:
    """Neither shell is packaged here: the literals are read back instead."""
    env_dir = str(tmp_path / name)
    bare = render(skeleton_of(EACH[-1], memory), env_dir=env_dir)
    files = {path: os.fsdecode(content) for path, content, _ in bare.files}
    xonsh, nushell = files.get("bin/activate.xsh"), files.get("bin/activate.nu")

    undecodable = "\udcff" in name
    expanded = "$HOME" in name or "${" in name
    assert (nushell is None) == undecodable
    assert (xonsh is None) == (undecodable or expanded)
    if xonsh is not None:
        line = xonsh.split("self.embedded_virtual_env = ")[1].split("\n")[0]
        assert ast.literal_eval(line) == env_dir
    if nushell is not None:
        literal = nushell.split("let virtual_env = ")[1].split("\n    let bin")[0]
        marks = literal[1 : literal.index("'")]
        assert set(marks) == {"#"}
        assert literal == f"r{marks}'{env_dir}'{marks}"
        assert f"'{marks}" not in env_dir
