"""Interpreters: where they are, and what they say of themselves.

`find_interpreter` turns what a user says (a version, a name, a path) into a path;
`inspect_interpreter` turns a path into a `Target`, from one short run of it that is
remembered. Recalling needs the standard library only.
"""

from mvenv.interpreters.discovery import find_interpreter, is_another
from mvenv.interpreters.inspection import inspect_interpreter

__all__ = ["find_interpreter", "inspect_interpreter", "is_another"]
