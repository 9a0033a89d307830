"""Which detector looks for the nuclei of a cytology slide, and what it is shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from slidelab.errors import SettingsError
from slidelab.models.cytoplasm import red_density
from slidelab.workflows.cervix.call_reader import SizeRules
from slidelab.workflows.cervix.find_nuclei import WORKING_MPP, choose_nuclei, find_nuclei, shrink_of
from slidelab.workflows.cervix.once import screen_slide
from slidelab.workflows.cervix.tile import stride_of
from slidelab.workflows.cervix.workflow import CervicalScreening
from slidelab.workflows.runs.inputs import SlideInput
from slidelab.wsi import open_slide
from slidelab.wsi.phantom.pap import PapSettings, write_pap_phantom

PAP, STAND_IN = "nuclei-fast.pap-research", "nuclei-fast.he-open"


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Pixels of a phantom, and where its squamous nuclei lie."""
    import pyarrow.parquet as pq

    settings = PapSettings(width=1024, height=1024, seed=31, squamous_per_mm2=250, neutrophils_per_mm2=0)
    truth = write_pap_phantom(tmp_path_factory.mktemp("pap") / "pap.tiff", settings)
    with open_slide(truth.path) as slide:
        image = slide.plane(WORKING_MPP).read(0, 0, 1024, 1024)
    cells = pq.read_table(truth.cells_path, columns=["x", "y"])
    return image, np.stack([cells["x"].to_numpy(), cells["y"].to_numpy()], axis=1)


def test_the_detector_for_this_stain_is_taken_where_its_licence_allows() -> None:
    assert choose_nuclei().name == PAP
    assert choose_nuclei(policy="permissive").name == STAND_IN
    assert shrink_of(choose_nuclei(PAP)) == 2
    assert shrink_of(choose_nuclei(STAND_IN)) == 1
    assert stride_of(choose_nuclei(PAP)) == 2 * choose_nuclei(PAP).stride


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("nuclei-accurate.he-research", "works at 0.25 um per px"),
        ("unmixed-nuclei", "is no network"),
        ("nuclei-fast.ihc-open", "H-DAB"),
    ],
)
def test_detectors_that_do_not_fit_are_refused(model: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        choose_nuclei(model)


@pytest.mark.parametrize("model", [PAP, STAND_IN])
def test_nuclei_are_found_where_they_lie(
    model: str, phantom: tuple[NDArray[np.uint8], NDArray[np.float64]]
) -> None:
    from scipy.spatial import cKDTree

    image, places = phantom
    red = red_density(image, np.percentile(image.reshape(-1, 3), 95, axis=0))
    found = find_nuclei(image, red, choose_nuclei(model), seconds={})
    inner = places[((places > 60) & (places < 964)).all(axis=1)]
    away, _ = cKDTree(np.stack([found.x, found.y], axis=1)).query(inner)
    assert len(inner) > 40
    assert (away * WORKING_MPP <= 2.0).mean() >= 0.98
    assert np.median(away) * WORKING_MPP < 0.7


def test_what_is_found_moves_with_the_pixels(
    phantom: tuple[NDArray[np.uint8], NDArray[np.float64]],
) -> None:
    image, _ = phantom
    detector = choose_nuclei(PAP)
    step = stride_of(detector)
    red = red_density(image, (240.0, 240.0, 240.0))
    tables = []
    for start in (0, step):
        side = 1024 - step
        window = (slice(start, start + side), slice(0, side))
        cells = find_nuclei(image[window], red[window], detector, seconds={})
        y = cells.y + start
        inner = (y > 350) & (y < 650) & (cells.x > 350) & (cells.x < 650)
        order = np.lexsort((cells.x[inner], y[inner]))
        tables.append((cells.x[inner][order], y[inner][order], cells.area_um2[inner][order]))
    assert len(tables[0][0]) > 5
    for one, other in zip(*tables, strict=True):
        assert np.array_equal(one, other)


def test_a_tissue_section_is_not_taken_for_a_smear(data_folder: Path, tmp_path: Path) -> None:
    section = data_folder / "slides" / "cmu-1-small-region.svs"
    made = screen_slide(CervicalScreening(calls=SizeRules()), SlideInput(section, "skin"), folder=tmp_path)
    result = made.outcome.result
    assert "CYTOLOGY_LIKE_A_SECTION" in result.flags
    assert str(result.status) == "NOT_ASSESSABLE"
    assert result.headline.category is None
    assert result.headline.value is None
