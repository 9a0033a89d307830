"""A small network learns, stops, goes on exactly where it stopped, and keeps its best weights."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from slidelab.errors import RunFolderError, SettingsError
from slidelab.models.network import CellNetwork
from slidelab.models.training.batches import CropSource, draw_ahead
from slidelab.models.training.config import TrainingConfig
from slidelab.models.training.loop import train_detector
from slidelab.models.training.progress import COLUMNS, TrainingLog
from slidelab.models.training.samples import load_samples

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
    crop_px=64,
    batch=2,
    steps=30,
    check_every=10,
    rate=4e-3,
)


@pytest.fixture(autouse=True)
def one_thread():
    """The machine may be busy, and sums must not depend on how."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Rising:
    """Stands in for the measurement: each is better than the one before, up to a limit."""

    def __init__(self, values=()):
        self.values, self.networks = list(values), []

    def __call__(self, network):
        self.networks.append(network)
        return self.values.pop(0) if self.values else 0.1 * len(self.networks)


def run(images, folder, *, config=TINY, measure=None, report=None, phantoms=()):
    parts = {"training": images, "tuning": [], "validation": []}
    return train_detector(
        parts,
        phantoms,
        config=config,
        folder=folder,
        measure=measure or Rising(),
        device="cpu",
        report=report,
    )


class Stopped(Exception):
    """As if the power went."""


def stop_after(step):
    def report(taken, _):
        if taken == step:
            raise Stopped

    return report


