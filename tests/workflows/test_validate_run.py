"""A run against reference readings: worked figures, joining without losing a slide, one page, one record."""

from __future__ import annotations

import csv
import json
import re
from functools import partial

import numpy as np
import pytest

from slidelab.cli import main
from slidelab.errors import InvalidTableError, RunFolderError, SettingsError
from slidelab.quantify import bootstrap_by_patient, concordance, labelling_index
from slidelab.tiling import write_json
from slidelab.workflows.report.agreement import Units, agreement_of_values
from slidelab.workflows.report.cohort_report import SlideRow, write_cohort_report
from slidelab.workflows.validate_run import validate_run

BANDS = [{"name": "low", "upto": 5}, {"name": "intermediate", "upto": 30}, {"name": "high", "upto": None}]
LEVELS = ("low", "intermediate", "high")


@pytest.fixture(autouse=True)
def draws(request, monkeypatch):
    """Draw less often wherever a test is not about intervals."""
    if "interval" not in request.node.name:
        few = partial(bootstrap_by_patient, draws=60)
        monkeypatch.setattr("slidelab.workflows.report.agreement.bootstrap_by_patient", few)


@pytest.fixture
def run(tmp_path):
    """Write a run's folder as a run does: summary, run.json, and a report.json per slide."""

    def make(rows, *, bands=BANDS, workflow="ki67"):
        folder = tmp_path / "run"
        folder.mkdir(exist_ok=True)
        lines = [
            SlideRow(
                name,
                f"/scans/{name}.svs",
                status,
                "Ki-67 labelling index",
                value,
                unit="%",
                category=category,
            )
            if status != "FAILED"
            else SlideRow(name, f"/scans/{name}.svs", "FAILED")
            for name, status, value, category in rows
        ]
        write_cohort_report(folder, title=workflow, rows=lines, failures=[])
        for line in lines:
            if line.report:
                scale = {"title": "made", "bands": bands} if bands else None
                place = folder / "slides" / line.slide
                place.mkdir(parents=True, exist_ok=True)
                write_json(place / "report.json", {"slide": line.slide, "category_scale": scale})
        write_json(folder / "run.json", {"workflow": workflow, "result_sha256": "ab" * 32})
        return folder

    return make


@pytest.fixture
def reference(tmp_path):
    """Write a reference list."""

    def make(rows, columns="slide,value", *, name="ref.csv", separator=","):
        path = tmp_path / name
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream, delimiter=separator)
            writer.writerow(columns.split(","))
            writer.writerows(rows)
        return path

    return make


def of_values(values, *, status="OK"):
    return [(f"s{number}", status, float(value), None) for number, value in enumerate(values, start=1)]


def of_categories(names):
    return [(f"s{number}", "OK", 10.0, name) for number, name in enumerate(names, start=1)]


def readings(values):
    return [(f"s{number}", value) for number, value in enumerate(values, start=1)]


def from_table(table):
    """Return the reference's and the run's category of each case of a confusion table."""
    cells = [(row, column) for row in range(3) for column in range(3) for _ in range(table[row][column])]
    return [LEVELS[row] for row, _ in cells], [LEVELS[column] for _, column in cells]


def test_worked_values(run, reference):
    # reference 1 2 3 4 5, run 2 2 3 5 5: Lin .900; bias .40, limits -.674 to 1.474; mean |d| 2/5
    result = validate_run(run(of_values([2, 2, 3, 5, 5])), reference(readings([1, 2, 3, 4, 5])))
    (comparison,) = result.to_json()["comparisons"]
    values = comparison["values"]
    assert values["concordance"]["value"] == pytest.approx(0.900, abs=5e-4)
    assert values["bias"]["value"] == pytest.approx(0.40)
    assert values["lower_limit"]["value"] == pytest.approx(-0.674, abs=5e-4)
    assert values["upper_limit"]["value"] == pytest.approx(1.474, abs=5e-4)
    assert values["mean_absolute_error"]["value"] == pytest.approx(0.4)
    page = result.page.read_text(encoding="utf-8")
    for shown in ("0.90", "0.4", "-0.7", "1.5"):
        assert f"<td>{shown}</td>" in page


