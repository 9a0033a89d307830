"""Stromal TILs, densities and nearness on phantoms of known truth; what is said where there are none."""

import json
import math
import re
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely
from scipy.spatial import cKDTree

from slidelab.errors import InvalidTableError, SettingsError
from slidelab.quantify import FOUR_DENSITIES, AssessedRegion
from slidelab.workflows import RunOptions, choose_detector, find_slides, run_cohort
from slidelab.workflows.immune import HeImmune, StainedImmune
from slidelab.workflows.immune_cohort import read_cohort, read_other_marker
from slidelab.workflows.immune_regions import Ground, found_tumour, nest_nuclei
from slidelab.workflows.immune_stroma import count_in, stroma_of
from slidelab.wsi import PhantomSettings, write_phantom

SIDE, MPP = 2000, 0.25


@pytest.fixture(scope="module")
def paint(tmp_path_factory):
    """Paint a phantom once; returns its path and the table of its nuclei."""
    folder, painted = tmp_path_factory.mktemp("phantoms"), {}

    def run(kind, **settings):
        if kind not in painted:
            chosen = {"width": SIDE, "height": SIDE, "artefacts": False, "seed": 11, "tissue_fraction": 0.5}
            write_phantom(folder / f"{kind}.tiff", PhantomSettings(kind=kind, **chosen | settings))
            painted[kind] = folder / f"{kind}.tiff", pq.read_table(folder / f"{kind}.truth.parquet")
        return painted[kind]

    return run


@pytest.fixture(scope="module")
def measure(tmp_path_factory):
    """Run a workflow over a slide; returns the outcome and the run's folder."""

    def run(workflow, path):
        out = tmp_path_factory.mktemp(workflow.name) / "run"
        options = RunOptions(out, scheduler="threads", workers=1)
        (outcome,) = run_cohort(workflow, find_slides([str(path)]), options=options).outcomes
        return outcome, out

    return run


