"""Say how probable each colorectal class is in pictures that show one finding each, such as fields of view.

python examples/classify_images.py MPP IMAGE...
"""

import sys
from pathlib import Path

from slidelab import open_slide
from slidelab.models.registry import Registry
from slidelab.models.tissue_classifier import load_tissue_classifier


def main(mpp: float, paths: list[Path]) -> None:
    classifier = load_tissue_classifier(Registry().default(task="tissue-classification", stain="H&E"))
    for path in paths:
        with open_slide(path, mpp=mpp) as slide:
            plane = slide.plane(classifier.mpp)
            pixels = plane.read(0, 0, plane.width, plane.height)
        probabilities = classifier.classify_image(pixels)
        told = ", ".join(
            f"{name} {value:.2f}" for name, value in zip(classifier.classes, probabilities, strict=True)
        )
        print(f"{path.name}: {classifier.classes[probabilities.argmax()]} ({told})")


if __name__ == "__main__":
    main(float(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
