"""The printed report says what the page says."""

from __future__ import annotations

import re
import sys

import pytest

from slidelab.errors import MissingDependencyError
from slidelab.workflows.report.pdf import write_report_pdf
from slidelab.workflows.report.record import report_record
from slidelab.workflows.report.view import report_view


def squeeze(text):
    """Drop what line breaking changes: white space, and hyphens at line ends."""
    return re.sub(r"\s+", "", text)


def read_pdf(path):
    pypdf = pytest.importorskip("pypdf", reason="pypdf reads the text of the PDF")
    with path.open("rb") as stream:
        return squeeze("".join(page.extract_text() for page in pypdf.PdfReader(stream).pages))


@pytest.mark.parametrize("counts", [(4321, 13609), (31, 100), (0, 0)])
def test_every_figure_of_the_page_is_in_print(tmp_path, make_content, counts):
    pytest.importorskip("typst")
    content = make_content(*counts)
    write_report_pdf(tmp_path, content)
    text = read_pdf(tmp_path / "report.pdf")
    view = report_view(report_record(content))
    sections = (view.counts, view.scores, view.sensitivity, view.settings, *view.facts)
    figures = [cell.text for section in sections for row in section.rows for cell in row.cells]
    figures += [figure.text for figure in view.headline.values()]
    figures += ["".join(figure.text for figure in caption) for caption in (view.hot_spot, *view.fields)]
    figures += [view.record["methods"], view.record["research_use"]]
    figures += [note[part] for note in view.record["notes"] for part in ("words", "advice")]
    assert [figure for figure in figures if squeeze(figure) not in text] == []


def test_equal_content_gives_equal_bytes(tmp_path, make_content):
    pytest.importorskip("typst")
    for name in ("a", "b"):
        write_report_pdf(tmp_path / name, make_content())
    files = [(tmp_path / name / "report.pdf").read_bytes() for name in ("a", "b")]
    assert files[0] == files[1]
    assert b"CreationDate" not in files[0]


def test_markup_in_a_slide_name_is_printed_not_run(tmp_path, make_content):
    pytest.importorskip("typst")
    from dataclasses import replace

    name = '#panic("x") $a$ *b* <script> `c`'
    content = make_content()
    content = replace(content, slide=replace(content.slide, slide_id=name, file_name=name))
    write_report_pdf(tmp_path, content)
    assert squeeze(name) in read_pdf(tmp_path / "report.pdf")


def test_without_typst_the_error_names_the_package(tmp_path, make_content, monkeypatch):
    monkeypatch.setitem(sys.modules, "typst", None)
    with pytest.raises(MissingDependencyError, match="typst") as caught:
        write_report_pdf(tmp_path, make_content())
    assert "pip install" in caught.value.advice
    assert not list(tmp_path.iterdir())
