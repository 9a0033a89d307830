"""Phantoms of nuclear and membrane markers: what is painted is what their truth says."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy import ndimage

from slidelab.errors import SettingsError
from slidelab.wsi.phantom import KINDS, PhantomSettings, write_phantom
from slidelab.wsi.phantom.borders import cell_radii
from slidelab.wsi.phantom.cells import TUMOUR, VERTICES, Cells
from slidelab.wsi.phantom.grading import deal
from slidelab.wsi.phantom.her2 import MEMBRANES
from slidelab.wsi.phantom.layout import Layout
from slidelab.wsi.phantom.paint import Canvas
from slidelab.wsi.phantom.texture import Grid

NEW = ("er", "pr", "her2", "pdl1")
COATED = ("her2", "pdl1")
DIRECTIONS = 64


class Written(NamedTuple):
    cells: dict[str, np.ndarray]
    facts: dict[str, Any]
    value: float | None
    digest: str


def write(folder: Path, *, workers: int = 2, **options: Any) -> Written:
    options = {"width": 1536, "height": 1536, "tissue_fraction": 0.45, **options}
    truth = write_phantom(folder / "slide.tiff", PhantomSettings(**options), workers=workers)
    table = pq.read_table(truth.cells_path)
    cells = {name: np.array(table[name].to_pylist()) for name in table.column_names if name != "geometry"}
    facts = json.loads(truth.json_path.read_text(encoding="utf-8"))
    return Written(cells, facts, truth.value, digest(truth.path, truth.cells_path, truth.json_path))


def digest(*paths: Path) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Written]:
    """Return a small slide of each new kind, with artefacts."""
    return {kind: write(tmp_path_factory.mktemp(kind), kind=kind, seed=2) for kind in NEW}


class Stained(NamedTuple):
    cells: Cells
    dab: np.ndarray
    radii: np.ndarray
    "Distance of each cell's border from its nucleus' middle in ``DIRECTIONS``, um."


@pytest.fixture(scope="module")
def stained() -> dict[str, Stained]:
    """Return the DAB of a part of a slide as painted, before any optics, for each membrane marker."""
    found = {}
    for kind in COATED:
        canvas = Canvas(PhantomSettings(kind=kind, width=1600, height=1600, tissue_fraction=0.5, seed=2))
        maps, _, _ = canvas.stain(Grid(0, 0, width=1600, height=1600, mpp=0.25))
        cells = canvas.layout.cells_near(0.0, 0.0, 400.0, 400.0)
        turn = np.arange(DIRECTIONS) / DIRECTIONS * VERTICES
        radii = np.array(
            [np.interp(turn, np.arange(VERTICES), r, period=VERTICES) for r in cell_radii(cells)]
        )
        found[kind] = Stained(cells, maps[1], radii)
    return found


def ring(stained: Stained, row: int) -> np.ndarray:
    """Return the highest DAB near a cell's border in each direction, on the cell's own side."""
    angle = np.arange(DIRECTIONS) * (2.0 * math.pi / DIRECTIONS)
    reach = stained.radii[row] - np.linspace(0.0, 0.8, 6)[:, None]
    x, y = stained.cells.x[row] + reach * np.cos(angle), stained.cells.y[row] + reach * np.sin(angle)
    values = ndimage.map_coordinates(stained.dab, (y / 0.25 - 0.5, x / 0.25 - 0.5), order=1, mode="nearest")
    return values.max(axis=0)


def rings(stained: Stained, rows: np.ndarray) -> np.ndarray:
    return np.array([ring(stained, row) for row in np.flatnonzero(rows)])


class TestSettings:
    @pytest.mark.parametrize(
        ("options", "what"),
        [
            ({"kind": "ki67", "intensity_mix": (0.3, 0.4, 0.3)}, "takes no intensity mix"),
            ({"kind": "er", "membrane_mix": (0.2,) * 5}, "takes no membrane mix"),
            ({"kind": "her2", "immune_positive": 0.1}, "takes no immune positive"),
            ({"kind": "er", "intensity_mix": (0.3, 0.4, 0.4)}, "intensity mix (0.3, 0.4, 0.4)"),
            ({"kind": "pr", "intensity_mix": (0.5, 0.5)}, "intensity mix (0.5, 0.5)"),
            ({"kind": "er", "intensity_mix": (1.5, -0.5, 0.0)}, "intensity mix (1.5, -0.5, 0.0)"),
            ({"kind": "er", "intensity_mix": (math.nan, 0.5, 0.5)}, "intensity mix"),
            ({"kind": "her2", "membrane_mix": (0.2, 0.2, 0.2, 0.2, 0.1)}, "membrane mix"),
            ({"kind": "pdl1", "immune_positive": 1.1}, "immune positive 1.1"),
            ({"kind": "pdl1", "immune_positive": math.nan}, "immune positive nan"),
        ],
    )
    def test_refuses_what_the_kind_does_not_take(self, options: dict[str, Any], what: str) -> None:
        with pytest.raises(SettingsError) as caught:
            PhantomSettings(**options)
        assert what in str(caught.value)
        assert caught.value.advice
        assert "\n" not in str(caught.value) + caught.value.advice

    def test_a_membrane_mix_stands_for_the_truth(self) -> None:
        settings = PhantomSettings(kind="her2", truth=50.0, membrane_mix=(0.1, 0.2, 0.3, 0.0, 0.4))
        assert settings.truth_percent == pytest.approx(10.0)
        assert settings.membrane_shares == settings.membrane_mix
        assert math.fsum(PhantomSettings(kind="her2", truth=35.0).membrane_shares) == pytest.approx(1.0)

    def test_only_pdl1_brings_stroma_unasked(self) -> None:
        assert {kind for kind in NEW if PhantomSettings(kind=kind).stroma_nuclei > 0.0} == {"pdl1"}
        assert PhantomSettings(kind="pdl1", stroma_share=0.1).stroma_nuclei == 0.1

    def test_the_summary_lists_only_settings_of_the_kind(self, slides: dict[str, Written]) -> None:
        own = {"intensity_mix", "membrane_mix", "immune_positive"}
        for kind in NEW:
            assert own & set(slides[kind].facts["settings"]) == set(KINDS[kind].takes)


class TestTruth:
    @pytest.mark.parametrize("kind", NEW)
    def test_the_truth_asked_for_comes_out(self, slides: dict[str, Written], kind: str) -> None:
        cells = slides[kind].cells
        tumour = cells["class"] == "tumour"
        positive = tumour & (cells["label"] == "Positive")
        assert slides[kind].value == pytest.approx(100.0 * positive.sum() / tumour.sum())
        assert abs(positive.sum() - KINDS[kind].default_truth / 100.0 * tumour.sum()) <= 1.0

    @pytest.mark.parametrize("kind", ["er", "pr"])
    def test_receptor_scores_are_those_of_the_table(self, slides: dict[str, Written], kind: str) -> None:
        cells, facts = slides[kind].cells, slides[kind].facts
        for where, rows in (("all", cells["x"] > 0), ("outside_artefacts", cells["artefact"] == "")):
            n = [int((cells["intensity"][rows] == k).sum()) for k in range(4)]
            scores = facts["scores"][where]
            assert [scores[f"n{k}"] for k in range(4)] == n
            assert scores["percent"] == pytest.approx(100.0 * sum(n[1:]) / sum(n))
            assert scores["h_score"] == pytest.approx(100.0 * (n[1] + 2 * n[2] + 3 * n[3]) / sum(n))
        assert ((cells["intensity"] > 0) == (cells["label"] == "Positive")).all()

    def test_strengths_come_in_the_mix_asked_for(self) -> None:
        settings = PhantomSettings(kind="er", width=6000, height=6000, intensity_mix=(0.5, 0.1, 0.4))
        cells = Layout(settings).cells_near(0.0, 0.0, 1500.0, 1500.0)
        counts = np.bincount(cells.grade[cells.positive], minlength=4)
        np.testing.assert_allclose(counts[1:], counts.sum() * np.array([0.5, 0.1, 0.4]), atol=3.0)

    def test_her2_counts_are_those_of_the_table(self, slides: dict[str, Written]) -> None:
        cells, facts = slides["her2"].cells, slides["her2"].facts
        for where, rows in (("all", cells["x"] > 0), ("outside_artefacts", cells["artefact"] == "")):
            counts, scores = Counter(cells["membrane"][rows].tolist()), facts["scores"][where]
            assert {name: scores[name] for name in MEMBRANES} == counts
            assert scores["tumour_cells"] == rows.sum()
            assert scores["share_CW"] == pytest.approx(counts["CW"] / rows.sum())
        assert ((cells["membrane"] == "CI") == (cells["label"] == "Positive")).all()

    def test_her2_classes_come_in_the_mix_asked_for(self) -> None:
        mix = (0.04, 0.3, 0.16, 0.25, 0.25)
        settings = PhantomSettings(kind="her2", width=6000, height=6000, membrane_mix=mix, stroma_share=0.3)
        cells = Layout(settings).cells_near(0.0, 0.0, 1500.0, 1500.0)
        tumour = cells.kind == TUMOUR
        counts = np.bincount(cells.grade[tumour], minlength=5)[::-1]
        np.testing.assert_allclose(counts, tumour.sum() * np.array(mix), atol=4.0)
        assert (cells.coats.membrane_od[~tumour] == 0.0).all()
        assert (cells.coats.cytoplasm_od[~tumour] == 0.0).all()

    def test_her2_rows_keep_to_their_class(self, slides: dict[str, Written]) -> None:
        cells = slides["her2"].cells
        limits = {"CI": (0.6, 9.0), "CW": (0.2, 0.6), "IM": (0.4, 9.0), "IF": (0.2, 0.4), "NO": (-0.1, 0.1)}
        for name, (low, high) in limits.items():
            rows = cells["membrane"] == name
            assert rows.sum() > 10
            assert low + 0.03 < cells["membrane_od"][rows].min()
            assert cells["membrane_od"][rows].max() < high - 0.03
            full = cells["completeness"][rows] >= 0.9
            assert full.all() if name in ("CI", "CW") else not full.any()
        assert 0.07 < cells["cytoplasm_od"][cells["membrane"] == "NO"].max() < 0.2

    def test_pdl1_scores_are_those_of_the_table(self, slides: dict[str, Written]) -> None:
        cells, facts = slides["pdl1"].cells, slides["pdl1"].facts
        positive = cells["label"] == "Positive"
        for where, rows in (("all", cells["x"] > 0), ("outside_artefacts", cells["artefact"] == "")):
            stained = Counter(cells["class"][rows & positive].tolist())
            tumour, scores = int((rows & (cells["class"] == "tumour")).sum()), facts["scores"][where]
            assert (scores["tumour_cells"], scores["positive_tumour_cells"]) == (tumour, stained["tumour"])
            assert scores["positive_lymphocytes"] == stained["lymphocyte"] > 0
            assert scores["positive_macrophages"] == stained["macrophage"] > 0
            assert scores["tps"] == pytest.approx(100.0 * stained["tumour"] / tumour)
            assert scores["cps_raw"] == pytest.approx(100.0 * sum(stained.values()) / tumour)
            assert scores["cps"] == min(scores["cps_raw"], 100.0)
        assert set(cells["label"][cells["class"] == "stroma"]) == {""}
        assert ((cells["membrane_od"] > 0.0) == positive).all()

    def test_immune_cells_stain_in_their_share_and_enter_nests(self) -> None:
        settings = PhantomSettings(kind="pdl1", width=6000, height=6000, immune_positive=0.4, truth=0.0)
        layout = Layout(settings)
        cells = layout.cells_near(0.0, 0.0, 1500.0, 1500.0)
        immune = cells.kind >= 2
        assert immune.sum() > 300
        assert cells.positive[immune].mean() == pytest.approx(0.4, abs=0.02)
        assert not cells.positive[~immune].any()
        inside = layout.field.nest_depth(cells.x, cells.y) > 4.0
        assert 0.03 < immune[inside].mean() < 0.15
        assert (cells.kind[immune & inside] == 3).any()

    def test_many_stained_immune_cells_cap_the_cps(self, tmp_path: Path) -> None:
        written = write(
            tmp_path, kind="pdl1", truth=90.0, stroma_share=0.6, immune_positive=1.0, width=1024, height=1024
        )
        scores = written.facts["scores"]["all"]
        assert scores["cps_raw"] > 100.0
        assert scores["cps"] == 100.0

    @pytest.mark.parametrize("kind", ["er", "her2", "pdl1"])
    def test_workers_do_not_change_a_byte(
        self, tmp_path: Path, slides: dict[str, Written], kind: str
    ) -> None:
        assert write(tmp_path, kind=kind, seed=2, workers=1).digest == slides[kind].digest

    @pytest.mark.parametrize("kind", ["pr", "pdl1"])
    def test_the_other_scanner_sees_the_same_cells(
        self, tmp_path: Path, slides: dict[str, Written], kind: str
    ) -> None:
        other = write(tmp_path, kind=kind, seed=2, scanner="b")
        for name, column in slides[kind].cells.items():
            np.testing.assert_array_equal(column, other.cells[name])
        assert other.facts["stain_vectors"] != slides[kind].facts["stain_vectors"]


class TestPaint:
    @pytest.mark.parametrize("kind", ["er", "pr"])
    def test_nuclei_are_as_dense_as_their_strength(self, slides: dict[str, Written], kind: str) -> None:
        cells = slides[kind].cells
        limits = ((-0.1, 0.12), (0.2, 0.4), (0.4, 0.6), (0.6, 9.0))
        for k, (low, high) in enumerate(limits):
            od = cells["dab_od"][cells["intensity"] == k]
            assert len(od) > 20
            assert low + 0.04 <= od.min()
            assert od.max() <= high - (0.04 if k else 0.0)

    def test_rings_are_as_dense_and_as_complete_as_the_table_says(self, stained: dict[str, Stained]) -> None:
        part = stained["her2"]
        for name, low, high in (("CI", 0.6, 2.0), ("CW", 0.2, 0.6), ("IM", 0.4, 2.0), ("IF", 0.2, 0.4)):
            rows = (part.cells.kind == TUMOUR) & (part.cells.grade == MEMBRANES.index(name))
            found, coats = rings(part, rows), part.cells.coats[rows]
            covered = found > 0.5 * coats.membrane_od[:, None]
            peak = np.array([np.median(one[on]) for one, on in zip(found, covered, strict=True)])
            np.testing.assert_allclose(peak, coats.membrane_od, rtol=0.12)
            assert low < peak.min()
            assert peak.max() < high
            share = covered.mean(axis=1)
            assert np.abs(share - coats.completeness).mean() < 0.03
            assert np.percentile(np.abs(share - coats.completeness), 95) < 0.08

    def test_cells_without_membrane_show_none_beside_stained_neighbours(
        self, stained: dict[str, Stained]
    ) -> None:
        part = stained["her2"]
        rows = (part.cells.kind == TUMOUR) & (part.cells.grade == MEMBRANES.index("NO"))
        found = rings(part, rows)
        assert (found > 0.2).mean() < 0.01  # where three nuclei lie on top of one another
        assert ((found > 0.2).mean(axis=1) > 0.2).mean() < 0.01

    def test_stained_immune_cells_are_brown_all_through(self, stained: dict[str, Stained]) -> None:
        part = stained["pdl1"]
        immune = part.cells.kind >= 2
        for positive, low, high in ((True, 0.30, 2.0), (False, -0.1, 0.2)):
            found = rings(part, immune & (part.cells.positive == positive)).mean(axis=1)
            assert len(found) > 10
            assert low < found.min()
            assert np.percentile(found, 95) < high

    def test_cells_do_not_reach_into_one_another(self, stained: dict[str, Stained]) -> None:
        part = stained["her2"]
        angle = np.arange(DIRECTIONS) * (2.0 * math.pi / DIRECTIONS)
        x = part.cells.x[:, None] + part.radii * np.cos(angle)
        y = part.cells.y[:, None] + part.radii * np.sin(angle)
        inside = 0
        for row in range(len(part.cells)):
            across, down = x - part.cells.x[row], y - part.cells.y[row]
            border = np.interp(np.arctan2(down, across), angle, part.radii[row], period=2.0 * math.pi)
            within = np.hypot(across, down) < border - 0.05
            within[row] = False
            inside += int(within.sum())
        assert inside < 0.005 * x.size

    @pytest.mark.parametrize("kind", NEW)
    def test_tissue_looks_the_same_from_every_window(self, kind: str) -> None:
        canvas = Canvas(PhantomSettings(kind=kind, width=1600, height=1600, tissue_fraction=0.5, seed=3))
        wide, _, _ = canvas.stain(Grid(300, 300, width=900, height=800, mpp=0.25))
        for x, y, width, height in ((611, 507, 111, 203), (700, 700, 300, 37)):
            part, _, _ = canvas.stain(Grid(x, y, width=width, height=height, mpp=0.25))
            for one, other in zip(wide, part, strict=True):
                assert one.max() > 0.0
                np.testing.assert_allclose(
                    one[y - 300 : y - 300 + height, x - 300 : x - 300 + width], other, atol=2e-4
                )


@pytest.mark.parametrize("before", [0, 17, 1000])
def test_dealt_shares_hold_for_any_run(before: int) -> None:
    shares = (0.07, 0.43, 0.5)
    dealt = deal(np.arange(200.0), shares, before=before)
    np.testing.assert_allclose(np.bincount(dealt, minlength=3), 200 * np.array(shares), atol=3.0)
    assert (np.diff(dealt) <= 0).all()  # the first class to the highest ranks
