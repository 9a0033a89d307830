"""Judge the methods of normalisation on fields of H&E from many sites, and print the tables of docs/stain.md.

Run by hand:  python scripts/accuracy_stain.py [--fields N] [--generator CARD]... [--ship CARD] [--middles]

A site is one collection of images. Fields are those of the validation parts, which nothing was learnt from,
and those of ``stain-multicentre``, which belong to no part. Each is fitted by itself: most
collections have one field per slide. ``--generator`` compares trained generators, such as plain ones and
other seeds; by default it is the packaged one. ``--ship CARD`` measures one, writes the figures into its card
and puts both beside the packaged weights.
"""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from slidelab.models.stain_loading import GeneratorFile
from slidelab.stain import (
    FALLBACKS,
    Normalizer,
    StainProfile,
    ToneTransfer,
    Unchanged,
    can_normalise,
    fit_colours,
    fit_normalizer,
    likeness,
    make_normalizer,
    normalised_median_intensity,
    structure_kept,
)
from slidelab.stain.normalizer import MOST_GAIN
from slidelab.workflows.learning.detector_card import attach_metrics
from slidelab.workflows.learning.stain_fields import (
    SITES,
    FieldImage,
    fit_field,
    read_fields,
    read_pixels,
    spread_evenly,
    white_of,
)
from slidelab.workflows.slides.stain_generator_fit import fit_generated

REPOSITORY = Path(__file__).resolve().parents[1]
WEIGHTS = REPOSITORY / "models" / "weights"
SCRIPT = "scripts/accuracy_stain.py"
LOOSE = "stain-multicentre"
"""Single fields of many sources, of which no part was ever learnt from."""
SIDE = 512
"""Side of what is judged of a field, px."""
DRAWS = 1000
"""Bootstrap draws: fields are drawn anew within their sites."""
EXCHANGE = "exchange alone"
"""What the generator corrects, without the generator."""


