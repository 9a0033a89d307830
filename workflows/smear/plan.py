"""What is decided about a smear before its fields: which images, their scale, how they are cut."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ResolutionError, SlidelabError, UnreadableSlideError
from ...tiling import Tile, TileGrid, stage_key, write_json
from ...wsi import Slide, open_slide
from ..runs.inputs import SlideInput
from .inputs import field_images
from .readers import SmearReader
from .scale import ScaleEstimate, estimate_scale

__all__ = ["BadImage", "SmearImage", "SmearPlan", "SmearSettings", "load_smear_plan", "make_smear_plan"]

PLAN_VERSION = 1
"""Raised whenever the same settings would give another plan; old results are then not reused."""
FROM_RED_CELLS = "red-cells"
"""Source of a scale that was judged from red cells."""
LEAST_SLIDE_MM2 = 0.5
"""A single image of at least this area is a slide, of which a monolayer is chosen; others are fields."""
COARSEST = 1.1
"""An image may be so much coarser than the network's resolution; interpolation adds no detail."""
STAINED_SHARE = 0.93
"""Where green is below this share of the lightest part of a slide, something is stained."""
LEAST_STAINED = 0.01
"""Share of a patch that is stained where anything is smeared."""
LOOK_UM = 4.0
"""Resolution at which a slide is looked over for its smear, um per px: a red cell is 2 px wide."""
PATCH = 16
"""Side of a patch, px of that resolution."""
STRIP = 64
"""Rows of patches read at once: bounds memory."""
LIGHTEST = 99.0
"""Percentile of green that stands for the lightest part of an image."""
OVERVIEW_UM = 16.0
"""Resolution at which the lightest part of a slide is sought, um per px."""


@dataclass(frozen=True)
class SmearSettings:
    """How a smear is prepared."""

    core_px: int = 1024
    """Side of a tile's core, px of the detector's plane: 256 um at 0.25 um per px."""
    block_um: float = 128.0
    """Side of the squares of a slide that are or are not of the monolayer, um."""
    most_mm2: float = 40.0
    """So much of a slide's smear is read, in tiles spread evenly over it; a monolayer of 25 mm2 holds about
    200 white cells of a healthy person."""
    red_per_tile: int = 200
    """Red cells of a tile whose shape is named, spread evenly, mm2 of a monolayer hold thousands."""


@dataclass(frozen=True)
class SmearImage:
    """One image of a smear."""

    name: str
    """Of the file."""
    path: Path
    width: int
    """px."""
    height: int
    """px."""
    mpp: float
    """um per px."""
    fingerprint: str
    grid: TileGrid
    """Over the detector's plane."""
    downsample: float
    """Image px per plane px."""
    white: float
    """Green of the lightest part, 0-255: what the stain is held against."""

    @property
    def area_mm2(self) -> float:
        """Area of the image, mm2."""
        return self.width * self.height * self.mpp**2 / 1e6


@dataclass(frozen=True)
class BadImage:
    """An image that could not be opened."""

    name: str
    path: Path
    reason: str
    advice: str


@dataclass(frozen=True)
class SmearPlan:
    """Everything that the work on one smear needs to know; lives as a small file beside its results."""

    smear: SlideInput
    key: str
    folder: Path
    is_slide: bool
    """Whether it is a slide, of which the monolayer is chosen, and no set of fields."""
    images: tuple[SmearImage, ...]
    bad: tuple[BadImage, ...]
    parts: tuple[tuple[int, int], ...]
    """Image and tile of each piece of work; those of bad images come last, numbered on, with tile 0."""
    asked_mpp: float
    """Resolution asked for; `Slide.plane` turns it into that of an image."""
    mpp_source: str
    """Where the scale was read, ``user``, or `FROM_RED_CELLS`."""
    scale: tuple[ScaleEstimate, ...]
    """Estimates, one per size of image; none where the scale is stated."""
    smear_mm2: float
    """Area with anything on it."""
    block_px: int
    """Side of a block, px of the detector's plane; 0: every image is a block."""
    flags: tuple[str, ...]

    @property
    def is_sampled(self) -> bool:
        """Whether only a part of the smear was read."""
        return self.is_slide and "SMEAR_SLIDE_SAMPLED" in self.flags

    def tile(self, part: int) -> tuple[SmearImage, Tile]:
        """Return image and tile of a piece of work."""
        number, index = self.parts[part]
        image = self.images[number]
        return image, image.grid[index]

    def bad_part(self, part: int) -> BadImage | None:
        """Return the bad image that a piece of work stands for, if it does."""
        number = self.parts[part][0] - len(self.images)
        return self.bad[number] if number >= 0 else None


