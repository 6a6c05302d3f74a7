"""Run mvenv on so many processors that small environments have several parts."""

from __future__ import annotations

import os

from mvenv.apply import parts
from mvenv.cli import main

if __name__ == "__main__":
    parts._WORTH_IT, parts._UNITS = 1, 2
    setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})  # noqa: B010
    main()
