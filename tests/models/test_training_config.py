"""A training's settings are checked before hours are spent on them."""

import re
from pathlib import Path

import pytest

from slidelab.errors import SettingsError
from slidelab.models.training.config import TrainingConfig
from slidelab.workflows.learning.train import OWN

CONFIGS = Path(__file__).resolve().parents[2] / "models" / "training" / "configs"
DETECTORS = sorted(path for pattern in OWN for path in CONFIGS.glob(pattern))
"""Settings of detectors; those of other networks are of another kind."""
GOOD = 'name = "nuclei-tiny.test"\nstain = "H-DAB"\n'


@pytest.mark.parametrize("path", DETECTORS, ids=lambda path: path.stem)
def test_every_published_configuration_is_sound_and_named_after_its_file(path):
    config = TrainingConfig.read(path)
    file, model = (set(re.split("[-.]", name)) for name in (path.stem, config.name))
    assert file | {"nuclei"} == model if config.task == "cell-detection" else file < model
    assert config.network_settings().heats[0] == "nucleus"


def test_lists_of_the_file_become_the_networks_tuples(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text(GOOD + "[network]\nwidths = [8, 8, 8]\nclasses = []\n", encoding="utf-8")
    settings = TrainingConfig.read(path).network_settings()
    assert settings.widths == (8, 8, 8)
    assert settings.classes == ()


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('name = "nuclei tiny"\nstain = "H-DAB"', "name"),
        ('name = "nuclei-tiny.test"\nstain = "PAS"', "stain"),
        (GOOD + "stepz = 3", "stepz"),
        (GOOD + "crop_px = 100", "stride"),
        (GOOD + "phantoms = 1.5", "phantoms"),
        (GOOD + "rate = nan", "rate"),
        (GOOD + "scales = []", "scales"),
        (GOOD + "[sources]\nmine = 0", "mine"),
        (GOOD + "[network]\nwings = 2", "wings"),
        (GOOD + '[network]\nheats = ["tumour"]', "heats"),
        (GOOD + "steps = = 3", "cannot read"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path, lines, said):
    path = tmp_path / "c.toml"
    path.write_text(lines, encoding="utf-8")
    with pytest.raises(SettingsError, match=said) as caught:
        TrainingConfig.read(path)
    assert "\n" not in str(caught.value)


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(SettingsError, match="absent"):
        TrainingConfig.read(tmp_path / "absent.toml")
