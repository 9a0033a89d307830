"""Calibration: from a made run to a profile, whose file is checked in every entry."""

from __future__ import annotations

import io
import json
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from slidelab.errors import InvalidTableError, RunFolderError, SettingsError
from slidelab.quantify import IntensityBins, intensity_levels
from slidelab.workflows.calibrate import calibrate_run
from slidelab.workflows.lab_profile import LabDetector, LabEvidence, LabProfile, LabThresholds
from slidelab.workflows.report.flag_advice import explain
from slidelab.workflows.slides.cell_file import CellFileWriter, ring_column

DAY = date(2026, 3, 4)
MEANS = {"negative": 0.06, "1+": 0.26, "2+": 0.50, "3+": 0.78}
NETWORK = {"name": "nuclei-fast.ihc-research", "version": "1.2.0", "sha256": "ab" * 32}
TRUE_BINS = IntensityBins(0.17, 0.45, 0.71)


def make_run(folder: Path, tables: dict[str, pa.Table], *, workflow: str = "er", **detector: Any) -> Path:
    """Make what a finished run leaves of some slides."""
    further = [name for name in ("cytoplasm_dab_od_mean", "membrane_od") if name in _columns(tables)]
    rows = []
    for slide, cells in tables.items():
        place = folder / "slides" / slide
        place.mkdir(parents=True)
        with CellFileWriter(place / "cells.parquet", probabilities=further) as writer:
            writer.write(cells)
        (place / "report.json").write_text(json.dumps({"flags": ["TUMOUR_BY_MODEL"]}))
        rows.append({"id": slide, "path": f"/scans/{slide} A.svs", "mpp": None, "failures": 0})
    settings = {"plan": {"mpp": 0.5}, "detector": NETWORK | detector}
    run = {"workflow": workflow, "status": "done", "settings": settings, "slides": rows}
    (folder / "run.json").write_text(json.dumps(run))
    return folder


def _columns(tables: dict[str, pa.Table]) -> list[str]:
    return next(iter(tables.values())).schema.names


def nuclei(make_cells: Any, od: np.ndarray, **columns: Any) -> pa.Table:
    """Make counted cells of some densities, and as many very dark ones that do not count."""
    cells = make_cells(2 * len(od))
    values = {
        "dab_od_mean": np.concatenate([od, np.full(len(od), 2.0)]).astype(np.float32),
        "excluded": [""] * len(od) + ["not tumour"] * len(od),
        "label": ["1+"] * len(od) + ["Other"] * len(od),
    }
    for name, value in (values | columns).items():
        cells = cells.set_column(cells.schema.get_field_index(name), name, pa.array(value))
    return cells


@pytest.fixture(scope="module")
def controls(make_cells, tmp_path_factory):
    """A run of three controls a level, and the list of their levels."""
    random, tables, lines = np.random.default_rng(2), {}, ["slide,level"]
    for level, mean in MEANS.items():
        for number in range(3):
            name = f"{level.rstrip('+')}_{number}"
            tables[name] = nuclei(make_cells, np.abs(random.normal(mean, 0.06, 400)))
            # by id, by file name and by file name without suffix
            lines.append(f"{name}{('', ' A.svs', ' A')[number]},{level}")
    run = make_run(tmp_path_factory.mktemp("controls") / "run", tables)
    listed = run.parent / "controls.csv"
    listed.write_text("\n".join(lines), encoding="utf-8-sig")
    return run, listed


@pytest.fixture(scope="module")
def scored(make_cells, tmp_path_factory):
    """A run of twelve cases, and the laboratory's own scores by other thresholds than the start values."""
    random, tables, lines = np.random.default_rng(4), {}, ["slide;percent;h_score"]
    for number in range(12):
        mean = 0.25 + 0.6 * random.random()
        positive = random.random(600) < (number + 0.5) / 12
        od = np.abs(np.where(positive, random.normal(mean, 0.2, 600), random.normal(0.08, 0.05, 600)))
        level = intensity_levels(od.astype(np.float32), bins=TRUE_BINS)
        tables[f"case{number}"] = nuclei(make_cells, od)
        line = f"case{number};{100 * (level > 0).mean():.4f};{100 * level.mean():.4f}"
        lines.append(line.replace(".", ","))  # as spreadsheets of half the world write it
    run = make_run(tmp_path_factory.mktemp("scored") / "run", tables)
    listed = run.parent / "reference.csv"
    listed.write_text("\n".join(lines))
    return run, listed


