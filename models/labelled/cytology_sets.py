"""The sets of labelled cells that slidelab knows: what they show, who may train on them, who reads them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ...errors import SettingsError, SlideNotFoundError
from . import bloodsmear, cytology
from .cytology_cells import CellSet, LabelledCell

__all__ = ["CELL_SETS", "read_cells"]

CELL_SETS = {
    one.name: one
    for one in (
        CellSet(
            "cdetector-11class",
            "cytology",
            "Papanicolaou",
            "not stated",
            "Liang et al., Neurocomputing 2021;437:195; kuku-sichuan/ComparisonDetector @ a2b60d4b8954",
            False,
            cytology.read_cdetector,
        ),
        CellSet(
            "herlev-200",
            "cytology",
            "Papanicolaou",
            "free for research",
            "Jantzen et al., NiSIS 2005; atlan-antillia/EfficientNet-Pap-Smear @ 795e04f822ec",
            False,
            cytology.read_herlev,
        ),
        CellSet(
            "cric-fields",
            "cytology",
            "Papanicolaou",
            "CC-BY-4.0",
            "Rezende et al., Sci Data 2021;8:151; doi:10.6084/m9.figshare.c.4960286.v2",
            True,
            cytology.read_cric,
        ),
        CellSet(
            "lbc-circled-fields",
            "cytology",
            "Papanicolaou",
            "not stated",
            "paulxiong/cervical @ 77cda13f6bd0",
            False,
            cytology.read_circled,
        ),
        CellSet(
            "wbc-seg-zheng",
            "bloodsmear",
            "Romanowsky",
            "GPL-3.0; some pictures of unclear rights",
            "Zheng et al., Micron 2018;107:55; zxaoyou/segmentation_WBC @ fa9c01622f52",
            False,
            bloodsmear.read_zheng,
        ),
        CellSet(
            "krd-wbc",
            "bloodsmear",
            "Romanowsky",
            "CC-BY-4.0",
            "Taha et al. 2023; doi:10.17632/jzdj6h7gms.2",
            True,
            bloodsmear.read_krd,
        ),
        CellSet(
            "bccd",
            "bloodsmear",
            "Romanowsky",
            "types of the white cells: not stated",
            "BCCD, Shenggan/BCCD_Dataset @ d272fb14cdff; types: apple2373/BCCD @ 7751031e0b41",
            False,
            bloodsmear.read_bccd_types,
        ),
        CellSet(
            "chula-rbc12",
            "bloodsmear",
            "Romanowsky",
            "not stated",
            "Naruenatthanaset et al., arXiv:2012.01321; Chula-PIC-Lab/Chula-RBC-12-Dataset @ fa130f48135d",
            False,
            bloodsmear.read_chula,
        ),
    )
}
"""All of them by name."""


def read_cells(folder: Path, names: Iterable[str]) -> list[LabelledCell]:
    """Read some of `CELL_SETS`.

    Parameters
    ----------
    folder : Path
        Folder that holds ``cytology/`` and ``bloodsmear/``, or the sets' own folders.
    names : iterable of str
        Which sets.

    Raises
    ------
    SettingsError
        If a set is not known.
    SlideNotFoundError
        If a set is not there.
    """
    cells: list[LabelledCell] = []
    for name in names:
        if name not in CELL_SETS:
            raise SettingsError(
                f"no set of labelled cells is called {name!r}", f"Choose from: {', '.join(CELL_SETS)}."
            )
        known = CELL_SETS[name]
        places = [place for place in (folder / known.folder / name, folder / name) if place.is_dir()]
        if not places:
            raise SlideNotFoundError(
                f"no labelled cells of {name} in {folder}", "Give the folder that holds the sets."
            )
        cells += known.read(places[0])
    return cells
