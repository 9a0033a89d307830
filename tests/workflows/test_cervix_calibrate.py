"""Calibration of negative triage from finished runs, and the laboratory's profile."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

from slidelab.cli import app
from slidelab.errors import InvalidTableError, RunFolderError, SettingsError
from slidelab.workflows.cervix.calibrate import calibrate_screening, read_diagnoses
from slidelab.workflows.cervix.cohort import write_worklist
from slidelab.workflows.cervix.lab import CervixLab

SCOPE = {"model": "m 1", "preparation": "thinprep", "scanner": "s"}


def _run(folder: Path, slides: dict[str, float | None], *, scope: dict[str, str] = SCOPE) -> Path:
    """Write the folder of a finished run: risk of each slide, None where the rules hold it back."""
    rows = [{"id": name, "path": f"/{name}.svs"} for name in slides]
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"workflow": "cervix", "status": "done", "slides": rows}))
    for name, risk in slides.items():
        place = folder / "slides" / name
        place.mkdir(parents=True)
        record = {
            "image": {"fingerprint": f"{folder.name}-{name}"},
            "cervix": {"triage": {"risk": risk, "scope": scope}},
        }
        (place / "report.json").write_text(json.dumps(record))
    return folder


def _list(path: Path, rows: dict[str, str]) -> Path:
    lines = ["slide,diagnosis", *(f"{slide},{told}" for slide, told in rows.items())]
    path.write_text("\n".join(lines) + "\n")
    return path


def _sets(tmp_path: Path, *, ill: int = 60, worst: float = 0.6) -> tuple[Path, Path, Path]:
    """Return two runs and the list: normal slides of risk 0.1-0.5, abnormal ones above."""
    known, runs = {}, []
    for part in ("tune", "prove"):
        slides: dict[str, float | None] = {}
        for number in range(40):
            slides[f"{part}-n{number}"] = 0.1 + 0.01 * number
            known[f"{part}-n{number}"] = "NILM"
        for number in range(ill):
            slides[f"{part}-a{number}"] = None if number % 2 else worst + 0.001 * number
            known[f"{part}-a{number}"] = ("ASC-US", "LSIL", "HSIL")[number % 3]
        runs.append(_run(tmp_path / part, slides))
    return runs[0], runs[1], _list(tmp_path / "known.csv", known)


def test_a_threshold_that_keeps_all_60_abnormal_slides_is_proven_and_clears(tmp_path: Path) -> None:
    tuning, proving, known = _sets(tmp_path)
    made = calibrate_screening(tuning, proving, diagnoses=known, name="St. Mary", created=date(2026, 1, 2))
    triage = made.profile.triage
    assert triage.clear_upto == pytest.approx(0.49)
    assert triage.is_proven
    assert triage.bound == pytest.approx(0.05 ** (1 / 60))
    assert (triage.proving.cleared, triage.proving.missed) == (40, 0)
    assert made.abnormal_kept["HSIL or worse"] == (20, 20)
    assert "40 of 100" in made.to_text()


def test_58_abnormal_slides_prove_nothing_and_the_text_says_how_many_would(tmp_path: Path) -> None:
    tuning, proving, known = _sets(tmp_path, ill=58)
    made = calibrate_screening(tuning, proving, diagnoses=known, name="Few")
    assert not made.profile.triage.is_proven
    assert "59 abnormal slides without a miss" in made.to_text()


def test_a_miss_on_the_proving_run_is_named_and_unproves_the_threshold(tmp_path: Path) -> None:
    tuning, proving, known = _sets(tmp_path)
    path = proving / "slides" / "prove-a0" / "report.json"
    record = json.loads(path.read_text())
    record["cervix"]["triage"]["risk"] = 0.2
    path.write_text(json.dumps(record))
    made = calibrate_screening(tuning, proving, diagnoses=known, name="Miss")
    assert made.missed == ("prove-a0",)
    assert not made.profile.triage.is_proven


def test_a_profile_reads_back_and_no_hand_may_change_it(tmp_path: Path) -> None:
    tuning, proving, known = _sets(tmp_path)
    lab = calibrate_screening(tuning, proving, diagnoses=known, name="St. Mary").profile
    path = lab.write(tmp_path / "lab.json")
    assert CervixLab.read(path) == lab
    text = path.read_text()
    path.write_text(text.replace('"clear_upto": 0.49', '"clear_upto": 0.99'))
    with pytest.raises(SettingsError):
        CervixLab.read(path)
    path.write_text(text)
    with pytest.raises(SettingsError):
        calibrate_screening(tuning, proving, diagnoses=known, name="Other").profile.write(path)


def test_slides_without_diagnosis_and_of_two_scopes_are_refused(tmp_path: Path) -> None:
    tuning, proving, known = _sets(tmp_path)
    short = _list(tmp_path / "short.csv", {"tune-n0": "NILM"})
    with pytest.raises(InvalidTableError):
        calibrate_screening(tuning, proving, diagnoses=short, name="Short")
    other = _run(tmp_path / "other", {"prove-n0": 0.1}, scope={**SCOPE, "scanner": "t"})
    with pytest.raises(RunFolderError, match="scanner"):
        calibrate_screening(tuning, other, diagnoses=known, name="Mixed")
    with pytest.raises(InvalidTableError, match="share"):
        calibrate_screening(tuning, tuning, diagnoses=known, name="Same")


def test_diagnoses_are_bethesda_codes_or_words(tmp_path: Path) -> None:
    known = read_diagnoses(
        _list(tmp_path / "k.csv", {"a": "AGC", "b": "normal", "c": "abnormal", "d": "NILM"})
    )
    assert [known[name].is_abnormal for name in "abcd"] == [True, False, True, False]
    with pytest.raises(InvalidTableError, match="CIN"):
        read_diagnoses(_list(tmp_path / "w.csv", {"a": "CIN 2"}))


def test_the_verbs_of_the_command_line(tmp_path: Path) -> None:
    tuning, proving, known = _sets(tmp_path)
    runner = CliRunner()
    arguments = ["calibrate", "cervix", str(tuning), str(proving), "--diagnoses", str(known), "--name", "Lab"]
    done = runner.invoke(app, [*arguments, "--out", str(tmp_path / "l.json"), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["proven"] is True
    assert CervixLab.read(tmp_path / "l.json").name == "Lab"
    assert "--preparation" in runner.invoke(app, ["screen", "cervix", "--help"], terminal_width=200).stdout


def test_a_worklist_puts_what_failed_first_then_results_by_rank_and_risk(tmp_path: Path) -> None:
    def record(rank: float, code: str | None, risk: float) -> dict[str, object]:
        own = {
            "interpretations": [code] if code else [],
            "lines": ["satisfactory for evaluation"],
            "findings": [{"code": "CANDIDA", "listed": True}],
            "risk": risk,
            "triage": {"cleared": False},
        }
        score = {"name": "Bethesda interpretation", "value": rank, "category": code, "numerator": 1}
        return {"status": "REVIEW", "scores": [score], "cervix": own}

    records = {
        "a": record(0, "NILM", 0.4),
        "b": record(0, "NILM", 0.7),
        "c": record(4, "HSIL", 0.9),
        "d": record(1, "ASC-US", 0.5),
        "e": None,
    }
    write_worklist(tmp_path, records)
    lines = (tmp_path / "worklist.csv").read_text().splitlines()[1:]
    assert [line.split(",")[1] for line in lines] == ["e", "c", "d", "b", "a"]
    figures = json.loads((tmp_path / "screening.json").read_text())
    assert (figures["asc"], figures["sil"], figures["asc_sil_ratio"]) == (1, 1, 1.0)
    assert "ASC:SIL ratio 1" in (tmp_path / "worklist.html").read_text()
