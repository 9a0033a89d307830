"""Four photographs of HER2, scored 0 to 3+ by their authors: what is read from membranes rises with them.

The panels are parts of a printed figure, 345 x 195 px each, of unknown magnification. Their cells are 6 to 8
px wide, so 2 um per px is assumed, and they are enlarged four times to the working resolution of 0.5. No
membrane can be traced in them and none can be scored; an order is all that is asked. The classical detector
finds the cells: networks were not made for enlarged prints.
"""

import numpy as np
import pytest

from slidelab.quantify import judge_membranes
from slidelab.stain import StainProfile, unmix
from slidelab.workflows.slides.cell_detector import CellDetector
from slidelab.workflows.slides.tile_detector import BaselineDetector

MPP = 0.5
FIGURE = "ihc/her2-bci-figure/fourKindsofHER2expresions.png"
ENLARGED = 4


def cut_panels(path):
    """The photographs of the figure, row by row: fields that white does not cross."""
    from PIL import Image

    with Image.open(path) as opened:
        figure = np.asarray(opened.convert("RGBA"))
    opaque = figure[..., 3:] / 255
    figure = (figure[..., :3] * opaque + 255 * (1 - opaque)).astype(np.uint8)
    inked = (figure < 250).any(axis=2)
    panels = []
    for top, bottom in spans(inked.mean(axis=1) > 0.5):
        for left, right in spans(inked[top:bottom].mean(axis=0) > 0.5):
            panels.append(figure[top + 3 : bottom - 3, left + 3 : right - 3])
    return panels


def spans(on, least=100):
    """Runs of true values of at least some length."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], on.astype(int), [0]])))
    return [(a, b) for a, b in edges.reshape(-1, 2) if b - a >= least]


@pytest.fixture(scope="module")
def panels(data_folder):
    path = data_folder / FIGURE
    if not path.is_file():
        pytest.skip(f"{path} is not at hand")
    return cut_panels(path)


def enlarge(panel):
    """The panel at the working resolution, with even sides."""
    from PIL import Image

    height, width = ENLARGED * panel.shape[0], ENLARGED * panel.shape[1]
    return np.asarray(Image.fromarray(panel).resize((width, height), Image.Resampling.BICUBIC))


@pytest.fixture(scope="module")
def judged(panels):
    """Mean density and completeness of membranes, share of cells with any stain, and cells of each panel."""
    detector = CellDetector(BaselineDetector())
    found = []
    for panel in panels:
        red, green, blue = np.percentile(panel.reshape(-1, 3), 99, axis=0)  # paper and light differ
        densities = unmix(enlarge(panel), StainProfile(background=(red, green, blue)))
        cells = detector.detect(enlarge(panel), densities, mpp=MPP, seconds={})
        rings = cells.rings.astype(np.float32) / np.float32(100)
        judgement = judge_membranes(rings, cells.measurements["cytoplasm_dab_od_mean"])
        found.append((rings.mean(), judgement.completeness.mean(), judgement.stained.mean(), len(cells)))
    return np.array(found)


def test_the_figure_holds_four_photographs_of_one_size(panels):
    assert len(panels) == 4
    assert all(abs(panel.shape[1] - 340) < 12 and abs(panel.shape[0] - 190) < 12 for panel in panels)


def test_cells_are_found_in_all_of_them(judged):
    assert (judged[:, 3] >= 50).all()


def test_the_density_of_membranes_rises_with_the_score(judged):
    assert (np.diff(judged[:, 0]) > 0.01).all()


def test_the_stained_share_of_membranes_and_of_cells_never_falls_and_stands_out_in_3(judged):
    for column in judged[:, 1:3].T:
        assert (np.diff(column) >= 0).all()
        assert column[3] > 10 * column[2]
