"""Measure cervical screening: nuclei on real fields, cells on phantoms, calls on semi-real slides.

python scripts/accuracy_cervix.py [--data FOLDER] [--model auto] [--slides N] [--only PART ...]
    [--docs FILE] [--json FILE] [--card FILE]

PART is ``fields``, ``phantom``, ``planes``, ``negative`` or ``planted``. No picture that a model learnt from
enters: nuclei are held against points that their detector never saw, planted pictures and the fields they are
laid on come from the validation parts of the labelled readers. Slides are made in a temporary folder.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial import cKDTree

from slidelab.models.labelled.cytology_cells import LabelledCell
from slidelab.models.labelled.cytology_sets import read_cells
from slidelab.quantify import wilson_interval
from slidelab.workflows.cervix.call_reader import SizeRules, choose_calls
from slidelab.workflows.cervix.find_nuclei import choose_nuclei
from slidelab.workflows.cervix.once import Screened, screen_slide
from slidelab.workflows.cervix.plan import ScreeningSettings
from slidelab.workflows.cervix.planted import PlantedGroup, at_mpp, plant
from slidelab.workflows.cervix.workflow import CervicalScreening
from slidelab.workflows.learning.detector_card import attach_metrics
from slidelab.workflows.runs.inputs import SlideInput
from slidelab.wsi.phantom.pap import PapSettings, PapTruth, write_pap_phantom

REPOSITORY = Path(__file__).resolve().parents[1]
SCRIPT = "scripts/accuracy_cervix.py"
DATA = Path(os.environ.get("SLIDELAB_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
BEGIN, END = "<!-- begin cervix -->", "<!-- end cervix -->"
PARTS = ("fields", "phantom", "planes", "negative", "planted")
MPP = 0.5
"""Of semi-real slides, um per px: the scale of the planted pictures."""
FOUND_UM = 5.0
"""A labelled point this near to a nucleus is found."""
LESIONS = ("ASC-US", "LSIL", "ASC-H", "HSIL", "SCC", "AGC")
PLANTED = 5
"""Pictures of one class on a semi-real slide: enough for the rule of every class."""
TOP = 30
RANK = {"NILM": 0, "ASC-US": 1, "LSIL": 2, "ASC-H": 3, "AGC-NOS": 3, "AGC": 3, "HSIL": 4, "SCC": 6}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--model", default="auto")
    parser.add_argument("--slides", type=int, default=5, help="semi-real slides of each class")
    parser.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--docs", type=Path, help="write the tables between the marks of this file")
    parser.add_argument("--json", type=Path, help="keep what became of each semi-real slide")
    parser.add_argument("--card", type=Path, help="put what was found into this card of the detector")
    asked = parser.parse_args()
    figures: list[dict[str, object]] = []
    makers = {
        "fields": lambda folder: real_fields(asked.data, folder, figures),
        "phantom": lambda folder: phantom_cells(folder, figures),
        "planes": focal_planes,
        "negative": negative_phantoms,
        "planted": lambda folder: planted_slides(
            asked.data, folder, model=asked.model, per_class=asked.slides, kept=asked.json
        ),
    }
    tables = []
    for part in asked.only:
        with tempfile.TemporaryDirectory() as folder:
            tables.append("\n".join(makers[part](Path(folder))))
        print(tables[-1] + "\n", flush=True)
    if asked.card:
        attach_metrics(asked.card, figures)
    if asked.docs:
        text = asked.docs.read_text(encoding="utf-8")
        head, _, rest = text.partition(BEGIN)
        _, _, tail = rest.partition(END)
        asked.docs.write_text(f"{head}{BEGIN}\n" + "\n\n".join(tables) + f"\n{END}{tail}", encoding="utf-8")


def figure_of(set_name: str, where: str, name: str, *, part: int, whole: int) -> dict[str, object]:
    """Return a share with its interval as a card has it."""
    interval = wilson_interval(part, whole)
    values = {"value": part / whole, "low": interval.low, "high": interval.high, "n": whole}
    return {"set": set_name, "part": where, "name": name, "script": SCRIPT, **values}


def share(part: int, whole: int) -> str:
    """Return a share with its Wilson interval."""
    if not whole:
        return "-"
    interval = wilson_interval(part, whole)
    return f"{part}/{whole} = {100 * part / whole:.1f} % ({100 * interval.low:.1f}-{100 * interval.high:.1f})"


def real_fields(data: Path, folder: Path, figures: list[dict[str, object]]) -> Iterator[str]:
    """Labelled nuclei of real fields: how many the road finds, and has named."""
    yield "### Nuclei on real fields\n"
    yield "| labelled nuclei | found | of these shown to the classifier | nuclei per mm2 | of these named |"
    yield "| --- | --- | --- | --- | --- |"
    looked = CervicalScreening(detector=choose_nuclei(), calls=_Watcher())
    for name, wanted in (("cric-fields", None), ("lbc-circled-fields", "abnormal")):
        cells = [cell for cell in read_cells(data, [name]) if wanted in (None, cell.label)]
        for label in dict.fromkeys("normal" if cell.label == "NILM" else "abnormal" for cell in cells):
            own = [cell for cell in cells if (cell.label == "NILM") == (label == "normal")]
            found, shown, nuclei, named, area = 0, 0, 0, 0, 0.0
            for path in dict.fromkeys(cell.path for cell in own):
                points = [cell for cell in own if cell.path == path]
                conventional = name == "cric-fields"
                used = replace(looked, plan=_settings("conventional" if conventional else "thinprep"))
                slide = SlideInput(path, path.stem, points[0].mpp)
                made = screen_slide(used, slide, folder=folder / name / path.stem)
                near, seen = _near(made, points, reach_um=FOUND_UM if conventional else 12.0)
                found, shown = found + near, shown + seen
                nuclei, area = nuclei + len(made.cells), area + made.plan.scanned_mm2
                named += int(made.cells.nuclei.looked.sum())
            if name == "cric-fields":
                title = f"share of {label} nuclei found within {FOUND_UM:g} um"
                figures.append(figure_of(name, "all; none learnt from", title, part=found, whole=len(own)))
            row = f"| {name}, {label} | {share(found, len(own))} | {share(shown, found)} "
            row += f"| {nuclei / area:.0f} | {100 * named / nuclei:.0f} % |"
            yield row


def _settings(preparation: str) -> ScreeningSettings:
    """Return settings of a preparation."""
    return ScreeningSettings(preparation=preparation)


class _Watcher(SizeRules):
    """Notes which nuclei a classifier would see, and says nothing of them."""

    side = 8


def _near(made: Screened, points: Sequence[LabelledCell], *, reach_um: float) -> tuple[int, int]:
    """Return how many points lie at a nucleus, and how many at one that a classifier sees."""
    nuclei = made.cells.nuclei
    found = shown = 0
    for point in points:
        assert point.centre is not None
        away = np.hypot(nuclei.x - point.centre[0], nuclei.y - point.centre[1]) * point.mpp
        near = away <= reach_um
        found += bool(near.any())
        shown += bool((near & nuclei.looked).any())
    return found, shown


def phantom_cells(folder: Path, figures: list[dict[str, object]]) -> Iterator[str]:
    """Sizes, N:C ratios and counts of phantoms against the truth."""
    yield "### Measures on phantoms\n"
    yield "| cells | found | nuclear area, found/true | whole cell, found/true | N:C true | N:C found |"
    yield "| --- | --- | --- | --- | --- | --- |"
    made, truth = _phantom(folder, seed=11, lesions={"ASC-US": 12, "LSIL": 10, "ASC-H": 10, "HSIL": 8})
    table = _truth(truth)
    nuclei = made.cells.nuclei
    away, at = cKDTree(np.stack([nuclei.x, nuclei.y], 1)).query(np.stack([table["x"], table["y"]], 1))
    for kind in dict.fromkeys(table["class"].tolist()):
        if kind == "neutrophil":
            continue
        rows = table["class"] == kind
        hit = rows & (away < 5)
        own = at[hit]
        known = ~np.isnan(made.cells.nc[own])
        found, whole = int(hit.sum()), int(rows.sum())
        title = f"share of {kind} nuclei found within {FOUND_UM:g} um"
        figures.append(figure_of("pap phantom", "seed 11", title, part=found, whole=whole))
        area = np.median(nuclei.area_um2[own] / table["area_um2"][hit])
        cell = np.median((made.cells.cell_um2[own] / table["cell_area_um2"][hit])[known])
        yield (
            f"| {kind} | {share(found, whole)} | {area:.3f} | {cell:.3f} "
            f"| {np.median(table['nc'][hit]):.3f} | {np.median(made.cells.nc[own][known]):.3f} |"
        )
    mature = made.cells.of_kind("superficial") | made.cells.of_kind("intermediate")
    real = np.isin(table["class"], ("superficial", "intermediate")).sum()
    reference = made.cells.reference
    yield ""
    yield (
        f"Mature squamous cells counted: {int(mature.sum())}, true {int(real)}. Median intermediate nucleus: "
        f"{reference.nuclear_um2:.1f} um2, true "
        f"{np.median(table['area_um2'][table['class'] == 'intermediate']):.1f}."
    )


def focal_planes(folder: Path) -> Iterator[str]:
    """A phantom of several focal planes, read in three ways."""
    yield "### Focal planes (phantom of seven planes, 3 um apart, cells over 20 um)\n"
    yield "| read as | nuclei found | area, median error | its spread | out of focus | accepted calls |"
    yield "| --- | --- | --- | --- | --- | --- |"
    settings = PapSettings(
        width=2600, height=2600, seed=21, planes=7, depth_um=20.0, lesions={"LSIL": 6, "HSIL": 5}
    )
    truth = write_pap_phantom(folder / "stack.tiff", settings, workers=2)
    table = _truth(truth)
    own = np.isin(table["class"], ("neutrophil",), invert=True)
    for blend in ("extended", "best", "middle"):
        workflow = CervicalScreening(calls=SizeRules(), plan=ScreeningSettings(blend=blend))  # type: ignore[arg-type]
        made = screen_slide(workflow, SlideInput(truth.path, "stack"), folder=folder / blend)
        nuclei = made.cells.nuclei
        away, at = cKDTree(np.stack([nuclei.x, nuclei.y], 1)).query(np.stack([table["x"], table["y"]], 1))
        hit = own & (away < 5)
        error = nuclei.area_um2[at[hit]] / table["area_um2"][hit] - 1
        calls = dict(made.found.evidence.calls.counting)
        yield (
            f"| {blend} | {share(int(hit.sum()), int(own.sum()))} | {100 * np.median(error):+.1f} % "
            f"| {100 * np.std(error):.1f} % | {made.cells.excluded().get('out_of_focus', 0)} | {calls} |"
        )


def negative_phantoms(folder: Path) -> Iterator[str]:
    """Slides without a lesion, and with few lesions, by the rules of size: adequacy and results."""
    yield "### Slide results on phantoms (rules of size)\n"
    yield "| slide | squamous cells, estimate (95 %) | true | by the rules | reported | cleared |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for name, lesions, density in (
        ("negative", {}, 120.0),
        ("negative, scant", {}, 4.0),
        ("LSIL x 4 groups", {"LSIL": 4}, 120.0),
        ("HSIL x 3 groups", {"HSIL": 3}, 120.0),
        ("one HSIL group of a scant slide", {"HSIL": 1}, 4.0),
    ):
        made, truth = _phantom(folder, seed=31, lesions=lesions, density=density)
        score = next(s for s in made.outcome.result.scores if s.name == "Squamous cells")
        true = (truth.counts["superficial"] + truth.counts["intermediate"]) / truth.settings.area_mm2 * 314.16
        counted, told = made.outcome.counted, made.outcome.result
        assert score.interval is not None
        yield (
            f"| {name} | {score.value:,.0f} ({score.interval.low:,.0f}-{score.interval.high:,.0f}) "
            f"| {true:,.0f} "
            f"| {counted.headline.category} {counted.status} | {told.headline.category} {told.status} "
            f"| {made.outcome.decision.is_cleared} |"
        )


def _phantom(
    folder: Path, *, seed: int, lesions: dict[str, int], density: float = 120.0
) -> tuple[Screened, PapTruth]:
    """Paint a phantom and screen it by the rules of size."""
    place = folder / f"{seed}-{len(list(folder.iterdir()))}"
    settings = PapSettings(
        width=4096, height=4096, seed=seed, lesions=lesions, squamous_per_mm2=density, endocervical=4
    )
    truth = write_pap_phantom(place / "pap.tiff", settings, workers=2)
    workflow = CervicalScreening(calls=SizeRules())
    return screen_slide(workflow, SlideInput(truth.path, "pap"), folder=place), truth


def _truth(truth: PapTruth) -> dict[str, NDArray[np.generic]]:
    """Return the columns of a phantom's truth."""
    names = ["x", "y", "class", "area_um2", "cell_area_um2", "nc"]
    columns = pq.read_table(truth.cells_path, columns=names).to_pydict()
    return {name: np.asarray(values) for name, values in columns.items()}


