"""From labelled cells to a model with its card, and the figures that it is measured by."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from typer.testing import CliRunner

from slidelab.cli import app
from slidelab.errors import ModelNotFoundError, SettingsError, SlideNotFoundError
from slidelab.models.card import ModelCard
from slidelab.models.cell_classifier import load_cell_classifier
from slidelab.models.labelled.cytology_cells import LabelledCell
from slidelab.models.registry import Registry
from slidelab.models.training.cells.config import CellsConfig
from slidelab.workflows.learning.cell_accuracy import (
    best_temperature,
    crops_of_cells,
    group_area,
    macro_f1,
    order_kappa,
    reject_threshold,
    share_right,
)
from slidelab.workflows.learning.cell_card import _licence
from slidelab.workflows.learning.train_cells import (
    find_cells_config,
    read_labelled_cells,
    train_cell_model,
)

TINY = {
    "name": "wbc-tiny.test",
    "stain": "Romanowsky",
    "sources": ["krd-wbc"],
    "classes": ["neutrophil", "lymphocyte"],
    "mpp": 0.2,
    "network": {"side": 64},
    "pretrained": False,
    "frozen_stages": 0,
    "batch": 4,
    "steps": 2,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """A folder with a painted KRD-WBC of 20 fields."""
    folder = tmp_path_factory.mktemp("data") / "krd-wbc"
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    lines = ["image,class"]
    for number in range(20):
        pixels, mask = np.full((120, 130, 3), 220, np.uint8), np.zeros((120, 130), np.uint8)
        mask[40:80, 50:90] = 255
        pixels[mask > 0] = (90, 40, 140) if number % 2 else (140, 120, 200)
        Image.fromarray(pixels).save(folder / "images" / f"{number}.jpg")
        Image.fromarray(mask).save(folder / "masks" / f"{number}.png")
        lines.append(f"{number}.jpg,{'lymphocyte' if number % 2 else 'neutrophil'}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder.parent


@pytest.fixture(scope="module")
def card(data, tmp_path_factory) -> Path:
    config = CellsConfig.check(TINY, where="test")
    return train_cell_model(config, data=data, folder=tmp_path_factory.mktemp("models"), device="cpu")


def test_a_training_ends_with_a_model_that_the_registry_finds(card, data):
    entry = Registry(folders=[card.parent], packaged=card.parent).find("wbc-tiny.test")
    assert entry.card.task == "cell-classification"
    assert entry.card.licence.weights == "Apache-2.0"
    assert set(entry.card.thresholds) == {"temperature", "reject_below", "views"}
    assert any("scale of some images" in limit for limit in entry.card.limits)
    classifier = load_cell_classifier(entry.card, entry.weights)
    cells = read_labelled_cells(CellsConfig.check(TINY, where="test"), data)["validation"]
    said = classifier.classify(crops_of_cells(classifier, cells))
    assert said.shape == (5, 2)


def test_weights_are_stored_in_half_precision(card):
    assert card.with_suffix(".safetensors").stat().st_size < 8e6


def test_a_finished_training_is_not_repeated(card, data):
    steps: list[int] = []
    config = CellsConfig.check(TINY, where="test")
    again = train_cell_model(
        config, data=data, folder=card.parent, device="cpu", report=lambda step, _: steps.append(step)
    )
    assert again == card
    assert steps == []
    assert ModelCard.read(again).sha256 == ModelCard.read(card).sha256


def test_a_training_may_go_on_from_another_model(card, data):
    config = CellsConfig.check(
        TINY | {"name": "wbc-second.test", "start_from": "wbc-tiny.test", "frozen_stages": 6}, where="test"
    )
    second = train_cell_model(config, data=data, folder=card.parent, device="cpu")
    first, later = (load_file(one.with_suffix(".safetensors")) for one in (card, second))
    assert torch.equal(first["encoder.conv_stem.weight"], later["encoder.conv_stem.weight"])
    assert not torch.equal(first["classify.weight"], later["classify.weight"])
    wider = CellsConfig.check(config.model_dump() | {"network": {"encoder_stages": 6}}, where="test")
    with pytest.raises(SettingsError, match="another network"):
        train_cell_model(wider, data=data, folder=card.parent, device="cpu", overwrite=True)
    absent = CellsConfig.check(config.model_dump() | {"start_from": "wbc-none.test"}, where="test")
    with pytest.raises(ModelNotFoundError):
        train_cell_model(absent, data=data, folder=card.parent, device="cpu", overwrite=True)


def test_weights_of_restricted_cells_are_for_research_only():
    def licence(name):
        return _licence({"training": [LabelledCell(name, "x", "p", "training", Path("x"), 0.5, "NILM")]})

    assert licence("cric-fields")["weights"] == "Apache-2.0"
    assert licence("herlev-200")["weights"] == "research-only"
    assert licence("somebody's")["weights"] == "research-only"


def test_the_command_line_trains(data, tmp_path):
    config = tmp_path / "tiny.toml"
    lines = [f"{key} = {json.dumps(value)}" for key, value in TINY.items() if key != "network"]
    config.write_text("\n".join([*lines, "[network]", "side = 64"]))
    command = ["train", "cells", "--data", str(data), "--config", str(config), "--out", str(tmp_path / "m")]
    result = CliRunner().invoke(app, [*command, "--device", "cpu", "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert Path(told["card"]).is_file()
    assert Path(told["weights"]).is_file()


def test_what_is_not_there_is_a_clear_error(tmp_path):
    with pytest.raises(SettingsError, match="no training configuration") as caught:
        find_cells_config("cervix-reserch")
    assert "cervix-research" in caught.value.advice
    with pytest.raises(SlideNotFoundError, match="no labelled cells"):
        read_labelled_cells(find_cells_config("cervix-research"), tmp_path / "nowhere")


def test_the_temperature_makes_sure_what_is_too_timid_and_timid_what_is_too_sure():
    truth = np.array([0] * 8 + [1] * 2)
    timid = np.array([[0.1, 0.0]] * 8 + [[0.0, 0.1]] * 2)
    assert best_temperature(timid, truth) == pytest.approx(0.2, abs=0.01)
    sure = np.array([[9.0, 0.0]] * 10)  # right in 8 of 10: log(4) is what it should say
    assert best_temperature(sure, truth) == pytest.approx(5.0, abs=0.01)
    fitting = np.array([[4.0, 0.0]] * 10)
    assert best_temperature(fitting, truth) == pytest.approx(4 / np.log(4), rel=0.01)
    assert best_temperature(np.zeros((0, 2)), np.zeros(0, int)) == 1.0


def test_the_reject_rule_turns_away_few_right_calls():
    top = np.linspace(0.51, 0.99, 101)
    threshold = reject_threshold(np.stack([top, 1 - top], 1), np.zeros(101, int))
    assert (top < threshold).sum() == 5
    assert reject_threshold(np.zeros((0, 2)), np.zeros(0, int)) == 0.0


def test_macro_f1_is_the_mean_over_classes():
    truth, called = np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1])
    assert macro_f1(truth, called, list("abcd")).value == pytest.approx((0.8 + 2 / 3) / 2)


def test_kappa_counts_only_cells_that_both_place_in_the_order():
    truth, called = np.array([1, 2, 3, 1, 9]), np.array([1, 2, 3, 9, 1])
    figure = order_kappa(truth, called, list("abcde"), order=[1, 2, 3])
    assert figure.value == pytest.approx(1.0)
    assert figure.cells == 3


def test_shares_and_areas_have_their_intervals():
    figure = share_right(np.array([1, 1, 0, 0]), np.array([1, 1, 0, 1]))
    assert figure.value == 0.75
    assert figure.interval is not None
    assert figure.interval.low < 0.75 < figure.interval.high
    chances = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.1, 0.9]])
    area = group_area(chances, np.array([False, False, True, True]), group=[1])
    assert area.value == 1.0
    assert group_area(chances, np.ones(4, bool), group=[1]).value is None
    assert share_right(np.zeros(0, int), np.zeros(0, int)).value is None
