import json
import os
from pathlib import Path

import numpy as np
import pytest

from src.data.lightmap.hprc import is_hprc, load_hprc
from src.utils.cli import InputError
from tests.shared_data import SHARED

SHARED_SET = SHARED / "data" / "hprc_mini"
HEIGHT, WIDTH = 3, 5
CODES = [1810, 0, 590]


def write_set(folder: Path, ids=(0, 7)) -> dict:
    """Write a set of tiny lightmaps and return its config; texel (0, 0) is invalid and holds NaN."""
    rng = np.random.default_rng(0)
    (folder / "Data").mkdir()
    entries = []
    for lightmap_id in ids:
        entry = {"id": lightmap_id, "level": "Hall", "lightmaps": {}, "masks": {}}
        entry["resolution"] = {"width": WIDTH, "height": HEIGHT}
        for code in CODES:
            frame = rng.random((HEIGHT, WIDTH, 3), np.float32) * 9
            frame[0, 0] = np.nan
            mask = np.full((HEIGHT, WIDTH), 127, np.int8)
            mask[0, 0] = -1
            frame.astype("<f4").tofile(folder / "Data" / f"frame_{lightmap_id}_{code}.bin_0")
            mask.tofile(folder / "Data" / f"mask_{lightmap_id}_{code}.bin_0")
            entry["lightmaps"][str(code)] = f"frame_{lightmap_id}_{code}.bin_0"
            entry["masks"][str(code)] = f"mask_{lightmap_id}_{code}.bin_0"
        entries.append(entry)
    config = {"lightmap_count": len(entries), "lightmap_list": entries}
    write_config(folder, config)
    return config


def write_config(folder: Path, config: object) -> None:
    (folder / "config.json").write_text(json.dumps(config))


def test_arrays_hours_and_masks_come_back_sorted_by_hour(tmp_path):
    assert not is_hprc(tmp_path)
    write_set(tmp_path)
    assert is_hprc(tmp_path)
    lightmaps = load_hprc(tmp_path)
    assert [(lightmap.name, lightmap.folder_name) for lightmap in lightmaps] == [
        ("Hall:0", "Hall_0"),
        ("Hall:7", "Hall_7"),
    ]
    frames, hours, mask = lightmaps[1].load()
    assert frames.shape == (3, HEIGHT, WIDTH, 3)
    assert frames.dtype == np.float32
    assert hours.tolist() == [0, 5.9, 18.1]
    assert mask.dtype == bool
    assert mask.sum() == HEIGHT * WIDTH - 1
    assert (frames[:, 0, 0] == 0).all()
    stored = np.fromfile(tmp_path / "Data" / "frame_7_590.bin_0", "<f4").reshape(HEIGHT, WIDTH, 3)
    assert np.array_equal(frames[1][mask], stored[mask])


def test_files_beside_the_config_and_hour_24(tmp_path):
    config = write_set(tmp_path)
    for file in (tmp_path / "Data").iterdir():
        file.rename(tmp_path / file.name)
    (tmp_path / "Data").rmdir()
    for files in (config["lightmap_list"][0]["lightmaps"], config["lightmap_list"][0]["masks"]):
        files["2400"] = files.pop("0")
    write_config(tmp_path, config)
    assert load_hprc(tmp_path)[0].load()[1].tolist() == [0, 5.9, 18.1]


def test_selection_by_level_and_id(tmp_path):
    write_set(tmp_path)
    assert [lightmap.id for lightmap in load_hprc(tmp_path, ["Hall:7"])] == [7]
    with pytest.raises(InputError, match=r"^--lightmap: no lightmap 'Hall:1' in .*: it has Hall:0, Hall:7$"):
        load_hprc(tmp_path, ["Hall:7", "Hall:1"])


def test_a_set_without_masks_is_valid_everywhere_but_then_holds_no_nan(tmp_path):
    config = write_set(tmp_path, ids=[0])
    del config["lightmap_list"][0]["masks"]
    write_config(tmp_path, config)
    with pytest.raises(InputError, match=r"frame_0_0.bin_0: holds NaN .* first of them texel \(0, 0\)"):
        load_hprc(tmp_path)[0].load()
    for code in CODES:
        np.ones(HEIGHT * WIDTH * 3, "<f4").tofile(tmp_path / "Data" / f"frame_0_{code}.bin_0")
    assert load_hprc(tmp_path)[0].load()[2].all()


