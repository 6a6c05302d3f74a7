"""The bare environment, as a value: what the interpreter's own ``venv`` would make.

Rendered from its skeleton for one path; nothing is written here. Standard library
only: part of the warm path.
"""

from __future__ import annotations

import os

from mvenv.env.activation import Script, render_script
from mvenv.env.skeleton import Skeleton
from mvenv.errors import EnvironmentFault, SystemFault
from mvenv.paths import read_bytes
from mvenv.values import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mvenv.target import Target

__all__ = ["BareEnvironment", "VenvOptions", "check_path", "read_program", "render"]

_LINE_ENDS = dict.fromkeys(map(ord, "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"), " ")
_IGNORE = ".gitignore"


@dataclass(frozen=True, slots=True, kw_only=True)
class BareEnvironment:
    """What to make; all paths are below the environment, "/" between."""

    folders: tuple[str, ...]
    """Parents first."""
    symlinks: tuple[tuple[str, str], ...]
    """(path, what it points to), what is pointed to first."""
    files: tuple[tuple[str, bytes, int], ...]
    """(path, content, mode); ``pyvenv.cfg``, which makes it an environment, last."""

    def paths(self) -> frozenset[str]:
        """Return everything that belongs to the environment itself."""
        links = (path for path, _ in self.symlinks)
        files = (path for path, _, _ in self.files)
        return frozenset((*self.folders, *links, *files))

    def folder_links(self) -> dict[str, str]:
        """Return the links that point to folders, like ``lib64``, with those."""
        folders = frozenset(self.folders)
        return {path: target for path, target in self.symlinks if target in folders}


@dataclass(frozen=True, slots=True, kw_only=True)
class VenvOptions:
    """Options of ``venv`` that are only told in the ``command`` of ``pyvenv.cfg``."""

    with_pip: bool = False
    clear: bool = False
    upgrade: bool = False
    upgrade_deps: bool = False
    prompt: str | None = None
    """As it was typed, where it is not the prompt itself: ``.``."""


def render(
    skeleton: Skeleton,
    *,
    env_dir: str,
    prompt: str | None = None,
    system_site_packages: bool = False,
    scm_ignore: bool = True,
    further_activators: bool = True,
    made_by: str | None = None,
    options: VenvOptions | None = None,
    program: bytes | None = None,
) -> BareEnvironment:
    """Return the environment that ``skeleton``'s interpreter would make at ``env_dir``.

    ``env_dir`` is its final path, absolute. ``prompt`` `None` is the folder's name.
    ``scm_ignore`` is for the versions whose ``venv`` writes ``.gitignore`` (3.13 on);
    ``further_activators`` adds virtualenv's for nushell, xonsh and Python itself;
    ``made_by`` is the version of mvenv, for the key ``mvenv`` of ``pyvenv.cfg``;
    ``program`` is the interpreter itself, to be put in place of the links to it.
    `EnvironmentFault` where the path cannot be an environment's.
    """
    check_path(env_dir)
    lines = _configuration(
        skeleton,
        env_dir=env_dir,
        prompt=prompt,
        system_site_packages=system_site_packages,
        scm_ignore=scm_ignore,
        options=options or VenvOptions(),
        copies=program is not None,
    )
    if made_by is not None:
        lines.append(f"mvenv = {made_by}")
    files = [
        (one.path, _encode(one.text), one.mode)
        for one in skeleton.files
        if scm_ignore or one.path != _IGNORE
    ]
    files += _scripts(skeleton, env_dir, prompt, further=further_activators)
    symlinks = skeleton.symlinks
    if program is not None:
        pythons = [path for path, _ in symlinks if path.startswith("bin/")]
        files += [(path, program, 0o755) for path in pythons]
        symlinks = tuple(link for link in symlinks if link[0] not in pythons)
    configuration = "".join(f"{line}\n" for line in lines)
    files.append(("pyvenv.cfg", _encode(configuration), 0o644))
    return BareEnvironment(
        folders=skeleton.folders, symlinks=symlinks, files=tuple(files)
    )


