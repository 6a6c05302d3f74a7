"""Faults of packaging metadata and of what create wrote: F20 to F28."""

from __future__ import annotations

import shutil
from collections.abc import Callable

from mvenv.diagnose.model import HealClass
from mvenv.env.receipt import FOLDER, PLAN, RECEIPT, read_receipt
from mvenv.selftest.blows import edited, put_in_place_of
from mvenv.selftest.model import Damage, Kind, Reach, digest_of
from mvenv.selftest.scene import NoRoom, Scene

__all__ = ["METADATA_KINDS"]

_PLAIN, _FIX, _REPORT = HealClass.PLAIN, HealClass.FIX, HealClass.REPORT


def _missing_metadata(scene: Scene) -> Damage:
    info = scene.dist_info(scene.take_distribution())
    shutil.rmtree(info)
    return Damage(
        kind="missing-metadata",
        codes=frozenset({"F20"}),
        places=(info,),
        heal=_PLAIN,
    )


def _two_versions(scene: Scene) -> Damage:
    """Leave the metadata of another version behind, as a killed upgrade does."""
    name = scene.take_distribution()
    info = scene.dist_info(name)
    other = info.with_name(f"{name}-{scene.random.choice(['0.1', '9.9'])}.dist-info")
    other.mkdir()
    for file in info.iterdir():
        text = file.read_text(encoding="utf-8")
        if file.name == "METADATA":
            text = text.replace("Version: 1.0", f"Version: {other.name.split('-')[1]}")
        if file.name == "RECORD":
            text = text.replace("sha256=", "sha256=AA").replace(info.name, other.name)
        (other / file.name).write_text(text, encoding="utf-8")
    return Damage(
        kind="two-versions",
        codes=frozenset({"F21"}),
        places=(info, other),
        heal=_FIX,
        done=(other,),
    )


def _record(
    kind: str, change: Callable[[str, Scene], str | None]
) -> Callable[[Scene], Damage]:
    """Return an injector that gives a RECORD other text, or takes it away."""

    def inject(scene: Scene) -> Damage:
        place = scene.take_generated(prefix="lib/", suffix="/RECORD")
        before = place.read_text(encoding="utf-8")
        after = change(before, scene)
        place.unlink()
        if after is not None:
            place.write_text(after, encoding="utf-8")
        return Damage(
            kind=kind,
            codes=frozenset({"F22"} if after is not None else {"F22", "F01"}),
            places=(place,),
            heal=_FIX if after is not None else _PLAIN,
        )

    return inject


def _without_a_row(text: str, scene: Scene) -> str:
    rows = text.splitlines(keepends=True)
    rows.remove(scene.random.choice([row for row in rows if "sha256=" in row]))
    return "".join(rows)


def _with_a_wrong_hash(text: str, scene: Scene) -> str:
    rows = text.splitlines(keepends=True)
    row = scene.random.choice([row for row in rows if "sha256=" in row])
    path, digest, size = row.split(",")
    wrong = digest[:-3] + ("AAA" if not digest.endswith("AAA") else "BBB")
    return text.replace(row, f"{path},{wrong},{size}")


def _foreign_row(scene: Scene) -> Damage:
    """Damage a RECORD in which somebody put a row of his own: that one stays."""
    place = scene.take_generated(prefix="lib/", suffix="/RECORD")
    before = place.read_text(encoding="utf-8")
    mine = scene.site / f"added_by_hand_{scene.random.getrandbits(32)}.py"
    mine.write_text("MINE = 1\n")
    row = f"{mine.name},,\n"
    place.unlink()
    place.write_text(_with_a_wrong_hash(before, scene) + row, encoding="utf-8")

    def wrong() -> str | None:
        rows = set(place.read_text(encoding="utf-8").splitlines(keepends=True))
        if not set(before.splitlines(keepends=True)) <= rows:
            return "rows of RECORD are still wrong"
        return None if row in rows else "a row that somebody had added is gone"

    return Damage(
        kind="record-with-a-foreign-row",
        codes=frozenset({"F22"}),
        places=(place,),
        heal=_FIX,
        done=(place, mine),
        wrong=wrong,
    )


