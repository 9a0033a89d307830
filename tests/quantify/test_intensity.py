"""Strength of stain: bins, their edges, and what a network's verdict changes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidelab.errors import InvalidTableError, SettingsError
from slidelab.quantify import IntensityBins, intensity_counts, intensity_levels

DENSITIES = st.lists(st.floats(-0.1, 3.0, allow_nan=False), max_size=60)


def test_bins_start_at_the_defaults_of_the_field() -> None:
    assert IntensityBins().edges == (0.2, 0.4, 0.6)


@pytest.mark.parametrize(
    "edges", [(0.0, 0.4, 0.6), (0.4, 0.4, 0.6), (0.2, 0.7, 0.6), (0.2, 0.4, 2.51), (0.2, float("nan"), 0.6)]
)
def test_bins_must_rise_within_what_can_be_measured(edges: tuple[float, float, float]) -> None:
    with pytest.raises(SettingsError):
        IntensityBins(*edges)


def test_bins_may_reach_the_greatest_density() -> None:
    assert IntensityBins(0.2, 0.4, 2.5).strong == 2.5


def test_levels_include_their_lower_edge() -> None:
    od = [0.0, 0.199, 0.2, 0.399, 0.4, 0.599, 0.6, 2.5]
    assert intensity_levels(od).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert intensity_levels(od).dtype == np.int8


@given(st.integers(1, 249))
def test_levels_do_not_depend_on_how_a_density_is_stored(hundredths: int) -> None:
    bins = IntensityBins(hundredths / 100, 2.495, 2.5)
    stored = np.array([hundredths], np.uint8)
    assert intensity_levels(stored / 100, bins=bins).tolist() == [1]
    assert intensity_levels(np.float32(stored / 100), bins=bins).tolist() == [1]
    assert intensity_levels((stored - 1) / 100, bins=bins).tolist() == [0]


def test_counts_of_densities_alone() -> None:
    assert intensity_counts([0.1, 0.2, 0.3, 0.4, 0.6, 0.9]) == (1, 2, 1, 2)


def test_counts_of_own_bins() -> None:
    assert intensity_counts([0.1, 0.2, 0.3], bins=IntensityBins(0.1, 0.2, 0.3)) == (0, 1, 1, 1)


def test_given_positives_are_weak_at_least_and_negatives_are_unstained() -> None:
    # a pale positive becomes weak; a dark negative counts as unstained
    assert intensity_counts([0.05, 0.9, 0.5, 0.7, 0.1], [True, False, True, True, False]) == (2, 1, 1, 1)


def test_counts_of_nothing_are_zero() -> None:
    assert intensity_counts([]) == (0, 0, 0, 0)
    assert intensity_counts([], []) == (0, 0, 0, 0)


@pytest.mark.parametrize("od", [[float("nan")], [float("inf")], [[0.1, 0.2]]])
def test_densities_that_were_not_measured_are_refused(od: list[float]) -> None:
    with pytest.raises(InvalidTableError):
        intensity_counts(od)


@pytest.mark.parametrize("positive", [[True], [1, 0], [[True, False]]])
def test_verdicts_that_do_not_fit_are_refused(positive: list[object]) -> None:
    with pytest.raises(InvalidTableError):
        intensity_counts([0.1, 0.2], positive)


@given(DENSITIES, st.randoms())
def test_counts_add_up_and_ignore_order(od: list[float], random: object) -> None:
    shuffled = list(od)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert intensity_counts(od) == intensity_counts(shuffled)
    assert sum(intensity_counts(od)) == len(od)


@given(DENSITIES, st.floats(0, 1))
def test_darker_nuclei_never_get_weaker(od: list[float], more: float) -> None:
    lighter, darker = np.array(od), np.array(od) + more
    assert (intensity_levels(darker) >= intensity_levels(lighter)).all()


@given(st.lists(st.tuples(st.floats(0, 2), st.booleans()), max_size=40))
def test_given_verdicts_alone_decide_how_many_are_stained(cells: list[tuple[float, bool]]) -> None:
    od, positive = [each[0] for each in cells], np.array([each[1] for each in cells], dtype=bool)
    n0, *stained = intensity_counts(od, positive)
    assert (n0, sum(stained)) == (int((~positive).sum()), int(positive.sum()))
