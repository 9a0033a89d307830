"""Measure reading, engine, cells and memory with the bench commands, and write docs/performance.md.

Run by `make figures`, or:  python scripts/performance.py [--data FOLDER] [--scratch FOLDER]

Painting the 60,000 px phantom takes minutes; phantoms in the scratch folder are used again.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
READ_SLIDES = (
    ("Aperio JPEG", "cmu-1-small-region.svs"),
    ("Aperio JPEG 2000", "tcga-cr-7395-01a-01-ts1.svs"),
    ("generic TIFF, JPEG", "biopsy-packer-example.tif"),
    ("generic TIFF, uncompressed", "BRACS_1640_N_3_cropped.tiff"),
)
MARKER_SIZE = 8192
MARKER_PHANTOMS = {
    "ki67": "ki67",
    "er": "er",
    "her2": "her2",
    "pdl1": "pdl1",
    "immune-ihc": "pdl1",
    "immune-he": "he",
}
"""Which phantom each marker is timed on."""


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    default = os.environ.get("SLIDELAB_TEST_DATA", REPOSITORY.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--scratch", type=Path, default=Path("build/bench"))
    parser.add_argument("--out", type=Path, default=REPOSITORY / "docs" / "performance.md")
    arguments = parser.parse_args()
    arguments.scratch.mkdir(parents=True, exist_ok=True)
    parts = [machine(), reading(arguments.data / "slides"), memory(arguments.scratch)]
    parts.insert(2, grading(arguments.scratch))
    parts.insert(2, workflows(arguments.scratch))
    parts.insert(2, cells(arguments.scratch / "phantom-20000.tiff"))
    parts.insert(2, engine(arguments.scratch / "phantom-20000.tiff"))  # painted by the memory bench
    text = arguments.out.read_text(encoding="utf-8")
    begin, end = "<!-- begin measured -->\n", "<!-- end measured -->"
    head, rest = text.split(begin)
    text = head + begin + "\n" + "\n".join(parts) + "\n" + end + rest.split(end)[1]
    arguments.out.write_text(text, encoding="utf-8")
    print(text)


def bench(*words: object) -> dict:
    """Run a bench command and return its figures."""
    command = [sys.executable, "-m", "slidelab", "bench", *map(str, words), "--json"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def machine() -> str:
    """Say what this was measured on."""
    model = platform.processor()
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            model = line.split(":")[1].strip()
            break
    return f"Machine: {model}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}.\n"


def reading(folder: Path) -> str:
    """Measure native reading."""
    rows = [
        "### Reading (`bench read`), one thread",
        "",
        "| slide | native, MP/s | OpenSlide, MP/s | ratio | ratio with a new cache | greatest difference |",
        "|---|---|---|---|---|---|",
    ]
    for name, file in READ_SLIDES:
        figures = bench("read", folder / file, "--rounds", 7)
        rows.append(
            f"| {name} (`{file}`) | {figures['native_mp_s']:.0f} | {figures['openslide_mp_s']:.0f} "
            f"| **{figures['ratio']:.1f}** | {figures['ratio_new_cache']:.1f} | {figures['max_difference']} |"
        )
    return "\n".join(rows) + "\n"


def engine(slide: Path) -> str:
    """Measure the block engine."""
    figures = bench("engine", slide)
    return "\n".join(
        [
            "### Engine (`bench engine`), 20,000 px phantom",
            "",
            "| figure | value |",
            "|---|---|",
            f"| engine / bare, one worker | **{figures['overhead_1']:.2f}** |",
            f"| engine / bare, two workers | **{figures['overhead_2']:.2f}** |",
            f"| one worker / two workers | **{figures['speedup_2']:.2f}** |",
            "| seconds: bare 1, engine 1, bare 2, engine 2 | "
            + ", ".join(f"{figures[f'{side}_{n}_s']:.1f}" for n in (1, 2) for side in ("bare", "engine"))
            + " |",
            "",
        ]
    )


def cells(slide: Path) -> str:
    """Measure the detectors on the road."""
    rows = [
        "### Cells (`bench cells`), 20,000 px phantom, two worker processes of one thread each",
        "",
        "| detector | s per mm2 of tissue | cells per s | network | decode | unmix | outlines, measurements "
        "| write | road / bare | peak of a worker, MB |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for model in ("auto", "unmixed-nuclei"):
        figures = bench("cells", slide, "--model", model, "--workers", 2)
        shares = [
            figures.get("network_share", figures.get("detect_share", 0.0)),
            figures["decode_share"],
            figures["unmix_share"],
            figures.get("post_share", 0.0),
            figures["write_share"],
        ]
        rows.append(
            f"| `{figures['detector']}` | **{figures['s_per_mm2']:.2f}** | {figures['cells_per_s']:,} | "
            + " | ".join(f"{100 * share:.0f} %" for share in shares)
            + f" | {figures['road_of_bare']:.2f} | {figures['peak_rss_mb']:,} |"
        )
    return "\n".join(rows) + "\n"


def workflows(folder: Path) -> str:
    """Measure every marker on a phantom of its own."""
    rows = [
        f"### Markers (`bench cells --marker`), {MARKER_SIZE:,} px phantoms, two worker processes",
        "",
        "| marker | s per mm2 of tissue | cells per s | network | outlines | membranes | road / bare |",
        "|---|---|---|---|---|---|---|",
    ]
    for marker, kind in MARKER_PHANTOMS.items():
        slide = paint(folder, kind)
        figures = bench("cells", slide, "--marker", marker, "--workers", 2)
        shares = [figures.get(f"{phase}_share", 0.0) for phase in ("network", "post", "membranes")]
        rows.append(
            f"| {marker} | **{figures['s_per_mm2']:.2f}** | {figures['cells_per_s']:,} | "
            + " | ".join(f"{100 * share:.0f} %" for share in shares)
            + f" | {figures['road_of_bare']:.2f} |"
        )
    return "\n".join(rows) + "\n"


def grading(folder: Path) -> str:
    """Measure colorectal grading; the time does not depend on what the tissue is."""
    rows = [
        "### Colorectal grading (`bench grade`), 20,000 px phantom, two worker processes",
        "",
        "| signet-ring cells | s per mm2 of tissue | plan | tiles | report | network | peak, MB |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, words in (("looked for", ()), ("left out", ("--no-signet",))):
        figures = bench("grade", paint(folder, "he", size=20_000), "--workers", 2, *words)
        parts = [figures[f"{part}_s_per_mm2"] for part in ("plan", "tiles", "report")]
        share = figures["network_share"] + figures.get("signet_share", 0.0)
        rows.append(
            f"| {name} | **{figures['s_per_mm2']:.2f}** | "
            + " | ".join(f"{seconds:.2f}" for seconds in parts)
            + f" | {100 * share:.0f} % of the tiles | {figures['peak_rss_mb']:,} |"
        )
    return "\n".join(rows) + "\n"


def paint(folder: Path, kind: str, *, size: int = MARKER_SIZE) -> Path:
    """Return a phantom of a kind, painted if it is not there."""
    slide = folder / f"{kind}-{size}.tiff"
    if not slide.exists():
        words = ("phantom", slide, "--kind", kind, "--size", size, "--seed", 7)
        subprocess.run([sys.executable, "-m", "slidelab", *map(str, words)], check=True)
    return slide


def memory(folder: Path) -> str:
    """Measure the memory of workers."""
    figures = bench("memory", folder)
    return "\n".join(
        [
            "### Memory (`bench memory`), from file to report, two workers",
            "",
            "| phantom | cells | peak of a worker, MB | seconds |",
            "|---|---|---|---|",
            *(
                f"| {size:,} px | {figures[f'cells_{size}']:,} | {figures[f'peak_rss_mb_{size}']:,} "
                f"| {figures[f'seconds_{size}']:.0f} |"
                for size in (20_000, 60_000)
            ),
            "",
            f"Ratio: **{figures['ratio']:.2f}**.",
            "",
        ]
    )


if __name__ == "__main__":
    main()
