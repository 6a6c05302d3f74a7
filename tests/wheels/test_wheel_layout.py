"""Where files go and what is private: the rules; pip is asked in another module."""

from __future__ import annotations

import pytest

from mvenv.errors import InvalidWheel
from mvenv.target import Scheme
from mvenv.wheels.facts import EntryPoint, ScriptBody, WheelFacts
from mvenv.wheels.layout import PlacedFile, Placing, WheelLayout, layout_wheel
from mvenv.wheels.manifest import Manifest, ManifestFile
from mvenv.wheels.private import KNOWN_WRITERS, SMALL_SCRIPT, SMALL_TEXT, KnownWriter

SCHEME = Scheme(
    purelib="lib/python3.12/site-packages",
    platlib="lib64/python3.12/site-packages",
    scripts="bin",
    headers="include/site/python3.12",
    data="",
)
PURE, PLAT = SCHEME.purelib, SCHEME.platlib
INFO = "demo-1.0.dist-info"
DATA = "demo-1.0.data"


def one_file(
    path: str, *, size: int = 100, mode: int = 0o444, digest: str = "ab"
) -> ManifestFile:
    """Return a file of a manifest."""
    return ManifestFile(path, digest * 32, digest * 16, size, mode, 1)


def lay_out(
    *files: ManifestFile,
    pure: bool = True,
    name: str = "demo",
    console: tuple[str, ...] = (),
    rewritten: tuple[str, ...] = (),
    namespaces: tuple[str, ...] = (),
) -> WheelLayout:
    """Lay out a wheel with these files."""
    manifest = Manifest(sha256="", filename="demo.whl", boot_id="", files=files)
    facts = WheelFacts(
        name=name.title(),
        normalized_name=name,
        version="1.0",
        dist_info=INFO,
        root_is_purelib=pure,
        console=tuple(EntryPoint(one, "a", "b") for one in console),
        gui=(EntryPoint("window", "a", "b"),),
        rewritten_scripts={path: ScriptBody(b"x", b"") for path in rewritten},
        namespaces=frozenset(namespaces),
    )
    return layout_wheel(manifest, facts, SCHEME)


def place(path: str, *, size: int = 100, mode: int = 0o444) -> PlacedFile:
    """Lay out a wheel with one file, and return its row."""
    return lay_out(one_file(path, size=size, mode=mode)).rows[0]


TARGETS = {
    "demo/a.py": f"{PURE}/demo/a.py",
    "demo.py": f"{PURE}/demo.py",
    f"{INFO}/METADATA": f"{PURE}/{INFO}/METADATA",
    f"{DATA}/purelib/a.py": f"{PURE}/a.py",
    f"{DATA}/platlib/sub/a.so": f"{PLAT}/sub/a.so",
    f"{DATA}/scripts/run": "bin/run",
    f"{DATA}/scripts/sub/run": "bin/sub/run",
    f"{DATA}/headers/a.h": "include/site/python3.12/demo/a.h",
    f"{DATA}/headers/sub/a.h": "include/site/python3.12/demo/sub/a.h",
    f"{DATA}/data/readme.bin": "readme.bin",
    f"{DATA}/data/share/man/man1/a.1": "share/man/man1/a.1",
    "other-2.0.data/purelib/a.py": f"{PURE}/a.py",
    "demo.database/a.py": f"{PURE}/demo.database/a.py",
}


@pytest.mark.parametrize(("path", "target"), TARGETS.items(), ids=TARGETS)
def test_places(path: str, target: str) -> None:
    assert place(path).target == target


def test_a_platform_wheel_goes_to_platlib() -> None:
    rows = lay_out(one_file("demo/a.py"), one_file(f"{INFO}/METADATA"), pure=False).rows

    assert [row.target for row in rows] == [
        f"{PLAT}/demo/a.py",
        f"{PLAT}/{INFO}/METADATA",
    ]


