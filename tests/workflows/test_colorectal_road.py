"""Colorectal grading on painted slides of which every gland is known, read by readers of paint."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
import zarr

from slidelab import cli
from slidelab.errors import SettingsError
from slidelab.quantify import Status
from slidelab.workflows import RunOptions, SlideInput, run_cohort
from slidelab.workflows.colorectal.classes import LESION_CLASSES
from slidelab.workflows.colorectal.plan import GradingSettings, load_grading_plan
from slidelab.workflows.colorectal.tissue_reader import choose_signet, choose_tissue

from . import painted_biopsies
from .painted_biopsies import (
    CARCINOMA,
    CELLS,
    FRAGMENTS,
    GLANDS,
    MPP,
    NORMAL,
    BrokenReader,
    Gland,
    PaintReader,
    look,
    paint,
    run,
    workflow,
)


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> SlideInput:
    """Three fragments: normal; high and low grade; low grade, a little carcinoma, signet-ring cells."""
    path = tmp_path_factory.mktemp("painted") / "biopsy.tiff"
    paint(path, size=(1600, 1120), fragments=FRAGMENTS, glands=GLANDS, signet=CELLS)
    return SlideInput(path, "biopsy")


@pytest.fixture(scope="module")
def finished(slide: SlideInput, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """An undisturbed run with small tiles."""
    folder = tmp_path_factory.mktemp("finished")
    return folder, run(workflow(plan=GradingSettings(core_px=512)), slide, folder)


def digests(folder: Path) -> dict[str, str]:
    """Digest of every final file of a slide."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "work" not in path.parts
    }


def test_the_folder_holds_what_was_promised(finished):
    folder, _ = finished
    names = {path.name for path in folder.iterdir()}
    promised = {"report.json", "report.html", "report.pdf", "maps.zarr", "lesions.geojson", "overlay.png"}
    assert promised | {"glands.geojson.gz", "qc.json", "work"} == names


def test_fragments_are_named_as_one_reads_and_graded_by_the_rule(finished):
    _, record = finished
    found = {each["name"]: each for each in record["colorectal"]["fragments"]}
    assert {name: each["category"] for name, each in found.items()} == {
        "A": "Normal",
        "B": "HGIN",
        "C": "Signet-ring cell carcinoma",
    }
    assert found["A"]["tissue_mm2"] == pytest.approx(600 * 400 * MPP**2 / 1e6, rel=0.08)


def test_areas_and_glands_are_those_that_were_painted(finished):
    _, record = finished
    rows = {each["class_name"]: each for each in record["colorectal"]["classes"]}
    for kind, each in enumerate(LESION_CLASSES):
        painted = [gland for gland in GLANDS if gland.kind == kind]
        area = sum(np.pi * gland.radius**2 for gland in painted) * MPP**2 / 1e6
        assert rows[each.key]["glands"] == len(painted), each.key
        assert rows[each.key]["area_mm2"] == pytest.approx(area, rel=0.06, abs=1e-9), each.key
    assert rows["high_grade_in"]["regions"] == 1
    assert rows["low_grade_in"]["regions"] == 2
    assert rows["signet_ring"]["cells"] == len(CELLS)


def test_what_is_below_its_minimum_is_flagged_and_never_the_class(slide, tmp_path):
    made = workflow(signet=None)
    _, found = look(made, slide, tmp_path)
    result = made.score(load_grading_plan(made.prepare(slide, tmp_path).place), found, missing_mm2=0.0)
    assert result.headline.category == "HGIN"
    assert result.status is Status.REVIEW
    assert {"POSSIBLE_CARCINOMA", "SIGNET_NOT_LOOKED_FOR"} <= set(result.flags)


def test_lesions_open_in_qupath_where_they_were_painted(finished):
    folder, record = finished
    text = json.loads((folder / "lesions.geojson").read_text())
    lesions = [each for each in text["features"] if "classification" in each["properties"]]
    assert len(lesions) == record["colorectal"]["lesions_found"] == 4
    carcinoma = next(
        each for each in lesions if each["properties"]["classification"]["name"] == "Adenocarcinoma"
    )
    outline = shapely.from_geojson(json.dumps(carcinoma["geometry"]))
    painted = shapely.Point(320, 860).buffer(58)
    assert outline.intersection(painted).area / outline.union(painted).area > 0.85
    objects = json.loads(gzip.decompress((folder / "glands.geojson.gz").read_bytes()))
    assert len(objects["features"]) == len(GLANDS) + len(CELLS)


