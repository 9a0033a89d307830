"""Score a phantom slide from Python and read the cells back: python examples/score_phantom.py FOLDER"""

import sys
from pathlib import Path

import pyarrow.parquet as pq

from slidelab import Ki67, PhantomSettings, RunOptions, find_slides, run_cohort, write_phantom


def main(folder: Path) -> None:
    truth = write_phantom(folder / "case.tiff", PhantomSettings(width=3072, height=3072, truth=35.0, seed=8))
    options = RunOptions(folder / "results", scheduler="threads", workers=2)
    run = run_cohort(Ki67(), find_slides([folder / "case.tiff"]), options=options)
    headline = run.outcomes[0].record["scores"][0]
    low, high = headline["interval"]["low"], headline["interval"]["high"]
    print(f"index {headline['value']:.1f} % (95 % CI {low:.1f}-{high:.1f}), painted {truth.value:.1f} %")
    cells = pq.read_table(options.out / "slides" / "case" / "cells.parquet", columns=["label", "dab_od_mean"])
    print(cells.group_by("label").aggregate([("dab_od_mean", "mean"), ("dab_od_mean", "count")]).to_pydict())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
