"""Colorectal grading on slides put together from real images of known class, of patients not learnt from."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from slidelab.errors import ModelNotFoundError
from slidelab.models.labelled.colorectal import read_colorectal
from slidelab.models.labelled.folds import split_graded
from slidelab.workflows import SlideInput
from slidelab.workflows.colorectal.tissue_reader import choose_tissue
from slidelab.workflows.colorectal.workflow import ColorectalGrading

MPP = 1.3
STRIPS = ("normal", "low_grade_in", "high_grade_in", "adenocarcinoma")
COLUMNS, ROWS, SIDE = 4, 2, 224
GROUPS = {
    "normal": ("normal", "polyp"),
    "low_grade_in": ("low_grade_in", "serrated"),
    "high_grade_in": ("high_grade_in",),
    "adenocarcinoma": ("adenocarcinoma",),
}


@pytest.fixture(scope="module")
def record(data_folder: Path, tmp_path_factory: pytest.TempPathFactory):
    """The report of a slide with one strip of eight images per class; the slide lives only for the test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(
            "SLIDELAB_MODELS", str(tmp_path_factory.mktemp("models"))
        )  # the packaged model, no other
        try:
            tissue = choose_tissue("auto", device="cpu")
        except ModelNotFoundError:
            pytest.skip("no colorectal model is packaged yet")
    folder = tmp_path_factory.mktemp("slide")
    return _graded(data_folder, folder, tissue)


def _graded(data_folder: Path, folder: Path, tissue):
    """Compose the slide and walk the whole road."""
    images = split_graded(read_colorectal(data_folder, ["ebhi-seg"]), fold=None)["tuning"]
    height, width = ROWS * SIDE, COLUMNS * SIDE
    plane = np.full((200 + len(STRIPS) * (height + 250), width + 400, 3), 245, np.uint8)
    random = np.random.default_rng(4)
    for number, kind in enumerate(STRIPS):
        own = [one for one in images if one.label == kind]
        chosen = random.permutation(len(own))[: COLUMNS * ROWS]
        for place, index in enumerate(chosen):
            y = 200 + number * (height + 250) + place // COLUMNS * SIDE
            x = 200 + place % COLUMNS * SIDE
            with Image.open(own[index].path) as opened:
                plane[y : y + SIDE, x : x + SIDE] = np.asarray(opened.convert("RGB"))
    path = folder / "composed.tiff"
    px_per_cm = 1e4 / MPP
    tifffile.imwrite(
        path,
        plane,
        tile=(256, 256),
        photometric="rgb",
        compression="deflate",
        resolution=(px_per_cm, px_per_cm),
        resolutionunit="CENTIMETER",
    )
    made = ColorectalGrading(tissue=tissue, signet=None)
    slide, out = SlideInput(path, "composed"), folder / "out"
    receipt = made.prepare(slide, out)
    for index in receipt.todo:
        made.process(slide, out, receipt.place, index)
    made.finish(slide, out, receipt.place, ())
    return json.loads((out / "report.json").read_text())


def _shares(fragment):
    """Share of each group of classes in the glands of a fragment."""
    areas = fragment["areas_mm2"]
    total = sum(areas.values())
    return {name: sum(areas.get(key, 0.0) for key in keys) / total for name, keys in GROUPS.items()}


def test_each_strip_is_a_fragment(record):
    assert [each["name"] for each in record["colorectal"]["fragments"]] == ["A", "B", "C", "D"]


def test_most_gland_area_of_each_strip_has_the_class_of_its_images(record):
    for kind, fragment in zip(STRIPS, record["colorectal"]["fragments"], strict=True):
        shares = _shares(fragment)
        assert max(shares, key=shares.get) == kind, (fragment["name"], shares)


def test_carcinoma_is_called_and_normal_mucosa_is_not_high_grade(record):
    fragments = record["colorectal"]["fragments"]
    assert fragments[3]["class"] == "adenocarcinoma"
    assert fragments[0]["class"] not in ("high_grade_in", "adenocarcinoma")
    assert record["scores"][0]["value"] == 3


def test_a_good_part_of_the_tissue_is_gland(record):
    assert 0.25 < record["areas_mm2"]["glands"] / record["areas_mm2"]["tissue"] < 0.9
