import importlib.util

import numpy as np
import pytest
import torch
from PIL import Image

from src.utils import tile_metrics as tiles
from src.utils.tile_metrics import day_psnr_db, hprc_score, tile_metrics, tile_of_texels, tile_peaks, tile_psnr_db
from tests.shared_data import SHARED


def frames_and_mask(height=40, width=50, count=3, seed=0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.gamma(1.0, 2.0, (count, height, width, 3)).astype(np.float32)
    prediction = truth + rng.normal(0, 0.1, truth.shape).astype(np.float32)
    return truth, prediction, rng.random((height, width)) > 0.3


def test_psnr_by_hand_per_tile_with_the_tiles_own_peak():
    truth, prediction, mask = frames_and_mask()
    measured = tile_metrics(truth, prediction, mask, tile=32)
    for index in range(3):
        expected = []
        for rows in (slice(0, 32), slice(32, 40)):
            for columns in (slice(0, 32), slice(32, 50)):
                inside = mask[rows, columns]
                x, y = truth[index, rows, columns][inside], prediction[index, rows, columns][inside]
                expected.append(10 * np.log10(x.max() ** 2 / ((x - y) ** 2).mean()))
        assert measured.psnr_db[index] == pytest.approx(np.mean(expected), abs=1e-5)
    assert measured.mean("psnr_db") == pytest.approx(measured.psnr_db.mean())
    assert measured.lpips is None
    assert measured.mean("lpips") is None
    assert (measured.ssim < 1).all()


def test_errors_summed_by_texel_give_the_psnr_of_whole_frames(monkeypatch):
    monkeypatch.setattr(tiles, "TILE_SIZE", 32)
    monkeypatch.setattr(tiles, "_CHUNK", 100)
    truth, prediction, mask = frames_and_mask()
    truth[1] = 0
    truth[2, :32, :32] = 0
    expected = tile_metrics(truth, prediction, mask, tile=32)
    of_texels = tile_of_texels(torch.from_numpy(mask))
    count = tiles.tile_count(*mask.shape)
    assert count == 4 and of_texels.unique().tolist() == [0, 1, 2, 3]
    days, errors = (
        torch.from_numpy(frames[:, mask].swapaxes(0, 1)) for frames in (truth, np.square(truth - prediction))
    )
    mean_squared = torch.stack([errors[of_texels == k].mean(dim=(0, 2)) for k in range(count)])
    psnr_db = tile_psnr_db(mean_squared, tile_peaks(days, of_texels, count))
    assert psnr_db[:, 1].isnan().all() and psnr_db[0, 2].isnan()
    np.testing.assert_allclose(psnr_db.nanmean(dim=0)[[0, 2]], expected.psnr_db[[0, 2]], atol=1e-4)
    mean, worst = day_psnr_db(psnr_db)
    assert mean == pytest.approx(expected.mean("psnr_db"), abs=1e-4)
    assert worst == pytest.approx(np.nanmin(expected.psnr_db), abs=1e-4)


def test_a_day_without_light_has_no_psnr():
    assert np.isnan(day_psnr_db(torch.full((2, 3), torch.nan))).all()


def test_invalid_texels_never_count_whatever_they_hold():
    truth, prediction, mask = frames_and_mask()
    before = tile_metrics(truth, prediction, mask, tile=32)
    truth[:, ~mask] = np.inf
    prediction[:, ~mask] = np.nan
    after = tile_metrics(truth, prediction, mask, tile=32)
    assert np.array_equal(before.psnr_db, after.psnr_db)
    assert np.array_equal(before.ssim, after.ssim)


def test_empty_and_black_tiles_are_left_out_but_a_prediction_of_nan_shows():
    truth, prediction, mask = frames_and_mask()
    mask[:, 32:] = False
    truth[1] = 0
    truth[2, :32] = 0
    measured = tile_metrics(truth, prediction, mask, tile=32)
    assert measured.counted.tolist() == [True, False, True]
    assert measured.mean("psnr_db") == pytest.approx(measured.psnr_db[[0, 2]].mean())
    alone = tile_metrics(truth[2:, 32:], prediction[2:, 32:], mask[32:], tile=32)
    assert measured.psnr_db[2] == alone.psnr_db[0]
    prediction[0, 0, 0] = np.nan
    mask[0, 0] = True
    assert np.isnan(tile_metrics(truth, prediction, mask, tile=32).mean("psnr_db"))


def test_ssim_of_a_tile_is_that_of_scikit_image_on_zeroed_texels():
    metrics = pytest.importorskip("skimage.metrics")
    truth, prediction, mask = frames_and_mask(count=1)
    x, y = truth[0] * mask[..., None], prediction[0] * mask[..., None]
    reference = metrics.structural_similarity(
        *(x.astype(float), y.astype(float)),
        data_range=float(x.max() - x.min()),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        channel_axis=-1,
    )
    assert tile_metrics(truth, prediction, mask).ssim[0] == pytest.approx(reference, abs=1e-4)


def test_lpips_gets_tiles_scaled_to_the_unit_range():
    truth, prediction, mask = frames_and_mask(8, 9)
    seen = []

    def distance(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        seen.append((x, y))
        return (x - y).abs().mean((1, 2, 3))

    measured = tile_metrics(truth, prediction, mask, lpips=distance)
    scale = (truth * mask[..., None]).max((1, 2, 3))
    assert seen[0][0].amin((1, 2, 3)).tolist() == [0, 0, 0]
    assert seen[0][0].amax((1, 2, 3)).tolist() == [1, 1, 1]
    expected = (np.abs(truth - prediction) * mask[..., None]).mean((1, 2, 3)) / scale
    assert measured.lpips == pytest.approx(expected, rel=1e-4)


def test_score_is_linear_and_clipped_and_says_what_is_attainable():
    assert hprc_score(psnr_db=60, ssim=1, lpips=0, size_ratio=0, decode_s=0) == (50, 50)
    assert hprc_score(psnr_db=10, ssim=0.1, lpips=0.5, size_ratio=0.9, decode_s=900) == (0, 50)
    points, attainable = hprc_score(psnr_db=37.5, ssim=0.8645, lpips=None, size_ratio=0.25, decode_s=150)
    assert (points, attainable) == (pytest.approx(2.5 + 2.5 + 10 + 7.5), 45)
    assert hprc_score(psnr_db=float("nan")) == (0, 5)


@pytest.mark.skipif(not (SHARED / "tools" / "lightmap_metric.py").is_file(), reason="the reference script is not here")
def test_agrees_with_the_reference_script(tmp_path, monkeypatch):
    OpenEXR = pytest.importorskip("OpenEXR")
    spec = importlib.util.spec_from_file_location("lightmap_metric", SHARED / "tools" / "lightmap_metric.py")
    reference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)

    truth_folder = tmp_path / "truth"
    truth_folder.mkdir()
    data = SHARED / "data" / "tod_courtyard_exr"
    (truth_folder / "mask.png").write_bytes((data / "mask.png").read_bytes())
    rng = np.random.default_rng(0)
    truth, prediction = [], []
    for code in ("0300", "1200", "1810"):
        file = truth_folder / f"courtyard_{code}.exr"
        file.write_bytes((data / file.name).read_bytes())
        truth.append(reference.exr(str(file)))
        prediction.append(truth[-1] * rng.normal(1, 0.05, truth[-1].shape).astype(np.float32))
        header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
        OpenEXR.File(header, {"RGB": prediction[-1]}).write(str(tmp_path / f"{code}.exr"))
    mask = np.asarray(Image.open(data / "mask.png")) > 127
    measured = tile_metrics(np.stack(truth), np.stack(prediction), mask)
    # As it stands the script computes in float32, u = 2^-24. A square of a difference is good to 3 u; numpy adds up a
    # tile's n <= 256 x 256 x 3 of them by 16 + 3 additions in parts of 128 and log2(n / 128) < 11 of parts; the peak's
    # square and the division add 3 u. In dB that is 10 / ln 10 times as much; a logarithm of up to 8 is good to an ulp,
    # 8 u, the product by 10 to half one, 32 u.
    u = 2.0**-24
    most_db = (3 + 16 + 3 + 11 + 3) * u * 10 / np.log(10) + 10 * 8 * u + 32 * u
    assert measured.psnr_db == pytest.approx(
        list(reference.score(str(truth_folder), str(tmp_path))[1].values()), abs=most_db
    )
    # In float64 it is the same formula.
    read = reference.exr
    monkeypatch.setattr(reference, "exr", lambda path: read(path).astype(float))
    mean, by_hour = reference.score(str(truth_folder), str(tmp_path))
    assert measured.psnr_db == pytest.approx(list(by_hour.values()), abs=1e-6)
    assert measured.mean("psnr_db") == pytest.approx(mean, abs=1e-6)
