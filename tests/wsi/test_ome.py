from __future__ import annotations

import pytest

from slidelab.errors import UnreadableSlideError, UnsupportedSlideError
from slidelab.wsi.formats.ome import is_ome, read_ome

FRAME = (
    '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
    '<Instrument ID="I"><Objective ID="O" NominalMagnification="40.0"/></Instrument>'
    '<Image ID="Image:0"><Pixels {0}>{1}</Pixels></Image></OME>'
)
SIZES = 'Type="uint8" SizeX="9" SizeY="9" SizeC="3" SizeZ="1" SizeT="1"'
COLOUR = '<Channel SamplesPerPixel="3"/><TiffData IFD="2"/>'


def test_the_first_image_is_described() -> None:
    text = FRAME.format(SIZES + ' PhysicalSizeX="0.25" PhysicalSizeY="0.26"', COLOUR)
    assert is_ome(text)
    image = read_ome(text, name="x.ome.tif")
    assert (image.channels, image.ifd, image.objective_power) == (3, 2, 40.0)
    assert image.candidate is not None
    assert (image.candidate.x, image.candidate.y) == (0.25, 0.26)  # um where no unit is given


@pytest.mark.parametrize(
    ("unit", "size", "microns"), [("µm", 0.5, 0.5), ("μm", 0.5, 0.5), ("nm", 500, 0.5), ("mm", 5e-4, 0.5)]
)
def test_physical_sizes_are_turned_into_um(unit: str, size: float, microns: float) -> None:
    sizes = " ".join(f'PhysicalSize{axis}="{size}" PhysicalSize{axis}Unit="{unit}"' for axis in "XY")
    candidate = read_ome(FRAME.format(f"{SIZES} {sizes}", COLOUR), name="x").candidate
    assert candidate is not None
    assert candidate.x == pytest.approx(microns)


@pytest.mark.parametrize(
    "sizes", ["", 'PhysicalSizeX="1" PhysicalSizeXUnit="pixel" PhysicalSizeY="1"', 'PhysicalSizeX="-1"']
)
def test_sizes_that_say_nothing_give_no_candidate(sizes: str) -> None:
    assert read_ome(FRAME.format(f"{SIZES} {sizes}", COLOUR), name="x").candidate is None


@pytest.mark.parametrize(
    ("change", "channels", "reason"),
    [
        (('SizeC="3"', 'SizeC="7"'), COLOUR, "multi-channel fluorescence image \\(7 channels\\)"),
        (("", ""), "<Channel/><Channel/><Channel/>", "multi-channel fluorescence image \\(3 channels\\)"),
        (('SizeZ="1"', 'SizeZ="5"'), COLOUR, "5 planes"),
        (('"uint8"', '"uint16"'), COLOUR, "uint16 pixels"),
    ],
)
def test_images_that_are_no_stained_slide_are_refused(change, channels: str, reason: str) -> None:
    with pytest.raises(UnsupportedSlideError, match=reason) as caught:
        read_ome(FRAME.format(SIZES.replace(*change), channels), name="x.ome.tif")
    assert caught.value.advice


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<OME>", "damaged"),
        ("<OME></OME>", "describes no image"),
        ('<?xml version="1.0" encoding="UUF-8"?><OME/>', "damaged"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><OME>&b;</OME>', "declares entities"),
    ],
)
def test_damaged_xml_is_refused(text: str, reason: str) -> None:
    with pytest.raises(UnreadableSlideError, match=reason):
        read_ome(text, name="x.ome.tif")