def test_worked_kappas(run, reference):
    table = [[11, 2, 0], [1, 8, 1], [0, 2, 5]]
    truth, found = from_table(table)
    result = validate_run(run(of_categories(found)), reference(readings(truth), "slide,category"))
    categories = result.to_json()["comparisons"][0]["categories"]
    assert categories["table_rows_reference_columns_run"] == table
    worked = {"kappa": 0.691, "linear_kappa": 0.758, "quadratic_kappa": 0.831}
    for name, value in worked.items():
        made = categories[name]
        assert made["value"] == pytest.approx(value, abs=5e-4)
        assert made["interval"]["low"] < made["value"] < made["interval"]["high"]
    assert (categories["kappa"]["words"], categories["quadratic_kappa"]["words"]) == (
        "substantial",
        "almost perfect",
    )
    assert (categories["exact"]["numerator"], categories["exact"]["denominator"]) == (24, 30)
    page = result.page.read_text(encoding="utf-8")
    assert all(f"<td>{value:.2f}</td>" in page for value in (0.69, 0.76, 0.83))
    assert re.findall(r'<td class="same">(\d+)</td>', page) == ["11", "8", "5"]


def test_categories_at_or_above_follow_the_table(run, reference):
    truth, found = from_table([[11, 2, 0], [1, 8, 1], [0, 2, 5]])
    result = validate_run(run(of_categories(found)), reference(readings(truth), "slide,category"))
    steps = result.to_json()["comparisons"][0]["categories"]["at_or_above"]
    assert list(steps) == ["intermediate", "high"]
    counts = {
        name: (step["sensitivity"]["numerator"], step["sensitivity"]["denominator"])
        for name, step in steps.items()
    }
    assert counts == {"intermediate": (16, 17), "high": (5, 7)}


def test_worked_sensitivity(run, reference):
    # 96 of 120 positive slides found: .800 (.720-.862); 200 of 200 negative: 1 (.981-1)
    truth = [20.0] * 120 + [1.0] * 200
    found = [12.0] * 96 + [3.0] * 24 + [0.5] * 200
    result = validate_run(run(of_values(found)), reference(readings(truth)), cutoffs=[10])
    (row,) = result.to_json()["comparisons"][0]["cutoffs"]
    ends = {
        name: [round(row[name]["interval"][end], 3) for end in ("low", "high")]
        for name in ("sensitivity", "specificity")
    }
    assert (row["cutoff"], row["sensitivity"]["value"], row["specificity"]["value"]) == (10, 0.8, 1.0)
    assert ends == {"sensitivity": [0.720, 0.862], "specificity": [0.981, 1.0]}
    page = result.page.read_text(encoding="utf-8")
    assert "<td>80.0 %</td><td>72.0\N{EN DASH}86.2</td><td>96 of 120</td>" in page


def test_a_value_at_the_cutoff_is_positive_on_both_sides(run, reference):
    result = validate_run(run(of_values([10.0, 9.99])), reference(readings([10.0, 10.0])), cutoffs=[10])
    (row,) = result.to_json()["comparisons"][0]["cutoffs"]
    assert (row["sensitivity"]["numerator"], row["sensitivity"]["denominator"]) == (1, 2)
    assert row["specificity"]["value"] is None


