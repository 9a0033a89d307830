"""The cell classifier: a crop's answer depends on its pixels alone, and cards are checked."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from slidelab.errors import DamagedWeightsError, InvalidTableError, SettingsError
from slidelab.models.card import ModelCard
from slidelab.models.cell_classifier import calibrated, load_cell_classifier
from slidelab.models.cell_classifier_network import CellClassNetwork, CellClassSettings
from slidelab.models.registry import PACKAGED
from slidelab.models.tensor_file import file_sha256

SETTINGS = CellClassSettings(classes=("NILM", "LSIL", "HSIL"), side=64)
SIDE = SETTINGS.side


def write_model(folder, **changes):
    """Write a network with the statistics of a little training, in half precision, and its card."""
    torch.manual_seed(4)
    network = CellClassNetwork(SETTINGS)
    network.train()
    with torch.no_grad():
        for _ in range(2):
            network(torch.rand(4, 3, SIDE, SIDE))
        network.classify.weight *= 20
    tensors = {
        name: tensor.half() if tensor.ndim > 1 else tensor for name, tensor in network.state_dict().items()
    }
    path = folder / "cell-tiny.test.safetensors"
    save_file(tensors, path)
    values = {
        "name": "cell-tiny.test",
        "version": "1",
        "task": "cell-classification",
        "mpp": 0.5,
        "input": {"scaling": "1 - value/255", "stride_px": 32},
        "classes": SETTINGS.classes,
        "stain": "Papanicolaou",
        "licence": {"code": "Apache-2.0", "weights": "Apache-2.0"},
        "sha256": file_sha256(path),
        "receptive_field_px": 32,
        "intended_use": "tests",
        "limits": ["knows nothing"],
        "architecture": json.loads(json.dumps(asdict(SETTINGS))),
        "thresholds": {"temperature": 1.7, "reject_below": 0.5},
    }
    card = folder / "cell-tiny.test.json"
    ModelCard.check(values | changes).write(card)
    return card


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def classifier(card):
    return load_cell_classifier(card)


@pytest.fixture(scope="module")
def crops():
    random = np.random.default_rng(5)
    soft = random.integers(0, 256, (19, 8, 8, 3), dtype=np.uint8)
    return np.kron(soft, np.ones((1, SIDE // 8, SIDE // 8, 1), np.uint8))


@pytest.fixture(scope="module")
def said(classifier, crops):
    return classifier.classify(crops)


def test_probabilities_are_such(said):
    assert said.shape == (19, 3)
    assert said.dtype == np.float32
    assert np.allclose(said.sum(1), 1, atol=1e-6)
    assert (said >= 0).all()
    assert np.ptp(said[:, 0]) > 0.001  # crops differ, and so do answers


def test_a_crop_alone_is_called_as_among_others(classifier, crops, said):
    for number in (0, 7, 8, 18):
        assert (classifier.classify(crops[number : number + 1])[0] == said[number]).all()


def test_the_order_of_crops_changes_nothing(classifier, crops, said):
    order = np.random.default_rng(1).permutation(len(crops))
    assert (classifier.classify(crops[order]) == said[order]).all()


@pytest.mark.parametrize("threads", [2, 3])
def test_the_number_of_threads_changes_nothing(card, crops, said, threads):
    assert (load_cell_classifier(card, threads=threads).classify(crops) == said).all()


def test_turned_views_are_averaged(card, crops, said, tmp_path):
    several = write_model(tmp_path, thresholds={"temperature": 1.7, "views": 8})
    classifier = load_cell_classifier(several)
    turned = np.rot90(crops, 1, (1, 2)).copy()
    assert np.abs(classifier.classify(turned) - classifier.classify(crops)).max() < 1e-4
    assert np.abs(classifier.classify(crops) - said).max() > 1e-4
    assert (classifier.classify(crops, views=1) == said).all()


def test_no_crops_are_no_answers(classifier):
    assert classifier.classify(np.zeros((0, SIDE, SIDE, 3), np.uint8)).shape == (0, 3)
    assert classifier.unknown(np.zeros((0, 3), np.float32)).tolist() == []


def test_what_is_not_likely_is_unknown(classifier):
    chances = np.array([[0.5, 0.3, 0.2], [0.49, 0.31, 0.2]], np.float32)
    assert classifier.unknown(chances).tolist() == [False, True]


def test_the_temperature_softens_without_changing_the_call():
    logits = np.array([[2.0, 1.0, -1.0]])
    warm, cold = calibrated(logits, 3.0), calibrated(logits, 1.0)
    assert warm.argmax() == cold.argmax() == 0
    assert warm.max() < cold.max()


def test_the_card_says_resolution_side_and_classes(classifier):
    assert (classifier.mpp, classifier.side, classifier.classes) == (0.5, SIDE, ("NILM", "LSIL", "HSIL"))


def test_crops_of_another_size_are_refused(classifier):
    with pytest.raises(InvalidTableError, match="64 px"):
        classifier.classify(np.zeros((2, 32, 32, 3), np.uint8))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "tissue-classification"}, "is a model for"),
        ({"thresholds": {"temprature": 1.0}}, "thresholds"),
        ({"thresholds": {"temperature": 0.0}}, "temperature"),
        ({"classes": ("a", "b", "c")}, "has the classes"),
        (
            {"architecture": {"encoder": "hf-hub:evil/model", "encoder_options": {}}},
            "no architecture of timm",
        ),
        ({"architecture": asdict(SETTINGS) | {"classes": ["NILM", "LSIL", "HSIL"], "side": 50}}, "side"),
    ],
)
def test_a_wrong_card_is_refused(tmp_path, changes, message):
    with pytest.raises(SettingsError, match=message):
        load_cell_classifier(write_model(tmp_path, **changes))


def test_other_weights_are_refused(card, tmp_path):
    other = tmp_path / "other.safetensors"
    save_file({"a": torch.zeros(1)}, other)
    with pytest.raises(DamagedWeightsError):
        load_cell_classifier(ModelCard.read(card), other)


SHIPPED = sorted(
    path for path in PACKAGED.glob("*.json") if ModelCard.read(path).task == "cell-classification"
)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_classifiers_work_and_say_how_well(path):
    shipped = load_cell_classifier(path)
    said = shipped.classify(np.full((1, shipped.side, shipped.side, 3), 230, np.uint8))
    assert said.shape == (1, len(shipped.classes))
    assert path.with_suffix(".safetensors").stat().st_size <= 8e6
    assert {metric.script for metric in shipped.card.metrics} == {"scripts/accuracy_cytology.py"}
    assert 0 < shipped.thresholds.reject_below < 1
    assert shipped.card.research_only
