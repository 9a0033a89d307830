"""Detectors are held against marks: figures by hand, intervals by cases, tables and files."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from PIL import Image

from slidelab.errors import SettingsError, SlideNotFoundError
from slidelab.models import CellTable, LabelledImage
from slidelab.quantify import (
    ScoredPoints,
    average_precision,
    bland_altman,
    concordance,
    mean_absolute_error,
)
from slidelab.workflows.learning.case_figures import measure_figures
from slidelab.workflows.learning.image_counts import ImageCounts, RankedHits, count_image, draw_outlines
from slidelab.workflows.learning.image_detectors import BaselineOnImages, NetworkOnImages
from slidelab.workflows.learning.published_figures import PUBLISHED
from slidelab.workflows.learning.validate_detector import (
    report_detectors,
    validate_detector,
    write_validation,
)

ANGLES = np.arange(16) * 2 * np.pi / 16
CIRCLE = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)


def cells_at(x, y, *, radius=5.0, labels=None, classes=("Negative", "Positive"), **measurements):
    centres = np.column_stack([x, y]).astype(float).reshape(-1, 2)
    count = len(centres)
    return CellTable(
        x=centres[:, 0],
        y=centres[:, 1],
        outlines=centres[:, None] + radius * CIRCLE,
        area_um2=np.full(count, 30, np.float32),
        probability=np.linspace(0.9, 0.4, count).astype(np.float32),
        labels=np.zeros(count, np.uint8) if labels is None else np.asarray(labels, np.uint8),
        classes=classes,
        measurements={name: np.asarray(values, np.float32) for name, values in measurements.items()},
    )


@dataclass
class Scripted:
    """Finds what it is told to, by name of the image."""

    answers: dict[str, CellTable]
    tumour_threshold: float | None = None
    doubtful: dict[str, CellTable] = field(default_factory=dict)

    def fitted_to(self, image):
        return self

    def find(self, image):
        return self.answers[image.name]

    def candidates(self, image):
        return self.doubtful.get(image.name)


@pytest.fixture
def image(tmp_path):
    """Make a labelled image of 200 x 160 px at 0.5 um."""

    def make(name="one", *, x=(30, 80, 130), y=(40, 80, 120), labels=None, **fields):
        path = tmp_path / f"{name}.png"
        Image.fromarray(np.full((160, 200, 3), 230, np.uint8)).save(path)
        values = {"set_name": "made-up", "case": name, "mpp": 0.5} | fields
        return LabelledImage(
            name=name,
            path=path,
            x=np.array(x, float),
            y=np.array(y, float),
            labels=np.array(["Negative"] * len(x) if labels is None else labels),
            **values,
        )

    return make


def validate(detectors, *images):
    sets = {}
    for one in images:
        sets.setdefault(one.set_name, []).append(one)
    return report_detectors(detectors, images=sets, part="validation")


def value(report, figure, *, set_name="made-up", detector="it"):
    return report.result(detector, set_name).figures[figure].value


def test_a_detector_that_repeats_the_marks_is_perfect(image):
    marks = {"x": (30, 80, 130), "y": (40, 80, 120)}
    cells = cells_at(*marks.values(), labels=[1, 0, 0])
    truth = draw_outlines(cells, width=200, height=160)
    ids = np.arange(1, 4, dtype=np.int32)
    one = image(
        labels=["Positive", "Negative", "Negative"], instance_ids=ids, load_instances=lambda: truth, **marks
    )
    report = validate({"it": Scripted({"one": cells})}, one)
    for figure in ("precision", "recall", "f1", "f1_3um", "average_precision", "stain_agreement"):
        assert value(report, figure) == 1, figure
    for figure in ("panoptic_quality", "aggregated_jaccard", "dice", "f1_overlap"):
        assert value(report, figure) == 1, figure
    for figure in ("count_error", "count_bias", "index_error"):
        assert value(report, figure) == 0, figure


def test_both_radii_are_in_micrometres(image):
    one = image()
    off = 3.5 / 0.5  # px
    report = validate({"it": Scripted({"one": cells_at(one.x + off, one.y)})}, one)
    assert value(report, "f1") == 1
    assert value(report, "f1_3um") == 0


def test_precision_recall_and_count_by_hand(image):
    # image one: 2 of 3 found and 2 more besides; image two: 1 of 1 found
    one, two = image("one"), image("two", x=[50], y=[50])
    answers = {"one": cells_at([30, 80, 180, 10], [40, 80, 20, 150]), "two": cells_at([50], [50])}
    report = validate({"it": Scripted(answers)}, one, two)
    assert value(report, "precision") == pytest.approx(3 / 5)
    assert value(report, "recall") == pytest.approx(3 / 4)
    assert value(report, "f1") == pytest.approx(6 / 9)
    assert value(report, "count_error") == pytest.approx(100 * 1 / 4)
    assert value(report, "count_error_per_image") == pytest.approx((100 / 3 + 0) / 2)


def test_where_marks_tell_tumour_only_tumour_counts(image):
    cells = cells_at([30, 80, 130, 180], [40, 80, 120, 20], tumour_probability=[0.9, 0.6, 0.5, 0.2])
    detector = Scripted({"one": cells, "two": cells}, tumour_threshold=0.5)
    tumour = validate({"it": detector}, image("one", marked="tumour"))
    everything = validate({"it": detector}, image("two", labels=["Nucleus"] * 3))
    cannot_tell = validate({"it": replace(detector, tumour_threshold=None)}, image("one", marked="tumour"))
    assert value(tumour, "precision") == 1
    assert value(everything, "precision") == value(cannot_tell, "precision") == 3 / 4


def test_what_lies_outside_the_marked_region_is_not_judged(image, tmp_path):
    mask = np.zeros((160, 200), np.uint8)
    mask[:, :100] = 255
    Image.fromarray(mask).save(tmp_path / "region.png")
    one = image(region=tmp_path / "region.png")
    report = validate({"it": Scripted({"one": cells_at([30, 80, 150, 160], [40, 80, 30, 60])})}, one)
    assert report.result("it", "made-up").marked == 2
    assert value(report, "precision") == value(report, "recall") == 1


def test_the_index_counts_what_counts_as_tumour(image):
    one = image(labels=["Positive", "Negative", "Negative"], marked="tumour")
    cells = cells_at(
        [30, 80, 130, 180], [40, 80, 120, 20], labels=[1, 0, 1, 1], tumour_probability=[0.9, 0.9, 0.9, 0.1]
    )
    report = validate({"it": Scripted({"one": cells}, tumour_threshold=0.5)}, one)
    (point,) = report.result("it", "made-up").points
    assert (point.marked, point.found) == (pytest.approx(100 / 3), pytest.approx(200 / 3))
    assert value(report, "stain_agreement") == pytest.approx(2 / 3)
    assert "index_concordance" not in report.result("it", "made-up").figures  # one image has none


def test_lymphocytes_taken_for_tumour_are_counted(image):
    one = image(
        x=[30, 80, 130, 170], y=[40, 80, 120, 20], labels=["Negative"] + ["Lymphocyte"] * 3, marked="tumour"
    )
    cells = cells_at([30, 80, 130], [40, 80, 120], tumour_probability=[0.9, 0.8, 0.1])
    report = validate({"it": Scripted({"one": cells}, tumour_threshold=0.5)}, one)
    # one of three is called tumour, one is found and not called so, one is not found
    assert value(report, "lymphocytes_called_tumour") == pytest.approx(1 / 3)
    assert value(report, "precision") == pytest.approx(1 / 2)


def test_classes_of_matched_nuclei_by_hand(image):
    classes = ("Epithelial", "Inflammatory", "Stromal", "Other")
    labels = ["Epithelial", "Epithelial", "Epithelial", "Stromal", "Nucleus"]
    x, y = [20, 50, 80, 110, 140], [20, 50, 80, 110, 140]
    one = image(x=x, y=y, labels=labels)
    cells = cells_at(x, y, labels=[0, 0, 1, 2, 3], classes=classes)
    result = validate({"it": Scripted({"one": cells})}, one).result("it", "made-up")
    assert result.confusion == ((2, 1, 0, 0), (0, 0, 0, 0), (0, 0, 1, 0), (0, 0, 0, 0))
    assert result.figures["class_accuracy"].value == pytest.approx(3 / 4)
    assert result.figures["class_balanced_accuracy"].value == pytest.approx((2 / 3 + 1) / 2)
    assert "stain_agreement" not in result.figures


def test_a_nucleus_marked_by_a_point_alone_does_not_spoil_the_outlines(image):
    cells = cells_at([30, 80], [40, 80])
    truth = draw_outlines(cells.select(np.array([0])), width=200, height=160)
    ids = np.array([1, 0], np.int32)
    one = image(x=[30, 80], y=[40, 80], instance_ids=ids, load_instances=lambda: truth)
    report = validate({"it": Scripted({"one": cells})}, one)
    assert value(report, "panoptic_quality") == 1
    bent = replace(one, shape_scored=False)
    assert "panoptic_quality" not in validate({"it": Scripted({"one": cells})}, bent).results[0].figures


def test_the_surer_of_two_overlapping_outlines_lies_on_top():
    cells = cells_at([50, 54], [50, 50], radius=6.0)  # the first is the surer
    drawn = draw_outlines(cells, width=100, height=100)
    assert (drawn == 1).sum() > (drawn == 2).sum() > 0
    assert drawn[50, 52] == 1
    assert abs((drawn == 1).sum() - 0.5 * 16 * np.sin(2 * np.pi / 16) * 36) < 8


def made_counts(random, *, cases=12, images=2):
    counts = []
    for number in range(cases * images):
        marked, found = random.uniform(0, 100, 2)
        hits = random.integers(5, 30)
        sums = {
            "images": 1.0,
            "marked": float(hits + random.integers(0, 9)),
            "found": float(hits + random.integers(0, 9)),
            "hits": float(hits),
            "strict_hits": float(hits - 2),
            "index_images": 1.0,
            "index_error": abs(found - marked),
            "index_x": marked,
            "index_y": found,
            "index_xx": marked**2,
            "index_yy": found**2,
            "index_xy": marked * found,
        }
        ranked = RankedHits(np.empty(0), np.empty(0, bool))
        case = f"case-{number // images}"
        counts.append(
            ImageCounts("made-up", f"{number}", case, sums=sums, ranked=ranked, index=(marked, found))
        )
    return counts


def test_agreement_from_sums_is_that_of_the_pairs():
    counts = made_counts(np.random.default_rng(1))
    figures = measure_figures(counts)
    marked, found = np.array([one.index for one in counts]).T
    limits = bland_altman(marked, found)
    assert figures["index_concordance"].value == pytest.approx(concordance(marked, found))
    assert figures["index_error"].value == pytest.approx(mean_absolute_error(marked, found))
    assert figures["index_bias"].value == pytest.approx(limits.bias)
    assert figures["index_low"].value == pytest.approx(limits.low)
    assert figures["index_high"].value == pytest.approx(limits.high)


def test_intervals_are_those_of_drawing_whole_cases_one_by_one():
    counts = made_counts(np.random.default_rng(2))
    random = np.random.default_rng(99)
    cases = sorted({one.case for one in counts})
    drawn_values = []
    for _ in range(2000):
        drawn = [one for case in random.choice(cases, len(cases)) for one in counts if one.case == case]
        hits, found, marked = (sum(one.sums[name] for one in drawn) for name in ("hits", "found", "marked"))
        drawn_values.append(2 * hits / (found + marked))
    interval = measure_figures(counts)["f1"].interval
    low, high = np.quantile(drawn_values, [0.025, 0.975])
    width = high - low
    assert interval.low == pytest.approx(low, abs=0.1 * width)
    assert interval.high == pytest.approx(high, abs=0.1 * width)


def test_the_same_images_give_the_same_intervals_and_one_case_gives_none():
    counts = made_counts(np.random.default_rng(3))
    assert measure_figures(counts) == measure_figures(counts)
    one_case = measure_figures(counts[:2])
    assert one_case["f1"].interval is None
    # where all images but those of one case lack a figure there is nothing to draw
    mixed = [replace(one, sums=one.sums | {"outline_images": 1.0, "pq": 0.5}) for one in counts[:2]]
    assert measure_figures([*mixed, *counts[2:]])["panoptic_quality"].interval is None
    assert measure_figures([]) == {}


def test_average_precision_is_that_of_the_definition(image):
    random = np.random.default_rng(4)
    images, answers, scored = [], {}, []
    for number in range(4):
        x, y = random.uniform(5, 195, 40), random.uniform(5, 155, 40)
        one = image(f"image-{number}", x=x, y=y, case=f"case-{number // 2}")
        found = np.concatenate([np.column_stack([x, y])[:30] + random.normal(0, 4, (30, 2)), [[3, 3]] * 5])
        cells = cells_at(*found.T)
        probability = random.uniform(0.1, 1, 35).round(2).astype(np.float32)  # with ties
        cells = replace(cells, probability=probability)
        images.append(one)
        answers[one.name] = cells
        scored.append(ScoredPoints(found * 0.5, probability, np.column_stack([x, y]) * 0.5))
    figure = validate({"it": Scripted(answers)}, *images).result("it", "made-up").figures["average_precision"]
    assert figure.value == pytest.approx(average_precision(scored, radius_um=4.0))
    assert figure.interval.low < figure.value < figure.interval.high


def test_average_precision_looks_at_doubtful_candidates_and_nothing_else_does(image):
    one = image()
    sure, all_of_them = cells_at([30], [40]), cells_at(one.x, one.y)
    counts = count_image(Scripted({"one": sure}, doubtful={"one": all_of_them}), one)
    assert (counts.sums["found"], counts.sums["hits"]) == (1, 1)
    assert counts.ranked.hits.tolist() == [True] * 3


def two_detectors(image):
    images = [
        image(f"{set_name}-{number}", set_name=set_name, labels=["Positive", "Negative", "Negative"])
        for set_name in ("ki67-bcdata-sample", "ki67-dcis-points")
        for number in range(3)
    ]
    good = {one.name: cells_at(one.x, one.y, labels=[1, 0, 0]) for one in images}
    poor = {one.name: cells_at(one.x[:2], one.y[:2], labels=[1, 1]) for one in images}
    return validate({"good": Scripted(good), "poor": Scripted(poor)}, *images)


def test_tables_have_a_row_per_set_and_the_detectors_beside_one_another(image):
    text = two_detectors(image).to_markdown()
    head = next(line for line in text.splitlines() if "F1, 4 um" in line)
    assert head.startswith("| set | F1, 4 um: good | F1, 4 um: poor |")
    table = text.split(head)[1].split("\n\n")[0].splitlines()[2:]
    sets = [line.split("|")[1].strip() for line in table]
    assert sets == ["ki67-bcdata-sample", "ki67-dcis-points", "all Ki-67 sets"]
    assert table[0].split("|")[2].strip() == "**1.000** (1.000-1.000)"
    assert all(line.count("|") == head.count("|") for line in table)
    assert "nan" not in text


def test_published_figures_stand_only_beside_their_own_sets_and_name_their_source(image):
    report = two_detectors(image)
    text = report.to_markdown()
    assert "ShadoNet" in text
    assert "RCCNet" not in text
    assert all(one.source and "http" in one.source and one.conditions for one in PUBLISHED)
    assert all(0 < one.value < 1 for one in PUBLISHED)


def test_a_report_is_written_as_json_tables_and_chart(image, tmp_path):
    report = two_detectors(image)
    written = write_validation(report, tmp_path / "out")
    assert [path.name for path in written] == ["validation.json", "validation.md", "index.png"]
    value = json.loads((tmp_path / "out" / "validation.json").read_text())
    json.dumps(value, allow_nan=False)
    assert value["detectors"] == ["good", "poor"]
    first = value["results"][0]
    assert (first["detector"], first["set"], first["cases"]) == ("good", "ki67-bcdata-sample", 3)
    assert first["figures"]["f1"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert (tmp_path / "out" / "validation.md").read_text() == report.to_markdown()
    chart = (tmp_path / "out" / "index.png").read_bytes()
    assert chart == report.index_chart()
    with Image.open(io.BytesIO(chart)) as opened:
        opened.load()
        assert opened.format == "PNG"


def test_without_stained_and_unstained_there_is_no_chart(image, tmp_path):
    one = image(labels=["Nucleus"] * 3)
    report = validate({"it": Scripted({"one": cells_at(one.x, one.y, classes=("Nucleus",))})}, one)
    assert report.index_chart() is None
    assert [path.name for path in write_validation(report, tmp_path)] == ["validation.json", "validation.md"]
    assert "Labelling index" not in report.to_markdown()


def test_an_image_without_a_single_nucleus_breaks_nothing(image):
    empty = image("empty", x=[], y=[])
    full = image("full")
    answers = {"empty": cells_at([], []), "full": cells_at([], [])}
    report = validate({"it": Scripted(answers)}, empty, full)
    assert value(report, "recall") == value(report, "f1") == value(report, "average_precision") == 0
    assert "precision" not in report.result("it", "made-up").figures
    alone = validate({"it": Scripted(answers)}, empty)
    assert "f1" not in alone.result("it", "made-up").figures
    json.dumps(report.to_json(), allow_nan=False)


def test_what_cannot_be_measured_is_refused(tmp_path, image):
    with pytest.raises(SettingsError, match="no detector"):
        report_detectors({}, images={"made-up": [image()]}, part="validation")
    with pytest.raises(SettingsError, match="no image of the validation part"):
        report_detectors({"it": Scripted({})}, images={"made-up": []}, part="validation")
    with pytest.raises(SlideNotFoundError, match="gbm40"):
        validate_detector({"it": Scripted({})}, data=tmp_path, sets=["gbm40"])
    with pytest.raises(SettingsError, match="was not measured"):
        two_detectors(image).result("good", "gbm40")


def test_an_unknown_part_is_refused(data_folder):
    with pytest.raises(SettingsError, match="'test'"):
        validate_detector({"it": Scripted({})}, data=data_folder, sets=["ki67-glioma-nuclei"], part="test")


def test_the_baseline_measures_both_stains(data_folder):
    report = validate_detector(
        {"baseline": BaselineOnImages()}, data=data_folder, sets=["ki67-bcdata-sample", "nucls-sample"]
    )
    ihc, he = (report.result("baseline", name) for name in report.sets)
    assert ihc.figures["f1"].value > 0.55
    assert he.figures["f1"].value > 0.5
    assert len(ihc.points) == ihc.images == 5
    assert not he.points
    assert 0.3 < he.figures["panoptic_quality"].value < 0.9


def test_a_network_is_run_at_its_resolution_and_answers_in_pixels_of_the_image(image):
    torch = pytest.importorskip("torch")
    from slidelab.models.network import CellNetwork, NetworkSettings
    from slidelab.models.session import InferenceSession, SessionSettings
    from slidelab.models.star_detector import StarDetector, StarSettings

    one = image(mpp=0.25, marked="tumour")
    noise = np.random.default_rng(5).integers(0, 255, (160, 200, 3)).astype(np.uint8)
    Image.fromarray(noise).save(one.path)
    torch.manual_seed(1)
    network = CellNetwork(NetworkSettings())
    with torch.no_grad():  # untrained, it sees nothing: give it opinions
        network.heat[1].bias.fill_(0.0)
        network.heat[1].weight.mul_(30.0)
    session = InferenceSession(network, SessionSettings(device="cpu"))
    lax = StarSettings(threshold=0.1, tumour_threshold=0.1, smallest_area_um2=0)
    everything = NetworkOnImages(StarDetector(session, mpp=0.5, settings=lax)).find(one)
    middle = float(np.median(everything.probability))
    strict = replace(lax, threshold=middle, tumour_threshold=middle)
    detector = NetworkOnImages(StarDetector(session, mpp=0.5, settings=strict))
    found = detector.find(one)
    assert 0 < len(found) < len(everything)
    assert everything.x.max() > 110  # the network saw 100 px
    assert detector.tumour_threshold == middle
    counts = count_image(detector, one)
    assert counts.sums["found"] == (found.measurements["tumour_probability"] >= middle).sum()
    assert len(counts.ranked.hits) == len(everything)
