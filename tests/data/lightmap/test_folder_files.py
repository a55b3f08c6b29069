from pathlib import Path

import pytest

from src.data.lightmap.folder_files import list_folder
from src.utils.cli import InputError

FRAMES = [f"lm_{hour * 100:04d}.png" for hour in range(24)]


def fill(folder: Path, names) -> Path:
    for name in names:
        (folder / name).write_text(name)
    return folder


def names(paths) -> list[str]:
    return [path.name for path in paths]


@pytest.mark.parametrize(
    "mask",
    [
        *("mask.png", "Mask.PNG", "mask.exr", "lm_mask.png", "mask_lm.jpg", "lightmap-mask.png", "mask.jpg.png"),
        *("coverage.png", "lm_coverage.exr", "LightmapMask.png", "room 1 mask.png", "validity.png", "masks.png"),
    ],
)
def test_masks_by_any_usual_name_are_no_frames(tmp_path, mask):
    found = list_folder(fill(tmp_path, [*FRAMES, mask]))
    assert names(found.frames) == FRAMES
    assert names(found.masks) == [mask]
    assert found.passed_over == ()


def test_a_mask_for_each_hour(tmp_path):
    masks = [name.replace(".png", "_mask.png") for name in FRAMES]
    found = list_folder(fill(tmp_path, [*FRAMES, *masks]))
    assert names(found.frames) == FRAMES and names(found.masks) == masks


def test_the_word_in_the_name_of_a_level_makes_no_masks(tmp_path):
    rooms = [f"mask_room_{hour:02d}.png" for hour in range(24)]
    found = list_folder(fill(tmp_path, [*rooms, "mask.png"]))
    assert names(found.frames) == rooms and names(found.masks) == ["mask.png"]


@pytest.mark.parametrize("name", ["unmasked.png", "maskerade.png", "shadowmask.png", "discoverage.png"])
def test_words_that_only_contain_it(tmp_path, name):
    assert list_folder(fill(tmp_path, [*FRAMES, name])).masks == ()


@pytest.mark.parametrize(
    "copy",
    [
        *("lm_1200 - Copy", "lm_1200 - Copy (2)", "lm_1200 copy", "lm_1200 copy 2", "Copy of lm_1200"),
        *("lm_1200 (1)", "lm_1200(1)", "lm_1200 - Kopie", "lm_1200 - 副本"),
    ],
)
def test_copies_are_named_and_left_out_or_refused(tmp_path, copy):
    fill(tmp_path, FRAMES)
    (tmp_path / f"{copy}.png").write_text("lm_1200.png")
    found = list_folder(tmp_path)
    assert names(found.frames) == FRAMES
    assert found.passed_over == (f"{copy}.png (a copy)",)
    (tmp_path / f"{copy}.png").write_text("another bake")
    with pytest.raises(InputError, match=r"is named as a copy of lm_1200.png but differs from it: keep one"):
        list_folder(tmp_path)


def test_numbers_in_brackets_may_be_the_names(tmp_path):
    numbered = ["day.png", *(f"day ({index}).png" for index in range(1, 24))]
    assert len(list_folder(fill(tmp_path, numbered)).frames) == 24


def test_what_else_lies_there_is_listed(tmp_path):
    fill(tmp_path, [*FRAMES, "a.tiff", "b.HEIC", ".DS_Store", "._lm_0000.png", "Thumbs.db", "times.json", "notes"])
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "old.png").mkdir()
    found = list_folder(tmp_path)
    assert names(found.frames) == FRAMES
    expected = {"a.tiff", "b.HEIC", ".DS_Store", "._lm_0000.png", "Thumbs.db", "notes", "__MACOSX/", "old.png/"}
    assert set(found.passed_over) == expected and len(found.passed_over) == len(expected)


def test_only_what_is_not_read(tmp_path):
    fill(tmp_path, ["a.tiff", "b.heic", "mask.png"])
    with pytest.raises(InputError, match=r"no lightmap images \(found a.tiff, b.heic\): known are png"):
        list_folder(tmp_path)
