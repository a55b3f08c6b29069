import numpy as np
import pytest
from PIL import Image

from src.data.lightmap.coverage import coverage_from_alpha, coverage_from_masks
from src.data.lightmap.sources import open_lightmaps
from src.utils import image_io

SHAPE = HEIGHT, WIDTH = 12, 16
EVERY = HEIGHT * WIDTH


def write_day(folder, alpha_of_hour, count=6):
    files = []
    for hour in range(count):
        colour = np.full((*SHAPE, 3), 0.2 + 0.1 * hour)
        pixels = np.dstack([colour, alpha_of_hour(hour)])
        files.append(folder / f"lm_{hour * 400:04d}.png")
        Image.fromarray((pixels.clip(0, 1) * 255).round().astype(np.uint8)).save(files[-1])
    return files


def columns(stop):
    return np.tile(np.arange(WIDTH) < stop, (HEIGHT, 1)).astype(float)


def test_coverage_that_is_the_same_at_all_hours(tmp_path):
    found = coverage_from_alpha(write_day(tmp_path, lambda hour: columns(10)), SHAPE)
    assert np.array_equal(found.mask, columns(10) > 0)
    assert str(found) == f"{HEIGHT * 10} of {EVERY} texels valid, from alpha"
    assert found.remarks == ()


def test_coverage_with_soft_edges(tmp_path):
    soft = columns(10)
    soft[:, 9], soft[:, 10] = 0.7, 0.3
    found = coverage_from_alpha(write_day(tmp_path, lambda hour: soft), SHAPE)
    assert np.array_equal(found.mask, columns(10) > 0) and not found.remarks


def test_a_hole_in_one_frame_is_left_out_and_said(tmp_path):
    files = write_day(tmp_path, lambda hour: columns(10) if hour == 3 else columns(WIDTH))
    found = coverage_from_alpha(files, SHAPE)
    assert int(found.mask.sum()) == HEIGHT * 10
    (remark,) = found.remarks
    assert "alpha differs between hours" in remark and f"{HEIGHT * 6} texels" in remark and "lm_1200.png" in remark


@pytest.mark.parametrize(
    "alpha",
    [
        lambda hour: np.linspace(0.01, 1, EVERY).reshape(SHAPE) * (hour + 1) / 6,  # RGBM: a factor
        lambda hour: np.full(SHAPE, 0.8),
        lambda hour: np.full(SHAPE, 0.3),
        lambda hour: np.linspace(0.2, 0.9, EVERY).reshape(SHAPE),
    ],
    ids=["rgbm", "constant", "dim constant", "the same gradient at all hours"],
)
def test_alpha_that_is_no_coverage_keeps_all_texels_and_is_said(tmp_path, alpha):
    found = coverage_from_alpha(write_day(tmp_path, alpha), SHAPE)
    assert found.mask.all()
    assert "alpha is not taken for a mask" in found.remarks[0]


def test_alpha_that_is_opaque_nowhere(tmp_path):
    found = coverage_from_alpha(write_day(tmp_path, lambda hour: np.zeros(SHAPE)), SHAPE)
    assert found.mask.all() and "opaque at no texel" in found.remarks[0]


def test_no_alpha(tmp_path):
    files = [tmp_path / "a.png"]
    image_io.write_display(files[0], np.zeros((*SHAPE, 3), np.float32))
    assert (
        str(coverage_from_alpha(files, SHAPE)) == f"{EVERY} of {EVERY} texels valid, there is neither a mask nor alpha"
    )


@pytest.mark.parametrize("name", ["lm_mask.png", "coverage.exr", "mask.jpg"])
def test_a_mask_file_comes_before_alpha(tmp_path, name):
    write_day(tmp_path, lambda hour: columns(4))
    write = image_io.write_linear if name.endswith(".exr") else image_io.write_display
    write(tmp_path / name, np.repeat(columns(8)[..., None], 3, axis=2).astype(np.float32))
    (lightmap,) = open_lightmaps(tmp_path)
    assert lightmap.hours == (0, 4, 8, 12, 16, 20)
    found = lightmap.read_coverage()
    assert int(found.mask.sum()) == HEIGHT * 8
    assert str(found).endswith(f"texels valid, from {name}")


def test_masks_of_every_hour_that_differ(tmp_path):
    files = [tmp_path / f"mask_{k}.png" for k in range(3)]
    found = coverage_from_masks(files, [columns(stop) > 0 for stop in (12, 9, 16)], SHAPE)
    assert int(found.mask.sum()) == HEIGHT * 9
    assert found.source == "from 3 masks, as mask_0.png"
    assert f"{HEIGHT * 7} texels are valid in some only, fewest in mask_1.png" in found.remarks[0]
