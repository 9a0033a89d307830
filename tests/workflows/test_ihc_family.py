"""ER, HER2 and PD-L1 on phantoms of known truth: right numbers, right words, read from the right place."""

import json

import pytest

from slidelab.workflows import EstrogenReceptor, Her2, Pdl1, RunOptions, find_slides, run_cohort
from slidelab.wsi import PhantomSettings, write_phantom


@pytest.fixture(scope="module")
def paint(tmp_path_factory):
    """Paint a phantom once; returns its path and the scores of its truth."""
    folder = tmp_path_factory.mktemp("phantoms")
    painted = {}

    def run(kind, **settings):
        name = f"{kind}-{abs(hash(tuple(sorted(settings.items())))) % 10**6}"
        if name not in painted:
            path = folder / f"{name}.tiff"
            chosen = {"width": 3000, "height": 3000, "artefacts": False, "seed": 11, "tissue_fraction": 0.4}
            write_phantom(path, PhantomSettings(kind=kind, **chosen | settings))
            truth = json.loads(path.with_name(f"{name}.truth.json").read_text())
            painted[name] = path, truth.get("scores", {}).get("all", {})
        return painted[name]

    return run


@pytest.fixture(scope="module")
def score(tmp_path_factory):
    """Score a slide with a workflow; returns the report's record and the slide's folder."""

    def run(workflow, path):
        out = tmp_path_factory.mktemp(workflow.name)
        options = RunOptions(out / "run", scheduler="threads", workers=1)
        (outcome,) = run_cohort(workflow, find_slides([str(path)]), options=options).outcomes
        return outcome, out / "run" / "slides" / path.stem

    return run


def value_of(record, name):
    """The value of a score by the end of its name."""
    return next(each["value"] for each in record["scores"] if each["name"].endswith(name))


def test_er_percent_and_h_score_are_those_of_the_phantom(paint, score):
    path, truth = paint("er", truth=60.0)
    outcome, _ = score(EstrogenReceptor(), path)
    assert outcome.record["scores"][0]["category"] == "ER positive"
    assert value_of(outcome.record, "positive nuclei") == pytest.approx(truth["percent"], abs=2)
    assert value_of(outcome.record, "H-score") == pytest.approx(truth["h_score"], abs=8)
    names = [each["name"] for each in outcome.record["classes"]]
    assert names == ["Negative", "1+", "2+", "3+"]


def test_an_er_low_positive_tumour_asks_for_the_controls(paint, score):
    path, _ = paint("er", truth=5.0)
    outcome, _ = score(EstrogenReceptor(), path)
    assert outcome.record["scores"][0]["category"] == "ER low positive"
    assert {"ER_LOW_POSITIVE", "CONTROL_CHECK_NEEDED"} <= set(outcome.record["flags"])
    assert outcome.record["status"] == "REVIEW"


def test_her2_is_read_from_membranes_and_not_from_nuclei(paint, score):
    path, _ = paint("er", truth=80.0)
    outcome, _ = score(Her2(), path)
    assert outcome.record["scores"][0]["category"] is None
    assert outcome.record["status"] == "REVIEW"
    assert "NUCLEAR_STAIN" in outcome.record["flags"]


def test_a_her2_phantom_with_many_complete_intense_membranes_is_3_plus(paint, score):
    path, truth = paint("her2", membrane_mix=(0.5, 0.2, 0.05, 0.1, 0.15))
    outcome, folder = score(Her2(), path)
    headline = outcome.record["scores"][0]
    assert headline["category"] == "3+ (positive)"
    assert headline["value"] == pytest.approx(100 * truth["share_CI"], abs=6)
    assert "No membrane stain" in (folder / "report.html").read_text(encoding="utf-8")


def test_a_her2_phantom_without_membrane_stain_is_0(paint, score):
    path, _ = paint("her2", membrane_mix=(0.0, 0.0, 0.0, 0.02, 0.98))
    outcome, _ = score(Her2(), path)
    assert outcome.record["scores"][0]["category"] == "0 (negative)"


def test_tps_is_that_of_the_phantom_and_cps_is_marked_as_experimental(paint, score):
    path, truth = paint("pdl1", truth=40.0)
    outcome, _ = score(Pdl1(assay="22C3", indication="nsclc"), path)
    assert outcome.record["scores"][0]["name"] == "PD-L1 TPS"
    assert value_of(outcome.record, "TPS") == pytest.approx(truth["tps"], abs=4)
    combined = next(each for each in outcome.record["scores"] if each["name"] == "PD-L1 CPS")
    assert "EXPERIMENTAL" in combined["flags"]


def test_an_h_and_e_slide_gets_no_category_and_asks_for_review(paint, score):
    path, _ = paint("he")
    outcome, _ = score(EstrogenReceptor(), path)
    assert outcome.record["status"] in ("REVIEW", "INSUFFICIENT")
    assert outcome.record["scores"][0]["category"] is None


def test_only_cells_inside_the_users_outline_count(paint, score, tmp_path):
    path, _ = paint("er", truth=60.0)
    whole, _ = score(EstrogenReceptor(), path)
    half = [[0, 0], [1500, 0], [1500, 3000], [0, 3000], [0, 0]]
    feature = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [half]},
        "properties": {"objectType": "annotation", "classification": {"name": "Tumor"}},
    }
    (tmp_path / "outline.geojson").write_text(
        json.dumps({"type": "FeatureCollection", "features": [feature]}), encoding="utf-8"
    )
    outcome, _ = score(EstrogenReceptor(tumour=tmp_path / "outline.geojson"), path)
    assert "TUMOUR_BY_ANNOTATION" in outcome.record["flags"]
    counted = outcome.record["scores"][0]["denominator"]
    assert 0.2 < counted / whole.record["scores"][0]["denominator"] < 0.8
    assert outcome.record["excluded"]["outside tumour region"] > 0


def test_an_outline_beside_the_slide_fails_with_one_line(paint, score, tmp_path):
    path, _ = paint("er", truth=60.0)
    far = [[9000, 9000], [9500, 9000], [9500, 9500], [9000, 9000]]
    feature = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [far]},
        "properties": {"objectType": "annotation", "classification": {"name": "Tumor"}},
    }
    (tmp_path / "far.geojson").write_text(json.dumps([feature]), encoding="utf-8")
    outcome, _ = score(EstrogenReceptor(tumour=tmp_path / "far.geojson"), path)
    assert outcome.record is None
    assert len(outcome.failures) == 1
    assert "\n" not in outcome.failures[0].reason