def test_controls_give_a_profile_with_all_that_it_rests_on(controls):
    run, listed = controls
    made = calibrate_run(run, marker="ER", name="St. Mary ER SP1", controls=listed, version=2, created=DAY)
    profile = made.profile
    assert profile.bins.edges == pytest.approx((0.16, 0.38, 0.64), abs=0.04)
    assert (profile.marker, profile.version, profile.created) == ("er", 2, DAY)
    assert profile.detector == LabDetector(**NETWORK, mpp=0.5)
    # cells that are excluded do not enter
    assert (profile.evidence.slides, profile.evidence.cells) == (12, 4800)
    assert profile.evidence.method == "controls"
    assert profile.evidence.flags == ()
    assert profile.evidence.errors["weak_left_out"] == pytest.approx(5, abs=2)
    assert profile.identity == f"St. Mary ER SP1 v2 ({profile.digest[:6]})"
    low, high = profile.thresholds.intervals["weak"]
    assert low <= profile.bins.weak <= high


def test_reference_scores_give_back_the_thresholds_they_were_made_with(scored):
    run, listed = scored
    made = calibrate_run(run, marker="er", name="lab", reference=listed, created=DAY)
    assert made.profile.bins == TRUE_BINS
    errors = made.profile.evidence.errors
    assert errors["percent_fitted"] == pytest.approx(0, abs=1e-3)
    assert errors["percent_left_out"] < errors["percent_start"]
    assert len(made.points) == 24


def test_text_names_errors_on_slides_left_out_and_warnings(controls, scored):
    text = calibrate_run(scored[0], name="lab", reference=scored[1], created=DAY).to_text()
    for word in ("percent positive", "H-score", "fitted", "left out", "start", "0.17", "0.45", "0.71"):
        assert word in text
    run, listed = controls
    few = listed.with_name("few.csv")
    few.write_text("slide,level\n0_0,0\n1_0,1\n1_1,1+\n2_0,2\n3_0,3\n".replace("0_0", "negative_0"))
    made = calibrate_run(run, name="lab", controls=few, created=DAY)
    assert "LAB_FEW_SLIDES" in made.profile.evidence.flags
    assert explain("LAB_FEW_SLIDES").advice in made.to_text()
    assert "one slide only" in made.to_text()


def test_calibration_is_plain_json_and_its_profile_comes_back(controls):
    made = calibrate_run(controls[0], name="lab", controls=controls[1], created=DAY)
    value = json.loads(json.dumps(made.to_json(), allow_nan=False))
    assert LabProfile.from_json(value["profile"]) == made.profile
    assert len(value["slides"]) == 12
    assert {each["level"] for each in value["slides"]} == {"negative", "weak", "moderate", "strong"}


@pytest.mark.parametrize("way", ["controls", "reference"])
def test_file_and_picture_repeat_and_are_not_overwritten(way, controls, scored, tmp_path):
    run, listed = controls if way == "controls" else scored
    first = calibrate_run(run, name='Lab "A" \\ Ü', **{way: listed}, created=DAY)
    path = first.write(tmp_path / "lab.toml")
    assert LabProfile.read(path) == first.profile
    with Image.open(io.BytesIO(path.with_suffix(".png").read_bytes())) as image:
        assert image.format == "PNG"
    again = calibrate_run(run, name='Lab "A" \\ Ü', **{way: listed}, created=DAY)
    assert again.picture() == first.picture()
    assert again.profile.to_toml() == path.read_text(encoding="utf-8")
    again.write(path)  # the same content
    other = calibrate_run(run, name="lab", **{way: listed}, version=2, created=DAY)
    with pytest.raises(SettingsError, match="there already"):
        other.write(path)
    assert LabProfile.read(path) == first.profile
    other.write(path, overwrite=True)
    assert LabProfile.read(path).version == 2


