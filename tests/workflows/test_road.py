"""The whole road on phantoms: right numbers, the same for any tiling, order, worker and interruption."""

import csv
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slidelab.errors import RunFolderError, SettingsError
from slidelab.quantify import match_points
from slidelab.workflows import Ki67, RunOptions, SlideInput, find_slides, run_cohort
from slidelab.workflows.slides.learned_model import loaded_network
from slidelab.workflows.slides.nuclei import find_nuclei, open_plane
from slidelab.workflows.slides.plan import PlanSettings, make_plan
from slidelab.workflows.slides.tile_detector import (
    BASELINE,
    BaselineDetector,
    choose_detector,
)
from slidelab.wsi import PhantomSettings, write_phantom

SMALL_TILES = PlanSettings(core_px=512)


@pytest.fixture(scope="session")
def phantom(tmp_path_factory):
    """A small Ki-67 slide with artefacts and a known index of 30 %."""
    path = tmp_path_factory.mktemp("phantom") / "case.tiff"
    settings = PhantomSettings(width=4096, height=4096, truth=30.0, seed=11, tissue_fraction=0.4)
    write_phantom(path, settings, workers=2)
    return path


@pytest.fixture(scope="session")
def finished(phantom, tmp_path_factory):
    """An undisturbed run of the phantom with small tiles."""
    out = tmp_path_factory.mktemp("finished") / "run"
    run = run_cohort(
        Ki67(plan=SMALL_TILES),
        find_slides([phantom]),
        options=RunOptions(out, scheduler="threads", workers=2),
    )
    assert run.exit_code == 0, run.outcomes
    return run


def digests(out):
    """Digest of every final file of every slide."""
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((out / "slides").rglob("*"))
        if path.is_file() and "work" not in path.parts
    }


def test_the_run_folder_holds_what_was_promised(finished):
    files = {path.name for path in finished.out.iterdir()}
    assert {"run.json", "summary.csv", "cohort.html", "failures.csv", "slides"} <= files
    slide = {path.name for path in (finished.out / "slides" / "case").iterdir()}
    promised = {"report.html", "report.json", "cells.parquet", "cells.geojson.gz", "maps.zarr", "overlay.png"}
    assert promised | {"qc.json", "work"} <= slide


def test_report_summary_and_cells_say_the_same(finished):
    folder = finished.out / "slides" / "case"
    report = json.loads((folder / "report.json").read_text())
    headline = report["scores"][0]
    cells = pq.read_table(folder / "cells.parquet").to_pydict()
    counted = [label for label, reason in zip(cells["label"], cells["excluded"], strict=True) if not reason]
    assert headline["denominator"] == len(counted)
    assert headline["numerator"] == counted.count("Positive")
    excluded = sum(reason != "" for reason in cells["excluded"])
    assert sum(report["excluded"].values()) == excluded
    with (finished.out / "summary.csv").open() as stream:
        row = next(csv.DictReader(stream))
    assert (int(row["numerator"]), int(row["denominator"])) == (
        headline["numerator"],
        headline["denominator"],
    )


def test_every_result_says_how_tumour_was_told(finished, phantom, tmp_path):
    assert "TUMOUR_BY_MODEL" in finished.outcomes[0].record["flags"]
    baseline = Ki67(plan=SMALL_TILES, detector=BaselineDetector())
    options = RunOptions(tmp_path / "run", scheduler="threads", workers=2)
    run = run_cohort(baseline, find_slides([phantom]), options=options)
    assert "TUMOUR_NOT_SEPARATED" in run.outcomes[0].record["flags"]


@pytest.mark.parametrize(("truth", "scanner"), [(3.0, "a"), (20.0, "b"), (60.0, "a"), (90.0, "b")])
def test_painted_index_and_counts_are_recovered(tmp_path, truth, scanner):
    path = tmp_path / "phantom.tiff"
    known = write_phantom(
        path,
        PhantomSettings(
            width=5120,
            height=5120,
            truth=truth,
            seed=int(truth),
            scanner=scanner,
            tissue_fraction=0.5,
            artefacts=False,
        ),
        workers=2,
    )
    options = RunOptions(tmp_path / "run", scheduler="threads", workers=2)
    run = run_cohort(Ki67(), find_slides([path]), options=options)
    headline = run.outcomes[0].record["scores"][0]
    assert headline["value"] == pytest.approx(known.value, abs=2.0)
    assert headline["denominator"] == pytest.approx(known.counts["tumour"], rel=0.05)


