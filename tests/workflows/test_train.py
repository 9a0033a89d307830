"""From a list of labelled images to a model that finds nuclei."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from slidelab.errors import (
    DamagedWeightsError,
    ModelNotFoundError,
    RunFolderError,
    SettingsError,
    SlideNotFoundError,
)
from slidelab.models import COLLECTIONS, LabelledImage
from slidelab.models.card import ModelCard
from slidelab.models.labelled import read_manifest, read_phantom
from slidelab.models.loading import load_detector
from slidelab.models.registry import Registry
from slidelab.models.training.config import TrainingConfig
from slidelab.workflows.learning.detector_accuracy import compare, detect_whole
from slidelab.workflows.learning.detector_card import (
    TrainingImages,
    attach_metrics,
    choose_thresholds,
    publish_detector,
)
from slidelab.workflows.learning.train import read_training_images, train_detector_model
from slidelab.wsi import PhantomSettings, write_phantom

SIDE = 768
TINY = TrainingConfig(
    name="nuclei-tiny.test",
    stain="H-DAB",
    phantoms=0.0,
    phantom_steps=0,
    scales=(1.0,),
    network={
        "encoder_options": {"channels": [8, 8, 8, 8], "stem_width": 8},
        "widths": [8, 8, 8],
        "hidden": 16,
    },
    crop_px=128,
    batch=4,
    steps=120,
    check_every=60,
    rate=8e-3,
    average=0.97,
)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Three phantoms with a list that names them, annotated by outlines, points and outlines."""
    folder = tmp_path_factory.mktemp("data")
    rows = [("image", "annotation", "mpp", "set", "part")]
    for number, part in enumerate(("training", "training", "validation")):
        slide = folder / f"p{number}.tiff"
        settings = PhantomSettings(
            width=SIDE, height=SIDE, truth=40.0, seed=number + 1, artefacts=False, tissue_fraction=0.6
        )
        write_phantom(slide, settings, workers=1)
        truth = read_phantom(slide)
        rows.append((slide.name, write_marks(truth, points=number == 1), "0.25", "clinic", part))
    with (folder / "mine.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows)
    return folder / "mine.csv"


def write_marks(truth: LabelledImage, *, points: bool) -> str:
    """Write annotations beside a phantom; returns the file's name."""
    if points:
        path = truth.path.with_suffix(".csv")
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(["x", "y", "class"])
            writer.writerows(zip(truth.x, truth.y, truth.labels, strict=True))
        return path.name
    from PIL import Image

    path = truth.path.with_suffix(".mask.png")
    Image.fromarray(truth.load_instances().astype(np.uint16)).save(path)
    return path.name


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """A model trained on them."""
    return train_detector_model(TINY, data=data, folder=tmp_path_factory.mktemp("models"), device="cpu")


def test_the_model_finds_nuclei_of_a_slide_that_it_never_saw(data, trained):
    held_out = read_manifest(data)[2]
    detector = load_detector((trained, trained.with_suffix(".safetensors")), device="cpu")
    found = detect_whole(detector.detect, held_out, mpp=detector.mpp, stride=16)
    hits, detected, marked = compare(found, held_out).counts(0.0)
    assert marked > 50
    assert 2 * hits / (detected + marked) > 0.5


def test_the_card_says_where_the_model_comes_from(data, trained):
    card = ModelCard.read(trained)
    assert (card.name, card.mpp, card.stain, card.input.stride_px) == ("nuclei-tiny.test", 0.5, "H-DAB", 16)
    assert card.classes == ("Negative", "Positive")
    assert card.receptive_field_px == 82
    assert card.metrics == ()
    assert 0.1 < card.thresholds["threshold"] < 0.7
    assert card.training is not None
    assert card.training.seed == TINY.seed
    assert TrainingConfig.check(dict(card.training.config), where="card") == TINY
    assert card.training.split.endswith("2 training, 0 tuning, 1 validation")
    assert any("no tuning cases" in limit for limit in card.limits)
    assert card.research_only
    assert [one.name for one in card.licence.data] == ["clinic"]
    assert card.licence.data[0].source == "manifest mine.csv"


def test_the_folder_is_one_that_the_registry_reads(trained):
    registry = Registry(folders=[trained.parent])
    assert registry.broken() == ()
    entry = registry.find("nuclei-tiny.test")
    assert load_detector(entry, device="cpu").settings.threshold == entry.card.thresholds["threshold"]


def test_a_finished_training_is_only_published_again(data, trained):
    def refuse(step, losses):
        raise AssertionError("it learns again")

    before = ModelCard.read(trained)
    again = train_detector_model(TINY, data=data, folder=trained.parent, device="cpu", report=refuse)
    assert again == trained
    assert ModelCard.read(again) == before


def test_another_training_in_the_same_folder_needs_leave(data, tmp_path):
    short = TINY.model_copy(update={"steps": 2, "check_every": 2})
    longer = short.model_copy(update={"steps": 3})
    train_detector_model(short, data=data, folder=tmp_path, device="cpu")
    with pytest.raises(RunFolderError, match="steps: 2, now 3"):
        train_detector_model(longer, data=data, folder=tmp_path, device="cpu")
    card = train_detector_model(longer, data=data, folder=tmp_path, device="cpu", overwrite=True)
    training = ModelCard.read(card).training
    assert training is not None
    assert training.config["steps"] == 3


def test_metrics_are_attached_whole_or_not_at_all(trained, tmp_path):
    card = ModelCard.read(trained)
    path = card.write(tmp_path / trained.name)
    figure = {"set": "clinic", "part": "validation", "name": "f1", "value": 0.8, "n": 1, "script": "x.py"}
    assert attach_metrics(path, [figure]).metrics[0].value == 0.8
    assert len(attach_metrics(path, [figure | {"value": 0.7}]).metrics) == 1
    with pytest.raises(SettingsError, match="script"):
        attach_metrics(path, [{name: value for name, value in figure.items() if name != "script"}])
    after = ModelCard.read(path)
    assert after.metrics[0].value == 0.7
    assert after.model_copy(update={"metrics": ()}) == card


def test_weights_of_another_card_are_refused(trained, tmp_path):
    weights = tmp_path / "w.safetensors"
    content = bytearray(trained.with_suffix(".safetensors").read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(DamagedWeightsError, match="sha256"):
        load_detector((trained, weights), device="cpu")


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("encoder", "hf-hub:somebody/something", "no architecture"),
        ("encoder", "no_such_net", "no_such_net"),
        ("encoder_options", {"checkpoint_path": "evil"}, "not allowed"),
        ("wings", 2, "wings"),
        ("widths", [8, 8], "architecture"),
    ],
)
def test_a_card_can_name_architectures_only(trained, tmp_path, field, value, said):
    values = json.loads(trained.read_text(encoding="utf-8"))
    values["architecture"][field] = value
    path = tmp_path / trained.name
    path.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(SettingsError, match=said):
        load_detector((path, trained.with_suffix(".safetensors")), device="cpu")