def _wrong_metadata(scene: Scene) -> Damage:
    file = scene.take_file(suffix=".dist-info/METADATA")
    content = scene.random.choice(
        (b"\x93 no headers at all \xff\xfe", b"Metadata-Version: 2.1\nName: other\n")
    )
    put_in_place_of(file.name, content, mode=0o644)
    return Damage(
        kind="wrong-metadata",
        codes=frozenset({"F23"}),
        places=(file.name,),
        heal=_PLAIN,
        kept=(digest_of(content),),
    )


def _changed_distribution(scene: Scene) -> Damage:
    """Upgrade a distribution, as pip does it."""
    name = scene.take_distribution()
    info = scene.dist_info(name)
    newer = info.with_name(f"{name}-2.0.dist-info")
    module = scene.site / name / "__init__.py"
    content = f"version = 2  # {scene.random.getrandbits(32)}\n".encode()
    put_in_place_of(module, content, mode=0o644)
    shutil.rmtree(info)
    newer.mkdir()
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.0\n"
    (newer / "METADATA").write_text(metadata)
    (newer / "INSTALLER").write_text("pip\n")
    (newer / "RECORD").write_text(
        f"{name}/__init__.py,,\n{newer.name}/METADATA,,\n{newer.name}/INSTALLER,,\n"
        f"{newer.name}/RECORD,,\n"
    )
    removed = []
    for file in scene.files_of(name):
        if file.name.is_relative_to(module.parent) and file.name != module:
            file.name.unlink()
            removed.append(file.name)
    return Damage(
        kind="changed-distribution",
        codes=frozenset({"F24"}),
        places=(info, newer, module, *removed),
        heal=_REPORT,
        drift=True,
        kept=(digest_of(content),),
    )


def _editable_gone(scene: Scene) -> Damage:
    """Remove a project that was installed in editable mode."""
    number = scene.random.getrandbits(32)
    name = f"mine{number}"
    pth = scene.site / f"__editable__.{name}-0.1.pth"
    pth.write_text(f"{scene.outside / name / 'src'}\n")
    info = scene.site / f"{name}-0.1.dist-info"
    info.mkdir()
    url = (
        f'{{"dir_info": {{"editable": true}}, "url": "file://{scene.outside / name}"}}'
    )
    (info / "direct_url.json").write_text(url)
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1\n"
    (info / "METADATA").write_text(metadata)
    (info / "INSTALLER").write_text("pip\n")
    files = (pth.name, *(f"{info.name}/{one.name}" for one in info.iterdir()))
    (info / "RECORD").write_text(
        "".join(f"{one},,\n" for one in (*files, f"{info.name}/RECORD"))
    )
    return Damage(
        kind="editable-gone",
        codes=frozenset({"F25"}),
        places=(pth, info),
        heal=_REPORT,
    )


def _script(
    kind: str, change: Callable[[bytes, Scene], bytes | None], *, users_bytes: bool
) -> Callable[[Scene], Damage]:
    """Return an injector for scripts that create wrote."""

    def inject(scene: Scene) -> Damage:
        place = scene.take_generated(
            prefix="bin/", suffix=scene.random.choice(["-run", "-tool"])
        )
        content = change(place.read_bytes(), scene)
        if content is None:
            place.unlink()
        else:
            put_in_place_of(place, content)
        return Damage(
            kind=kind,
            codes=frozenset({"F26"} if content is not None else {"F26", "F01"}),
            places=(place,),
            heal=_PLAIN,
            kept=(digest_of(content),) if users_bytes and content else (),
        )

    return inject


def _other_shebang(content: bytes, scene: Scene) -> bytes:
    first, _, rest = content.partition(b"\n")
    gone = scene.outside / "python-that-is-gone" / "bin" / "python"
    if not first.startswith(b"#!"):
        raise NoRoom
    return b"#!%s\n%s" % (str(gone).encode(), rest)