def _inside_artefacts(phantom, points, reason=None):
    """Tell which points (level-0 px) lie in painted artefacts, of one kind or of any."""
    import shapely

    known = json.loads(phantom.with_suffix(".truth.json").read_text())
    outlines = [each["outline"] for each in known["artefacts"] if reason in (None, each["reason"])]
    shape = shapely.union_all([shapely.Polygon(outline).buffer(0) for outline in outlines])
    return shapely.contains_xy(shape, points[:, 0], points[:, 1])


def test_nuclei_found_outside_artefacts_are_the_painted_ones(finished, phantom):
    cells = pq.read_table(finished.out / "slides" / "case" / "cells.parquet")
    counted = np.array(cells["excluded"].to_pylist()) == ""
    truth = pq.read_table(phantom.with_suffix(".truth.parquet"))
    found = np.column_stack([cells["x"], cells["y"]])[counted]
    painted = np.column_stack([truth["x"], truth["y"]])[np.array(truth["artefact"].to_pylist()) == ""]
    found = found[~_inside_artefacts(phantom, found)]
    matches = match_points(found * 0.25, painted * 0.25, radius_um=4.0)
    assert matches.f1 > 0.9


def test_nuclei_under_ink_are_found_and_left_out(finished, phantom):
    cells = pq.read_table(finished.out / "slides" / "case" / "cells.parquet")
    places = np.column_stack([cells["x"], cells["y"]])
    under_ink = _inside_artefacts(phantom, places, "pen")
    counted = np.array(cells["excluded"].to_pylist()) == ""
    painted = json.loads(phantom.with_suffix(".truth.json").read_text())["counts"]["tumour_in_pen"]
    assert painted > 100
    assert (under_ink & counted).sum() < 0.1 * painted
    in_pen = cells["excluded"].to_pylist().count("pen")
    assert finished.outcomes[0].record["excluded"]["pen"] == in_pen > 0


@pytest.fixture(scope="session", params=["auto", BASELINE])
def road(request, phantom, tmp_path_factory):
    """A plan of the phantom whose grid can be changed, and the cells of one single tile."""
    detector = choose_detector(request.param, stain="H-DAB")
    folder = tmp_path_factory.mktemp("road")
    plan = make_plan(SlideInput(phantom, "case"), folder=folder, settings=PlanSettings(), detector=detector)
    plane = open_plane(str(phantom), None, plan.asked_mpp, plan.fingerprint)
    return plan, plane, _cells(plane, replace(plan, grid=replace(plan.grid, core=4096)))


def _cells(plane, plan, order=None):
    """All cells of a grid, sorted by place, every column as numbers."""
    parts = []
    for index in order if order is not None else range(len(plan.grid)):
        found = find_nuclei(plane, plan, index=index, seconds={})
        columns = [found.x, found.y, found.area_um2, found.measurements["dab_od_mean"]]
        parts.append(np.column_stack([*columns, found.outlines.reshape(len(found), 64)]))
    table = np.concatenate(parts)
    return table[np.lexsort(table.T[::-1])]


@pytest.mark.parametrize("road", ["auto"], indirect=True)
def test_a_device_with_little_memory_gets_smaller_blocks_and_gives_the_same_cells(road):
    plan, plane, untiled = road
    network = plan.detector
    session = loaded_network(*network.place).session
    session.room_px = 700_000
    try:
        found = _cells(plane, replace(plan, grid=replace(plan.grid, core=4096)))
    finally:
        session.room_px = None
    assert np.array_equal(found, untiled)


