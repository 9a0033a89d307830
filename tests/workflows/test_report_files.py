"""What the reports of all roads share: sections of facts, opening of the record, order of the files."""

from __future__ import annotations

import sys

import pytest

from slidelab.errors import MissingDependencyError
from slidelab.workflows.report.fact_sections import area_rows, provenance_section
from slidelab.workflows.report.figures import RecordWriter, Row, Section, words
from slidelab.workflows.report.files import ReportFiles, write_report_files
from slidelab.workflows.report.flag_advice import StatusWords, describe_status
from slidelab.workflows.report.printing import section_texts, view_texts
from slidelab.workflows.report.record import report_record
from slidelab.workflows.report.record_parts import provenance_entry, record_opening
from slidelab.workflows.report.view import report_view


def first_column(rows):
    """Return what names each line."""
    return [row.cells[0].text for row in rows]


def test_an_area_without_a_name_keeps_its_own():
    writer = RecordWriter({"areas_mm2": {"tissue": 1.255, "scanned": 3.0}})
    assert [[cell.text for cell in row.cells] for row in area_rows(writer)] == [
        ["Tissue found", "1.26"],
        ["Scanned", "3.00"],
    ]
    assert first_column(area_rows(writer, {"tissue": "Cells"})) == ["Cells", "Scanned"]


def test_lines_of_a_road_stand_between_slidelab_and_the_packages():
    software = {"slidelab": "1", "git": "release", "scipy": "2", "numpy": "3"}
    writer = RecordWriter({"provenance": {"slidelab": "1", "git": "release", "software": software}})
    own = [Row((words("Detector"), words("stars")))]
    rows = provenance_section(writer, own).rows
    assert first_column(rows) == ["slidelab", "Commit", "Detector", "numpy", "scipy"]


def test_a_record_opens_with_the_result_in_the_words_of_the_road(make_content):
    result = make_content().result
    status = StatusWords("Done", "All is well.", "good")
    opening = record_opening(result, slide_id="a", sentence="One.", status=status)
    assert list(opening)[:2] == ["format", "slide"]
    assert list(opening)[-2:] == ["summary", "notes"]
    assert opening["summary"] == {"sentence": "One.", "status_name": "Done", "status_words": "All is well."}
    assert {name: opening[name] for name in result.to_json()} == result.to_json()


def test_provenance_holds_the_settings_as_given():
    entry = provenance_entry({"mpp": 0.5})
    assert entry["settings"] == {"mpp": 0.5}
    assert entry["software"]["slidelab"] == entry["slidelab"]


def test_the_print_says_what_the_record_says(make_content):
    view = report_view(report_record(make_content()))
    texts = view_texts(view)
    assert texts["methods"] == view.record["methods"]
    assert texts["status"]["code"] == view.record["status"]
    assert [section["title"] for section in texts["facts"]] == [section.title for section in view.facts]


def test_a_table_is_printed_line_by_line():
    table = Section("Areas", (Row((words("a"), words("1")), is_strong=True),), ("", "mm²"))
    rows = [{"cells": ["a", "1"], "strong": True}]
    assert section_texts(table) == {"title": "Areas", "head": ["", "mm²"], "rows": rows}


@pytest.mark.parametrize("overlay", [b"png", None])
def test_a_report_that_fails_has_no_record(tmp_path, make_content, monkeypatch, overlay):
    view = report_view(report_record(make_content()))
    files = ReportFiles(
        template="report",
        view=view,
        status=describe_status(view.record["status"]),
        quality={},
        on_page={},
        printed=view_texts(view),
        overlay=overlay,
    )
    monkeypatch.setitem(sys.modules, "typst", None)
    with pytest.raises(MissingDependencyError, match="typst"):
        write_report_files(tmp_path, files)
    expected = {"qc.json"} | ({"overlay.png"} if overlay else set())
    assert {path.name for path in tmp_path.iterdir()} == expected
