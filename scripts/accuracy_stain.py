"""Judge the methods of normalisation on fields of H&E from many sites, and print the tables of docs/stain.md.

Run by hand:  python scripts/accuracy_stain.py [--data FOLDER] [--fields N]

A site is one collection of images. Each field is fitted by itself: most collections have one field per slide.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
from PIL import Image

from slidelab.stain import (
    FALLBACKS,
    METHODS,
    fit_normalizer,
    likeness,
    normalised_median_intensity,
)

REPOSITORY = Path(__file__).resolve().parents[1]
SITES = (
    "glas/images",
    "tnbc-naylor/images",
    "digestpath-signet/images",
    "crc-val-he-7k",
    "gbm40/images",
    "cpm15/images",
    "ebhi-seg/images",
    "crchistophenotypes/images",
    "nucls-sample/images",
    "stain-multicentre",
)
AUGMENTED = ("barrdistorted", "deformed", "hflipped", "vflipped", "rotated")
"""Copies that a collection made of its own images by changing them."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    default = os.environ.get("SLIDELAB_TEST_DATA", REPOSITORY.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--fields", type=int, default=24, help="Most fields of a site.")
    arguments = parser.parse_args()
    rows = [row for site in SITES for row in judge_site(arguments.data / "he" / site, arguments.fields)]
    print("| method | fields left as they are | NMI, mean | NMI, SD of fields | NMI, SD of sites |", end="")
    print(" mean colour, SD of sites, grey levels | SSIM to the source |\n|" + "---|" * 7)
    for method in METHODS:
        print(summary(method, [row for row in rows if row["method"] == method]))


def judge_site(folder: Path, most: int) -> list[dict]:
    """Return one row per field and method."""
    paths = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in {".jpg", ".png", ".tif", ".bmp"} and not path.name.startswith(AUGMENTED)
    )
    chosen = [paths[i] for i in np.unique(np.linspace(0, len(paths) - 1, most).astype(int))] if paths else []
    return [row for path in chosen for row in judge_field(path, site=folder)]


def judge_field(path: Path, *, site: Path) -> list[dict]:
    """Return the figures of one field by every method; none where hardly anything is stained."""
    with Image.open(path) as picture:
        field = np.asarray(picture.convert("RGB"))[:1000, :1000]
    red, green, blue = (float(max(v, 200)) for v in np.percentile(field.reshape(-1, 3), 99.5, axis=0))
    stained = field.mean(axis=-1) < 0.88 * np.mean([red, green, blue])
    if stained.mean() < 0.1:
        return []
    rows = []
    for method in METHODS:
        normalizer = fit_normalizer(field, method, background=(red, green, blue))
        new = normalizer.apply(field)
        rows.append(
            {
                "site": site,
                "method": method,
                "left": bool(set(normalizer.flags) & FALLBACKS),
                "nmi": normalised_median_intensity(new[stained]),
                "colour": new[stained].mean(axis=0),
                "ssim": likeness(field, new),
            }
        )
    return rows


def summary(method: str, rows: list[dict]) -> str:
    """Return one line of the table."""
    sites = sorted({row["site"] for row in rows})
    nmi = np.array([row["nmi"] for row in rows])
    by_site = [[row for row in rows if row["site"] == site] for site in sites]
    site_nmi = np.std([np.mean([row["nmi"] for row in part]) for part in by_site])
    site_colour = np.std(
        [np.mean([row["colour"] for row in part], axis=0) for part in by_site], axis=0
    ).mean()
    left = sum(row["left"] for row in rows)
    ssim = np.mean([row["ssim"] for row in rows])
    return (
        f"| {method} | {left} of {len(rows)} | {nmi.mean():.3f} | {nmi.std():.3f} | {site_nmi:.3f} | "
        f"{site_colour:.1f} | {ssim:.3f} |"
    )


if __name__ == "__main__":
    main()
