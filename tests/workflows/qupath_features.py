"""Features of a QuPath file: those of some classes, without some, and drawn anew."""

import uuid

import shapely

from slidelab.workflows.slides.geojson_stream import class_of


def cells_of(document, *names):
    """The cells of some classes."""
    return [
        each
        for each in document["features"]
        if each["properties"]["objectType"] == "detection" and class_of(each) in names
    ]


def drop(document, features):
    gone = {each["id"] for each in features}
    document["features"] = [each for each in document["features"] if each["id"] not in gone]


def annotation(outline, name, **properties):
    return {
        "type": "Feature",
        "id": str(uuid.uuid4()),
        "geometry": shapely.geometry.mapping(outline),
        "properties": {"objectType": "annotation", "classification": {"name": name}, **properties},
    }
