"""A detector of signet-ring cells is trained as any other, and never taken for one of nuclei."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from slidelab.errors import ModelNotFoundError, SettingsError
from slidelab.models.card import ModelCard
from slidelab.models.labelled.signet import SIGNET_LABEL
from slidelab.models.loading import load_detector
from slidelab.models.registry import Registry
from slidelab.models.training.config import TrainingConfig
from slidelab.workflows.learning.detector_accuracy import threshold_of_false_positives
from slidelab.workflows.learning.left_out import LeftOut, compare_left_out
from slidelab.workflows.learning.train import find_config, read_training_images, train_detector_model
from slidelab.workflows.slides.tile_detector import choose_detector

NAME = "digestpath-signet"
SIDE = 256
TINY = TrainingConfig(
    name="signet-tiny.test",
    task="signet-ring-detection",
    stain="H&E",
    sources={NAME: 1.0},
    empty_share=0.5,
    keep="last",
    false_positives=1.5,
    largest_radius_um=20.0,
    phantoms=0.0,
    phantom_steps=0,
    mpp=1.0,
    scales=(1.0,),
    network={
        "encoder_options": {"channels": [8, 8, 8, 8], "stem_width": 8},
        "widths": [8, 8, 8],
        "heats": ["nucleus"],
        "classes": [],
        "hidden": 16,
    },
    crop_px=64,
    batch=8,
    steps=100,
    check_every=50,
    rate=1e-2,
    average=0.95,
)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Crops with pale discs, half of which are marked, and crops with small dark specks."""
    folder = tmp_path_factory.mktemp("data") / "he" / NAME
    (folder / "images").mkdir(parents=True)
    random = np.random.default_rng(5)
    rows = []
    for number in range(30):
        positive = number < 12
        image = Image.new("RGB", (SIDE, SIDE), (200, 140, 190))
        draw, boxes = ImageDraw.Draw(image), []
        for column in range(3):
            for row in range(3):
                x, y = 45 + 80 * column, 45 + 80 * row
                x, y = (int(place + random.integers(-8, 9)) for place in (x, y))
                radius = 28 if positive else 6
                box = [x - radius, y - radius, x + radius, y + radius]
                draw.ellipse(box, fill=(235, 225, 240) if positive else (70, 40, 120))
                if positive and (column + row) % 2:
                    boxes.append(box)
        kind = "positive" if positive else "negative"
        name = f"{kind[:3]}_{number:03}.png"
        image.save(folder / "images" / name)
        rows.append(
            {
                "image": name,
                "kind": kind,
                "patient": f"p{number}",
                "source": "painted",
                "crop": [0, 0, SIDE, SIDE],
                "boxes_xyxy": boxes,
            }
        )
    (folder / "annotations.json").write_text(json.dumps(rows), encoding="utf-8")
    return folder.parent.parent


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    return train_detector_model(TINY, data=data, folder=tmp_path_factory.mktemp("models"), device="cpu")


def test_the_card_names_the_task_and_what_is_found(trained):
    card = ModelCard.read(trained)
    assert (card.task, card.classes, card.stain) == ("signet-ring-detection", (SIGNET_LABEL,), "H&E")
    assert card.research_only
    assert "signet-ring cells" in card.intended_use
    assert card.thresholds["largest_radius_um"] == 20.0
    assert set(card.thresholds) == {"threshold", "largest_radius_um"}
    assert any("9 patients" in limit for limit in card.limits)
    assert any("1.5 false detections" in limit for limit in card.limits)


def test_it_finds_cells_marked_or_not_and_calls_them_by_their_name(data, trained):
    detector = load_detector((trained, trained.with_suffix(".safetensors")), device="cpu")
    assert detector.settings.largest_radius_um == 20.0
    with Image.open(data / "he" / NAME / "images" / "pos_000.png") as image:
        pixels = np.array(image.resize((SIDE // 4, SIDE // 4), Image.Resampling.BOX))
    cells = detector.detect(pixels)
    assert cells.classes == detector.faint().detect(pixels).classes == (SIGNET_LABEL,)
    places = np.array([(45 + 80 * column) / 4 for column in range(3)])
    near = [np.hypot(cells.x - x, cells.y - y).min(initial=99.0) < 4 for x in places for y in places]
    assert sum(near) >= 7  # of nine, four of them marked


def test_it_never_becomes_the_detector_of_nuclei(trained):
    registry = Registry(folders=[trained.parent], packaged=trained.parent)
    with pytest.raises(ModelNotFoundError):
        registry.default(task="cell-detection", stain="H&E")
    assert registry.default(task="signet-ring-detection", stain="H&E").card.name == TINY.name


def test_asked_for_by_name_it_is_refused_where_nuclei_are_wanted(trained, monkeypatch):
    monkeypatch.setenv("SLIDELAB_MODELS", str(trained.parent))
    with pytest.raises(SettingsError, match="signet-ring-detection"):
        choose_detector(TINY.name, stain="H&E")


def test_the_last_weights_are_kept_where_cases_are_too_few_to_choose_by(trained):
    from safetensors.torch import load_file

    folder = trained.parent / "training" / TINY.name
    mean = torch.load(folder / "checkpoint.pt", weights_only=True)["mean"]
    kept = load_file(folder / "best.safetensors")
    assert all(torch.equal(mean[name], kept[name]) for name in kept)


@pytest.fixture(scope="module")
def plan(data, tmp_path_factory):
    config = TINY.model_copy(update={"thresholds_from": "folds", "folds": 3, "fold_steps": 2, "batch": 2})
    return LeftOut(config, read_training_images(config, data), [], tmp_path_factory.mktemp("folds"), "cpu")


def test_every_image_but_those_of_validation_is_seen_by_a_network_without_its_patient(plan):
    groups = [plan.left_out(fold) for fold in range(3)]
    cases = [{image.case for image in group} for group in groups]
    assert not cases[0] & cases[1] | cases[1] & cases[2] | cases[0] & cases[2]
    assert all({image.marked for image in group} == {"some", "all"} for group in groups)
    parts = plan.images.parts
    pool = {image.case for image in [*parts["training"], *parts["tuning"]]}
    assert set().union(*cases) == pool
    assert not pool & {image.case for image in parts["validation"]}
    found = compare_left_out(plan)
    assert {one.image.name for one in found} == {image.name for group in groups for image in group}


def test_trainings_that_leave_out_a_group_are_short_apart_and_done_once(plan):
    weights = [plan.train(fold) for fold in range(3)]
    before = [path.stat().st_mtime_ns for path in weights]
    assert len({path.read_bytes() for path in weights}) == 3
    compare_left_out(plan)
    assert [path.stat().st_mtime_ns for path in weights] == before
    settings = json.loads((weights[0].parent / "training.json").read_text(encoding="utf-8"))
    assert settings["steps"] == 2


def test_the_threshold_of_a_model_may_rest_on_left_out_patients(data, plan, tmp_path):
    config = plan.config.model_copy(update={"steps": 2, "check_every": 2})
    card = ModelCard.read(train_detector_model(config, data=data, folder=tmp_path, device="cpu"))
    again = replace(plan, config=config, folder=tmp_path / "training" / config.name / "folds")
    expected = threshold_of_false_positives(compare_left_out(again), per_image=1.5)
    assert card.thresholds["threshold"] == pytest.approx(expected)


def test_the_published_settings_make_a_model_of_this_task():
    config = find_config("signet-research")
    assert (config.name, config.task) == ("signet-fast.digestpath-research", "signet-ring-detection")
    assert list(config.sources) == [NAME]
