"""From graded images to a model with its card, and how it is held against images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from slidelab.cli import app
from slidelab.errors import SettingsError, SlideNotFoundError
from slidelab.models.card import ModelCard
from slidelab.models.labelled.colorectal import GradedImage
from slidelab.models.tissue_classes import COLORECTAL_CLASSES
from slidelab.models.tissue_classifier import load_tissue_classifier
from slidelab.models.training.tissue.config import TissueConfig
from slidelab.workflows.learning.tissue_accuracy import (
    GradedReading,
    balanced_accuracy,
    best_gland_threshold,
    figures_of,
    fit_temperature,
    gland_figures,
    group_probabilities,
    read_graded,
    softmax,
)
from slidelab.workflows.learning.train_tissue import (
    find_tissue_config,
    read_graded_images,
    train_tissue_model,
)

TINY = {
    "name": "colorectal-tiny.test",
    "network": {"widths": [16, 16, 16], "class_width": 16},
    "pretrained": False,
    "crop_px": 64,
    "batch": 4,
    "steps": 2,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a painted EBHI-Seg of 48 images of 24 patients."""
    folder = tmp_path_factory.mktemp("data")
    lines = ["image,class,patient,mask"]
    names = ["normal", "polyp", "serrated_adenoma", "low_grade_in", "high_grade_in", "adenocarcinoma"]
    random = np.random.default_rng(2)
    (folder / "he" / "ebhi-seg" / "images").mkdir(parents=True)
    (folder / "he" / "ebhi-seg" / "masks").mkdir()
    for number in range(48):
        mask = np.zeros((64, 64), np.uint8)
        mask[8:40, 8 + number % 8 : 48] = 255
        pixels = random.integers(120, 250, (64, 64, 3)).astype(np.uint8)
        pixels[mask > 0] //= 2
        Image.fromarray(pixels).save(folder / "he" / "ebhi-seg" / "images" / f"{number}.png")
        Image.fromarray(mask).save(folder / "he" / "ebhi-seg" / "masks" / f"{number}.png")
        lines.append(f"{number}.png,{names[number % 6]},p{number % 24},{number}.png")
    (folder / "he" / "ebhi-seg" / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def card(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = TissueConfig.check(TINY, where="test")
    return train_tissue_model(config, data=data, folder=tmp_path_factory.mktemp("models"), device="cpu")


def test_a_training_ends_with_a_model_that_loads(card: Path) -> None:
    told = ModelCard.read(card)
    assert told.task == "tissue-classification"
    assert told.classes == COLORECTAL_CLASSES
    assert told.stain == "H&E"
    assert told.receptive_field_px > 100
    assert set(told.thresholds) == {"temperature", "gland_threshold"}
    assert told.licence.weights == "Apache-2.0"
    assert any("scale of the images is not stated" in limit for limit in told.limits)
    classifier = load_tissue_classifier(card, device="cpu")
    assert classifier.map_tissue(np.full((64, 32, 3), 200, np.uint8)).classes.shape == (6, 4, 2)


def test_a_finished_training_is_not_repeated(card: Path, data: Path) -> None:
    steps: list[int] = []
    config = TissueConfig.check(TINY, where="test")
    again = train_tissue_model(
        config, data=data, folder=card.parent, device="cpu", report=lambda step, _: steps.append(step)
    )
    assert again == card
    assert steps == []


def test_weights_of_restricted_images_are_for_research_only(data: Path) -> None:
    from slidelab.workflows.learning.tissue_card import _licence

    def licence(name: str) -> dict[str, object]:
        return _licence({"training": [GradedImage(name, "x", "p", Path("x"), 1.3, "normal")]})

    assert licence("ebhi-seg")["weights"] == "Apache-2.0"
    assert licence("glas")["weights"] == "research-only"
    assert licence("somebody's")["weights"] == "research-only"


def test_the_command_line_trains(data: Path, tmp_path: Path) -> None:
    config = tmp_path / "tiny.toml"
    lines = [f"{key} = {json.dumps(value)}" for key, value in TINY.items() if key != "network"]
    config.write_text("\n".join([*lines, "[network]", "widths = [16, 16, 16]", "class_width = 16"]))
    command = ["train", "tissue", "--data", str(data), "--config", str(config), "--out", str(tmp_path / "m")]
    result = CliRunner().invoke(app, [*command, "--device", "cpu", "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert Path(told["card"]).is_file()
    assert Path(told["weights"]).is_file()


def test_what_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    config = TissueConfig.check(TINY, where="test")
    with pytest.raises(SlideNotFoundError, match="no graded images at"):
        read_graded_images(config, tmp_path / "nowhere")
    with pytest.raises(SlideNotFoundError, match="ebhi-seg"):
        read_graded_images(config, tmp_path)
    with pytest.raises(SettingsError, match="no training configuration 'colon'"):
        find_tissue_config("colon")
    assert find_tissue_config("colorectal-open").name == "colorectal-lite.ebhi-open"


def test_images_are_read_at_the_networks_resolution_whatever_their_own(card: Path, data: Path) -> None:
    classifier = load_tissue_classifier(card, device="cpu")
    images = read_graded_images(TissueConfig.check(TINY, where="test"), data)["validation"][:1]
    usual = read_graded(classifier, images)[0]
    assert usual.glands.shape == (16, 16)
    assert usual.truth is not None
    assert usual.truth.shape == (16, 16)
    assert usual.truth.mean() == pytest.approx(images[0].read_glands().mean(), abs=0.05)  # type: ignore[union-attr]
    finer = read_graded(classifier, images, scale=2.0)[0]  # taken for twice as coarse: enlarged
    assert finer.glands.shape == (32, 32)
    darker = read_graded(classifier, images, change=lambda pixels: pixels // 2)[0]
    assert not np.array_equal(darker.logits, usual.logits)


CLASSES = COLORECTAL_CLASSES


def reading(label: str, logits: np.ndarray, case: str = "p", glands: float = 0.7) -> GradedReading:
    truth = np.zeros((8, 8), bool)
    truth[:, :4] = True
    said = np.where(truth, glands, 0.1).astype(np.float32)
    image = GradedImage("made-up", "x", case, Path("x"), 1.3, label)
    return GradedReading(image, logits.astype(np.float32), said, truth)


def test_the_temperature_makes_too_sure_a_network_humble_and_too_shy_a_one_bold() -> None:
    random = np.random.default_rng(4)
    truth = random.integers(0, 6, 4000)
    logits = random.normal(0, 1, (4000, 6))
    logits[np.arange(4000), truth] += 2.0  # the log odds of a normal of variance 1 are twice its value
    for factor in (0.5, 1.0, 3.0):
        readings = [
            reading(CLASSES[label], row * 2 * factor) for label, row in zip(truth, logits, strict=True)
        ]
        assert fit_temperature(readings, CLASSES) == pytest.approx(factor, rel=0.08)
    assert fit_temperature([], CLASSES) == 1.0


def test_a_perfect_network_has_perfect_figures() -> None:
    readings = [
        reading(name, 20 * np.eye(6)[number], f"p{turn}")
        for turn in range(3)
        for number, name in enumerate(CLASSES)
    ]
    chances = softmax(np.stack([one.logits for one in readings]), 1.0)
    figures = figures_of(readings, chances, classes=CLASSES)
    for name in ("balanced_accuracy", "accuracy", "kappa", "balanced_accuracy_6", "auc"):
        assert figures[name].value == pytest.approx(1.0)
    assert figures["ece"].value == pytest.approx(0.0, abs=1e-6)
    assert figures["kappa"].interval is not None


def test_mistaking_a_polyp_for_normal_costs_nothing_among_grades() -> None:
    chances = np.array([[0.9, 0.1, 0, 0, 0, 0], [0, 0, 0, 0, 0.3, 0.7]])
    graded = group_probabilities(chances, CLASSES)
    assert np.allclose(graded, [[1.0, 0, 0, 0], [0, 0, 0.3, 0.7]])


def test_balanced_accuracy_weighs_each_class_alike() -> None:
    truth, called = np.array([0] * 9 + [1]), np.zeros(10, int)
    assert balanced_accuracy(truth, called) == 0.5
    assert balanced_accuracy(truth[:0], called[:0]) is None


def test_the_gland_threshold_is_the_one_with_the_best_dice() -> None:
    faint = [reading("normal", np.zeros(6), f"p{number}", glands=0.3) for number in range(3)]
    assert 0.1 < best_gland_threshold(faint) <= 0.3
    assert best_gland_threshold([]) == 0.5
    figures = gland_figures(faint, threshold=0.25, by_object=True, mpp=1.3)
    assert figures["dice"].value == 1.0
    assert figures["object_dice"].value == 1.0
    assert figures["object_hausdorff"].value == 0.0
    assert gland_figures(faint, threshold=0.5)["dice"].value == 0.0
