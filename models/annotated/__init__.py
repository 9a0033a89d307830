"""Annotation files of any tool: points, boxes, polygons and masks, read into one form."""

from .annotation import Annotation, read_annotation

__all__ = ["Annotation", "read_annotation"]
