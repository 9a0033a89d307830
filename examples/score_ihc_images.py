"""Score single images of several markers and show where to look: python examples/score_ihc_images.py DATA OUT

DATA holds the folders of labelled immunohistochemistry; pictures are rendered into OUT and belong to it.
"""

import sys
from pathlib import Path

from PIL import Image

from slidelab import EstrogenReceptor, Her2, Pdl1, RunOptions, find_slides, run_cohort

PANEL_PX = (345, 195)
"""Size of each of the four panels of the HER2 figure."""


def score(workflow, slides, out):
    options = RunOptions(out / workflow.name, scheduler="threads", workers=1)
    for outcome in run_cohort(workflow, slides, options=options).outcomes:
        if outcome.record is None:
            print(f"{outcome.slide.slide_id}: {outcome.failures[0].reason}")
            continue
        headline = outcome.record["scores"][0]
        value = (
            "not assessable" if headline["value"] is None else f"{headline['value']:.1f} {headline['unit']}"
        )
        print(f"{outcome.slide.slide_id}: {headline['name']} {value}, {outcome.status}")
        print(f"  look at {options.out / 'slides' / outcome.slide.slide_id / 'report.html'}")


def her2_panels(figure, folder):
    """Cut the figure into its four panels; their size on the slide is not known, 0.5 um per px is assumed."""
    folder.mkdir(parents=True, exist_ok=True)
    width, height = PANEL_PX
    with Image.open(figure) as image:
        left = [(image.width - width) * (number % 2) for number in range(4)]
        top = [(image.height - height) * (number // 2) for number in range(4)]
        for number in range(4):
            box = (left[number], top[number], left[number] + width, top[number] + height)
            image.convert("RGB").crop(box).save(folder / f"panel-{number}.png")
    return find_slides([str(folder)], mpp=0.5)


def main(data: Path, out: Path) -> None:
    tiles = sorted((data / "ihc" / "erpr-endonuke-tiles").glob("302d4d0_0*[0-9].jpg"))[:2]
    score(EstrogenReceptor(), find_slides([str(tile) for tile in tiles], mpp=0.29), out)
    figure = next((data / "ihc" / "her2-bci-figure").glob("*.png"))
    score(Her2(), her2_panels(figure, out / "panels"), out)
    picture = data / "ihc" / "pdl1-sp142-ic" / "raw_img" / "17_singlecell_up1p.jpg"
    score(Pdl1(assay="SP142", indication="tnbc"), find_slides([str(picture)], mpp=0.5), out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
