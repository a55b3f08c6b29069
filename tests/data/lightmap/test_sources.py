from pathlib import Path

import numpy as np
import pytest

from src.data.lightmap.sources import open_lightmaps
from src.utils import image_io
from src.utils.cli import InputError
from tests.data.lightmap.test_hprc import write_set
from tests.shared_data import SHARED

DATA = SHARED / "data"
HOURS = range(24)


def write_images(folder: Path, suffix: str, alpha: np.ndarray | None = None, peak: float = 1.0) -> np.ndarray:
    frames = np.random.default_rng(0).random((24, 6, 8, 3), np.float32) * peak
    for hour, frame in zip(HOURS, frames, strict=True):
        write = image_io.write_linear if suffix in (".exr", ".hdr") else image_io.write_display
        write(folder / f"bake_{hour * 100:04d}{suffix}", frame, **({} if alpha is None else {"alpha": alpha}))
    return frames


def test_radiance_with_a_mask_file(tmp_path):
    truth = write_images(tmp_path, ".exr", peak=40)
    mask = np.zeros((6, 8), bool)
    mask[1:, 2:] = True
    image_io.write_display(tmp_path / "mask.png", np.repeat(mask[..., None], 3, axis=2).astype(np.float32))
    (lightmap,) = open_lightmaps(tmp_path)
    assert (lightmap.name, lightmap.folder_name) == (tmp_path.name, tmp_path.name)
    assert lightmap.is_radiance
    frames, hours, found = lightmap.load()
    assert np.array_equal(found, mask)
    assert hours.tolist() == list(HOURS)
    assert np.allclose(frames[:, mask], truth[:, mask], rtol=1e-3)
    assert (frames[:, ~mask] == 0).all()


def test_display_values_come_as_stored_and_alpha_is_the_mask(tmp_path):
    alpha = np.ones((6, 8), np.float32)
    alpha[0] = 0
    truth = write_images(tmp_path, ".png", alpha)
    (lightmap,) = open_lightmaps(tmp_path, hours=[hour + 0.5 for hour in HOURS])
    assert not lightmap.is_radiance
    frames, hours, mask = lightmap.load()
    assert hours[0] == 0.5
    assert np.array_equal(mask, alpha > 0)
    assert np.abs(frames - truth)[:, mask].max() < 0.51 / 255


def test_an_hprc_set_and_what_does_not_apply_to_which(tmp_path):
    hprc, images = tmp_path / "hprc", tmp_path / "images"
    hprc.mkdir()
    images.mkdir()
    write_set(hprc)
    write_images(images, ".png")
    assert [lightmap.name for lightmap in open_lightmaps(hprc, select=["Hall:7"])] == ["Hall:7"]
    with pytest.raises(InputError, match=r"^--hours: does not apply to an HPRC set"):
        open_lightmaps(hprc, hours=[0, 1, 2])
    with pytest.raises(InputError, match=r"^--lightmap: .* is a folder of images"):
        open_lightmaps(images, select=["Hall:7"])


def test_sizes_that_differ_and_an_empty_mask(tmp_path):
    write_images(tmp_path, ".png")
    image_io.write_display(tmp_path / "mask.png", np.zeros((6, 8, 3), np.float32))
    (lightmap,) = open_lightmaps(tmp_path)
    with pytest.raises(InputError, match=r"mask.png: the mask leaves no valid texel"):
        lightmap.load()
    image_io.write_display(tmp_path / "mask.png", np.ones((7, 8, 3), np.float32))
    with pytest.raises(InputError, match=r"mask.png: is 8 x 7 .* but .*bake_0000.png is 8 x 6"):
        open_lightmaps(tmp_path)


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared data is not here")
def test_the_shared_courtyard():
    (lightmap,) = open_lightmaps(DATA / "tod_courtyard_exr")
    frames, hours, mask = lightmap.load()
    assert frames.shape == (26, 512, 512, 3)
    assert mask.sum() == 160_127
    assert {5.9, 18.1} < set(hours.tolist())