def test_the_ends_of_the_categories_are_the_cutoffs_unless_given(run, reference):
    folder, path = run(of_values([1, 10, 50])), reference(readings([2, 20, 40]))
    ends = validate_run(folder, path).to_json()
    given = validate_run(folder, path, cutoffs=[7.5, 1]).to_json()
    assert [row["cutoff"] for row in ends["comparisons"][0]["cutoffs"]] == [5, 30]
    assert [row["cutoff"] for row in given["comparisons"][0]["cutoffs"]] == [1, 7.5]
    assert (ends["cutoffs_source"], given["cutoffs_source"]) == ("categories of the run", "user")
    none = validate_run(run(of_values([1, 10, 50]), bands=None), path).to_json()
    assert (none["comparisons"][0]["cutoffs"], none["cutoffs_source"]) == ([], "none")


def test_several_readers_are_compared_each_together_and_among_themselves(run, reference):
    # Shrout and Fleiss, 6 x 4: ICC(2,1) .290; the last of the four raters is the run
    ratings = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]])
    rows = [
        (f"s{case + 1}", ratings[case, reader], "ABC"[reader]) for case in range(6) for reader in range(3)
    ]
    result = validate_run(run(of_values(ratings[:, 3])), reference(rows, "slide,value,reader"))
    record = result.to_json()
    assert [each["reader"] for each in record["comparisons"]] == ["consensus of 3 readers", "A", "B", "C"]
    assert record["readers"]["icc_with_run"]["value"] == pytest.approx(0.290, abs=5e-4)
    bias = record["comparisons"][0]["values"]["bias"]["value"]
    assert bias == pytest.approx(np.mean(ratings[:, 3] - ratings[:, :3].mean(axis=1)))
    assert "consensus of 3 readers" in result.page.read_text(encoding="utf-8")


def test_the_consensus_of_categories_is_what_most_readers_say(run, reference):
    votes = {"s1": "low low high", "s2": "low high intermediate", "s3": "high high high"}
    rows = [
        (slide, name, "ABC"[number])
        for slide, said in votes.items()
        for number, name in enumerate(said.split())
    ]
    result = validate_run(
        run(of_categories(["low", "low", "high"])), reference(rows, "slide,category,reader")
    )
    consensus = result.to_json()["comparisons"][0]
    assert consensus["categories"]["exact"]["denominator"] == 2
    assert consensus["without_reading"] == ["s2"]
    assert list(result.to_json()["readers"]["kappas"]) == ["A and B", "A and C", "B and C"]


def test_intervals_draw_patients_whole_with_the_one_seed(run, reference):
    random = np.random.default_rng(4)
    truth = random.uniform(0, 60, 40)
    found = truth + random.normal(2, 4, 40)
    patients = [f"p{number // 4}" for number in range(40)]
    rows = [(f"s{number + 1}", repr(float(truth[number])), patients[number]) for number in range(40)]
    folder = run(of_values(found))
    by_patient = validate_run(folder, reference(rows, "slide,value,patient"), cutoffs=[20]).to_json()
    order = [line["slide"] for line in by_patient["slides"]]
    at = [int(name[1:]) - 1 for name in order]
    expected = bootstrap_by_patient(
        lambda drawn: concordance(truth[at][drawn], found[at][drawn]), np.array(patients)[at]
    )
    made = by_patient["comparisons"][0]["values"]["concordance"]["interval"]
    assert (made["low"], made["high"]) == pytest.approx((expected.low, expected.high))
    assert "10 patients" in made["method"]
    assert by_patient["comparisons"][0]["units"] == 10
    assert by_patient["bootstrap"] == {"draws": 2000, "seed": 2011, "level": 0.95}
    clustered = by_patient["comparisons"][0]["cutoffs"][0]["sensitivity"]
    assert "interval_by_patient" in clustered
    alone = validate_run(folder, reference([row[:2] for row in rows])).to_json()
    assert alone["independent_unit"] == "slides"
    assert "40 slides" in alone["comparisons"][0]["values"]["icc"]["interval"]["method"]


