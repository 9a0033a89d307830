"""The user's own outline of the tumour, drawn in QuPath or ASAP, as the part of a slide that counts."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from ...errors import InvalidTableError, RegionError, SlideNotFoundError
from ...models.annotated.annotation import LARGEST_FILE, UNSOUND
from ...models.annotated.shapes import vertices
from ...tiling import TissueMask
from ...wsi import open_slide
from ..runs.inputs import SlideInput

if TYPE_CHECKING:
    import shapely

__all__ = ["CLIPPED", "REPAIRED", "TumourRegion", "find_tumour_region", "read_tumour_region"]

ENDINGS = (".geojson", ".geojson.gz", ".json", ".xml")
"""What an annotation of slide ``case.svs`` may be called in a folder: ``case.geojson`` and so on."""
CLIPPED = "TUMOUR_REGION_CLIPPED"
"""Part of the outline lay beside the slide and was cut off."""
REPAIRED = "TUMOUR_REGION_REPAIRED"
"""An outline crossed itself; what it encloses was kept."""
CLIPPED_SHARE = 0.001
"""Less beside the slide than this share is a slip of the hand at its edge."""
INSIDE_SHARE = 0.99
"""An outline with this share inside another one lies inside it."""
NOT_DRAWN = frozenset({"detection", "cell", "tile", "tmacore", "root"})
"""QuPath's object types that are no annotations."""
NOT_AREAS = frozenset({"dot", "pointset", "measurement"})
"""ASAP's types of annotations without area."""


class Kind(Enum):
    """What an outline does to the region, with the words of class names that say so."""

    VOID = r"ignore|exclu|art[ei]fact"
    """Nothing in it counts."""
    TISSUE = (
        r"necro|\bin[ -]?situ|dcis|lcis|\bcis\b|stroma|normal|benign|immune|inflam|lymph"
        r"|\b(non|no|not|peri|extra)[ -]?tumou?r"
    )
    """Other tissue; tumour drawn inside of it counts."""
    TUMOUR = r"tumou?r|carcinoma|cancer|invasive|invasion|metasta|neoplas|malignan"
    """The tumour."""
    NEUTRAL = ""
    """Any other class, such as QuPath's ``Region*``, changes nothing."""

    @classmethod
    def of(cls, name: str) -> Kind:
        """Tell by the name of a class; of a derived one (``Tumor: Positive``) the first part decides."""
        first = name.split(":")[0].casefold()
        return next(kind for kind in cls if re.search(kind.value, first))


