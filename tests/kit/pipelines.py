"""Files for machines that are not here, run as far as they can be.

The shell lines are run as the real runner does; what is around them (a checkout, a
cache, an image) is played. Each is run twice on machines without a past, the second
time without the network for mvenv, so that what is cached has to be enough.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from kit.readers import Reader

__all__ = ["run_dockerfile", "run_pipeline"]

_GITHUB_ACTIONS = {"actions/checkout", "actions/setup-python", "actions/cache"}
_GITHUB_STEP = {"name", "uses", "with", "run"}
_GITLAB_JOB = {"image", "cache", "before_script", "script"}
_ALL_FROM_THE_STORE = "(all from the store)"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """What is left of a job when its runner is taken away."""

    steps: list[str]
    cached: list[str]
    """Paths, relative to the checkout."""


def run_pipeline(reader: Reader, path: Path) -> None:
    """Run each job of a file for GitHub Actions or GitLab CI twice."""
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    jobs = [*(_of_gitlab if path.name == ".gitlab-ci.yml" else _of_github)(document)]
    assert jobs, f"{path.name}: no job"
    for job in jobs:
        assert job.cached, f"{path.name}: nothing is cached"
        for offline in (False, True):
            saved = _take_cache(reader, job, needed=offline)
            reader.forget()
            reader.start_afresh()
            for name, content in saved.items():
                (reader.project / name).write_bytes(content)
            said = _run_steps(reader, job, offline=offline)
            assert (_ALL_FROM_THE_STORE in said) == offline, said


def _take_cache(reader: Reader, job: _Job, *, needed: bool) -> dict[str, bytes]:
    paths = {name: reader.project / name for name in job.cached}
    if not needed:
        return {}
    missing = [name for name, path in paths.items() if not path.is_file()]
    assert not missing, f"the job leaves nothing to cache: {missing}"
    return {name: path.read_bytes() for name, path in paths.items()}


def _run_steps(reader: Reader, job: _Job, *, offline: bool) -> str:
    said = ""
    variables = {"MVENV_OFFLINE": "1"} if offline else {}
    for step in job.steps:
        code, out = reader.run("bash", "-e", "-c", step, variables=variables)
        said += f"$ {step}\n{out}"
        assert code == 0, said
    return said


def _of_github(document: dict[Any, Any]) -> Iterator[_Job]:
    # YAML 1.1 reads the key `on` as true.
    assert document.keys() <= {"name", True, "jobs"}, document.keys()
    for job in document["jobs"].values():
        assert job["runs-on"].startswith("ubuntu-")
        steps, cached = [], []
        for step in job["steps"]:
            assert step.keys() <= _GITHUB_STEP, step
            assert ("uses" in step) != ("run" in step), step
            if "run" in step:
                assert "${{" not in step["run"], step
                steps.append(step["run"])
                continue
            action, _, version = step["uses"].partition("@")
            assert action in _GITHUB_ACTIONS, action
            assert version, step
            if action == "actions/cache":
                assert "hashFiles('poetry.lock')" in step["with"]["key"]
                cached += step["with"]["path"].splitlines()
        yield _Job(steps=steps, cached=cached)


def _of_gitlab(document: dict[str, Any]) -> Iterator[_Job]:
    for job in document.values():
        assert job.keys() <= _GITLAB_JOB, job.keys()
        assert job["cache"]["key"]["files"] == ["poetry.lock"]
        # One shell for both, as on a runner.
        lines = [*job["before_script"], *job["script"]]
        yield _Job(steps=["\n".join(lines)], cached=job["cache"]["paths"])


# ---- images


@dataclass(slots=True, kw_only=True)
class _Image:
    """A folder that stands for the image that is being built.

    It is always at the same place, so that paths that are written into files stay
    right; what a stage has made is moved aside where the next begins.
    """

    reader: Reader
    base: Path
    stages: dict[str, Path] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    folder: str = "/"
    stage: str = ""

    @property
    def root(self) -> Path:
        """Return the folder of the present stage."""
        return self.base / "image"

    def place(self, path: str) -> Path:
        """Return where a path of the image is."""
        inside = os.path.normpath(os.path.join(self.folder, path))
        return self.root / inside.lstrip("/")

    def begin(self, words: str) -> None:
        """Begin a stage: ``FROM python:3.12 AS build``."""
        match = re.fullmatch(r"python:3\.\d+(?:-slim)?(?: AS (\w+))?", words)
        assert match, words
        self.end()
        self.stage, self.folder = match[1] or "last", "/"
        self.variables.clear()
        self.root.mkdir(parents=True)

    def end(self) -> None:
        """Move what a stage has made aside."""
        if self.root.exists():
            self.stages[self.stage] = self.root.rename(self.base / self.stage)

    def copy(self, words: str) -> None:
        """Carry out ``COPY [--from=STAGE] SOURCE... TARGET``."""
        *sources, target = shlex.split(words)
        origin = self.reader.project
        if sources[0].startswith("--from="):
            origin = self.stages[sources.pop(0).removeprefix("--from=")]
        place = self.place(target)
        for source in sources:
            path = origin / source.lstrip("/")
            assert path.exists(), words
            if path.is_dir():
                shutil.copytree(path, place, symlinks=True, dirs_exist_ok=True)
            else:
                place.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, place / path.name)

    def run(self, words: str, *, offline: bool) -> None:
        """Carry out ``RUN``, with the mount points that it asks for."""
        mounts = re.findall(r"--mount=type=cache,target=(/\S+) ", words)
        line = re.sub(r"--mount=\S+ ", "", words)
        # The longest first: a path of the image is where the image is.
        for mount in mounts:
            line = line.replace(mount, str(self.base / "mounts" / mount.lstrip("/")))
        line = re.sub(r"(?<![\w./-])/(?=app\b|opt\b)", f"{self.root}/", line)
        variables = {
            name: str(self.place(value)) if value.startswith("/") else value
            for name, value in self.variables.items()
        }
        if offline:
            variables["MVENV_OFFLINE"] = "1"
        folder = self.place(".")
        folder.mkdir(parents=True, exist_ok=True)
        code, out = self.reader.run(
            "sh", "-e", "-c", line, folder=folder, variables=variables
        )
        assert code == 0, f"RUN {words}\n{out}"


def run_dockerfile(reader: Reader, text: str) -> None:
    """Build twice, and look at what the images have."""
    base = reader.home / "docker"
    for offline in (False, True):
        image = _Image(reader=reader, base=base)
        for word, rest in _instructions(text):
            match word:
                case "FROM":
                    image.begin(rest)
                case "WORKDIR":
                    image.folder = rest
                case "ENV":
                    name, _, value = rest.partition("=")
                    image.variables[name] = value
                case "COPY":
                    image.copy(rest)
                case "RUN":
                    keeps = "type=cache" in text
                    image.run(rest, offline=offline and keeps)
                case "CMD":
                    program = yaml.safe_load(rest)[0]
                    assert os.access(image.place(program), os.X_OK), rest
                case _:
                    raise AssertionError(f"what is {word}?")
        image.end()
        _look_at(image)
        for path in image.stages.values():
            shutil.rmtree(path)
    shutil.rmtree(base, ignore_errors=True)


def _instructions(text: str) -> Iterator[tuple[str, str]]:
    whole = re.sub(r"\\\n\s*", "", text)
    for line in whole.splitlines():
        if line and not line.startswith("#"):
            word, _, rest = line.partition(" ")
            yield word, rest.strip()


def _look_at(image: _Image) -> None:
    """See that files are in a layer once, or that the store is in none."""
    last = image.stages[image.stage]
    modules = [*last.glob("app/.venv*/lib/python3*/site-packages/requests/core.py")]
    stored = [*last.rglob("wheels/*/*/tree/requests/core.py")]
    assert modules
    if image.base.joinpath("mounts").exists():
        assert stored == []
        assert [path.stat().st_nlink for path in modules] == [1]
        return
    assert len(stored) == 1
    assert len(modules) == 2
    assert all(path.samefile(stored[0]) for path in modules)
    layer = image.base / "layer.tar"
    subprocess.run(["tar", "-C", last, "-cf", layer, "."], check=True)
    with tarfile.open(layer) as archive:
        found = [one for one in archive if one.name.endswith("requests/core.py")]
    assert sorted(one.islnk() for one in found) == [False, True, True]
