"""GeoJSON read feature by feature: a slide's million cells never lie in memory together."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from ...errors import InvalidTableError, SlideNotFoundError

__all__ = ["class_of", "kind_of", "read_features"]

CHUNK = 2**20
"""Bytes read at once."""
NO_NUMBER = re.compile(rb"(?<=[:,\[\s])(?:NaN|-?Infinity)(?=[\s,}\]]|\Z)")
"""What QuPath writes for a measurement that is no number, and what no JSON parser has to accept."""


def read_features(path: str | Path) -> Iterator[dict[str, Any]]:
    """Yield the features of a GeoJSON file, plain or gzipped, a collection or a bare list.

    Objects that QuPath nests in others (``childObjects``) come after those that hold them.

    Raises
    ------
    SlideNotFoundError
        If there is no such file.
    InvalidTableError
        If it is no GeoJSON, or cut off.
    """
    path = Path(path)
    if not path.is_file():
        raise SlideNotFoundError(f"no file {path}", "Check the path.")
    import ijson

    unsound = (ijson.JSONError, OSError, EOFError, zlib.error, ValueError, RecursionError)
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
        with gzip.open(path) if packed else path.open("rb") as stream:
            source = _LenientSource(stream)
            place = "item" if source.begins_with(b"[") else "features.item"
            for feature in ijson.items(source, place, use_float=True):
                yield from _with_children(feature)
    except unsound as error:
        why = " ".join(f"{type(error).__name__}: {error}".split())[:100]
        raise InvalidTableError(
            f"{path.name} is no sound GeoJSON file ({why})",
            "Export it again: QuPath, File > Export objects as GeoJSON.",
        ) from error


def kind_of(feature: Mapping[str, Any]) -> str:
    """Return QuPath's type of an object in small letters; one without is an annotation, as for QuPath."""
    properties = feature.get("properties") or {}
    return str(properties.get("objectType") or properties.get("object_type") or "annotation").lower()


def class_of(feature: Mapping[str, Any]) -> str:
    """Return the name of an object's class, "" if it has none, parts of a derived one joined by colons."""
    given = (feature.get("properties") or {}).get("classification")
    if isinstance(given, Mapping):
        given = given.get("name") or ": ".join(map(str, given.get("names") or ()))
    return str(given or "").strip()


def _with_children(feature: Any) -> Iterator[dict[str, Any]]:
    """Yield an object and all that are nested in it."""
    if not isinstance(feature, dict):
        raise ValueError("a feature that is no object")
    properties = feature.get("properties")
    properties = properties if isinstance(properties, dict) else {}
    children = properties.pop("childObjects", None) or properties.pop("children", None) or ()
    yield feature
    for child in children:
        yield from _with_children(child)


class _LenientSource:
    """The bytes of a file with null in place of NaN and Infinity, and without a byte order mark."""

    def __init__(self, stream: BinaryIO | gzip.GzipFile) -> None:
        self._stream = stream
        self._held = b""
        self._ready = self._next_part().removeprefix(b"\xef\xbb\xbf")

    def begins_with(self, text: bytes) -> bool:
        """Tell how the document begins, white space aside."""
        return self._ready.lstrip().startswith(text)

    def read(self, size: int = -1) -> bytes:
        """Return some more bytes, none at the end; a parser that asks for none wants to see their type."""
        if size == 0:
            return b""
        part, self._ready = self._ready or self._next_part(), b""
        return part

    def _next_part(self) -> bytes:
        """Return bytes up to a comma, so that no word is torn; none only at the end."""
        while chunk := self._stream.read(CHUNK):
            self._held += chunk
            cut = self._held.rfind(b",")
            if cut > 0:
                part, self._held = self._held[:cut], self._held[cut:]
                return _replaced(part)
        part, self._held = self._held, b""
        return _replaced(part)


def _replaced(part: bytes) -> bytes:
    """Write null for values that are no numbers."""
    return NO_NUMBER.sub(b"null", part) if b"NaN" in part or b"Infinity" in part else part
