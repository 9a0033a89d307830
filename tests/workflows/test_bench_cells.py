"""The bench of cells tells phases that add up."""

import pytest

from slidelab.workflows.bench_cells import benchmark_cells
from slidelab.workflows.ihc.her2 import Her2
from slidelab.workflows.ihc.ki67 import Ki67
from slidelab.workflows.slides.tile_detector import BASELINE, choose_detector
from slidelab.wsi import PhantomSettings, write_phantom


@pytest.mark.parametrize(("marker", "model"), [(Ki67, "auto"), (Ki67, BASELINE), (Her2, "auto")])
def test_shares_of_the_phases_add_up(tmp_path, marker, model):
    path = tmp_path / "small.tiff"
    write_phantom(
        path, PhantomSettings(width=1536, height=1536, truth=30.0, seed=5, artefacts=False), workers=2
    )
    workflow = marker(detector=choose_detector(model, stain="H-DAB", device="cpu"))
    figures = benchmark_cells(path, workflow=workflow, workers=1)
    shares = {name: value for name, value in figures.items() if name.endswith("_share")}
    assert sum(shares.values()) == pytest.approx(1.0, abs=0.01)
    assert ("network_share" in shares) == (model == "auto")
    assert ("membranes_share" in shares) == (marker is Her2)
    assert figures["cells"] > 50
    assert figures["s_per_mm2"] == pytest.approx(figures["seconds"] / figures["tissue_mm2"], rel=0.1)
    assert figures["peak_rss_mb"] > 50
    assert figures["road_of_bare"] > 0
