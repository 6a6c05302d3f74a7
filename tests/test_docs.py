"""The reference pages say what the program does, and links lead somewhere."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import click
import pytest

from mvenv.cli.venv import venv_parser

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(page for page in DOCS.rglob("*.md") if "_build" not in page.parts)
LINK = re.compile(r"\]\(([^)\s]+)\)")


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    """Return the extension that writes the reference."""
    sys.path.insert(0, str(DOCS / "_ext"))
    try:
        import command_line
    finally:
        sys.path.pop(0)
    return command_line


def test_every_command_is_in_the_reference_with_its_options(
    reference: ModuleType,
) -> None:
    """Each below a heading of its own, with name, variable and meaning."""
    page = reference.expand((DOCS / "cli.md").read_text(encoding="utf-8"))
    sections = dict(re.findall(r"^## (.*)\n((?:(?!## ).*\n?)*)", page, re.MULTILINE))

    for path, (one, _) in reference.all_commands().items():
        rows = re.findall(
            r"^\| `(.*)` \| `(.*)` \| (.+) \|$", sections[path], re.MULTILINE
        )
        assert one.params
        assert len(rows) == len(one.params)
        for parameter, (names, variable, _meaning) in zip(
            one.params, rows, strict=True
        ):
            assert variable == parameter.envvar
            if isinstance(parameter, click.Option):
                assert {*parameter.opts, *parameter.secondary_opts} <= {
                    *re.split(r"[ ,/]+", names)
                }
        assert f"[`{path}`](#{path.replace(' ', '-')})" in page


def test_the_reference_of_the_drop_in_has_all_its_options(
    reference: ModuleType,
) -> None:
    page = reference.expand((DOCS / "venv.md").read_text(encoding="utf-8"))

    for action in venv_parser("x")._actions:
        for option in action.option_strings:
            assert re.search(rf"^\| `.*{option}\b.*` \| .+ \|$", page, re.MULTILINE)


@pytest.mark.parametrize(
    "fence",
    [
        "{options} mvenv nothing\n",
        "{options} mvenv list\n--nothing: of that name\n",
        "{options} mvenv store export\n--env: no text for ARCHIVE, which has no help\n",
        "{options} mvenv list\n--json: once\n--json: twice\n",
        "{options} mvenv list\nno such line\n",
        "{variables}\nMVENV_STORE: an option's\n",
    ],
)
def test_what_fits_no_command_ends_the_build(reference: ModuleType, fence: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        reference.expand(f"```{fence}```\n")


def test_a_note_takes_the_place_of_the_help_and_defaults_are_clicks(
    reference: ModuleType,
) -> None:
    text = reference.expand(
        "```{options} mvenv selftest\n--json: For programs.\n```\nAfter.\n"
    )

    assert text.startswith("```text\nmvenv selftest [OPTIONS]\n```\n")
    assert "| `--json` | `MVENV_JSON` | For programs. |\n" in text
    assert re.search(r"\| `--rounds N` .* Default: `1`\. \|\n", text)
    assert text.endswith("\nAfter.\n")


def test_every_variable_of_the_sources_is_in_the_reference(
    reference: ModuleType,
) -> None:
    page = DOCS / "reference" / "variables.md"
    listed = set(
        re.findall(
            r"^\| `(MVENV_\w+)`", reference.expand(page.read_text()), re.MULTILINE
        )
    )
    literal = re.compile(r"[\"'](MVENV_[A-Z0-9_]*[A-Z0-9])[\"']")
    used = {
        name
        for module in (ROOT / "src").rglob("*.py")
        for name in literal.findall(module.read_text(encoding="utf-8"))
    }

    assert used
    assert used <= listed


def test_every_page_is_in_the_index_once() -> None:
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    trees = re.findall(r"^```\{toctree\}\n((?:.*\n)*?)```$", index, re.MULTILINE)
    listed = [
        line for tree in trees for line in tree.split() if not line.startswith(":")
    ]
    captions = re.findall(r"^:caption: (.*)$", index, re.MULTILINE)
    pages = [str(page.relative_to(DOCS).with_suffix("")) for page in PAGES]

    assert {"Tutorial", "How-to guides", "Reference", "Explanation"} <= set(captions)
    assert sorted(line for line in listed if line in pages) == sorted(
        set(pages) - {"index"}
    )


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *PAGES], ids=lambda page: str(page.relative_to(ROOT))
)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    """Of README too, which Sphinx does not read."""
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if target.startswith(("https://", "http://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path) if path else page
        assert file.exists(), target
        if anchor:
            assert anchor in _anchors(file), target


def _anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and MyST make them."""
    headings = re.findall(r"^#{1,3} (.*)$", page.read_text("utf-8"), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.replace(" ", "-") for heading in plain}
