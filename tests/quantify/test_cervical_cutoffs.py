"""The data file of cervical cytology is sound, sourced, and refuses to be anything else."""

from __future__ import annotations

import copy
from datetime import date
from fractions import Fraction

import pytest

from slidelab.errors import SettingsError
from slidelab.quantify import cervical_cutoffs
from slidelab.quantify.cervical_cutoffs import TAGS, read_cervical_cutoffs
from slidelab.quantify.cutoffs import packaged_table


@pytest.fixture
def table():
    return copy.deepcopy(packaged_table("cervical_cutoffs.toml"))


def test_cutoffs_are_dated_sourced_and_read_once():
    cutoffs = cervical_cutoffs()
    assert cutoffs is cervical_cutoffs()
    assert isinstance(cutoffs.as_of, date)
    assert "Bethesda" in cutoffs.source


def test_start_values_of_the_slide_rule():
    calls = {code: each.calls for code, each in cervical_cutoffs().classes.items() if each.rank}
    assert {code: calls[code] for code in ("SCC", "HSIL", "ASC-H", "LSIL", "ASC-US")} == {
        "SCC": 2,
        "HSIL": 2,
        "ASC-H": 2,
        "LSIL": 3,
        "ASC-US": 5,
    }
    glandular = cervical_cutoffs().line("glandular")
    assert {each.calls for each in glandular} == {1}
    assert {each.group_cells for each in glandular} == {5}
    assert cervical_cutoffs().merge_um == 10


def test_numbers_of_the_criteria():
    nuclei = cervical_cutoffs().nuclei
    assert (nuclei.intermediate_um2, nuclei.metaplastic_um2) == (35, 50)
    assert (nuclei.normal_below, nuclei.asc_us_from, nuclei.lsil_above) == (2, Fraction(5, 2), 3)
    assert (nuclei.nc_asc_h_from, nuclei.nc_hsil_above) == (Fraction(2, 5), Fraction(1, 2))


def test_every_organism_of_tbs_has_its_term():
    organisms = {each.term for each in cervical_cutoffs().findings.values() if each.kind == "organism"}
    assert {
        "Trichomonas vaginalis",
        "Fungal organisms morphologically consistent with Candida spp.",
        "Shift in flora suggestive of bacterial vaginosis",
        "Bacteria morphologically consistent with Actinomyces spp.",
        "Cellular changes consistent with herpes simplex virus",
        "Cellular changes consistent with cytomegalovirus",
    } <= organisms


def test_every_entry_says_how_well_it_is_founded(table):
    entries = [*table["class"], *table["finding"], *table["preparation"].values()]
    entries += [table[name] for name in ("endometrial", "calls", "adequacy", "nuclei", "gallery", "triage")]
    assert {entry["tag"] for entry in entries} <= set(TAGS)


def test_aliases_and_unknown_names():
    cutoffs = cervical_cutoffs()
    assert cutoffs.tbs_class("AGC").code == "AGC-NOS"
    for ask in (cutoffs.tbs_class, cutoffs.preparation, cutoffs.finding):
        with pytest.raises(SettingsError):
            ask("nonsense")


SPOILT = {
    "no date": lambda t: t.pop("as_of"),
    "no NILM": lambda t: t["class"].pop(0),
    "class twice": lambda t: t["class"].append(dict(t["class"][1])),
    "threshold 0": lambda t: t["class"][1].update(threshold="0"),
    "threshold a float": lambda t: t["class"][1].update(threshold=0.5),
    "unknown line": lambda t: t["class"][1].update(line="sideways"),
    "no calls": lambda t: t["class"][1].update(calls=0),
    "rank 0": lambda t: t["class"][1].update(rank=0),
    "unknown key": lambda t: t["class"][1].update(colour="red"),
    "unknown tag": lambda t: t["finding"][0].update(tag="rumour"),
    "finding twice": lambda t: t["finding"].append(dict(t["finding"][0])),
    "borderline below minimum": lambda t: t["preparation"]["thinprep"].update(borderline_cells=5000),
    "obscured out of order": lambda t: t["adequacy"].update(partly_obscured_percent=80),
    "kind of both sorts": lambda t: t["adequacy"].update(squamous_kinds=["metaplastic"]),
    "sizes out of order": lambda t: t["nuclei"].update(asc_us_from="4"),
    "ratios out of order": lambda t: t["nuclei"].update(nc_asc_h_from="0.6"),
    "no size": lambda t: t["nuclei"].update(intermediate_um2=0),
    "true as a number": lambda t: t["gallery"].update(tiles=True),
    "bound of all": lambda t: t["triage"].update(lower_bound_percent=100),
    "text as a number": lambda t: t["calls"].update(merge_um="10"),
}


@pytest.mark.parametrize("how", SPOILT)
def test_a_spoilt_file_is_refused(table, how):
    SPOILT[how](table)
    with pytest.raises(SettingsError, match=r"cervical_cutoffs\.toml|threshold"):
        read_cervical_cutoffs(table)
