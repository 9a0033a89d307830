"""What the user names becomes a list of slides, each once, each with an id of its own."""

import pytest

from slidelab.errors import SettingsError, SlideNotFoundError
from slidelab.workflows import find_slides


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def ids(slides):
    return [slide.slide_id for slide in slides]


def test_folders_are_searched_with_their_subfolders_for_slides_only(tmp_path):
    touch(tmp_path, "b.svs", "a.ndpi", "notes.txt", "sub/c.TIF", ".hidden/d.svs", "data.csv")
    assert ids(find_slides([tmp_path])) == ["a", "b", "c"]


def test_a_folder_of_dicom_files_is_one_slide_and_a_mixed_folder_is_not(tmp_path):
    touch(tmp_path, "series/1.dcm", "series/2.dcm", "mixed/x.dcm", "mixed/y.svs")
    slides = find_slides([tmp_path])
    assert [slide.path.name for slide in slides] == ["x.dcm", "y.svs", "series"]


def test_pixels_beside_an_index_file_are_not_slides_of_their_own(tmp_path):
    touch(tmp_path, "case.vms", "case(0,1).jpg", "case_macro.jpg")
    assert ids(find_slides([tmp_path])) == ["case"]


def test_the_same_file_is_taken_once_and_equal_names_get_lasting_ids(tmp_path):
    touch(tmp_path, "one/case.svs", "two/case.svs")
    slides = find_slides([tmp_path, tmp_path / "one" / "case.svs"])
    assert len(slides) == len(set(ids(slides))) == 2
    assert ids(find_slides([tmp_path / "two", tmp_path / "one"])) == ids(slides)[::-1]


def test_ids_are_harmless_in_paths(tmp_path):
    touch(tmp_path, "Fall 12; rm -rf ~ <b>.svs", "....svs")
    for name in ids(find_slides([tmp_path])):
        assert name.strip("._")
        assert not set(name) & set("/\\ ;~<>")


def test_a_list_gives_paths_resolutions_and_ids(tmp_path):
    touch(tmp_path, "a.svs", "b.svs")
    listing = tmp_path / "list.csv"
    listing.write_text("path,mpp,id\na.svs,0.25,case 1\nb.svs,,\nmissing.svs,,\n")
    slides = find_slides([listing], mpp=0.5)
    assert [(slide.slide_id, slide.mpp) for slide in slides] == [
        ("case_1", 0.25),
        ("b", 0.5),
        ("missing", 0.5),
    ]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("file\na.svs\n", "column 'path'"),
        ("path,mpp\na.svs,half\n", "line 2"),
        ("path,mpp\n,0.5\n", "line 2"),
    ],
)
def test_a_broken_list_is_refused_with_its_line(tmp_path, text, part):
    listing = tmp_path / "list.csv"
    listing.write_text(text)
    with pytest.raises(SettingsError, match=part):
        find_slides([listing])


def test_globs_are_expanded_and_missing_things_are_named(tmp_path):
    touch(tmp_path, "a.svs", "b.svs", "c.tif")
    assert ids(find_slides([tmp_path / "*.svs"])) == ["a", "b"]
    for source in ("none.svs", "*.ndpi"):
        with pytest.raises(SlideNotFoundError, match="no such file"):
            find_slides([tmp_path / source])
    (tmp_path / "empty").mkdir()
    with pytest.raises(SlideNotFoundError, match="no slides in the folder"):
        find_slides([tmp_path / "empty"])
