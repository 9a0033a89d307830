"""The demo's last word: what was measured beside what was painted."""

from __future__ import annotations

import json
from pathlib import Path

__all__ = ["compare_with_truth"]


def compare_with_truth(out: Path, slide_id: str, *, truth: Path) -> str:
    """Return lines that set a slide's result beside a phantom's truth.

    Parameters
    ----------
    out : Path
        Results folder of a finished run.
    slide_id : str
        The slide in it.
    truth : Path
        The phantom's ``.truth.json``, which nothing before this line has read.
    """
    known = json.loads(truth.read_text(encoding="utf-8"))
    report = out / "slides" / slide_id / "report.json"
    headline = json.loads(report.read_text(encoding="utf-8"))["scores"][0]
    measured = "not assessable"
    if headline["value"] is not None:
        interval = headline["interval"]
        measured = f"{headline['value']:.2f} % (95 % CI {interval['low']:.2f}-{interval['high']:.2f})"
    return "\n".join(
        [
            f"Ki-67 labelling index, measured  {measured}",
            f"                       painted   {known['truth']['value_outside_artefacts']:.2f} %",
            f"report                           {report.with_suffix('.html')}",
        ]
    )
