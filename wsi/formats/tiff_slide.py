"""Decides how a TIFF file is read: natively, by OpenSlide, whole, or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from ...errors import SlidelabError, UnreadableSlideError, UnsupportedSlideError
from ..reader import GREY_PROBLEM, Reader, SlideFacts
from ..region import Region
from .native_tiff import NativeTiffReader
from .ome import OmeImage, is_ome, read_ome
from .openslide_reader import OpenSlideReader, detect_vendor
from .plain import open_plain_tiff
from .pyramid import make_levels
from .tiff_directory import TiffDirectory, TiffImage, read_directory
from .tile_codec import Compression, is_understood

__all__ = ["open_ome", "open_tiff"]

NATIVE_VENDORS = ("aperio", "generic-tiff")
"""Formats whose tiles abut without overlap or offset."""

MOST_BYTES = 1 << 32
"""Size above which scanners' TIFF dialects may bend the addresses (Hamamatsu wraps them round)."""

FLUORESCENCE_MARK = "PerkinElmer-QPI"
FLUORESCENCE_ADVICE = (
    "slidelab reads stained bright-field slides; use a fluorescence tool, or export an RGB image"
)


def open_tiff(path: Path) -> Reader:
    """Open a TIFF file with the reader that fits its layout.

    Raises
    ------
    UnreadableSlideError
        If it is damaged or cut short.
    UnsupportedSlideError
        If it is a sound file of a kind that cannot be used: fluorescence channels, 16 bit, ...
    """
    vendor = detect_vendor(path)
    if vendor is not None and vendor not in NATIVE_VENDORS:
        return _open_scanner_tiff(path)
    directory = read_directory(path)
    directory.check_chain()
    directory.check_tiles()
    directory.check_extent()
    first = directory.images[0]
    if is_ome(first.description):
        return open_ome(directory, read_ome(first.description, name=path.name))
    _refuse_fluorescence(directory)
    _refuse_deep_pixels(directory)
    if vendor is not None:
        return _open_known(directory, vendor)
    if first.is_tiled:
        return _open_unknown(directory)
    return open_plain_tiff(directory)


def _open_scanner_tiff(path: Path) -> Reader:
    """Open a scanner's TIFF that is OpenSlide's, after a look at its length."""
    try:
        directory = read_directory(path)
    except UnreadableSlideError:  # some scanners bend the format; OpenSlide is the judge of these
        return OpenSlideReader(path)
    directory.check_tiles()
    if directory.size < MOST_BYTES:
        directory.check_extent()
    return OpenSlideReader(path)


def _open_known(directory: TiffDirectory, vendor: str) -> Reader:
    """Open an Aperio or generic pyramid: OpenSlide's metadata, native pixels where understood."""
    try:
        companion = OpenSlideReader(directory.path)
    except SlidelabError:
        images = _pyramid_of(directory)
        if vendor == "generic-tiff" and all(is_understood(image) for image in images):
            return _open_unknown(directory)
        raise
    sizes = [(level.width, level.height) for level in companion.facts.levels]
    images = _match(directory.images, sizes)
    if not images:
        return companion
    if not _is_native(images, vendor):
        companion.facts = _describe(companion.facts, images[0])
        return companion
    facts = replace(_describe(companion.facts, images[0]), reader="native-tiff")
    return NativeTiffReader(directory.path, images=images, facts=facts, companion=companion)


def _is_native(images: Sequence[TiffImage], vendor: str) -> bool:
    """Whether the native reader gives what OpenSlide gives."""
    if vendor == "aperio" and any((image.counts == 0).any() for image in images[1:]):
        return False  # OpenSlide paints missing tiles of these levels from the finer ones
    return all(is_understood(image) for image in images)


def _match(images: Sequence[TiffImage], sizes: Sequence[tuple[int, int]]) -> tuple[TiffImage, ...]:
    """Return the tiled image of each size; nothing where one is missing or ambiguous."""
    found = []
    for size in sizes:
        fitting = [image for image in images if image.is_tiled and (image.width, image.height) == size]
        if len(fitting) != 1:
            return ()
        found.append(fitting[0])
    return tuple(found)


def _open_unknown(directory: TiffDirectory) -> Reader:
    """Open a tiled TIFF that OpenSlide does not read."""
    images = _pyramid_of(directory)
    _require_understood(directory.path, images)
    return NativeTiffReader(directory.path, images=images, facts=_facts_of(directory.path, images))