def make_smear_plan(
    smear: SlideInput, *, folder: Path, settings: SmearSettings, reader: SmearReader
) -> SmearPlan:
    """Prepare a smear, or read the plan that an earlier run made with the same settings.

    Raises
    ------
    SlidelabError
        If there is no image that can be read, or their scale is neither stated nor to be judged.
    """
    paths = field_images(smear.path)
    looks = [_look(path) for path in paths]
    facts = {
        "plan": PLAN_VERSION,
        "kind": "smear",
        "images": [look.key for look in looks],
        "mpp_override": smear.mpp,
        "detector": reader.facts(),
        **asdict(settings),
    }
    place = folder / f"plan-{stage_key(facts)}"
    if not (place / "plan.json").exists():
        _write_plan(smear, looks, place=place, settings=settings, reader=reader)
    plan = load_smear_plan(place)
    by_name = dict(zip((path.name for path in paths), paths, strict=True))
    # The files may have moved since: their content counts, not their place.
    return replace(
        plan,
        smear=smear,
        images=tuple(replace(each, path=by_name[each.name]) for each in plan.images),
        bad=tuple(replace(each, path=by_name[each.name]) for each in plan.bad),
    )


@dataclass(frozen=True)
class _Look:
    """A first look at a file."""

    path: Path
    key: list[str]
    size: tuple[int, int] = (0, 0)
    fingerprint: str = ""
    mpp: float | None = None
    source: str = ""
    bad: BadImage | None = None


def _look(path: Path) -> _Look:
    """Open an image and read what it says of itself; a bad one is noted."""
    try:
        with open_slide(path) as slide:
            resolution = slide.resolution
            stated = resolution.require() if resolution.trusted else None
            key = [path.name, slide.fingerprint]
            source = resolution.source if stated else ""
            return _Look(path, key, (slide.width, slide.height), slide.fingerprint, stated, source)
    except SlidelabError as error:
        return _Look(path, [path.name, "bad"], bad=BadImage(path.name, path, error.what, error.advice))


def _write_plan(
    smear: SlideInput, looks: Sequence[_Look], *, place: Path, settings: SmearSettings, reader: SmearReader
) -> None:
    """Look at the images and write the plan."""
    good = [look for look in looks if look.bad is None]
    bad = [look.bad for look in looks if look.bad is not None]
    if not good:
        raise UnreadableSlideError(f"{bad[0].name}: {bad[0].reason}", bad[0].advice)
    scales, estimates, source = _scales(good, smear.mpp, reader)
    bad += [_without_scale(look) for look, mpp in zip(good, scales, strict=True) if mpp is None]
    images: list[SmearImage] = []
    parts: list[tuple[int, int]] = []
    flags: list[str] = []
    for look, mpp in zip(good, scales, strict=True):
        if mpp is not None:
            image = _image(look, mpp, settings=settings, reader=reader)
            parts += [(len(images), tile.index) for tile in image.grid]
            images.append(image)
    smear_mm2 = sum(image.area_mm2 for image in images)
    is_slide = len(images) == 1 and not bad and images[0].area_mm2 >= LEAST_SLIDE_MM2
    if is_slide:
        chosen, smear_mm2, is_sampled = _choose_tiles(images[0], settings)
        parts = [(0, index) for index in chosen]
        flags += ["SMEAR_SLIDE_SAMPLED"] if is_sampled else []
    if source == FROM_RED_CELLS:
        flags.append("SMEAR_SCALE_FROM_RED_CELLS")
    if bad:
        flags.append("SMEAR_FIELDS_UNREADABLE")
    parts += [(len(images) + number, 0) for number in range(len(bad))]
    value = {
        "path": str(smear.path),
        "slide_id": smear.slide_id,
        "mpp_override": smear.mpp,
        "key": place.name.removeprefix("plan-"),
        "is_slide": is_slide,
        "images": [asdict(each) | {"path": str(each.path)} for each in images],
        "bad": [asdict(each) | {"path": str(each.path)} for each in bad],
        "parts": [list(part) for part in parts],
        "asked_mpp": reader.mpp,
        "mpp_source": source,
        "scale": [asdict(each) for each in estimates],
        "smear_mm2": smear_mm2,
        "block_px": round(settings.block_um / reader.mpp) if is_slide else 0,
        "flags": flags,
    }
    place.mkdir(parents=True, exist_ok=True)
    write_json(place / "plan.json", value)


def _scales(
    looks: Sequence[_Look], given: float | None, reader: SmearReader
) -> tuple[list[float | None], list[ScaleEstimate], str]:
    """Return the scale of each image, the estimates behind them, and where they come from.

    An image has none where others of the smear could be judged and those of its size could not.
    """
    if given is not None:
        return [given] * len(looks), [], "user"
    stated = [look.mpp for look in looks]
    if None not in stated:
        return stated, [], looks[0].source
    # Images of one size come from one camera; one whose file says otherwise is not believed alone.
    sizes: dict[tuple[int, int], list[Path]] = defaultdict(list)
    for look in looks:
        sizes[look.size].append(look.path)
    found: dict[tuple[int, int], ScaleEstimate] = {}
    last: ResolutionError | None = None
    for size, paths in sizes.items():
        try:
            found[size] = estimate_scale(paths, reader)
        except ResolutionError as error:
            last = error
    if last is not None and not found:
        raise last
    mpps = {size: estimate.mpp for size, estimate in found.items()}
    return [mpps.get(look.size) for look in looks], list(found.values()), FROM_RED_CELLS


