"""One tree of errors: as drawn, as coded, as documented."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mvenv import errors
from mvenv.errors import (
    HashMismatch,
    LockfileError,
    MvenvError,
    SeveralErrors,
    StoreError,
    SystemFault,
)

REFERENCE = Path(__file__).parents[1] / "docs/cli.md"
CLASSES: dict[str, type[MvenvError]] = {
    name: getattr(errors, name) for name in errors.__all__
}


def drawn_tree() -> dict[str, tuple[str | None, str]]:
    """Return each drawn class with its base and its code."""
    found: dict[str, tuple[str | None, str]] = {}
    branch: list[str] = []
    assert errors.__doc__
    for line in errors.__doc__.splitlines():
        drawn = re.match(r"    ((?:│   |    )*(?:[├└]── )?)([A-Z]\w+) +(\S.*)", line)
        if drawn:
            depth = len(drawn[1]) // 4
            branch[depth:] = [drawn[2]]
            found[drawn[2]] = (branch[depth - 1] if depth else None, drawn[3])
    return found


def documented_codes() -> dict[str, set[str]]:
    """Return each exit code of the reference with the classes it names."""
    section = REFERENCE.read_text(encoding="utf-8").split("## Exit codes")[1]
    rows = re.findall(
        r"^\| (\d+) +\|[^|]*\|([^|]*)\|$", section.split("\n## ")[0], re.MULTILINE
    )
    return {code: set(re.findall(r"`(\w+)`", names)) for code, names in rows}


def test_the_drawn_tree_is_the_real_one() -> None:
    real = {
        name: None if one is MvenvError else one.__mro__[1].__name__
        for name, one in CLASSES.items()
    }

    assert {name: base for name, (base, _) in drawn_tree().items()} == real


def test_the_drawn_codes_are_the_real_ones() -> None:
    drawn = {name: code for name, (_, code) in drawn_tree().items()}

    assert drawn.pop("SeveralErrors") == "the code of its first member"
    assert drawn == {
        name: str(one.exit_code)
        for name, one in CLASSES.items()
        if one is not SeveralErrors
    }


def test_every_class_is_exported() -> None:
    defined = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, MvenvError)
    }

    assert defined == set(errors.__all__)


def test_every_exit_code_is_documented() -> None:
    documented = documented_codes()

    assert {"0", "1", "2", "129", "130", "143"} <= set(documented)
    for name, one in CLASSES.items():
        if one is not SeveralErrors:
            assert name in documented[str(one.exit_code)], name
    named = set().union(*documented.values())
    assert named == set(CLASSES) - {"SeveralErrors"}


def test_one_error_stays_itself() -> None:
    error = StoreError("a")

    assert SeveralErrors.unless_one([error]) is error


def test_several_errors_have_the_first_ones_code() -> None:
    several = SeveralErrors.unless_one([StoreError("a"), LockfileError("b")])

    assert isinstance(several, SeveralErrors)
    assert several.exit_code == StoreError.exit_code
    assert [str(one) for one in several.errors] == ["a", "b"]


def test_facts_stay_facts() -> None:
    error = HashMismatch("m", expected=("aa",), actual="bb", hint="h")

    assert (error.message, error.hint, error.expected, error.actual) == (
        "m",
        "h",
        ("aa",),
        "bb",
    )


def test_a_system_fault_names_the_path(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as missing:
        (tmp_path / "none").read_bytes()

    fault = SystemFault.from_os_error(missing.value, "reading")

    assert str(fault) == f"reading: {tmp_path}/none: no such file or directory"