def read_program(target: Target) -> bytes:
    """Return the interpreter itself, as ``--copies`` puts it into an environment."""
    try:
        return read_bytes(target.real_executable)
    except OSError as error:
        doing = "the interpreter cannot be copied"
        raise SystemFault.from_os_error(error, doing) from error


def check_path(env_dir: str) -> None:
    """Raise `EnvironmentFault` where no environment can be at ``env_dir``."""
    if not os.path.isabs(env_dir) or "\0" in env_dir:
        raise EnvironmentFault(f"`{env_dir!r}` is not an absolute path")
    # PATH cannot hold it, so activation could not work (as `venv` since 3.11).
    if os.pathsep in env_dir:
        raise EnvironmentFault(
            f"`{env_dir}` contains `{os.pathsep}`, which separates the entries of"
            " PATH: an environment there could not be activated",
            hint=f"choose a folder without `{os.pathsep}` in its path",
        )


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _configuration(
    skeleton: Skeleton,
    *,
    env_dir: str,
    prompt: str | None,
    system_site_packages: bool,
    scm_ignore: bool,
    options: VenvOptions,
    copies: bool,
) -> list[str]:
    """Return the lines of ``pyvenv.cfg``: that version's keys, in its order."""
    lines = []
    for key, value in skeleton.configuration:
        if key == "include-system-site-packages":
            text = "true" if system_site_packages else "false"
        elif key == "command":
            arguments = _arguments(
                skeleton,
                prompt,
                system_site_packages,
                scm_ignore,
                options,
                copies=copies,
            )
            # For people only. What would end the line, and what is not UTF-8, must
            # not reach those who read the file.
            named = " ".join([value, *arguments, env_dir]).translate(_LINE_ENDS)
            text = named.encode("utf-8", "backslashreplace").decode()
        else:
            text = value
        lines.append(f"{key} = {text}")
        if key == "version" and prompt is not None:
            lines.append(f"prompt = {prompt!r}")
    return lines


def _arguments(
    skeleton: Skeleton,
    prompt: str | None,
    system_site_packages: bool,
    scm_ignore: bool,
    options: VenvOptions,
    *,
    copies: bool,
) -> Iterator[str]:
    typed = prompt if options.prompt is None else options.prompt
    ignores = any(one.path == _IGNORE for one in skeleton.files)
    told = (
        (copies, "--copies"),
        (not options.with_pip, "--without-pip"),
        (system_site_packages, "--system-site-packages"),
        (options.clear, "--clear"),
        (options.upgrade, "--upgrade"),
        (options.upgrade_deps, "--upgrade-deps"),
        (typed is not None, f'--prompt="{typed}"'),
        (ignores and not scm_ignore, "--without-scm-ignore-files"),
    )
    return (text for wanted, text in told if wanted)


def _scripts(
    skeleton: Skeleton, env_dir: str, prompt: str | None, *, further: bool
) -> Iterator[tuple[str, bytes, int]]:
    name = os.path.basename(env_dir)
    shown = name if prompt is None else prompt
    own = {
        "__VENV_DIR__": env_dir,
        "__VENV_NAME__": name,
        "__VENV_PROMPT__": f"({shown}) "
        if skeleton.quoting.decorated_prompt
        else shown,
        "__VENV_BIN_NAME__": "bin",
        "__VENV_PYTHON__": f"{env_dir}/bin/{skeleton.python_name}",
    }
    virtualenv = {
        "__VIRTUAL_ENV__": env_dir,
        "__VIRTUAL_NAME__": name,
        "__VIRTUAL_PROMPT__": prompt or "",
        "__BIN_NAME__": "bin",
        "__PATH_SEP__": os.pathsep,
        "__LIB_FOLDERS__": f"../{skeleton.site_packages}",
        "__DECODE_PATH__": "",
        "__TCL_LIBRARY__": "",
        "__TK_LIBRARY__": "",
    }
    made: list[tuple[Script, str | None]] = [
        (script, render_script(script, own, skeleton.quoting))
        for script in skeleton.scripts
    ]
    if further:
        made += [
            (script, render_script(script, virtualenv, None))
            for script in skeleton.further_scripts
        ]
    for script, text in made:
        if text is not None:
            yield f"bin/{script.name}", _encode(text), script.mode