def _pyramid_of(directory: TiffDirectory) -> tuple[TiffImage, ...]:
    """Return the first tiled image and its reduced copies, finest first."""
    first, *rest = directory.images
    return (first, *_finest_first(image for image in rest if image.is_tiled and image.is_reduced))


def _finest_first(images: Iterable[TiffImage]) -> list[TiffImage]:
    """Sort by size."""
    return sorted(images, key=lambda image: -image.width)


def open_ome(directory: TiffDirectory, ome: OmeImage) -> Reader:
    """Open an OME-TIFF."""
    path = directory.path
    if ome.ifd >= len(directory.images):
        raise UnreadableSlideError(
            f"{path.name}: OME-XML names image {ome.ifd}, but the file holds {len(directory.images)}",
            "keep the files of a multi-file OME-TIFF together, or export it again",
        )
    first = directory.images[ome.ifd]
    if not first.is_tiled:
        plain = open_plain_tiff(directory, number=ome.ifd)
        plain.facts = _add_ome(plain.facts, ome)
        return plain
    images = (first, *_finest_first(image for image in first.sub_images if image.is_tiled))
    _require_understood(path, images)
    facts = _add_ome(_facts_of(path, images), ome)
    return NativeTiffReader(path, images=images, facts=facts)


def _add_ome(facts: SlideFacts, ome: OmeImage) -> SlideFacts:
    """Add what OME-XML says; its um per pixel come first."""
    stated = () if ome.candidate is None else (ome.candidate,)
    candidates = (*stated, *facts.candidates)
    return replace(facts, vendor="ome-tiff", candidates=candidates, objective_power=ome.objective_power)


def _require_understood(path: Path, images: Sequence[TiffImage]) -> None:
    """Raise UnsupportedSlideError for tiles that no reader here decodes."""
    strange = next((image for image in images if not is_understood(image)), None)
    if strange is not None:
        raise UnsupportedSlideError(
            f"{path.name} has TIFF tiles of a kind that cannot be read: compression {strange.compression}, "
            f"colour code {strange.photometric}, {strange.samples} samples of {max(strange.bits)} bits",
            "convert it, for example: vips tiffsave IN OUT.tif --tile --pyramid --compression jpeg",
        )


def _refuse_fluorescence(directory: TiffDirectory) -> None:
    """Raise UnsupportedSlideError where each channel is an image of its own."""
    first = directory.images[0]
    size = (first.width, first.height)
    channels = [image for image in directory.images if (image.width, image.height) == size]
    if first.samples != 1 or len(channels) < 2:
        return
    if FLUORESCENCE_MARK in first.description or not first.is_tiled:
        raise UnsupportedSlideError(
            f"{directory.path.name} is a multi-channel fluorescence image ({len(channels)} channels)",
            FLUORESCENCE_ADVICE,
        )


def _refuse_deep_pixels(directory: TiffDirectory) -> None:
    """Raise UnsupportedSlideError for tiles of more than 8 bits, which OpenSlide would cut down silently."""
    first = directory.images[0]
    if first.is_tiled and set(first.bits) != {8}:
        raise UnsupportedSlideError(
            f"{directory.path.name} has {max(first.bits)} bits per sample, not 8",
            "export the slide as 8-bit RGB",
        )


def _facts_of(path: Path, images: Sequence[TiffImage]) -> SlideFacts:
    """Return what a TIFF file says about itself where OpenSlide does not."""
    first = images[0]
    levels = make_levels([(image.width, image.height) for image in images])
    facts = SlideFacts(
        reader="native-tiff",
        vendor="generic-tiff",
        levels=levels,
        bounds=Region(0, 0, first.width, first.height),
        properties=MappingProxyType({"tiff.ImageDescription": first.description}),
        candidates=() if first.candidate is None else (first.candidate,),
        icc_profile=first.icc_profile or None,
        files=(path,),
    )
    return _describe(facts, first)


def _describe(facts: SlideFacts, first: TiffImage) -> SlideFacts:
    """Add what the directory says about level 0."""
    problems = (*facts.problems, GREY_PROBLEM) if first.samples == 1 else facts.problems
    names = {int(kind): kind.name.lower().replace("_", " ") for kind in Compression}
    compression = names.get(first.compression, f"TIFF code {first.compression}")
    return replace(facts, channels=first.samples, compression=compression, problems=problems)
