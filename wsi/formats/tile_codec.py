"""Turns the bytes of one TIFF tile into pixels, bit for bit as OpenSlide does.

JPEG goes through simplejpeg (libjpeg-turbo), because it refuses damaged data as OpenSlide does, while other
decoders fill the rest of the tile with grey and say nothing. Everything else goes through imagecodecs.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from .tiff_directory import TiffImage

try:
    import simplejpeg
except ImportError:  # then damage inside a JPEG tile is only seen where it cuts off the tile's end
    simplejpeg = None

__all__ = ["Compression", "DamagedTileError", "TileCodec", "is_understood"]

GREY, RGB, YCBCR = 1, 2, 6
"""TIFF PhotometricInterpretation."""

JPEG_END = b"\xff\xd9"


class Compression(IntEnum):
    """TIFF Compression tags that are decoded here."""

    NONE = 1
    LZW = 5
    JPEG = 7
    DEFLATE = 8
    JPEG2000_RGB = 33005
    OLD_DEFLATE = 32946
    ZSTD = 50000


class DamagedTileError(ValueError):
    """The bytes of a tile make no image."""


def is_understood(image: TiffImage) -> bool:
    """Whether every property of a tiled image is one that :class:`TileCodec` decodes."""
    try:
        compression = Compression(image.compression)
    except ValueError:
        return False
    is_plain = not image.is_planar and image.fill_order == 1 and image.orientation == 1
    return (
        image.is_tiled
        and is_plain
        and image.width > 0
        and image.height > 0
        and set(image.bits) == {8}
        and len(image.offsets) == len(image.counts) == image.columns * image.rows
        and image.photometric in _photometrics(compression, image.samples)
        and image.predictor in _predictors(compression)
    )


def _photometrics(compression: Compression, samples: int) -> tuple[int, ...]:
    """Return the colour codes that can be decoded."""
    if samples == 1 and compression not in (Compression.JPEG, Compression.JPEG2000_RGB):
        return (GREY,)
    if samples != 3:
        return ()
    return (RGB, YCBCR) if compression is Compression.JPEG else (RGB,)


def _predictors(compression: Compression) -> tuple[int, ...]:
    """Return the predictors that can be undone: none, and horizontal differences."""
    packed = (Compression.LZW, Compression.DEFLATE, Compression.OLD_DEFLATE, Compression.ZSTD)
    return (1, 2) if compression in packed else (1,)


@dataclass(frozen=True)
class TileCodec:
    """Decodes the tiles of one image.

    Parameters
    ----------
    image : TiffImage
        An understood image.
    trust_jfif : bool
        Whether a JFIF marker in a tile outranks the directory's colour code. OME-TIFF writers label YCbCr
        JPEG as RGB; OpenSlide believes the label, which is right for scanners' own files.
    """

    image: TiffImage
    trust_jfif: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and samples of a tile."""
        return (self.image.tile_height, self.image.tile_width, self.image.samples)

    def decode(self, data: bytes, out: NDArray[np.uint8]) -> None:
        """Decode a tile into ``out``, an array of ``shape`` (its memory is used again and again).

        Raises
        ------
        DamagedTileError
            If the bytes are damaged or make a tile of another size.
        """
        compression = self.image.compression
        try:
            if compression == Compression.JPEG:
                self._decode_jpeg(data, out)
            elif compression == Compression.JPEG2000_RGB:
                imagecodecs.jpeg2k_decode(data, out=out)
            else:
                self._decode_packed(data, out)
        except DamagedTileError:
            raise
        except Exception as error:  # each codec has an exception type of its own
            raise DamagedTileError(" ".join(str(error).split()) or type(error).__name__) from error

    def _decode_packed(self, data: bytes, out: NDArray[np.uint8]) -> None:
        """Decode samples that are stored as such, packed or not."""
        samples: bytes | bytearray = data
        match self.image.compression:
            case Compression.LZW:
                samples = imagecodecs.lzw_decode(data, out=out.nbytes)
            case Compression.DEFLATE | Compression.OLD_DEFLATE:
                samples = imagecodecs.zlib_decode(data, out=out.nbytes)
            case Compression.ZSTD:
                samples = imagecodecs.zstd_decode(data, out=out.nbytes)
        if len(samples) < out.nbytes:
            raise DamagedTileError(f"holds {len(samples)} of {out.nbytes} bytes")
        tile = np.frombuffer(samples, np.uint8, out.nbytes).reshape(out.shape)
        if self.image.predictor == 2:
            np.add.accumulate(tile, axis=1, dtype=np.uint8, out=out)
        else:
            out[:] = tile

    def _decode_jpeg(self, data: bytes, out: NDArray[np.uint8]) -> None:
        """Decode a JPEG stream in the colour space that the directory names."""
        tables = self.image.jpeg_tables
        has_jfif = data[6:10] == b"JFIF"
        is_ycbcr = self.image.photometric == YCBCR or (self.trust_jfif and has_jfif)
        # libjpeg reads the colour space off JFIF and Adobe markers, so a stream may carry its own or be given
        # one; a stream whose own markers say otherwise takes the decoder that can be told
        has_adobe = b"Adobe" in data[:1024] or b"Adobe" in tables
        if simplejpeg is None or has_adobe or (has_jfif and not is_ycbcr):
            self._decode_jpeg_leniently(data, is_ycbcr, out)
            return
        marker = b"" if has_jfif else b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + bytes([is_ycbcr])
        stream = b"".join((data[:2], marker, tables[2:-2], data[2:]))
        try:
            tile = simplejpeg.decode_jpeg(stream, strict=True, buffer=out)
        except ValueError as error:
            if "subsampling" not in str(error):  # a rare one, which only the other decoder knows
                raise
            self._decode_jpeg_leniently(data, is_ycbcr, out)
            return
        if tile.shape != out.shape:
            raise DamagedTileError(f"decodes to {tile.shape[1]} x {tile.shape[0]} px")

    def _decode_jpeg_leniently(self, data: bytes, is_ycbcr: bool, out: NDArray[np.uint8]) -> None:
        """Decode with a decoder that hides damage, after a look at the end of the stream."""
        if data.find(JPEG_END, -64) < 0:
            raise DamagedTileError("the JPEG stream has no end")
        imagecodecs.jpeg8_decode(
            data,
            tables=self.image.jpeg_tables or None,
            colorspace="YCBCR" if is_ycbcr else "RGB",
            outcolorspace="RGB",
            out=out,
        )
