"""A trained stain generator becomes a model with a card, and its training never sees a validation field."""

from dataclasses import replace

import numpy as np
import pytest

from slidelab.errors import SettingsError, SlideNotFoundError
from slidelab.models.card import ModelCard
from slidelab.models.stain_loading import GeneratorFile
from slidelab.models.training.stain.config import StainConfig
from slidelab.models.training.stain.loop import train_stain_generator
from slidelab.models.training.stain.samples import SiteField
from slidelab.stain import FALLBACKS, REFERENCE, density_to_rgb, look_numbers
from slidelab.workflows.learning.stain_card import publish_generator
from slidelab.workflows.learning.stain_fields import SITES, fit_field, read_fields, read_sites, spread_evenly
from slidelab.workflows.learning.train_stain import find_stain_config, train_stain_model
from slidelab.workflows.slides.stain_generator_fit import fit_generated, restore_generated

WHITE = (250.0, 250.0, 250.0)


def tissue(strengths, *, seed=0):
    """Nuclei on stroma: (H, W, 3)."""
    random = np.random.default_rng(seed)
    blobs = np.kron(random.random((16, 16)), np.ones((6, 6)))[..., None] > 0.7
    amounts = np.concatenate([0.1 + blobs, 1.1 - blobs], -1) * np.array(strengths)
    amounts = amounts * random.uniform(0.4, 1.0, (96, 96, 1))
    return density_to_rgb(np.maximum(amounts @ REFERENCE.vectors, 0), WHITE)


@pytest.fixture(scope="module")
def fields():
    made = []
    for number, site in enumerate(("ebhi-seg", "nucls-sample")):
        strengths = (0.5 + 0.2 * number, 0.5 - 0.1 * number)
        look = look_numbers(replace(REFERENCE, strengths=strengths))
        made.append(SiteField(site, "a", tissue(strengths), 0.5, np.array(WHITE), look))
    return made


@pytest.fixture(scope="module", params=[True, False], ids=["guided", "plain"])
def trained(request, fields, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    values = {
        "name": "stain-guided.test",
        "sites": ["ebhi-seg", "nucls-sample"],
        "plain_target": "nucls-sample",
        "network": {"dilations": [1]},
        "crop_px": 32,
        "batch": 2,
        "steps": 2,
    }
    config = StainConfig.check(values, where="test")
    config = config if request.param else config.as_plain()
    weights = train_stain_generator(fields, config=config, folder=folder / "training", device="cpu")
    return publish_generator(weights, fields, config=config, folder=folder)


def test_a_trained_generator_has_a_card_that_says_what_it_learnt_from(trained):
    card = ModelCard.read(trained)
    assert card.task == "stain-normalisation"
    assert card.licence.weights == "Apache-2.0"
    assert [data.name for data in card.licence.data] == ["ebhi-seg", "nucls-sample"]
    assert card.receptive_field_px == 2
    assert card.default_rank == (100 if card.architecture["guided"] else 900)
    assert "1 of ebhi-seg" in card.training.split


def test_it_can_be_used_at_once_itself_and_by_its_student(trained):
    generator = GeneratorFile.of((trained, trained.with_suffix(".safetensors")))
    windows = np.stack([tissue((0.5, 0.4), seed=seed) for seed in range(3)])
    for method in ("cyclegan", "distilled"):
        made = fit_generated(windows, method, background=WHITE, generator=generator)
        assert not FALLBACKS & set(made.flags)
        assert made.apply(windows[0]).shape == windows[0].shape
    assert restore_generated(made.to_json()) == made
    if not generator.settings.guided:
        with pytest.raises(SettingsError, match="one target"):
            fit_generated(windows, "cyclegan", background=WHITE, generator=generator, target=REFERENCE)


def test_sets_for_research_make_research_weights(fields, tmp_path):
    config = find_stain_config("stain-guided-large-research")
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"")
    card = ModelCard.read(publish_generator(path, fields, config=config, folder=tmp_path / "out"))
    assert card.research_only
    assert card.licence.weights == "research-only"


def test_training_and_validation_fields_of_a_site_are_different_ones(data_folder):
    for site in SITES:
        parts = [
            {one.path for one in read_fields(site, data_folder, part=part)}
            for part in ("training", "validation")
        ]
        assert parts[0]
        assert parts[1]
        assert not parts[0] & parts[1]


def test_fields_are_read_with_their_looks(data_folder):
    found = read_sites(["nucls-sample"], data_folder, most=2)
    assert [one.site for one in found] == ["nucls-sample"] * 2
    assert found[0].look.shape == (10,)
    image = spread_evenly(read_fields("nucls-sample", data_folder, part="training"), 2)[0]
    assert np.array_equal(look_numbers(fit_field(image)[1]), found[0].look)


def test_unknown_configurations_sites_and_folders_are_clear_errors(tmp_path):
    with pytest.raises(SettingsError, match="no training configuration") as caught:
        find_stain_config("nothing")
    assert "stain-guided-open" in caught.value.advice
    config = find_stain_config("stain-guided-open")
    with pytest.raises(SlideNotFoundError):
        train_stain_model(config, data=tmp_path / "none", folder=tmp_path / "out")
