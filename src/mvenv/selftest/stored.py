"""Faults of a store: F40 to F52."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from mvenv.diagnose.model import HealClass
from mvenv.link.modes import LinkMode
from mvenv.selftest.looking import look
from mvenv.selftest.model import ALL_MODES, Damage, Kind, Reach, digest_of
from mvenv.selftest.samples import CONTESTANTS, CONTESTED
from mvenv.selftest.scene import NoRoom, Scene, SceneFile
from mvenv.store.names import MANIFEST, SYNCED
from mvenv.store.registry import roots
from mvenv.wheels.manifest import Manifest

__all__ = ["STORE_KINDS"]

_PLAIN, _FIX, _REPORT = HealClass.PLAIN, HealClass.FIX, HealClass.REPORT
_PRIVATE = frozenset({LinkMode.REFLINK, LinkMode.COPY})
_NOBODY = 65534


def _take_entry(scene: Scene) -> tuple[str, Path]:
    """Return an undamaged distribution and its wheel's folder in the store."""
    name = scene.take_distribution()
    return name, scene.layout.entry(scene.files_of(name)[0].wheel)


def _pruned(scene: Scene) -> Damage:
    name, entry = _take_entry(scene)
    wrong = _stored_as_before(scene, scene.files_of(name))
    source = scene.has_wheels or not _is_everywhere_without(scene, name)
    shutil.rmtree(entry)
    return Damage(
        kind="pruned",
        codes=frozenset({"F40"}),
        places=(entry,),
        heal=_PLAIN,
        wrong=wrong if source else None,
        source=source,
    )


def _is_everywhere_without(scene: Scene, name: str) -> bool:
    """Return whether a path of a distribution is another's in each environment."""
    has = {one.distribution for one in scene.files if one.path.endswith(CONTESTED)}
    return name in CONTESTANTS - has


def _stored_as_before(
    scene: Scene, files: Iterable[SceneFile]
) -> Callable[[], str | None]:
    """Return what tells whether files are in the store as they were.

    What no environment has (a wheel's own RECORD) may be missing from an entry that
    was made again from environments.
    """
    places = {str(file.stored): file.stored for file in files}
    before = {path: look(place)[path] for path, place in places.items()}
    manifests = {scene.layout.entry(file.wheel) / MANIFEST for file in files}

    def wrong() -> str | None:
        for path, place in places.items():
            found = look(place).get(path)
            if found is None or found[:5] != before[path][:5]:
                return f"`{path}` is not in the store as it was"
        return next(
            (told for one in manifests if (told := _manifest_is_wrong(one))), None
        )

    return wrong


def _all_pruned(scene: Scene) -> Damage:
    place = scene.layout.root / "wheels"
    wrong = _stored_as_before(scene, scene.files)
    for folder in place.iterdir():
        shutil.rmtree(folder)
    return Damage(
        kind="all-pruned",
        codes=frozenset({"F40"}),
        places=(place,),
        heal=_PLAIN,
        wrong=wrong,
    )


def _incomplete(scene: Scene) -> Damage:
    file = scene.take_file(private=None, smallest=1)
    file.stored.unlink()
    return Damage(
        kind="incomplete-entry",
        codes=frozenset({"F41"}),
        places=(file.stored, scene.layout.entry(file.wheel)),
        heal=_PLAIN,
        done=(file.stored,),
    )


def _lost_tree(scene: Scene) -> Damage:
    if not scene.has_wheels:
        # A wheel's own RECORD is in no environment.
        raise NoRoom
    _, entry = _take_entry(scene)
    shutil.rmtree(entry / "tree")
    return Damage(
        kind="lost-tree", codes=frozenset({"F41"}), places=(entry,), heal=_PLAIN
    )


def _unflushed(scene: Scene) -> Damage:
    """Do what a power cut does to an entry of which nothing was flushed."""
    name, entry = _take_entry(scene)
    manifest = Manifest.from_bytes((entry / MANIFEST).read_bytes())
    files = [file for file in scene.files_of(name) if file.size]
    if manifest is None or not files:
        raise NoRoom
    before = Manifest(
        sha256=manifest.sha256,
        filename=manifest.filename,
        boot_id="another-boot",
        files=manifest.files,
    )
    (entry / MANIFEST).unlink()
    (entry / MANIFEST).write_bytes(before.to_bytes())
    (entry / MANIFEST).chmod(0o444)
    (entry / SYNCED).unlink(missing_ok=True)
    done = []
    for file in scene.random.sample(files, min(3, len(files))):
        seen = file.stored.stat()
        file.stored.unlink()
        file.stored.write_bytes(bytes(scene.random.choice((0, file.size))))
        file.stored.chmod(0o444)
        os.utime(file.stored, ns=(seen.st_atime_ns, seen.st_mtime_ns))
        done.append(file.stored)
    return Damage(
        kind="unflushed",
        codes=frozenset({"F43"}),
        places=(entry,),
        heal=_PLAIN,
        done=tuple(done),
        may_change=(entry,),
    )


