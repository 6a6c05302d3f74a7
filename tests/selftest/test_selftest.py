"""``mvenv selftest``: what it prints, and that it can fail."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from mvenv.cli import run
from mvenv.diagnose.model import Level
from mvenv.doctor.model import DoctorReport, DoctorRequest
from mvenv.progress import Reporter
from mvenv.selftest import rounds


@pytest.mark.slow
def test_it_is_perfect_here_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run(["selftest", "--folder", str(tmp_path), "--seed", "5"])
    told = capsys.readouterr().out

    assert code == 0, told
    assert "F08 " in told
    assert " 0 lost files of the user, seed 5" in told
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
def test_a_doctor_that_finds_nothing_has_no_score(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def blind(request: DoctorRequest, reporter: Reporter) -> DoctorReport:
        del request, reporter
        return DoctorReport(
            environments=(),
            store=None,
            outcomes=(),
            unchecked=(),
            level=Level.FULL,
            seconds=0,
        )

    monkeypatch.setattr(rounds, "doctor", blind)
    code = run(["selftest", "--folder", str(tmp_path), "--json"])
    value = json.loads(capsys.readouterr().out)

    assert code == 1
    assert value["detected"] == value["healed"] == 0
    assert value["injected"] > 50
    assert not value["perfect"]
