"""Single cells with a class, as pictures of their own or as places in a field: what readers give."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["CellSet", "LabelledCell"]


@dataclass(frozen=True)
class LabelledCell:
    """One cell or small group with what experts said of it."""

    set_name: str
    """Name of the collection."""
    name: str
    """Name of the cell in it."""
    case: str
    """Photograph, field or picture: cells of one are never divided between training and validation."""
    part: str
    """One of `PARTS`: fixed for ever by the reader."""
    path: Path
    """The image file."""
    mpp: float
    """um per px of the image."""
    label: str
    """Its class; ``abnormal`` where only that is known."""
    detail: str = ""
    """A finer class where the set has one."""
    centre: tuple[float, float] | None = None
    """x, y in px of the image; None where the image is a picture of this cell alone."""
    box: tuple[int, int, int, int] | None = None
    """Left, top, right, bottom of the picture without padding, px; None = all of it."""
    mask: Path | None = None
    """Drawn parts of the cell: 0 background, 1 cytoplasm, 2 nucleus, 3 unclassified."""
    scale_stated: bool = True
    """False when ``mpp`` was judged."""
    assumed: bool = False
    """Whether nobody named this very cell: its class is that of most of its kind."""

    def read_mask(self) -> NDArray[np.uint8] | None:
        """Return the drawn parts within the box: (h, w); None where nobody drew any."""
        from PIL import Image

        if self.mask is None:
            return None
        with Image.open(self.mask) as opened:
            drawn = np.asarray(opened, np.uint8)
        left, top, right, bottom = self.box or (0, 0, drawn.shape[1], drawn.shape[0])
        return drawn[top:bottom, left:right]


@dataclass(frozen=True)
class CellSet:
    """One published set of labelled cells."""

    name: str
    """Name of its folder."""
    folder: str
    """Folder that its folder lies in."""
    stain: str
    """``Papanicolaou`` or ``Romanowsky``."""
    licence: str
    """Licence of the images, as far as stated."""
    source: str
    """Where it was published."""
    is_open: bool
    """Whether weights trained on it may ship under a permissive licence."""
    read: Callable[[Path], Iterator[LabelledCell]]
    """Its reader."""