def _missing_activation(scene: Scene) -> Damage:
    place = scene.take_generated(prefix="bin/activate")
    place.unlink()
    return Damage(
        kind="missing-activation",
        codes=frozenset({"F01", "F26"}),
        places=(place,),
        heal=_PLAIN,
    )


def _records_lost(
    kind: str, names: tuple[str, ...], content: bytes | None
) -> Callable[[Scene], Damage]:
    """Return an injector that takes mvenv's own records of an environment."""

    def inject(scene: Scene) -> Damage:
        before = scene.receipt()
        places = [scene.environment / name for name in names]
        for place in places:
            if content is None:
                place.unlink()
            else:
                put_in_place_of(place, place.read_bytes()[: len(content)] + content)

        def wrong() -> str | None:
            after = read_receipt(scene.environment)
            if after is None:
                return "there is no receipt"
            if (after.id, after.path, after.plan, after.distributions) != (
                before.id,
                before.path,
                before.plan,
                before.distributions,
            ):
                return "the receipt says something else"
            if not (scene.environment / PLAN).is_file():
                return "there is no plan"
            return None

        return Damage(
            kind=kind,
            codes=frozenset({"F28"}),
            places=(scene.environment,),
            heal=_PLAIN,
            done=(scene.environment / FOLDER,),
            wrong=wrong,
        )

    return inject


_GARBAGE = b"garbage " * 20

METADATA_KINDS: tuple[Kind, ...] = (
    Kind(name="missing-metadata", code="F20", inject=_missing_metadata),
    Kind(name="two-versions", code="F21", inject=_two_versions),
    Kind(
        name="missing-record",
        code="F22",
        inject=_record("missing-record", lambda *_: None),
    ),
    Kind(
        name="garbled-record",
        code="F22",
        inject=_record("garbled-record", lambda *_: "\0\0\0,,,,\n\x01"),
    ),
    Kind(
        name="record-without-a-row",
        code="F22",
        inject=_record("record-without-a-row", _without_a_row),
    ),
    Kind(
        name="record-with-a-wrong-hash",
        code="F22",
        inject=_record("record-with-a-wrong-hash", _with_a_wrong_hash),
    ),
    Kind(name="record-with-a-foreign-row", code="F22", inject=_foreign_row),
    Kind(name="wrong-metadata", code="F23", inject=_wrong_metadata),
    Kind(name="changed-distribution", code="F24", inject=_changed_distribution),
    Kind(name="editable-gone", code="F25", inject=_editable_gone),
    Kind(
        name="missing-script",
        code="F26",
        inject=_script("missing-script", lambda *_: None, users_bytes=False),
    ),
    Kind(
        name="edited-script",
        code="F26",
        inject=_script(
            "edited-script",
            lambda old, scene: edited(old, scene.random),
            users_bytes=True,
        ),
    ),
    Kind(
        name="wrong-shebang",
        code="F26",
        inject=_script("wrong-shebang", _other_shebang, users_bytes=True),
    ),
    Kind(name="missing-activation", code="F26", inject=_missing_activation),
    Kind(
        name="lost-receipt",
        code="F28",
        reach=Reach.WORLD,
        inject=_records_lost("lost-receipt", (RECEIPT,), None),
    ),
    Kind(
        name="garbled-receipt",
        code="F28",
        reach=Reach.WORLD,
        inject=_records_lost("garbled-receipt", (RECEIPT,), _GARBAGE),
    ),
    Kind(
        name="lost-plan",
        code="F28",
        reach=Reach.WORLD,
        inject=_records_lost("lost-plan", (PLAN,), None),
    ),
    Kind(
        name="garbled-plan",
        code="F28",
        reach=Reach.WORLD,
        inject=_records_lost("garbled-plan", (PLAN,), _GARBAGE),
    ),
    Kind(
        name="lost-records",
        code="F28",
        reach=Reach.WORLD,
        inject=_records_lost("lost-records", (RECEIPT, PLAN), None),
    ),
)
