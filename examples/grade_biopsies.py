"""Grade colorectal biopsies from Python: python examples/grade_biopsies.py OUT MPP SLIDE...

MPP is um per pixel of the slides, or 0 where the files say it themselves.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from slidelab import RunOptions, find_slides, run_cohort
from slidelab.workflows.colorectal.workflow import ColorectalGrading


def main(out: Path, mpp: float, slides: Sequence[str]) -> None:
    options = RunOptions(out, scheduler="threads", workers=1)
    run = run_cohort(ColorectalGrading(), find_slides(slides, mpp=mpp or None), options=options)
    for outcome in run.outcomes:
        name = outcome.slide.slide_id
        if outcome.record is None:
            print(f"{name}: {outcome.failures[0].reason}")
            continue
        print(f"{name}: {outcome.record['summary']['sentence']} {outcome.status}")
        for fragment in outcome.record["colorectal"]["fragments"]:
            beyond = f", also possible: {', '.join(fragment['possible'])}" if fragment["possible"] else ""
            print(f"  fragment {fragment['name']}: {fragment['category'] or 'no class'}{beyond}")
        lesions = json.loads((out / "slides" / name / "lesions.geojson").read_text())["features"]
        print(f"  {len(lesions)} outlines for QuPath, report: {out / 'slides' / name / 'report.html'}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3:])
