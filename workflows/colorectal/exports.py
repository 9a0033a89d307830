"""Lesions, fragments, glands, signet-ring cells and bud candidates as GeoJSON that QuPath opens."""

from __future__ import annotations

import gzip
import json
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...tiling import atomic_file
from ..slides.outline import outline_mask
from .class_maps import SlideMaps
from .classes import BUD_COLOR, LESION_CLASSES, SIGNET_COLOR, UNCERTAIN, ShownClass
from .findings import Findings
from .tumour_buds import BudCandidates, disc_outline

if TYPE_CHECKING:
    import shapely

__all__ = ["write_lesions", "write_objects"]

NAMESPACE = uuid.UUID("0d7d4f6c-0c5b-5b34-8f0f-5e7b5f7c2f53")
"""Makes the names of objects repeatable."""
DECIMALS = 1
"""Coordinates to 0.1 px."""
SIGNET = ShownClass("signet_ring", "Signet-ring cell", SIGNET_COLOR)
BUD = ShownClass("bud", "Tumour bud, candidate", BUD_COLOR)
CLUSTER = ShownClass("cluster", "Tumour cell cluster, candidate", BUD_COLOR)

Origin = tuple[float, float]


def write_lesions(path: Path, findings: Findings, *, origin: Origin = (0.0, 0.0)) -> None:
    """Write fragments, lesions and the field with most bud candidates as annotations.

    Equal findings give equal bytes.

    Parameters
    ----------
    path : Path
        The ``.geojson`` to make.
    findings : Findings
        What the slide holds.
    origin : (float, float)
        ``openslide.bounds-x`` and ``-y``, level-0 px: QuPath crops a slide to its bounds.
    """
    features = [
        _feature(
            each.outline,
            origin,
            {"objectType": "annotation", "name": f"Fragment {each.name}", "isLocked": True},
            {"Tissue mm^2": each.tissue_mm2},
        )
        for each in findings.pieces.fragments
    ]
    for lesion in findings.shown_lesions:
        told = {
            f"P {kind.name}": value for kind, value in zip(LESION_CLASSES, lesion.probability, strict=True)
        }
        measured = {
            "Gland area mm^2": lesion.area_mm2,
            "Glands": lesion.glands,
            "Confidence": lesion.confidence,
            **told,
        }
        kept = {"objectType": "annotation", "name": lesion.name, "isLocked": True}
        features.append(_feature(lesion.outline, origin, kept | _classification(lesion.kind), measured))
    if findings.buds is not None:
        features += _field(findings.buds, origin)
    with atomic_file(path) as temporary:
        temporary.write_text("".join(_collection(features)), encoding="utf-8")


def write_objects(path: Path, findings: Findings, maps: SlideMaps, *, origin: Origin = (0.0, 0.0)) -> None:
    """Write glands, signet-ring cells and bud candidates as detections, compressed.

    Equal findings give equal bytes.

    Parameters
    ----------
    path : Path
        The ``.geojson.gz`` to make.
    findings, origin
        As in `write_lesions`.
    maps : SlideMaps
        For the size of their cells.
    """
    with (
        atomic_file(path) as temporary,
        temporary.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=4, mtime=0) as stream,
    ):
        for text in _collection(_objects(findings, maps, origin)):
            stream.write(text.encode())


def _objects(findings: Findings, maps: SlideMaps, origin: Origin) -> Iterator[str]:
    """Yield a feature per gland, then one per signet-ring cell, then one per bud candidate."""
    import shapely
    from scipy import ndimage

    glands = findings.glands
    confidence, kinds, certain = glands.confidence, glands.kind, glands.is_certain
    for number, box in enumerate(ndimage.find_objects(glands.labels)):
        outline = outline_mask(glands.labels[box] == number + 1, downsample=maps.downsample)
        corner = np.array([box[1].start, box[0].start]) * maps.downsample
        kind = LESION_CLASSES[int(kinds[number])] if certain[number] else UNCERTAIN
        told = zip(LESION_CLASSES, glands.probability[number], strict=True)
        measured = {
            "Area um^2": glands.area_mm2[number] * 1e6,
            "Confidence": confidence[number],
            **{f"P {each.name}": value for each, value in told},
        }
        moved = shapely.transform(outline, lambda xy, corner=corner: xy + corner)
        yield _feature(moved, origin, {"objectType": "detection"} | _classification(kind), measured)
    if findings.signet is not None:
        for x, y, value in zip(
            *(getattr(findings.signet, name) for name in ("x", "y", "probability")), strict=True
        ):
            kept = {"objectType": "detection"} | _classification(SIGNET)
            yield _feature(shapely.Point(x, y), origin, kept, {"Detection probability": float(value)})
    if findings.buds is not None:
        yield from _candidates(findings.buds, origin)


def _candidates(buds: BudCandidates, origin: Origin) -> Iterator[str]:
    """Yield a point per candidate bud or larger cluster."""
    import shapely

    for x, y, cells, is_bud in zip(buds.x, buds.y, buds.cells, buds.is_bud, strict=True):
        kept = {"objectType": "detection"} | _classification(BUD if is_bud else CLUSTER)
        yield _feature(shapely.Point(x, y), origin, kept, {"Nuclei": int(cells)})


def _field(buds: BudCandidates, origin: Origin) -> list[str]:
    """Return the field with most candidates as an annotation, if there is one."""
    import shapely

    if buds.disc is None:
        return []
    name = "Densest field of bud candidates, 0.785 mm²"
    kept = {"objectType": "annotation", "name": name, "isLocked": True}
    measured = {
        "Candidate buds": buds.disc.count,
        "Candidate clusters": buds.clusters_in_disc,
        "Tissue mm^2": buds.tissue_mm2,
    }
    outline = shapely.Polygon(disc_outline(buds.disc, mpp=buds.level0_mpp))
    return [_feature(outline, origin, kept | _classification(BUD), measured)]


def _classification(kind: ShownClass) -> dict[str, Any]:
    """Return QuPath's class of an object."""
    return {"classification": {"name": kind.name, "color": list(kind.rgb)}}


def _feature(
    outline: shapely.Geometry, origin: Origin, properties: Mapping[str, Any], measured: Mapping[str, float]
) -> str:
    """Return one object as the text of a feature."""
    import shapely

    moved = shapely.transform(outline, lambda xy: np.round(xy - origin, DECIMALS))
    geometry = shapely.to_geojson(moved)
    told = {**properties, "measurements": {name: round(float(each), 6) for name, each in measured.items()}}
    text = json.dumps(told, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    identity = uuid.uuid5(NAMESPACE, text + geometry)
    return f'{{"type":"Feature","id":"{identity}","geometry":{geometry},"properties":{text}}}'


def _collection(features: Iterable[str]) -> Iterator[str]:
    """Yield the text of a collection piece by piece."""
    yield '{"type":"FeatureCollection","features":[\n'
    for number, feature in enumerate(features):
        yield feature if number == 0 else ",\n" + feature
    yield "\n]}\n"
