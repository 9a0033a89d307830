"""A pathologist's corrections in QuPath's file: nothing changed, nothing changes; what changed, counts."""

import copy
import gzip
import hashlib
import json
import shutil
import uuid

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from slidelab.errors import (
    InvalidTableError,
    RunFolderError,
    SettingsError,
    SlideNotFoundError,
)
from slidelab.workflows import Ki67, RunOptions, SlideInput, find_slides, run_cohort
from slidelab.workflows.ihc import workflow as ihc_workflow
from slidelab.workflows.report.content import ReportPictures
from slidelab.workflows.rescore import rescore_slide
from slidelab.workflows.slides.added_cells import measure_added_cells
from slidelab.workflows.slides.cell_detector import CellDetector
from slidelab.workflows.slides.cell_edits import ClassNames, DrawnCell, read_cell_edits
from slidelab.workflows.slides.cell_file import FURTHER_COLUMNS, RING, CellFileWriter
from slidelab.workflows.slides.correct_cells import read_cell_ids
from slidelab.workflows.slides.geojson_stream import class_of, read_features
from slidelab.workflows.slides.membrane_rule import Pdl1Rule, read_rings
from slidelab.workflows.slides.nuclear_rule import NuclearRule
from slidelab.workflows.slides.nuclei import find_nuclei, fragment
from slidelab.workflows.slides.plan import PlanSettings, make_plan
from slidelab.workflows.slides.tile_detector import BaselineDetector
from slidelab.wsi import PhantomSettings, open_slide, write_phantom

from .qupath_features import annotation, cells_of, drop

IGNORE = {"name": "Ignore*", "color": [180, 180, 180]}
FILES = ("report.json", "report.html", "report.pdf", "cells.parquet", "cells.geojson.gz", "overlay.png")


