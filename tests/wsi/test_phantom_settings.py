"""Settings of phantoms refuse what makes no sense, with one line of advice."""

from __future__ import annotations

import math

import pytest

from slidelab.errors import SettingsError
from slidelab.wsi.phantom.settings import KINDS, PhantomSettings


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"kind": "golgi"}, "kind 'golgi'"),
        ({"scanner": "c"}, "scanner 'c'"),
        ({"compression": "zip"}, "compression 'zip'"),
        ({"width": 511}, "width 511"),
        ({"height": 0}, "height 0"),
        ({"width": 2048.0}, "width 2048.0"),
        ({"width": True}, "width True"),
        ({"mpp": 0.0}, "mpp 0.0"),
        ({"mpp": math.nan}, "mpp nan"),
        ({"mpp": 5.0}, "mpp 5.0"),
        ({"mpp": 0.1, "width": 600}, "60 um"),
        ({"seed": -1}, "seed -1"),
        ({"truth": -0.1}, "truth -0.1"),
        ({"truth": 100.5}, "truth 100.5"),
        ({"truth": math.nan}, "truth nan"),
        ({"tissue_fraction": 0.0}, "tissue fraction 0.0"),
        ({"tissue_fraction": 0.9}, "tissue fraction 0.9"),
        ({"stroma_share": 0.95}, "stroma share 0.95"),
        ({"kind": "he", "stroma_share": 0.5}, "no stroma share"),
    ],
)
def test_refuses_with_one_line_of_what_and_one_of_advice(options: dict, what: str) -> None:
    with pytest.raises(SettingsError) as caught:
        PhantomSettings(**options)
    assert what in str(caught.value)
    assert caught.value.advice
    assert "\n" not in str(caught.value) + caught.value.advice


def test_unknown_kind_lists_those_that_exist() -> None:
    with pytest.raises(SettingsError) as caught:
        PhantomSettings(kind="golgi")
    assert all(kind in caught.value.advice for kind in KINDS)


def test_truth_falls_back_to_the_kind() -> None:
    assert PhantomSettings().truth_percent == KINDS["ki67"].default_truth
    assert PhantomSettings(truth=0.0).truth_percent == 0.0
    assert PhantomSettings(kind="he", truth=70.0).stroma_nuclei == pytest.approx(0.3)
    assert PhantomSettings(stroma_share=0.2).stroma_nuclei == 0.2


def test_rescanned_keeps_the_physical_size() -> None:
    settings = PhantomSettings(width=8192, height=4096, mpp=0.25).rescanned(scanner="b", mpp=0.5)
    assert (settings.width, settings.height, settings.scanner) == (4096, 2048, "b")
