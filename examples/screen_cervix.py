"""Screen cervical slides from Python: python examples/screen_cervix.py OUT MODEL SLIDE...

MODEL is auto, or size-rules, which names cells by size, N:C ratio and darkness alone.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from slidelab import RunOptions
from slidelab.workflows.cervix.call_reader import choose_calls
from slidelab.workflows.cervix.cohort import find_stacks, screen_cohort
from slidelab.workflows.cervix.plan import ScreeningSettings
from slidelab.workflows.cervix.workflow import CervicalScreening


def main(out: Path, model: str, slides: Sequence[str]) -> None:
    workflow = CervicalScreening(calls=choose_calls(model), plan=ScreeningSettings(preparation="thinprep"))
    options = RunOptions(out, scheduler="threads", workers=1)
    run = screen_cohort(workflow, find_stacks(slides), options=options)  # planes of a slide are one slide
    for outcome in run.outcomes:
        name = outcome.slide.slide_id
        if outcome.record is None:
            print(f"{name}: {outcome.failures[0].reason}")
            continue
        own = outcome.record["cervix"]
        print(f"{name}: {', '.join(own['interpretations']) or 'no interpretation'} {outcome.status}")
        print(f"  {own['lines'][0]}; risk {own['risk']:.3f}; cleared: {own['triage']['cleared']}")
        for each in own["gallery"][:3]:
            ratio = "unknown" if each["nc"] is None else f"{each['nc']:.2f}"
            print(f"  {each['rank']}. {each['code']} {each['probability']:.2f}, N:C {ratio}")
    print(f"worklist: {out / 'worklist.html'}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