def workflow(**options):
    return Ki67(detector=BaselineDetector(), plan=PlanSettings(core_px=512), **options)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of a small slide with a threshold that the user gave, which happens to be the usual one."""
    folder = tmp_path_factory.mktemp("rescore")
    settings = PhantomSettings(width=2048, height=2048, truth=30.0, seed=11, tissue_fraction=0.5)
    write_phantom(folder / "case.tiff", settings, workers=2)
    out = folder / "run"
    done = run_cohort(
        workflow(positive_od=0.2),
        find_slides([folder / "case.tiff"]),
        options=RunOptions(out, scheduler="threads", workers=2),
    )
    assert done.exit_code == 0
    return out


@pytest.fixture
def document(run):
    """What QuPath would export of the untouched run."""
    with gzip.open(run / "slides" / "case" / "cells.geojson.gz", "rt") as stream:
        return json.load(stream)


@pytest.fixture
def rescore(run, tmp_path, monkeypatch):
    """Write a corrected file and score the slide again from it, without the pictures, which take long."""
    monkeypatch.setattr(ihc_workflow, "report_pictures", lambda *_: ReportPictures())
    monkeypatch.setattr(ihc_workflow, "write_report_pdf", lambda *_: None)

    def go(document, **options):
        edits = tmp_path / "corrected.geojson"
        edits.write_text(json.dumps(document))
        return rescore_slide(run, edits=edits, out=tmp_path / "out", **options)

    return go


def headline(rescoring):
    score = rescoring.scores[0].after
    return score.numerator, score.denominator


def before(rescoring):
    score = rescoring.scores[0].before
    return score.numerator, score.denominator


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_file_without_edits_changes_not_a_byte(run, tmp_path):
    case = run / "slides" / "case"
    original = {name: digest(case / name) for name in FILES}
    done = rescore_slide(run, edits=case / "cells.geojson.gz", out=tmp_path / "out")
    assert not done.changed
    assert {name: digest(tmp_path / "out" / name) for name in FILES} == original
    assert {name: digest(case / name) for name in FILES} == original
    changes = json.loads((tmp_path / "out" / "changes.json").read_text())
    assert changes == json.loads(json.dumps(done.to_json()))
    assert all(score["difference"] in (0, None) for score in changes["scores"])
    assert "nothing was changed" in done.to_text()


@pytest.mark.parametrize("form", ["plain", "list", "pretty"])
def test_the_form_of_the_file_does_not_matter(run, document, tmp_path, form):
    edits = tmp_path / "case.geojson"
    if form == "pretty":
        edits.write_text("\ufeff \n" + json.dumps(document, indent=2), encoding="utf-8")
    else:
        edits.write_text(json.dumps(document["features"] if form == "list" else document))
    ids = read_cell_ids(run / "slides" / "case" / "cells.parquet")
    options = {"names": ClassNames(NuclearRule.classes), "origin": (0.0, 0.0), "mpp": 0.25}
    packed = read_cell_edits(run / "slides" / "case" / "cells.geojson.gz", ids, **options)
    read = read_cell_edits(edits, ids, **options)
    assert np.array_equal(read.codes, packed.codes)
    assert packed.matched == len(ids) == 432
    assert packed.drawn == packed.regions == ()


def test_every_kind_of_edit_in_one_file_gives_the_exact_index_and_says_so(rescore, document, tmp_path):
    positives, negatives = cells_of(document, "Positive"), cells_of(document, "Negative")
    (spoilt, *_) = cells_of(document, "Ignore*")
    drop(document, positives[:7])
    for feature in negatives[:5]:
        feature["properties"]["classification"] = {"names": ["Tumor", "Positive"], "color": [1, 2, 3]}
    for feature in positives[7:9]:
        feature["properties"]["classification"] = IGNORE
    del negatives[5]["properties"]["classification"]
    negatives[6]["properties"]["classification"] = {"name": "Stroma"}
    spoilt["properties"]["classification"] = {"name": "Negative"}
    done = rescore(document)
    (positive, counted) = before(done)
    assert headline(done) == (positive - 7 + 5 - 2, counted - 7 - 2 - 1 - 1 + 1)
    counts = done.counts
    assert (counts.deleted, counts.reclassified, counts.excluded, counts.counted_again) == (7, 6, 3, 1)
    record = json.loads((tmp_path / "out" / "report.json").read_text())
    assert "CORRECTED_BY_HAND" in record["flags"]
    assert record["advice"][0].startswith("Corrected by hand: 7 cells deleted, 6 given another class, 3 left")
    assert record["excluded"]["left out by hand"] == 3
    assert record["excluded"]["not tumour"] == 1
    assert record["provenance"]["settings"]["edits"]["file"] == "corrected.geojson"
    assert "Corrected by hand" in (tmp_path / "out" / "report.html").read_text()
    changes = json.loads((tmp_path / "out" / "changes.json").read_text())
    assert {"before": "Negative", "after": "Positive", "cells": 5} in changes["moves"]
    assert changes["classes"]["Positive"] == {"before": positive, "after": positive - 4}
    assert changes["scores"][0]["difference"] == pytest.approx(
        100 * (positive - 4) / (counted - 10) - 100 * positive / counted
    )
    # The corrected export, opened in QuPath again, holds what was decided.
    again = [
        each for each in read_features(tmp_path / "out" / "cells.geojson.gz") if class_of(each) == "Positive"
    ]
    assert len(again) == positive - 4


def test_drawn_cells_are_measured_on_the_slide(rescore, document, run, tmp_path):
    table = pq.read_table(run / "slides" / "case" / "cells.parquet")
    outlines = shapely.from_wkb(table["geometry"].to_numpy())
    model = next(each for each in cells_of(document, "Positive"))
    row = table["cell_id"].to_pylist().index(model["id"])
    detection = {**model, "id": str(uuid.uuid4())}
    point = annotation(outlines[row].centroid, "Positive")
    document["features"] += [detection, annotation(outlines[row], "Negative"), point]
    done = rescore(document)
    assert headline(done) == tuple(np.add(before(done), (2, 3)))
    after = pq.read_table(tmp_path / "out" / "cells.parquet").slice(table.num_rows)
    assert after["cell_id"].to_pylist() == [
        feature["id"] for feature in (detection, *document["features"][-2:])
    ]
    same, drawn, disc = after.to_pylist()
    original = table.slice(row, 1).to_pylist()[0]
    for name in ("dab_od_mean", "hematoxylin_od_mean"):
        assert drawn[name] == pytest.approx(original[name], abs=0.02)
    assert drawn["area_um2"] == pytest.approx(original["area_um2"], rel=0.05)
    assert np.hypot(same["x"] - original["x"], same["y"] - original["y"]) < 2
    assert {same["tile"], drawn["tile"], disc["tile"]} == {original["tile"]}
    assert disc["area_um2"] == pytest.approx(np.pi * 16, rel=0.02)
    assert drawn["probability"] == 1
    assert done.counts.added == 3


def test_cells_outside_a_drawn_tumour_do_not_count(rescore, document, run, tmp_path):
    table = pq.read_table(run / "slides" / "case" / "cells.parquet")
    half = shapely.box(0, 0, 1000, 2048)
    hole = shapely.box(300, 300, 700, 700)
    document["features"] += [annotation(half, "Tumor"), annotation(hole, "Necrosis")]
    document["features"].append(annotation(shapely.box(0, 0, 9, 9), "Region*"))
    done = rescore(document)
    x, y = table["x"].to_numpy(), table["y"].to_numpy()
    inside = (x <= 1000) & ~((x > 300) & (x < 700) & (y > 300) & (y < 700))
    counts = np.array(table["excluded"].to_pylist()) == ""
    positive = np.array(table["label"].to_pylist()) == "Positive"
    assert headline(done) == ((inside & counts & positive).sum(), (inside & counts).sum())
    assert done.counts.outside_region == (counts & ~inside).sum() > 0
    record = json.loads((tmp_path / "out" / "report.json").read_text())
    assert "TUMOUR_BY_ANNOTATION" in record["flags"]
    assert "TUMOUR_NOT_SEPARATED" not in record["flags"]
    assert record["areas_mm2"]["tumour region"] > 0


def test_an_ignored_area_alone_takes_cells_out_and_claims_no_tumour(rescore, document, tmp_path):
    document["features"].append(annotation(shapely.box(0, 0, 1000, 2048), "Ignore*"))
    done = rescore(document)
    assert 0 < headline(done)[1] < before(done)[1]
    record = json.loads((tmp_path / "out" / "report.json").read_text())
    assert record["excluded"]["left out by hand"] == before(done)[1] - headline(done)[1]
    assert "TUMOUR_NOT_SEPARATED" in record["flags"]


def test_a_run_with_an_outline_of_its_own_keeps_it_to_the_byte_and_can_get_another(run, tmp_path):
    outline = tmp_path / "tumour.geojson"
    half = shapely.Polygon([(0.123, 0), (1000.456, 3), (1000, 2048), (0, 2048)])
    outline.write_text(json.dumps([annotation(half, "Tumor")]))
    out = tmp_path / "run"
    path = run.parent / "case.tiff"
    options = RunOptions(out, scheduler="threads", workers=2)
    run_cohort(workflow(tumour=outline), find_slides([path]), options=options)
    outline.unlink()
    case = out / "slides" / "case"
    done = rescore_slide(out, edits=case / "cells.geojson.gz")
    assert not done.changed
    assert {name: digest(case / "rescored" / name) for name in FILES} == {
        name: digest(case / name) for name in FILES
    }
    with gzip.open(case / "cells.geojson.gz", "rt") as stream:
        document = json.load(stream)
    document["features"].append(annotation(shapely.box(0, 0, 2048, 2048), "Tumour"))
    (tmp_path / "all.json").write_text(json.dumps(document))
    wider = rescore_slide(out, edits=tmp_path / "all.json")
    assert wider.counts.inside_region == wider.excluded["outside tumour region"][0] > 0
    assert wider.excluded["outside tumour region"][1] == 0
    assert headline(wider)[1] == before(wider)[1] + wider.counts.inside_region
    assert json.loads((case / "rescored" / "changes.json").read_text())["changed"]
    assert not [path for path in case.iterdir() if path.name.startswith(".")]


def test_unknown_classes_are_told_together_and_leave_nothing_behind(rescore, document, tmp_path):
    first, second, *_ = cells_of(document, "Negative")
    first["properties"]["classification"] = {"name": "Doubtful"}
    second["properties"]["classification"] = {"name": "Tumor"}
    with pytest.raises(InvalidTableError, match=r"Doubtful \(1\), Tumor \(1\)") as caught:
        rescore(document)
    assert "Positive, Negative, Other" in caught.value.advice
    assert [path.name for path in tmp_path.iterdir()] == ["corrected.geojson"]


def test_files_that_cannot_be_of_this_run_are_refused(rescore, document, run, tmp_path):
    some = {"type": "FeatureCollection", "features": copy.deepcopy(cells_of(document, "Positive")[:50])}
    with pytest.raises(InvalidTableError, match="holds 50 of 432 cells") as caught:
        rescore(some)
    assert "--partial" in caught.value.advice
    for feature in some["features"]:
        feature["id"] = str(uuid.uuid4())
    for partial in (False, True):
        with pytest.raises(InvalidTableError, match=r"holds 0 of|none of the 50"):
            rescore(some, partial=partial)
    document["features"] += [
        {**each, "properties": {**each["properties"], "classification": IGNORE}}
        for each in cells_of(document, "Positive")[:3]
    ]
    with pytest.raises(InvalidTableError, match="3 cells twice"):
        rescore(document)


def test_a_partial_file_changes_only_what_it_names(rescore, document):
    some = cells_of(document, "Positive")[:4]
    for feature in some:
        feature["properties"]["classification"] = {"name": "Negative"}
    done = rescore({"type": "FeatureCollection", "features": some}, partial=True)
    assert headline(done) == (before(done)[0] - 4, before(done)[1])
    assert done.counts.deleted == 0


@pytest.mark.parametrize("damage", ["cut", "text", "number"])
def test_a_damaged_file_is_told_as_such(run, tmp_path, damage):
    whole = (run / "slides" / "case" / "cells.geojson.gz").read_bytes()
    content = {"cut": whole[: len(whole) // 2], "text": b"cells: none", "number": b"[1, 2]"}[damage]
    (tmp_path / "edits.geojson").write_bytes(content)
    with pytest.raises(InvalidTableError, match="no sound GeoJSON") as caught:
        rescore_slide(run, edits=tmp_path / "edits.geojson", out=tmp_path / "out")
    assert "\n" not in str(caught.value)


def test_drawings_that_are_no_cells_are_refused(rescore, document):
    kept = list(document["features"])
    for shape, words in (
        (shapely.box(0, 0, 900, 900), "50625 um2"),
        (shapely.LineString([(0, 0), (9, 9)]), "LineString"),
        (shapely.box(9000, 0, 9040, 40), "beside the slide"),
    ):
        document["features"] = [*kept, annotation(shape, "Positive")]
        with pytest.raises(InvalidTableError, match=words):
            rescore(document)
    bare = annotation(shapely.box(50, 50, 80, 80), "", objectType="detection")
    document["features"] = [*kept, bare]
    with pytest.raises(InvalidTableError, match=r"unclassified \(1\)"):
        rescore(document)


def test_a_run_that_lost_something_says_what(run, document, tmp_path):
    edits = run / "slides" / "case" / "cells.geojson.gz"
    for gone, error, words in (
        ("report.json", RunFolderError, "report.json"),
        ("work/recipe.json", RunFolderError, "recipe.json"),
        ("work", RunFolderError, "gone"),
    ):
        lost = tmp_path / gone.replace("/", "-") / "run"
        shutil.copytree(run, lost)
        victim = lost / "slides" / "case" / gone
        shutil.rmtree(victim) if victim.is_dir() else victim.unlink()
        with pytest.raises(error, match=words):
            rescore_slide(lost, edits=edits)
    moved = tmp_path / "moved"
    shutil.copytree(run, moved)
    facts = json.loads((moved / "run.json").read_text())
    facts["slides"][0]["path"] = str(tmp_path / "elsewhere.tiff")
    (moved / "run.json").write_text(json.dumps(facts))
    with pytest.raises(SlideNotFoundError, match="elsewhere"):
        rescore_slide(moved, edits=edits)
    settings = PhantomSettings(width=512, height=512, seed=3)
    write_phantom(tmp_path / "elsewhere.tiff", settings, workers=1)
    with pytest.raises(SettingsError, match="not the file that was scored"):
        rescore_slide(moved, edits=edits)
    with pytest.raises(RunFolderError, match="no earlier run"):
        rescore_slide(tmp_path, edits=edits)


def test_strangers_folders_and_the_run_itself_are_not_written_over(run, tmp_path):
    edits = run / "slides" / "case" / "cells.geojson.gz"
    (tmp_path / "precious.txt").write_text("mine")
    for place in (tmp_path, run, run / "slides" / "case", run / "slides" / "case" / "work"):
        with pytest.raises(RunFolderError, match="no corrected results"):
            rescore_slide(run, edits=edits, out=place)
    assert (tmp_path / "precious.txt").read_text() == "mine"


def test_the_slide_is_found_by_id_or_file_name(run, tmp_path):
    other = tmp_path / "run"
    shutil.copytree(run, other)
    facts = json.loads((other / "run.json").read_text())
    row = facts["slides"][0]
    facts["slides"] = [row, *({**row, "id": each} for each in ("case-1", "case-10", "b"))]
    (other / "run.json").write_text(json.dumps(facts))
    original = other / "slides" / "case" / "cells.geojson.gz"
    for name, ids in (("new", "b, case, case-1, case-10"), ("case-1 or b", "b, case, case-1, case-10")):
        edits = tmp_path / f"{name}.geojson.gz"
        shutil.copy(original, edits)
        with pytest.raises(SettingsError) as caught:
            rescore_slide(other, edits=edits)
        assert ids in caught.value.advice
    with pytest.raises(SettingsError, match="no slide case-2"):
        rescore_slide(other, edits=original, slide="case-2")
    shutil.copy(original, tmp_path / "my case-10.geojson.gz")
    with pytest.raises(RunFolderError, match="case-10 holds no"):
        rescore_slide(other, edits=tmp_path / "my case-10.geojson.gz")
    assert rescore_slide(other, edits=original, slide="case").slide == "case"


def test_a_drawn_cell_gets_the_membrane_that_the_detector_would_read(run, tmp_path):
    slide = SlideInput(run.parent / "case.tiff", "case")
    detector = CellDetector(BaselineDetector())
    plan = make_plan(slide, folder=tmp_path, settings=PlanSettings(), detector=detector)
    with open_slide(slide.path) as opened:
        found = fragment(find_nuclei(opened.plane(0.5), plan, index=0, seconds={}), 0).slice(0, 40)
        further = [name for name in FURTHER_COLUMNS if name in found.column_names]
        assert RING in further
        outlines = shapely.from_wkb(found["geometry"].to_numpy())
        drawn = [DrawnCell("", 0, outline) for outline in outlines]
        classes = Pdl1Rule.classes
        read = measure_added_cells(opened, drawn, plan=plan, classes=classes, further=further)
    rings, cytoplasm = read_rings(read)
    expected, expected_cytoplasm = read_rings(found)
    assert np.abs(rings.mean(axis=1) - expected.mean(axis=1)).mean() < 0.05
    assert np.abs(cytoplasm - expected_cytoplasm).mean() < 0.05
    assert np.isfinite(read["area_um2"].to_numpy()).all()
    assert len(set(read["cell_id"].to_pylist())) == len(drawn)
    with CellFileWriter(tmp_path / "cells.parquet", probabilities=further) as writer:
        names = pa.array(["Tumor: Positive"] * len(drawn))
        reasons = pa.array([""] * len(drawn))
        writer.write(read.append_column("label", names).append_column("excluded", reasons))
    assert writer.rows == len(drawn)
