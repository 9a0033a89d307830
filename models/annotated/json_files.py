"""Annotations in JSON: QuPath GeoJSON, COCO, Labelbox, and plain lists of polygons by class."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ...errors import InvalidTableError
from .masks import trace_outline
from .shapes import Shapes, Vertices, box, choose_image, largest, vertices

__all__ = ["read_json"]

DETECTED = frozenset({"detection", "cell"})
"""QuPath's object types of single cells."""
NO_CELLS = frozenset({"tile", "tmacore", "root"})
"""QuPath's object types that never are cells."""
LARGEST_MASK = 2**28
"""Pixels of a run-length mask; a short text could otherwise claim any amount of memory."""


def read_json(content: bytes, *, image_name: str | None) -> Shapes:
    """Read whichever of the formats it is, by its content."""
    document = _parse(content)
    rows = document if isinstance(document, list) else [document]
    if not all(isinstance(row, dict) for row in rows):
        raise _unknown("it is no list of objects")
    if any("Label" in row or "data_row" in row for row in rows):
        return _read_labelbox(rows, image_name)
    if isinstance(document, dict) and "images" in document and "annotations" in document:
        return _read_coco(document, image_name)
    if isinstance(document, dict) and isinstance(document.get("features"), list):
        return _read_geojson(document["features"])
    if isinstance(document, dict) and isinstance(document.get("polygons"), dict):
        return _read_polygons(document["polygons"])
    if all("geometry" in row for row in rows):
        return _read_geojson(rows)
    raise _unknown(f"its keys are {', '.join(repr(key) for key in list(rows[0])[:4])}")


def _unknown(why: str) -> InvalidTableError:
    """Return the error for JSON of another kind."""
    return InvalidTableError(
        f"JSON of an unknown kind: {why}", "Export QuPath GeoJSON, COCO or Labelbox JSON."
    )


def _parse(content: bytes) -> Any:
    """Parse JSON, or one JSON value per line."""
    text = content.decode("utf-8-sig")
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        if not error.msg.startswith("Extra data"):
            raise
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def _read_geojson(features: Sequence[Mapping[str, Any]]) -> Shapes:
    """QuPath: cells and detections, or, if there are none, annotations; points always."""
    shapes = Shapes()
    kinds = [_object_type(feature) for feature in features]
    regions_too = not DETECTED.isdisjoint(kinds)
    for number, (feature, kind) in enumerate(zip(features, kinds, strict=True), 1):
        label = _classification(feature)
        if kind in NO_CELLS or label.endswith("*"):  # QuPath's own mark of classes that do not count
            continue
        geometry = feature.get("nucleusGeometry") or feature["geometry"]
        drawn_region = regions_too and kind not in DETECTED and "Point" not in geometry["type"]
        if not drawn_region:
            for place in _geometry(geometry, f"feature {number}"):
                shapes.add(label, place)
    return shapes


def _object_type(feature: Mapping[str, Any]) -> str:
    """Return QuPath's type of an object, an annotation if the file says nothing."""
    properties = feature.get("properties") or {}
    for source in (properties, feature):
        kind = source.get("objectType") or source.get("object_type")
        if kind:
            return str(kind).lower()
    before_0_3 = {"PathCellObject": "cell", "PathDetectionObject": "detection", "PathTileObject": "tile"}
    return before_0_3.get(str(feature.get("id")), "annotation")


def _classification(feature: Mapping[str, Any]) -> str:
    """Return the class: a text, an object with a name, or one with the parts of a name."""
    properties = feature.get("properties") or {}
    given = properties.get("classification") or feature.get("classification") or ""
    if isinstance(given, str):
        return given
    return str(given["name"]) if "name" in given else ": ".join(given["names"])


def _geometry(geometry: Mapping[str, Any], where: str) -> list[Vertices]:
    """Return the places of one geometry: several for a collection of points, else one."""
    kind, coordinates = geometry["type"], geometry["coordinates"]
    if kind == "Point":
        return [vertices([coordinates], where)]
    if kind == "MultiPoint":
        return [vertices([point], where) for point in coordinates]
    if kind == "Polygon":
        return [vertices(coordinates[0], where)]
    if kind == "MultiPolygon":
        return [largest([vertices(polygon[0], where) for polygon in coordinates])]
    raise InvalidTableError(f"{where} is a {kind}", "Export polygons and points only.")


def _read_coco(document: Mapping[str, Any], image_name: str | None) -> Shapes:
    """COCO: the largest polygon of each object, its run-length mask, or its box."""
    images = document["images"]
    chosen = images[choose_image([str(row.get("file_name", row["id"])) for row in images], image_name)]
    classes = {row["id"]: str(row["name"]) for row in document.get("categories", ())}
    size = (int(chosen["width"]), int(chosen["height"])) if "width" in chosen else None
    shapes = Shapes(image_size=size)
    for row in document["annotations"]:
        if row["image_id"] != chosen["id"]:
            continue
        where = f"annotation {row.get('id', len(shapes.labels) + 1)}"
        category = row.get("category_id")
        if category is not None and category not in classes:
            raise InvalidTableError(
                f"{where} is of category {category}, which has no name", "Add it to the file's categories."
            )
        shapes.add(classes.get(category, ""), _coco_place(row, where))
    return shapes