def planted_slides(
    data: Path, folder: Path, *, model: str, per_class: int, kept: Path | None = None
) -> Iterator[str]:
    """Real pictures planted on real fields: gallery, calls, risk."""
    pictures = read_cells(data, ["cdetector-11class"])
    fields = _validation_fields(data)
    workflow = CervicalScreening(calls=choose_calls(model))
    rows, records = [], []
    for label in LESIONS:
        own = [cell for cell in pictures if cell.part == "validation" and cell.label == label]
        for number in range(min(per_class, len(own) // PLANTED)):
            chosen = own[number * PLANTED : (number + 1) * PLANTED]
            made, groups = _planted(
                workflow, chosen, fields, folder=folder / f"{label}-{number}", seed=number
            )
            records.append({"label": label, **_judge(made, groups, label)})
    seed = 97
    base, _ = _planted(workflow, [], fields, folder=folder / "bare", seed=seed)
    yield f"### Semi-real slides ({workflow.calls.name}, {len(records)} of {PLANTED} planted pictures)\n"
    yield "| planted | slides | pictures in the top 30 | slides with all there | result by the rules |"
    yield "| --- | --- | --- | --- | --- |"
    for label in LESIONS:
        own_records = [each for each in records if each["label"] == label]
        hits = sum(each["hits"] for each in own_records)
        told: dict[str, int] = {}
        for each in own_records:
            told[each["counted"]] = told.get(each["counted"], 0) + 1
        rows.append(
            f"| {label} | {len(own_records)} | {share(hits, PLANTED * len(own_records))} "
            f"| {sum(each['hits'] == PLANTED for each in own_records)} "
            f"| {', '.join(f'{name} {n}' for name, n in sorted(told.items()))} |"
        )
    yield from rows
    whole, pictures_ = len(records), PLANTED * len(records)
    yield ""
    for words, part, total in (
        (f"every planted picture in the top {TOP}", sum(r["hits"] == PLANTED for r in records), whole),
        (f"pictures in the top {TOP}", sum(r["hits"] for r in records), pictures_),
        ("pictures with a nucleus that was named", sum(r["seen"] for r in records), pictures_),
        ("slides reported right or REVIEW", sum(r["right_or_review"] for r in records), whole),
        ("right or REVIEW by the rules alone", sum(r["rules_right"] for r in records), whole),
        ("abnormal or REVIEW by the rules alone", sum(r["not_negative"] for r in records), whole),
    ):
        yield f"- {words}: {share(part, total)}"
    yield f"- abnormal slides cleared: {sum(r['cleared'] for r in records)} of {whole}"
    counted = base.outcome.counted
    yield (
        f"- the same fields without planted pictures (circled cells of theirs remain): "
        f"{counted.headline.category} {counted.status}, risk {base.found.risk:.3f}; risks of planted slides "
        f"{min(r['risk'] for r in records):.3f}-{max(r['risk'] for r in records):.3f}"
    )
    if kept:
        kept.write_text(json.dumps(records, indent=1), encoding="utf-8")


def _validation_fields(data: Path) -> list[NDArray[np.uint8]]:
    """Return the real fields that no model learnt from, at the scale of the pictures."""
    cells = read_cells(data, ["lbc-circled-fields"])
    paths = dict.fromkeys(cell.path for cell in cells if cell.part == "validation")
    mpp = cells[0].mpp
    return [at_mpp(np.asarray(Image.open(path).convert("RGB")), mpp=mpp, wanted=MPP) for path in paths]


def _planted(
    workflow: CervicalScreening,
    cells: Sequence[LabelledCell],
    fields: Sequence[NDArray[np.uint8]],
    *,
    folder: Path,
    seed: int,
) -> tuple[Screened, tuple[PlantedGroup, ...]]:
    """Make a semi-real slide of all fields and some pictures, and screen it."""
    rng = np.random.default_rng(seed)
    turned = [field[:: rng.choice((1, -1)), :: rng.choice((1, -1))] for field in fields]
    height, width = (min(field.shape[k] for field in turned) for k in (0, 1))
    field = np.vstack([turned[number][:height, :width] for number in rng.permutation(len(turned))])
    pictures = [
        (cell.label, at_mpp(np.asarray(Image.open(cell.path).convert("RGB")), mpp=cell.mpp, wanted=MPP))
        for cell in cells
    ]
    image, groups = plant(np.ascontiguousarray(field), pictures, seed=seed)
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(folder / "slide.png")
    made = screen_slide(workflow, SlideInput(folder / "slide.png", "slide", MPP), folder=folder)
    return made, groups


def _judge(made: Screened, groups: Sequence[PlantedGroup], label: str) -> dict[str, object]:
    """Return what became of a semi-real slide."""
    cells = [int(made.found.rows[row]) for row in made.found.gallery[:TOP]]
    nuclei = made.cells.nuclei
    hits = sum(
        any(group.holds(nuclei.x[cell], nuclei.y[cell], margin=10) for cell in cells) for group in groups
    )
    looked = made.found.rows
    seen = sum(
        any(group.holds(nuclei.x[cell], nuclei.y[cell], margin=10) for cell in looked) for group in groups
    )
    counted, told = made.outcome.counted, made.outcome.result
    wanted = "AGC-NOS" if label == "AGC" else label
    category = counted.headline.category
    return {
        "hits": hits,
        "seen": seen,
        "counted": f"{category} {counted.status}",
        "right_or_review": told.headline.category == wanted or str(told.status) != "OK",
        "rules_right": category == wanted or str(counted.status) != "OK",
        "not_negative": category != "NILM" or str(counted.status) != "OK",
        "cleared": made.outcome.decision.is_cleared,
        "risk": made.found.risk,
        "calls": dict(made.found.evidence.calls.counting),
    }


if __name__ == "__main__":
    main()