def test_what_the_run_could_not_score_is_listed_apart_and_in_no_figure(run, reference):
    rows = [
        ("a", "OK", 10.0, "intermediate"),
        ("b", "REVIEW", 20.0, "intermediate"),
        ("c", "PARTIAL", 40.0, "high"),
        ("d", "INSUFFICIENT", 90.0, None),
        ("e", "NOT_ASSESSABLE", None, None),
        ("f", "FAILED", None, None),
    ]
    result = validate_run(run(rows), reference([(name, 15.0) for name in "abcdef"]))
    record = result.to_json()
    assert [line["slide"] for line in record["slides"]] == ["a", "b", "c"]
    assert [(line["slide"], line["status"]) for line in record["apart"]] == [
        ("d", "INSUFFICIENT"),
        ("e", "NOT_ASSESSABLE"),
        ("f", "FAILED"),
    ]
    assert record["comparisons"][0]["pairs"] == 3
    page = result.page.read_text(encoding="utf-8")
    assert "Not compared" in page
    assert page.index("Not compared") < page.index("<td>f</td>")


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ("ab", ["in the run only: c"]),
        ("abcx", ["in the reference only: x"]),
        ("axyz", ["in the run only: b, c", "in the reference only: x, y, z"]),
    ],
    ids=["missing", "unknown", "both"],
)
def test_slides_of_one_side_are_an_error_that_names_both_sides(run, reference, names, told):
    folder = run([(name, "OK", 10.0, None) for name in "abc"])
    path = reference([(name, 1.0) for name in names])
    with pytest.raises(InvalidTableError) as caught:
        validate_run(folder, path)
    assert all(part in caught.value.what for part in told)
    record = validate_run(folder, path, allow_unmatched=True).to_json()
    assert sorted(
        [*record["only_in_run"], *record["only_in_reference"], *(row["slide"] for row in record["slides"])]
    ) == sorted({*names, *"abc"})


def test_many_unmatched_slides_stay_one_line(run, reference):
    folder = run([(f"r{number}", "OK", 1.0, None) for number in range(50)])
    with pytest.raises(InvalidTableError, match="and 40 more") as caught:
        validate_run(folder, reference([("x", 1.0)]))
    assert "\n" not in caught.value.what


@pytest.mark.parametrize(
    ("columns", "rows", "what"),
    [
        ("slide,score", [("a", 1)], "no column value or category"),
        ("name,value", [("a", 1)], "no column slide"),
        ("slide,value,value", [("a", 1, 2)], "twice"),
        ("slide,value", [("a", 1), ("a", 2)], "more than one reading by one reader of: a"),
        ("slide,value", [("a", "ten")], "line 2 of ref.csv: value 'ten' is no number"),
        ("slide,value", [("a", "nan")], "no number"),
        ("slide,value", [("", "1")], "line 2 of ref.csv names no slide"),
        ("slide,value,patient", [("a", 1, "")], "names no patient"),
        ("slide,value,reader", [("a", 1, "")], "names no reader"),
        ("slide,value,patient,reader", [("a", 1, "p", "A"), ("a", 1, "q", "B")], "belongs to p and to q"),
        ("slide,category", [("a", "hgih")], "unknown categories: hgih"),
        ("slide,value", [], "no readings"),
        ("slide,value", [("a", "")], "neither values nor categories"),
    ],
    ids=[
        "no-reading-column",
        "no-slide-column",
        "column-twice",
        "slide-twice",
        "word",
        "nan",
        "no-slide",
        "no-patient",
        "no-reader",
        "two-patients",
        "category",
        "empty",
        "blank",
    ],
)
def test_a_wrong_reference_gets_one_clear_line(run, reference, columns, rows, what):
    with pytest.raises(InvalidTableError) as caught:
        validate_run(run([("a", "OK", 10.0, "intermediate")]), reference(rows, columns))
    assert what in caught.value.what
    assert "\n" not in caught.value.what + caught.value.advice
    assert caught.value.advice


