"""Labelled images: nuclei marked by experts, to train on and to measure with, one reader per collection."""

from .collections import COLLECTIONS, HE_SETS, KI67_SETS, Collection, read_collection
from .image import LabelledImage
from .manifest import read_manifest
from .painted import read_phantom
from .split import PARTS, part_of_cases, split_images

__all__ = [
    "COLLECTIONS",
    "HE_SETS",
    "KI67_SETS",
    "PARTS",
    "Collection",
    "LabelledImage",
    "part_of_cases",
    "read_collection",
    "read_manifest",
    "read_phantom",
    "split_images",
]
