"""Graded images: what the readers find, and folds that keep patients together and classes spread."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from slidelab.errors import InvalidTableError, SettingsError, SlideNotFoundError
from slidelab.models.labelled.colorectal import COLORECTAL_SETS, GradedImage, read_colorectal
from slidelab.models.labelled.folds import patient_folds, split_graded
from slidelab.models.tissue_classes import COLORECTAL_CLASSES, COLORECTAL_GRADES


def graded(case: str, label: str, name: str = "x") -> GradedImage:
    return GradedImage("made-up", name, case, Path("none.png"), 1.3, label)


def test_every_class_has_one_grade() -> None:
    assert sorted(name for group in COLORECTAL_GRADES for name in group) == sorted(COLORECTAL_CLASSES)


def test_ebhi_is_read_with_classes_patients_and_masks(data_folder: Path) -> None:
    images = read_colorectal(data_folder, ["ebhi-seg"])
    assert {image.label for image in images} == set(COLORECTAL_CLASSES)
    assert len(images) > 300
    assert len({image.case for image in images}) > 100
    assert not any(image.scale_stated for image in images)
    glands = images[0].read_glands()
    assert glands is not None
    with Image.open(images[0].path) as opened:
        assert glands.shape == opened.size[::-1]
    assert 0.05 < np.mean([image.read_glands().mean() for image in images[:20]]) < 0.95  # type: ignore[union-attr]


def test_glas_is_for_evaluation_and_has_both_labels(data_folder: Path) -> None:
    images = read_colorectal(data_folder, ["glas"])
    assert {image.label for image in images} == {"benign", "malignant"}
    assert {image.mpp for image in images} == {0.62}
    assert not COLORECTAL_SETS["glas"].is_open
    assert all(image.read_glands() is not None for image in images[:3])


def test_tiles_have_no_grade(data_folder: Path) -> None:
    images = read_colorectal(data_folder, ["crc-val-he-7k"])
    assert {image.label for image in images} == {""}
    assert {image.detail for image in images} >= {"TUM", "NORM", "STR"}
    assert all(image.path.exists() for image in images)
    of_type = {image.detail: image.read_glands() for image in images}
    assert of_type["TUM"] is None
    assert of_type["MUC"] is None
    lymphocytes = of_type["LYM"]
    assert lymphocytes is not None
    assert lymphocytes.shape == (224, 224)
    assert not lymphocytes.any()


def test_sets_that_are_not_known_or_not_there_are_clear_errors(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no set of graded images"):
        read_colorectal(tmp_path, ["ebhi"])
    with pytest.raises(SlideNotFoundError, match="ebhi-seg"):
        read_colorectal(tmp_path, ["ebhi-seg"])


def test_four_folds_of_ebhi_have_every_class_and_even_sizes(data_folder: Path) -> None:
    images = read_colorectal(data_folder, ["ebhi-seg"])
    seen: list[str] = []
    for fold in range(4):
        parts = split_graded(images, fold=fold)
        cases = {part: {image.case for image in members} for part, members in parts.items()}
        assert not cases["training"] & cases["validation"]
        assert not cases["training"] & cases["tuning"]
        assert not cases["tuning"] & cases["validation"]
        counts = Counter(image.label for image in parts["validation"])
        assert set(counts) == set(COLORECTAL_CLASSES)
        assert abs(len(parts["validation"]) - len(images) / 4) < 0.05 * len(images)
        seen += [image.name for image in parts["validation"]]
    assert sorted(seen) == sorted(image.name for image in images)


tables = st.lists(st.tuples(st.integers(0, 12), st.sampled_from("abc")), min_size=0, max_size=60)


@settings(max_examples=60, deadline=None)
@given(tables, st.randoms(use_true_random=False))
def test_folds_do_not_depend_on_the_order_of_images(rows, random) -> None:  # type: ignore[no-untyped-def]
    shuffled = list(rows)
    random.shuffle(shuffled)
    one, other = (
        patient_folds([f"p{case}" for case, _ in table], [label for _, label in table], complete=False)
        for table in (rows, shuffled)
    )
    assert one == other
    assert set(one) == {f"p{case}" for case, _ in rows}
    assert set(one.values()) <= {0, 1, 2, 3}


def test_rare_classes_are_spread_first() -> None:
    patients = [f"p{number}" for number in range(40)]
    labels = ["rare" if number < 4 else "usual" for number in range(40)]
    folds = patient_folds(patients, labels, folds=4, seed=5)
    assert sorted(folds[f"p{number}"] for number in range(4)) == [0, 1, 2, 3]
    assert set(Counter(folds.values()).values()) == {10}


def test_without_a_fold_every_patient_teaches_or_tunes(data_folder: Path) -> None:
    images = read_colorectal(data_folder, ["ebhi-seg"])
    parts = split_graded(images, fold=None)
    assert not parts["validation"]
    learnt, tuned = ({one.case for one in parts[name]} for name in ("training", "tuning"))
    assert not learnt & tuned
    assert len(parts["training"]) + len(parts["tuning"]) == len(images)


def test_another_seed_gives_other_folds() -> None:
    patients, labels = [f"p{number}" for number in range(40)], ["one"] * 40
    assert patient_folds(patients, labels, seed=1) != patient_folds(patients, labels, seed=2)


def test_too_few_patients_for_the_folds_are_refused() -> None:
    with pytest.raises(InvalidTableError, match="rare"):
        patient_folds(["a", "b", "c", "d", "e"], ["rare", "x", "x", "x", "x"], folds=4)
    with pytest.raises(InvalidTableError, match="1 patients and 0 labels"):
        patient_folds(["a"], [])
    with pytest.raises(SettingsError, match="1 folds"):
        patient_folds(["a"], ["x"], folds=1)
    with pytest.raises(SettingsError, match="fold 4 of 4"):
        split_graded([graded("a", "x")], fold=4)