def _without_scale(look: _Look) -> BadImage:
    """Say that an image's scale is not known."""
    return BadImage(
        look.path.name,
        look.path,
        "it states no scale, is of another size than the others, and shows too few red cells to judge it",
        "State um per pixel with --mpp, or leave it out.",
    )


def _image(look: _Look, mpp: float, *, settings: SmearSettings, reader: SmearReader) -> SmearImage:
    """Cut an image into tiles."""
    with open_slide(look.path, mpp=mpp) as slide:
        plane = slide.plane(reader.mpp)
        if mpp > COARSEST * reader.mpp:
            raise ResolutionError(
                f"{look.path.name} has {mpp:.3g} um per pixel and the cells need {reader.mpp:g}",
                "Photograph or scan with a 40x lens or a stronger one.",
            )
        halo = -(-reader.reach_px // reader.stride) * reader.stride
        grid = TileGrid(plane.width, plane.height, settings.core_px, halo, reader.stride)
        overview = slide.plane(max(OVERVIEW_UM if area_of(slide) >= LEAST_SLIDE_MM2 else 1.0, slide.mpp))
        green = overview.read(0, 0, overview.width, overview.height)[..., 1]
        return SmearImage(
            look.path.name,
            look.path,
            slide.width,
            slide.height,
            slide.mpp,
            look.fingerprint,
            grid,
            plane.downsample,
            float(np.percentile(green, LIGHTEST)),
        )


def area_of(slide: Slide) -> float:
    """Return the area of an open image, mm2."""
    return float(slide.width * slide.height * slide.mpp**2 / 1e6)


def _choose_tiles(image: SmearImage, settings: SmearSettings) -> tuple[list[int], float, bool]:
    """Return the tiles of a slide to read, the area of its smear, mm2, and whether some of it is left out."""
    with open_slide(image.path, mpp=image.mpp, salvage=True) as slide:
        smeared, um = _smeared(slide, white=image.white)
    side = image.grid.core * image.downsample * image.mpp / um
    tiles = []
    for tile in image.grid:
        column, row = (int(start * image.downsample * image.mpp / um) for start in (tile.x, tile.y))
        window = smeared[row : max(row + 1, int(row + side)), column : max(column + 1, int(column + side))]
        if window.size and window.mean() > 0.5:
            tiles.append(tile.index)
    tile_mm2 = (image.grid.core * image.downsample * image.mpp / 1000) ** 2
    allowed = max(1, int(settings.most_mm2 / tile_mm2))
    area = float(smeared.sum()) * um**2 / 1e6
    if len(tiles) <= allowed:
        return tiles, area, False
    chosen = np.unique(np.linspace(0, len(tiles) - 1, allowed).round().astype(int))
    return [tiles[at] for at in chosen], area, True


def _smeared(slide: Slide, *, white: float) -> tuple[NDArray[np.bool_], float]:
    """Tell which patches of a slide hold any cells, and how wide a patch is, um."""
    plane = slide.plane(max(LOOK_UM, slide.mpp))
    rows, columns = -(-plane.height // PATCH), -(-plane.width // PATCH)
    found = []
    for top in range(0, rows, STRIP):
        down = min(STRIP, rows - top)
        green = plane.read(0, top * PATCH, columns * PATCH, down * PATCH)[..., 1]
        stained = green < STAINED_SHARE * white
        found.append(stained.reshape(down, PATCH, columns, PATCH).mean((1, 3)) >= LEAST_STAINED)
    return np.concatenate(found), plane.mpp * PATCH


@lru_cache(maxsize=8)
def load_smear_plan(place: Path) -> SmearPlan:
    """Read a plan back from its folder."""
    value: dict[str, Any] = json.loads((place / "plan.json").read_text(encoding="utf-8"))
    return SmearPlan(
        smear=SlideInput(Path(value["path"]), value["slide_id"], value["mpp_override"]),
        key=value["key"],
        folder=place,
        is_slide=value["is_slide"],
        images=tuple(
            SmearImage(**each | {"path": Path(each["path"]), "grid": TileGrid(**each["grid"])})
            for each in value["images"]
        ),
        bad=tuple(BadImage(**each | {"path": Path(each["path"])}) for each in value["bad"]),
        parts=tuple((number, index) for number, index in value["parts"]),
        asked_mpp=value["asked_mpp"],
        mpp_source=value["mpp_source"],
        scale=tuple(ScaleEstimate(**each) for each in value["scale"]),
        smear_mm2=value["smear_mm2"],
        block_px=value["block_px"],
        flags=tuple(value["flags"]),
    )