def test_membrane_thresholds_come_from_the_rings(make_cells, tmp_path):
    random, tables, lines = np.random.default_rng(8), {}, ["slide,level"]
    for level, mean in MEANS.items():
        for number in range(2):
            od = np.abs(random.normal(mean, 0.05, 300))
            ring = np.clip(np.rint(100 * od[:, None] + random.normal(0, 1, (300, 32))), 0, 255)
            cells = make_cells(300)
            cells = cells.set_column(
                3, "label", pa.array(["Tumor: Positive"] * 290 + ["Immune cells: Positive"] * 10)
            )
            cells = cells.set_column(4, "excluded", pa.array([""] * 300))
            cells = cells.append_column("cytoplasm_dab_od_mean", pa.array(np.zeros(300, np.float32)))
            name = f"{level.rstrip('+')}-{number}"
            tables[name] = cells.append_column("membrane_od", ring_column(ring.astype(np.uint8)))
            lines.append(f"{name},{level}")
    told = {"membranes": "membrane-ring-1", "expansion_um": 5.0}
    run = make_run(tmp_path / "run", tables, workflow="her2", **told)
    (tmp_path / "c.csv").write_text("\n".join(lines))
    made = calibrate_run(run, marker="HER2", name="lab", controls=tmp_path / "c.csv", created=DAY)
    assert made.profile.bins.edges == pytest.approx((0.16, 0.38, 0.64), abs=0.04)
    assert made.profile.detector.membranes == "membrane-ring-1, 5 um"
    assert made.profile.evidence.cells == 8 * 290  # immune cells are no tumour cells
    assert made.picture().startswith(b"\x89PNG")


def test_what_cannot_be_calibrated_is_refused(controls, tmp_path):
    run, listed = controls
    with pytest.raises(SettingsError, match="a run of er, not of PR"):
        calibrate_run(run, marker="PR", name="lab", controls=listed)
    with pytest.raises(SettingsError, match="either control slides or reference"):
        calibrate_run(run, name="lab")
    with pytest.raises(SettingsError, match="either control slides or reference"):
        calibrate_run(run, name="lab", controls=listed, reference=listed)
    with pytest.raises(RunFolderError, match="holds no run"):
        calibrate_run(tmp_path, name="lab", controls=listed)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("slide,grade\na,1", "columns slide, grade"),
        ("slide,level\nnegative_0,0\nnobody,1", "line 3 .* no slide 'nobody'"),
        ("slide,level\nnegative_0,4+", "line 2 .* '4\\+' is no level"),
        ("slide,level\nnegative_0,0\nnegative_0 A.svs,0", "line 3 .* stands in line 2 too"),
        ("slide,level\n", "names no slide"),
        ("slide,level\nnegative_0,0\n1_0,1\n3_0,3", "no control slide is moderate"),
    ],
)
def test_a_wrong_list_is_refused_with_its_line(controls, tmp_path, text, problem):
    listed = tmp_path / "list.csv"
    listed.write_text(text)
    with pytest.raises(InvalidTableError, match=problem):
        calibrate_run(controls[0], name="lab", controls=listed)


def test_a_reference_score_that_is_no_number_is_refused(scored, tmp_path):
    listed = tmp_path / "list.csv"
    listed.write_text("slide,percent\ncase0,12\ncase1,about 30")
    with pytest.raises(InvalidTableError, match=r"line 3 .* 'about 30' is no number"):
        calibrate_run(scored[0], name="lab", reference=listed)


def test_slides_without_a_whole_result_or_of_another_stain_are_refused(make_cells, tmp_path):
    run = make_run(tmp_path / "run", {"a": nuclei(make_cells, np.full(200, 0.1))})
    listed = tmp_path / "list.csv"
    listed.write_text("slide,level\na,0")
    (run / "slides" / "a" / "report.json").write_text('{"flags": ["STAIN_NOT_H_DAB"]}')
    with pytest.raises(SettingsError, match="hematoxylin and DAB"):
        calibrate_run(run, name="lab", controls=listed)
    facts = json.loads((run / "run.json").read_text())
    facts["slides"][0]["failures"] = 1
    (run / "run.json").write_text(json.dumps(facts))
    with pytest.raises(RunFolderError, match="a has no whole result"):
        calibrate_run(run, name="lab", controls=listed)
    (run / "run.json").write_text(json.dumps(facts | {"status": "running"}))
    with pytest.raises(RunFolderError, match="has not ended"):
        calibrate_run(run, name="lab", controls=listed)


def test_corrected_cells_give_another_result_hash(make_cells, tmp_path):
    hashes = set()
    for number, shift in enumerate((0.0, 0.0, 0.01)):
        tables = {
            name.rstrip("+"): nuclei(make_cells, np.full(100, mean + shift)) for name, mean in MEANS.items()
        }
        run = make_run(tmp_path / str(number), tables)
        listed = tmp_path / "list.csv"
        listed.write_text("\n".join(["slide,level", *(f"{name.rstrip('+')},{name}" for name in MEANS)]))
        made = calibrate_run(run, name="lab", controls=listed, created=DAY)
        hashes.add(made.profile.evidence.run_sha256)
    assert len(hashes) == 2


