"""Phantom slides open anywhere, tell the truth, and come out the same for any number of workers."""

from __future__ import annotations

import hashlib
import json
import tracemalloc
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import openslide
import pyarrow.parquet as pq
import pytest
import shapely
import tifffile

from slidelab.errors import RunFolderError, SettingsError
from slidelab.wsi.phantom import PhantomSettings, write_phantom
from slidelab.wsi.phantom.paint import Canvas
from slidelab.wsi.phantom.texture import Grid
from slidelab.wsi.phantom.truth import PhantomTruth


class Written(NamedTuple):
    path: Path
    truth: PhantomTruth
    cells: dict[str, np.ndarray]
    outlines: np.ndarray
    facts: dict[str, Any]


def write(folder: Path, name: str = "slide", workers: int = 2, **options: Any) -> Written:
    size = options.pop("size", 2048)
    settings = PhantomSettings(**{"width": size, "height": size, **options})
    path = folder / f"{name}.tiff"
    truth = write_phantom(path, settings, workers=workers)
    return read(path, truth)


def read(path: Path, truth: PhantomTruth) -> Written:
    table = pq.read_table(path.with_name(f"{path.stem}.truth.parquet"))
    cells = {key: np.array(table[key].to_pylist()) for key in table.column_names if key != "geometry"}
    outlines = shapely.from_wkb(table["geometry"].to_pylist())
    facts = json.loads(path.with_name(f"{path.stem}.truth.json").read_text(encoding="utf-8"))
    return Written(path, truth, cells, outlines, facts)


def digests(written: Written) -> list[str]:
    """Hash slide and table: not the JSON, which names the files."""
    return [hashlib.sha256(p.read_bytes()).hexdigest() for p in (written.path, written.truth.cells_path)]


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """Return a 1 mm slide, uncompressed, half of its nuclei positive, with all artefacts."""
    return write(tmp_path_factory.mktemp("a"), size=4096, seed=2, truth=50.0, compression="none")


@pytest.fixture(scope="module")
def rescanned(tmp_path_factory: pytest.TempPathFactory, slide: Written) -> Written:
    """Return the same tissue on scanner b."""
    folder = tmp_path_factory.mktemp("b")
    settings = slide.truth.settings.rescanned(scanner="b")
    path = folder / "slide.tiff"
    return read(path, write_phantom(path, settings, workers=2))


