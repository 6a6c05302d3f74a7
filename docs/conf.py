"""How the documentation is built: `python3 dev.py docs`."""

import re
import sys
from pathlib import Path

# Our own extension, which reads the commands of the mvenv that is installed.
sys.path.insert(0, str(Path(__file__).parent / "_ext"))

_source = Path(__file__).parents[1] / "src/mvenv/__init__.py"
_version = re.search(r'__version__ = "(.+)"', _source.read_text(encoding="utf-8"))
assert _version, "mvenv has no version"  # noqa: S101  the build must stop here

project = "mvenv"
author = "the mvenv developers"
release = version = _version[1]
extensions = ["myst_parser", "command_line"]
myst_enable_extensions = ["colon_fence", "deflist"]
# Links to headings: [exit codes](cli.md#exit-codes)
myst_heading_anchors = 3
nitpicky = True
exclude_patterns = ["_build"]
html_theme = "furo"
html_show_copyright = False
html_title = "mvenv"
