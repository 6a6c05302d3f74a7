"""``mvenv selftest``."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mvenv.cli.asked import set_output
from mvenv.cli.console import Console
from mvenv.cli.settings import output_options

if TYPE_CHECKING:
    from mvenv.selftest import Score

__all__ = ["selftest_command"]

_SHOWN = 20
"""Failures that are told one by one."""


@click.command("selftest")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="FOLDER",
    envvar="MVENV_SELFTEST_FOLDER",
    help="Where to make a scratch folder: on the disk that is to be tried. Default:"
    " the system's folder for temporary files.",
)
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    metavar="N",
    default=1,
    show_default=True,
    envvar="MVENV_SELFTEST_ROUNDS",
    help="How often each kind of fault is made in each link mode.",
)
@click.option(
    "--seed",
    type=int,
    default=None,
    metavar="N",
    envvar="MVENV_SELFTEST_SEED",
    help="Repeat the faults of a run that printed this number.",
)
@click.option(
    "--python",
    "-p",
    metavar="PYTHON",
    envvar="MVENV_PYTHON",
    help="Version, name or path of the interpreter. Default: the one running mvenv.",
)
@output_options
@click.pass_context
def selftest_command(context: click.Context, /, **options: Any) -> None:
    """Damage a scratch environment in every way known, and let doctor heal it.

    Runs on your own disk, in a folder of its own that is removed again; touches no
    environment or store of yours, and needs no network. Exit code 1 where anything
    was not found, not healed, lost, or changed without need.
    """
    from mvenv.selftest import SelfTestRequest, selftest

    console = context.find_object(Console) or Console()
    set_output(console, options)
    seed = options["seed"]
    request = SelfTestRequest(
        folder=(options["folder"] or Path(tempfile.gettempdir())).resolve(),
        rounds=options["rounds"],
        seed=int.from_bytes(os.urandom(3)) if seed is None else seed,
        python=options["python"],
        environ=dict(os.environ),
    )
    score = selftest(request, console)
    console.result("\n".join(_lines(score)), score.as_json())
    if not score.perfect:
        context.exit(1)


def _lines(score: Score) -> list[str]:
    width = max(len(row.kind) for row in score.rows)
    lines = [f"{'fault':{width + 5}}  injected  detected  healed"]
    for row in score.rows:
        healed = f"{row.healed:6}" if row.to_heal else "  left"
        wrong = row.detected < row.injected or row.healed < row.to_heal
        mark = "  !" if wrong else ""
        lines.append(
            f"{row.code:4} {row.kind:{width}}  {row.injected:8}  {row.detected:8}"
            f"  {healed}{mark}"
        )
    modes = ", ".join(mode.value for mode in score.modes)
    lines += ["", *(f"! {failure}" for failure in score.failures[:_SHOWN])]
    if len(score.failures) > _SHOWN:
        lines.append(f"! and {len(score.failures) - _SHOWN} more: see `--json`")
    lines += [f"not tried: {code}, {why}" for code, why in score.not_made.items()]
    lines.append(
        f"{score.injected} faults ({modes}): {score.detected} found,"
        f" {score.healed} of {score.to_heal} healed, {score.lost} lost files of the"
        f" user, seed {score.seed}"
    )
    return lines