@dataclass(frozen=True)
class Row:
    """One field by one method."""

    site: str
    left: bool
    """As it was."""
    nmi: float
    colour: NDArray[np.float64]
    ssim: float
    structure: float
    distance: tuple[float, float] | None = None
    """Of a student to its teacher: mean and 95th percentile, CIEDE2000, on pixels that it did not see."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = os.environ.get("SLIDELAB_TEST_DATA", REPOSITORY.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--fields", type=int, default=24, help="Most fields of a site.")
    parser.add_argument("--generator", type=Path, action="append", default=[], help="A card (.json).")
    parser.add_argument(
        "--only-generators", action="store_true", help="Leave all other methods but none out."
    )
    parser.add_argument("--ship", type=Path, help="A card to complete and to put into the package.")
    parser.add_argument("--middles", action="store_true", help="Print the middles of the reference look.")
    arguments = parser.parse_args()
    if arguments.middles:
        print_middles(arguments.data, arguments.fields)
        return
    images = validation_fields(arguments.data, arguments.fields)
    methods = plain_methods()
    if arguments.only_generators:
        methods = {"none": methods["none"]}
    shipped = open_card(arguments.ship) if arguments.ship else GeneratorFile.find()
    if arguments.ship or not arguments.only_generators:
        methods |= network_methods(shipped, kinds=("cyclegan", "distilled"))
    for card in arguments.generator:
        methods |= network_methods(open_card(card), kinds=("cyclegan",), label=name_of(card))
    rows = judge(images, methods)
    print_table(rows)
    print("\nof those fields that every method changed:\n")
    print_table(only_changed(rows))
    print_students(rows)
    compare([name for name in rows if name.startswith("cyclegan")], rows)
    if arguments.ship:
        ship(arguments.ship, rows)


def open_card(card: Path) -> GeneratorFile:
    """Return the generator of a card with its weights beside it."""
    return GeneratorFile.of((card, card.with_suffix(".safetensors")))


def name_of(card: Path) -> str:
    """Return a name that tells seeds apart, which lie in different folders."""
    return f"{card.parent.name}/{card.stem}"


def validation_fields(data: Path, most: int) -> list[FieldImage]:
    """Return the fields to judge on."""
    loose = sorted((data / "he" / LOOSE).glob("*.jpg"))
    found = [FieldImage(LOOSE, path.stem, path, 0.5) for path in loose]
    for site in SITES:
        found += spread_evenly(read_fields(site, data, part="validation"), most)
    return found


Fit = Callable[[NDArray[np.uint8], StainProfile], Normalizer | ToneTransfer]


def plain_methods() -> dict[str, Fit]:
    """Return the methods that need no network, and what the network corrects."""
    methods: dict[str, Fit] = {
        method: lambda field, profile, method=method: fit_normalizer(
            field, method, background=profile.background
        )
        for method in ("none", "reinhard", "vahadane")
    }
    methods["macenko"] = lambda field, profile: make_normalizer(profile, pixels=field)

    def exchange(_: NDArray[np.uint8], profile: StainProfile) -> Normalizer | ToneTransfer:
        transfer = ToneTransfer(profile)
        pale = not can_normalise(profile.flags) or max(transfer.gains) > MOST_GAIN
        return Unchanged(profile, ("STAIN_PALE",), EXCHANGE) if pale else transfer

    return methods | {EXCHANGE: exchange}


def network_methods(generator: GeneratorFile, *, kinds: Sequence[str], label: str = "") -> dict[str, Fit]:
    """Return a generator, its student, or both."""
    return {
        f"{kind} {label}".strip(): lambda field, profile, kind=kind: fit_generated(
            field[None], kind, background=profile.background, colours=profile, generator=generator
        )
        for kind in kinds
    }


def judge(images: Sequence[FieldImage], methods: dict[str, Fit]) -> dict[str, list[Row]]:
    """Return one row per field, by method; fields where hardly anything is stained are left out."""
    rows: dict[str, list[Row]] = {method: [] for method in methods}
    for image in images:
        field = read_pixels(image)[:SIDE, :SIDE]
        white = white_of(field)
        stained = field.mean(axis=-1) < 0.88 * np.mean(white)
        if stained.mean() < 0.1:
            continue
        profile = fit_colours(field, "macenko", background=white)
        assert isinstance(profile, StainProfile)
        for method, fit in methods.items():
            rows[method].append(judge_field(image.site, field, stained, fit(field, profile)))
    return rows


def judge_field(
    site: str, field: NDArray[np.uint8], stained: NDArray[np.bool_], made: Normalizer | ToneTransfer
) -> Row:
    """Return the figures of one field by one method."""
    if isinstance(made, ToneTransfer):
        new, left, distance = exchanged(field, made), False, None
    else:
        new, left = made.apply(field), bool(set(made.flags) & FALLBACKS)
        distance = getattr(made, "distance", None)
    return Row(
        site,
        left,
        normalised_median_intensity(new[stained]),
        new[stained].mean(axis=0),
        likeness(field, new),
        structure_kept(field, new),
        distance,
    )


def exchanged(field: NDArray[np.uint8], transfer: ToneTransfer) -> NDArray[np.uint8]:
    """Return a field after the exchange of stains alone."""
    light = np.maximum(field.reshape(-1, 3), 1.0) / np.array(transfer.source.background)
    shown = np.maximum(transfer.density(np.maximum(-np.log10(light), 0.0)), 0.0)
    return np.rint(np.clip(255.0 * 10.0**-shown, 0, 255)).astype(np.uint8).reshape(field.shape)


def site_spread(rows: Sequence[Row]) -> tuple[float, float]:
    """Return the standard deviation over sites of the mean NMI, and of the mean colour (grey levels)."""
    sites = sorted({row.site for row in rows})
    colour = [np.mean([row.colour for row in rows if row.site == site], axis=0) for site in sites]
    return float(nmi_spread(rows, [range(len(rows))])[0]), float(np.std(colour, axis=0).mean())


def nmi_spread(rows: Sequence[Row], draws: Sequence[Sequence[int]]) -> NDArray[np.float64]:
    """Return the standard deviation over sites of the mean NMI, for each draw of rows."""
    nmi = np.array([row.nmi for row in rows])
    _, site = np.unique([row.site for row in rows], return_inverse=True)
    found = []
    for draw in draws:
        places = np.asarray(draw)
        counts = np.bincount(site[places])
        found.append(np.std(np.bincount(site[places], nmi[places]) / counts))
    return np.array(found)


def drawn(rows: Sequence[Row]) -> list[NDArray[np.intp]]:
    """Return bootstrap draws of the places of rows, within sites."""
    random = np.random.default_rng(2026)
    names = np.array([row.site for row in rows])
    members = [np.flatnonzero(names == site) for site in np.unique(names)]
    return [np.concatenate([random.choice(own, len(own)) for own in members]) for _ in range(DRAWS)]


def interval(values: Sequence[float] | NDArray[np.float64], *, digits: int = 3) -> str:
    """Return the ends of a 95 % interval."""
    low, high = np.percentile(values, [2.5, 97.5])
    return f"({low:.{digits}f} to {high:.{digits}f})"


def reductions(rows: Sequence[Row], base: Sequence[Row]) -> NDArray[np.float64]:
    """Return the share by which the spread of NMI over sites falls, of all rows and of each draw."""
    draws = [np.arange(len(rows)), *drawn(rows)]
    return np.asarray(1.0 - nmi_spread(rows, draws) / nmi_spread(base, draws))


def print_table(rows: dict[str, list[Row]]) -> None:
    """Print a line per method."""
    head = (
        "method",
        "left as they are",
        "NMI, SD of fields",
        "NMI, SD of sites",
        "fall of that, 95 % interval",
    )
    print("|" + "|".join((*head, "mean colour, SD of sites", "SSIM to the source", "structure kept")) + "|")
    print("|---" * 8 + "|")
    base = rows.get("none")
    for method, own in rows.items():
        nmi, colour = site_spread(own)
        fall = ""
        if base:
            first, *others = reductions(own, base)
            fall = f"{100 * first:.0f} % {interval([100 * other for other in others], digits=0)}"
        spread = np.std([row.nmi for row in own])
        ssim = np.array([row.ssim for row in own])
        means = [float(ssim[draw].mean()) for draw in drawn(own)]
        kept = np.array([row.structure for row in own])
        left = sum(row.left for row in own)
        print(
            f"| {method} | {left} of {len(own)} | {spread:.3f} | {nmi:.3f} | {fall} | {colour:.1f} | "
            f"{ssim.mean():.3f} {interval(means)} | {kept.mean():.3f}, least {kept.min():.2f} |"
        )


def only_changed(rows: dict[str, list[Row]]) -> dict[str, list[Row]]:
    """Return the rows of fields that no method left as they are."""
    left = np.any([[row.left for row in own] for name, own in rows.items() if name != "none"], axis=0)
    return {name: [row for row, out in zip(own, left, strict=True) if not out] for name, own in rows.items()}


def print_students(rows: dict[str, list[Row]]) -> None:
    """Print how far students are from their teachers."""
    for name, own in rows.items():
        found = np.array([row.distance for row in own if row.distance is not None])
        if len(found):
            mean, p95 = found.mean(axis=0)
            print(
                f"\n{name}: CIEDE2000 to the network, {len(found)} fields: mean {mean:.2f}, "
                f"mean of the 95th percentiles {p95:.2f}, worst field {found[:, 0].max():.2f}"
            )


def compare(names: Sequence[str], rows: dict[str, list[Row]]) -> None:
    """Print paired differences between generators."""
    for number, first in enumerate(names):
        for second in names[number + 1 :]:
            one, other = rows[first], rows[second]
            draws = drawn(one)
            every = [np.arange(len(one)), *draws]
            spread = nmi_spread(one, every) - nmi_spread(other, every)
            ssim = np.array([a.ssim - b.ssim for a, b in zip(one, other, strict=True)])
            means = [float(ssim[draw].mean()) for draw in draws]
            print(
                f"\n{first} less {second}: NMI, SD of sites {spread[0]:+.4f} {interval(spread[1:])}; "
                f"SSIM {ssim.mean():+.3f} {interval(means)}"
            )


def print_middles(data: Path, most: int) -> None:
    """Print the medians over training fields of the middles, which the reference look takes."""
    found = []
    for site in SITES:
        for image in spread_evenly(read_fields(site, data, part="training"), most):
            profile = fit_field(image)[1]
            if profile.middles is not None:
                found.append(profile.middles)
    print(f"middles of {len(found)} training fields, medians: {np.median(found, axis=0).round(3).tolist()}")


def ship(path: Path, rows: dict[str, list[Row]]) -> None:
    """Write figures into a card and put card and weights into the package."""
    base, own = rows["none"], rows["cyclegan"]
    first, *others = reductions(own, base)
    student = [row.distance[0] for row in rows["distilled"] if row.distance is not None]
    low, high = np.percentile(others, [2.5, 97.5])
    ssim = np.array([row.ssim for row in own])
    ends = np.percentile([float(ssim[draw].mean()) for draw in drawn(own)], [2.5, 97.5])
    common = {"set": "ten sites of H&E", "part": "validation", "script": SCRIPT, "n": len(own)}
    named = "fall of the spread of normalised median intensity over sites"
    attach_metrics(
        path,
        [
            common | {"name": named, "value": round(first, 4), "low": round(low, 4), "high": round(high, 4)},
            common
            | {
                "name": "structural similarity to the source",
                "value": round(float(ssim.mean()), 4),
                "low": round(float(ends[0]), 4),
                "high": round(float(ends[1]), 4),
            },
            common
            | {
                "name": "student's mean CIEDE2000",
                "value": round(float(np.mean(student)), 4),
                "n": len(student),
            },
        ],
    )
    for source in (path, path.with_suffix(".safetensors")):
        shutil.copyfile(source, WEIGHTS / source.name)
    print(f"\n{path.stem}: shipped")


if __name__ == "__main__":
    main()