def rows_of(folder):
    with (folder / "log.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_losses_fall_and_the_weights_load(paint, tmp_path):
    seen = []
    config = TINY.model_copy(update={"steps": 80, "check_every": 80})
    weights = run([paint()], tmp_path / "run", config=config, report=lambda _, losses: seen.append(losses))
    for name in ("centre", "outline"):
        losses = [step[name] for step in seen]
        assert np.mean(losses[-15:]) < 0.8 * np.mean(losses[:10]), name
    network = CellNetwork(config.network_settings())
    network.load_state_dict(load_file(weights))


def test_an_interrupted_run_ends_with_the_very_weights_of_an_undisturbed_one(paint, tmp_path):
    images = [paint("one"), paint("two", seed=2)]
    undisturbed = run(images, tmp_path / "whole")
    with pytest.raises(Stopped):
        run(images, tmp_path / "parts", report=stop_after(17))
    resumed = run(images, tmp_path / "parts", measure=Rising([0.2, 0.3]))
    first, second = load_file(undisturbed), load_file(resumed)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert [row["step"] for row in rows_of(tmp_path / "parts")] == ["10", "20", "30"]
    for one, other in zip(rows_of(tmp_path / "whole"), rows_of(tmp_path / "parts"), strict=True):
        assert one["centre"] == other["centre"]


def test_batches_do_not_depend_on_where_a_run_began_nor_on_who_draws_them(paint):
    samples = load_samples([paint()], mpp=0.5, heats=("nucleus", "tumour"), classes=("Negative", "Positive"))
    whole, later = (iter(CropSource(samples, [], TINY, first=first)) for first in (0, 2))
    drawn = [next(whole) for _ in range(4)]
    torch.set_num_threads(2)  # as if a core were to spare: another process draws
    ahead = draw_ahead(CropSource(samples, [], TINY), device=torch.device("cpu"))
    for number, batch in enumerate(drawn):
        others = [next(ahead), next(later)] if number >= 2 else [next(ahead)]
        for other in others:
            assert all(torch.equal(batch[name], other[name]) for name in batch)


def test_sources_are_drawn_as_often_as_settings_say(paint):
    samples = load_samples(
        [replace(paint(name), set_name=name) for name in ("a", "b", "c")],
        mpp=0.5,
        heats=("nucleus",),
        classes=(),
    )
    config = TINY.model_copy(update={"sources": {"a": 2.0, "b": 1.0, "c": 1.0}})
    np.testing.assert_allclose(CropSource(samples, [], config).weights, [0.5, 0.25, 0.25])
    np.testing.assert_allclose(CropSource(samples, [], TINY).weights, [1 / 3] * 3)


def test_training_stops_when_nothing_is_gained_and_keeps_the_best(paint, tmp_path):
    config = TINY.model_copy(update={"check_every": 2, "patience": 3})
    measure = Rising([0.5, 0.8, 0.7, 0.8, 0.1, 0.9])
    weights = run([paint()], tmp_path / "run", config=config, measure=measure)
    assert len(measure.networks) == 5
    assert rows_of(tmp_path / "run")[-1]["step"] == "10"
    best = measure.networks[1].state_dict()
    assert all(torch.equal(best[name], tensor) for name, tensor in load_file(weights).items())


def test_before_real_images_are_seen_nothing_is_measured_nor_given_up(paint, tmp_path):
    config = TINY.model_copy(update={"phantom_steps": 20, "check_every": 2, "patience": 2, "steps": 24})
    measure = Rising()
    run([paint()], tmp_path / "run", config=config, measure=measure, phantoms=[paint("phantom", seed=3)])
    assert len(measure.networks) == 2
    rows = rows_of(tmp_path / "run")
    assert [row["tuning"] for row in rows] == [""] * 10 + ["0.1", "0.2"]
    assert tuple(rows[0]) == COLUMNS


def test_a_finished_run_is_not_taken_up_again(paint, tmp_path):
    config = TINY.model_copy(update={"steps": 2, "check_every": 2})
    weights = run([paint()], tmp_path / "run", config=config)
    before = weights.read_bytes()
    assert run([paint()], tmp_path / "run", config=config, report=stop_after(1)) == weights
    assert weights.read_bytes() == before


def test_a_folder_of_other_settings_is_refused_with_the_setting(paint, tmp_path):
    config = TINY.model_copy(update={"steps": 2, "check_every": 2})
    run([paint()], tmp_path / "run", config=config)
    with pytest.raises(RunFolderError, match=r"rate: 0.004, now 0.01") as caught:
        run([paint()], tmp_path / "run", config=config.model_copy(update={"rate": 0.01}))
    assert "--overwrite" in caught.value.advice


def test_other_images_are_refused(paint, tmp_path):
    config = TINY.model_copy(update={"steps": 4, "check_every": 2})
    with pytest.raises(Stopped):
        run([paint()], tmp_path / "run", config=config, report=stop_after(3))
    with pytest.raises(RunFolderError, match="other images"):
        run([paint("another")], tmp_path / "run", config=config)


def test_a_damaged_checkpoint_is_named(paint, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoint.pt").write_bytes(b"PK\x03\x04 no more")
    with pytest.raises(RunFolderError, match=r"checkpoint\.pt"):
        run([paint()], tmp_path / "run")


def test_nothing_to_learn_from_is_said(paint, tmp_path):
    with pytest.raises(SettingsError, match="no images to learn from"):
        run([], tmp_path / "run")
    none = paint(
        x=np.empty(0), y=np.empty(0), labels=np.empty(0, "<U8"), instance_ids=None, load_instances=None
    )
    with pytest.raises(SettingsError, match="no nucleus is marked"):
        run([none], tmp_path / "run")
    with pytest.raises(SettingsError, match="phantoms"):
        run([paint()], tmp_path / "run", config=TINY.model_copy(update={"phantoms": 0.5}))


def test_the_log_of_an_older_run_keeps_a_valid_header(tmp_path):
    old = "step,centre,outline,class,tuning,seconds\n10,1,2,3,0.5,9\n20,1,2,3,0.6,19\n3"
    (tmp_path / "log.csv").write_text(old, encoding="utf-8")
    with TrainingLog(tmp_path, step=10) as log:
        log.add(20, {"centre": 0.5, "seconds": 3.0})
    rows = rows_of(tmp_path)
    assert [row["step"] for row in rows] == ["10", "20"]
    assert tuple(rows[0]) == COLUMNS
    assert rows[1]["centre"] == "0.5"
    assert rows[1]["tuning"] == ""


def test_settings_lie_beside_the_weights(paint, tmp_path):
    config = TINY.model_copy(update={"steps": 1, "check_every": 1})
    run([paint()], tmp_path / "run", config=config)
    values = json.loads((tmp_path / "run" / "training.json").read_text(encoding="utf-8"))
    assert TrainingConfig.check(values, where="x") == config
