"""Every form of the report says the same, in words that a reader can act on, and does no harm."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from html.parser import HTMLParser

import pytest

from slidelab.quantify import Flag, SlideResult, Status
from slidelab.workflows.report.content import SlideFacts
from slidelab.workflows.report.flag_advice import describe_status, explain
from slidelab.workflows.report.pictures import Crop, CropCells, draw_crop_pair
from slidelab.workflows.report.record import report_record
from slidelab.workflows.report.view import report_view
from slidelab.workflows.report.write import write_report

HOSTILE = '<script>alert("1")</script><img src=x onerror=alert(1)>'
VOID = {"meta", "img", "br", "link", "input"}


class Page(HTMLParser):
    """Collects what a reader sees: texts bound to the record, free texts, tags and addresses."""

    def __init__(self, text):
        super().__init__()
        self.bound, self.free, self.tags, self.addresses = [], [], [], []
        self._open = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.tags.append((tag, values))
        self.addresses += [values[name] for name in ("src", "href", "action", "data") if name in values]
        if tag not in VOID:
            self._open.append([tag, values.get("data-json"), ""])

    def handle_endtag(self, tag):
        opened, path, text = self._open.pop()
        assert opened == tag, "tags are nested"
        if path:
            self.bound.append((path, text))
        elif opened not in ("style", "script"):
            self.free.append(text)

    def handle_data(self, data):
        if self._open:
            self._open[-1][2] += data


def look_up(record, path):
    value = record
    for key in path.split("."):
        value = value[int(key)] if isinstance(value, list) else value[key]
    return value


def says_the_same(text, value):
    """Tell whether a displayed text is a value of the record, rounded half up where it is a number."""
    if value is None or value == "":
        return text == "—"
    if isinstance(value, bool):
        return text == str(value)
    if isinstance(value, int | float):
        shown = Decimal(text.replace(",", ""))
        return shown == Decimal(repr(value)).quantize(shown, rounding=ROUND_HALF_UP)
    if isinstance(value, list):
        return text == ", ".join(str(part) for part in value)
    return text == value


@pytest.fixture
def write(tmp_path):
    """Write a report; returns its page and what report.json holds."""

    def run(content, name="slide"):
        returned = write_report(tmp_path / name, content)
        record = json.loads((tmp_path / name / "report.json").read_text(encoding="utf-8"))
        assert json.loads(json.dumps(returned)) == record
        return Page((tmp_path / name / "report.html").read_text(encoding="utf-8")), record

    return run


def not_assessable(content):
    return replace(content, hot_spot=None, curve=None, histogram=None, fields=None, scale=None)


def contents(make_content):
    """Reports of every kind: whole, without evidence, of few nuclei, of none."""
    bare = not_assessable(make_content(120, 30))
    return {
        "whole": make_content(),
        "few": make_content(31, 100),
        "bare": replace(bare, pictures=type(bare.pictures)()),
        "none": not_assessable(make_content(0, 0)),
    }


@pytest.mark.parametrize("kind", ["whole", "few", "bare", "none"])
def test_every_displayed_figure_is_the_record_s(write, make_content, kind):
    page, record = write(contents(make_content)[kind])
    assert len(page.bound) > 60
    wrong = [(path, text) for path, text in page.bound if not says_the_same(text, look_up(record, path))]
    assert not wrong


@pytest.mark.parametrize("kind", ["whole", "few", "none"])
def test_no_number_stands_on_the_page_that_is_not_bound_to_the_record(write, make_content, kind):
    page, _ = write(contents(make_content)[kind])
    loose = [text.strip() for text in page.free if re.search(r"\d", text)]
    names = {"Ki-67 report", "Ki-67 report: case-7", "0", "100 %"}
    settings = {"positive_od", "plan.mpp", "plan.scales"}
    assert {text for text in loose if text not in names | settings} == set()


def test_the_headline_is_one_sentence_with_interval_counts_and_category(make_content):
    record = report_record(make_content(4321, 13609))
    # 4321 / 17930 = 24.0993 %; Wilson 23.4787-24.7310.
    assert record["summary"]["sentence"] == (
        "24.1 % (95 % CI 23.5\N{EN DASH}24.7), 4,321 positive of 17,930 nuclei; "
        "intermediate by the cut-offs of IKWG."
    )


def test_halves_are_rounded_up_in_the_headline(make_content):
    assert report_record(make_content(249, 751))["summary"]["sentence"].startswith("24.9 %")
    # 1 of 2000 is exactly 0.05 %, which binary rounding or half-even rounding would show as 0.0 or 0.1.
    assert report_record(make_content(1, 1999))["summary"]["sentence"].startswith("0.1 %")


def test_a_slide_without_nuclei_is_not_shown_as_zero(write, make_content):
    page, record = write(contents(make_content)["none"])
    assert record["status"] == "NOT_ASSESSABLE"
    assert record["scores"][0]["value"] is None
    assert "not a result of zero" in record["summary"]["sentence"]
    assert "0.0" not in {text for path, text in page.bound if path.startswith("scores")}
    assert "Not assessable" in " ".join(page.free)


def test_too_few_nuclei_give_no_category(make_content):
    record = report_record(make_content(30, 100))
    assert record["status"] == "INSUFFICIENT"
    assert record["scores"][0]["category"] is None
    assert "cut-offs" not in record["summary"]["sentence"]
    assert report_view(record).gauge["bands"] == [], "nor does the bar suggest one"


def test_the_record_gives_back_the_result(make_content):
    content = make_content()
    record = json.loads(json.dumps(report_record(content)))
    names = ("marker", "scores", "status", "flags", "excluded", "areas_mm2")
    assert SlideResult.from_json({name: record[name] for name in names}) == content.result


def test_counts_add_up(make_content):
    counts = report_record(make_content(4321, 13609))["counts"]
    assert counts == {"positive": 4321, "negative": 13609, "counted": 17930, "excluded": 1290, "found": 19220}


def test_exclusions_come_with_nuclei_and_area_and_empty_ones_do_not(make_content):
    assert report_record(make_content())["exclusions"] == [
        {"reason": "pen", "words": "pen mark", "nuclei": 1234, "area_mm2": 2.345},
        {"reason": "out_of_focus", "words": "out of focus", "nuclei": 56, "area_mm2": 0.125},
    ]


def test_a_hostile_slide_name_stays_text(write, make_content):
    slide = SlideFacts(HOSTILE, HOSTILE + ".svs", HOSTILE, 10, 10, "0" * 64)
    settings = {HOSTILE: HOSTILE}
    content = make_content(slide=slide)
    content = replace(content, provenance=replace(content.provenance, settings=settings))
    page, record = write(content)
    assert record["slide"] == HOSTILE
    assert not [tag for tag, _ in page.tags if tag == "script"]
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert [text for path, text in page.bound if path == "slide"] == [HOSTILE]


def test_the_page_fetches_nothing_and_runs_nothing(write, make_content):
    page, _ = write(make_content())
    assert page.addresses
    assert all(address.startswith("data:image/") for address in page.addresses)
    policy = next(
        each["content"] for tag, each in page.tags if each.get("http-equiv") == "Content-Security-Policy"
    )
    assert "default-src 'none'" in policy
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "link", "iframe", "object", "form"})


def test_equal_content_gives_equal_bytes_without_a_date(tmp_path, make_content):
    for name in ("a", "b"):
        write_report(tmp_path / name, make_content())
    for file in ("report.json", "report.html"):
        text = (tmp_path / "a" / file).read_text(encoding="utf-8")
        assert text == (tmp_path / "b" / file).read_text(encoding="utf-8")
        assert not re.search(r"\b20\d\d-\d\d-\d\d\b|\d\d:\d\d:\d\d", text)


def test_research_use_is_said_first_and_last(write, make_content):
    page, record = write(make_content())
    order = [text.strip() for text in page.free if text.strip()]
    assert "Research use only." in order[1]
    assert page.bound[-1] == ("research_use", record["research_use"])


def test_evidence_stands_before_tables_and_warnings_before_both(tmp_path, make_content):
    write_report(tmp_path, make_content())
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    heads = re.findall(r"<h2>(.*?)</h2>", text)
    assert heads == [
        "Before you use this number",
        "Check by eye",
        "Numbers",
        "Methods",
        "Origin of the result",
    ]


@pytest.mark.parametrize("flag", [*Flag, "STAIN_NOT_H_DAB", "DAB_DEFAULT", "no_glass", "focus_not_judged"])
def test_known_warnings_have_words_and_an_advice_of_their_own(flag):
    note = explain(str(flag))
    assert "_" not in note.words + note.advice
    assert note.advice != explain("NEVER_HEARD_OF").advice


def test_an_unknown_warning_is_still_told():
    note = explain("SCANNER_ON_FIRE")
    assert note.words == "Scanner on fire."
    assert note.advice


def test_every_status_has_words():
    assert {describe_status(status).tone for status in Status} == {"good", "look", "stop"}


def test_the_methods_paragraph_names_what_a_paper_needs(make_content):
    methods = report_record(make_content())["methods"]
    for fact in (
        "aperio, 46,000 \N{MULTIPLICATION SIGN} 32,914 px",
        "0.2527 \N{MULTIPLICATION SIGN} 0.2529 µm per pixel, from aperio.MPP",
        "slidelab 0.1.0, commit 0a1b2c3d4e5f",
        "Tissue (84.26 mm²) was found with glass-evidence-1",
        "1,290 nuclei in places marked as out of focus or pen mark were excluded",
        "white point (243, 242, 240)",
        "both vectors fitted on this slide",
        "0.505 µm per pixel with the detector unmixed-nuclei (version 1)",
        "at least 0.2 (default)",
        "95 % Wilson confidence interval",
        "ikwg-2021",
        "500 nearest nuclei",
        "Tumour is not told apart.",
    ):
        assert fact in methods


def test_a_resolution_by_the_user_is_named_as_such(make_content):
    content = make_content()
    content = replace(content, resolution=replace(content.resolution, source="user", is_override=True))
    assert "set by the user" in report_record(content)["methods"]
    rows = {row.cells[0].text for row in report_view(report_record(content)).facts[0].rows}
    assert "Set by the user" in rows


def test_a_whole_report_with_photographs_stays_a_few_megabytes(tmp_path, make_content):
    import numpy as np

    noise = np.random.default_rng(0).integers(0, 255, (900, 900, 3)).astype(np.uint8)
    data = draw_crop_pair(Crop(noise, 0, 0, 1.0, 0.25), CropCells([], [], []))
    content = make_content()
    picture = replace(content.pictures.fields[0], data=data)
    content = replace(content, pictures=replace(content.pictures, hot_spot=picture, fields=(picture,) * 6))
    write_report(tmp_path, content)
    assert (tmp_path / "report.html").stat().st_size < 30e6  # noise is the worst case: tissue gives a fifth