@pytest.fixture(scope="module")
def compressed(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return write(tmp_path_factory.mktemp("c"), seed=2, workers=1)


def polygons(written: Written, reason: str) -> list[Any]:
    return [shapely.Polygon(a["outline"]) for a in written.facts["artefacts"] if a["reason"] == reason]


def densities(written: Written, image: np.ndarray, row: int) -> np.ndarray:
    """Return hematoxylin, DAB and ground at the pixels whose centre lies inside one outline, (n, 3)."""
    left, top, right, bottom = (int(v) for v in written.outlines[row].bounds)
    y, x = np.mgrid[top : bottom + 2, left : right + 2]
    inside = shapely.contains_xy(written.outlines[row], x + 0.5, y + 0.5)
    light = np.maximum(image[y[inside], x[inside]].astype(float), 1.0) / written.facts["white_point"]
    stains = written.facts["stain_vectors"]
    vectors = [np.array(stains[name]) * written.facts["stain_gains"][name] for name in stains]
    return -np.log10(light) @ np.linalg.inv(vectors)


class TestFile:
    def test_opens_in_openslide_with_all_levels(self, compressed: Written) -> None:
        with openslide.OpenSlide(compressed.path) as opened:
            assert opened.properties["openslide.vendor"] == "generic-tiff"
            assert opened.level_dimensions == ((2048, 2048), (512, 512))
            assert opened.level_downsamples == (1.0, 4.0)

    @pytest.mark.parametrize("mpp", [0.25, 0.3461, 0.5])
    def test_states_its_resolution(self, tmp_path: Path, mpp: float) -> None:
        written = write(tmp_path, size=640, mpp=mpp, tissue_fraction=0.02)
        with openslide.OpenSlide(written.path) as opened:
            assert float(opened.properties["openslide.mpp-x"]) == pytest.approx(mpp, rel=1e-6)
            assert float(opened.properties["openslide.mpp-y"]) == pytest.approx(mpp, rel=1e-6)

    def test_decodes_alike_in_openslide_and_tifffile(self, compressed: Written) -> None:
        with openslide.OpenSlide(compressed.path) as opened:
            seen = np.asarray(opened.read_region((0, 0), 0, (2048, 2048)).convert("RGB"))
        np.testing.assert_array_equal(seen, tifffile.imread(compressed.path, level=0))

    def test_coarse_level_is_the_mean_of_the_fine_one(self, slide: Written) -> None:
        fine = tifffile.imread(slide.path, level=0).astype(float)
        coarse = tifffile.imread(slide.path, level=1)
        means = fine.reshape(1024, 4, 1024, 4, 3).mean(axis=(1, 3))
        assert np.abs(coarse - means).max() <= 0.5

    def test_odd_sizes_have_whole_levels(self, tmp_path: Path) -> None:
        settings = PhantomSettings(width=4501, height=1030, tissue_fraction=0.02)
        write_phantom(tmp_path / "odd.tif", settings)
        with openslide.OpenSlide(tmp_path / "odd.tif") as opened:
            assert opened.level_dimensions == ((4501, 1030), (1125, 257), (281, 64))
            corner = np.asarray(opened.read_region((4480, 1010), 0, (21, 20)).convert("RGB"))
            assert corner.min() > 200
            assert np.asarray(opened.read_region((0, 0), 2, (281, 64)).convert("RGB")).mean() > 200

    def test_stores_glass_once(self, compressed: Written) -> None:
        with tifffile.TiffFile(compressed.path) as tiff:
            offsets = tiff.pages[0].dataoffsets
        big = write(compressed.path.parent, "big", size=8192, seed=2, tissue_fraction=0.02, artefacts=False)
        with tifffile.TiffFile(big.path) as tiff:
            many = tiff.pages[0].dataoffsets
        assert len(many) == 256
        assert len(set(many)) < 80
        assert len(set(offsets)) > 1


class TestDeterminism:
    def test_workers_do_not_change_a_byte(self, tmp_path: Path, compressed: Written) -> None:
        again = write(tmp_path, seed=2, workers=3)
        assert digests(again) == digests(compressed)
        assert again.facts == compressed.facts

    def test_another_seed_is_another_tissue(self, tmp_path: Path, compressed: Written) -> None:
        other = write(tmp_path, seed=3)
        assert digests(other)[0] != digests(compressed)[0]
        assert len(other.cells["x"]) != len(compressed.cells["x"])

    def test_progress_counts_every_block_in_order(self, tmp_path: Path) -> None:
        calls: list[tuple[int, int]] = []
        settings = PhantomSettings(width=4096, height=2050, tissue_fraction=0.02, artefacts=False)
        write_phantom(tmp_path / "x.tiff", settings, progress=lambda *call: calls.append(call), workers=2)
        assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]


