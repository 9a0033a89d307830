"""Users' own annotations, in the formats of common labelling programs, to train on and to measure with."""

from __future__ import annotations

import csv
import gzip
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import InvalidTableError, ResolutionError, SlideNotFoundError
from ..labelled.instances import centroids, fill_polygons
from .json_files import read_json
from .masks import TIFF_ENDINGS, number_objects, read_mask, trace_outlines
from .shapes import Shapes, Vertices, shape_centroids
from .tables import read_points, read_voc

__all__ = ["Annotation", "read_annotation"]

TABLE_ENDINGS = (".csv", ".tsv", ".txt")
JSON_ENDINGS = (".json", ".geojson", ".ndjson")
MASK_ENDINGS = (".png", *TIFF_ENDINGS)
LARGEST_FILE = 2**30
"""Bytes of text, unpacked: millions of outlines, yet a small archive cannot fill the memory."""
UNSOUND = (
    AttributeError,
    EOFError,
    LookupError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
    csv.Error,
    gzip.BadGzipFile,
    zlib.error,
)
"""What walking through a file raises where it is not built as its format says."""


@dataclass(frozen=True)
class Annotation:
    """Nuclei that someone has marked in one image, as columns.

    Coordinates are pixels of the image, continuous, with the centre of the first pixel at 0.5.
    """

    x: NDArray[np.float64] = field(repr=False)
    """Marked point, or centroid inside the outline, px: (N,)."""
    y: NDArray[np.float64] = field(repr=False)
    """Marked point, or centroid inside the outline, px: (N,)."""
    labels: tuple[str, ...] = field(repr=False)
    """Class of each, empty where the file names none: N."""
    outlines: tuple[Vertices | None, ...] = field(repr=False)
    """Vertices x, y of each outline in order, px, not closed, (V, 2); None for points: N."""

    def __post_init__(self) -> None:
        """Check lengths and numbers at the door."""
        count = len(self.labels)
        if self.x.shape != (count,) or self.y.shape != (count,) or len(self.outlines) != count:
            raise InvalidTableError(
                "the columns of an annotation have different lengths", "Give every column one value per cell."
            )
        if not (np.isfinite(self.x).all() and np.isfinite(self.y).all()):
            raise InvalidTableError("an annotation with positions that are not finite", "Leave them out.")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes that occur, sorted."""
        return tuple(sorted(set(self.labels)))

    @classmethod
    def from_instances(cls, instances: ArrayLike, *, label: str = "") -> Self:
        """Return the objects of an instance map, by rising number.

        Parameters
        ----------
        instances : (H, W) int array
            0 is background, every other number one nucleus.
        label : str
            Class of all of them.

        Returns
        -------
        Annotation
            An outline goes round the largest part (8-neighbours) of its object and leaves out holes.

        Raises
        ------
        InvalidTableError
            If the map is no (H, W) image of whole numbers from 0.
        """
        numbered = number_objects(np.asarray(instances))
        ids, x, y = centroids(numbered)
        return cls(x, y, (label,) * len(ids), tuple(trace_outlines(numbered)))

    def rasterise(self, width: int, height: int) -> NDArray[np.int32]:
        """Draw the outlines into an instance map.

        Parameters
        ----------
        width, height : int
            Size of the image, px.

        Returns
        -------
        (H, W) int32 array
            The first object is 1, and so on; 0 is background. A pixel belongs to an outline if its centre
            lies inside; where outlines overlap, the later one lies on top. Points draw nothing.
        """
        nothing = np.empty((0, 2))
        drawn = [nothing if outline is None else outline for outline in self.outlines]
        return fill_polygons(drawn, width=width, height=height)


def read_annotation(
    path: str | Path,
    *,
    image_size: tuple[int, int] | None = None,
    image_name: str | None = None,
    mpp: float | None = None,
) -> Annotation:
    """Read the nuclei marked in one image from a file of any of the common formats.

    ==========================  ==========================================================================
    ``.csv`` ``.tsv`` ``.txt``  points ``x, y[, class]``, header optional, or boxes
                                ``xmin, ymin, xmax, ymax[, class]``; a column ``image`` tells images apart
    ``.geojson`` ``.json``      QuPath, COCO, Labelbox, or ``{"polygons": {class: [[[x, y], ...]]}}``;
                                also gzipped
    ``.ndjson``                 Labelbox, one row per line
    ``.xml``                    Pascal VOC
    ``.png`` ``.tif``           label image of 8, 16 or 32 bit
    ==========================  ==========================================================================

    Parameters
    ----------
    path : str or Path
        The file.
    image_size : (int, int), optional
        Width and height of the image, px; with it the file is held against the image.
    image_name : str, optional
        Which image is meant, by file name, where the file describes several.
    mpp : float, optional
        um per px of the image, for tables whose columns are in um.

    Returns
    -------
    Annotation
        In the file's order.

    Raises
    ------
    SlideNotFoundError
        If there is no such file.
    ResolutionError
        If ``mpp`` is not positive and finite.
    InvalidTableError
        If the file is damaged or of another kind, describes several images and none is named, states another
        size than the image has, or has nuclei outside the image.

    Notes
    -----
    Boxes become outlines of four vertices. An outline with fewer than three vertices becomes a point. Of
    outlines in several parts the largest part is kept; holes are filled.

    A mask with a single value beside 0 has no numbers to tell nuclei apart: its connected parts
    (4-neighbours) are taken for nuclei, so nuclei that touch are merged.

    QuPath: of cells the nucleus is read. Where a file holds detections or cells, annotations with an outline
    are regions and left out, points are not; tiles and classes that end with ``*`` are always left out.
    """
    path = Path(path)
    if not path.is_file():
        raise SlideNotFoundError(f"no annotation file at {path}", "Check the path.")
    if mpp is not None and not 0 < mpp < np.inf:
        raise ResolutionError(f"a scale of {mpp} um per px", "Give the image's own um per px.")
    try:
        annotation, stated_size = _read(path, image_name=image_name, mpp=mpp)
        if image_size is not None:
            _hold_against_image(annotation, image_size, stated_size)
    except InvalidTableError as error:
        raise InvalidTableError(f"{path.name}: {error.what}", error.advice) from error
    except UNSOUND as error:
        why = " ".join(f"{type(error).__name__}: {error}".split())[:120]
        raise InvalidTableError(
            f"{path.name}: not built as its format says ({why})", "Export the file again; check its format."
        ) from error
    return annotation


def _read(
    path: Path, *, image_name: str | None, mpp: float | None
) -> tuple[Annotation, tuple[int, int] | None]:
    """Read by the file's ending; also return the size that it says the image has."""
    ending = Path(path.name.lower().removesuffix(".gz")).suffix
    if ending in MASK_ENDINGS:
        instances = read_mask(path)
        return Annotation.from_instances(instances), (instances.shape[1], instances.shape[0])
    if ending in TABLE_ENDINGS:
        shapes = read_points(_content(path), image_name=image_name, mpp=mpp)
    elif ending in JSON_ENDINGS:
        shapes = read_json(_content(path), image_name=image_name)
    elif ending == ".xml":
        shapes = read_voc(_content(path))
    else:
        known = " ".join((*TABLE_ENDINGS, *JSON_ENDINGS, ".xml", *MASK_ENDINGS))
        raise InvalidTableError(f"no format known by the ending {ending!r}", f"Use one of {known}.")
    return _annotation(shapes), shapes.image_size


