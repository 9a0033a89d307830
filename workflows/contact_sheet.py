"""A slide's own fields beside what each method of normalisation makes of them, on one sheet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import SettingsError
from ..models.registry import LicencePolicy
from ..models.stain_loading import GeneratorFile
from ..stain import (
    METHODS,
    Normalizer,
    SlideColours,
    colours_for,
    likeness,
    method_of,
    normalised_median_intensity,
    structure_kept,
)
from ..tiling import atomic_file
from ..wsi import open_slide
from .slides.stain_fit import StainSample, choose_normalizer, read_profile, sample_slide, target_colours

__all__ = ["ContactSheet", "draw_contact_sheet"]

Pixels = NDArray[np.uint8]

FIELDS = 5
"""Rows of the sheet: fields from as many parts of the slide."""
INCHES = 1.9
"""Side of a field on the sheet."""
DPI = 160
"""Pixels per inch: a field of 160 px is shown at almost twice its size."""
FONT = "DejaVu Sans"
"""Comes with matplotlib, so that text looks the same on every machine."""


@dataclass(frozen=True)
class ContactSheet:
    """Figures of a sheet."""

    path: Path
    """The picture."""
    methods: dict[str, dict[str, Any]]
    """By method: ``ssim`` and ``structure`` (`structure_kept`) to the slide, ``nmi`` (normalised median
    intensity) and ``flags``."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"contact_sheet": str(self.path), "methods": self.methods}


def draw_contact_sheet(
    path: Path,
    out: Path,
    *,
    mpp: float | None = None,
    target: Path | None = None,
    model: str = "auto",
    policy: LicencePolicy = "research",
) -> ContactSheet:
    """Draw fields of a slide as they are and as each method shows them.

    Parameters
    ----------
    path : Path
        The slide.
    out : Path
        Picture to write, ``.png``.
    mpp : float, optional
        um per level-0 pixel, in place of what the file says.
    target : Path, optional
        Colours to aim at: a slide or an image, or a profile; a profile counts for methods of its kind alone.
    model : str
        Network of ``cyclegan`` and ``distilled``.
    policy : {"research", "permissive"}
        Which networks may be used.

    Returns
    -------
    ContactSheet
        With the structural similarity of each method's fields to the slide's own.

    Raises
    ------
    SlidelabError
        If the slide cannot be read or has no tissue, or there is no such network.
    """
    if out.suffix.lower() != ".png":
        raise SettingsError(f"{out.name} is no PNG name", "End the contact sheet's name in .png.")
    with open_slide(path, mpp=mpp, salvage=True) as slide:
        sample = sample_slide(slide)
    if len(sample.pixels) == 0:
        raise SettingsError(f"{path.name} shows no tissue", "There is nothing to put on a contact sheet.")
    fields = _fullest(sample.pixels)
    columns: dict[str, tuple[Normalizer, list[Pixels]]] = {}
    generator = GeneratorFile.find(model, policy=policy)
    for method in METHODS:
        normalizer = choose_normalizer(sample, method, target=_target(target, method), generator=generator)
        columns[method] = (normalizer, [normalizer.apply(field) for field in fields])
    figures = {method: _judge(columns[method], fields, sample) for method in METHODS}
    with atomic_file(out) as temporary:
        temporary.write_bytes(_draw(path.name, columns, figures))
    return ContactSheet(out, figures)


def _target(path: Path | None, method: str) -> SlideColours | None:
    """Return the colours that a method is to aim at; None for the published ones."""
    if path is None or method == "none":
        return None
    if path.suffix.lower() == ".json":
        known = read_profile(path)
        return known if method_of(known) == colours_for(method) else None
    return target_colours(path, method)


def _fullest(windows: Pixels) -> list[Pixels]:
    """Return the window with the most tissue from each of several parts of the slide."""
    parts = np.array_split(np.arange(len(windows)), min(FIELDS, len(windows)))
    white = (windows == 255).all(axis=-1).mean(axis=(1, 2))
    return [windows[part[int(np.argmin(white[part]))]] for part in parts]


def _judge(
    column: tuple[Normalizer, list[Pixels]], fields: list[Pixels], sample: StainSample
) -> dict[str, Any]:
    """Return the figures of a method."""
    normalizer, made = column
    stained = [
        new[field.mean(axis=-1) < np.mean(sample.background) * 0.9]
        for field, new in zip(fields, made, strict=True)
    ]
    ssim = float(np.mean([likeness(field, new) for field, new in zip(fields, made, strict=True)]))
    nmi = normalised_median_intensity(np.concatenate(stained))
    return {
        "ssim": round(ssim, 4),
        "nmi": None if np.isnan(nmi) else round(nmi, 4),
        "structure": round(structure_kept(np.stack(fields), np.stack(made)), 4),
        "flags": list(normalizer.flags),
    }


def _draw(
    name: str, columns: dict[str, tuple[Normalizer, list[Pixels]]], figures: dict[str, dict[str, Any]]
) -> bytes:
    """Return the sheet as PNG."""
    import io

    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = len(columns["none"][1])
    size = (INCHES * len(columns), INCHES * rows + 0.9)
    figure = Figure(figsize=size, dpi=DPI)
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, len(columns), squeeze=False)
    for column, (method, (_, made)) in enumerate(columns.items()):
        for row, field in enumerate(made):
            axes = grid[row][column]
            axes.imshow(field, interpolation="nearest")
            axes.set_axis_off()
        facts = figures[method]
        text = "as scanned" if method == "none" else f"{method}\nSSIM {facts['ssim']:.2f}"
        if facts["flags"]:
            text = f"{method}\n" + "\n".join(facts["flags"])
        grid[0][column].set_title(text, fontsize=9, fontfamily=FONT)
    figure.suptitle(name, fontsize=10, fontfamily=FONT)
    figure.subplots_adjust(
        left=0.01, right=0.99, bottom=0.01, top=1 - 0.85 / size[1], wspace=0.03, hspace=0.03
    )
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()
