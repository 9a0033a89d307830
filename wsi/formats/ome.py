"""The part of OME-XML that matters here: sizes, kind of pixels and um per pixel of the first image."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree

from ...errors import UnreadableSlideError, UnsupportedSlideError
from ..resolution import Candidate

__all__ = ["OmeImage", "is_ome", "read_ome"]

MICRONS_PER_UNIT = {
    "µm": 1.0,
    "μm": 1.0,
    "um": 1.0,
    "nm": 1e-3,
    "mm": 1e3,
    "cm": 1e4,
    "m": 1e6,
    "in": 25400.0,
}
"""um per PhysicalSizeXUnit; both code points of the Greek letter are in use."""


@dataclass(frozen=True, slots=True)
class OmeImage:
    """The first image of an OME-TIFF."""

    channels: int
    """1 or 3."""
    ifd: int
    """Index of its image in the TIFF file."""
    candidate: Candidate | None
    objective_power: float | None
    """NominalMagnification of the first objective."""


def is_ome(description: str) -> bool:
    """Whether a TIFF description is OME-XML."""
    return "<OME" in description[:4096] and "openmicroscopy.org" in description[:8192]


def read_ome(description: str, *, name: str) -> OmeImage:
    """Read the first image's description.

    Parameters
    ----------
    description : str
        OME-XML.
    name : str
        Name of the file, for messages.

    Raises
    ------
    UnreadableSlideError
        If the XML is damaged or describes no image.
    UnsupportedSlideError
        If the image has fluorescence channels, several planes or no 8-bit pixels.
    """
    root = _parse(description, name)
    pixels = _find_pixels(root, name)
    channels, planes = _whole(pixels, "SizeC"), _whole(pixels, "SizeZ") * _whole(pixels, "SizeT")
    kind = pixels.get("Type", "uint8")
    if channels not in (1, 3) or (channels == 3 and not _has_colour(pixels)):
        raise UnsupportedSlideError(
            f"{name} is a multi-channel fluorescence image ({channels} channels)",
            "slidelab reads stained bright-field slides; use a fluorescence tool, or export an RGB image",
        )
    if planes != 1:
        raise UnsupportedSlideError(f"{name} has {planes} planes (z or time)", "export one plane as RGB")
    if kind != "uint8":
        raise UnsupportedSlideError(f"{name} has {kind} pixels, not 8 bit", "export it as 8-bit RGB")
    data = next(_children(pixels, "TiffData"), None)
    ifd = _whole(data, "IFD", default=0) if data is not None else 0
    return OmeImage(channels, ifd, _candidate(pixels), _objective_power(root))


def _parse(description: str, name: str) -> ElementTree.Element:
    """Return the root of the XML."""
    if "<!ENTITY" in description:  # entities have no place in OME-XML, and nested ones can fill the memory
        raise UnreadableSlideError(f"{name}: its OME-XML declares entities", "export the slide again")
    try:
        return ElementTree.fromstring(description.encode("utf-8"))
    except (ElementTree.ParseError, LookupError, ValueError) as error:  # also: an encoding of no known name
        raise UnreadableSlideError(f"{name}: its OME-XML is damaged: {error}", "export it again") from error


def _find_pixels(root: ElementTree.Element, name: str) -> ElementTree.Element:
    """Return the first Pixels element."""
    for image in _children(root, "Image"):
        for pixels in _children(image, "Pixels"):
            return pixels
    raise UnreadableSlideError(
        f"{name}: its OME-XML describes no image", "give the file that holds the pixels, or export it again"
    )


def _has_colour(pixels: ElementTree.Element) -> bool:
    """Whether three channels are the samples of one colour image, not three fluorescence channels."""
    channels = list(_children(pixels, "Channel"))
    return len(channels) == 1 or all(channel.get("SamplesPerPixel", "1") == "3" for channel in channels)


def _children(element: ElementTree.Element, name: str) -> Iterator[ElementTree.Element]:
    """Yield children of a name, whatever their namespace (it carries the schema's year)."""
    return (child for child in element if child.tag.rpartition("}")[2] == name)


def _whole(element: ElementTree.Element, name: str, *, default: int = 1) -> int:
    """Return a whole-number attribute."""
    text = element.get(name, "")
    return int(text) if text.isdigit() else default


def _objective_power(root: ElementTree.Element) -> float | None:
    """Return the nominal magnification."""
    for instrument in _children(root, "Instrument"):
        for objective in _children(instrument, "Objective"):
            try:
                return float(objective.get("NominalMagnification", ""))
            except ValueError:
                return None
    return None


def _candidate(pixels: ElementTree.Element) -> Candidate | None:
    """Return PhysicalSizeX and Y in um per pixel."""
    sizes = []
    for axis in "XY":
        microns = MICRONS_PER_UNIT.get(pixels.get(f"PhysicalSize{axis}Unit", "µm"))
        try:
            size = float(pixels.get(f"PhysicalSize{axis}", ""))
        except ValueError:
            return None
        if microns is None or not math.isfinite(size) or size <= 0:
            return None
        sizes.append(size * microns)
    return Candidate("ome:PhysicalSizeX", sizes[0], sizes[1])