@pytest.fixture
def profile():
    return LabProfile(
        name="St. Mary ER SP1",
        version=2,
        created=DAY,
        marker="er",
        thresholds=LabThresholds(0.16, 0.38, 0.64, ("weak", "moderate", "strong"), {"weak": (0.15, 0.18)}),
        detector=LabDetector(**NETWORK, mpp=0.5),
        evidence=LabEvidence("controls", 12, 4800, "0f" * 32, "0.1.0", (), {"weak_fitted": 4.5}),
    )


def test_comments_and_spaces_do_not_change_the_digest_and_numbers_do(profile, tmp_path):
    text = profile.to_toml()
    path = tmp_path / "lab.toml"
    path.write_text("# by Jane\n" + text.replace("weak = 0.16", "weak   =  0.16 # checked"))
    assert LabProfile.read(path).identity == profile.identity
    path.write_text(text.replace("weak = 0.16", "weak = 0.17"))
    assert LabProfile.read(path).digest != profile.digest


def test_profile_refuses_another_marker_and_flags_another_detector(profile):
    same = {"version": "1.2.0", "sha256": "ab" * 32, "mpp": 0.499, "membranes": ""}
    assert profile.check_fits("ER", NETWORK["name"], **same) == ()
    assert profile.check_fits("er", NETWORK["name"]) == ()
    other = ("LAB_PROFILE_OTHER_DETECTOR",)
    assert profile.check_fits("er", "unmixed-nuclei") == other
    assert profile.check_fits("er", NETWORK["name"], **same | {"version": "1.3.0"}) == other
    assert profile.check_fits("er", NETWORK["name"], **same | {"sha256": "cd" * 32}) == other
    assert profile.check_fits("er", NETWORK["name"], mpp=0.25) == ("LAB_PROFILE_OTHER_RESOLUTION",)
    with pytest.raises(SettingsError, match=r"St\. Mary ER SP1 v2 .* is for er, not for pr"):
        profile.check_fits("PR", NETWORK["name"])


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('"slidelab.lab/1"', '"slidelab.lab/2"', "not of the format"),
        ("version = 2", "version = 0", "version: 0 is not 1 or more"),
        ("version = 2", "version = 2.5", "version: Input should be a valid integer"),
        ("version = 2", 'version = "2"', "version: Input should be a valid integer"),
        ("2026-03-04", '"yesterday"', "created: Input should be a valid date"),
        ('marker = "er"', 'marker = "cd20"', "marker: 'cd20' is none of"),
        ("weak = 0.16", "weak = 0.5", "do not rise"),
        ("weak = 0.16", "weak = nan", "do not rise|finite"),
        ("weak = 0.16", "waek = 0.16", "thresholds.waek: no such entry"),
        ("weak = 0.16\n", "", "thresholds.weak: Field required"),
        ("mpp = 0.5", "mpp = 0", "detector.mpp: 0.* is no resolution"),
        (f'sha256 = "{"ab" * 32}"', 'sha256 = "ab"', "detector.sha256"),
        ('method = "controls"', 'method = "guess"', "evidence.method: 'guess'"),
        ("weak = [0.15, 0.18]", "weak = [0.18, 0.15]", "no interval"),
        ("weak = [0.15, 0.18]", "weak = [0.18]", "thresholds.intervals.weak"),
        ("weak_fitted = 4.5", "weak_fitted = -4.5", "no error"),
        ('name = "St. Mary ER SP1"', 'name = ""', "name: ''"),
        ('name = "St. Mary ER SP1"', "name = St. Mary", "laboratory|line 2"),
    ],
)
def test_a_wrong_entry_is_named_in_one_line(profile, tmp_path, old, new, problem):
    text = profile.to_toml()
    assert text.count(old) == 1
    path = tmp_path / "lab.toml"
    path.write_text(text.replace(old, new))
    with pytest.raises(SettingsError, match=problem) as caught:
        LabProfile.read(path)
    assert "lab.toml" in caught.value.what
    assert "\n" not in caught.value.what
    assert caught.value.advice


def test_a_missing_file_and_a_changed_record_are_refused(profile, tmp_path):
    with pytest.raises(SettingsError, match="no laboratory profile can be read"):
        LabProfile.read(tmp_path / "none.toml")
    record = profile.to_json()
    record["thresholds"] |= {"weak": 0.1}
    with pytest.raises(SettingsError, match="digest"):
        LabProfile.from_json(record)
