"""A card says everything, or is refused with the field that is wrong."""

import json

import pytest

from slidelab.errors import SettingsError
from slidelab.models.card import ModelCard

OPEN = {"name": "EndoNuke", "licence": "CC BY 4.0", "source": "doi:10/abc", "use": "open"}
CLOSED = {"name": "DCIS", "licence": "none stated", "source": "repository@1a2b", "use": "evaluation-only"}
METRIC = {
    "set": "BCData",
    "part": "validation",
    "name": "F1",
    "value": 0.9,
    "low": 0.88,
    "high": 0.92,
    "n": 19,
    "script": "scripts/measure.py",
}


def values(**changes):
    """Return the fields of a sound card, some of them changed."""
    return {
        "name": "nuclei-fast.ihc-open",
        "version": "1.0",
        "task": "cell-detection",
        "mpp": 0.5,
        "input": {"channels": "RGB", "scaling": "1 - value/255", "stride_px": 4},
        "classes": ["Positive", "Negative"],
        "stain": "H-DAB",
        "licence": {"code": "Apache-2.0", "weights": "Apache-2.0", "data": [OPEN]},
        "metrics": [METRIC],
        "sha256": "0" * 64,
        "receptive_field_px": 96,
        "intended_use": "Research on Ki-67.",
        "limits": ["Touching nuclei may be counted as one."],
        "architecture": {"encoder": "tiny", "widths": [16, 32]},
        "thresholds": {"centre": 0.4},
        "training": {
            "script": "slidelab train detector",
            "seed": 1,
            "config": {"steps": 10},
            "commit": "1a2b3c",
            "split": "by case",
        },
        **changes,
    }


def licence(weights, *data):
    return {"code": "Apache-2.0", "weights": weights, "data": list(data)}


def test_a_card_comes_back_from_disk_as_it_was(tmp_path):
    card = ModelCard.check(values())
    path = card.write(tmp_path / "nuclei-fast.ihc-open.json")
    assert ModelCard.read(path) == card
    assert [file.name for file in tmp_path.iterdir()] == ["nuclei-fast.ihc-open.json"]


def test_a_card_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        ModelCard.check(values()).mpp = 0.25


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": "Nuclei-fast.ihc"}, "name"),
        ({"name": "nuclei.ihc"}, "name"),
        ({"name": "../nuclei-fast.ihc"}, "name"),
        ({"name": "nuclei-fast.ihc\n"}, "name"),
        ({"version": "newest"}, "version"),
        ({"task": "cell detection"}, "task"),
        ({"mpp": 0}, "mpp"),
        ({"mpp": float("nan")}, "mpp"),
        ({"input": {"channels": "BGR", "scaling": "value/255", "stride_px": 4}}, "input.channels"),
        ({"input": {"channels": "RGB", "scaling": " ", "stride_px": 4}}, "input.scaling"),
        ({"input": {"channels": "RGB", "scaling": "value/255", "stride_px": 0}}, "input.stride_px"),
        ({"classes": ["Positive", "Positive"]}, "classes"),
        ({"classes": []}, "classes"),
        ({"stain": "HDAB"}, "stain"),
        ({"sha256": "0" * 63}, "sha256"),
        ({"sha256": "Z" * 64}, "sha256"),
        ({"receptive_field_px": -1}, "receptive_field_px"),
        ({"intended_use": ""}, "intended_use"),
        ({"limits": []}, "limits"),
        ({"thresholds": {"centre": "high"}}, "thresholds.centre"),
        ({"metrics": [{**METRIC, "script": ""}]}, "metrics.0.script"),
        ({"metrics": [{**METRIC, "n": 0}]}, "metrics.0.n"),
        ({"metrics": [{**METRIC, "low": 0.95}]}, "metrics.0"),
        ({"metrics": [{**METRIC, "low": None}]}, "metrics.0"),
        ({"training": {"script": "x"}}, "training.seed"),
        ({"colour": "red"}, "colour"),
        ({"licence": licence("MIT", {**OPEN, "use": "maybe"})}, "licence.data.0.use"),
        ({"licence": licence("MIT", {**OPEN, "licence": "CC BY-NC 4.0"})}, "licence.data.0"),
        ({"licence": licence("Apache-2.0", OPEN, CLOSED)}, "licence"),
        ({"licence": licence("unknown", CLOSED)}, "licence"),
    ],
)
def test_a_wrong_field_is_refused_by_name_in_one_line(changes, field):
    with pytest.raises(SettingsError) as caught:
        ModelCard.check(values(**changes), where="card.json")
    assert str(caught.value).startswith(f"card.json: {field}: ")
    assert "\n" not in str(caught.value)
    assert caught.value.advice


@pytest.mark.parametrize(
    "field", [key for key in values() if key not in ("metrics", "thresholds", "training")]
)
def test_a_missing_field_is_named(field):
    lacking = values()
    del lacking[field]
    with pytest.raises(SettingsError, match=field):
        ModelCard.check(lacking)


@pytest.mark.parametrize(
    ("terms", "research_only"),
    [
        (licence("Apache-2.0", OPEN), False),
        (licence("CC-BY-4.0"), False),
        (licence("research-only", OPEN, CLOSED), True),
        (licence("research-only", OPEN), True),
        (licence("unknown"), True),
        (licence("CC-BY-NC-4.0", OPEN), True),
        (licence("apache", OPEN), True),
    ],
)
def test_weights_are_free_only_when_licence_and_data_both_are(terms, research_only):
    assert ModelCard.check(values(licence=terms)).research_only is research_only


def test_the_refusal_of_a_too_generous_licence_names_the_data():
    with pytest.raises(SettingsError, match=r"DCIS must be research-only, not Apache-2\.0"):
        ModelCard.check(values(licence=licence("Apache-2.0", OPEN, CLOSED)))


def test_a_normalisation_model_needs_no_classes():
    card = ModelCard.check(values(name="stain-net.scanners", task="stain-normalisation", classes=[]))
    assert card.classes == ()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b'{"name": NaN}'])
def test_a_file_that_is_no_card_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "card.json"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=r"card\.json: ") as caught:
        ModelCard.read(path)
    assert "\n" not in str(caught.value)


def test_a_number_in_quotation_marks_is_no_number(tmp_path):
    path = tmp_path / "card.json"
    path.write_text(json.dumps(values(mpp="0.5")))
    with pytest.raises(SettingsError, match="mpp: "):
        ModelCard.read(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"nothing\.json"):
        ModelCard.read(tmp_path / "nothing.json")