def _coco_place(row: Mapping[str, Any], where: str) -> Vertices:
    """Return the outline of one COCO object."""
    segmentation = row.get("segmentation")
    if isinstance(segmentation, dict):
        return _run_length_outline(segmentation, where)
    if segmentation:
        return largest([vertices(np.reshape(part, (-1, 2)), where) for part in segmentation])
    left, top, width, height = row["bbox"]
    return box(left, top, right=left + width, bottom=top + height, where=where)


def _run_length_outline(mask: Mapping[str, Any], where: str) -> Vertices:
    """Trace a run-length mask: alternating runs of outside and inside, down the columns."""
    if not isinstance(mask["counts"], list):
        raise InvalidTableError(
            f"{where} has a compressed run-length mask", "Export polygons or uncompressed run lengths."
        )
    height, width = (int(side) for side in mask["size"])
    runs = [int(run) for run in mask["counts"]]
    if min(runs, default=0) < 0 or sum(runs) != height * width or height * width > LARGEST_MASK:
        raise InvalidTableError(
            f"{where} has runs of {sum(runs)} pixels for a mask of {width} x {height}",
            "Export the mask again; its runs must fill it.",
        )
    starts, lengths = (np.cumsum(runs) - runs)[1::2], np.array(runs)[1::2]
    if not lengths.any():
        raise InvalidTableError(f"{where} has an empty mask", "Delete the object or draw it again.")
    place = np.repeat(starts - np.cumsum(lengths) + lengths, lengths) + np.arange(lengths.sum())
    columns, rows = np.divmod(place, height)
    left, top = int(columns.min()), int(rows.min())
    inside = np.zeros((int(rows.max()) - top + 1, int(columns.max()) - left + 1), bool)
    inside[rows - top, columns - left] = True
    return np.asarray(trace_outline(inside) + np.array([left, top]))


def _read_labelbox(rows: Sequence[Mapping[str, Any]], image_name: str | None) -> Shapes:
    """Labelbox: classes with lists of geometries, or a list of objects."""
    row = rows[choose_image([_labelbox_name(row) for row in rows], image_name)]
    shapes = Shapes()
    for label, geometry in _labelbox_objects(row):
        shapes.add(label, _labelbox_place(geometry, f"object {len(shapes.labels) + 1}"))
    return shapes


def _labelbox_name(row: Mapping[str, Any]) -> str:
    """Return the image's name that one row of an export is about."""
    about = row.get("data_row", row)
    names = (about.get(key) for key in ("External ID", "external_id", "ID", "id"))
    return str(next((name for name in names if name), ""))


def _labelbox_objects(row: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield class and geometry of each object, of any age of the export."""
    label = row.get("Label") or {}
    if isinstance(label, str):
        label = {} if label == "Skip" else json.loads(label)
    projects = row.get("projects", {}).values()
    found = [one["annotations"]["objects"] for project in projects for one in project["labels"]]
    if "objects" in label or "classifications" in label:
        found.append(label.get("objects") or [])
        label = {}
    for one in (one for objects in found for one in objects):
        yield str(one.get("title") or one.get("name") or one.get("value") or ""), one
    for name, members in label.items():
        if isinstance(members, list):  # texts are answers about the whole image
            yield from ((str(name), member) for member in members)


def _labelbox_place(drawn: Any, where: str) -> Vertices:
    """Return the vertices of one object: a geometry, polygon, point or box."""
    if isinstance(drawn, dict):
        drawn = next((drawn[key] for key in ("geometry", "polygon", "point") if drawn.get(key)), drawn)
    if isinstance(drawn, list):
        return vertices([(corner["x"], corner["y"]) for corner in drawn], where)
    if "x" in drawn:
        return vertices([(drawn["x"], drawn["y"])], where)
    given = drawn.get("bbox") or drawn.get("bounding_box")
    if not given:
        raise InvalidTableError(
            f"{where} has neither polygon, point nor box", "Export vector annotations, not masks."
        )
    right, bottom = given["left"] + given["width"], given["top"] + given["height"]
    return box(given["left"], given["top"], right=right, bottom=bottom, where=where)


def _read_polygons(polygons: Mapping[str, Sequence[Any]]) -> Shapes:
    """Read a plain object: for each class a list of polygons, each a list of x, y."""
    shapes = Shapes()
    for label, members in polygons.items():
        for number, member in enumerate(members, 1):
            shapes.add(label, vertices(member, f"polygon {number} of {label!r}"))
    return shapes