def test_weights_of_another_architecture_and_strange_thresholds_are_refused(trained, tmp_path):
    values = json.loads(trained.read_text(encoding="utf-8"))
    path, weights = tmp_path / trained.name, trained.with_suffix(".safetensors")
    values["architecture"]["hidden"] = 32
    path.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(DamagedWeightsError, match="does not fit"):
        load_detector((path, weights), device="cpu")
    values["architecture"]["hidden"], values["thresholds"] = 16, {"treshold": 0.4}
    path.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(SettingsError, match="treshold"):
        load_detector((path, weights), device="cpu")


def test_what_a_collection_allows_decides_the_licence_of_the_weights(data, trained, tmp_path):
    from dataclasses import replace

    image = read_manifest(data)[1]
    weights = trained.parent / "training" / TINY.name / "best.safetensors"

    def publish(*sets):
        learnt = [replace(image, set_name=name, part="training") for name in sets]
        images = TrainingImages({"training": learnt, "tuning": [], "validation": []}, origin="manifest x")
        return ModelCard.read(publish_detector(weights, images, config=TINY, folder=tmp_path, device="cpu"))

    is_open = publish("erpr-endonuke-tiles")
    assert not is_open.research_only
    assert is_open.licence.data[0].licence == COLLECTIONS["erpr-endonuke-tiles"].licence
    mixed = publish("erpr-endonuke-tiles", "ki67-bcdata-sample")
    assert mixed.research_only
    assert [one.name for one in mixed.licence.restricting] == ["ki67-bcdata-sample"]


