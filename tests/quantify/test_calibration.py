"""Thresholds of a laboratory: known ones come back, whatever the order and however large a slide is."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slidelab.errors import InvalidTableError, SettingsError
from slidelab.quantify import (
    LEVELS,
    Flag,
    IntensityBins,
    StainedSlide,
    count_strengths,
    fit_controls,
    fit_reference,
    intensity_levels,
    judge_membranes,
    membrane_strength,
)
from slidelab.quantify.calibration import middle_of_best

GRID = np.round(np.arange(0.02, 1.0001, 0.01), 2)
MEANS = {"negative": 0.06, "weak": 0.26, "moderate": 0.50, "strong": 0.78}
MANY, FEW = 400, 40  # bootstrap draws


def slide(name: str, od: np.ndarray) -> StainedSlide:
    return StainedSlide(name, count_strengths(od, thresholds=GRID))


def control_slides(
    per_level: int = 4, *, spread: float = 0.06, cells: int = 2000, means: dict[str, float] | None = None
) -> tuple[list[StainedSlide], dict[str, str]]:
    """Controls whose cells are spread evenly about the mean of their level."""
    random = np.random.default_rng(7)
    slides, levels = [], {}
    for level, mean in (means or MEANS).items():
        for number in range(per_level):
            name = f"{level}-{number}"
            shift = random.normal(0, 0.01)
            slides.append(slide(name, np.clip(random.normal(mean + shift, spread, cells), 0, None)))
            levels[name] = level
    return slides, levels


def test_controls_give_back_the_threshold_half_way_between_equal_spreads() -> None:
    slides, levels = control_slides()
    fit = fit_controls(slides, levels=levels, thresholds=GRID, draws=MANY)
    # two normal distributions of one width cross half-way between their means
    assert fit.bins.edges == pytest.approx((0.16, 0.38, 0.64), abs=0.03)
    for name, value in zip(LEVELS[1:], fit.bins.edges, strict=True):
        interval = fit.intervals[name]
        assert interval.low <= value <= interval.high
        assert interval.high - interval.low < 0.06
    assert fit.fitted == ("weak", "moderate", "strong")
    assert (fit.slides, fit.cells) == (16, 32_000)
    # each side misses P(z > 0.10 / 0.06) = 4.8 % at the first threshold
    assert fit.errors["weak_fitted"] == pytest.approx(4.8, abs=1.2)
    assert fit.flags == ()


def test_controls_by_hand_with_a_flat_stretch() -> None:
    ods = {"negative": 0.10, "weak": 0.20, "moderate": 0.40, "strong": 0.90}
    slides = [slide(level, np.full(100, od)) for level, od in ods.items()]
    fit = fit_controls(slides, levels={level: level for level in LEVELS}, thresholds=GRID)
    # no error from just above the lower value up to the upper one, which belongs to the upper level:
    # 0.11 ... 0.20 (10 values, the fifth), 0.21 ... 0.40 (20, the tenth), 0.41 ... 0.90 (50, the 25th)
    assert fit.bins.edges == (0.15, 0.30, 0.65)
    assert fit.intervals == {}  # one slide a level: nothing to draw
    assert fit.errors == dict.fromkeys(
        [f"{name}_{way}" for name in LEVELS[1:] for way in ("fitted", "start")], 0.0
    )
    assert fit.flags == (Flag.LAB_FEW_SLIDES,)


def test_balanced_error_by_hand() -> None:
    # 10 of 100 negative cells at 0.5; 30 of 100 weak cells at 0.05: (10 % + 30 %) / 2 between them
    negative = np.repeat([0.05, 0.5], [90, 10])
    weak = np.repeat([0.05, 0.3], [30, 70])
    others = [slide("c", np.full(100, 0.6)), slide("d", np.full(100, 0.9))]
    slides = [slide("a", negative), slide("b", weak), *others]
    levels = dict(zip("abcd", LEVELS, strict=True))
    fit = fit_controls(slides, levels=levels, thresholds=GRID)
    assert fit.errors["weak_fitted"] == pytest.approx(20.0)
    assert 0.05 < fit.bins.weak <= 0.3


def test_a_slide_weighs_the_same_however_many_cells_it_has() -> None:
    slides, levels = control_slides(3, spread=0.1)
    larger = [StainedSlide(each.slide, each.counts * (1 + 50 * (n % 3))) for n, each in enumerate(slides)]
    first = fit_controls(slides, levels=levels, thresholds=GRID, draws=FEW)
    second = fit_controls(larger, levels=levels, thresholds=GRID, draws=FEW)
    assert (first.bins, first.intervals, first.errors) == (second.bins, second.intervals, second.errors)


@given(st.randoms(use_true_random=False))
@settings(max_examples=10, deadline=None)
def test_the_order_of_slides_does_not_matter(random) -> None:
    slides, levels = control_slides(2, spread=0.12)
    percent = {each.slide: 100 * each.shares[14] for each in slides}
    shuffled = random.sample(slides, len(slides))
    assert fit_controls(slides, levels=levels, thresholds=GRID, draws=FEW) == fit_controls(
        shuffled, levels=levels, thresholds=GRID, draws=FEW
    )
    assert fit_reference(slides, scores={"percent": percent}, thresholds=GRID, draws=FEW) == fit_reference(
        shuffled, scores={"percent": percent}, thresholds=GRID, draws=FEW
    )


def test_the_error_on_slides_left_out_is_larger_where_slides_differ() -> None:
    random = np.random.default_rng(5)
    slides, levels = [], {}
    for level, mean in MEANS.items():
        for number in range(3):
            name = f"{level}{number}"
            slides.append(slide(name, np.abs(random.normal(mean + random.normal(0, 0.08), 0.03, 500))))
            levels[name] = level
    fit = fit_controls(slides, levels=levels, thresholds=GRID, draws=FEW)
    assert all(fit.errors[f"{name}_left_out"] >= fit.errors[f"{name}_fitted"] for name in LEVELS[1:])
    assert any(fit.errors[f"{name}_left_out"] > fit.errors[f"{name}_fitted"] + 1 for name in LEVELS[1:])


@pytest.mark.parametrize("missing", LEVELS)
def test_controls_that_lack_a_level_are_refused_by_name(missing: str) -> None:
    slides, levels = control_slides(1)
    kept = [each for each in slides if levels[each.slide] != missing]
    with pytest.raises(InvalidTableError, match=f"no control slide is {missing}"):
        fit_controls(kept, levels=levels, thresholds=GRID)


def test_controls_that_overlap_are_flagged_and_then_refused() -> None:
    # means 0.12 apart: each side misses P(z > 0.06 / 0.09) = 25 %; 0.04 apart: P(z > 0.22) = 41 %
    near = MEANS | {"moderate": 0.66}
    slides, levels = control_slides(3, spread=0.09, means=near)
    flagged = fit_controls(slides, levels=levels, thresholds=GRID, draws=FEW)
    assert Flag.LAB_LEVELS_OVERLAP in flagged.flags
    assert flagged.errors["strong_fitted"] == pytest.approx(25, abs=2)
    nearer = MEANS | {"moderate": 0.74}
    slides, levels = control_slides(3, spread=0.09, means=nearer)
    with pytest.raises(SettingsError, match=r"moderate and strong controls overlap: .* 4[0-3] %"):
        fit_controls(slides, levels=levels, thresholds=GRID, draws=FEW)


def test_swapped_levels_are_refused() -> None:
    slides, levels = control_slides(2)
    swap = {"weak": "moderate", "moderate": "weak"}
    swapped = {name: swap.get(level, level) for name, level in levels.items()}
    with pytest.raises(SettingsError, match=r"overlap|do not rise"):
        fit_controls(slides, levels=swapped, thresholds=GRID, draws=FEW)


def test_slides_with_few_cells_and_doubles_are_refused() -> None:
    slides, levels = control_slides(1)
    few = [*slides[1:], slide("negative-0", np.full(99, 0.05))]
    with pytest.raises(InvalidTableError, match=r"fewer than 100 .* negative-0 \(99\)"):
        fit_controls(few, levels=levels, thresholds=GRID)
    with pytest.raises(InvalidTableError, match="twice"):
        fit_controls([*slides, slides[0]], levels=levels, thresholds=GRID)


def reference_slides(
    number: int, bins: IntensityBins, *, noise: float = 0.0, cells: int = 3000
) -> tuple[list[StainedSlide], dict[str, dict[str, float]]]:
    """Slides of many strengths, scored with known thresholds."""
    random = np.random.default_rng(3)
    slides, percent, h_score = [], {}, {}
    for index in range(number):
        share = (index + 0.5) / number
        positive = random.random(cells) < share
        mean = 0.25 + 0.6 * random.random()
        od = np.where(positive, random.normal(mean, 0.2, cells), random.normal(0.08, 0.05, cells))
        od = np.clip(od, 0, None)
        name = f"case{index:02d}"
        slides.append(slide(name, od))
        level = intensity_levels(od, bins=bins)
        percent[name] = float(np.clip(100 * (level > 0).mean() + random.normal(0, noise), 0, 100))
        h_score[name] = float(np.clip(100 * level.mean() + random.normal(0, 3 * noise), 0, 300))
    return slides, {"percent": percent, "h_score": h_score}


TRUE_BINS = IntensityBins(0.17, 0.45, 0.71)


def test_exact_scores_give_back_the_very_thresholds() -> None:
    slides, scores = reference_slides(12, TRUE_BINS)
    found = fit_reference(slides, scores=scores, thresholds=GRID, draws=FEW)
    assert found.fit.bins == TRUE_BINS
    assert found.fit.errors["percent_fitted"] == pytest.approx(0, abs=1e-6)
    assert found.fit.errors["h_score_fitted"] == pytest.approx(0, abs=1e-6)
    assert found.fit.errors["percent_start"] > 0.5
    assert found.fit.flags == ()
    assert len(found.points) == 24


def test_noisy_scores_give_back_the_thresholds_within_their_intervals() -> None:
    slides, scores = reference_slides(20, TRUE_BINS, noise=2.0)
    fit = fit_reference(slides, scores=scores, thresholds=GRID, draws=MANY).fit
    for name, truth in zip(LEVELS[1:], TRUE_BINS.edges, strict=True):
        assert fit.intervals[name].low - 0.02 <= truth <= fit.intervals[name].high + 0.02
    assert fit.bins.weak == pytest.approx(TRUE_BINS.weak, abs=0.03)
    assert fit.errors["percent_left_out"] >= fit.errors["percent_fitted"]
    assert fit.errors["h_score_left_out"] >= fit.errors["h_score_fitted"]


def test_left_out_scores_are_those_of_a_fit_without_the_slide() -> None:
    slides, scores = reference_slides(6, TRUE_BINS, noise=5.0)
    whole = fit_reference(slides, scores=scores, thresholds=GRID, draws=FEW)
    rest = fit_reference(slides[1:], scores=scores, thresholds=GRID, draws=FEW).fit.bins
    expected = 100 * slides[0].shares[np.searchsorted(GRID, rest.weak)]
    point = next(each for each in whole.points if (each.slide, each.score) == ("case00", "percent"))
    assert point.left_out == pytest.approx(expected, abs=1e-6)


def test_the_pair_is_the_best_of_all_pairs() -> None:
    slides, scores = reference_slides(5, TRUE_BINS, noise=6.0)
    found = fit_reference(slides, scores=scores, thresholds=GRID, draws=FEW).fit
    shares = {each.slide: dict(zip(GRID.tolist(), each.shares, strict=True)) for each in slides}
    weak = found.bins.weak

    def error(moderate: float, strong: float) -> float:
        return float(
            np.mean(
                [
                    abs(100 * (at[weak] + at[moderate] + at[strong]) - scores["h_score"][name])
                    for name, at in shares.items()
                ]
            )
        )

    above = [value for value in GRID.tolist() if value > weak]
    least = min(error(*pair) for pair in itertools.combinations(above, 2))
    assert error(found.bins.moderate, found.bins.strong) == pytest.approx(least)
    assert found.errors["h_score_fitted"] == pytest.approx(least, abs=1e-6)


def test_percentages_alone_fit_the_weak_threshold_alone() -> None:
    slides, scores = reference_slides(10, IntensityBins(0.31, 0.5, 0.7))
    found = fit_reference(slides, scores={"percent": scores["percent"]}, thresholds=GRID, draws=FEW).fit
    # the start values 0.4 and 0.6 move up, so that weak is no nearer to moderate than 0.2
    assert found.bins == IntensityBins(0.31, 0.51, 0.71)
    assert found.fitted == ("weak",)
    assert set(found.intervals) == {"weak"}
    assert found.flags == (Flag.LAB_GRADES_NOT_FITTED,)


def test_h_scores_alone_leave_the_weak_threshold_at_its_start() -> None:
    slides, scores = reference_slides(10, IntensityBins(0.2, 0.45, 0.71))
    found = fit_reference(slides, scores={"h_score": scores["h_score"]}, thresholds=GRID, draws=FEW).fit
    assert found.bins == IntensityBins(0.2, 0.45, 0.71)
    assert found.fitted == ("moderate", "strong")
    assert Flag.LAB_WEAK_NOT_FITTED in found.flags


def test_few_slides_are_flagged_and_fewer_refused() -> None:
    slides, scores = reference_slides(9, TRUE_BINS)
    assert Flag.LAB_FEW_SLIDES in fit_reference(slides, scores=scores, thresholds=GRID, draws=FEW).fit.flags
    with pytest.raises(InvalidTableError, match="2 slides with a reference percent; at least 3"):
        fit_reference(slides[:2], scores={"percent": scores["percent"]}, thresholds=GRID)
    with pytest.raises(InvalidTableError, match="no slide has a score"):
        fit_reference(slides, scores={}, thresholds=GRID)


def test_scores_that_are_all_alike_or_out_of_range_are_refused() -> None:
    slides, _ = reference_slides(4, TRUE_BINS)
    alike = {each.slide: 50.0 + n for n, each in enumerate(slides)}
    with pytest.raises(InvalidTableError, match=r"spans only 3\.0"):
        fit_reference(slides, scores={"percent": alike}, thresholds=GRID)
    with pytest.raises(InvalidTableError, match="outside 0-100"):
        fit_reference(slides, scores={"percent": alike | {"case00": 101.0}}, thresholds=GRID)


def test_a_fit_that_does_worse_than_the_start_values_on_slides_left_out_says_so() -> None:
    slides, scores = reference_slides(4, IntensityBins())  # the start values are the truth
    wrong = {
        name: value + shift
        for (name, value), shift in zip(scores["percent"].items(), (9, -9, 9, -9), strict=True)
    }
    fit = fit_reference(slides, scores={"percent": wrong}, thresholds=GRID, draws=FEW).fit
    assert fit.errors["percent_left_out"] > fit.errors["percent_start"] >= fit.errors["percent_fitted"]
    assert Flag.LAB_NO_BETTER_THAN_START in fit.flags


@pytest.mark.parametrize(
    ("errors", "middle"),
    [([3, 1, 1, 1, 2], 2), ([1, 1, 1, 1], 1), ([1, 2, 1, 1, 2], 2), ([1, 2, 1], 0), ([0.3, 0.1 + 0.2], 0)],
)
def test_ties_go_to_the_middle_of_the_longest_flat_stretch(errors: list[float], middle: int) -> None:
    assert middle_of_best(np.array(errors, float)) == middle


@given(st.integers(0, 2**32 - 1), st.sampled_from(GRID.tolist()))
@settings(max_examples=60, deadline=None)
def test_membrane_strength_is_the_highest_threshold_at_which_stain_is_seen(seed: int, weak: float) -> None:
    random = np.random.default_rng(seed)
    ring = random.integers(0, 120, (30, 32)) / np.float32(100) * random.random((30, 1)).round(1)
    cytoplasm = (random.integers(0, 60, 30) / 100).astype(np.float32)
    seen = judge_membranes(ring, cytoplasm, bins=IntensityBins(weak, weak + 0.1, weak + 0.2)).stained
    assert (seen == (membrane_strength(ring, cytoplasm) >= np.round(weak, 2))).all()


def test_grades_can_rest_on_other_strengths_than_the_weak_threshold() -> None:
    slides, levels = control_slides(2)
    asked = []

    def regrade(weak: float) -> list[StainedSlide]:
        asked.append(weak)
        return [StainedSlide(each.slide, np.roll(each.counts, 5)) for each in slides]  # 0.05 OD darker

    plain = fit_controls(slides, levels=levels, thresholds=GRID, draws=FEW)
    moved = fit_controls(slides, levels=levels, thresholds=GRID, draws=FEW, regrade=regrade)
    assert asked == [plain.bins.weak]
    assert moved.bins.weak == plain.bins.weak
    assert moved.bins.moderate == pytest.approx(plain.bins.moderate + 0.05)
