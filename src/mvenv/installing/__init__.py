"""``pip install`` for an environment of ours: resolved by pip, brought in by links.

Read from top to bottom: what is asked, whether the answer is remembered, pip's word
where it is not, a pylock.toml of all that the environment has by now, and a sync to it.
What has no file with a hash (a folder, an editable) is left to pip itself, which is run
from outside, so the environment needs none.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from mvenv.apply.present import receipt_of
from mvenv.env.paths import python_in
from mvenv.env.receipt import Receipt
from mvenv.env.state import observe
from mvenv.errors import BuildError, FetchError, SystemFault
from mvenv.fetch.pip import run_pip
from mvenv.installing.arguments import Arguments, read_arguments
from mvenv.installing.notes import Notes, PackageTable
from mvenv.installing.pip_at_hand import pip_at_hand
from mvenv.installing.projects import Projects, find_projects, write_limits
from mvenv.installing.remembered import Remembered, resolution_key
from mvenv.installing.request import HowInstalled, InstallRequest
from mvenv.installing.resolution import (
    Found,
    ask_pip,
    installed_names,
    packages_of,
    pip_at_work,
)
from mvenv.interpreters import inspect_interpreter
from mvenv.progress import Reporter
from mvenv.selection.groups import GroupOptions
from mvenv.store.layout import StoreLayout, open_layout
from mvenv.sync import SyncRequest, sync
from mvenv.target import Target
from mvenv.values import replace

__all__ = [
    "HowInstalled",
    "InstallRequest",
    "foresee",
    "install",
    "install_own",
]


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        doing = "installing into the environment"
        raise SystemFault.from_os_error(error, doing) from error


@_told()
def install(request: InstallRequest, reporter: Reporter) -> HowInstalled:
    """Install into an environment; `MvenvError` where that cannot be.

    `BuildError`, with pip's output, where pip finds no way or a build fails.
    """
    projects = find_projects(request.arguments, request.start)
    if projects.folders:
        if projects.needs:
            _link_needs(request, projects, reporter)
        return _Installing(request, reporter).by_pip()
    work = _Installing(request, reporter)
    arguments = read_arguments(request.arguments, request.start)
    if not arguments.understood:
        return work.by_pip()
    found = work.resolve(arguments)
    notes = Notes(request.notes)
    changed: tuple[str, ...] = ()
    if found.packages:
        if work.receipt.lockfile not in {None, str(notes.lockfile)}:
            # Made from a lockfile of the user's, which does not have them.
            return work.by_pip()
        notes.add(found.packages)
        try:
            changed = work.sync(notes)
        except FetchError as error:
            # pip can know passwords that we do not, and has a cache of its own.
            reporter.detail(error.message)
            return work.by_pip()
    if not found.whole:
        # What it needs is there by now.
        return replace(work.by_pip(), changed=changed)
    return HowInstalled(changed=changed, recalled=found.recalled)


def _link_needs(
    request: InstallRequest, projects: Projects, reporter: Reporter
) -> None:
    """Link what folders need, as far as it can be known without building them.

    What is in a folder is never looked for on an index, where a stranger may have taken
    its name: where something needs it, pip is left to do all.
    """
    limits = request.notes / "elsewhere.txt"
    write_limits(limits, projects.names)
    arguments = (*projects.needs, "-c", str(limits))
    try:
        install(replace(request, arguments=arguments), reporter)
    except BuildError as error:
        reporter.detail(error.message)


@_told()
def install_own(
    request: InstallRequest, wheel: Path, reporter: Reporter
) -> HowInstalled:
    """Install a project's own wheel, in place of what it was, shared with nobody."""
    work = _Installing(request, reporter)
    notes = Notes(request.notes)
    notes.keep_wheel(wheel)
    return HowInstalled(changed=work.sync(notes))


def foresee(
    steps: list[tuple[str, ...]],
    target: Target,
    layout: StoreLayout,
    request: InstallRequest,
) -> tuple[PackageTable, ...] | None:
    """Return all that some steps bring into a bare environment, if that is remembered.

    `None` where pip would have to be asked.
    """
    found: dict[str, PackageTable] = {}
    for step in steps:
        arguments = read_arguments(step, request.start)
        present = sorted(f"{one['name']} {one['version']}" for one in found.values())
        key = resolution_key(arguments, present, target, request)
        known = Remembered(layout, request.remember).recall(key) if key else None
        if known is None:
            return None
        found |= {one["name"]: one for one in known}
    return tuple(found.values())


class _Installing:
    """One run, and what is known of the environment."""

    def __init__(self, request: InstallRequest, reporter: Reporter) -> None:
        said = request.surroundings
        self.request, self.reporter = request, reporter
        self.receipt: Receipt = receipt_of(observe(request.folder))
        self.layout = open_layout(said.store)
        self.target = inspect_interpreter(
            self.receipt.interpreter, memory=self.layout.interpreters
        )

    def resolve(self, arguments: Arguments) -> Found:
        """Return what is to be installed: as it was the last time, or as pip says."""
        request = self.request
        present = installed_names(request.folder, self.target)
        key = None
        if not self.receipt.asked.system_site_packages:
            key = resolution_key(arguments, present, self.target, request)
        memory = Remembered(self.layout, request.remember)
        known = memory.recall(key) if key else None
        if known is not None:
            return Found(known, whole=True, recalled=True)
        with self.reporter.task("resolving", None):
            report = ask_pip(request, *self._pip())
        found = packages_of(report)
        if found.whole and key:
            memory.keep(key, found.packages)
        return found

    def by_pip(self) -> HowInstalled:
        """Let pip install, from outside, into the environment."""
        python, pip = self._pip()
        request = self.request
        with pip_at_work(request) as environment:
            output = run_pip(
                python,
                pip,
                ["install", *request.arguments],
                what="what was asked for",
                doing="installing",
                environment=environment,
                broken_off=request.broken_off,
                start=str(request.start),
            )
        self.reporter.detail(output)
        return HowInstalled(by_pip=True, output=output)

    def _pip(self) -> tuple[str, Path]:
        python = python_in(str(self.request.folder))
        return python, pip_at_hand(self.request, self.target)

    def sync(self, notes: Notes) -> tuple[str, ...]:
        """Bring the environment to its notes, and return what is new in it."""
        said = self.request.surroundings
        lockfile = None
        if self.receipt.lockfile in {None, str(notes.lockfile)}:
            lockfile = notes.lockfile
            if not lockfile.exists():
                notes.add(())
        synced = sync(
            SyncRequest(
                folder=self.request.folder,
                lockfile=lockfile,
                python=None,
                groups=GroupOptions() if lockfile else None,
                seed=None,
                exact=False,
                dry_run=False,
                store=Path(said.store),
                seal=said.seal,
                fetch=said.fetch,
                environ=self.request.environ,
                wheels=notes.wheels(),
            ),
            self.reporter,
        )
        return tuple(f"{one.name} {one.new}" for one in synced.changed if one.new)
