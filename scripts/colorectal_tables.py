"""Tables and plots of the colorectal network's figures, for scripts/accuracy_colorectal.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from slidelab.models.training.tissue.config import TissueConfig

GRADES = ("normal, polyp", "LGIN, serrated", "HGIN", "carcinoma")
NAMES = {
    "balanced_accuracy": ("balanced accuracy, 4 grades", 0.89),
    "kappa": ("quadratic kappa, 4 grades", 0.95),
    "auc": ("AUC, carcinoma against the rest", 0.99),
    "dice": ("Dice of glands, mean of images", 0.90),
    "ece": ("expected calibration error, 10 bins", 0.05),
    "balanced_accuracy_6": ("balanced accuracy, 6 classes", None),
    "accuracy": ("accuracy, 4 grades", None),
}


def number(value: float | None, digits: int = 3) -> str:
    """Return a figure as text."""
    return "-" if value is None else f"{value:.{digits}f}"


def row(*cells: object) -> str:
    """Return a line of a Markdown table."""
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table."""
    return "\n".join([row(*head), row(*["---"] * len(head)), *(row(*cells) for cells in rows)])


def with_interval(figure: Mapping[str, Any]) -> str:
    """Return a figure with its interval."""
    if figure["low"] is None:
        return number(figure["value"])
    return f"{number(figure['value'])} ({number(figure['low'])}-{number(figure['high'])})"


def to_markdown(results: Mapping[str, Any], config: TissueConfig) -> str:
    """Return all tables."""
    pooled, turned = results["pooled"], results["symmetries"]
    parts = [
        f"Network `{config.name}`, at {config.mpp} um per px; {results['steps']} steps in a fold. EBHI-Seg: "
        f"{results['images']} images of {results['patients']} patients, each judged by the one of "
        f"{config.folds} networks that has not seen its patient. Intervals: 95 %, 2,000 draws of whole "
        "patients; DeLong for areas under the curve.",
        table(
            ["figure", "wanted", "reached", "eight views averaged"],
            [
                [
                    title,
                    "-" if wanted is None else wanted,
                    with_interval(pooled[key]),
                    with_interval(turned[key]) if key in turned else "-",
                ]
                for key, (title, wanted) in NAMES.items()
            ],
        ),
        "**Each fold**",
        table(
            ["fold", "images", *(title for title, _ in NAMES.values()), "temperature"],
            [
                [one["fold"], one["images"], *(number(one[key]) for key in NAMES), one["temperature"]]
                for one in results["folds"]
            ],
        ),
        "**Grades: experts (rows), network (columns)**",
        confusion(results["grades"], GRADES),
        "**Classes: experts (rows), network (columns)**",
        confusion(results["classes"], [name.replace("_", " ") for name in results["class_names"]]),
        *outside_parts(results),
        *robust_parts(results),
        f"Network alone: {results['speed_s_per_mm2']:.2f} processor seconds per mm2, on one thread.",
    ]
    if "ablation" in results:
        parts += ablation_parts(results)
    return "\n\n".join(parts) + "\n"


def confusion(counts: Sequence[Sequence[int]], names: Sequence[str]) -> str:
    """Return a confusion table."""
    return table(["", *names], [[name, *line] for name, line in zip(names, counts, strict=True)])


def outside_parts(results: Mapping[str, Any]) -> list[str]:
    """Return the tables of the outside set."""
    details = list(results["glas"][0]["mean_carcinoma"])
    return [
        "**GlaS, another laboratory and scanner, never learnt from** (the network of each fold; wanted AUC: "
        "0.88 of benign against malignant; glands are connected pieces, as the set's own numbers were lost)",
        table(
            [
                "fold",
                "AUC",
                "Dice",
                "object Dice",
                "object Hausdorff, um",
                *(f"mean probability of carcinoma: {name}" for name in details),
            ],
            [
                [
                    one["fold"],
                    with_interval(one["auc"]),
                    number(one["dice"]["value"]),
                    number(one["object_dice"]["value"]),
                    number(one["object_hausdorff"]["value"], 0),
                    *(number(one["mean_carcinoma"][name], 2) for name in details),
                ]
                for one in results["glas"]
            ],
        ),
    ]


def robust_parts(results: Mapping[str, Any]) -> list[str]:
    """Return the tables of other colours and scales."""
    columns = ("balanced_accuracy", "kappa", "auc", "dice", "ece")
    titles = [NAMES[name][0] for name in columns]
    parts = []
    for key, title, first in (
        ("stain", "Colours changed at random (fold 0; 1 = as in training on nuclei)", "strength"),
        ("scale", "Resolution mistaken by a factor (fold 0)", "factor"),
    ):
        lines = [
            [level, *(number(figures[name]) for name in columns)]
            for level, figures in results["robustness"][key].items()
        ]
        parts += [f"**{title}**", table([first, *titles], lines)]
    return parts


def ablation_parts(results: Mapping[str, Any]) -> list[str]:
    """Return the table of the variants."""
    columns = ("balanced_accuracy", "kappa", "auc", "dice", "ece")
    return [
        f"**What each part brings** (fold 0, {results['ablation'][0]['steps']} steps each)",
        table(
            ["variant", *(NAMES[name][0] for name in columns), "AUC, GlaS"],
            [
                [one["name"], *(number(one[name]) for name in columns), number(one["glas_auc"])]
                for one in results["ablation"]
            ],
        ),
    ]


def draw(results: Mapping[str, Any], folder: Path) -> None:
    """Draw the reliability diagram and the robustness curves: numbers alone, no image of the data."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    folder.mkdir(parents=True, exist_ok=True)
    figure, axes = pyplot.subplots(figsize=(4.2, 4.2))
    filled = [one for one in results["reliability"] if one[2]]
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    axes.plot([one[3] for one in filled], [one[4] for one in filled], marker="o", color="#7a3b8f")
    for one in filled:
        axes.annotate(str(one[2]), (one[3], one[4]), textcoords="offset points", xytext=(6, -10), fontsize=7)
    axes.set(
        xlabel="Confidence",
        ylabel="Share called right",
        xlim=(0, 1),
        ylim=(0, 1),
        title="Four grades, EBHI-Seg",
    )
    figure.savefig(folder / "reliability.png", dpi=150, bbox_inches="tight")
    figure, panels = pyplot.subplots(1, 2, figsize=(8.4, 3.4), sharey=True)
    for panel, key, title in zip(
        panels, ("stain", "scale"), ("Strength of colour change", "Factor of the resolution"), strict=True
    ):
        curve = results["robustness"][key]
        for name in ("balanced_accuracy", "kappa", "auc", "dice"):
            panel.plot(list(curve), [one[name] for one in curve.values()], marker=".", label=NAMES[name][0])
        panel.set(xlabel=title, ylim=(0, 1.02))
    panels[0].legend(fontsize=6)
    figure.savefig(folder / "robustness.png", dpi=150, bbox_inches="tight")