def test_maps_are_ome_zarr_with_named_channels(finished):
    folder, _ = finished
    root = zarr.open_group(folder / "maps.zarr", mode="r")
    names = [each["label"] for each in root.attrs["omero"]["channels"]]
    assert names == [each.key for each in LESION_CLASSES]
    assert root["0"].shape == (6, 70, 100)
    assert root["glands/0"].shape == (1, 280, 400)
    assert root["labels"].attrs["labels"] == ["tissue", "quality", "grade"]
    scale = root.attrs["multiscales"][0]["datasets"][0]["coordinateTransformations"][0]["scale"]
    assert scale == pytest.approx([1.0, 16 * MPP, 16 * MPP])
    grade = root["labels/grade/0"][:]
    assert grade[860 // 4, 320 // 4] == CARCINOMA + 1
    assert grade[200 // 4, 160 // 4] == NORMAL + 1


@pytest.mark.parametrize("core", [256, 1024, 2048])
def test_any_tile_size_gives_the_same_maps_and_lesions_bit_for_bit(finished, slide, tmp_path, core):
    folder, record = finished
    _, found = look(workflow(plan=GradingSettings(core_px=core)), slide, tmp_path)
    mine, theirs = digests(folder), digests(tmp_path)
    assert {name: mine[name] for name in theirs} == theirs
    told = [(each["name"], each["class"], each["area_mm2"]) for each in record["colorectal"]["lesions"]]
    assert told == [(each.name, each.kind.key, each.area_mm2) for each in found.by_severity]


def test_a_wider_halo_changes_nothing(finished, slide, tmp_path):
    folder, _ = finished
    look(workflow(plan=GradingSettings(core_px=512, halo_px=112)), slide, tmp_path)
    mine, theirs = digests(folder), digests(tmp_path)
    assert {name: mine[name] for name in theirs} == theirs


def test_a_halo_below_the_reach_is_refused():
    with pytest.raises(SettingsError, match="halo of 16 px"):
        workflow(plan=GradingSettings(halo_px=16))


def test_glass_is_zero_in_every_map(finished):
    folder, _ = finished
    root = zarr.open_group(folder / "maps.zarr", mode="r")
    glands = root["glands/0"][0]
    assert glands[:16].max() == 0
    assert glands[540 // 4 : 690 // 4].max() == 0
    assert root["0"][:, :3].max() == 0


def test_doubtful_glands_are_counted_apart_and_ask_for_review(slide, tmp_path):
    made = workflow(tissue=PaintReader(doubt=0.7), signet=None)
    _, found = look(made, slide, tmp_path)
    assert len(found.glands) == len(GLANDS)
    assert not found.glands.is_certain.any()
    assert found.uncertain_mm2 == pytest.approx(found.glands.area_mm2.sum())
    assert not found.lesions
    result = made.score(load_grading_plan(made.prepare(slide, tmp_path).place), found, missing_mm2=0.0)
    assert "UNCERTAIN_GLANDS" in result.flags
    assert result.headline.category is None


def test_a_slide_without_tissue_has_a_report_that_says_so(tmp_path):
    path = paint(tmp_path / "blank.tiff", size=(700, 600), fragments=(), glands=())
    record = run(workflow(), SlideInput(path, "blank"), tmp_path / "out")
    assert record["status"] == "NOT_ASSESSABLE"
    assert record["colorectal"]["fragments"] == []
    assert "not a negative result" in record["summary"]["sentence"]
    assert (tmp_path / "out" / "report.pdf").stat().st_size > 10_000


def test_a_resection_is_one_piece(slide, tmp_path):
    _, found = look(workflow(kind="resection"), slide, tmp_path)
    assert [each.name for each in found.pieces.fragments] == ["A"]


def test_a_tile_that_fails_makes_the_result_partial_and_can_be_taken_up_again(slide, tmp_path):
    made = workflow(tissue=BrokenReader(), plan=GradingSettings(core_px=512))
    options = RunOptions(tmp_path / "run", scheduler="threads", workers=1)
    done = run_cohort(made, [slide], options=options)
    outcome = done.outcomes[0]
    assert done.exit_code == 2
    assert outcome.status == "PARTIAL"
    assert [failure.reason for failure in outcome.failures] == ["the tile is damaged"]
    assert 0.05 < outcome.record["areas_mm2"]["missing"] < 0.5
    folder = tmp_path / "run" / "slides" / "biopsy"
    assert not list((folder / "work").glob("done-*.json"))
    assert len(made.prepare(slide, folder).todo) == 1


def test_the_road_by_the_cohort_runner_gives_the_same_bytes_and_is_not_done_twice(finished, slide, tmp_path):
    folder, _ = finished
    made, options = (
        workflow(plan=GradingSettings(core_px=512)),
        RunOptions(tmp_path / "run", workers=2, scheduler="threads"),
    )
    first = run_cohort(made, [slide], options=options)
    assert first.exit_code == 0, first.outcomes
    assert digests(tmp_path / "run" / "slides" / "biopsy") == digests(folder)
    second = run_cohort(made, [slide], options=options)
    assert second.outcomes[0].seconds == {}
    assert second.outcomes[0].record == first.outcomes[0].record


SCRIPT = """
import importlib.util, sys
from pathlib import Path
from slidelab.workflows import SlideInput
from slidelab.workflows.colorectal.plan import GradingSettings
spec = importlib.util.spec_from_file_location("painted", sys.argv[1])
painted = importlib.util.module_from_spec(spec); sys.modules["painted"] = painted
spec.loader.exec_module(painted)
made = painted.workflow(plan=GradingSettings(core_px=512))
painted.run(made, SlideInput(Path(sys.argv[2]), "biopsy"), Path(sys.argv[3]))
"""


def test_killed_and_resumed_gives_the_same_bytes(finished, slide, tmp_path):
    folder, _ = finished
    script = tmp_path / "run.py"
    script.write_text(SCRIPT)
    command = [sys.executable, str(script), painted_biopsies.__file__, str(slide.path), str(tmp_path / "out")]
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 20
    while time.monotonic() < end and not list((tmp_path / "out").rglob("part-*.arrow")):
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    (tmp_path / "out" / ".report.html.x.tmp").write_text("half")
    assert not (tmp_path / "out" / "report.json").exists()
    run(workflow(plan=GradingSettings(core_px=512)), slide, tmp_path / "out")
    assert digests(tmp_path / "out") == digests(folder)


def test_no_signet_model_at_hand_is_no_error(monkeypatch, tmp_path):
    monkeypatch.setenv("SLIDELAB_MODELS", str(tmp_path))
    assert choose_signet(policy="permissive") is None


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """An untrained tissue network with its card, in a model folder of its own."""
    import torch
    from safetensors.torch import save_file

    from slidelab.models.card import ModelCard
    from slidelab.models.tensor_file import file_sha256
    from slidelab.models.tissue_network import TissueNetwork, TissueSettings
    from slidelab.models.tissue_reach import measure_tissue_reach

    folder = tmp_path_factory.mktemp("models")
    about = TissueSettings(widths=(16, 16, 16), class_width=16)
    torch.manual_seed(3)
    weights = folder / "colorectal-tiny.seeded.safetensors"
    tensors = {name: value.contiguous() for name, value in TissueNetwork(about).state_dict().items()}
    for last in ("gland.1.weight", "grade.3.weight"):
        tensors[last] = tensors[last] * 300  # else all maps would be grey, and any two alike
    save_file(tensors, weights)
    card = {
        "name": "colorectal-tiny.seeded",
        "version": "1",
        "task": "tissue-classification",
        "mpp": MPP,
        "input": {"scaling": "1 - value/255", "stride_px": 16},
        "classes": list(about.classes),
        "stain": "H&E",
        "licence": {"code": "Apache-2.0", "weights": "Apache-2.0"},
        "sha256": file_sha256(weights),
        "receptive_field_px": measure_tissue_reach(about),
        "intended_use": "tests",
        "limits": ["It has learnt nothing."],
        "architecture": {**asdict(about), "widths": list(about.widths), "classes": list(about.classes)},
    }
    ModelCard.check(card).write(weights.with_suffix(".json"))
    return folder


def test_a_real_network_maps_the_slide_alike_for_tiles_of_512_and_1024(network, monkeypatch, tmp_path):
    path = tmp_path / "small.tiff"
    glands = [Gland(120 + 90 * number, 150, 34, number % 6) for number in range(6)]
    paint(path, size=(900, 620), fragments=[(40, 40, 800, 520)], glands=glands)
    small = SlideInput(path, "small")
    monkeypatch.setenv("SLIDELAB_MODELS", str(network))
    reader = choose_tissue("colorectal-tiny.seeded", device="cpu")
    for core in (512, 1024):
        made = workflow(tissue=reader, signet=None, plan=GradingSettings(core_px=core))
        maps, _ = look(made, small, tmp_path / str(core))
    assert len(np.unique(maps.classes)) > 20
    assert len(np.unique(maps.glands)) > 20
    assert digests(tmp_path / "512") == digests(tmp_path / "1024")


def test_a_model_of_another_question_is_refused(network, monkeypatch):
    monkeypatch.setenv("SLIDELAB_MODELS", str(network))
    with pytest.raises(SettingsError, match="cell-detection"):
        choose_tissue("nuclei-fast.he-open")


def test_the_command_line_grades_and_says_what_was_not_looked_for(
    network, slide, monkeypatch, tmp_path, capsys
):
    monkeypatch.setenv("SLIDELAB_MODELS", str(network))
    out = tmp_path / "run"
    main = ["grade", "colorectal", str(slide.path), "--out", str(out), "--no-signet", "--json"]
    with pytest.raises(SystemExit) as end:
        cli.main([*main, "--model", "colorectal-tiny.seeded", "--scheduler", "threads", "--workers", "1"])
    assert end.value.code == 0
    line = json.loads(capsys.readouterr().out)
    assert line["score"] == "Colorectal biopsy class"
    assert "SIGNET_NOT_LOOKED_FOR" in line["flags"]
    record = json.loads(Path(line["report"]).with_name("report.json").read_text())
    assert "Signet-ring cells were not looked for." in record["methods"]
    assert "It has learnt nothing." in record["limits"]
    assert Path(line["report"]).is_file()


def test_every_number_on_the_page_stands_in_the_record_and_nothing_is_fetched(finished):
    folder, record = finished
    page = (folder / "report.html").read_text(encoding="utf-8")
    shown = re.findall(r'data-json="([^"]+)"', page)
    assert len(shown) > 80
    for path in shown:
        value: Any = record
        for key in path.split("."):
            value = value[int(key)] if isinstance(value, list) else value[key]
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "<script" not in page
    for words in ("Signet-ring cell carcinoma", "≥4.4", "below its minimum", "It can only read paint."):
        assert words in page