@dataclass(frozen=True, eq=False)
class TumourRegion:
    """Where cells count."""

    outline: shapely.MultiPolygon
    """Level-0 px from the slide's upper left corner."""
    mpp: float
    """um per level-0 px."""
    file: str
    """Name of the file."""
    sha256: str
    """Digest of the file."""
    classes: tuple[str, ...]
    """Names of the classes that were taken for tumour."""
    subtracted: tuple[str, ...] = ()
    """Names of the classes that were taken away."""
    neutral: tuple[str, ...] = ()
    """Names of the classes that changed nothing."""
    flags: tuple[str, ...] = ()
    """What a reader of the result must know."""

    def covers(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which points lie in the region or on its border.

        Parameters
        ----------
        x, y : (N,) float arrays
            Points, level-0 px.

        Returns
        -------
        (N,) bool array
            A million points of an outline with ten thousand corners take about a second.
        """
        import shapely

        shapely.prepare(self.outline)  # an index of its edges, made once
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        left, top, right, bottom = self.outline.bounds
        inside = (x >= left) & (x <= right) & (y >= top) & (y <= bottom)
        inside[inside] = shapely.intersects_xy(self.outline, x[inside], y[inside])
        return np.asarray(inside)

    def area_mm2(self, tissue: TissueMask | None = None) -> float:
        """Return the area of the region, or of the tissue in it, mm2."""
        if tissue is None:
            return float(self.outline.area) * (self.mpp / 1000) ** 2
        rows, columns = np.nonzero(tissue.mask)
        x, y = ((places.astype(np.float64) + 0.5) * tissue.downsample for places in (columns, rows))
        covered = self.covers(np.asarray(x, np.float64), np.asarray(y, np.float64))
        return float(covered.sum()) * (tissue.mpp / 1000) ** 2

    def to_json(self) -> dict[str, Any]:
        """Return what the region is, for provenance: the same for the same cells counted."""
        import shapely

        shape = hashlib.sha256(shapely.to_wkb(shapely.normalize(self.outline), byte_order=1)).hexdigest()
        return {
            "file": self.file,
            "sha256": self.sha256,
            "outline_sha256": shape,
            "area_mm2": round(self.area_mm2(), 6),
            "classes": list(self.classes),
            "subtracted": list(self.subtracted),
            "neutral": list(self.neutral),
            "flags": list(self.flags),
        }


def find_tumour_region(source: Path, slide: SlideInput) -> TumourRegion:
    """Read the annotation of a slide: a file, or the one of a folder that is named like the slide.

    Raises
    ------
    SlideNotFoundError
        If there is none.
    InvalidTableError, RegionError
        From `read_tumour_region`.
    """
    stems = dict.fromkeys((slide.path.stem, slide.path.name, slide.slide_id))
    tried = [source / f"{stem}{ending}" for stem in stems for ending in ENDINGS]
    path = source if not source.is_dir() else next((each for each in tried if each.is_file()), None)
    if path is None:
        raise SlideNotFoundError(
            f"no annotation of {slide.path.name} in {source}",
            f"Name it {slide.path.stem}.geojson (QuPath) or {slide.path.stem}.xml (ASAP).",
        )
    with open_slide(slide.path, mpp=slide.mpp, salvage=True) as opened:
        return read_tumour_region(
            path,
            width=opened.width,
            height=opened.height,
            mpp=opened.mpp,
            origin=(float(opened.bounds.x), float(opened.bounds.y)),
        )


def read_tumour_region(
    path: str | Path, *, width: int, height: int, mpp: float, origin: tuple[float, float] = (0.0, 0.0)
) -> TumourRegion:
    """Read the tumour from an annotation file of QuPath (GeoJSON, also gzipped) or ASAP (XML).

    Classes count by their names. Tumour, Tumor, carcinoma and the like are added up; necrosis, in situ,
    stroma and the like are taken away, unless tumour is drawn inside of them; ``Ignore*``, artefacts and
    exclusions are taken away in any case; other classes change nothing.

    Parameters
    ----------
    path : str or Path
        The file.
    width, height : int
        Size of the slide, level-0 px.
    mpp : float
        um per level-0 px.
    origin : (float, float)
        ``openslide.bounds-x`` and ``-y``, level-0 px, or zeros. QuPath counts from there, ASAP does not.

    Raises
    ------
    SlideNotFoundError
        If there is no such file.
    InvalidTableError
        If it is no annotation file, or holds no polygon, or none of tumour.
    RegionError
        If the tumour lies beside the slide, or other classes leave nothing of it.
    """
    path = Path(path)
    if not path.is_file():
        raise SlideNotFoundError(f"no annotation file at {path}", "Check the path.")
    try:
        content = _content(path)
        drawn, frame = _parse(content, origin)
        region, flags = _combine(drawn, frame, (float(width), float(height)))
    except (InvalidTableError, RegionError) as error:
        raise type(error)(f"{path.name}: {error.what}", error.advice) from error
    except (*UNSOUND, ElementTree.ParseError) as error:
        why = " ".join(f"{type(error).__name__}: {error}".split())[:120]
        raise InvalidTableError(
            f"{path.name}: no annotation file ({why})", "Export GeoJSON from QuPath, or save XML in ASAP."
        ) from error
    names = {kind: tuple(sorted({name for name, _ in drawn if Kind.of(name) is kind})) for kind in Kind}
    return TumourRegion(
        outline=region,
        mpp=mpp,
        file=path.name,
        sha256=hashlib.sha256(content).hexdigest(),
        classes=names[Kind.TUMOUR],
        subtracted=names[Kind.VOID] + names[Kind.TISSUE],
        neutral=tuple(name or "unclassified" for name in names[Kind.NEUTRAL]),
        flags=flags,
    )


def _content(path: Path) -> bytes:
    """Return the bytes of a file, unpacked if it is gzipped, up to a limit."""
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
    with gzip.open(path) if packed else path.open("rb") as stream:
        content: bytes = stream.read(LARGEST_FILE + 1)
    if len(content) > LARGEST_FILE:
        raise InvalidTableError(f"over {LARGEST_FILE // 2**20} MiB of text", "Export annotations only.")
    return content


Drawn = tuple[str, "shapely.Polygon"]
"""Name of the class, and one polygon, px of the file's frame."""


def _parse(content: bytes, origin: tuple[float, float]) -> tuple[list[Drawn], tuple[float, float]]:
    """Return what is drawn, and where the coordinates of this format begin on the slide."""
    if content.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"<":
        return list(_read_asap(content)), (0.0, 0.0)
    document = json.loads(content.decode("utf-8-sig"))
    if isinstance(document, dict):
        document = document.get("features", [document])
    if not (isinstance(document, list) and all(_is_feature(each) for each in document)):
        raise InvalidTableError("JSON that is no GeoJSON", "Export GeoJSON from QuPath, or save XML in ASAP.")
    return list(_read_geojson(document)), origin


def _is_feature(value: Any) -> bool:
    """Tell whether a value may be a feature of GeoJSON."""
    return isinstance(value, dict) and isinstance(value.get("geometry"), dict)


def _read_geojson(features: Sequence[Mapping[str, Any]]) -> Iterator[Drawn]:
    """Yield the polygons of QuPath's annotations."""
    for number, feature in enumerate(features, 1):
        properties = feature.get("properties") or {}
        kind = properties.get("objectType") or properties.get("object_type") or "annotation"
        if str(kind).lower() in NOT_DRAWN:
            continue
        for rings in _polygons(feature["geometry"]):
            polygon = _polygon(rings, f"feature {number}")
            if polygon is not None:
                yield _class_name(properties.get("classification")), polygon


def _class_name(given: Any) -> str:
    """Return the name of a class: a text, an object with a name, or one with the parts of a name."""
    if isinstance(given, Mapping):
        return str(given["name"]) if "name" in given else ": ".join(given["names"])
    return str(given or "")


def _polygons(geometry: Mapping[str, Any]) -> list[Any]:
    """Return the polygons of a geometry as lists of rings; points and lines have none."""
    if geometry["type"] == "GeometryCollection":
        return [rings for part in geometry["geometries"] for rings in _polygons(part)]
    if geometry["type"] == "MultiPolygon":
        return list(geometry["coordinates"])
    return [geometry["coordinates"]] if geometry["type"] == "Polygon" else []


def _read_asap(content: bytes) -> Iterator[Drawn]:
    """Yield the polygons of ASAP: the group is the class, or the name where there is no group."""
    if b"<!DOCTYPE" in content:  # without one, no entity can be defined, expanded or fetched
        raise InvalidTableError("XML that declares a document type", "Remove the DOCTYPE from the file.")
    root = ElementTree.fromstring(content)
    if root.tag != "ASAP_Annotations":
        raise InvalidTableError(f"XML with the root {root.tag!r}", "Save it in ASAP, or export from QuPath.")
    for drawn in root.iter("Annotation"):
        name, group = drawn.get("Name", ""), drawn.get("PartOfGroup", "None")
        if drawn.get("Type", "").lower() in NOT_AREAS:
            continue
        corners = sorted(drawn.iter("Coordinate"), key=lambda corner: int(corner.get("Order", "0")))
        # Some locales write a decimal comma.
        ring = [[float(corner.attrib[axis].replace(",", ".")) for axis in "XY"] for corner in corners]
        polygon = _polygon([ring], f"annotation {name!r}") if ring else None
        if polygon is not None:
            yield (name if group == "None" and Kind.of(name) is not Kind.NEUTRAL else group), polygon


def _polygon(rings: Sequence[Any], where: str) -> shapely.Polygon | None:
    """Return a polygon with its holes, None where it has no area."""
    import shapely

    shell, *holes = (vertices(ring, where) for ring in rings)
    if len(shell) < 3:
        return None
    polygon = shapely.Polygon(shell, [hole for hole in holes if len(hole) >= 3])
    return polygon if shapely.make_valid(polygon).area > 0 else None


def _combine(
    drawn: Sequence[Drawn], frame: tuple[float, float], size: tuple[float, float]
) -> tuple[shapely.MultiPolygon, tuple[str, ...]]:
    """Return the region that counts on the slide, and its flags."""
    import shapely

    if not drawn:
        raise InvalidTableError("no polygon", "Draw round the tumour and export the annotations.")
    kinds = np.array([Kind.of(name) for name, _ in drawn])
    if not (kinds == Kind.TUMOUR).any():
        found = ", ".join(sorted({name or "unclassified" for name, _ in drawn}))
        raise InvalidTableError(
            f"no outline of class Tumor; classes found: {found}", "Set the class of the tumour to Tumor."
        )
    raw = np.array([polygon for _, polygon in drawn], dtype=object)
    placed = shapely.transform(raw, lambda xy: xy + np.array(frame))
    sound = np.array([_areas(each) for each in shapely.make_valid(placed)], dtype=object)
    flags = () if shapely.is_valid(raw[kinds == Kind.TUMOUR]).all() else (REPAIRED,)
    tumour = shapely.union_all(_cut(sound[kinds == Kind.TUMOUR], sound[kinds == Kind.TISSUE]))
    tumour = shapely.difference(tumour, shapely.union_all(sound[kinds == Kind.VOID]))
    region = _areas(shapely.intersection(tumour, shapely.box(0, 0, *size)))
    if region.is_empty:
        what = "its tumour lies beside the slide" if tumour.area else "other classes cover all of its tumour"
        advice = "Check that file and slide belong together." if tumour.area else "Check the outlines."
        raise RegionError(what, advice)
    clipped = (CLIPPED,) if region.area < (1 - CLIPPED_SHARE) * tumour.area else ()
    return region, (*flags, *clipped)


def _cut(tumour: NDArray[Any], tissue: NDArray[Any]) -> NDArray[Any]:
    """Take other tissue from each outline of tumour, unless the tumour is drawn inside of it."""
    import shapely

    if not len(tissue):
        return tumour
    parts = []
    for outline in tumour:
        shared = shapely.area(shapely.intersection(outline, tissue))
        parts.append(
            shapely.difference(outline, shapely.union_all(tissue[shared < INSIDE_SHARE * outline.area]))
        )
    return np.array(parts, dtype=object)


def _areas(shape: shapely.Geometry) -> shapely.MultiPolygon:
    """Return the polygons of a shape, without the points and lines that clipping leaves."""
    import shapely

    parts = shapely.get_parts(shapely.get_parts([shape]))
    return shapely.MultiPolygon([part for part in parts if part.geom_type == "Polygon" and part.area > 0])
