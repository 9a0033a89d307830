"""The bench of grading tells parts that add up."""

import pytest

from slidelab.workflows.bench_grading import benchmark_grading
from slidelab.workflows.colorectal.workflow import ColorectalGrading
from slidelab.wsi import PhantomSettings, write_phantom


def test_parts_of_the_road_add_up(tmp_path):
    path = tmp_path / "small.tiff"
    settings = PhantomSettings(kind="he", width=4096, height=4096, seed=5, artefacts=False)
    write_phantom(path, settings, workers=2)
    figures = benchmark_grading(path, workflow=ColorectalGrading(), workers=1)
    parts = sum(figures[f"{name}_s_per_mm2"] for name in ("plan", "tiles", "report"))
    assert parts == pytest.approx(figures["s_per_mm2"], abs=0.01)
    assert sum(value for name, value in figures.items() if name.endswith("_share")) == pytest.approx(
        1.0, abs=0.01
    )
    assert figures["tissue_mm2"] > 0.1
    assert "colorectal-lite.ebhi-open" in figures["networks"]
