"""The verbs around networks, as a user types them."""

import json
import os
import subprocess
import sys

import pytest


def slidelab(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "slidelab", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | {"HF_HUB_OFFLINE": "1"} | environment,
        check=False,
    )


def test_the_list_names_the_shipped_models_and_their_default():
    listed = slidelab("models", "list")
    assert listed.returncode == 0
    for name in ("nuclei-fast.ihc-research", "nuclei-fast.ihc-open", "nuclei-fast.he-research"):
        assert name in listed.stdout


def test_what_is_shown_of_a_model_holds_licence_figures_and_limits():
    shown = slidelab("models", "show", "nuclei-fast.ihc-research", "--json")
    assert shown.returncode == 0, shown.stderr
    text = shown.stdout
    assert json.loads(text)
    for word in ("research-only", "sha256", "F1 at 4 um", "limits"):
        assert word in text


def test_an_unknown_model_is_one_line_and_an_advice():
    shown = slidelab("models", "show", "nuclei-fast.ihc-reserch")
    assert shown.returncode == 1
    assert "nuclei-fast.ihc-research" in shown.stderr
    assert "Traceback" not in shown.stderr


def test_a_hub_model_offline_says_so_at_once():
    pulled = slidelab(
        "models", "pull", "hf://someone/some-model@0123456789abcdef0123456789abcdef01234567/nuclei-x.y"
    )
    assert pulled.returncode == 1
    assert "offline" in pulled.stderr.lower()


def test_the_permissive_policy_refuses_research_weights_by_exit_code(tmp_path):
    refused = slidelab(
        "score", "ki67", tmp_path, "--license-policy", "permissive", "--model", "nuclei-fast.ihc-research"
    )
    assert refused.returncode == 1
    assert "permissive" in refused.stderr
    assert "nuclei-fast.ihc-open" in refused.stderr


@pytest.mark.parametrize("arguments", [["train", "detector", "--config", "nope"], ["validate", "detector"]])
def test_missing_data_is_a_usage_error(arguments):
    asked = slidelab(*arguments)
    assert asked.returncode == 1
    assert "--data" in asked.stderr


def test_training_from_nothing_says_what_is_missing(tmp_path):
    asked = slidelab(
        "train", "detector", "--data", tmp_path, "--config", "ihc-fast-open", "--out", tmp_path / "out"
    )
    assert asked.returncode == 1
    assert "erpr-endonuke-tiles" in asked.stderr


def test_validation_writes_tables_for_a_list_of_ones_own(tmp_path):
    from PIL import Image

    Image.new("RGB", (96, 96), "white").save(tmp_path / "a.png")
    (tmp_path / "a.csv").write_text("x,y,class\n40,40,Positive\n70,20,Negative\n")
    (tmp_path / "mine.csv").write_text("image,annotation,mpp,set,part\na.png,a.csv,0.5,clinic,validation\n")
    done = slidelab(
        "validate", "detector", "--data", tmp_path / "mine.csv", "--out", tmp_path / "out", "--json"
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["sets"] == ["clinic"]
    assert (tmp_path / "out" / "validation.md").is_file()