def test_a_folder_without_a_finished_run_is_refused(tmp_path, reference):
    with pytest.raises(RunFolderError, match=r"summary\.csv"):
        validate_run(tmp_path, reference([("a", 1.0)]))


def test_an_absent_or_binary_reference_is_refused(run, tmp_path):
    folder = run([("a", "OK", 10.0, None)])
    (tmp_path / "bad.csv").write_bytes(b"\xff\xfe\x00slide")
    for name in ("nowhere.csv", "bad.csv"):
        with pytest.raises(SettingsError):
            validate_run(folder, tmp_path / name)


def test_a_run_without_any_score_is_refused(run, reference):
    with pytest.raises(InvalidTableError, match="none of 1 slides"):
        validate_run(run([("a", "FAILED", None, None)]), reference([("a", 1.0)]))


def test_lists_from_a_spreadsheet_are_understood(run, reference):
    rows = [("s1", "2,5", "x"), ("s2", "10,0", "x"), ("", "", "")]
    path = reference(rows, "\ufeffSlide,Value,Remark", separator=";")
    result = validate_run(run(of_values([2.5, 10.0])), path).to_json()
    assert result["comparisons"][0]["values"]["mean_absolute_error"]["value"] == 0
    assert result["reference"]["ignored_columns"] == ["remark"]


def test_names_that_a_spreadsheet_would_run_come_back(run, reference):
    folder = run([("-7", "OK", 10.0, None), ("b", "OK", 12.0, None)])
    record = validate_run(
        folder, reference([("-7", 10.0), ("'-7x", 1.0), ("b", 3.0)]), allow_unmatched=True
    ).to_json()
    assert [line["slide"] for line in record["slides"]] == ["-7", "b"]
    assert record["only_in_reference"] == ["-7x"]


def test_categories_are_matched_whatever_their_case(run, reference):
    path = reference([("s1", " LOW "), ("s2", "High")], "slide,category")
    record = validate_run(run(of_categories(["low", "high"])), path).to_json()
    assert record["comparisons"][0]["categories"]["exact"]["value"] == 1


@pytest.mark.parametrize(
    ("found", "truth", "names", "source"),
    [
        (["3+", "0", "1+"], ["2+", "0", "1+"], ["0", "1+", "2+", "3+"], "numbers in the names"),
        (["weak", "none", "strong"], ["weak", "none", "strong"], ["none", "strong", "weak"], "unknown"),
    ],
    ids=["numbered", "unknown"],
)
def test_the_order_of_categories_is_found_or_said_to_be_unknown(run, reference, found, truth, names, source):
    result = validate_run(run(of_categories(found), bands=None), reference(readings(truth), "slide,category"))
    record = result.to_json()
    assert (record["category_order"]["names"], record["category_order"]["source"]) == (names, source)
    assert ("quadratic_kappa" in record["comparisons"][0]["categories"]) is (source != "unknown")
    assert ("no weighted kappa" in result.page.read_text(encoding="utf-8")) is (source == "unknown")


def test_categories_take_the_order_of_the_run_values(run, reference):
    rows = [("s1", "OK", 50.0, "much"), ("s2", "OK", 1.0, "little"), ("s3", "OK", 20.0, "some")]
    path = reference(readings(["much", "little", "some"]), "slide,category")
    record = validate_run(run(rows, bands=None), path).to_json()
    assert record["category_order"]["names"] == ["little", "some", "much"]


def test_page_and_record_say_the_same_and_repeat_byte_for_byte(run, reference, tmp_path):
    folder, path = run(of_values([2, 12, 33, 50])), reference(readings([1, 15, 30, 61]))
    first = validate_run(folder, path)
    pages = [first.page.read_bytes(), (folder / "validation.json").read_bytes()]
    validate_run(folder, path)
    assert [(folder / name).read_bytes() for name in ("validation.html", "validation.json")] == pages
    assert json.loads(pages[1]) == json.loads(json.dumps(first.to_json()))
    assert pages[0].count(b"data:image/png;base64,") == 1
    elsewhere = validate_run(folder, path, out=tmp_path / "there" / "deep")
    assert elsewhere.page == tmp_path / "there" / "deep" / "validation.html"
    assert b'href="../../run/slides/s1/report.html"' in elsewhere.page.read_bytes()
    assert b'href="slides/s1/report.html"' in pages[0]