def _content(path: Path) -> bytes:
    """Return the bytes of a text file, unpacked if it is gzipped, up to a limit."""
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        if packed:
            with gzip.open(raw) as stream:
                content = stream.read(LARGEST_FILE + 1)
        else:
            content = raw.read(LARGEST_FILE + 1)
    if len(content) > LARGEST_FILE:
        raise InvalidTableError(f"over {LARGEST_FILE // 2**20} MiB of text", "Split the file by image.")
    if not content.strip():
        raise InvalidTableError("it is empty", "Export the file again.")
    return content


def _annotation(shapes: Shapes) -> Annotation:
    """Turn a file's shapes into columns."""
    points = shape_centroids(shapes.places)
    outlines = tuple(place if len(place) >= 3 else None for place in shapes.places)
    return Annotation(points[:, 0], points[:, 1], tuple(shapes.labels), outlines)


def _hold_against_image(
    annotation: Annotation, size: tuple[int, int], stated: tuple[int, int] | None
) -> None:
    """Refuse annotations of another image, or of the same one at another scale."""
    width, height = size
    if stated is not None and stated != tuple(size):
        raise InvalidTableError(
            f"it is for an image of {stated[0]} x {stated[1]} px, but the image has {width} x {height}",
            "Annotate and analyse the same file; rescaled copies do not fit.",
        )
    outside = (annotation.x < 0) | (annotation.x > width) | (annotation.y < 0) | (annotation.y > height)
    if outside.any():
        raise InvalidTableError(
            f"{int(outside.sum())} of {len(annotation)} nuclei lie outside the {width} x {height} px image",
            "Check that file and image belong together, and that positions are px of this image.",
        )
