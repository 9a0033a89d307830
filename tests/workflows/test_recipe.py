"""Every marker and its settings come back from the recipe of a run."""

import json
from pathlib import Path

import pytest

from slidelab.errors import (
    RunFolderError,
)
from slidelab.quantify import Controls, IntensityBins, Ish
from slidelab.workflows import Ki67
from slidelab.workflows.ihc.markers import MARKERS
from slidelab.workflows.ihc.recipe import read_recipe, write_recipe
from slidelab.workflows.slides.plan import PlanSettings
from slidelab.workflows.slides.tile_detector import BaselineDetector, choose_detector


@pytest.mark.parametrize("name", list(MARKERS))
def test_every_marker_comes_back_from_its_recipe(name, tmp_path):
    # On H&E the classical detector is refused: it tells no kinds of nuclei.
    detector = choose_detector("auto", stain="H&E") if name == "immune-he" else BaselineDetector()
    marker = MARKERS[name](detector=detector)
    write_recipe(tmp_path, marker, region=None)
    restored = read_recipe(tmp_path).workflow(marker.detector)
    assert restored == marker
    assert restored.settings() == marker.settings()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ki67", {"positive_od": 0.31, "tumour": Path("outline.geojson")}),
        ("er", {"bins": IntensityBins(0.15, 0.3, 0.55), "controls": Controls(internal="absent")}),
        ("her2", {"specimen": "gastric biopsy", "bins": IntensityBins(0.15, 0.3, 0.55)}),
        ("her2", {"ish": Ish(6.2, ratio=2.4, cells=40)}),
        ("pdl1", {"assay": "SP142"}),
    ],
)
def test_settings_of_every_kind_come_back(name, options, tmp_path):
    marker = MARKERS[name](detector=BaselineDetector(), **options)
    write_recipe(tmp_path, marker, region=None)
    assert read_recipe(tmp_path).workflow(marker.detector) == marker


def test_a_run_of_an_unknown_marker_or_setting_is_told(tmp_path):
    write_recipe(tmp_path, Ki67(detector=BaselineDetector(), plan=PlanSettings(core_px=512)), region=None)
    recipe = json.loads((tmp_path / "recipe.json").read_text())
    for change, words in (({"workflow": "cd3"}, "cd3"), ({"arguments": {"size": 3}}, "cannot be restored")):
        (tmp_path / "recipe.json").write_text(json.dumps(recipe | change))
        with pytest.raises(RunFolderError, match=words):
            read_recipe(tmp_path).workflow(BaselineDetector())
