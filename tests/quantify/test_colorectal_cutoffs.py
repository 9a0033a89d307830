"""The colorectal limits: every section has its source, and a spoilt file is refused."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import pytest

from slidelab.errors import SettingsError
from slidelab.quantify import (
    colorectal_cutoffs,
)
from slidelab.quantify.colorectal_cutoffs import read_colorectal_cutoffs


def table() -> dict[str, Any]:
    """Return the packaged file, parsed."""
    text = files("slidelab.quantify").joinpath("colorectal_cutoffs.toml").read_text(encoding="utf-8")
    return copy.deepcopy(tomllib.loads(text))


def test_every_section_names_its_source_and_how_well_it_is_founded() -> None:
    sections = [value for value in table().values() if isinstance(value, dict)]
    assert len(sections) == 11
    for section in sections:
        assert section["source"]
        assert section["evidence"] in ("guideline", "unverified", "project")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda t: t.pop("as_of"),
        lambda t: t["class"].reverse(),
        lambda t: t["class"].append(t["class"][-1]),
        lambda t: t["class"].pop(),
        lambda t: t["class"][3].pop("minimum_glands"),
        lambda t: t["class"][3].pop("flag"),
        lambda t: t["class"][3].update(minimum_glands=0),
        lambda t: t["class"][3].update(flag="NO_SUCH_FLAG"),
        lambda t: t["class"][3].update(minimum_cells=4),
        lambda t: t["class"][0].update(rank=1),
        lambda t: t["tissue"].update(insufficient_below_um2=2_000_000),
        lambda t: t["signet"].update(chance=1.0),
        lambda t: t["signet"].update(disc_um2=0.1),
        lambda t: t["confidence"].update(review_below_percent=100),
        lambda t: t["budding"].update(grades=[]),
        lambda t: t["grade"].update(low_from_percent=True),
        lambda t: t["subtype"].pop("mixed_from_percent"),
        lambda t: t["stroma"].update(high_above_percent=0),
    ],
    ids=range(18),
)
def test_a_spoilt_file_is_refused(spoil: Callable[[dict[str, Any]], object]) -> None:
    spoilt = table()
    assert read_colorectal_cutoffs(spoilt) == colorectal_cutoffs()
    spoil(spoilt)
    with pytest.raises(SettingsError, match=r"colorectal_cutoffs\.toml"):
        read_colorectal_cutoffs(spoilt)
