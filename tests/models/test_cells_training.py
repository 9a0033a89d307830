"""Training of cell classifiers: what is drawn, what is punished, and that going on is exact."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from slidelab.errors import RunFolderError, SettingsError
from slidelab.models.cell_classes import CERVICAL_CLASSES, RBC_CLASSES, WBC_CLASSES
from slidelab.models.labelled.cytology_cells import LabelledCell
from slidelab.models.training.cells.colours import mean_style, restain, style_of, vary_camera, vary_colours
from slidelab.models.training.cells.config import CellsConfig
from slidelab.models.training.cells.crops import Edges, draw_cell_crop
from slidelab.models.training.cells.loop import train_cell_network
from slidelab.models.training.cells.losses import class_loss, order_loss
from slidelab.models.training.cells.samples import CellSource, classes_of_cells, load_cells, plain_crop
from slidelab.models.training.config import CONFIGS

TINY = {
    "name": "cell-tiny.test",
    "stain": "Papanicolaou",
    "sources": ["painted"],
    "classes": ["NILM", "LSIL", "HSIL"],
    "order": ["NILM", "LSIL", "HSIL"],
    "unions": {"abnormal": ["LSIL", "HSIL"]},
    "mpp": 0.5,
    "network": {"side": 64, "encoder_stages": 7},
    "pretrained": False,
    "frozen_stages": 0,
    "batch": 4,
    "steps": 4,
    "check_every": 2,
}


def config(**changes):
    return CellsConfig.check(TINY | changes, where="test")


def paint(folder: Path):
    """Three pictures of one cell each, and a field of two cells; half of them at twice the resolution."""
    random = np.random.default_rng(8)
    cells = []
    for number, label in enumerate(("NILM", "LSIL", "HSIL")):
        pixels = np.full((40 + 10 * number, 50, 3), (235, 230, 240), np.uint8)
        pixels[12:28, 15:35] = random.integers(60, 140, (16, 20, 3))
        path = folder / f"{number}.png"
        Image.fromarray(pixels).save(path)
        cells.append(LabelledCell("pictures", str(number), str(number), "training", path, 0.5, label))
    field = np.full((240, 320, 3), (220, 225, 230), np.uint8)
    field[100:140, 140:180] = (90, 80, 140)
    field[20:40, 280:300] = (60, 60, 120)
    path = folder / "field.png"
    Image.fromarray(field).save(path)
    for x, y, label, assumed in ((160.0, 120.0, "abnormal", False), (290.0, 30.0, "NILM", True)):
        cells.append(
            LabelledCell(
                "fields", f"{x}", "field", "training", path, 0.25, label, centre=(x, y), assumed=assumed
            )
        )
    return cells


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    return paint(tmp_path_factory.mktemp("cells"))


@pytest.fixture(scope="module")
def samples(cells):
    return load_cells(cells, mpp=0.5, side=64)


@pytest.mark.parametrize(
    "name",
    ["cervix-research", "cervix-herlev", "wbc-research", "wbc-open", "rbc-research"],
)
def test_slidelabs_own_configurations_hold(name):
    own = CellsConfig.read(CONFIGS / f"{name}.toml")
    if name == "cervix-research":
        assert own.classes == CERVICAL_CLASSES
    if name == "wbc-research":
        assert own.classes == WBC_CLASSES
    if name == "rbc-research":
        assert own.classes == RBC_CLASSES


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": ["one"]}, "two classes"),
        ({"order": ["NILM", "SCC"]}, "SCC is none of the classes"),
        ({"network": {"side": 60}}, "no multiple"),
        ({"network": {"heads": 3}}, "network"),
        ({"scales": [1.2, 0.8]}, "scales"),
        ({"frozen_stages": 2}, "pretrained"),
        ({"blur": 1}, "blur"),
    ],
)
def test_wrong_settings_are_named(changes, message):
    with pytest.raises(SettingsError, match=message):
        config(**changes)


def test_cells_come_at_the_working_resolution_with_their_centre(samples):
    field = samples[3]
    assert not field.is_picture
    x, y = (int(value) for value in field.centre)
    assert abs(int(field.image[y, x, 0]) - 90) < 5
    assert (plain_crop(field, 64)[31:33, 31:33, 0] < 95).all()
    assert samples[0].image.shape == (40, 50, 3)
    assert samples[4].image.max() == 255  # beyond the field it is white


def test_a_label_may_stand_for_several_classes(cells):
    allowed = classes_of_cells(cells, config())
    assert allowed.tolist()[3] == [False, True, True]
    assert allowed.sum(1).tolist() == [1, 1, 1, 2, 1]


def test_a_batch_is_fixed_by_its_number(cells, samples):
    first, again = (CellSource(cells, samples, config()).batch(5) for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    other = CellSource(cells, samples, config()).batch(6)
    assert not torch.equal(first["images"], other["images"])
    assert first["images"].shape == (4, 64, 64, 3)


def test_rare_labels_are_drawn_as_often_as_common_ones(cells):
    many = [cells[0]] * 30 + [cells[1]] * 3
    samples = load_cells(many, mpp=0.5, side=64)
    even = CellSource(many, samples, config(balance=1.0)).weights
    assert even[:30].sum() == pytest.approx(0.5)
    doubled = CellSource(many, samples, config(balance=1.0, shares={"LSIL": 2.0})).weights
    assert doubled[30:].sum() == pytest.approx(2 / 3)
    mixed = [*many, *[replace(cells[0], set_name="other")] * 30]
    samples = load_cells(mixed, mpp=0.5, side=64)
    rarer = CellSource(mixed, samples, config(balance=1.0, shares={"other/NILM": 0.25})).weights
    assert rarer[33:].sum() == pytest.approx(0.25 * rarer[:30].sum())
    assert rarer[30:33].sum() == pytest.approx(0.5)


def test_an_assumed_class_weighs_less(cells, samples):
    source = CellSource(cells, samples, config(assumed_weight=0.25))
    assert source.trust.tolist() == [1, 1, 1, 1, 0.25]


def test_a_crop_without_variation_is_the_plain_one(samples):
    random = np.random.default_rng(0)
    seen = [
        draw_cell_crop(
            samples[3].image,
            samples[3].centre,
            random,
            side=64,
            scales=(1.0, 1.0),
            shift=0.0,
            edges=Edges(is_picture=False, exchanged=False, ground=None),
        )
        for _ in range(4)
    ]
    plain = plain_crop(samples[3], 64).astype(int)
    assert all(abs(int(crop.sum()) - plain.sum()) < 0.02 * plain.sum() for crop in seen)


@pytest.mark.parametrize("is_picture", [True, False])
@pytest.mark.parametrize("with_ground", [True, False])
def test_crops_with_other_surroundings_keep_their_size(samples, is_picture, with_ground):
    random = np.random.default_rng(1)
    sample = samples[0 if is_picture else 3]
    ground = samples[4].image if with_ground else None
    for _ in range(20):
        crop = draw_cell_crop(
            sample.image,
            sample.centre,
            random,
            side=64,
            scales=(0.7, 1.4),
            shift=5.0,
            edges=Edges(is_picture, True, ground),
        )
        assert crop.shape == (64, 64, 3)


def test_a_style_taken_over_is_that_of_the_other_collection():
    image = np.full((20, 20, 3), (240, 230, 245), np.uint8)
    image[5:15, 5:15] = (100, 60, 150)
    other = np.full((20, 20, 3), (200, 220, 210), np.uint8)
    other[5:15, 5:15] = (60, 90, 120)
    own, wanted = mean_style([style_of(image)]), mean_style([style_of(other)])
    assert np.abs(restain(image, own, wanted, amount=1.0).astype(int) - other).max() <= 2
    assert np.abs(restain(image, own, wanted, amount=0.0).astype(int) - image).max() <= 1


def test_colours_are_left_alone_at_no_strength():
    image = np.random.default_rng(2).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    assert vary_colours(image, np.random.default_rng(0), strength=0.0) is image
    assert vary_camera(image, np.random.default_rng(0)).shape == image.shape


def test_a_union_is_satisfied_by_any_of_its_classes():
    allowed = torch.tensor([[False, True, True]])
    trust = torch.ones(1)
    spread = class_loss(torch.tensor([[-20.0, 5.0, 5.0]]), allowed, trust, smoothing=0.0)
    wrong = class_loss(torch.tensor([[20.0, 5.0, 5.0]]), allowed, trust, smoothing=0.0)
    assert float(spread) == pytest.approx(0.0, abs=1e-5)
    assert float(wrong) > 10


def test_being_far_off_costs_more_than_being_near():
    allowed, trust = torch.tensor([[True, False, False]]), torch.ones(1)
    near = order_loss(torch.tensor([[0.0, 9.0, 0.0]]), allowed, trust, order=[0, 1, 2])
    far = order_loss(torch.tensor([[0.0, 0.0, 9.0]]), allowed, trust, order=[0, 1, 2])
    assert float(far) > float(near) > 0
    outside = order_loss(torch.zeros(1, 3), torch.tensor([[False, False, True]]), trust, order=[0, 1])
    assert float(outside) == 0.0


def stopping(step):
    """Return a report that interrupts the training after a step."""

    def report(number, _):
        if number == step:
            raise KeyboardInterrupt

    return report


def test_going_on_after_an_interruption_changes_nothing(cells, tmp_path):
    parts = {"training": cells}
    whole = train_cell_network(parts, config=config(), folder=tmp_path / "whole", device="cpu")
    with pytest.raises(KeyboardInterrupt):
        train_cell_network(parts, config=config(), folder=tmp_path / "torn", device="cpu", report=stopping(3))
    again = train_cell_network(parts, config=config(), folder=tmp_path / "torn", device="cpu")
    assert again.read_bytes() == whole.read_bytes()
    with pytest.raises(RunFolderError, match="rate"):
        train_cell_network(parts, config=config(rate=0.5), folder=tmp_path / "whole", device="cpu")


def test_without_cells_of_its_classes_nothing_is_learnt(cells, tmp_path):
    with pytest.raises(SettingsError, match="no labelled cell"):
        train_cell_network({"training": cells[:0]}, config=config(), folder=tmp_path, device="cpu")
