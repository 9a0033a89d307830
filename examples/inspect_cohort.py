"""List what a folder of slides is and what will work: python examples/inspect_cohort.py FOLDER"""

import sys

from slidelab import find_slides, inspect_slide


def main(folder: str) -> None:
    for slide in find_slides([folder]):
        inspection = inspect_slide(slide.path)
        print(f"{slide.slide_id:<40} {inspection.verdict}")


if __name__ == "__main__":
    main(sys.argv[1])
