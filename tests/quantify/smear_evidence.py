"""A usual differential and blood count, and scores by their names, for tests of blood smears."""

from __future__ import annotations

from slidelab.quantify import (
    BloodCount,
    SlideResult,
    WhiteCells,
)

USUAL = {"neutrophil": 60, "lymphocyte": 30, "monocyte": 6, "eosinophil": 3, "basophil": 1}
NORMAL = BloodCount(
    wbc=7.0,
    rbc=4.8,
    platelets=250,
    haemoglobin=14,
    haemoglobin_upper=17,
    mcv=90,
    rdw=13,
    mchc=33,
    mchc_upper=36,
    suspects=False,
    age=40,
    hours=2,
)


def white(total: int = 200, **more) -> WhiteCells:
    return WhiteCells({name: cells * total // 100 for name, cells in USUAL.items()}, **more)


def with_value(name: str, value: float) -> BloodCount:
    values = {each: getattr(NORMAL, each) for each in NORMAL.__slots__}
    return BloodCount(**{**values, name: value})


def named(result: SlideResult, name: str):
    return next(score for score in result.scores if score.name == name)
