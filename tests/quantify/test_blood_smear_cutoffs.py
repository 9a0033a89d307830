"""The limits of blood smears: dated, tagged, and refused where the file is spoilt."""

from __future__ import annotations

import copy

import pytest

from slidelab.errors import SettingsError
from slidelab.quantify import (
    blood_smear_cutoffs,
)
from slidelab.quantify.blood_smear_cutoffs import TAGS, read_blood_smear_cutoffs
from slidelab.quantify.cutoffs import packaged_table

SPOILT = {
    "no date": lambda t: t.pop("as_of"),
    "unknown tag": lambda t: t["grades"].update(tag="rumour"),
    "change twice": lambda t: t["feature"].append(dict(t["feature"][0])),
    "grades out of order": lambda t: t["feature"][0].update(many_above=5),
    "unknown cells": lambda t: t["feature"][0].update(of="stars"),
    "rule twice": lambda t: t["rule"].append(dict(t["rule"][0])),
    "rule without a limit": lambda t: t["rule"][0].pop("below"),
    "rule with two limits": lambda t: t["rule"][0].update(above="1"),
    "unknown key": lambda t: t["rule"][0].update(colour="red"),
    "cells out of order": lambda t: t["differential"].update(preferred_cells=50),
    "normal out of order": lambda t: t["platelets"].update(normal_from=30),
    "true as a number": lambda t: t["nrbc"].update(correct_above=True),
    "evidence missing": lambda t: t["evidence"].pop(),
    "unknown toxic change": lambda t: t["positive"].update(toxic=["poison"]),
}


@pytest.mark.parametrize("how", SPOILT)
def test_a_spoilt_file_is_refused(how):
    table = copy.deepcopy(packaged_table("blood_smear_cutoffs.toml"))
    SPOILT[how](table)
    with pytest.raises(SettingsError, match=r"blood_smear_cutoffs\.toml"):
        read_blood_smear_cutoffs(table)


def test_packaged_file_is_dated_and_says_how_well_it_is_founded():
    table = packaged_table("blood_smear_cutoffs.toml")
    assert blood_smear_cutoffs() is blood_smear_cutoffs()
    assert blood_smear_cutoffs().as_of == table["as_of"]
    assert table["grades"]["tag"] == "memory"
    assert {table[name]["tag"] for name in ("differential", "platelets", "review")} <= set(TAGS)
    assert len(blood_smear_cutoffs().rules) == 23