@settings(max_examples=4)
@given(core=st.integers(15, 62), extra=st.integers(0, 4), data=st.data())
def test_tiled_equals_untiled_from_file_to_level0_outlines(road, core, extra, data):
    plan, plane, untiled = road
    stride = 16  # a multiple of either detector's
    halo = -(-plan.grid.halo // stride) * stride + stride * extra
    tiled = replace(plan, grid=replace(plan.grid, core=stride * core, halo=halo))
    order = data.draw(st.permutations(range(len(tiled.grid))))
    assert len(untiled) > 500
    assert np.array_equal(_cells(plane, tiled, order), untiled)


@pytest.mark.parametrize(("scheduler", "workers"), [("threads", 1), ("processes", 2)])
def test_any_workers_give_the_same_bytes(finished, phantom, tmp_path, scheduler, workers):
    options = RunOptions(tmp_path / "run", scheduler=scheduler, workers=workers)
    run_cohort(Ki67(plan=SMALL_TILES), find_slides([phantom]), options=options)
    assert digests(tmp_path / "run") == digests(finished.out)
    hashes = [
        json.loads((out / "run.json").read_text())["result_sha256"]
        for out in (tmp_path / "run", finished.out)
    ]
    assert hashes[0] == hashes[1]


SCRIPT = """
import sys
from pathlib import Path
from slidelab.workflows import Ki67, RunOptions, find_slides, run_cohort
from slidelab.workflows.slides.plan import PlanSettings
if __name__ == "__main__":
    run_cohort(
        Ki67(plan=PlanSettings(core_px=512)), find_slides([sys.argv[1]]),
        options=RunOptions(Path(sys.argv[2]), scheduler=sys.argv[3], workers=2),
    )
"""


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_random_moments_and_resumed_gives_the_same_bytes(finished, phantom, tmp_path, seed):
    random.seed(seed)
    script = tmp_path / "run.py"
    script.write_text(SCRIPT)
    out = tmp_path / "run"
    command = [sys.executable, str(script), str(phantom), str(out), ("threads", "processes")[seed % 2]]
    landed = []
    for _ in range(5):
        process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
        try:
            process.wait(timeout=random.uniform(1.5, 9.0))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        landed.append(sum(1 for _ in out.rglob("part-*.arrow")))
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    assert landed == sorted(landed), "a finished tile was lost"
    assert digests(out) == digests(finished.out)


def test_a_second_run_does_nothing_again(finished):
    work = finished.out / "slides" / "case" / "work"
    before = {path: path.stat().st_mtime_ns for path in work.rglob("*.arrow")}
    report = finished.out / "slides" / "case" / "report.html"
    written = report.stat().st_mtime_ns
    slides = [outcome.slide for outcome in finished.outcomes]
    run = run_cohort(
        Ki67(plan=SMALL_TILES), slides, options=RunOptions(finished.out, scheduler="threads", workers=1)
    )
    assert run.exit_code == 0
    assert run.outcomes[0].record == finished.outcomes[0].record
    assert run.outcomes[0].seconds == {}
    assert {path: path.stat().st_mtime_ns for path in work.rglob("*.arrow")} == before
    assert report.stat().st_mtime_ns == written


def test_a_cleaned_run_keeps_its_results_and_is_not_done_again(phantom, tmp_path):
    slides, out = find_slides([phantom]), tmp_path / "run"
    options = RunOptions(out, scheduler="threads", workers=2, clean=True)
    first = run_cohort(Ki67(), slides, options=options)
    assert not list(out.rglob("part-*.arrow"))
    before = digests(out)
    second = run_cohort(Ki67(), slides, options=options)
    assert second.outcomes[0].seconds == {}
    assert second.outcomes[0].record == first.outcomes[0].record
    assert digests(out) == before


def test_a_replaced_file_of_the_same_name_is_scored_anew(phantom, tmp_path):
    import shutil

    path, out = tmp_path / "case.tiff", tmp_path / "run"
    shutil.copy(phantom, path)
    options = RunOptions(out, scheduler="threads", workers=2)
    first = run_cohort(Ki67(), find_slides([path]), options=options)
    write_phantom(
        path, PhantomSettings(width=2048, height=2048, truth=70.0, seed=12, tissue_fraction=0.5), workers=2
    )
    second = run_cohort(Ki67(), find_slides([path]), options=options)
    assert (
        second.outcomes[0].record["scores"][0]["value"] > first.outcomes[0].record["scores"][0]["value"] + 20
    )


def test_another_threshold_is_scored_again_without_detecting_again(phantom, tmp_path):
    slides, out = find_slides([phantom]), tmp_path / "run"
    first = run_cohort(Ki67(), slides, options=RunOptions(out, scheduler="threads", workers=2))
    second = run_cohort(
        Ki67(positive_od=0.5), slides, options=RunOptions(out, scheduler="threads", workers=2)
    )
    assert first.outcomes[0].seconds["decode"] > 0
    assert second.outcomes[0].seconds == {}
    assert second.outcomes[0].record["scores"][0]["value"] < first.outcomes[0].record["scores"][0]["value"]
    curve = first.outcomes[0].record["threshold_curve"]
    at = dict(zip(curve["thresholds"], curve["index"], strict=True))
    assert at[0.5] == pytest.approx(second.outcomes[0].record["scores"][0]["value"])


def tear_busiest_tile(path):
    """Zero the level-0 tile with the most bytes: one full of tissue."""
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[0]
        busiest = int(np.argmax(page.databytecounts))
        offset, count = page.dataoffsets[busiest], page.databytecounts[busiest]
    with path.open("r+b") as stream:
        stream.seek(offset)
        stream.write(bytes(count))


def test_a_damaged_tile_makes_the_slide_partial_and_says_how_much_is_missing(tmp_path):
    path = tmp_path / "torn.tiff"
    settings = PhantomSettings(
        width=4096, height=4096, truth=30.0, seed=11, tissue_fraction=0.5, artefacts=False
    )
    write_phantom(path, settings, workers=2)
    tear_busiest_tile(path)
    options = RunOptions(tmp_path / "run", scheduler="threads", workers=2)
    run = run_cohort(Ki67(plan=SMALL_TILES), find_slides([path]), options=options)
    outcome = run.outcomes[0]
    assert run.exit_code == 2
    assert outcome.status == "PARTIAL"
    assert outcome.record["areas_mm2"]["missing"] > 0
    assert "AREA_MISSING" in outcome.record["flags"]
    with (tmp_path / "run" / "failures.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert rows
    assert all(row["slide"] == "torn" and row["reason"] and row["advice"] for row in rows)


def test_damage_met_while_looking_for_tissue_leaves_a_partial_result(phantom, tmp_path):
    import tifffile

    # One level only: the overview is read from the very tiles of which one is torn.
    path = tmp_path / "single.tif"
    pixels = tifffile.imread(phantom, level=0)
    tifffile.imwrite(
        path,
        pixels,
        tile=(256, 256),
        photometric="rgb",
        compression="zlib",
        resolution=(40000, 40000),
        resolutionunit=3,
    )
    tear_busiest_tile(path)
    options = RunOptions(tmp_path / "run", scheduler="threads", workers=2)
    run = run_cohort(Ki67(plan=SMALL_TILES), find_slides([path]), options=options)
    outcome = run.outcomes[0]
    assert run.exit_code == 2
    assert outcome.status == "PARTIAL"
    assert outcome.record["areas_mm2"]["missing"] >= (256 * 0.25 / 1000) ** 2
    assert any("looking for tissue" in failure.reason for failure in outcome.failures)
    assert outcome.record["scores"][0]["denominator"] > 200


def test_a_blank_slide_is_not_assessable_and_no_failure(tmp_path):
    import tifffile

    path = tmp_path / "blank.tif"
    glass = np.random.default_rng(1).integers(238, 243, (2048, 2048, 3), dtype=np.uint8)
    tifffile.imwrite(
        path, glass, tile=(256, 256), photometric="rgb", resolution=(40000, 40000), resolutionunit=3
    )
    options = RunOptions(tmp_path / "run", scheduler="threads", workers=1)
    run = run_cohort(Ki67(), find_slides([path]), options=options)
    assert run.exit_code == 0
    assert run.outcomes[0].status == "NOT_ASSESSABLE"
    headline = run.outcomes[0].record["scores"][0]
    assert headline["value"] is None
    assert headline["category"] is None


def test_hematoxylin_and_eosin_is_flagged_for_review(tmp_path):
    path = tmp_path / "he.tiff"
    write_phantom(path, PhantomSettings(kind="he", width=4096, height=4096, tissue_fraction=0.4), workers=2)
    options = RunOptions(tmp_path / "run", scheduler="threads", workers=1)
    run = run_cohort(Ki67(), find_slides([path]), options=options)
    assert run.outcomes[0].status == "REVIEW"
    assert "STAIN_NOT_H_DAB" in run.outcomes[0].record["flags"]
    assert all(score["category"] is None for score in run.outcomes[0].record["scores"])


def test_strangers_folders_and_other_runs_are_not_touched(phantom, tmp_path):
    (tmp_path / "precious.txt").write_text("mine")
    options = RunOptions(tmp_path, scheduler="threads", workers=1, overwrite=True)
    with pytest.raises(RunFolderError, match="not empty"):
        run_cohort(Ki67(), find_slides([phantom]), options=options)
    assert (tmp_path / "precious.txt").read_text() == "mine"


def test_settings_that_cannot_be_right_are_refused():
    with pytest.raises(SettingsError, match="reach"):
        Ki67(plan=PlanSettings(halo_px=32))
    with pytest.raises(SettingsError, match="threshold"):
        Ki67(positive_od=20.0)


def test_seam_density_is_near_one_where_nothing_happens_at_seams(finished):
    seams = json.loads((finished.out / "slides" / "case" / "qc.json").read_text())["seam_density"]
    assert seams == pytest.approx(1.0, abs=0.25)  # some 80 nuclei lie there: 11 % is one standard deviation


def test_no_pixels_travel_through_the_scheduler(road):
    import pickle

    plan, _, _ = road
    workflow = Ki67()
    arguments = (plan.slide, Path("results"), plan.folder, 3)
    assert len(pickle.dumps((workflow.process, arguments))) < 5_000


def test_the_run_says_how_long_and_with_what(finished):
    run = json.loads((finished.out / "run.json").read_text())
    assert run["status"] == "done"
    assert run["software"]["slidelab"]
    assert run["settings"]["positive_od"] is None  # the network decides
    assert len(run["settings"]["detector"]["sha256"]) == 64
    assert run["wall_seconds"] < time.time()