def _seal(kind: str, change: Callable[[SceneFile], None]) -> Callable[[Scene], Damage]:
    """Return an injector that breaks the seal and leaves the bytes alone."""

    def inject(scene: Scene) -> Damage:
        file = scene.take_file()
        names = (*scene.names_of(file), file.stored)
        if not scene.is_linked(file):
            names = (file.stored,)
        change(file)
        return Damage(
            kind=kind, codes=frozenset({"F44", "F12"}), places=names, heal=_PLAIN
        )

    return inject


def _touch(file: SceneFile) -> None:
    seen = file.stored.stat()
    os.utime(file.stored, ns=(seen.st_atime_ns, seen.st_mtime_ns + 12_345_678_901))


def _manifest(kind: str, content: bytes | None) -> Callable[[Scene], Damage]:
    def inject(scene: Scene) -> Damage:
        _, entry = _take_entry(scene)
        place = entry / MANIFEST
        half = place.read_bytes()[:300]
        place.unlink()
        if content is not None:
            place.write_bytes(half + content)
        return Damage(
            kind=kind,
            codes=frozenset({"F45"}),
            places=(entry,),
            heal=_PLAIN,
            done=(place,),
            # A manifest that was made anew has another boot's name in it.
            wrong=lambda: _manifest_is_wrong(place),
        )

    return inject


def _manifest_is_wrong(place: Path) -> str | None:
    try:
        manifest = Manifest.from_bytes(place.read_bytes())
    except OSError:
        return "there is no manifest"
    return "the manifest is damaged" if manifest is None else None


def _alien(kind: str, below: str) -> Callable[[Scene], Damage]:
    """Return an injector that puts a user's file into the store."""

    def inject(scene: Scene) -> Damage:
        folder = scene.layout.root
        if below == "tree":
            folder = scene.take_file().stored.parent
        elif below == "entry":
            folder = scene.layout.entry(scene.take_file().wheel)
        content = scene.random.randbytes(100)
        place = folder / f"alien-{scene.random.getrandbits(32)}.txt"
        place.write_bytes(content)
        return Damage(
            kind=kind,
            codes=frozenset({"F46"}),
            places=(place,),
            heal=_FIX,
            kept=(digest_of(content),),
        )

    return inject


