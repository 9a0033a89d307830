"""Agreement statistics against worked examples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidelab.errors import InvalidTableError, SettingsError
from slidelab.quantify import (
    bland_altman,
    cohen_kappa,
    concordance,
    confusion_table,
    intraclass_correlation,
    kappa_in_words,
    mean_absolute_error,
)

SHROUT_FLEISS = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
THREE_BY_THREE = [[11, 2, 0], [1, 8, 1], [0, 2, 5]]
X, Y = [1, 2, 3, 4, 5], [2, 2, 3, 5, 5]


def test_cohen_kappa_two_by_two() -> None:
    # po = 35/50 = .7; pe = (25*30 + 25*20)/2500 = .5; (.7 - .5)/.5
    assert cohen_kappa([[20, 5], [10, 15]]) == pytest.approx(0.40)


def test_cohen_kappa_unweighted_three_by_three() -> None:
    # po = 24/30; pe = (13*12 + 10*12 + 7*6)/900 = 318/900; (720 - 318)/(900 - 318) = 402/582
    assert cohen_kappa(THREE_BY_THREE) == pytest.approx(402 / 582)
    assert cohen_kappa(THREE_BY_THREE) == pytest.approx(0.691, abs=5e-4)


def test_cohen_kappa_linear() -> None:
    assert cohen_kappa(THREE_BY_THREE, weights="linear") == pytest.approx(0.758, abs=5e-4)


def test_cohen_kappa_quadratic() -> None:
    assert cohen_kappa(THREE_BY_THREE, weights="quadratic") == pytest.approx(0.831, abs=5e-4)


def test_kappa_undefined_where_chance_explains_all() -> None:
    assert cohen_kappa([[7, 0], [0, 0]]) is None
    assert cohen_kappa([[0, 0], [0, 0]]) is None
    assert cohen_kappa([[9]]) is None


def test_empty_category_keeps_its_index() -> None:
    table = confusion_table(
        ["low", "high", "low"], ["low", "high", "high"], categories=["low", "mid", "high"]
    )
    assert table.tolist() == [[1, 0, 1], [0, 0, 0], [0, 0, 1]]
    # dropping it would shorten the steps across it
    wide = [[5, 0, 1, 2], [0, 0, 0, 0], [1, 0, 4, 0], [0, 0, 1, 5]]
    narrow = np.delete(np.delete(wide, 1, axis=0), 1, axis=1)
    assert cohen_kappa(wide, weights="linear") != pytest.approx(cohen_kappa(narrow, weights="linear"))


@given(st.integers(2, 5), st.integers(0, 2**32 - 1))
def test_kappa_is_symmetric_and_at_most_one(k: int, seed: int) -> None:
    table = np.random.default_rng(seed).integers(0, 20, (k, k)) + 1
    for weights in (None, "linear", "quadratic"):
        kappa = cohen_kappa(table, weights=weights)
        assert kappa is not None
        assert kappa < 1
        assert kappa == pytest.approx(cohen_kappa(table.T, weights=weights))
        assert cohen_kappa(np.diag(np.diag(table)), weights=weights) == 1


def test_linear_and_quadratic_equal_plain_kappa_for_two_categories() -> None:
    table = [[20, 5], [10, 15]]
    assert cohen_kappa(table, weights="linear") == pytest.approx(0.40)
    assert cohen_kappa(table, weights="quadratic") == pytest.approx(0.40)


def test_kappa_refuses_nonsense() -> None:
    with pytest.raises(InvalidTableError):
        cohen_kappa([[1, 2, 3], [4, 5, 6]])
    with pytest.raises(InvalidTableError):
        cohen_kappa([[1, -2], [3, 4]])
    with pytest.raises(SettingsError):
        cohen_kappa([[1, 2], [3, 4]], weights="cubic")  # type: ignore[arg-type]
    with pytest.raises(InvalidTableError):
        confusion_table(["a"], ["z"], categories=["a", "b"])
    with pytest.raises(InvalidTableError):
        confusion_table(["a"], ["a", "b"], categories=["a", "b"])


@pytest.mark.parametrize(
    ("kappa", "word"),
    [
        (-0.1, "poor"),
        (0.20, "slight"),
        (0.21, "fair"),
        (0.40, "fair"),
        (0.60, "moderate"),
        (0.80, "substantial"),
        (0.81, "almost perfect"),
    ],
)
def test_kappa_in_words(kappa: float, word: str) -> None:
    assert kappa_in_words(kappa) == word


def test_icc_2_1_of_shrout_and_fleiss() -> None:
    # MSR 11.242, MSC 32.486, MSE 1.019: (11.242 - 1.019)/(11.242 + 3*1.019 + 4*(32.486 - 1.019)/6)
    assert intraclass_correlation(SHROUT_FLEISS) == pytest.approx(0.290, abs=5e-4)


def test_icc_3_1_of_shrout_and_fleiss() -> None:
    # (11.242 - 1.019)/(11.242 + 3*1.019)
    assert intraclass_correlation(SHROUT_FLEISS, form="ICC(3,1)") == pytest.approx(0.715, abs=5e-4)


def test_icc_forgives_offsets_only_in_form_3_1() -> None:
    ratings = np.array([[1.0, 11.0], [2.0, 12.0], [5.0, 15.0]])
    assert intraclass_correlation(ratings, form="ICC(3,1)") == pytest.approx(1)
    agreement = intraclass_correlation(ratings)
    assert agreement is not None
    assert agreement < 0.2


def test_icc_is_none_where_nothing_varies() -> None:
    assert intraclass_correlation([[0.1, 0.1, 0.1]] * 3) is None


@pytest.mark.parametrize("ratings", [[[1, 2]], [[1], [2]], [[1, 2], [3, float("nan")]], [1, 2]])
def test_icc_refuses_gaps_and_single_readers(ratings: list[object]) -> None:
    with pytest.raises(InvalidTableError):
        intraclass_correlation(ratings)


def test_icc_refuses_an_unknown_form() -> None:
    with pytest.raises(SettingsError):
        intraclass_correlation(SHROUT_FLEISS, form="ICC(1,1)")  # type: ignore[arg-type]


def test_concordance_divides_by_n() -> None:
    # means 3, 3.4; s_x² = 2, s_y² = 1.84, s_xy = 1.8: 3.6/(2 + 1.84 + .16) = .900; n - 1 would give .907
    assert concordance(X, Y) == pytest.approx(0.900, abs=1e-12)


def test_concordance_is_none_where_nothing_varies() -> None:
    assert concordance([0.1] * 3, [0.1] * 3) is None
    assert concordance([], []) is None
    assert concordance([1, 1], [2, 2]) == 0


@given(st.lists(st.tuples(st.integers(-50, 50), st.integers(-50, 50)), min_size=2, max_size=30))
def test_concordance_is_symmetric_and_within_one(pairs: list[tuple[int, int]]) -> None:
    x, y = np.array(pairs, dtype=float).T
    value = concordance(x, y)
    if value is not None:
        assert -1 - 1e-12 <= value <= 1 + 1e-12
        assert value == pytest.approx(concordance(y, x), abs=1e-12)


def test_bland_altman_worked_example() -> None:
    # differences 1 0 0 1 0: mean .4, SD (n - 1) = sqrt(1.2/4) = .5477; .4 ± 1.0735
    result = bland_altman(X, Y)
    assert result is not None
    assert result.bias == pytest.approx(0.40)
    assert (round(result.low, 3), round(result.high, 3)) == (-0.674, 1.474)
    assert result.pairs == 5


def test_bland_altman_needs_two_pairs() -> None:
    assert bland_altman([1], [2]) is None


def test_mean_absolute_error() -> None:
    assert mean_absolute_error(X, Y) == pytest.approx(0.4)
    assert mean_absolute_error([1, 5], [3, 1]) == 3
    assert mean_absolute_error([], []) is None


def test_pairs_must_be_complete() -> None:
    for statistic in (concordance, bland_altman, mean_absolute_error):
        with pytest.raises(InvalidTableError):
            statistic([1, 2], [1])
        with pytest.raises(InvalidTableError):
            statistic([1.0, float("nan")], [1.0, 2.0])
