"""Score single images of several markers and show where to look: python examples/score_ihc_images.py DATA OUT

DATA holds the folders of labelled immunohistochemistry; pictures are rendered into OUT and belong to it.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from slidelab import EstrogenReceptor, Her2, Pdl1, RunOptions, SlideInput, find_slides, run_cohort


def score(workflow: EstrogenReceptor | Her2 | Pdl1, slides: Sequence[SlideInput], out: Path) -> None:
    options = RunOptions(out / workflow.name, scheduler="threads", workers=1)
    for outcome in run_cohort(workflow, slides, options=options).outcomes:
        name = outcome.slide.slide_id
        if outcome.record is None:
            print(f"{name}: {outcome.failures[0].reason}")
            continue
        headline = outcome.record["scores"][0]
        value = "-" if headline["value"] is None else f"{headline['value']:.1f} {headline['unit']}"
        print(f"{name}: {headline['name']} {value}, {headline['category']}, {outcome.status}")
        print(f"  look at {options.out / 'slides' / name / 'report.html'}")


def main(data: Path, out: Path) -> None:
    ihc = data / "ihc"
    tiles = sorted((ihc / "erpr-endonuke-tiles").glob("302d4d0_0*[0-9].jpg"))[:2]
    score(EstrogenReceptor(), find_slides(tiles, mpp=0.29), out)
    # Neither image says how large a pixel is; 0.5 um is assumed.
    score(Her2(), find_slides([ihc / "misc-open-ihc" / "skimage_ihc_FHL2_colon.png"], mpp=0.5), out)
    picture = ihc / "pdl1-sp142-ic" / "raw_img" / "17_singlecell_up1p.jpg"
    score(Pdl1(assay="SP142", indication="tnbc"), find_slides([picture], mpp=0.5), out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
