"""Which calls are accepted, and which detections are one object."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidelab.errors import InvalidTableError, SettingsError
from slidelab.quantify import CallTable, cervical_cutoffs, count_calls, interpret_calls, merge_calls


def table(*rows, cells=None, excluded=None) -> CallTable:
    x, y, codes, probability = zip(*rows, strict=True)
    return CallTable.of(x, y, codes=codes, probability=probability, cells=cells, excluded=excluded)


def test_a_call_is_accepted_from_its_threshold_on():
    calls = table((0, 0, "HSIL", 0.5), (100, 0, "HSIL", 0.4999), (200, 0, "LSIL", 0.9), (300, 0, "NILM", 1.0))
    counts = count_calls(calls)
    assert dict(counts.counting) == {"HSIL": 1, "LSIL": 1}
    strict = cervical_cutoffs().with_rules(thresholds={"LSIL": 0.95})
    assert dict(count_calls(calls, cutoffs=strict).counting) == {"HSIL": 1}


def test_out_of_focus_and_excluded_objects_do_not_count():
    calls = table((0, 0, "HSIL", 0.9), (99, 0, "HSIL", 0.9), excluded=("out_of_focus", ""))
    assert dict(count_calls(calls).counting) == {"HSIL": 1}


def test_detections_nearer_than_10_um_are_one():
    apart = [(0, 0, "HSIL", 0.9), (10, 0, "HSIL", 0.8)]
    near = [(0, 0, "HSIL", 0.9), (9.99, 0, "HSIL", 0.8)]
    assert count_calls(table(*apart)).counting["HSIL"] == 2
    assert count_calls(table(*near)).counting["HSIL"] == 1


def test_the_most_severe_of_one_object_stays():
    calls = table((0, 0, "ASC-US", 0.99), (3, 0, "HSIL", 0.6), (5, 0, "LSIL", 0.9))
    assert dict(count_calls(calls).counting) == {"HSIL": 1}


def test_a_row_of_near_cells_is_not_swallowed_by_one():
    calls = table(*((8.0 * step, 0, "HSIL", 0.9) for step in range(5)))  # 0, 8, ..., 32 um
    assert count_calls(calls).counting["HSIL"] == 3


def test_squamous_glandular_and_organisms_are_merged_apart():
    calls = table(
        (0, 0, "HSIL", 0.9),
        (2, 0, "AGC", 0.9),
        (3, 0, "CANDIDA", 0.9),
        (4, 0, "CANDIDA", 0.8),
        cells=[1, 6, 1, 1],
    )
    counts = count_calls(calls)
    assert dict(counts.counting) == {"HSIL": 1, "AGC-NOS": 1}
    assert dict(counts.findings) == {"CANDIDA": 1}


@pytest.mark.parametrize(("cells", "result"), [(6, "AGC-NOS"), (5, "AGC-NOS"), (4, None), (1, None)])
def test_a_glandular_group_needs_5_cells(cells, result):
    counts = count_calls(table((0, 0, "AGC", 0.9), cells=[cells]))
    assert interpret_calls(counts).headline == result
    assert dict(counts.undersized) == ({} if result else {"AGC-NOS": 1})


def test_a_merged_group_holds_as_many_cells_as_its_largest_detection():
    calls = table((0, 0, "AGC", 0.9), (4, 0, "AGC", 0.7), cells=[3, 7])
    assert dict(count_calls(calls).counting) == {"AGC-NOS": 1}


@given(
    st.lists(
        st.tuples(
            st.integers(0, 60),
            st.integers(0, 60),
            st.sampled_from(["HSIL", "LSIL", "AGC", "CANDIDA", "NILM"]),
            st.sampled_from([0.3, 0.6, 0.9]),
        ),
        min_size=1,
        max_size=25,
    ),
    st.randoms(),
)
def test_counts_do_not_depend_on_the_order_of_the_table(rows, random):
    shuffled = list(rows)
    random.shuffle(shuffled)
    assert count_calls(table(*rows)) == count_calls(table(*shuffled))


def test_kept_rows_of_a_line_are_10_um_apart_and_every_other_is_near_one():
    random = np.random.default_rng(1)
    x, y = random.uniform(0, 200, 400), random.uniform(0, 200, 400)
    calls = CallTable.of(x, y, codes=["LSIL"] * 400, probability=random.uniform(0.5, 1, 400))
    kept = list(merge_calls(calls, range(400)))
    gap = np.hypot(x[:, None] - x[kept], y[:, None] - y[kept])
    assert (gap.min(axis=1) < 10).all()
    among = gap[kept] + 99 * np.eye(len(kept))
    assert among.min() >= 10


def test_impossible_tables_are_refused():
    with pytest.raises(InvalidTableError):
        table((0, 0, "HSIL", 1.2))
    with pytest.raises(InvalidTableError):
        table((0, float("nan"), "HSIL", 0.5))
    with pytest.raises(InvalidTableError):
        table((0, 0, "HSIL", 0.5), cells=[0])
    with pytest.raises(InvalidTableError):
        CallTable.of([0, 1], [0], codes=["HSIL"], probability=[0.5])
    with pytest.raises(SettingsError):
        count_calls(table((0, 0, "LSIL-H", 0.5)))


def test_an_empty_table_has_no_calls():
    empty = CallTable.of([], [], codes=[], probability=[])
    assert count_calls(empty).total == 0
