"""Cervical screening on slides with pixels: phantoms of known cells through the whole road."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from slidelab.errors import SettingsError
from slidelab.quantify import Status, TriageCalibration
from slidelab.quantify.cervical_triage import TriageCounts
from slidelab.workflows import RunOptions
from slidelab.workflows.cervix.call_reader import SizeRules
from slidelab.workflows.cervix.cohort import find_stacks, screen_cohort
from slidelab.workflows.cervix.lab import CervixLab
from slidelab.workflows.cervix.nuclei import NucleusTable
from slidelab.workflows.cervix.once import Screened, screen_slide
from slidelab.workflows.cervix.plan import ScreeningSettings
from slidelab.workflows.cervix.workflow import CervicalScreening
from slidelab.workflows.runs.inputs import SlideInput
from slidelab.wsi import open_slide
from slidelab.wsi.phantom.pap import PapSettings, PapTruth, write_pap_phantom

LESIONS = {"HSIL": 2, "LSIL": 2}
SIDE = {"width": 1100, "height": 1000}


@dataclass(frozen=True)
class CropMeans(SizeRules):
    """Names cells from the pixels of their crops alone, as a network would, and in no time."""

    name: str = "crop-means"
    side: int = 48

    def look(self, crops: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Make probabilities of every pixel of each crop."""
        weights = np.arange(crops[0].size if len(crops) else 1, dtype=np.int64) % 251
        sums = np.array([(crop.ravel().astype(np.int64) * weights).sum() for crop in crops])
        parts = np.stack([(sums // 7**k) % 97 + 1 for k in range(len(self.codes))], 1)
        return (parts / parts.sum(1, keepdims=True)).astype(np.float32), sums % 5 == 0


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> PapTruth:
    settings = PapSettings(
        **SIDE, seed=8, lesions=LESIONS, squamous_per_mm2=220, metaplastic=4, endocervical=1
    )
    return write_pap_phantom(tmp_path_factory.mktemp("phantom") / "pap.tiff", settings, workers=2)


@pytest.fixture(scope="module")
def run(phantom: PapTruth, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("run") / "results"
    workflow = CervicalScreening(calls=SizeRules(), viewer="https://lab.test/{slide}?x={x}&y={y}")
    options = RunOptions(out, scheduler="threads", workers=1)
    done = screen_cohort(workflow, find_stacks([phantom.path]), options=options)
    assert not done.outcomes[0].failures
    record = done.outcomes[0].record
    assert record is not None
    return out, record


def _screen(slide: Path, folder: Path, **options: Any) -> Screened:
    workflow = CervicalScreening(calls=SizeRules(), **options)
    return screen_slide(workflow, SlideInput(slide, "slide"), folder=folder)


def test_the_most_severe_planted_class_is_the_result_and_a_person_is_asked(
    run: tuple[Path, dict[str, Any]],
) -> None:
    _, record = run
    assert record["scores"][0]["category"] == "HSIL"
    assert record["status"] == "REVIEW"
    assert "TRIAGE_NOT_CALIBRATED" in record["flags"]
    assert record["cervix"]["triage"]["cleared"] is False
    assert record["cervix"]["triage"]["risk"] is None  # held back whatever its risk


def test_every_planted_group_is_in_the_gallery_as_abnormal(
    run: tuple[Path, dict[str, Any]], phantom: PapTruth
) -> None:
    _, record = run
    truth = json.loads(phantom.json_path.read_text())
    for group in truth["groups"]:
        near = [
            each["code"]
            for each in record["cervix"]["gallery"]
            if np.hypot(each["x"] - group["x"], each["y"] - group["y"]) < 120
        ]
        assert set(near) & {"HSIL", "LSIL", "ASC-H", "ASC-US"}, group


def test_measures_of_found_cells_are_those_of_the_truth(
    run: tuple[Path, dict[str, Any]], phantom: PapTruth
) -> None:
    from scipy.spatial import cKDTree

    out, record = run
    found = pq.read_table(out / "slides" / "pap" / "cells.parquet").to_pydict()
    truth = pq.read_table(phantom.cells_path).to_pydict()
    tree = cKDTree(np.stack([found["x"], found["y"]], 1))
    away, at = tree.query(np.stack([truth["x"], truth["y"]], 1))
    kinds = np.array(truth["class"])
    for kind, ratio in (("intermediate", 0.02), ("LSIL", 0.03), ("HSIL", 0.09)):
        rows = np.flatnonzero((kinds == kind) & (away < 6))
        assert len(rows) >= 0.95 * (kinds == kind).sum()
        area = np.array([found["area_um2"][at[row]] / truth["area_um2"][row] for row in rows])
        assert np.median(area) == pytest.approx(1, abs=0.1)
        told = [(found["nc"][at[row]], truth["nc"][row]) for row in rows if found["nc"][at[row]] is not None]
        assert np.median([abs(mine - true) for mine, true in told]) < ratio
    own = record["cervix"]["reference"]
    assert own["is_own"]
    assert own["nucleus_um2"] == pytest.approx(35, rel=0.08)


def test_squamous_cells_are_counted_and_scaled_to_the_disc(
    run: tuple[Path, dict[str, Any]], phantom: PapTruth
) -> None:
    _, record = run
    score = next(each for each in record["scores"] if each["name"] == "Squamous cells")
    true = phantom.counts["superficial"] + phantom.counts["intermediate"]
    assert score["numerator"] == pytest.approx(true, rel=0.1)
    scaled = true * 314.159 / phantom.settings.area_mm2
    assert score["interval"]["low"] < scaled < score["interval"]["high"]
    assert score["category"] == "satisfactory for evaluation"


def test_the_report_shows_each_object_with_measures_place_and_link(run: tuple[Path, dict[str, Any]]) -> None:
    out, record = run
    folder = out / "slides" / "pap"
    page = (folder / "report.html").read_text()
    gallery = record["cervix"]["gallery"]
    assert page.count('id="object-') == len(gallery) > 4
    assert gallery[0]["link"] == f"https://lab.test/pap?x={round(gallery[0]['x'])}&y={round(gallery[0]['y'])}"
    assert gallery[0]["link"].replace("&", "&amp;") in page
    assert [each["suspicion"] for each in gallery] == sorted((e["suspicion"] for e in gallery), reverse=True)
    states = {each["code"]: each["state"] for each in record["cervix"]["findings"]}
    assert states["CHLAMYDIA"] == states["COCCI"] == "no training data"
    assert (folder / "report.pdf").read_bytes().startswith(b"%PDF")
    shapes = json.loads((folder / "gallery.geojson").read_text())["features"]
    assert len(shapes) == len(gallery)
    assert shapes[0]["properties"]["classification"]["name"] == "HSIL"
    assert (out / "worklist.csv").read_text().splitlines()[1].startswith("1,pap,REVIEW,HSIL")
    assert json.loads((out / "screening.json").read_text())["sil"] == 1


def test_a_second_run_finds_all_done_and_gives_the_same_record(
    run: tuple[Path, dict[str, Any]], phantom: PapTruth
) -> None:
    out, record = run
    workflow = CervicalScreening(calls=SizeRules(), viewer="https://lab.test/{slide}?x={x}&y={y}")
    receipt = workflow.prepare(SlideInput(phantom.path, "pap"), out / "slides" / "pap")
    assert receipt.todo == ()
    assert receipt.record == record


def test_cells_do_not_depend_on_tiles(phantom: PapTruth, tmp_path: Path) -> None:
    tables = []
    for number, core in enumerate((512, 1536)):
        settings = ScreeningSettings(core_px=core)
        workflow = CervicalScreening(calls=CropMeans(), plan=settings)
        made = screen_slide(workflow, SlideInput(phantom.path, "pap"), folder=tmp_path / str(number))
        tables.append(made.cells.nuclei)
    assert len(tables[0]) > 100
    assert tables[0].looked.any()
    for each in fields(NucleusTable):
        assert np.array_equal(*(getattr(table, each.name) for table in tables)), each.name


def test_a_negative_slide_is_left_to_a_person_unless_a_proven_calibration_clears_it(tmp_path: Path) -> None:
    settings = PapSettings(**SIDE, seed=9, squamous_per_mm2=160, endocervical=0)
    slide = write_pap_phantom(tmp_path / "pap.tiff", settings, workers=2).path
    made = _screen(slide, tmp_path / "work")
    assert made.outcome.counted.headline.category == "NILM"
    assert made.outcome.counted.status is Status.OK
    assert made.outcome.result.status is Status.REVIEW
    assert not made.outcome.decision.is_cleared
    workflow = CervicalScreening(calls=SizeRules())
    with open_slide(slide) as opened:
        scope = workflow.scope(opened)
    lab = _lab(scope, clear_upto=made.found.risk)
    cleared = _screen(slide, tmp_path / "work", lab=lab).outcome
    assert cleared.decision.is_cleared
    assert cleared.result.status is Status.OK
    strict = _screen(slide, tmp_path / "work", lab=_lab(scope, clear_upto=-1.0)).outcome
    assert not strict.decision.is_cleared
    assert strict.result.status is Status.REVIEW
    other = _screen(slide, tmp_path / "work", lab=_lab({**scope, "preparation": "surepath"}, clear_upto=1.0))
    assert not other.outcome.decision.is_cleared
    assert "TRIAGE_OTHER_SCOPE" in other.outcome.result.flags
    unproven = _lab(scope, clear_upto=1.0, abnormal=12)
    assert not _screen(slide, tmp_path / "work", lab=unproven).outcome.decision.is_cleared


def _lab(scope: dict[str, str], *, clear_upto: float, abnormal: int = 60) -> CervixLab:
    counts = TriageCounts(abnormal=abnormal, missed=0, normal=100, cleared=40)
    triage = TriageCalibration(
        clear_upto=clear_upto,
        tuning=counts,
        proving=counts,
        required_sensitivity=Fraction(1),
        required_bound=Fraction(95, 100),
        confidence=Fraction(95, 100),
        scope=scope,
    )
    return CervixLab("Test", 1, date(2026, 1, 1), triage, "0" * 64, "1" * 64, "0")


def test_a_scant_slide_is_unsatisfactory_but_not_with_lesions_on_it(tmp_path: Path) -> None:
    scant = PapSettings(
        **SIDE, seed=10, squamous_per_mm2=6, neutrophils_per_mm2=20, metaplastic=0, endocervical=0
    )
    bare = write_pap_phantom(tmp_path / "bare.tiff", scant).path
    made = _screen(bare, tmp_path / "bare")
    assert made.outcome.result.status is Status.INSUFFICIENT
    assert made.outcome.result.headline.category is None
    ill = write_pap_phantom(tmp_path / "ill.tiff", replace(scant, lesions={"LSIL": 4})).path
    found = _screen(ill, tmp_path / "ill")
    assert found.outcome.counted.headline.category == "LSIL"


def test_blended_planes_find_what_the_middle_plane_shows_out_of_focus(tmp_path: Path) -> None:
    settings = PapSettings(
        width=800, height=700, seed=12, planes=3, plane_step_um=9.0, depth_um=24.0, lesions={"LSIL": 2}
    )
    stack = write_pap_phantom(tmp_path / "stack.tiff", settings, workers=2)
    (slide,) = find_stacks(stack.planes)
    assert slide.slide_id == "stack"
    assert slide.path == stack.path
    truth = pq.read_table(stack.cells_path).to_pydict()
    errors, blurred = {}, {}
    for blend in ("extended", "middle"):
        made = _screen(slide.path, tmp_path / blend, plan=ScreeningSettings(blend=blend))  # type: ignore[arg-type]
        errors[blend] = _area_errors(made, truth)
        blurred[blend] = made.cells.excluded().get("out_of_focus", 0)
        assert made.plan.focal_planes == 3
    assert errors["extended"] < 0.8 * errors["middle"]
    assert 5 * blurred["extended"] < blurred["middle"]


def _area_errors(made: Screened, truth: dict[str, Any]) -> float:
    from scipy.spatial import cKDTree

    nuclei = made.cells.nuclei
    kept = np.array([kind not in ("neutrophil", "superficial") for kind in truth["class"]])
    places = np.stack([truth["x"], truth["y"]], 1)[kept]
    away, at = cKDTree(np.stack([nuclei.x, nuclei.y], 1)).query(places)
    ratio = nuclei.area_um2[at] / np.array(truth["area_um2"])[kept]
    return float(np.where(away < 6, np.abs(ratio - 1), 1).mean())


def test_viewers_that_lead_nowhere_are_refused() -> None:
    for address in ("https://lab.test/{name}", "javascript:alert(1)//{slide}"):
        with pytest.raises(SettingsError):
            CervicalScreening(calls=SizeRules(), viewer=address)
