import json
from pathlib import Path

import pytest

from src.data.lightmap.sequence import find_sequence, require_same_size
from src.utils.cli import InputError


def touch(folder: Path, names: list[str]) -> Path:
    for name in names:
        (folder / name).touch()
    return folder


def test_24_plain_names_are_the_whole_hours_in_natural_order(tmp_path):
    touch(tmp_path, [f"tod_{hour}.png" for hour in range(24)])
    sequence = find_sequence(tmp_path)
    assert sequence.hours == tuple(range(24))
    assert [file.name for file in sequence.files] == [f"tod_{hour}.png" for hour in range(24)]
    assert not sequence.is_radiance
    assert sequence.mask_files == ()


def test_hour_codes_in_names_with_fractional_hours_and_a_mask(tmp_path):
    codes = [*range(0, 600, 100), 590, *range(600, 1900, 100), 1810, *range(1900, 2400, 100)]
    touch(tmp_path, [f"courtyard_{code:04d}.exr" for code in codes] + ["mask.png", "notes.txt"])
    sequence = find_sequence(tmp_path)
    said = "\n".join(sequence.describe())
    assert "hours of 26 images from file names, read as hour x 100" in said
    assert "courtyard_0590.exr = 5.9, courtyard_0600.exr = 6," in said
    assert "passed over: notes.txt" in said
    assert sequence.hours == tuple(code / 100 for code in codes)
    assert sequence.is_radiance
    assert sequence.mask_files == (tmp_path / "mask.png",)


@pytest.mark.parametrize(
    "names",
    [
        [f"frame_{index:04d}.png" for index in range(24)],
        [f"frame_{index:04d}.png" for index in range(1, 25)],
        [f"frame_{index:04d}.png" for index in (100, 101, 103, 104, 107)],
        ["a_100.png", "b_100.png", "c_300.png"],
        ["a_0100.png", "a_0200.png", "a_9900.png"],
        ["a_01.png", "a_02.png", "a_10.png"],
    ],
)
def test_other_numbers_in_names_are_indices(tmp_path, names):
    sequence = find_sequence(touch(tmp_path, names))
    assert sequence.hours == tuple(range(len(names)))
    assert [file.name for file in sequence.files] == names


def test_a_short_sequence_keeps_indices_and_a_long_one_is_spread_and_both_say_so(tmp_path):
    short, long = tmp_path / "short", tmp_path / "long"
    short.mkdir()
    long.mkdir()
    touch(short, ["a1.png", "a2.jpg", "a10.JPEG"])
    sequence = find_sequence(short)
    assert sequence.hours == (0, 1, 2)
    (line,) = sequence.describe()
    assert "3 images from their natural order" in line and line.endswith("a1.png = 0, a2.jpg = 1, a10.JPEG = 2")
    touch(long, [f"a{index}.png" for index in range(48)])
    assert find_sequence(long).hours == tuple(index / 2 for index in range(48))


def test_times_json_as_list_or_object_and_explicit_hours_above_it(tmp_path):
    touch(tmp_path, ["b_0100.png", "b_0200.png", "b_0300.png"])
    (tmp_path / "times.json").write_text("[6, 12.5, 24]")
    sequence = find_sequence(tmp_path)
    assert sequence.hours == (0, 6, 12.5)
    assert [file.name for file in sequence.files] == ["b_0300.png", "b_0100.png", "b_0200.png"]
    assert sequence.describe()[0].startswith("hours of 3 images from times.json")
    (tmp_path / "times.json").write_text(json.dumps({"b_0100.png": 3, "b_0300.png": 2, "b_0200.png": 1}))
    assert [file.name for file in find_sequence(tmp_path).files] == ["b_0200.png", "b_0300.png", "b_0100.png"]
    assert find_sequence(tmp_path, hours=[7, 8, 9]).hours == (7, 8, 9)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[1, 2", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("3", "neither a list nor an object"),
        ("[1, 2]", "2 hours for 3 images"),
        ("[1, 2, NaN]", "hour nan for c.png is out of range"),
        ("[1, 2, Infinity]", "hour inf for c.png"),
        ("[1, 2, 1" + "0" * 400 + "]", "is out of range"),
        ("[1, 2, -1]", "hour -1 for c.png"),
        ("[1, 2, 24.5]", "hour 24.5 for c.png"),
        ("[1, 2, 1.0]", "a.png and c.png have the same hour 1:"),
        ("[0, 2, 24]", "a.png and c.png have the same hour 0 (24 is 0)"),
        ('[1, 2, "3"]', "'3' for c.png is not a number"),
        ("[1, 2, true]", "True for c.png is not a number"),
        ('{"a.png": 1, "b.png": 2}', "gives no hour for c.png"),
        ('{"a.png": 1, "b.png": 2, "c.png": 3, "d.png": 4}', "names 'd.png'"),
    ],
)
def test_malformed_times_are_named(tmp_path, text, problem):
    touch(tmp_path, ["a.png", "b.png", "c.png"])
    (tmp_path / "times.json").write_text(text)
    with pytest.raises(InputError) as error:
        find_sequence(tmp_path)
    assert str(error.value).startswith(str(tmp_path / "times.json"))
    assert problem in str(error.value)


@pytest.mark.parametrize("hours", [[0.0], [0.0, float("nan")], [0.0, -2.0], [3.0, 3.0], [0.0, 25.0]])
def test_wrong_explicit_hours_name_the_flag(tmp_path, hours):
    touch(tmp_path, ["a.png", "b.png"])
    with pytest.raises(InputError, match=r"^--hours: "):
        find_sequence(tmp_path, hours=hours)


def test_folders_that_cannot_be_a_sequence(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        find_sequence(tmp_path / "absent")
    touch(tmp_path, ["a.tga", "mask.png", ".hidden.png"])
    with pytest.raises(
        InputError, match=r"no lightmap images \(found .hidden.png, a.tga\): known are png, jpg, jpeg, exr, hdr"
    ):
        find_sequence(tmp_path)
    with pytest.raises(InputError, match="is not a folder"):
        find_sequence(tmp_path / "a.tga")
    touch(tmp_path, ["a.png", "b.exr"])
    with pytest.raises(InputError, match=r"mixes radiance images \(b.exr\) and display images \(a.png\)"):
        find_sequence(tmp_path)


def test_the_odd_size_is_named_with_what_the_others_have():
    first, second, third = Path("a.png"), Path("b.png"), Path("c.png")
    assert require_same_size({first: (4, 8), second: (4, 8)}) == (4, 8)
    with pytest.raises(InputError, match=r"^a.png: is 9 x 4 \(width x height\) but b.png is 8 x 4"):
        require_same_size({first: (4, 9), second: (4, 8), third: (4, 8)})
