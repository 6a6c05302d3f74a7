"""What is read out of an unpacked wheel."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from kit.wheels import WheelMaker
from mvenv.errors import InvalidWheel, SystemFault
from mvenv.wheels.facts import EntryPoint, WheelFacts, read_facts
from mvenv.wheels.manifest import Manifest
from mvenv.wheels.unpack import unpack


def unpacked(archive: Path) -> tuple[Path, Manifest]:
    """Unpack a wheel beside its folder."""
    tree = archive.parent.parent / "tree"
    manifest = unpack(
        archive,
        filename=archive.name,
        sha256="0" * 64,
        destination=tree,
        boot_id="",
        moment=1_700_000_000,
    )
    return tree, manifest


def facts_of(archive: Path) -> WheelFacts:
    """Return the facts of a wheel."""
    return read_facts(*unpacked(archive))


def test_facts_of_a_wheel(make_wheel: WheelMaker) -> None:
    facts = facts_of(
        make_wheel(
            "Some.Demo",
            "1.0.post1",
            entry_points="[console_scripts]\nrun = demo:run\n[gui_scripts]\nw = d:e\n",
        )
    )

    assert facts.name == "Some.Demo"
    assert facts.normalized_name == "some-demo"
    assert facts.version == "1.0.post1"
    assert facts.dist_info == "some_demo-1.0.post1.dist-info"
    assert facts.root_is_purelib
    assert facts.console == (EntryPoint("run", "demo", "run"),)
    assert facts.gui == (EntryPoint("w", "d", "e"),)
    assert facts.rewritten_scripts == {}


@pytest.mark.parametrize(
    ("line", "expected"),
    [("true", True), ("True", True), ("false", False), ("yes", False), (None, False)],
)
def test_where_the_root_belongs(
    make_wheel: WheelMaker, line: str | None, expected: bool
) -> None:
    text = "Wheel-Version: 1.0\n" + (f"Root-Is-Purelib: {line}\n" if line else "")

    facts = facts_of(make_wheel("demo", files={"demo-1.0.dist-info/WHEEL": text}))

    assert facts.root_is_purelib is expected


def test_invalid_entry_points_name_the_wheel(make_wheel: WheelMaker) -> None:
    archive = make_wheel("demo", entry_points="[console_scripts]\n../x = a:b\n")

    with pytest.raises(InvalidWheel, match=r"`demo-1\.0-py3-none-any\.whl` is refused"):
        facts_of(archive)


def test_scripts_to_rewrite_are_taken_apart(make_wheel: WheelMaker) -> None:
    scripts = "demo-1.0.data/scripts"
    facts = facts_of(
        make_wheel(
            "demo",
            files={
                f"{scripts}/one": "#!python -u\nx\n",
                f"{scripts}/sub/two": "#!pythonw\ny\n",
                f"{scripts}/three": "#!/bin/sh\n",
                f"{scripts}/empty": "",
                f"{scripts}/run": "#!python\nby setuptools\n",
                "demo/scripts/four": "#!python\n",
            },
            entry_points="[console_scripts]\nrun = demo:run\n",
        )
    )

    assert facts.rewritten_scripts == {
        f"{scripts}/one": (b"x\n", b"-u"),
        f"{scripts}/sub/two": (b"y\n", b""),
    }


PKGUTIL = "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n"
PKG_RESOURCES = "__import__('pkg_resources').declare_namespace(__name__)\n"
NAMESPACES: dict[str, tuple[Mapping[str, str | bytes], set[str]]] = {
    "pkgutil": ({"ns/__init__.py": PKGUTIL}, {"ns/__init__.py"}),
    "pkg_resources": ({"ns/__init__.py": PKG_RESOURCES}, {"ns/__init__.py"}),
    "nested": (
        {"a/__init__.py": PKGUTIL, "a/b/__init__.py": PKGUTIL, "a/b/c/__init__.py": ""},
        {"a/__init__.py", "a/b/__init__.py"},
    ),
    "below a folder without one": (
        {"a/b/__init__.py": PKGUTIL},
        {"a/b/__init__.py"},
    ),
    "beside": (
        {"a/__init__.py": "x = 1\n", "a-b/__init__.py": PKGUTIL},
        {"a-b/__init__.py"},
    ),
    "in a data folder": (
        {"demo-1.0.data/platlib/ns/__init__.py": PKGUTIL},
        {"demo-1.0.data/platlib/ns/__init__.py"},
    ),
    "ordinary": ({"a/__init__.py": "import a\n", "b/__init__.py": ""}, set()),
    "below a package that nobody shares": (
        {"a/__init__.py": "x = 1\n", "a/b/c/__init__.py": PKGUTIL},
        set(),
    ),
    "too large to be one": ({"a/__init__.py": PKGUTIL + "#" * 20_000}, set()),
}


@pytest.mark.parametrize(("files", "expected"), NAMESPACES.values(), ids=NAMESPACES)
def test_namespace_packages_are_seen(
    make_wheel: WheelMaker, files: Mapping[str, str | bytes], expected: set[str]
) -> None:
    assert facts_of(make_wheel("demo", files=files)).namespaces == expected


def test_a_tree_that_is_gone(make_wheel: WheelMaker, tmp_path: Path) -> None:
    _, manifest = unpacked(make_wheel("demo"))

    with pytest.raises(SystemFault, match="cannot read the unpacked"):
        read_facts(tmp_path / "nowhere", manifest)