def _damaged_plan(scene: Scene) -> Damage:
    place = scene.layout.plans / scene.receipt().plan
    content = place.read_bytes()
    place.unlink()
    place.write_bytes(content[: len(content) // 2])

    def wrong() -> str | None:
        return None if _reads(place) == content else "the plan is damaged still"

    return Damage(
        kind="damaged-plan",
        codes=frozenset({"F47"}),
        places=(place,),
        heal=_PLAIN,
        done=(place,),
        wrong=wrong,
    )


def _reads(place: Path) -> bytes | None:
    return place.read_bytes() if place.is_file() else None


def _registry(kind: str, content: bytes | None) -> Callable[[Scene], Damage]:
    def inject(scene: Scene) -> Damage:
        receipt = scene.receipt()
        place = scene.layout.envs / receipt.id
        place.unlink()
        if content is not None:
            place.write_bytes(content)

        def wrong() -> str | None:
            for root in roots(scene.layout):
                if (root.id, root.path) == (receipt.id, receipt.path):
                    return None
            return "the environment is not on record"

        return Damage(
            kind=kind,
            codes=frozenset({"F48"} if content is None else {"F47", "F48"}),
            places=(scene.environment, place),
            heal=_PLAIN,
            done=(place,),
            wrong=wrong,
        )

    return inject


def _lost_store(scene: Scene) -> Damage:
    place = scene.layout.root
    wrong = _stored_as_before(scene, scene.files)
    shutil.rmtree(place)
    return Damage(
        kind="lost-store",
        codes=frozenset({"F40", "F48", "F49"}),
        places=(place, *scene.environments),
        heal=_PLAIN,
        done=(place,),
        may_change=(place,),
        wrong=wrong,
    )


def _foreign_store(scene: Scene) -> Damage:
    place = scene.layout.root
    os.chown(place, _NOBODY, _NOBODY)
    return Damage(
        kind="foreign-store", codes=frozenset({"F51"}), places=(), heal=_REPORT
    )


def _writable_store(scene: Scene) -> Damage:
    scene.layout.root.chmod(0o777)
    return Damage(
        kind="writable-store", codes=frozenset({"F51"}), places=(), heal=_REPORT
    )


def _leftover(
    kind: str, codes: str, make: Callable[[Scene], Path]
) -> Callable[[Scene], Damage]:
    def inject(scene: Scene) -> Damage:
        place = make(scene)
        return Damage(
            kind=kind, codes=frozenset(codes.split()), places=(place,), heal=_PLAIN
        )

    return inject


def _abandoned(scene: Scene) -> Path:
    place = scene.layout.tmp / f"boot.1.{scene.random.getrandbits(32):08x}"
    (place / "1" / "tree").mkdir(parents=True)
    (place / "1" / "tree" / "half.py").write_text("half = 1\n")
    (place / ".lock").touch()
    return place


def _trash(scene: Scene) -> Path:
    place = scene.layout.trash / f"grave.{scene.random.getrandbits(32):08x}"
    place.mkdir()
    (place / "old.py").write_text("old = 1\n")
    return place


def _temporary(scene: Scene) -> Path:
    place = scene.layout.envs / f".0123456789abcdef.99.{scene.random.getrandbits(16)}"
    place.write_bytes(b"half a record")
    two_hours_ago = scene.layout.tmp.stat().st_mtime_ns - 7200 * 10**9
    os.utime(place, ns=(two_hours_ago, two_hours_ago))
    return place


def _half_changed(scene: Scene) -> Path:
    place = scene.take_file().name.parent / ".mvenv-new~"
    if place.exists():
        raise NoRoom
    place.write_bytes(b"half of a file")
    return place


def _kind(
    name: str,
    code: str,
    inject: Callable[[Scene], Damage],
    *,
    reach: Reach = Reach.FILE,
    modes: frozenset[LinkMode] = ALL_MODES,
    needs_root: bool = False,
) -> Kind:
    return Kind(
        name=name,
        code=code,
        inject=inject,
        reach=reach,
        modes=modes,
        needs_root=needs_root,
    )


STORE_KINDS: tuple[Kind, ...] = (
    _kind("pruned", "F40", _pruned),
    _kind("all-pruned", "F40", _all_pruned, reach=Reach.WORLD),
    _kind("incomplete-entry", "F41", _incomplete),
    _kind("lost-tree", "F41", _lost_tree),
    _kind("abandoned-run", "F42", _leftover("abandoned-run", "F42 F52", _abandoned)),
    _kind("unflushed", "F43", _unflushed),
    _kind(
        "broken-seal",
        "F44",
        _seal("broken-seal", lambda file: file.stored.chmod(0o644)),
    ),
    _kind("touched-in-store", "F44", _seal("touched-in-store", _touch)),
    _kind("lost-manifest", "F45", _manifest("lost-manifest", None)),
    _kind("garbled-manifest", "F45", _manifest("garbled-manifest", b"\xff" * 40)),
    _kind("alien-in-tree", "F46", _alien("alien-in-tree", "tree")),
    _kind("alien-in-entry", "F46", _alien("alien-in-entry", "entry")),
    _kind("alien-in-store", "F46", _alien("alien-in-store", "root")),
    _kind("damaged-plan", "F47", _damaged_plan, reach=Reach.WORLD),
    _kind(
        "garbled-registry",
        "F47",
        _registry("garbled-registry", b"nonsense\n"),
        reach=Reach.WORLD,
    ),
    _kind("unregistered", "F48", _registry("unregistered", None), reach=Reach.WORLD),
    _kind("lost-store", "F40", _lost_store, reach=Reach.WORLD),
    _kind("foreign-store", "F51", _foreign_store, reach=Reach.WORLD, needs_root=True),
    _kind("writable-store", "F51", _writable_store, reach=Reach.WORLD),
    _kind("trash", "F52", _leftover("trash", "F52", _trash)),
    _kind("temporary-record", "F52", _leftover("temporary-record", "F52", _temporary)),
    _kind("half-changed", "F52", _leftover("half-changed", "F52", _half_changed)),
)