class TestTruth:
    @pytest.mark.parametrize("truth", [0.0, 5.0, 24.0, 50.0, 100.0])
    def test_small_slides_meet_the_index_within_one_nucleus(self, tmp_path: Path, truth: float) -> None:
        written = write(tmp_path, size=1024, truth=truth, artefacts=False)
        labels = written.cells["label"]
        positive = int((labels == "Positive").sum())
        assert set(labels) <= {"Positive", "Negative"}
        assert abs(positive - truth / 100.0 * len(labels)) <= 1.0
        assert written.truth.value == pytest.approx(100.0 * positive / len(labels))

    def test_json_and_table_agree(self, slide: Written) -> None:
        positive = slide.cells["label"] == "Positive"
        clear = slide.cells["artefact"] == ""
        counts, truth = slide.facts["counts"], slide.facts["truth"]
        assert counts["tumour"] == counts["nuclei"] == len(positive)
        assert counts["positive"] == positive.sum()
        assert truth["value"] == pytest.approx(100.0 * positive.mean())
        assert truth["value_outside_artefacts"] == pytest.approx(100.0 * positive[clear].mean())
        assert counts["tumour_outside_artefacts"] == clear.sum()
        for reason in ("pen", "fold", "out_of_focus", "bubble", "debris"):
            assert counts[f"tumour_in_{reason}"] == (slide.cells["artefact"] == reason).sum()

    def test_hot_spot_is_hotter_than_the_rest(self, slide: Written) -> None:
        spot = slide.facts["hot_spots"][0]
        near = (
            np.hypot(slide.cells["x"] - spot["x"], slide.cells["y"] - spot["y"]) * 0.25 <= spot["radius_um"]
        )
        positive = slide.cells["label"] == "Positive"
        assert near.sum() == spot["tumour_nuclei"]
        assert spot["index"] == pytest.approx(100.0 * positive[near].mean())
        assert positive[near].mean() > positive[~near].mean() + 0.1

    def test_centroids_and_areas_are_those_of_the_outlines(self, slide: Written) -> None:
        centre = shapely.centroid(slide.outlines)
        assert np.abs(shapely.get_x(centre) - slide.cells["x"]).max() < 1e-6
        assert np.abs(shapely.get_y(centre) - slide.cells["y"]).max() < 1e-6
        np.testing.assert_allclose(slide.cells["area_um2"], shapely.area(slide.outlines) * 0.25**2, rtol=1e-5)
        assert shapely.is_valid(slide.outlines).all()

    def test_nuclei_lie_inside_tissue_and_slide(self, slide: Written) -> None:
        tissue = shapely.union_all([shapely.Polygon(ring) for ring in slide.facts["tissue"]])
        assert shapely.contains_xy(tissue, slide.cells["x"], slide.cells["y"]).all()
        left, top, right, bottom = shapely.bounds(slide.outlines).T
        assert left.min() > 0
        assert top.min() > 0
        assert right.max() < 4096
        assert bottom.max() < 4096

    def test_nuclei_have_the_size_and_crowding_of_tumour_nuclei(self, slide: Written) -> None:
        diameter = np.sqrt(4.0 * slide.cells["area_um2"] / np.pi)
        assert 8.0 < diameter.mean() < 10.0
        assert 0.10 < diameter.std() / diameter.mean() < 0.20
        per_mm2 = len(diameter) / slide.facts["areas_mm2"]["tissue"]
        assert 2500 < per_mm2 < 5000

    def test_nuclei_touch_but_do_not_cover_one_another(self, slide: Written) -> None:
        first, second = shapely.STRtree(slide.outlines).query(slide.outlines, predicate="intersects")
        pair = first < second
        shared = shapely.area(shapely.intersection(slide.outlines[first[pair]], slide.outlines[second[pair]]))
        smaller = np.minimum(
            shapely.area(slide.outlines[first[pair]]), shapely.area(slide.outlines[second[pair]])
        )
        assert 0.05 < np.unique(np.concatenate((first[pair], second[pair]))).size / len(slide.outlines) < 0.6
        assert np.mean(shared / smaller > 0.25) < 0.05
        assert (shared / smaller).max() < 0.6

    def test_tissue_is_no_more_than_asked(self, slide: Written) -> None:
        areas = slide.facts["areas_mm2"]
        assert areas["slide"] == pytest.approx((4096 * 0.25e-3) ** 2)
        assert 0.15 < areas["tissue"] / areas["slide"] <= 0.22
        assert areas["tissue"] + areas["glass"] == pytest.approx(areas["slide"])

    def test_table_is_geoparquet(self, slide: Written) -> None:
        schema = pq.read_schema(slide.truth.cells_path)
        geo = json.loads(schema.metadata[b"geo"])
        assert geo["columns"][geo["primary_column"]]["encoding"] == "WKB"
        assert schema.names == [
            "x", "y", "class", "label", "dab_od", "hematoxylin_od", "area_um2", "artefact", "geometry",
        ]  # fmt: skip


