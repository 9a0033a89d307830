"""The packaged Ki-67 cut-offs are sound, sourced, and refuse to be anything else."""

from __future__ import annotations

import copy
import tomllib
from fractions import Fraction
from importlib.resources import files
from typing import Any

import pytest

from slidelab.errors import SettingsError
from slidelab.quantify import Status, ki67_cutoffs
from slidelab.quantify.cutoffs import read_cutoffs


@pytest.fixture
def table() -> dict[str, Any]:
    text = files("slidelab.quantify").joinpath("ki67_cutoffs.toml").read_text(encoding="utf-8")
    return copy.deepcopy(tomllib.loads(text))


def test_cutoffs_are_read_once() -> None:
    assert ki67_cutoffs() is ki67_cutoffs()


def test_every_scheme_names_its_source() -> None:
    assert all(scheme.source and scheme.title for scheme in ki67_cutoffs().schemes.values())


@pytest.mark.parametrize(
    ("nuclei", "status"),
    [
        (0, Status.NOT_ASSESSABLE),
        (1, Status.INSUFFICIENT),
        (199, Status.INSUFFICIENT),
        (200, Status.REVIEW),
        (499, Status.REVIEW),
        (500, Status.OK),
    ],
)
def test_status_of_a_count(nuclei: int, status: Status) -> None:
    assert ki67_cutoffs().status_of(nuclei) is status


@pytest.mark.parametrize(
    ("scheme", "expected"),
    [
        # just under, at, just over each cut-off
        ("ikwg-2021", {5: ("low", "low", "intermediate"), 30: ("intermediate", "high", "high")}),
        (
            "asco-2022",
            {5: ("low", "intermediate", "intermediate"), 30: ("intermediate", "intermediate", "high")},
        ),
        ("who-net-2022", {3: ("G1", "G2", "G2"), 20: ("G2", "G2", "G3")}),
        ("fda-abemaciclib-2021", {20: ("below 20 %", "20 % or more", "20 % or more")}),
    ],
)
def test_schemes_are_inclusive_on_the_right_side(scheme: str, expected: dict[int, tuple[str, ...]]) -> None:
    step = Fraction(1, 10**12)
    for cut, names in expected.items():
        found = tuple(ki67_cutoffs().scheme(scheme).categorise(cut + side * step) for side in (-1, 0, 1))
        assert found == names


def test_methods_are_not_mixed() -> None:
    methods = {name: scheme.method for name, scheme in ki67_cutoffs().schemes.items()}
    assert methods["who-net-2022"] == "hot spot"
    assert methods["ikwg-2021"] == methods["fda-abemaciclib-2021"] == "global"


def test_unknown_scheme_names_the_known_ones() -> None:
    with pytest.raises(SettingsError) as caught:
        ki67_cutoffs().scheme("st-gallen-2013")
    assert "ikwg-2021" in caught.value.advice


def _break(table: dict[str, Any], what: str) -> None:
    scheme = table["scheme"][0]
    breakages = {
        "no date": lambda: table.pop("as_of"),
        "count as text": lambda: table["count"].update(review_below="500"),
        "counts out of order": lambda: table["count"].update(review_below=100),
        "unknown key": lambda: scheme.update(colour="brown"),
        "no source": lambda: scheme.pop("source"),
        "same id twice": lambda: scheme.update(id="who-net-2022"),
        "falling bands": lambda: scheme["band"][1].update(upto=4),
        "closed last band": lambda: scheme["band"][-1].update(upto=50),
        "no bands": lambda: scheme.update(band=[]),
        "fractional cut-off": lambda: scheme["band"][0].update(upto=5.5),
        "unknown method": lambda: scheme.update(method="eyeball"),
    }
    breakages[what]()


@pytest.mark.parametrize(
    "what",
    [
        "no date",
        "count as text",
        "counts out of order",
        "unknown key",
        "no source",
        "same id twice",
        "falling bands",
        "closed last band",
        "no bands",
        "fractional cut-off",
        "unknown method",
    ],
)
def test_broken_cutoffs_are_refused(table: dict[str, Any], what: str) -> None:
    read_cutoffs(table)
    _break(table, what)
    with pytest.raises(SettingsError):
        read_cutoffs(table)
