"""Training of stain generators: pairs, losses, and runs that can be interrupted."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from slidelab.errors import RunFolderError, SettingsError
from slidelab.models.training.stain.config import StainConfig
from slidelab.models.training.stain.learner import LOSSES, StainLearner
from slidelab.models.training.stain.loop import train_stain_generator
from slidelab.models.training.stain.losses import critic_loss, darkness, fooling_loss, structure_loss
from slidelab.models.training.stain.samples import SiteField, SitePairs, draw_stain_crop
from slidelab.stain import REFERENCE, density_to_rgb, look_numbers

CONFIGS = Path(__file__).resolve().parents[2] / "models" / "training" / "configs"


def config(**changes) -> StainConfig:
    values = {
        "name": "stain-tiny.test",
        "sites": ["one", "other", "third"],
        "plain_target": "other",
        "network": {"dilations": [1]},
        "critic_width": 8,
        "crop_px": 32,
        "batch": 2,
        "steps": 6,
        "check_every": 2,
    }
    return StainConfig.check(values | changes, where="test")


@pytest.fixture(scope="module")
def fields():
    """Nuclei on stroma in the looks of three sites."""
    random = np.random.default_rng(4)
    made = []
    for number, site in enumerate(("one", "other", "third", "one")):
        strengths = (0.5 + 0.2 * number, 0.6 - 0.1 * number)
        profile = replace(REFERENCE, strengths=strengths)
        blobs = np.kron(random.random((12, 12)), np.ones((6, 6)))[..., None]
        amounts = np.concatenate([blobs > 0.7, blobs <= 0.7], -1) * np.array(strengths) * 0.7
        noise = random.normal(0, 0.02, (72, 72, 3))
        image = density_to_rgb(np.maximum(amounts @ profile.vectors + noise, 0), (255.0,) * 3)
        look = look_numbers(profile)
        made.append(SiteField(site, f"{number}", image, 0.5, np.full(3, 255.0), look))
    return made


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("stain-*.toml")), ids=lambda path: path.stem)
def test_shipped_configurations_are_sound_and_have_a_plain_twin(path):
    read = StainConfig.read(path)
    assert read.guided
    twin = read.as_plain()
    assert not twin.guided
    assert twin.name.startswith("stain-plain")
    assert twin.model_dump(exclude={"name", "network"}) == read.model_dump(exclude={"name", "network"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sites": ["one"]}, "sites"),
        ({"sites": ["one", "one"]}, "named twice"),
        ({"network": {"guided": False}, "plain_target": "elsewhere"}, "plain_target"),
        ({"network": {"width": 20}}, "no multiple of 16"),
        ({"network": {"depth": 3}}, "network"),
        ({"network": {"dilations": [8]}}, "crop_px"),
        ({"finest_mpp": 2.0}, "finest_mpp"),
        ({"speed": 1}, "speed"),
    ],
)
def test_wrong_settings_are_clear_errors(changes, message):
    with pytest.raises(SettingsError, match=message):
        config(**changes)


def test_a_batch_depends_on_its_number_alone(fields):
    pairs = SitePairs(fields, config())
    assert all(torch.equal(one, pairs.batch(3)[name]) for name, one in pairs.batch(3).items())
    assert not torch.equal(pairs.batch(3)["x"], pairs.batch(4)["x"])
    assert pairs.batch(0)["x"].shape == (2, 32, 32, 3)


def test_a_pair_is_of_two_sites_and_a_plain_one_aims_at_the_target(fields):
    guided, plain = SitePairs(fields, config()), SitePairs(fields, config(network={"guided": False}))
    for number in range(8):
        batch = guided.batch(number)
        assert (batch["x_site"] != batch["y_site"]).all()
        batch = plain.batch(number)
        assert (batch["y_site"] == 1).all()
        assert (batch["x_site"] != 1).all()


def test_crops_of_a_small_field_go_on_as_its_mirror_image(fields):
    random = np.random.default_rng(1)
    small = replace(fields[0], image=fields[0].image[:20, :20])
    crop = draw_stain_crop(small, random, side=32, scales=(0.25, 2.0))
    assert crop.shape == (32, 32, 3)
    assert crop.mean() < 250


def test_lightness_may_be_stretched_but_not_turned_round():
    image = torch.rand(1, 3, 24, 24)
    assert structure_loss(image, 0.2 + 0.5 * image) < 0.02
    assert structure_loss(image, 1.0 - image) > 1.8
    assert structure_loss(image, torch.rand(1, 3, 24, 24)) > 0.8
    flat = torch.full((1, 3, 24, 24), 0.5)
    assert structure_loss(flat, flat * 0.7) == pytest.approx(0.0, abs=1e-3)


def test_least_squares_prices_are_those_of_the_paper():
    real, made = torch.tensor([1.0, 0.0]), torch.tensor([0.5])
    assert critic_loss(real, made) == pytest.approx(0.5 * 0.5 + 0.5 * 0.25)
    assert fooling_loss(made) == pytest.approx(0.25)
    assert darkness(torch.tensor([0.0, 1.0])).tolist() == pytest.approx([0.0, 0.9])


@pytest.mark.parametrize("guided", [True, False])
def test_every_loss_is_a_number_and_both_networks_move(fields, guided):
    settings = config(network={"guided": guided, "dilations": [1]})
    learner, pairs = StainLearner(settings, torch.device("cpu")), SitePairs(fields, settings)
    assert len(learner.network) == (1 if guided else 2)
    before = [parameter.clone() for parameter in learner.critic.parameters()]
    for step in range(3):
        losses = learner.learn(pairs.batch(step), step=step)
        assert list(losses) == list(LOSSES)
        assert all(np.isfinite(value) for value in losses.values())
    assert any(
        not torch.equal(one, two) for one, two in zip(before, learner.critic.parameters(), strict=True)
    )
    assert learner.generator().head.weight.abs().max() > 0


def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(fields, tmp_path):
    class Stop(Exception):
        pass

    def stop(step, _):
        if step == 5:
            raise Stop

    whole = train_stain_generator(fields, config=config(), folder=tmp_path / "whole", device="cpu")
    with pytest.raises(Stop):
        train_stain_generator(fields, config=config(), folder=tmp_path / "cut", device="cpu", report=stop)
    steps: list[int] = []
    cut = train_stain_generator(
        fields,
        config=config(),
        folder=tmp_path / "cut",
        device="cpu",
        report=lambda step, _: steps.append(step),
    )
    assert steps == [5, 6]  # the checkpoint was that of step 4
    one, other = load_file(whole), load_file(cut)
    assert all(torch.equal(one[name], other[name]) for name in one)
    rows = (tmp_path / "cut" / "log.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["step", "2", "4", "6"]


def test_a_folder_with_other_settings_or_images_is_refused(fields, tmp_path):
    train_stain_generator(fields, config=config(steps=2), folder=tmp_path, device="cpu")
    with pytest.raises(RunFolderError, match="rate"):
        train_stain_generator(fields, config=config(steps=2, rate=0.5), folder=tmp_path)
    with pytest.raises(RunFolderError, match="other images"):
        train_stain_generator(fields[:3], config=config(steps=2), folder=tmp_path)


def test_a_site_without_fields_is_a_clear_error(fields, tmp_path):
    with pytest.raises(SettingsError, match="no field of third"):
        train_stain_generator(fields[:2], config=config(), folder=tmp_path)
