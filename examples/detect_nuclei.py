"""Find the nuclei of a region with a model by name and print what it says of them.

python examples/detect_nuclei.py SLIDE [MPP]
"""

import sys
from collections import Counter
from pathlib import Path

from slidelab import open_slide
from slidelab.models.loading import load_detector
from slidelab.models.registry import Registry


def main(path: Path, mpp: float | None = None) -> None:
    entry = Registry().default(task="cell-detection", stain="H&E")
    detector = load_detector(entry, device="auto")
    with open_slide(path, mpp=mpp) as slide:
        plane = slide.plane(detector.mpp)
        pixels = plane.read(0, 0, 512, 512)  # sides are multiples of the network's stride
    cells = detector.detect(pixels)
    names = Counter(cells.classes[label] for label in cells.labels)
    print(f"{entry.card.name} ({entry.card.licence.weights}): {len(cells)} nuclei, {dict(names)}")
    if len(cells):
        print(f"median area {sorted(cells.area_um2)[len(cells) // 2]:.0f} um2")


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else None)
