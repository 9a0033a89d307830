"""Made cells and a made report for the tests of the outputs; no file and no network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from slidelab.quantify import HotSpot, score_ki67
from slidelab.stain import StainProfile
from slidelab.workflows.report.charts import StainHistogram, ThresholdCurve
from slidelab.workflows.report.content import (
    CategoryScale,
    DetectorFacts,
    FieldPicture,
    MethodFacts,
    Provenance,
    ReportContent,
    ReportPictures,
    ResolutionFacts,
    SlideFacts,
)
from slidelab.workflows.report.pictures import Crop, CropCells, draw_crop_pair, draw_overview
from slidelab.workflows.slides.cell_file import make_cell_ids, polygons_to_wkb
from slidelab.workflows.slides.maps import FieldMap
from slidelab.workflows.slides.outline import Circle

MakeCells = Callable[..., pa.Table]
MakeContent = Callable[..., ReportContent]


@dataclass(frozen=True)
class Mask:
    """Stands in for a tissue mask: only what the outputs read of it."""

    mask: Any
    downsample: float = 16.0


@dataclass(frozen=True)
class Quality:
    """Stands in for a quality map."""

    codes: Any
    downsample: float = 16.0
    reasons: tuple[str, ...] = field(default=("", "out_of_focus", "pen"))


@pytest.fixture(scope="session")
def make_cells() -> MakeCells:
    """Make a table of octagonal cells with every column of ``cells.parquet``."""

    def make(count: int, *, seed: int = 1, side: float = 20_000.0) -> pa.Table:
        random = np.random.default_rng(seed)
        x, y = random.uniform(20, side, (2, count))
        turns = np.arange(8) * np.pi / 4
        radii = random.uniform(6, 14, (count, 8))
        ring = np.stack([np.cos(turns), np.sin(turns)], axis=1)
        dab = random.gamma(2.0, 0.1, count).astype(np.float32)
        return pa.table(
            {
                "cell_id": make_cell_ids(f"made slide {seed}", x=x, y=y),
                "x": x,
                "y": y,
                "label": np.where(dab >= 0.2, "Positive", "Negative"),
                "excluded": random.choice(["", "", "", "pen", "out_of_focus"], count),
                "probability": random.uniform(0.3, 1, count).astype(np.float32),
                "area_um2": random.uniform(15, 80, count).astype(np.float32),
                "hematoxylin_od_mean": random.uniform(0.1, 0.8, count).astype(np.float32),
                "dab_od_mean": dab,
                "tile": np.arange(count, dtype=np.int32) // 100,
                "geometry": polygons_to_wkb(np.stack([x, y], 1)[:, None] + radii[..., None] * ring),
            }
        )

    return make


@pytest.fixture(scope="session")
def tissue() -> Mask:
    """A disc of tissue with a hole."""
    y, x = np.mgrid[:60, :80]
    apart = np.hypot(y - 30, x - 40)
    return Mask((apart < 26) & (apart > 6))


@pytest.fixture(scope="session")
def quality(tissue: Mask) -> Quality:
    """A pen stroke through that tissue."""
    codes = np.zeros(tissue.mask.shape, np.uint8)
    codes[10:14] = 2
    return Quality(codes * tissue.mask)


@pytest.fixture(scope="session")
def make_content(tissue: Mask, quality: Quality) -> MakeContent:
    """Make the content of a report from counts; everything else is fixed."""
    random = np.random.default_rng(3)
    image = random.integers(120, 240, (60, 80, 3)).astype(np.uint8)
    crop = Crop(image, x=100.0, y=200.0, downsample=2.0, mpp=0.5)
    circle = Circle(640.0, 480.0, 300.0)
    pair = draw_crop_pair(crop, CropCells([], [], []))
    picture = FieldPicture(pair, x_mm=0.16, y_mm=0.12, side_um=30.0, positive=7, counted=31)
    pictures = ReportPictures(
        draw_overview(image, mpp=4.0, downsample=16.0, tissue=tissue, quality=quality, hot_spot=circle),
        hot_spot=picture,
        fields=(picture, replace(picture, positive=0, counted=0)),
    )
    thresholds = np.round(np.arange(0.05, 0.6, 0.05), 2)
    counted, densities = random.integers(0, 400, (3, 4)), random.integers(0, 999, 11)

    def make(positive: int = 4321, negative: int = 13609, **changes: Any) -> ReportContent:
        total = positive + negative
        result = score_ki67(
            positive,
            negative,
            hot_spot=HotSpot(160.0, 120.0, 75.0, positive=210, total=500) if total >= 500 else None,
            excluded={"pen": 1234, "out_of_focus": 56, "fold": 0},
            areas_mm2={"tissue": 84.256, "assessed": 80.1},
            flags=("TUMOUR_NOT_SEPARATED",),
        )
        content = ReportContent(
            slide=SlideFacts("case-7", "case 7.svs", "aperio", 46_000, 32_914, "9c" * 32),
            result=result,
            resolution=ResolutionFacts(0.2527, 0.2529, "aperio.MPP", is_override=False, working_mpp=0.5054),
            stain=StainProfile(background=(243.0, 242.0, 240.0), source="fitted"),
            detector=DetectorFacts("unmixed-nuclei", "1"),
            methods=MethodFacts(
                "glass-evidence-1", 0.2, "default", 500, 500.0, 67, limits=("Tumour is not told apart.",)
            ),
            provenance=Provenance(
                "0.1.0",
                "0a1b2c3d4e5f",
                {"positive_od": 0.2, "plan": {"mpp": 0.5, "scales": (1.8, 2.6)}},
                seam_density=1.0149,
                software={"slidelab": "0.1.0", "numpy": "2.0.0"},
            ),
            excluded_mm2={"pen": 2.345, "out_of_focus": 0.125},
            scale=CategoryScale(
                "IKWG", "Nielsen 2021", (("low", 5.0), ("intermediate", 30.0), ("high", None)), "A note."
            ),
            hot_spot=circle,
            curve=ThresholdCurve(thresholds, 60 * np.exp(-thresholds * 5), used=0.2, low=0.15, high=0.25),
            histogram=StainHistogram(np.arange(12) / 10, densities),
            fields=FieldMap(counted // 4, counted, side_px=320.0, mpp=0.2528),
            tissue=tissue,
            pictures=pictures,
        )
        return replace(content, **changes)

    return make