@pytest.fixture(scope="module")
def outlined(tmp_path_factory):
    """Write an outline of a tumour: a square, level-0 px."""
    path = tmp_path_factory.mktemp("outlines") / "tumour.geojson"
    ring = [[0, 0], [SIDE, 0], [SIDE, 900], [0, 900], [0, 0]]
    feature = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"objectType": "annotation", "classification": {"name": "Tumor"}},
    }
    path.write_text(json.dumps([feature]), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def he(paint, measure):
    """The H&E phantom, measured without an outline."""
    path, truth = paint("he")
    outcome, out = measure(HeImmune(), path)
    return outcome.record, truth, out / "slides" / "he"


def score_of(record, name):
    """A score by its name."""
    return next(each for each in record["scores"] if each["name"] == name)


def places(truth, kind):
    """Centres (N, 2) of the nuclei of one kind, um."""
    rows = np.array(truth["class"].to_pylist()) == kind
    return np.stack([truth["x"].to_numpy(), truth["y"].to_numpy()], axis=1)[rows] * MPP


def tils_of_truth(truth, ground):
    """TILs of the phantom's own nuclei by the stated rule, lymphocytes as polygons and not on a raster."""
    nests = nest_nuclei(places(truth, "tumour"))
    ground = Ground(ground.assessed, found_tumour(ground.assessed, nests))
    rows = np.array(truth["class"].to_pylist()) == "lymphocyte"
    nuclei = shapely.transform(shapely.from_wkb(truth["geometry"].to_numpy()[rows]), lambda xy: xy * MPP)
    cover = shapely.union_all(shapely.buffer(nuclei, 2.0))
    stroma = covered = 0.0
    side = math.ceil(max(ground.tumour.shape) / 62)
    for field in np.ndindex(side, side):
        part = stroma_of(ground, field, cKDTree(nests))
        y, x = (np.argwhere(part.mask) * part.mpp + part.origin_um[::-1]).T
        pixels = shapely.box(x, y, x + part.mpp, y + part.mpp)
        pixels = pixels[shapely.intersects(pixels, cover)]
        covered += float(shapely.area(shapely.intersection(pixels, cover)).sum())
        stroma += part.area_um2
    return 100 * covered / stroma, stroma


def test_stromal_tils_are_those_of_the_phantoms_own_nuclei(he):
    record, truth, _ = he
    size = math.ceil(SIDE * MPP / 8)
    ground = Ground(AssessedRegion(np.ones((size, size), np.bool_), 8.0), np.zeros((size, size), np.bool_))
    tils, stroma = tils_of_truth(truth, ground)
    found = score_of(record, "Stromal TILs")
    assert found["value"] == pytest.approx(tils, rel=0.15)
    assert found["denominator"] == pytest.approx(stroma, rel=0.1)


def test_kinds_of_nuclei_land_and_are_those_of_the_phantom(he):
    record, truth, folder = he
    found = {each["name"]: each["count"] for each in record["classes"]}
    for name, kind in (("Tumor", "tumour"), ("Immune cells", "lymphocyte"), ("Stroma", "stroma")):
        assert found[name] == pytest.approx(len(places(truth, kind)), rel=0.1)
    cells = pq.read_table(folder / "cells.parquet")
    assert {"epithelial_probability", "inflammatory_probability"} <= set(cells.column_names)
    assert not cells["dab_od_mean"].to_numpy().any()


def test_a_tumour_that_nobody_outlined_is_said_to_be_experimental(he):
    record, _, folder = he
    assert {"TUMOUR_REGION_BY_MODEL", "CELL_KINDS_BY_MODEL"} <= set(record["flags"])
    assert "STAIN_NOT_H_DAB" not in record["flags"]
    assert record["status"] in ("REVIEW", "INSUFFICIENT")
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert "Experimental: nobody outlined the tumour" in text
    assert "eosin" in text
    assert "DAB" not in re.sub(r"base64,[^\"]*", "", text)


def test_nearness_counts_every_tumour_nucleus_near_a_lymphocyte(he):
    record, truth, _ = he
    found = score_of(record, "Tumour to lymphocyte: median distance")
    distance, _ = cKDTree(places(truth, "lymphocyte")).query(places(truth, "tumour"))
    assert found["value"] == pytest.approx(float(np.median(distance)), rel=0.1)
    chance = score_of(record, "Tumour to lymphocyte: G(20 µm), kinds shuffled")
    assert chance["interval"]["low"] < chance["value"] < chance["interval"]["high"]


def test_positive_cells_are_counted_in_core_and_margin_of_the_users_outline(paint, measure, outlined):
    path, truth = paint("er", truth=40.0)
    record = measure(StainedImmune(marker="CD8", tumour=outlined), path)[0].record
    y = truth["y"].to_numpy() * MPP
    stained = np.array(truth["label"].to_pylist()) == "Positive"
    border = 900 * MPP
    inside = int((stained & (y < border + 360)).sum())  # 225 um of tumour are all margin
    margin = score_of(record, "CD8 margin")
    assert margin["numerator"] == pytest.approx(inside, rel=0.06)
    assert score_of(record, "CD8 core")["status"] == "NOT_ASSESSABLE"
    assert "TUMOUR_BORDER_BY_HAND" in record["flags"]
    assert record["excluded"].get("outside tumour region") is None


def test_without_an_outline_the_density_is_that_of_the_whole_tissue_and_says_so(paint, measure):
    path, truth = paint("er", truth=40.0)
    outcome, out = measure(StainedImmune(marker="FOXP3"), path)
    density = outcome.record["scores"][0]
    stained = int((np.array(truth["label"].to_pylist()) == "Positive").sum())
    assert density["name"] == "FOXP3 in tissue"
    assert density["numerator"] == pytest.approx(stained, rel=0.05)
    assert density["denominator"] == pytest.approx(1e6 * outcome.record["areas_mm2"]["assessed"], rel=1e-6)
    assert "TUMOUR_NOT_OUTLINED" in outcome.record["flags"]
    assert "TUMOUR_BY_MODEL" not in outcome.record["flags"]
    assert "neither core" in (out / "slides" / "er" / "report.html").read_text(encoding="utf-8")


def square(core_um, mpp=8.0):
    """A square tumour in the middle of assessed tissue."""
    size = round((core_um + 1600) / mpp)
    mask = np.zeros((size, size), np.bool_)
    start, stop = round(800 / mpp), round((800 + core_um) / mpp)
    mask[start:stop, start:stop] = True
    return Ground(AssessedRegion(np.ones((size, size), np.bool_), mpp, (1000.0, 2000.0)), mask)


def test_core_and_margin_have_the_areas_of_geometry():
    ground = square(2000.0)
    areas = ground.regions().areas_mm2
    assert areas["core"] == pytest.approx(1.28**2, rel=0.02)
    ring = 4 * 2.0 * 0.36 + math.pi * 0.36**2 + (2.0**2 - 1.28**2)
    assert areas["margin"] == pytest.approx(ring, rel=0.02)


def test_points_are_counted_by_field_where_the_raster_lies():
    ground = square(2000.0)
    middle = np.array([[1000.0 + 1800, 2000.0 + 1800], [1000.0 + 10, 2000.0 + 10], [0.0, 0.0]])
    sums = count_in(middle, ground.regions().core, ground)
    assert sums.parts.sum() == 1
    assert sums.areas.sum() == pytest.approx(1.28e6, rel=0.3)


def test_strays_make_no_tumour_and_near_nests_make_one():
    assessed = AssessedRegion(np.ones((250, 250), np.bool_), 8.0)
    lattice = np.stack(np.meshgrid(np.arange(0, 301, 12.0), np.arange(0, 1201, 12.0)), -1).reshape(-1, 2)
    left, right = lattice + 400, lattice + np.array([850, 400])
    strays = np.array([[1800.0, 300.0], [1800.0, 1000.0], [100.0, 100.0]])
    nests = nest_nuclei(np.concatenate([left, right, strays]))
    assert len(nests) == 2 * len(lattice)
    tumour = found_tumour(assessed, nests)
    assert float(tumour.sum()) * 64 == pytest.approx(766 * 1216, rel=0.03)  # the gap of 150 um is bridged
    assert not tumour[:, 220:].any()
    ground = Ground(assessed, tumour)
    stroma = sum(stroma_of(ground, field, cKDTree(nests)).area_um2 for field in np.ndindex(5, 5))
    assert stroma == pytest.approx((150 - 16) * 1216, rel=0.05)


def test_a_slide_without_tissue_is_not_assessable(measure, tmp_path):
    from PIL import Image

    Image.new("RGB", (900, 900), (245, 245, 246)).save(tmp_path / "glass.tif")
    (slide,) = find_slides([str(tmp_path / "glass.tif")], mpp=0.5)
    options = RunOptions(tmp_path / "run", scheduler="threads", workers=1)
    (outcome,) = run_cohort(HeImmune(), [slide], options=options).outcomes
    assert outcome.record["status"] == "NOT_ASSESSABLE"
    assert outcome.record["scores"][0]["value"] is None
    assert {"NO_TISSUE", "NO_STROMA"} <= {flag.upper() for flag in outcome.record["flags"]}


def test_a_slide_without_resolution_fails_with_the_way_out(measure, tmp_path):
    from PIL import Image

    Image.new("RGB", (900, 900), (230, 200, 220)).save(tmp_path / "plain.tif")
    outcome, _ = measure(HeImmune(), tmp_path / "plain.tif")
    assert outcome.record is None
    assert "mpp" in outcome.failures[0].reason + outcome.failures[0].advice


def test_a_brown_slide_measured_as_h_and_e_asks_for_review(paint, measure):
    path, _ = paint("er", truth=40.0)
    record = measure(HeImmune(), path)[0].record
    assert "STAIN_NOT_H_E" in record["flags"]
    assert all(score["category"] is None for score in record["scores"])


def test_a_network_that_knows_no_lymphocytes_is_refused():
    with pytest.raises(SettingsError, match="does not tell lymphocytes"):
        HeImmune(detector=choose_detector("auto", stain="H-DAB"))


def cohort_file(path):
    """Write a cohort of a hundred patients with densities of 1 to 100."""
    lines = [", ".join(FOUR_DENSITIES), *(",".join([str(value)] * 4) for value in range(1, 101))]
    path.write_text("\n".join(lines).replace(", ", ","), encoding="utf-8")
    return path


def test_the_density_score_places_core_and_margin_of_both_markers_in_the_cohort(paint, measure, tmp_path):
    # Only the lower border lies on the slide, so what is 360 um above it is core.
    wide = {"type": "Polygon", "coordinates": [[[0, 0], [SIDE, 0], [SIDE, 1900], [0, 1900], [0, 0]]]}
    feature = {"type": "Feature", "geometry": wide, "properties": {"classification": {"name": "Tumor"}}}
    (tmp_path / "wide.geojson").write_text(json.dumps([feature]), encoding="utf-8")
    path = tmp_path / "case-1_CD8.tiff"
    shutil.copy(paint("er", truth=40.0)[0], path)
    tumour, run = tmp_path / "wide.geojson", tmp_path / "cd3"
    scores = [{"name": f"CD3 {part}", "numerator": 50, "denominator": 10**6} for part in ("core", "margin")]
    (run / "slides" / "a").mkdir(parents=True)
    record = {"slide": "case-1_CD3", "scores": scores}
    (run / "slides" / "a" / "report.json").write_text(json.dumps(record), encoding="utf-8")
    cohort = read_cohort(cohort_file(tmp_path / "cohort.csv"))
    with pytest.raises(SettingsError, match="other marker"):
        StainedImmune(marker="CD8", tumour=tumour, cohort=cohort)
    workflow = StainedImmune(marker="CD8", tumour=tumour, cohort=cohort, other=read_other_marker(run))
    record = measure(workflow, path)[0].record
    assert record["scores"][0]["name"] == "CD3/CD8 density score"
    # CD3 of 50 has the percentile 49.5; CD8 has hundreds of cells per mm2 in a cohort of 1 to 100
    assert record["scores"][0]["value"] == pytest.approx((49.5 + 49.5 + 100 + 100) / 4)
    assert {each["name"] for each in record["scores"]} >= set(FOUR_DENSITIES)


def test_a_cohort_without_all_four_densities_is_refused(tmp_path):
    (tmp_path / "cohort.csv").write_text("CD3 core;CD3 margin\n1,5;2\n", encoding="utf-8")
    with pytest.raises(InvalidTableError, match="CD8 core, CD8 margin"):
        read_cohort(tmp_path / "cohort.csv")
