"""The gallery: suspicious objects first, no place twice, every class and organism shown."""

from __future__ import annotations

import numpy as np
import pytest

from slidelab.errors import InvalidTableError
from slidelab.quantify import CallTable, rank_gallery, slide_risk, suspicion, worklist_order

CODES = ("NILM", "ASC-US", "LSIL", "HSIL", "SCC", "CANDIDA")


def test_suspicion_is_probability_weighted_by_severity():
    found = suspicion(
        [[1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 0], [0, 0, 0, 0, 0, 1], [0.4, 0.3, 0, 0.3, 0, 0]], codes=CODES
    )
    assert found == pytest.approx([0, 1, 0, 0.3 / 6 + 0.3 * 4 / 6])


def test_suspicion_refuses_what_are_no_probabilities():
    for wrong in ([[0.5, 0.5]], [[0.9, 0.9, 0, 0, 0, 0]], [[-0.1, 0, 0, 0, 0, 0]]):
        with pytest.raises(InvalidTableError):
            suspicion(wrong, codes=CODES)


def calls_of(rows, excluded=None) -> CallTable:
    x, codes, probability = zip(*rows, strict=True)
    return CallTable.of(x, [0.0] * len(x), codes=codes, probability=probability, excluded=excluded)


def test_gallery_is_ranked_limited_and_shows_no_place_twice():
    rows = [(60.0 * place, "LSIL", 0.6) for place in range(100)]
    scores = np.linspace(0.1, 0.9, 100)
    shown = rank_gallery(calls_of(rows), scores)
    assert len(shown) == 30
    assert list(scores[list(shown)]) == sorted(scores, reverse=True)[:30]
    crowded = calls_of([(float(place), "LSIL", 0.6) for place in range(100)])
    where = crowded.x_um[list(rank_gallery(crowded, scores))]
    assert np.diff(np.sort(where)).min() >= 49


def test_the_best_object_of_every_class_is_always_shown():
    rows = [(60.0 * place, "HSIL", 0.9) for place in range(60)] + [
        (9000.0, "ASC-US", 0.2),
        (9100.0, "AGC", 0.1),
    ]
    scores = np.array([0.8] * 60 + [0.01, 0.02])
    shown = rank_gallery(calls_of(rows), scores)
    assert {60, 61} <= set(shown)
    assert len(shown) == 30
    assert shown[-2:] == (61, 60)  # in their place in the order


def test_as_many_of_each_class_are_shown_as_make_a_result():
    severe = [(60.0 * place, "SCC", 0.9) for place in range(60)]
    mild = [(9000.0 + 60.0 * place, "ASC-US", 0.3 + 0.1 * place) for place in range(7)]
    beside = [(9000.0 + 60.0 * 6 + 5.0, "ASC-US", 0.85)]
    shown = rank_gallery(calls_of(severe + mild + beside), np.array([0.8] * 60 + [0.1] * 8))
    assert len(shown) == 30
    assert set(shown) >= {62, 63, 64, 65, 66}  # five make ASC-US; no place twice
    assert not set(shown) & {60, 61, 67}


def test_what_may_be_a_lesion_is_shown_whatever_it_was_called():
    rows = [(100.0, "HERPES", 0.6), (300.0, "HERPES", 0.99), (500.0, "NILM", 0.9)]
    shown = rank_gallery(calls_of(rows), [0.35, 0.001, 0.01])
    assert shown == (0, 2, 1)


def test_five_of_each_organism_follow_and_excluded_objects_do_not():
    rows = [(60.0 * place, "CANDIDA", 0.1 * place) for place in range(9)] + [(0.0, "CHLAMYDIA", 0.9)]
    rows += [(0.0, "HSIL", 0.9), (500.0, "HSIL", 0.8)]
    calls = calls_of(rows, excluded=[""] * 10 + ["out_of_focus", ""])
    shown = rank_gallery(calls, [0.0] * 10 + [0.9, 0.8])
    assert shown == (11, 8, 7, 6, 5, 4)


def test_gallery_of_nothing_is_empty():
    assert rank_gallery(CallTable.of([], [], codes=[], probability=[]), []) == ()
    with pytest.raises(InvalidTableError):
        rank_gallery(calls_of([(0.0, "HSIL", 0.9)]), [0.1, 0.2])


def test_risk_never_falls_with_more_suspicious_objects():
    assert slide_risk([]) == 0
    assert slide_risk([0.5]) == 0.5
    assert slide_risk([0.5, 0.5]) == 0.75
    assert slide_risk([0.2] * 10) == slide_risk([0.2] * 500)  # many doubtful objects stay doubtful
    assert slide_risk([1.0, 0.1]) == 1
    with pytest.raises(InvalidTableError):
        slide_risk([1.5])


def test_worklist_begins_with_what_nobody_knows():
    assert worklist_order([0, 4, None, 4, 0], [0.1, 0.2, None, 0.9, None]) == (2, 3, 1, 4, 0)
    with pytest.raises(InvalidTableError):
        worklist_order([1.0], [])
