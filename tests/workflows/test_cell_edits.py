"""What QuPath may write is read, classes by what their names mean, and places from the bounds on."""

import json
import uuid

import numpy as np
import shapely

from slidelab.workflows.slides.cell_edits import IGNORED, MISSING, ClassNames, read_cell_edits
from slidelab.workflows.slides.membrane_rule import Pdl1Rule
from slidelab.workflows.slides.nuclear_rule import NuclearRule

from .qupath_features import annotation


def test_coordinates_begin_at_the_bounds(tmp_path):
    drawn = annotation(shapely.box(10, 20, 30, 40), "Positive", objectType="detection")
    (tmp_path / "edits.json").write_text(json.dumps([drawn]))
    edits = read_cell_edits(
        tmp_path / "edits.json",
        np.array([], "S36"),
        names=ClassNames(NuclearRule.classes),
        origin=(1000.0, -5.0),
        mpp=0.5,
    )
    assert edits.drawn[0].outline.bounds == (1010, 15, 1030, 35)


def test_what_qupath_may_write_is_read(tmp_path):
    ids = [str(uuid.uuid4()) for _ in range(6)]
    square = '{"type":"Polygon","coordinates":[[[0,0],[9,0],[9,9],[0,0]]]}'

    def cell(number, properties, kind="cell"):
        return (
            f'{{"type":"Feature","id":"{ids[number].upper()}","geometry":{square},"nucleusGeometry":{square},'
            f'"properties":{{"objectType":"{kind}"{properties}}}}}'
        )

    inner = cell(3, ',"classification":"Negative"', "detection")
    text = ",\n".join(
        [
            cell(
                0,
                ',"classification":{"name":"Positive","color":[1,2,3]},"measurements":{"a":NaN,"b":-Infinity}',
            ),
            cell(1, ',"classification":{"names":["Tumor","Negative"]},"measurements":{"NaN":1}'),
            cell(2, ',"classification":null'),
            cell(5, f',"name":"holder","childObjects":[{inner}]', "annotation"),
        ]
    )
    path = tmp_path / "edits.geojson"
    path.write_text(f'{{"type":"FeatureCollection","features":[{text}]}}')
    names = ClassNames(NuclearRule.classes)
    edits = read_cell_edits(path, np.array(ids, "S36"), names=names, origin=(0, 0), mpp=0.5)
    assert edits.codes.tolist() == [0, 1, IGNORED, 1, MISSING, MISSING]
    assert edits.drawn == ()


def test_names_of_classes_are_understood_by_what_they_mean():
    nuclear = ClassNames(NuclearRule.classes)
    meant = {"Positive": 0, "positive": 0, "Tumour: Negative": 1, "Other": 2, "Stroma: Positive": 2}
    meant |= {"Immune cells": 2, "DCIS": 2, "Ignore*": IGNORED, "": IGNORED, "Artefact*: Positive": IGNORED}
    meant |= {"Tumor": None, "Positive: 2": None}
    assert {name: nuclear.code(name) for name in meant} == meant
    pdl1 = ClassNames(Pdl1Rule.classes)
    codes = [pdl1.code(name) for name in ("Tumour: Positive", "Immune cells: Negative", "Stroma")]
    shown = [Pdl1Rule.classes[code].name for code in codes]
    assert shown == ["Tumor: Positive", "Immune cells: Negative", "Other"]
    assert pdl1.code("Immune cells") is None, "positive or negative must be said"
    assert pdl1.code("Positive") is None