class TestPaint:
    def test_density_in_the_pixels_is_the_density_in_the_table(self, slide: Written) -> None:
        clear = np.flatnonzero(slide.cells["artefact"] == "")[::6]
        image = tifffile.imread(slide.path, level=0)
        found = np.array([densities(slide, image, row).mean(axis=0) for row in clear])
        wrong = found[:, 1] - slide.cells["dab_od"][clear]
        assert abs(wrong.mean()) < 0.02
        assert np.percentile(np.abs(wrong), 95) < 0.07
        assert np.percentile(np.abs(found[:, 0] - slide.cells["hematoxylin_od"][clear]), 95) < 0.05

    def test_labels_follow_from_the_density(self, slide: Written) -> None:
        positive = slide.cells["label"] == "Positive"
        assert slide.cells["dab_od"][positive].min() > 0.25
        assert slide.cells["dab_od"][~positive].max() < 0.20
        assert slide.cells["dab_od"][positive].std() > 0.15

    def test_tissue_looks_the_same_from_every_window(self, slide: Written) -> None:
        canvas = Canvas(slide.truth.settings)
        row = int(np.flatnonzero(slide.cells["artefact"] == "")[40])
        x, y = (int(slide.cells[axis][row]) for axis in ("x", "y"))
        wide, _, _ = canvas.stain(Grid(x - 300, y - 200, width=600, height=500, mpp=0.25))
        part, _, _ = canvas.stain(Grid(x - 41, y - 77, width=111, height=203, mpp=0.25))
        for one, other in zip(wide, part, strict=True):
            assert one.max() > 0.0
            np.testing.assert_allclose(one[123:326, 259:370], other, atol=2e-4)

    def test_two_scanners_see_the_same_truth_in_other_colours(
        self, slide: Written, rescanned: Written
    ) -> None:
        assert slide.truth.cells_path.read_bytes() == rescanned.truth.cells_path.read_bytes()
        first, second = (tifffile.imread(w.path, level=1).astype(float) for w in (slide, rescanned))
        assert np.abs(first - second).mean(axis=(0, 1)).min() > 2.0
        assert slide.facts["stain_vectors"] != rescanned.facts["stain_vectors"]

    def test_another_resolution_shows_the_same_nuclei(self, tmp_path: Path) -> None:
        fine = write(tmp_path, "fine", size=2000, tissue_fraction=0.3)
        settings = fine.truth.settings.rescanned(scanner="b", mpp=0.4)
        path = tmp_path / "coarse.tiff"
        coarse = read(path, write_phantom(path, settings))
        assert settings.width == 1250
        for axis in ("x", "y"):
            np.testing.assert_allclose(
                np.sort(coarse.cells[axis]) * 0.4, np.sort(fine.cells[axis]) * 0.25, atol=1e-6
            )
        assert np.sort(coarse.cells["dab_od"]) == pytest.approx(np.sort(fine.cells["dab_od"]), abs=0.05)

    def test_he_has_three_classes_and_no_label(self, tmp_path: Path) -> None:
        written = write(tmp_path, kind="he", truth=60.0, tissue_fraction=0.3, artefacts=False)
        assert set(written.cells["class"]) == {"tumour", "stroma", "lymphocyte"}
        assert set(written.cells["label"]) == {""}
        assert written.truth.value == pytest.approx(60.0, abs=1.0)
        assert np.mean(written.cells["class"] == "tumour") == pytest.approx(0.6, abs=0.01)
        red, green, blue = tifffile.imread(written.path, level=1)[100:-100:4, 100:-100:4].reshape(-1, 3).T
        tissue = green < 180
        assert red[tissue].mean() > green[tissue].mean() + 20  # pink and purple
        assert blue[tissue].mean() > green[tissue].mean() + 20

    def test_stroma_nuclei_come_in_their_share_and_carry_no_marker(self, tmp_path: Path) -> None:
        written = write(tmp_path, stroma_share=0.4, truth=100.0, tissue_fraction=0.3, artefacts=False)
        tumour = written.cells["class"] == "tumour"
        assert np.mean(~tumour) == pytest.approx(0.4, abs=0.01)
        assert set(written.cells["label"][~tumour]) == {""}
        assert set(written.cells["label"][tumour]) == {"Positive"}


