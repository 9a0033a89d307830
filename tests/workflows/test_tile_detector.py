"""Choosing a detector: by name, by policy, and back from a plan."""

import json
from dataclasses import replace

import numpy as np
import pytest

from slidelab.errors import ModelNotFoundError, ModelRefusedError, SettingsError
from slidelab.workflows.slides.nuclear_rule import NuclearRule
from slidelab.workflows.slides.plan import PlanSettings, halo_of
from slidelab.workflows.slides.tile_detector import (
    BASELINE,
    BaselineDetector,
    LearnedDetector,
    choose_detector,
    restore_detector,
)


def test_the_baseline_is_asked_for_by_name():
    detector = choose_detector(BASELINE, stain="H-DAB")
    assert isinstance(detector, BaselineDetector)
    assert detector.tumour_threshold is None
    assert not detector.tells_positive


def test_the_default_is_a_network_that_tells_tumour_and_positive():
    detector = choose_detector("auto", stain="H-DAB")
    assert isinstance(detector, LearnedDetector)
    assert detector.licence == "research-only"
    assert detector.probabilities == ("tumour_probability", "positive_probability")


def test_the_permissive_policy_takes_open_weights_and_refuses_the_others():
    detector = choose_detector("auto", stain="H-DAB", policy="permissive")
    assert isinstance(detector, LearnedDetector)
    assert detector.licence == "Apache-2.0"
    research = choose_detector("auto", stain="H-DAB").name
    with pytest.raises(ModelRefusedError, match="permissive"):
        choose_detector(research, stain="H-DAB", policy="permissive")


def test_a_model_of_another_stain_is_refused():
    other = choose_detector("auto", stain="H&E").name
    with pytest.raises(SettingsError, match="not for cells in H-DAB"):
        choose_detector(other, stain="H-DAB")


def test_an_unknown_model_is_named():
    with pytest.raises(ModelNotFoundError, match="nuclei-huge"):
        choose_detector("nuclei-huge.nowhere", stain="H-DAB")


@pytest.mark.parametrize("model", ["auto", BASELINE])
def test_a_detector_comes_back_from_a_plan_whole(model):
    detector = choose_detector(model, stain="H-DAB")
    assert restore_detector(json.loads(json.dumps(detector.to_json()))) == detector


def test_the_halo_covers_the_reach_in_whole_strides():
    detector = choose_detector("auto", stain="H-DAB")
    halo = halo_of(PlanSettings(), detector, mpp=0.5)
    assert halo % detector.stride == 0
    assert detector.reach_px(0.5) <= halo < detector.reach_px(0.5) + detector.stride


def test_facts_know_weights_by_content_and_not_by_place(tmp_path):
    detector = choose_detector("auto", stain="H-DAB")
    assert isinstance(detector, LearnedDetector)
    assert replace(detector, weights=tmp_path / "elsewhere.safetensors").facts() == detector.facts()


def test_a_nucleus_is_judged_by_density_or_by_the_network():
    import pyarrow as pa

    table = pa.table(
        {
            "dab_od_mean": np.array([0.1, 0.3, 0.3], np.float32),
            "positive_probability": np.array([0.9, 0.2, 0.5], np.float32),
            "tumour_probability": np.array([0.9, 0.9, 0.1], np.float32),
        }
    )

    def labels(rule):
        return [rule.classes[code].name for code in rule.judge(table)]

    assert labels(NuclearRule(0.2, None)) == ["Negative", "Positive", "Positive"]
    assert labels(NuclearRule(None, None)) == ["Positive", "Negative", "Positive"]
    assert labels(NuclearRule(None, 0.5)) == ["Positive", "Negative", "Other"]
