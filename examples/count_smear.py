"""Count blood smears from Python: python examples/count_smear.py OUT MPP FOLDER...

Each FOLDER holds the field images of one smear. MPP is um per pixel of the images, or 0 to have it judged
from the red cells.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from slidelab import RunOptions, run_cohort
from slidelab.workflows.smear.inputs import find_smears
from slidelab.workflows.smear.workflow import SmearCount


def main(out: Path, mpp: float, folders: Sequence[str]) -> None:
    options = RunOptions(out, scheduler="threads", workers=1)
    run = run_cohort(SmearCount(), find_smears(folders, mpp=mpp or None), options=options)
    for outcome in run.outcomes:
        name = outcome.slide.slide_id
        if outcome.record is None:
            print(f"{name}: {outcome.failures[0].reason}")
            continue
        print(f"{name}: {outcome.record['summary']['sentence']} {outcome.status}")
        for score in outcome.record["scores"]:
            if score["interval"] and score["value"] is not None:
                low, high = (score["interval"][end] for end in ("low", "high"))
                print(f"  {score['name']}: {score['value']:.1f} {score['unit']} ({low:.1f}-{high:.1f})")
        print(f"  report: {out / 'slides' / name / 'report.html'}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3:])
