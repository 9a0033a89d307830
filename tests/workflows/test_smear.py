"""Blood smears through the command line: counts, differential, corrections, bad images, resuming."""

from __future__ import annotations

import csv
import gzip
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner

from slidelab.cli.smear import count_app
from slidelab.errors import InvalidTableError, SettingsError, SlideNotFoundError
from slidelab.quantify import FIVE_PARTS
from slidelab.workflows.smear import readers
from slidelab.workflows.smear.analyser import read_analyser
from slidelab.workflows.smear.inputs import find_smears
from slidelab.wsi.phantom.smear import SmearPhantom, write_smear_fields, write_smear_phantom

FIELD = SmearPhantom(
    width=1024,
    height=1024,
    seed=11,
    white_per_mm2=600.0,
    red_per_mm2=3500.0,
    shares={"neutrophil": 0.6, "lymphocyte": 0.4},
    thick=0.0,
    thin=0.0,
)
FIELDS = 4
UNNAMED = ("--white-model", "none", "--red-model", "none")


@dataclass(frozen=True)
class ByNucleus:
    """Names phantom cells: a lymphocyte's nucleus fills its middle, a neutrophil's lobes leave it free."""

    name: str = "by-nucleus"
    version: str = "1"
    mpp: float = 0.25
    side: int = 32
    classes: tuple[str, ...] = FIVE_PARTS
    licence: str = "Apache-2.0"
    sha256: str = "0" * 64
    limits: tuple[str, ...] = ()

    def read(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        middle = crops[:, 12:20, 12:20, 0].astype(float)
        is_lymphocyte = (middle < 110).mean((1, 2)) > 0.8
        probability = np.zeros((len(crops), 5), np.float32)
        probability[np.arange(len(crops)), is_lymphocyte.astype(int)] = 0.9
        probability[:, 4] = 0.1
        return probability, np.zeros(len(crops), bool)

    def facts(self) -> dict[str, Any]:
        return {"name": self.name}


def count(*arguments: str | Path) -> Any:
    """Run `slidelab count smear`."""
    return CliRunner().invoke(
        count_app, ["smear", *map(str, arguments), "--workers", "1", "--scheduler", "threads", "--json"]
    )


def report_of(out: Path, smear: str) -> dict[str, Any]:
    return json.loads((out / "slides" / smear / "report.json").read_text(encoding="utf-8"))


def score(record: dict[str, Any], name: str) -> dict[str, Any]:
    return next(each for each in record["scores"] if each["name"] == name)


@pytest.fixture(scope="module")
def fields(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, int]]:
    """Return a folder of phantom fields and the cells in them."""
    folder = tmp_path_factory.mktemp("fields") / "patient-7"
    return folder, write_smear_fields(folder, FIELD, fields=FIELDS)