def test_each_threshold_comes_from_the_images_that_can_tell_it(data, trained):
    from dataclasses import replace

    detector = load_detector((trained, trained.with_suffix(".safetensors")), device="cpu")
    image = read_manifest(data)[0]
    cells = detect_whole(detector.detect, image, mpp=0.5, stride=16)
    everything = compare(cells, image)
    partly = compare(cells, replace(image, marked="tumour", labels=np.full(len(image.x), "Tumour")))
    partly = replace(partly, tumour=np.full_like(partly.tumour, 0.9))
    both = choose_thresholds([everything, partly], ("nucleus", "tumour"))
    alone = choose_thresholds([everything], ("nucleus", "tumour"))
    assert both["threshold"] == alone["threshold"] == alone["tumour_threshold"]
    assert both["tumour_threshold"] == choose_thresholds([partly], ("nucleus", "tumour"))["tumour_threshold"]
    assert (
        choose_thresholds([partly], ("nucleus",))["tumour_threshold"]
        == (choose_thresholds([partly], ("nucleus",))["threshold"])
    )


def test_sources_that_are_not_there_are_named(data, tmp_path):
    other = TINY.model_copy(update={"sources": {"clinic": 1.0, "abroad": 1.0}})
    with pytest.raises(SettingsError, match="no set abroad") as caught:
        read_training_images(other, data)
    assert "clinic" in caught.value.advice
    with pytest.raises(SettingsError, match="no sources"):
        read_training_images(TINY, tmp_path)
    with pytest.raises(SlideNotFoundError, match="ki67-dcis-points"):
        read_training_images(TINY.model_copy(update={"sources": {"ki67-dcis-points": 1.0}}), tmp_path)
    with pytest.raises(SlideNotFoundError, match="no labelled images"):
        read_training_images(TINY, tmp_path / "absent")


def test_only_the_named_sets_of_a_list_are_read(data):
    chosen = read_training_images(TINY.model_copy(update={"sources": {"clinic": 1.0}}), data)
    assert [len(chosen.parts[part]) for part in ("training", "tuning", "validation")] == [2, 0, 1]
    assert chosen.for_tuning == chosen.parts["training"]


def test_a_second_training_goes_on_from_the_first_with_centred_marks(data, trained):
    settings = TINY.model_dump() | {
        "name": "nuclei-second.test",
        "start_from": TINY.name,
        "centre_marks_um": 3.0,
        "steps": 2,
        "check_every": 1,
        "rate": 1e-6,
        "average": 0.0,
    }
    card = train_detector_model(TrainingConfig(**settings), data=data, folder=trained.parent, device="cpu")
    first, second = (load_file(path.with_suffix(".safetensors")) for path in (trained, card))
    assert first.keys() == second.keys()
    changes = [
        float((first[name] - second[name]).abs().max()) for name in first if name.startswith("lateral")
    ]
    assert 0 < max(changes) < 1e-4  # two small steps away from the first model, not from random weights


def test_a_model_to_start_from_that_is_not_there_is_named(data, tmp_path):
    settings = TINY.model_dump() | {"name": "nuclei-second.test", "start_from": "nuclei-none.test"}
    with pytest.raises(ModelNotFoundError, match="nuclei-none"):
        train_detector_model(TrainingConfig(**settings), data=data, folder=tmp_path, device="cpu")


def test_centring_marks_without_a_model_to_start_from_is_refused():
    with pytest.raises(SettingsError, match="start_from"):
        TrainingConfig.check({**TINY.model_dump(), "centre_marks_um": 3.0}, where="mine.toml")