def test_hostile_names_stay_text(run, reference):
    name = '"><script>alert(1)</script>'
    rows = [("s1", 1.0, name), ("s2", 3.0, name)]
    page = validate_run(run(of_values([1, 2])), reference(rows, "slide,value,reader")).page.read_text(
        encoding="utf-8"
    )
    assert "<script" not in page
    assert "default-src 'none'" in page
    assert page.count("Research use only") == 2


def test_a_single_slide_has_no_agreement_and_no_nan(run, reference):
    result = validate_run(run(of_values([2])), reference(readings([1])))
    values = result.to_json()["comparisons"][0]["values"]
    assert values["icc"] == {"value": None, "interval": None}
    assert "NaN" not in (result.page.parent / "validation.json").read_text(encoding="utf-8")


def test_slides_that_are_all_equal_leave_correlations_undefined(run, reference):
    values = validate_run(run(of_values([5, 5, 5])), reference(readings([5, 5, 5]))).to_json()["comparisons"][
        0
    ]["values"]
    assert values["icc"]["value"] is values["concordance"]["value"] is None
    assert values["mean_absolute_error"]["value"] == 0


def test_units_without_clusters_need_no_second_interval():
    units = Units(np.array(["a", "b", "c"]), "patients")
    assert not units.is_clustered
    made = agreement_of_values([1.0, 2, 3], [1.0, 2, 4], units=units)
    assert made.estimates["bias"].value == pytest.approx(-1 / 3)


def test_a_real_summary_is_read_back_unrounded(tmp_path, reference):
    score = labelling_index(1, 2999).to_json()
    row = SlideRow.from_record("a", "a.svs", {"status": "OK", "scores": [score], "flags": []})
    write_cohort_report(tmp_path, title="ki67", rows=[row], failures=[])
    record = validate_run(tmp_path, reference([("a", 0.0)]), out=tmp_path / "out").to_json()
    assert record["slides"][0]["value"] == 100 / 3000


def cli(*arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return caught.value.code, printed.out, printed.err


@pytest.mark.parametrize("verb", [("validate",), ("validate", "run")], ids=["short", "long"])
def test_the_command_line_takes_a_run_with_and_without_its_verb(run, reference, verb, capsys):
    folder, path = run(of_values([2, 12, 33])), reference(readings([1, 15, 30]))
    code, out, _ = cli(*verb, folder, "--reference", path, "--cutoff", 1, "--cutoff", 10, capsys=capsys)
    assert code == 0
    assert "ICC(2,1)" in out
    assert "sensitivity at 10" in out
    code, out, _ = cli(*verb, "--reference", path, folder, "--json", capsys=capsys)
    assert code == 0
    assert json.loads(out)["format"] == "slidelab.run-validation/1"


def test_the_command_line_says_in_one_line_what_is_wrong(run, reference, capsys):
    folder = run(of_values([2, 12]))
    code, out, err = cli("validate", folder, "--reference", reference([("x", 1.0)]), capsys=capsys)
    first, second = err.strip().splitlines()
    assert (code, out) == (1, "")
    assert first.startswith("error: run and reference are not of the same slides")
    assert second.strip().startswith("do: ")


@pytest.mark.parametrize("verb", [["validate"], ["validate", "run"], ["validate", "detector"]], ids=" ".join)
def test_the_verbs_of_validate_explain_themselves(verb, capsys):
    code, out, _ = cli(*verb, "--help", capsys=capsys)
    assert code == 0
    assert "Usage: slidelab validate" in out
