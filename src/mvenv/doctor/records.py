"""An environment's own records, found out again: its plan and its receipt (F28).

Only for an environment that the store has on record, or whose receipt is whole: a
folder that says of itself what it is may have been made by anybody.
"""

from __future__ import annotations

import ast
import itertools
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from mvenv import __version__
from mvenv.diagnose.users import Users
from mvenv.doctor.generating import Generated, bare_for, generate
from mvenv.doctor.identity import identity_of
from mvenv.doctor.means import Unhealable
from mvenv.env.receipt import PLAN, Asked, Receipt, read_receipt, write_receipt
from mvenv.env.receipt import Generated as Row
from mvenv.errors import InterpreterError
from mvenv.hashes import digest_bytes, digest_file
from mvenv.interpreters import inspect_interpreter
from mvenv.link.files import share_file
from mvenv.link.modes import LinkMode, LinkPolicy
from mvenv.plan.model import Plan
from mvenv.plan.record import load_plan
from mvenv.store.durability import boot_id
from mvenv.store.layout import StoreLayout
from mvenv.store.plans import keep_plan, recall_plan
from mvenv.store.registry import Root

__all__ = ["restore_records"]

_MODES = (LinkMode.HARDLINK, LinkMode.REFLINK, LinkMode.COPY)
_SAMPLE = 64
"""Files that tell how all came into the environment."""


def restore_records(place: Path, layout: StoreLayout, users: Users) -> str:
    """Write the plan and the receipt of an environment again, and return what was done.

    `Unhealable` where nothing that can be trusted says what they were.
    """
    receipt = read_receipt(place)
    root = users.at(place)
    sha256 = receipt.plan if receipt is not None else root.plan if root else None
    if sha256 is None:
        raise Unhealable(
            f"nothing says what it was made from: `mvenv adopt {place}` finds out"
        )
    content = _find_plan(sha256, place, layout, users)
    plan = load_plan(content, layout) if content is not None else None
    if content is None or plan is None:
        raise Unhealable(f"its plan is lost: `mvenv adopt {place}` makes a new one")
    _make_own_folder(place, layout)
    kept = keep_plan(layout, content, sha256)
    share_file(kept, place / PLAN, _MODES, content)
    if receipt is not None:
        return "its plan was brought back"
    if root is None:
        raise Unhealable(f"its receipt is lost: `mvenv adopt {place}` makes a new one")
    write_receipt(place, _receipt(place, root, plan, layout))
    return (
        "its receipt was written again; nobody knows any more which groups and extras"
        " were asked for (name them with the next `mvenv sync`), nor what was under"
        " `mvenv edit`"
    )


def _make_own_folder(place: Path, layout: StoreLayout) -> None:
    """Make mvenv's folder; what stands there and is none is moved to the store."""
    own = (place / PLAN).parent
    if os.path.lexists(own) and (own.is_symlink() or not own.is_dir()):
        layout.rescued.mkdir(mode=0o755, exist_ok=True)
        os.rename(own, layout.rescued / f"{place.name}-{secrets.token_hex(6)}")
    own.mkdir(mode=0o755, exist_ok=True)


def _find_plan(
    sha256: str, place: Path, layout: StoreLayout, users: Users
) -> bytes | None:
    kept = recall_plan(layout, sha256)
    if kept is not None:
        return kept
    others = (Path(root.path) for root in users.roots if root.plan == sha256)
    for folder in (place, *others):
        try:
            content = (folder / PLAN).read_bytes()
        except OSError:
            continue
        if digest_bytes(content).sha256 == sha256:
            return content
    return None


def _receipt(place: Path, root: Root, plan: Plan, layout: StoreLayout) -> Receipt:
    try:
        target = inspect_interpreter(
            str(place / "bin" / "python"), memory=layout.interpreters
        )
    except InterpreterError as error:
        raise Unhealable(error.message) from error
    keys = _configuration(place)
    seen = os.stat(target.real_executable)
    receipt = Receipt(
        id=root.id,
        path=root.path,
        mvenv=keys.get("mvenv", __version__),
        store=str(layout.root),
        boot_id=boot_id(),
        flushed=False,
        link_mode=_observed_mode(place, plan).value,
        lockfile=root.lockfile,
        lockfile_sha256=None,
        interpreter=target.executable,
        interpreter_version=target.version,
        interpreter_seen=(target.real_executable, seen.st_size, seen.st_mtime_ns),
        identity=identity_of(place),
        plan=root.plan,
        asked=Asked(
            policy=LinkPolicy.AUTO.value,
            prompt=_prompt(keys.get("prompt")),
            system_site_packages=keys.get("include-system-site-packages") == "true",
            seed=False,
            choices={},
        ),
        edits=(),
        distributions=plan.distributions,
        generated=(),
    )
    bare = bare_for(receipt, target, root.path, layout)
    made = {
        path: Generated(content, 0o755 if mode & 0o100 else 0o644)
        for path, content, mode in bare.files
    } | generate(plan, root.path)
    return _with_rows(receipt, made, place)


def _with_rows(receipt: Receipt, made: dict[str, Generated], place: Path) -> Receipt:
    from dataclasses import replace

    return replace(receipt, generated=tuple(_rows(made, place)))


def _rows(made: dict[str, Generated], place: Path) -> Iterator[Row]:
    """Yield what each written file must be; of one that differs no stamp is right."""
    for path, one in made.items():
        if isinstance(one.content, str):
            continue
        digest = digest_bytes(one.content)
        sha256, size, moment = digest.sha256, digest.size, 0
        try:
            present = digest_file(place / path)
            same = present.sha256 == sha256
            if path == "pyvenv.cfg" and _says_the_same(place / path, one.content):
                # The command it was made with is told differently by each.
                same, sha256, size = True, present.sha256, present.size
            if same:
                moment = (place / path).lstat().st_mtime_ns
        except OSError:
            pass
        yield Row(path, sha256, size, one.mode, moment)


def _says_the_same(path: Path, content: bytes) -> bool:
    left = _keys(path.read_bytes().decode("utf-8", "surrogateescape"))
    right = _keys(content.decode("utf-8", "surrogateescape"))
    return {**left, "command": ""} == {**right, "command": ""}


def _configuration(place: Path) -> dict[str, str]:
    try:
        text = (place / "pyvenv.cfg").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    return _keys(text)


def _keys(text: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {key.strip().lower(): value.strip() for key, _, value in pairs}


def _prompt(text: str | None) -> str | None:
    """Return the prompt, which ``pyvenv.cfg`` has as Python writes text."""
    try:
        value = ast.literal_eval(text) if text is not None else None
    except (ValueError, SyntaxError):
        return None
    return value if isinstance(value, str) else None


def _observed_mode(place: Path, plan: Plan) -> LinkMode:
    """Return how files came: hard links can be seen, clones not from here."""
    linked = (
        (Path(folder.source, file.source), place / folder.target / file.target)
        for folder in plan.links
        for file in folder.files
        if file.size and not file.private
    )
    for stored, here in itertools.islice(linked, _SAMPLE):
        try:
            if os.path.samefile(stored, here) or here.lstat().st_nlink > 1:
                return LinkMode.HARDLINK
        except OSError:
            continue
    return LinkMode.COPY