@pytest.fixture(scope="module")
def run(fields: tuple[Path, dict[str, int]], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """Return a finished run over the fields, with what an analyser and an eye add."""
    out = tmp_path_factory.mktemp("run") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(readers, "_choose_cells", lambda model, wanted, **_: pick(wanted))
        done = count(
            fields[0], "--out", out, "--mpp", "0.25", "--wbc", "15.0", "--nrbc", "25", "--counts-nrbc"
        )
    return out, done


def corner(source: Path, target: Path) -> None:
    """Cut the upper left quarter out of a field."""
    with Image.open(source) as opened:
        opened.crop((0, 0, 512, 512)).save(target)


@dataclass(frozen=True)
class AllSchistocytes:
    """Calls every red cell a schistocyte."""

    name: str = "all-schistocytes"
    version: str = "1"
    mpp: float = 0.25
    side: int = 32
    classes: tuple[str, ...] = ("normal", "schistocyte")
    licence: str = "Apache-2.0"
    sha256: str = "1" * 64
    limits: tuple[str, ...] = ()

    def read(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.tile(np.array([[0.1, 0.9]], np.float32), (len(crops), 1)), np.zeros(len(crops), bool)

    def facts(self) -> dict[str, Any]:
        return {"name": self.name}


def pick(wanted: tuple[str, ...]) -> ByNucleus | None:
    return ByNucleus() if wanted == FIVE_PARTS else None


def test_run_ends_well_and_prints_its_headline(run: tuple[Path, Any]):
    done = run[1]
    assert done.exit_code == 0, done.output
    line = json.loads(done.stdout.splitlines()[-1])
    assert line["slide"] == "patient-7"
    assert line["status"] == "REVIEW"  # a network that knows five classes never clears a smear
    assert Path(line["report"]).is_file()


def test_counts_are_those_of_the_phantom(run: tuple[Path, Any], fields: tuple[Path, dict[str, int]]):
    record, truth = report_of(run[0], "patient-7"), fields[1]
    white = truth["neutrophil"] + truth["lymphocyte"]
    assert score(record, "Red cells counted")["numerator"] == pytest.approx(truth["red cell"], rel=0.02)
    assert score(record, "White cells counted")["numerator"] == pytest.approx(white, rel=0.06)
    assert score(record, "Platelets counted")["numerator"] == pytest.approx(
        truth["platelet"], rel=0.10, abs=3
    )


def test_differential_is_that_of_the_phantom_with_exact_intervals(run: tuple[Path, Any]):
    record = report_of(run[0], "patient-7")
    neutrophils, lymphocytes = score(record, "Neutrophils"), score(record, "Lymphocytes")
    assert neutrophils["denominator"] >= 100
    assert neutrophils["numerator"] + lymphocytes["numerator"] == neutrophils["denominator"]
    assert neutrophils["value"] == pytest.approx(60, abs=4)
    assert neutrophils["interval"]["method"].startswith("Clopper")
    assert neutrophils["interval"]["low"] < 60 < neutrophils["interval"]["high"]
    assert score(record, "Basophils")["value"] == 0
    assert score(record, "Basophils")["interval"]["high"] > 1


def test_white_cells_are_corrected_for_nucleated_red_cells(run: tuple[Path, Any]):
    record = report_of(run[0], "patient-7")
    assert score(record, "White cells, corrected")["value"] == pytest.approx(12.0)
    assert score(record, "Nucleated red cells")["value"] == 25
    share = score(record, "Neutrophils")
    absolute = score(record, "Neutrophils, absolute")
    assert absolute["value"] == pytest.approx(12.0 * share["numerator"] / share["denominator"])
    assert "SMEAR_WBC_CORRECTED" in record["flags"]


def test_platelets_become_an_estimate_by_area_and_factor(run: tuple[Path, Any]):
    record = report_of(run[0], "patient-7")
    per_field, estimate = score(record, "Platelets per oil field"), score(record, "Platelet estimate")
    oil_field, image = np.pi * 0.11**2, (1024 * 0.25 / 1000) ** 2
    counted = score(record, "Platelets counted")["numerator"]
    assert per_field["value"] == pytest.approx(counted / FIELDS / image * oil_field)
    assert estimate["value"] == pytest.approx(15 * per_field["value"])
    assert {"SMEAR_FACTOR_NOT_CALIBRATED", "SMEAR_CLUMPS_NOT_LOOKED_FOR"} <= set(record["flags"])


def test_a_network_of_five_classes_leaves_suspect_cells_unchecked(run: tuple[Path, Any]):
    record = report_of(run[0], "patient-7")
    assert "SMEAR_FIVE_CLASSES_ONLY" in record["flags"]
    assert "SMEAR_CRITERIA_UNCHECKED" in record["flags"]
    assert not [each for each in record["scores"] if "blasts" in each["name"].lower()]


def test_every_warning_has_words_and_advice(run: tuple[Path, Any]):
    for note in report_of(run[0], "patient-7")["notes"]:
        assert note["words"] != note["flag"]
        assert "Ask the developers" not in note["advice"]


def test_page_shows_what_the_record_holds_and_fetches_nothing(run: tuple[Path, Any]):
    folder = run[0] / "slides" / "patient-7"
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.count('<figure><img src="data:image/jpeg') >= 60  # the gallery
    assert "http://" not in page
    assert "https://" not in page
    assert "<script" not in page
    assert (folder / "report.pdf").read_bytes().startswith(b"%PDF")


def test_cells_are_written_as_table_and_for_qupath(run: tuple[Path, Any]):
    folder = run[0] / "slides" / "patient-7"
    record = report_of(run[0], "patient-7")
    table = pq.read_table(folder / "cells.parquet")
    labels = np.array(table["label"].to_pylist())
    assert (labels == "WBC").sum() == score(record, "White cells counted")["numerator"]
    named = np.array(table["class"].to_pylist())[labels == "WBC"]
    cut = np.array(table["cut"])[labels == "WBC"]
    assert (named[~cut] != "").all()
    assert len(set(table["cell_id"].to_pylist())) == table.num_rows
    with gzip.open(folder / "geojson" / "field-002.png.geojson.gz") as stream:
        features = json.load(stream)["features"]
    assert len(features) == sum(name == "field-002.png" for name in table["field"].to_pylist())


def test_cohort_has_a_line_per_smear(run: tuple[Path, Any]):
    record = report_of(run[0], "patient-7")
    with (run[0] / "cohort.csv").open(newline="", encoding="utf-8") as stream:
        (row,) = csv.DictReader(stream)
    assert row["smear"] == "patient-7"
    assert int(row["white_cells"]) == score(record, "White cells counted")["numerator"]
    assert float(row["neutrophil_percent"]) == score(record, "Neutrophils")["value"]
    assert float(row["platelet_estimate_giga_per_l"]) == score(record, "Platelet estimate")["value"]


def test_running_again_does_nothing_anew(
    run: tuple[Path, Any], fields: tuple[Path, dict[str, int]], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(readers, "_choose_cells", lambda model, wanted, **_: pick(wanted))
    monkeypatch.setattr(readers.LearnedSmear, "find", lambda *_, **__: pytest.fail("looked again"))
    page = run[0] / "slides" / "patient-7" / "report.html"
    before = page.stat().st_mtime_ns
    facts = ("--wbc", "15.0", "--nrbc", "25", "--counts-nrbc")
    assert count(fields[0], "--out", run[0], "--mpp", "0.25", *facts).exit_code == 0
    assert page.stat().st_mtime_ns == before


def test_bad_images_are_told_and_stop_nothing(fields: tuple[Path, dict[str, int]], tmp_path: Path):
    for name in ("one", "two"):
        (tmp_path / "in" / name).mkdir(parents=True)
        corner(fields[0] / "field-000.png", tmp_path / "in" / name / "good.png")
    whole = (tmp_path / "in" / "one" / "good.png").read_bytes()
    (tmp_path / "in" / "one" / "cut.png").write_bytes(whole[:3000])
    (tmp_path / "in" / "three").mkdir()
    (tmp_path / "in" / "three" / "nothing.jpg").write_bytes(b"not an image")
    done = count(tmp_path / "in", "--out", tmp_path / "out", "--mpp", "0.25", *UNNAMED)
    assert done.exit_code == 2
    lines = {line["slide"]: line for line in map(json.loads, done.stdout.splitlines())}
    assert set(lines) == {"one", "two", "three"}
    assert lines["three"]["status"] == "FAILED"
    assert "cut.png" in lines["one"]["failures"][0]["reason"]
    assert {"SMEAR_FIELDS_UNREADABLE", "AREA_MISSING"} <= set(lines["one"]["flags"])
    assert "SMEAR_FIELDS_UNREADABLE" not in lines["two"]["flags"]
    # Without a classifier there is no differential, and no number that looks like one.
    assert lines["two"]["status"] == "NOT_ASSESSABLE"
    assert lines["two"]["value"] is None
    assert "SMEAR_NO_CLASSIFIER" in lines["two"]["flags"]
    assert score(report_of(tmp_path / "out", "two"), "Red cells counted")["numerator"] > 20


def test_scale_is_judged_from_red_cells_where_images_state_none(
    fields: tuple[Path, dict[str, int]], tmp_path: Path
):
    (tmp_path / "in").mkdir()
    for number in range(2):
        name = f"field-{number:03d}.png"
        corner(fields[0] / name, tmp_path / "in" / name)
    empty = np.full((200, 300, 3), 230, np.uint8)
    Image.fromarray(empty).save(tmp_path / "in" / "label.png")  # another size, and nothing on it
    assert count(tmp_path / "in", "--out", tmp_path / "out", *UNNAMED).exit_code == 2
    record = report_of(tmp_path / "out", "in")
    assert [each["name"] for each in record["smear"]["unreadable"]] == ["label.png"]
    assert record["smear"]["fields"] == 2
    assert "SMEAR_SCALE_FROM_RED_CELLS" in record["flags"]
    assert record["resolution"]["x"] == pytest.approx(0.25, rel=0.10)
    assert record["smear"]["median_red_um"] == pytest.approx(7.5, rel=0.05)


def test_images_without_red_cells_ask_for_a_scale(tmp_path: Path):
    (tmp_path / "in").mkdir()
    noise = np.random.default_rng(1).integers(180, 240, (256, 256, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "in" / "noise.png")
    done = count(tmp_path / "in", "--out", tmp_path / "out", *UNNAMED)
    assert done.exit_code == 1
    line = json.loads(done.stdout.splitlines()[-1])
    assert "no scale" in line["failures"][0]["reason"]
    assert "--mpp" in line["failures"][0]["advice"]


def test_clumped_platelets_suppress_the_estimate(tmp_path: Path):
    write_smear_fields(
        tmp_path / "in", replace(FIELD, width=512, height=512, white_per_mm2=0.0, clumps=2), fields=1
    )
    assert count(tmp_path / "in", "--out", tmp_path / "out", "--mpp", "0.25", *UNNAMED).exit_code == 0
    record = report_of(tmp_path / "out", "in")
    assert record["smear"]["clumps"] >= 1
    assert score(record, "Platelet estimate")["value"] is None
    assert score(record, "Platelet estimate")["status"] == "NOT_ASSESSABLE"
    assert "SMEAR_PLATELET_CLUMPS" in record["flags"]


def test_experimental_shapes_are_shown_and_decide_nothing(
    fields: tuple[Path, dict[str, int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "in").mkdir()
    corner(fields[0] / "field-000.png", tmp_path / "in" / "field.png")
    monkeypatch.setattr(
        readers,
        "_choose_cells",
        lambda model, wanted, **_: None if wanted == FIVE_PARTS else AllSchistocytes(),
    )
    assert count(tmp_path / "in", "--out", tmp_path / "out", "--mpp", "0.25").exit_code == 0
    record = report_of(tmp_path / "out", "in")
    shape = score(record, "Schistocytes")
    assert shape["value"] == 100
    assert shape["category"] is None
    assert shape["flags"] == ["EXPERIMENTAL"]
    assert "SMEAR_RED_SHAPES_EXPERIMENTAL" in record["flags"]
    assert not {"SMEAR_POSITIVE", "SMEAR_SCHISTOCYTES"} & set(record["flags"])


def test_slide_counts_in_its_monolayer_alone(tmp_path: Path):
    made = write_smear_phantom(
        tmp_path / "slide.tiff",
        SmearPhantom(width=4096, height=2048, seed=3, red_per_mm2=4000.0, platelets_per_mm2=100.0),
        workers=2,
    )
    done = count(made.path, "--out", tmp_path / "out", "--area", "0.5", *UNNAMED)
    assert done.exit_code == 0, done.output
    record = report_of(tmp_path / "out", "slide")
    areas = record["areas_mm2"]
    assert record["smear"]["kind"] == "slide"
    assert "SMEAR_SLIDE_SAMPLED" in record["flags"]
    assert areas["too_thick"] > 0.02
    assert areas.get("too_thin", 0) + areas.get("no_red_cells", 0) > 0.02
    assert areas["assessed"] == pytest.approx(areas["monolayer"])
    per_mm2 = score(record, "Red cells counted")["numerator"] / areas["assessed"]
    assert per_mm2 == pytest.approx(4000, rel=0.08)
    assert record["excluded"]["too_thick"] > 100
    table = pq.read_table(tmp_path / "out" / "slides" / "slide" / "cells.parquet")
    x = np.array(table["x"])[np.array(table["excluded"].to_pylist()) == ""]
    assert x.min() > 0.2 * 4096 - 512
    assert x.max() < 0.8 * 4096 + 512


def test_folder_is_a_smear_and_its_subfolders_are_others(tmp_path: Path):
    for name in ("a", "a/b", "c"):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "1.PNG").write_bytes(b"")
    (tmp_path / "c" / "slide.svs").write_bytes(b"")
    found = find_smears([tmp_path])
    assert [(each.slide_id, each.path.name) for each in found] == [
        ("a", "a"),
        ("b", "b"),
        ("c", "c"),
        ("slide", "slide.svs"),
    ]
    with pytest.raises(SlideNotFoundError):
        find_smears([tmp_path / "nowhere"])


def test_two_smears_of_one_name_are_refused(tmp_path: Path):
    for name in ("x/run", "y/run"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "1.png").write_bytes(b"")
    with pytest.raises(SettingsError, match="both be named run"):
        find_smears([tmp_path])


def test_analyser_list_is_read_by_smear(tmp_path: Path):
    path = tmp_path / "blood.csv"
    path.write_text("smear,wbc,counts_nrbc,nrbc,mcv,age\np1,15.0,yes,25,,40\np2,,,,92,\n", encoding="utf-8")
    listed = read_analyser(path)
    assert listed["p1"].blood.wbc == 15.0
    assert listed["p1"].blood.counts_nrbc
    assert listed["p1"].nrbc_per_100 == 25
    assert listed["p2"].blood.wbc is None
    assert listed["p2"].blood.mcv == 92.0


@pytest.mark.parametrize(
    "text", ["smear,blood\np,1\n", "wbc\n1\n", "smear,wbc\np,x\n", "smear,wbc\np,1\np,2\n"]
)
def test_wrong_analyser_list_names_what_is_wrong(tmp_path: Path, text: str):
    path = tmp_path / "blood.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidTableError, match=r"blood\.csv"):
        read_analyser(path)


def test_one_set_of_results_is_not_taken_for_several_smears(tmp_path: Path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_bytes(b"")
    done = count(tmp_path, "--out", tmp_path / "out", "--wbc", "5")
    assert isinstance(done.exception, SettingsError)
    assert "--analyser" in done.exception.advice


def test_real_fields_are_counted(data_folder: Path, tmp_path: Path):
    place = data_folder / "bloodsmear" / "draaslan-rbc-wbc" / "images"
    (tmp_path / "in").mkdir()
    for number in (80, 84, 90):  # of the validation blocks
        name = f"image-{number}.webp"
        (tmp_path / "in" / name).write_bytes((place / name).read_bytes())
    done = count(tmp_path / "in", "--out", tmp_path / "out", "--mpp", "0.1394", *UNNAMED)
    assert done.exit_code == 0, done.output
    record = report_of(tmp_path / "out", "in")
    with (place.parent / "boxes.csv").open(newline="", encoding="utf-8") as stream:
        boxed = [row["class"] for row in csv.DictReader(stream) if (tmp_path / "in" / row["file"]).is_file()]
    assert score(record, "Red cells counted")["numerator"] == pytest.approx(boxed.count("RBC"), rel=0.2)
    assert score(record, "White cells counted")["numerator"] == pytest.approx(boxed.count("WBC"), abs=1)
