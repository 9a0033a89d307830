"""Rings of membrane density: completeness, strength, classes, and what is no membrane at all."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from slidelab.errors import InvalidTableError, SettingsError
from slidelab.quantify import IntensityBins, MembraneClass, MembraneJudgement, judge_membranes

DIRECTIONS = 32


def ring(stained: int, od: float, *, rest: float = 0.05) -> NDArray[np.float32]:
    """Return one ring with so many directions of a density."""
    densities = np.full((1, DIRECTIONS), rest, np.float32)
    densities[0, :stained] = od
    return densities


def judge(stained: int, od: float, *, cytoplasm: float = 0.02) -> MembraneJudgement:
    """Judge one such ring."""
    return judge_membranes(ring(stained, od), [cytoplasm])


def class_of(stained: int, od: float, *, cytoplasm: float = 0.02) -> str:
    """Return the class of one such ring."""
    return judge(stained, od, cytoplasm=cytoplasm).names[0]


@pytest.mark.parametrize(
    ("od", "whole", "part", "level"),
    [
        (0.19, "NO", "NO", 0),
        (0.20, "CW", "IF", 1),  # faint
        (0.39, "CW", "IF", 1),
        (0.40, "CW", "IM", 2),  # moderate
        (0.59, "CW", "IM", 2),
        (0.60, "CI", "IM", 3),  # intense
        (2.55, "CI", "IM", 3),
    ],
)
def test_classes_at_every_edge_of_strength(od: float, whole: str, part: str, level: int) -> None:
    assert class_of(32, od) == whole
    assert class_of(16, od) == part
    assert judge(16, od).levels.tolist() == [level]


def test_complete_is_nine_tenths_of_the_ring() -> None:
    # 29 / 32 = 90.6 %, 28 / 32 = 87.5 %
    assert class_of(29, 0.8) == "CI"
    assert class_of(28, 0.8) == "IM"


def test_complete_includes_its_limit() -> None:
    nine_of_ten = np.array([[0.8] * 9 + [0.0]])
    assert judge_membranes(nine_of_ten, [0.0]).names == ["CI"]


def test_some_stain_is_a_tenth_of_the_ring() -> None:
    # 4 / 32 = 12.5 %, 3 / 32 = 9.4 %
    assert class_of(4, 0.3) == "IF"
    assert class_of(3, 0.3) == "NO"
    assert judge(3, 0.3).levels.tolist() == [0]
    assert class_of(0, 0.3) == "NO"


def test_strength_is_the_mean_of_the_stained_directions_only() -> None:
    densities = np.concatenate([np.full(10, 0.8), np.full(10, 0.3), np.full(12, 0.1)])[None]
    judged = judge_membranes(densities, [0.0])
    assert judged.intensity_od[0] == pytest.approx(0.55)
    assert judged.completeness[0] == pytest.approx(20 / 32)
    assert judged.names == ["IM"]


def test_unstained_ring_has_no_density() -> None:
    assert judge(0, 0.0).intensity_od.tolist() == [0.0]


@pytest.mark.parametrize("od", [0.2, 0.4, 0.7, 1.5])
def test_cytoplasm_alone_is_no_membrane_stain(od: float) -> None:
    # the ring is as brown as the cell inside
    assert judge_membranes(np.full((1, DIRECTIONS), od), [od]).names == ["NO"]


def test_membrane_must_stand_out_from_its_cytoplasm() -> None:
    assert class_of(32, 0.70, cytoplasm=0.60) == "CI"  # by 0.1 exactly
    assert class_of(32, 0.70, cytoplasm=0.61) == "NO"
    assert judge_membranes(ring(32, 0.7), [0.61], contrast=0.05).names == ["CI"]


def test_contrast_is_asked_of_each_direction() -> None:
    densities = np.concatenate([np.full(16, 0.9), np.full(16, 0.55)])[None]
    judged = judge_membranes(densities, [0.5])
    assert (judged.names, judged.completeness.tolist()) == (["IM"], [0.5])


def test_other_bins_and_shares() -> None:
    bins = IntensityBins(0.1, 0.2, 0.3)
    assert judge_membranes(ring(32, 0.3, rest=0.0), [0.0], bins=bins).names == ["CI"]
    assert judge_membranes(ring(16, 0.8), [0.0], complete_share=0.5).names == ["CI"]
    assert judge_membranes(ring(16, 0.8), [0.0], some_share=0.6).names == ["NO"]


def test_any_class_but_no_counts_as_stained() -> None:
    judged = judge_membranes(
        np.vstack([ring(0, 0), ring(8, 0.3), ring(8, 0.5), ring(32, 0.3), ring(32, 0.9)]), [0.0] * 5
    )
    assert judged.names == ["NO", "IF", "IM", "CW", "CI"]
    assert judged.classes.tolist() == [0, 1, 2, 3, 4]
    assert judged.classes.dtype == np.int8
    assert judged.stained.tolist() == [False, True, True, True, True]
    assert [each.name for each in MembraneClass] == judged.names


def test_no_cells_have_no_classes() -> None:
    judged = judge_membranes(np.zeros((0, DIRECTIONS)), [])
    assert (judged.names, judged.classes.shape) == ([], (0,))


@given(st.integers(1, 254))
def test_hundredths_and_floats_are_judged_alike(hundredths: int) -> None:
    stored = np.full((1, DIRECTIONS), hundredths, np.uint8)
    exact = judge_membranes(stored / 100, [0.0])
    single = judge_membranes((stored / 100).astype(np.float32), [0.0])
    assert exact.names == single.names
    assert exact.names == [("NO", "CW", "CI")[(hundredths >= 20) + (hundredths >= 60)]]


@pytest.mark.parametrize(
    ("rings", "cytoplasm"),
    [
        (np.zeros((2, 32)), [0.0]),
        (np.zeros((1, 0)), [0.0]),
        (np.zeros(32), [0.0]),
        (np.full((1, 32), np.nan), [0.0]),
        (np.zeros((1, 32)), [np.nan]),
    ],
)
def test_rings_that_do_not_fit_are_refused(rings: NDArray[np.float64], cytoplasm: list[float]) -> None:
    with pytest.raises(InvalidTableError):
        judge_membranes(rings, cytoplasm)


@pytest.mark.parametrize(
    "settings", [{"complete_share": 1.1}, {"some_share": 0.0}, {"some_share": 0.95}, {"contrast": -0.1}]
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(SettingsError):
        judge_membranes(ring(1, 0.5), [0.0], **settings)


RINGS = st.lists(st.integers(0, 255), min_size=DIRECTIONS, max_size=DIRECTIONS)


@given(RINGS, st.integers(0, 100), st.integers(0, DIRECTIONS - 1))
def test_turning_and_mirroring_change_nothing(hundredths: list[int], cytoplasm: int, turn: int) -> None:
    densities = np.array([hundredths]) / 100
    turned = np.vstack([densities, np.roll(densities, turn, axis=1), densities[:, ::-1]])
    judged = judge_membranes(turned, [cytoplasm / 100] * 3)
    assert len(set(judged.names)) == 1
    assert len(set(judged.completeness.tolist())) == 1


@given(RINGS, st.integers(0, 100), st.integers(0, 100))
def test_darker_cytoplasm_never_completes_a_membrane(
    hundredths: list[int], cytoplasm: int, more: int
) -> None:
    densities = np.array([hundredths, hundredths]) / 100
    lighter, darker = judge_membranes(densities, [cytoplasm / 100, (cytoplasm + more) / 100]).completeness
    assert darker <= lighter


@given(st.integers(0, DIRECTIONS), st.integers(0, 255), st.integers(0, 50))
def test_more_stain_never_lowers_the_class_of_an_even_ring(stained: int, od: int, more: int) -> None:
    before, after = (judge_membranes(ring(stained, each / 100, rest=0.0), [0.0]) for each in (od, od + more))
    assert before.classes[0] <= after.classes[0]
