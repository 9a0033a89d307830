"""The tissue classifier: tiled equals untiled bit for bit, probabilities are such, and cards are checked."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from scipy.ndimage import gaussian_filter

from slidelab.errors import DamagedWeightsError, InvalidTableError, SettingsError
from slidelab.models.card import ModelCard
from slidelab.models.session import SessionSettings
from slidelab.models.tensor_file import file_sha256
from slidelab.models.tissue_classifier import (
    TissueClassifier,
    TissueThresholds,
    load_tissue_classifier,
)
from slidelab.models.tissue_network import TissueNetwork, TissueSettings
from slidelab.models.tissue_reach import measure_tissue_reach
from slidelab.models.tissue_session import TissueSession

SMALL = TissueSettings(widths=(16, 16, 32), class_width=32, classes=("normal", "polyp", "adenocarcinoma"))
SIDE = 656
"""No multiple of the cores below: the last tiles are as narrow as a stride."""
STRIDE = SMALL.stride


def make_network(seed=1):
    """A network with the statistics of a little training, so that batch norms do something."""
    torch.manual_seed(seed)
    network = TissueNetwork(SMALL)
    network.train()
    with torch.no_grad():
        for _ in range(3):
            network(torch.rand(4, 3, 64, 64))
    return network.eval()


def paint(seed, height, width):
    """Soft blobs on white: something for a network to answer to."""
    field = gaussian_filter(np.random.default_rng(seed).normal(size=(height, width, 3)), (3, 3, 0))
    return np.clip(200 + 900 * field, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def image():
    return paint(7, SIDE, SIDE)


@pytest.fixture(scope="module")
def classifier():
    session = TissueSession(make_network(), SessionSettings(device="cpu"))
    return TissueClassifier(session, mpp=1.3, thresholds=TissueThresholds(temperature=1.4))


@pytest.fixture(scope="module")
def whole(classifier, image):
    return classifier.map_tissue(image)


@pytest.fixture(scope="module")
def halo():
    return int(-(-measure_tissue_reach(SMALL) // STRIDE) * STRIDE)


def tiled(classifier, image, *, core, halo):
    """Map in tiles: read core and halo, keep the core."""
    classes = np.full((len(classifier.classes), SIDE // 16, SIDE // 16), np.nan, np.float32)
    glands = np.full((SIDE // 4, SIDE // 4), np.nan, np.float32)
    for top in range(0, SIDE, core):
        for left in range(0, SIDE, core):
            y, x = max(0, top - halo), max(0, left - halo)
            bottom, right = min(SIDE, top + core), min(SIDE, left + core)
            read = image[y : min(SIDE, bottom + halo), x : min(SIDE, right + halo)]
            found = classifier.map_tissue(read)
            for grid, own, step in ((classes, found.classes, 16), (glands, found.glands, 4)):
                rows = slice((top - y) // step, (bottom - y) // step)
                columns = slice((left - x) // step, (right - x) // step)
                grid[..., top // step : bottom // step, left // step : right // step] = own[
                    ..., rows, columns
                ]
    return classes, glands


@settings(max_examples=3, deadline=None)
@given(st.sampled_from([128, 256, 304, 512]))
def test_tiled_equals_untiled_bit_for_bit(classifier, image, whole, halo, core):
    classes, glands = tiled(classifier, image, core=core, halo=halo)
    assert np.array_equal(classes, whole.classes)
    assert np.array_equal(glands, whole.glands)


def test_the_halo_is_needed(classifier, image, whole):
    """Guards the test above: with too small a halo the maps do differ."""
    classes, glands = tiled(classifier, image, core=256, halo=32)
    assert not np.array_equal(classes, whole.classes)
    assert not np.array_equal(glands, whole.glands)


def test_maps_do_not_depend_on_the_number_of_threads(classifier, image, whole):
    threads = torch.get_num_threads()
    try:
        for count in (2, 3):
            torch.set_num_threads(count)
            found = classifier.map_tissue(image[:256, :272])
            torch.set_num_threads(1)
            again = classifier.map_tissue(image[:256, :272])
            assert np.array_equal(found.classes, again.classes)
            assert np.array_equal(found.glands, again.glands)
    finally:
        torch.set_num_threads(threads)


def test_classes_are_probabilities_under_the_temperature(classifier, image, whole):
    assert np.allclose(whole.classes.sum(0), 1, atol=1e-5)
    assert whole.glands.min() >= 0
    assert whole.glands.max() <= 1
    plain = TissueClassifier(classifier.session, mpp=1.3).map_tissue(image[:64, :64]).classes
    tempered = classifier.map_tissue(image[:64, :64]).classes
    raised = plain ** (1 / 1.4)
    assert np.allclose(tempered, raised / raised.sum(0), atol=1e-5)


def test_folding_changes_nothing_but_rounding():
    from slidelab.models.network import to_input

    network, pixels = make_network(3), torch.from_numpy(paint(2, 64, 96)[None])
    with torch.inference_mode():
        before = network(to_input(pixels))
    session = TissueSession(network, SessionSettings(device="cpu"))
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in session.network.modules())
    with session.turn():
        after = session.run(pixels)
    assert torch.allclose(before.classes, after.classes, atol=1e-4)
    assert torch.allclose(before.glands, after.glands, atol=1e-4)


def test_a_batch_is_computed_as_its_images(classifier):
    images = np.stack([paint(seed, 64, 64) for seed in range(3)])
    with classifier.session.turn():
        together = classifier.session.run(classifier.session.upload(images))
        alone = classifier.session.run(classifier.session.upload(images[1:2]))
    assert torch.equal(together.classes[1:2], alone.classes)
    assert torch.equal(together.glands[1:2], alone.glands)


def test_an_image_of_any_size_has_a_class(classifier):
    chances = classifier.classify_image(paint(4, 70, 90))
    assert chances.shape == (3,)
    assert chances.sum() == pytest.approx(1, abs=1e-5)


def test_eight_views_do_not_depend_on_how_the_image_lies(classifier):
    view = paint(5, 96, 96)
    turned = np.ascontiguousarray(np.rot90(view[:, ::-1]))
    one = classifier.image_logits(view, symmetries=True)
    assert np.allclose(one, classifier.image_logits(turned, symmetries=True), atol=1e-4)
    assert not np.allclose(one, classifier.image_logits(view), atol=1e-4)


def test_sides_that_are_no_multiples_of_the_stride_are_refused(classifier):
    with pytest.raises(InvalidTableError, match="stride 16"):
        classifier.map_tissue(paint(6, 72, 64))


def write_model(folder, **changes):
    """A model of the small network in a folder; returns the path of its card."""
    name = "colorectal-tiny.test"
    weights = folder / f"{name}.safetensors"
    save_file({key: value.contiguous() for key, value in make_network().state_dict().items()}, weights)
    values = {
        "name": name,
        "version": "1",
        "task": "tissue-classification",
        "mpp": 1.3,
        "input": {"scaling": "1 - value/255", "stride_px": 16},
        "classes": SMALL.classes,
        "stain": "H&E",
        "licence": {"code": "Apache-2.0", "weights": "Apache-2.0"},
        "sha256": file_sha256(weights),
        "receptive_field_px": 216,
        "intended_use": "Tests.",
        "limits": ["Untrained."],
        "architecture": json.loads(json.dumps(asdict(SMALL))),
        "thresholds": {"temperature": 1.4, "gland_threshold": 0.45},
    }
    return ModelCard.check(values | changes).write(folder / f"{name}.json")


def test_a_model_on_disk_gives_the_maps_of_its_network(tmp_path, classifier, image):
    loaded = load_tissue_classifier(write_model(tmp_path), device="cpu")
    assert loaded.thresholds == TissueThresholds(1.4, 0.45)
    assert loaded.classes == SMALL.classes
    found, expected = loaded.map_tissue(image[:128, :96]), classifier.map_tissue(image[:128, :96])
    assert np.array_equal(found.classes, expected.classes)
    assert np.array_equal(found.glands, expected.glands)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "cell-detection"}, "is a model for cell-detection"),
        ({"thresholds": {"warmth": 1.0}}, "warmth"),
        ({"classes": ("normal", "polyp", "serrated")}, "its network has the classes"),
        ({"architecture": asdict(SMALL) | {"encoder": "hf-hub:somebody/thing"}}, "no architecture of timm"),
        ({"architecture": asdict(SMALL) | {"encoder_options": {"pretrained": True}}}, "not allowed"),
        ({"architecture": asdict(SMALL) | {"depth": 3}}, "depth"),
    ],
)
def test_cards_that_cannot_be_used_are_clear_errors(tmp_path, changes, message):
    changes = json.loads(json.dumps(changes))
    if "classes" in changes:
        changes["classes"] = tuple(changes["classes"])
    with pytest.raises(SettingsError, match=message):
        load_tissue_classifier(write_model(tmp_path, **changes), device="cpu")


def test_weights_of_another_network_are_refused(tmp_path):
    changed = json.loads(json.dumps(asdict(SMALL))) | {"class_width": 48}
    with pytest.raises(DamagedWeightsError, match="does not fit"):
        load_tissue_classifier(write_model(tmp_path, architecture=changed), device="cpu")
