import json
import re

import numpy as np
import pytest

from src.evaluation.lightmap.quality import Coded, measure, summarise
from src.evaluation.lightmap.report import format_hours, format_table, plot_rate_distortion, to_json

HOURS = (0.0, 5.9, 12.0)


def lightmap(height: int, width: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).gamma(1, 1, (3, height, width, 3)).astype(np.float32)


def noisy(frames: np.ndarray, amplitudes: tuple[float, ...]) -> np.ndarray:
    signs = np.where(np.arange(frames[0].size).reshape(frames[0].shape) % 2, 1, -1)
    return (frames + np.array(amplitudes)[:, None, None, None] * signs).astype(np.float32)


def quality(name, frames, amplitudes, disk, memory, mask=None):
    decoded = noisy(frames, amplitudes)
    mask = np.ones(frames.shape[1:3], bool) if mask is None else mask
    return measure(name, frames, HOURS, mask, Coded(disk, memory, lambda: decoded))


def test_a_row_by_hand_over_two_lightmaps_of_different_size():
    large, small = lightmap(16, 20, 0), lightmap(12, 12, 1)
    row = summarise(
        "ours", "x", [quality("a", large, (0.1, 0.01, 0.1), 600, 3000), quality("b", small, (0.1, 0.5, 0.1), 40, 500)]
    )
    expected = []
    for frames, amplitudes in ((large, (0.1, 0.01, 0.1)), (small, (0.1, 0.5, 0.1))):
        expected += [20 * np.log10(frames[t].max() / amplitudes[t]) for t in range(3)]
    assert row.psnr_db == pytest.approx(np.mean(expected), abs=1e-3)
    assert (row.worst_hour, row.worst_psnr_db) == (5.9, pytest.approx(min(expected), abs=1e-3))
    texel_frames = 3 * (16 * 20 + 12 * 12)
    assert row.bpp_disk == pytest.approx(8 * 640 / texel_frames)
    assert row.bpp_memory == pytest.approx(8 * 3500 / texel_frames)
    assert row.lpips is None
    assert row.hprc_attainable == 45
    size_points = 20 * (1 - 3500 / (464 * 12 * 24) / 0.5)
    psnr_points = 5 * (row.psnr_db - 20) / 35
    ssim_points = 5 * min(max((row.ssim - 0.73) / 0.269, 0), 1)
    assert row.hprc_points == pytest.approx(size_points + psnr_points + ssim_points + 15, abs=0.01)
    assert row.decode_ms < 50


def test_without_random_access_there_is_no_memory_figure_and_no_score():
    row = summarise("avif", "q 50", [quality("a", lightmap(16, 16, 0), (0.1,) * 3, 100, None)])
    assert (row.bpp_memory, row.size_bytes_memory, row.hprc_points) == (None, None, None)
    assert format_table([row]).splitlines()[-1].count("| - ") == 3


def test_json_has_every_frame_and_none_for_black_ones():
    frames = lightmap(16, 16, 0)
    frames[1] = 0
    row = summarise("ours", "x", [quality("a", frames, (0.1, 0.1, 0.1), 100, 200)])
    assert row.psnr_db == pytest.approx(np.mean(row.lightmaps[0].metrics.psnr_db[[0, 2]]))
    plain = json.loads(json.dumps(to_json([row]), allow_nan=False))[0]
    assert [frame["hour"] for frame in plain["frames"]] == list(HOURS)
    assert plain["frames"][1]["psnr_db"] is None
    assert plain["frames"][2]["psnr_db"] == pytest.approx(row.lightmaps[0].metrics.psnr_db[2])
    assert plain["frames"][0]["lpips"] is None
    assert "lightmaps" not in plain
    assert format_hours(row).splitlines()[3] == "| a | 5.9 | - | - | - |"


def test_the_plot_shows_both_panels(tmp_path):
    frames = lightmap(16, 16, 0)
    rows = [
        summarise(coder, str(rate), [quality("a", frames, (1 / rate,) * 3, 10 * rate, 20 * rate if resident else None)])
        for coder, resident in (("ours", True), ("avif", False))
        for rate in (4, 8, 16)
    ]
    path = tmp_path / "rate.svg"
    plot_rate_distortion(path, rows, "a day")
    text = path.read_text()
    assert "<svg" in text
    assert "a day" in text
    dashed = re.findall(r"stroke-dasharray: [1-9]", text)
    assert len(dashed) == 1  # avif, in the memory panel
    plot_rate_distortion(tmp_path / "rate.png", rows, "a day")
    assert (tmp_path / "rate.png").read_bytes().startswith(b"\x89PNG")


def test_shapes_that_differ_are_refused():
    frames = lightmap(16, 16, 0)
    with pytest.raises(ValueError, match="shapes differ"):
        measure("a", frames, HOURS, np.ones((16, 16), bool), Coded(1, 1, lambda: frames[:2]))
