"""What the verbs about models answer."""

import hashlib
import json

import pytest

from slidelab.errors import ModelNotFoundError, SettingsError
from slidelab.models.card import ModelCard
from slidelab.workflows.learning.model_shelf import describe_model, list_models, pull_model

CLOSED = {"name": "DCIS", "licence": "none stated", "source": "repository@1a2b", "use": "evaluation-only"}
HEADER = b'{"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'
WEIGHTS = len(HEADER).to_bytes(8, "little") + HEADER + b"\1"


def add(folder, name, **changes):
    """Put a model of its own task into a folder: patch classification on smears, which no other test has."""
    (folder / f"{name}.safetensors").write_bytes(WEIGHTS)
    values = {
        "name": name,
        "version": "1.2",
        "task": "patch-classification",
        "mpp": 0.25,
        "input": {"scaling": "value/255", "stride_px": 8},
        "classes": ["red", "white"],
        "stain": "Romanowsky",
        "licence": {"code": "Apache-2.0", "weights": "Apache-2.0"},
        "sha256": hashlib.sha256(WEIGHTS).hexdigest(),
        "receptive_field_px": 40,
        "intended_use": "Tests.",
        "limits": ["Knows nothing.", "Forgets the rest."],
        "architecture": {},
    }
    ModelCard.check(values | changes).write(folder / f"{name}.json")


@pytest.fixture
def folder(tmp_path):
    terms = {"code": "Apache-2.0", "weights": "research-only", "data": [CLOSED]}
    metric = {"set": "smears", "part": "validation", "name": "F1", "value": 0.8125, "n": 7, "script": "m.py"}
    add(tmp_path, "cells-best.research", licence=terms, default_rank=1)
    add(tmp_path, "cells-good.open", default_rank=2, metrics=[metric | {"low": 0.75, "high": 0.875}])
    (tmp_path / "cells-bad.open.json").write_text("{}")
    return tmp_path


def rows(shelf):
    """Return the rows of the test's own models by name."""
    return {row.name: row for row in shelf.rows if row.name.startswith("cells-")}


def test_the_list_shows_standing_under_the_policy(folder):
    research = rows(list_models("research", folders=[folder]))
    assert (research["cells-best.research"].default, research["cells-good.open"].default) == (True, False)
    permissive = rows(list_models("permissive", folders=[folder]))
    assert not permissive["cells-best.research"].allowed
    assert permissive["cells-good.open"].default


def test_the_table_keeps_names_whole_and_reports_broken_models(folder):
    text = list_models("permissive", folders=[folder]).to_text()
    lines = text.splitlines()
    head = next(line for line in lines if line.startswith("name"))
    best = next(line for line in lines if line.startswith("cells-best.research"))
    assert best.endswith("refused")
    assert best.index("patch-classification") == head.index("task")
    assert "cannot be used: cells-bad.open: " in text
    assert lines[-1].strip().startswith("do: ")


def test_the_list_as_json_survives_the_round_trip(folder):
    value = list_models(folders=[folder]).to_json()
    assert json.loads(json.dumps(value)) == value
    assert [item["name"] for item in value["broken"]] == ["cells-bad.open"]
    assert {"name", "task", "stain", "mpp", "research_only", "allowed", "default"} <= set(value["models"][0])


def test_a_description_tells_licence_limits_and_accuracy(folder):
    text = describe_model("cells-good.open", folders=[folder]).to_text()
    assert "F1 0.812 (95 % CI 0.75-0.875), smears validation, n=7, m.py" in text
    assert "Knows nothing." in text
    assert "Forgets the rest." in text
    assert "free use" in text
    restricted = describe_model("cells-best.research", folders=[folder])
    assert "research only" in restricted.to_text()
    assert "DCIS: none stated, evaluation-only" in restricted.to_text()
    value = restricted.to_json()
    assert value["research_only"] is True
    assert json.loads(json.dumps(value)) == value


def test_an_unknown_model_is_not_described(folder):
    with pytest.raises(ModelNotFoundError):
        describe_model("cells-worst.open", folders=[folder])


def test_pulling_needs_a_pinned_address(tmp_path):
    with pytest.raises(SettingsError, match="pins no revision"):
        pull_model("hf://lab/models/nuclei-fast.open", into=tmp_path)


def test_pulling_offline_is_refused_clearly(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelNotFoundError, match="offline"):
        pull_model("hf://lab/never-seen-models@v1.0/nuclei-fast.open", into=tmp_path)
    assert list(tmp_path.iterdir()) == []