@pytest.mark.parametrize(
    "name",
    ["../secret.bin", "/etc/passwd", "C:\\secret.bin", "C:secret.bin", "\\\\host\\secret", "a\\..\\..\\..\\s", "link"],
)
def test_paths_may_not_leave_the_folder(tmp_path, name):
    folder = tmp_path / "set"
    folder.mkdir()
    config = write_set(folder)
    secret = tmp_path / "secret.bin"
    np.ones(HEIGHT * WIDTH * 3, "<f4").tofile(secret)
    if name == "link":
        try:
            os.symlink(secret, folder / "Data" / "link")
        except OSError:
            pytest.skip("this system does not allow symbolic links")
    config["lightmap_list"][0]["lightmaps"]["0"] = name
    write_config(folder, config)
    with pytest.raises(InputError, match="which leaves the folder"):
        load_hprc(folder)


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        (["lightmap_count"], 3, "lightmap_count is 3 but lightmap_list has 2"),
        (["lightmap_list"], {}, "lightmap_list of the file is missing or not a list"),
        (["lightmap_list"], [], "lightmap_count is 2 but lightmap_list has 0"),
        (["lightmap_list", 1], 5, r"level of lightmap_list\[1\] is missing"),
        (["lightmap_list", 1, "id"], 0, "lists Hall:0 twice"),
        (["lightmap_list", 1, "id"], True, r"id of lightmap_list\[1\] is missing or not a whole number"),
        (["lightmap_list", 0, "level"], "../up", "cannot name a result"),
        (["lightmap_list", 0, "level"], "..", "cannot name a result"),
        (["lightmap_list", 0, "resolution"], None, "resolution of .* is missing"),
        (["lightmap_list", 0, "resolution", "width"], "5", "width of .* not a whole number"),
        (["lightmap_list", 0, "resolution", "width"], 0, "has resolution 0 x 3"),
        (["lightmap_list", 0, "resolution", "width"], 10**12, "has 180 bytes, not the"),
        (["lightmap_list", 0, "resolution", "height"], 4, "has 180 bytes, not the 240 of 5 x 4"),
        (["lightmap_list", 0, "lightmaps"], {}, "has no lightmaps"),
        (["lightmap_list", 0, "lightmaps", "0"], 5, "names 5, which is not a file name"),
        (["lightmap_list", 0, "lightmaps", "0"], "a\0b", "not a file name"),
        (["lightmap_list", 0, "lightmaps", "0"], "absent.bin", "absent.bin: no such file"),
        (["lightmap_list", 0, "lightmaps", "0"], "x" * 5000, "no such file"),
        (["lightmap_list", 0, "lightmaps", "-100"], "frame_0_0.bin_0", "has the key '-100'"),
        (["lightmap_list", 0, "lightmaps", "2500"], "frame_0_0.bin_0", "has the key '2500'"),
        (["lightmap_list", 0, "lightmaps", "2400"], "frame_0_0.bin_0", "has hour 0 twice"),
        (["lightmap_list", 0, "lightmaps", "100"], "frame_0_0.bin_0", "has a frame alone at hour 1"),
        (["lightmap_list", 0, "masks", "100"], "mask_0_0.bin_0", "has a mask alone at hour 1"),
        (["lightmap_list", 0, "masks"], [1], "masks of .* is not an object"),
        (["lightmap_list", 0, "masks", "0"], "frame_0_0.bin_0", "has 180 bytes, not the 15"),
    ],
)
def test_what_is_wrong_in_the_config_is_said(tmp_path, path, value, problem):
    config = write_set(tmp_path)
    target = config
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    write_config(tmp_path, config)
    with pytest.raises(InputError, match=problem) as error:
        load_hprc(tmp_path)[0].load()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000, "\x00", "nul"])
def test_a_config_that_is_not_a_json_object(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(InputError, match=r"config.json: is not (a )?JSON"):
        load_hprc(tmp_path)


def test_missing_and_truncated_files(tmp_path):
    with pytest.raises(InputError, match="no such file: an HPRC folder has"):
        load_hprc(tmp_path)
    write_set(tmp_path)
    lightmaps = load_hprc(tmp_path)
    file = tmp_path / "Data" / "frame_0_590.bin_0"
    file.write_bytes(file.read_bytes()[:-7])
    with pytest.raises(InputError, match=r"frame_0_590.bin_0: has 173 bytes, not the 180 of 5 x 3"):
        lightmaps[0].load()
    with pytest.raises(InputError, match=r"frame_0_590.bin_0: has 43 values, not 45"):
        lightmaps[0].read_frame(1)
    assert lightmaps[1].load()[0].shape == (3, HEIGHT, WIDTH, 3)
    file.unlink()
    with pytest.raises(InputError, match=r"frame_0_590.bin_0: no such file"):
        lightmaps[0].load()


@pytest.mark.skipif(not SHARED_SET.is_dir(), reason="the shared HPRC set is not here")
def test_the_real_layout():
    lightmaps = load_hprc(SHARED_SET)
    assert [lightmap.name for lightmap in lightmaps] == ["L_Courtyard_BuiltData:0", "L_Courtyard_BuiltData:1"]
    frames, hours, mask = lightmaps[0].load()
    assert frames.shape == (26, 128, 96, 3)
    assert {5.9, 18.1} < set(hours.tolist())
    assert mask.all()
    # Rows and columns are the right way round: neighbours within a column are alike too.
    assert np.abs(np.diff(frames[12], axis=0)).mean() < 0.2
    assert lightmaps[1].load()[2].sum() == 7680