class TestArtefacts:
    REASONS = ("debris", "pen", "fold", "bubble", "out_of_focus")

    def test_every_kind_is_there(self, slide: Written) -> None:
        assert {a["reason"] for a in slide.facts["artefacts"]} == set(self.REASONS)

    @pytest.mark.parametrize("reason", REASONS)
    def test_area_is_that_of_the_outlines(self, slide: Written, reason: str) -> None:
        shape = shapely.union_all(polygons(slide, reason))
        assert slide.facts["areas_mm2"][reason] == pytest.approx(shape.area * 0.25e-3**2, rel=0.01)

    def test_nuclei_are_marked_by_the_outlines(self, slide: Written) -> None:
        expected = np.full(len(slide.cells["x"]), "", dtype="<U12")
        for reason in reversed(self.REASONS):
            for shape in polygons(slide, reason):
                expected[shapely.contains_xy(shape, slide.cells["x"], slide.cells["y"])] = reason
        assert np.mean(expected == slide.cells["artefact"]) > 0.998  # outlines are rounded in the JSON

    def test_nothing_changes_outside_the_outlines(self, tmp_path: Path, slide: Written) -> None:
        clean = write(tmp_path, size=4096, seed=2, truth=50.0, compression="none", artefacts=False)
        with_artefacts, without = (tifffile.imread(w.path, level=0).astype(np.int16) for w in (slide, clean))
        changed = np.abs(with_artefacts - without).max(axis=2) > 1
        y, x = np.nonzero(changed)
        every = shapely.union_all([p for reason in self.REASONS for p in polygons(slide, reason)])
        wide = every.buffer(0.1)  # outlines are rounded in the JSON
        shapely.prepare(wide)
        assert shapely.contains_xy(wide, x + 0.5, y + 0.5).all()
        assert changed.sum() > 0.5 * every.area
        assert len(clean.cells["x"]) == len(slide.cells["x"])
        assert set(clean.cells["artefact"]) == {""}

    def test_pen_and_debris_are_dark(self, slide: Written) -> None:
        image = tifffile.imread(slide.path, level=0)
        for reason in ("pen", "debris"):
            shape = max(polygons(slide, reason), key=lambda p: p.area)
            point = shapely.point_on_surface(shape)
            assert image[int(point.y), int(point.x)].min() < 120

    def test_hot_spot_is_free_of_them(self, slide: Written) -> None:
        spot = slide.facts["hot_spots"][0]
        disc = shapely.Point(spot["x"], spot["y"]).buffer(0.5 * spot["radius_um"] / 0.25)
        for reason in ("pen", "out_of_focus", "bubble"):
            assert not any(shape.intersects(disc) for shape in polygons(slide, reason))


class TestResources:
    def test_memory_does_not_grow_with_the_slide(self, tmp_path: Path) -> None:
        peaks = []
        for size in (4096, 8192):
            settings = PhantomSettings(width=size, height=size, tissue_fraction=0.03)
            tracemalloc.start()
            write_phantom(tmp_path / "slide.tiff", settings)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        assert peaks[1] < 1.3 * peaks[0]
        assert peaks[1] < 8192 * 8192 * 3

    def test_interruption_leaves_no_file(self, tmp_path: Path) -> None:
        def interrupt(done: int, total: int) -> None:
            raise KeyboardInterrupt

        settings = PhantomSettings(width=4096, height=1024, tissue_fraction=0.02)
        with pytest.raises(KeyboardInterrupt):
            write_phantom(tmp_path / "slide.tiff", settings, progress=interrupt, workers=2)
        assert list(tmp_path.iterdir()) == []

    def test_interruption_keeps_the_slide_that_was_there(self, tmp_path: Path) -> None:
        def interrupt(done: int, total: int) -> None:
            raise KeyboardInterrupt

        (tmp_path / "slide.tiff").write_bytes(b"before")
        with pytest.raises(KeyboardInterrupt):
            write_phantom(tmp_path / "slide.tiff", PhantomSettings(width=512, height=512), progress=interrupt)
        assert (tmp_path / "slide.tiff").read_bytes() == b"before"

    def test_missing_folders_are_made(self, tmp_path: Path) -> None:
        truth = write_phantom(tmp_path / "new" / "deep" / "slide.tif", PhantomSettings(width=512, height=512))
        assert truth.path.is_file()
        assert truth.cells_path == tmp_path / "new" / "deep" / "slide.truth.parquet"
        assert truth.cells_path.is_file()
        assert truth.json_path.is_file()

    def test_folder_that_cannot_be_made_is_an_error_of_the_run_folder(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(RunFolderError, match="cannot write the phantom") as caught:
            write_phantom(tmp_path / "file" / "slide.tiff", PhantomSettings(width=512, height=512))
        assert "writable" in caught.value.advice

    @pytest.mark.parametrize(("name", "workers"), [("slide.svs", 1), ("slide", 1), ("slide.tiff", 0)])
    def test_refuses_odd_names_and_no_workers(self, tmp_path: Path, name: str, workers: int) -> None:
        with pytest.raises(SettingsError) as caught:
            write_phantom(tmp_path / name, PhantomSettings(width=512, height=512), workers=workers)
        assert caught.value.advice
        assert list(tmp_path.iterdir()) == []
