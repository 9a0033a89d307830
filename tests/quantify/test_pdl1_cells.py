"""PD-L1: which cells count where, and counts that cannot be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidelab.errors import InvalidTableError, SettingsError
from slidelab.quantify import (
    CellKind,
    Pdl1Areas,
    Pdl1Evidence,
    count_pdl1_cells,
)

from .pdl1_evidence import cps, evidence, tps

ALL_KINDS = tuple(CellKind)


def test_worked_example_plasma_cells_do_not_count() -> None:
    # 120 tumour cells, 30 stained, beside them stained: 18 lymphocytes, 6 macrophages, 9 plasma cells
    kinds = ["tumour"] * 120 + ["lymphocyte"] * 18 + ["macrophage"] * 6 + ["plasma cell"] * 9
    stained = np.array([True] * 30 + [False] * 90 + [True] * 33)
    found = count_pdl1_cells(
        kinds,
        membrane=stained,
        cytoplasm=np.zeros(153, dtype=bool),
        positions_um=np.zeros((153, 2)),
        finds=ALL_KINDS,
    )
    assert (tps(found).value, cps(found).value) == (25.0, 45.0)
    assert found.left_out == {"plasma cell": 9}


def test_lymphocytes_without_macrophages_are_refused() -> None:
    with pytest.raises(InvalidTableError):
        Pdl1Evidence(100, 10, lymphocytes_positive=3)
    assert Pdl1Evidence(100, 10, 3, 4, 5).combined_immune == 12


@pytest.mark.parametrize("counts", [(10, 11, 0), (-1, 0, 0), (10, -1, 0), (10, 5, -1)])
def test_wrong_counts_are_refused(counts: tuple[int, int, int]) -> None:
    with pytest.raises(InvalidTableError):
        evidence(*counts)


@pytest.mark.parametrize(
    "areas",
    [
        {"tumour_mm2": -1.0},
        {"tumour_mm2": float("nan")},
        {"tumour_mm2": 1.0, "stained_mm2": 1.1},
        {"tumour_mm2": 1.0, "immune_mm2": -0.1},
        {"tumour_mm2": 1.0, "immune_mm2": 0.1, "stained_immune_mm2": 0.2},
    ],
)
def test_wrong_areas_are_refused(areas: dict[str, float]) -> None:
    with pytest.raises(InvalidTableError):
        Pdl1Areas(**areas)


def count_one(
    kind: str, *, membrane: bool, cytoplasm: bool, x_um: float = 0.0, linked: bool = True
) -> Pdl1Evidence:
    """Count one cell beside an unstained tumour cell at the origin."""
    return count_pdl1_cells(
        ["tumour", kind],
        membrane=[False, membrane],
        cytoplasm=[False, cytoplasm],
        positions_um=[[0.0, 0.0], [x_um, 0.0]],
        finds=ALL_KINDS,
        linked=[True, linked],
    )


@pytest.mark.parametrize("membrane", [True, False])
@pytest.mark.parametrize("cytoplasm", [True, False])
def test_tumour_cells_need_membrane_stain_and_always_count_below(membrane: bool, cytoplasm: bool) -> None:
    found = count_one("tumour", membrane=membrane, cytoplasm=cytoplasm)
    assert (found.tumour, found.tumour_positive, found.combined_immune) == (2, int(membrane), 0)


@pytest.mark.parametrize("kind", ["lymphocyte", "macrophage", "immune"])
@pytest.mark.parametrize("membrane", [True, False])
@pytest.mark.parametrize("cytoplasm", [True, False])
def test_immune_cells_count_with_any_stain_in_the_numerator_of_cps_only(
    kind: str, membrane: bool, cytoplasm: bool
) -> None:
    found = count_one(kind, membrane=membrane, cytoplasm=cytoplasm)
    assert (found.tumour, found.tumour_positive) == (1, 0)
    assert found.combined_immune == int(membrane or cytoplasm)


@pytest.mark.parametrize("kind", sorted(set(CellKind) - {"tumour", "lymphocyte", "macrophage", "immune"}))
def test_other_cells_count_nowhere(kind: str) -> None:
    found = count_one(kind, membrane=True, cytoplasm=True)
    assert (found.tumour, found.tumour_positive, found.combined_immune) == (1, 0, 0)
    assert found.left_out == {kind: 1}
    assert count_one(kind, membrane=False, cytoplasm=False).left_out == {}


def test_immune_cells_count_within_half_a_millimetre_of_the_tumour() -> None:
    assert count_one("lymphocyte", membrane=True, cytoplasm=False, x_um=500.0).combined_immune == 1
    beyond = count_one("lymphocyte", membrane=True, cytoplasm=False, x_um=500.1)
    assert (beyond.combined_immune, beyond.left_out) == (0, {"far from tumour": 1})


def test_immune_cells_of_something_else_count_nowhere() -> None:
    found = count_one("macrophage", membrane=True, cytoplasm=True, linked=False)
    assert (found.combined_immune, found.left_out) == (0, {"not linked to tumour": 1})


def test_without_tumour_no_immune_cell_is_adjacent() -> None:
    found = count_pdl1_cells(
        ["lymphocyte"], membrane=[True], cytoplasm=[False], positions_um=[[0.0, 0.0]], finds=ALL_KINDS
    )
    assert (found.tumour, found.combined_immune) == (0, 0)
    empty = count_pdl1_cells([], membrane=[], cytoplasm=[], positions_um=np.zeros((0, 2)), finds=ALL_KINDS)
    assert (empty.tumour, empty.combined_immune, empty.left_out) == (0, 0, {})


def test_a_detector_of_tumour_alone_leaves_immune_cells_unknown() -> None:
    alone = {"membrane": [True], "cytoplasm": [False], "positions_um": [[0.0, 0.0]]}
    assert count_pdl1_cells(["tumour"], finds=[CellKind.TUMOUR], **alone).combined_immune is None
    unspecified = count_pdl1_cells(["tumour"], finds=[CellKind.TUMOUR, CellKind.IMMUNE], **alone)
    assert (unspecified.combined_immune, unspecified.lymphocytes_positive) == (0, None)
    with pytest.raises(SettingsError):
        count_pdl1_cells(["tumour"], finds=[CellKind.TUMOUR, CellKind.LYMPHOCYTE], **alone)
    with pytest.raises(InvalidTableError):
        count_pdl1_cells(["immune"], finds=[CellKind.TUMOUR], **alone)


def test_columns_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InvalidTableError):
        count_pdl1_cells(
            ["tumour"] * 2, membrane=[True], cytoplasm=[True], positions_um=[[0.0, 0.0]], finds=ALL_KINDS
        )
    with pytest.raises(SettingsError):
        count_pdl1_cells(
            ["tumour"],
            membrane=[True],
            cytoplasm=[True],
            positions_um=[[0.0, 0.0]],
            finds=ALL_KINDS,
            reach_um=0,
        )


@given(
    st.lists(
        st.tuples(
            st.sampled_from(ALL_KINDS), st.booleans(), st.booleans(), st.integers(0, 2000), st.booleans()
        ),
        max_size=30,
    ),
    st.randoms(),
)
def test_counts_ignore_order_and_lose_no_stained_cell(cells: list[tuple[Any, ...]], random: object) -> None:
    def count(rows: list[tuple[Any, ...]]) -> Pdl1Evidence:
        return count_pdl1_cells(
            [str(row[0]) for row in rows],
            membrane=np.array([row[1] for row in rows], dtype=bool),
            cytoplasm=np.array([row[2] for row in rows], dtype=bool),
            positions_um=np.array([(row[3], 0.0) for row in rows]).reshape(-1, 2),
            finds=ALL_KINDS,
            linked=np.array([row[4] for row in rows], dtype=bool),
        )

    shuffled = list(cells)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    found = count(cells)
    assert found == count(shuffled)
    stained = sum(row[1] if row[0] is CellKind.TUMOUR else row[1] or row[2] for row in cells)
    assert found.tumour_positive + (found.combined_immune or 0) + sum(found.left_out.values()) == stained
