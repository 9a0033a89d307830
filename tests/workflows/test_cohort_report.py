"""What a cohort is told: every slide, in an order that helps, in tables that no spreadsheet runs."""

from __future__ import annotations

import csv
import re

import pytest

from slidelab.quantify import score_ki67
from slidelab.workflows.report.cohort_report import Failure, SlideRow, write_cohort_report

SUMMARY = "slide,path,status,score,value,low,high,numerator,denominator,unit,category,flags,report"
FAILURES = "slide,path,stage,reason,advice"


def row(slide, positive=300, negative=700, **options):
    record = score_ki67(positive, negative, hot_spot=None, **options).to_json()
    return SlideRow.from_record(slide, f"/scans/{slide}.svs", record)


def failed(slide):
    return SlideRow.from_record(slide, f"/scans/{slide}.svs", None)


@pytest.fixture
def write(tmp_path):
    def run(rows, failures=()):
        write_cohort_report(tmp_path, title="Ki-67", rows=rows, failures=failures)
        tables = []
        for name in ("summary.csv", "failures.csv"):
            with (tmp_path / name).open(encoding="utf-8", newline="") as stream:
                tables.append(list(csv.DictReader(stream)))
        return (*tables, (tmp_path / "cohort.html").read_text(encoding="utf-8"))

    return run


def test_tables_have_the_documented_columns(write, tmp_path):
    write([row("a")])
    assert (tmp_path / "summary.csv").read_text().splitlines()[0] == SUMMARY
    assert (tmp_path / "failures.csv").read_text() == FAILURES + "\n"


def test_a_row_holds_the_unrounded_headline(write):
    (line,), _, _ = write([row("a", 1, 2999)])
    assert float(line["value"]) == 100 / 3000
    assert (line["numerator"], line["denominator"], line["unit"]) == ("1", "3000", "%")
    assert float(line["low"]) < float(line["value"]) < float(line["high"])
    assert line["category"] == "low"
    assert line["flags"] == "HOT_SPOT_NONE_WITHIN_RADIUS"
    assert line["report"] == "slides/a/report.html"


def test_a_failed_slide_is_a_row_without_a_number(write):
    (line,), _, page = write([failed("a")])
    assert line["status"] == "FAILED"
    assert {line[name] for name in ("value", "low", "high", "numerator", "report")} == {""}
    assert "<a " not in page


def test_a_slide_that_cannot_be_assessed_is_no_zero(write):
    (line,), _, page = write([row("a", 0, 0)])
    assert (line["status"], line["value"], line["numerator"]) == ("NOT_ASSESSABLE", "", "0")
    assert "0.0 %" not in page


def test_tables_are_sorted_as_people_count(write):
    table, _, _ = write([row(name) for name in ("s10", "s9", "b", "s9a", "10", "9")])
    assert [line["slide"] for line in table] == ["9", "10", "b", "s9", "s9a", "s10"]


def test_the_page_begins_with_what_needs_a_person(write):
    rows = [row("fine", 4000, 6000), row("few", 5, 60), failed("broken"), row("none", 0, 0)]
    rows.append(row("gap", 400, 600, areas_mm2={"missing": 2.0}))
    _, _, page = write(rows)
    body = page[page.index("<h2>Slides") :]
    order = re.findall(r"<tr>\s*<td>(?:<a[^>]*>)?(\w+)<", body)
    assert order == ["broken", "none", "few", "gap", "fine"]


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "=cmd|' /C calc'!A0"])
def test_no_name_becomes_a_formula(write, name):
    failure = Failure(name, name, "open", name, name)
    (line,), (trouble,), _ = write([SlideRow.from_record(name, name, None)], [failure])
    assert line["slide"] == line["path"] == "'" + name
    assert {value[0] for value in trouble.values() if value != "open"} == {"'"}


def test_a_negative_number_stays_a_number(write):
    made = SlideRow("a", "a.svs", "OK", score="z", value=-1.5, unit="z")
    (line,), _, _ = write([made])
    assert line["value"] == "-1.5"


def test_names_with_commas_quotes_and_accents_come_back(write):
    name = 'Müller, "7"\nsecond line'
    (line,), _, _ = write([failed(name)])
    assert line["slide"] == name


def test_hostile_names_stay_text_and_links_stay_relative(write):
    name = '"><script>alert(1)</script>'
    made = row("a")
    hostile = [SlideRow(name, "p", "OK", value=5.0, unit="%"), SlideRow("javascript:alert(1)//", "p", "OK")]
    _, _, page = write([made, *hostile], [Failure(name, name, name, name, name)])
    assert "<script" not in page
    links = re.findall(r'href="([^"]*)"', page)
    assert len(links) == 3
    assert all(link.startswith("slides/") and ":" not in link for link in links)


def test_failures_are_told_with_reason_and_advice(write):
    failure = Failure("a", "/scans/a.svs", "tile 17", "cannot be decoded", "Copy the file again.", 17)
    _, (line,), page = write([failed("a")], [failure])
    assert line == {
        "slide": "a",
        "path": "/scans/a.svs",
        "stage": "tile 17",
        "reason": "cannot be decoded",
        "advice": "Copy the file again.",
    }
    assert "cannot be decoded" in page
    assert "Copy the file again." in page


def test_the_strip_has_a_dot_per_value_and_stacks_equal_ones(write):
    _, _, page = write(
        [row("a", 300, 700), row("b", 301, 699), row("c", 900, 100), row("d", 0, 0), failed("e")]
    )
    dots = re.findall(r'<circle cx="(\d+)" cy="([\d.]+)"', page)
    assert [place for place, _ in dots] == ["300", "300", "900"]
    assert dots[0][1] != dots[1][1]


def test_the_page_says_research_use_twice_and_repeats_byte_for_byte(write):
    rows = [row(f"s{number}", number * 10, 900) for number in range(20)]
    first, second = write(rows)[2], write(rows[::-1])[2]
    assert first == second
    assert first.count("Research use only") == 2