PRIVATE = {
    "pth": "demo.pth",
    "pth of platlib": f"{DATA}/platlib/demo.pth",
    "pth by the data scheme": f"{DATA}/data/{PURE}/demo.pth",
    "sitecustomize": "sitecustomize.py",
    "usercustomize": f"{DATA}/purelib/usercustomize.py",
    "etc": f"{DATA}/data/etc/jupyter/x.bin",
    "text of share": f"{DATA}/data/share/jupyter/kernels/python3/kernel.json",
    "template": "alembic/templates/generic/env.py",
    "one template": "django/conf/project_template/manage.py-tpl",
    "several templates": "demo/app_templates/a/b",
    "skeleton": "demo/skeleton/a",
    "skeletons": "skeletons/a",
    "INSTALLER": f"{INFO}/INSTALLER",
    "REQUESTED": f"{INFO}/REQUESTED",
    "direct_url": f"{INFO}/direct_url.json",
    "script": f"{DATA}/scripts/run",
}
SHARED = {
    "module": "demo/a.py",
    "pth deeper down": "demo/demo.pth",
    "sitecustomize deeper down": "demo/sitecustomize.py",
    "program of share": f"{DATA}/data/share/demo/a.so",
    "templates in a name": "demo/templates.py",
    "other templates": "demo/templates_c/a",
    "metadata": f"{INFO}/METADATA",
    "INSTALLER elsewhere": "demo/INSTALLER",
    "etc of a package": "etc/a.json",
    "share of a package": "share/a.json",
    "signature, as pip keeps it": f"{INFO}/RECORD.jws",
    "RECORD of another": "demo/RECORD",
}


@pytest.mark.parametrize("path", PRIVATE.values(), ids=PRIVATE)
def test_private_files(path: str) -> None:
    assert place(path).how is Placing.PRIVATE


@pytest.mark.parametrize("path", SHARED.values(), ids=SHARED)
def test_shared_files(path: str) -> None:
    assert place(path).how is Placing.LINK


def test_large_files_of_share_are_shared() -> None:
    path = f"{DATA}/data/share/a.json"

    assert place(path, size=SMALL_TEXT).how is Placing.PRIVATE
    assert place(path, size=SMALL_TEXT + 1).how is Placing.LINK


def test_large_programs_among_the_scripts_are_shared() -> None:
    """But a link has the mode of the stored file, so that has to be executable."""
    path = f"{DATA}/scripts/ruff"

    assert place(path, size=SMALL_SCRIPT, mode=0o555).how is Placing.PRIVATE
    assert place(path, size=SMALL_SCRIPT + 1, mode=0o555).how is Placing.LINK
    assert place(path, size=SMALL_SCRIPT + 1, mode=0o755).how is Placing.LINK
    assert place(path, size=SMALL_SCRIPT + 1, mode=0o444).how is Placing.PRIVATE


def test_scripts_are_executable_whatever_the_archive_says() -> None:
    assert place(f"{DATA}/scripts/run", mode=0o444).executable
    assert place("demo/run", mode=0o555).executable
    assert not place("demo/a.py", mode=0o444).executable


def test_only_pth_files_of_site_packages_are_late() -> None:
    assert place("demo.pth").is_pth
    assert place("demo.pth", size=0).is_pth
    assert place(f"{DATA}/data/{PLAT}/demo.pth").is_pth
    assert not place("demo/demo.pth").is_pth
    assert not place("sitecustomize.py").is_pth


def test_empty_files_are_made_anew() -> None:
    assert place("demo/__init__.py", size=0).how is Placing.EMPTY


def test_namespace_packages_are_private() -> None:
    row = lay_out(one_file("ns/__init__.py"), namespaces=("ns/__init__.py",)).rows[0]

    assert row.how is Placing.PRIVATE


def test_record_is_left_to_who_installs() -> None:
    assert place(f"{INFO}/RECORD").how is Placing.DROPPED


def test_scripts_are_rewritten() -> None:
    path = f"{DATA}/scripts/run"

    layout = lay_out(one_file(path), rewritten=(path,))

    assert layout.rows[0].how is Placing.REWRITE
    assert layout.rewritten[path] == (b"x", b"")


@pytest.mark.parametrize("name", ["run", "run.exe", "run-script.py", "window"])
def test_launchers_that_setuptools_made_are_left_out(name: str) -> None:
    row = lay_out(one_file(f"{DATA}/scripts/{name}"), console=("run",)).rows[0]

    assert row.how is Placing.DROPPED


@pytest.mark.parametrize("known", KNOWN_WRITERS, ids=lambda known: known.distribution)
def test_known_writers_get_their_own(known: KnownWriter) -> None:
    path = known.pattern.replace("*", "driver")

    mine = lay_out(one_file(path), name=known.distribution).rows[0]
    others = lay_out(one_file(path)).rows[0]

    assert mine.how is Placing.PRIVATE
    assert others.how is Placing.LINK
    assert known.reason


def test_two_files_for_one_place() -> None:
    files = (one_file(f"{DATA}/purelib/a.py"), one_file("a.py"))

    assert [row.target for row in lay_out(*files).rows] == [f"{PURE}/a.py"]
    with pytest.raises(InvalidWheel, match=r"both go to `lib/python3.12/.*a.py`"):
        lay_out(files[0], one_file("a.py", digest="cd"))
    with pytest.raises(InvalidWheel, match="differ"):
        lay_out(files[0], one_file("a.py", mode=0o555))
