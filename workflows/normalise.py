"""A slide in other colours: fitted once, then written as a pyramid, block by block."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import RunFolderError, SettingsError
from ..models.registry import LicencePolicy
from ..models.stain_loading import GeneratorFile
from ..stain import BY_NETWORK, FALLBACKS, METHODS, Normalizer
from ..tiling import TissueMask, atomic_file, available_cores, write_json
from ..wsi import open_slide
from .runs.provenance import describe_software
from .slides.image_zarr import make_ome_zarr
from .slides.normalised_plane import NormalisedPlane
from .slides.ome_tiff import TiffCodec, write_ome_tiff
from .slides.pyramid import PyramidShape, pyramid_tiles
from .slides.stain_fit import (
    StainSample,
    choose_normalizer,
    explain_stain_flag,
    read_profile,
    sample_slide,
    stored_student,
    target_colours,
)

__all__ = ["NormaliseSettings", "NormalisedSlide", "normalise_slide", "profile_path"]

Progress = Callable[[int, int], None]

TIFF_NAMES = (".ome.tiff", ".ome.tif")
ZARR_NAMES = (".ome.zarr", ".zarr")


@dataclass(frozen=True)
class NormaliseSettings:
    """How a slide is normalised and written."""

    method: str = "macenko"
    """One of `slidelab.stain.METHODS`."""
    tissue_only: bool = False
    """Leave everything but tissue white; glass is then not even read."""
    quality: int | None = 90
    """JPEG quality of an OME-TIFF, None for lossless; OME-Zarr is always lossless."""
    workers: int = 0
    """Threads; 0 is one per core."""
    mpp: float | None = None
    """um per level-0 pixel, in place of what the file says."""
    model: str = "auto"
    """Network of ``cyclegan`` and ``distilled``: a name of the registry, or the default one."""
    policy: LicencePolicy = "research"
    """Which networks may be used."""
    device: str = "cpu"
    """Where a network works; a processor gives the same bits for any tiling, a card may be a level off."""

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        if self.method not in METHODS:
            raise SettingsError(f"unknown method {self.method!r}", f"Choose one of {', '.join(METHODS)}.")
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise SettingsError(f"a JPEG quality of {self.quality}", "Choose 1 to 100, or --lossless.")
        if self.workers < 0:
            raise SettingsError(f"{self.workers} workers is impossible", "Use --workers 0 for one per core.")


@dataclass(frozen=True)
class NormalisedSlide:
    """What became of one slide."""

    out: Path
    """The file or folder written."""
    profile: Path
    """The slide's colours, for --stain-profile, and for other slides as --target."""
    method: str
    """What was asked for."""
    is_changed: bool
    """False where the slide's pixels were left as they are."""
    flags: tuple[str, ...]
    """What the reader must know."""
    width: int
    """px of level 0."""
    height: int
    """px of level 0."""
    seconds: dict[str, float]
    """Wall time: ``sample`` (tissue, quality, reading), ``fit`` and ``write``."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "out": str(self.out),
            "profile": str(self.profile),
            "method": self.method,
            "changed": self.is_changed,
            "flags": list(self.flags),
            "width": self.width,
            "height": self.height,
            "seconds": self.seconds,
        }

    def to_text(self) -> str:
        """Return what a person wants to know."""
        lines = [f"written: {self.out} ({self.width} x {self.height} px)", f"profile: {self.profile}"]
        if self.method != "none" and not self.is_changed:
            lines.append("NOT NORMALISED: the slide's colours could not be told; pixels are as scanned.")
        lines += [f"flag: {explain_stain_flag(flag)}" for flag in self.flags]
        return "\n".join(lines)


def normalise_slide(
    path: Path,
    out: Path,
    *,
    settings: NormaliseSettings | None = None,
    profile: Path | None = None,
    target: Path | None = None,
    progress: Progress | None = None,
) -> NormalisedSlide:
    """Write a slide in the colours of a target, as a pyramid.

    Parameters
    ----------
    path : Path
        The slide.
    out : Path
        ``X.ome.tiff`` or ``X.ome.zarr``; takes its name only when it is complete. Beside it goes
        ``X.profile.json``: method, the slide's colours, the target's, flags and software.
    settings : NormaliseSettings, optional
        Method, what to write.
    profile : Path, optional
        Colours of this slide from an earlier run: nothing is fitted.
    target : Path, optional
        Colours to aim at: such a file, or a slide or image of H&E; by default the published reference.
    progress : callable, optional
        Called with blocks done and total.

    Returns
    -------
    NormalisedSlide
        With flags where the slide was left as it is, because its colours could not be told.

    Raises
    ------
    SlidelabError
        If the slide cannot be read, a setting makes no sense, or nothing can be written there.

    Notes
    -----
    A pixel's new colour follows from its own old one alone, with ``cyclegan`` from its near
    surroundings. Memory does not grow with the slide's height;
    with its width by 300 bytes per pixel.
    """
    settings = settings or NormaliseSettings()
    write = _writer(out)
    known = None if profile is None else read_profile(profile)
    stored = None if profile is None or target else stored_student(profile, settings.method)
    generator = None
    if settings.method in BY_NETWORK and stored is None:
        generator = GeneratorFile.find(settings.model, policy=settings.policy)
    aim = None if target is None or settings.method == "none" else target_colours(target, settings.method)
    clock = [time.perf_counter()]
    with open_slide(path, mpp=settings.mpp, salvage=True) as slide:
        plane = slide.plane(slide.mpp)
        sample = sample_slide(slide)
        clock.append(time.perf_counter())
        normalizer = stored or choose_normalizer(
            sample,
            settings.method,
            profile=known,
            target=aim,
            generator=generator,
            device=settings.device,
        )
        clock.append(time.perf_counter())
        seen = NormalisedPlane(plane, normalizer)
        reader = _Recoloured(seen, sample.tissue if settings.tissue_only else None)
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            write(out, reader, settings, progress)
        except OSError as error:
            raise RunFolderError(f"cannot write {out}: {error}", "Choose a folder that has room.") from error
        clock.append(time.perf_counter())
        flags = (*sample.flags, *normalizer.flags, *(("AREA_MISSING",) if slide.damage else ()))
        fingerprint = slide.fingerprint
    done = NormalisedSlide(
        out=out,
        profile=profile_path(out),
        method=settings.method,
        is_changed=settings.method != "none" and not FALLBACKS & set(normalizer.flags),
        flags=tuple(dict.fromkeys(flags)),
        width=plane.width,
        height=plane.height,
        seconds={
            name: round(clock[index + 1] - clock[index], 3)
            for index, name in enumerate(("sample", "fit", "write"))
        },
    )
    _write_profile(done, path, sample, normalizer, fingerprint=fingerprint)
    return done


def profile_path(out: Path) -> Path:
    """Return where the colours of a slide written to ``out`` go: ``X.profile.json``."""
    return out.with_name(_stem(out) + ".profile.json")


def _stem(out: Path) -> str:
    """Return a name without its double suffix."""
    for suffix in (*TIFF_NAMES, *ZARR_NAMES):
        if out.name.lower().endswith(suffix):
            return out.name[: -len(suffix)]
    return out.stem


def _writer(out: Path) -> Callable[[Path, _Recoloured, NormaliseSettings, Progress | None], None]:
    """Return what writes a file of this name."""
    name = out.name.lower()
    if name.endswith(TIFF_NAMES):
        return _write_tiff
    if name.endswith(ZARR_NAMES):
        return _write_zarr
    raise SettingsError(
        f"{out.name} names no format that is written", "End the name in .ome.tiff or in .ome.zarr."
    )


def _write_tiff(
    out: Path, reader: _Recoloured, settings: NormaliseSettings, progress: Progress | None
) -> None:
    """Write an OME-TIFF."""
    codec, shape = TiffCodec(settings.quality), reader.shape
    workers = settings.workers or available_cores()
    tiles = pyramid_tiles(shape, reader.read, codec.encode, workers=workers, progress=progress)
    with atomic_file(out) as temporary:
        write_ome_tiff(temporary, shape, tiles, codec=codec, mpp=reader.plane.mpp, name=_stem(out))


def _write_zarr(
    out: Path, reader: _Recoloured, settings: NormaliseSettings, progress: Progress | None
) -> None:
    """Write an OME-Zarr; an older one is replaced once the new one is complete."""
    shape = reader.shape
    workers = settings.workers or available_cores()
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", suffix=".tmp", dir=out.parent) as folder:
        fresh = Path(folder) / "image"
        levels = make_ome_zarr(fresh, shape, mpp=reader.plane.mpp, name=_stem(out))
        levels.write(pyramid_tiles(shape, reader.read, levels.encode, workers=workers, progress=progress))
        fresh.chmod(0o755)
        if out.exists():
            shutil.rmtree(out)
        fresh.replace(out)


@dataclass(frozen=True)
class _Recoloured:
    """The slide at level 0 in its new colours, read window by window."""

    plane: NormalisedPlane
    tissue: TissueMask | None
    """Everything else stays white; None: no limit."""

    @property
    def shape(self) -> PyramidShape:
        """Sizes of the pyramid."""
        return PyramidShape(self.plane.width, self.plane.height)

    def read(self, x: int, y: int, width: int, height: int) -> NDArray[np.uint8]:
        """Return a window inside of the plane."""
        if self.tissue is None:
            return self.plane.read(x, y, width, height)
        ground, scale = self.tissue, self.plane.downsample / self.tissue.downsample
        rows, columns = (
            ((start + np.arange(size) + 0.5) * scale).astype(np.int64).clip(0, end - 1)
            for start, size, end in ((y, height, ground.mask.shape[0]), (x, width, ground.mask.shape[1]))
        )
        inside = ground.mask[np.ix_(rows, columns)]
        if not inside.any():
            return np.full((height, width, 3), 255, np.uint8)
        pixels = self.plane.read(x, y, width, height)
        return np.where(inside[..., None], pixels, np.uint8(255))


def _write_profile(
    done: NormalisedSlide, path: Path, sample: StainSample, normalizer: Normalizer, *, fingerprint: str
) -> None:
    """Write what was done to the slide."""
    write_json(
        done.profile,
        {
            "kind": "slidelab stain profile",
            "file": path.name,
            "fingerprint": fingerprint,
            "changed": done.is_changed,
            "sampled_pixels": int((sample.pixels != 255).any(axis=-1).sum()),
            **normalizer.to_json(),
            "flags": list(done.flags),
            "software": describe_software(),
        },
    )
