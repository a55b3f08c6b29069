import math

import numpy as np
import pytest
import torch

from src.tasks import judging
from src.tasks.judging import comparison, validation_measures
from src.utils.color import linear_to_srgb
from tests.lightmap_example import HOURS, dataset_of, example_frames, started_grid


class Exact:
    """Decodes to the frames it is given, with rubbish where no texel is valid."""

    def __init__(self, frames: np.ndarray, mask: np.ndarray, hours: list[float]) -> None:
        self.frames, self.hours = np.where(mask[..., None], frames, 7.0), hours

    def decode(self, xy: torch.Tensor, hour: float) -> torch.Tensor:
        _, height, width, _ = self.frames.shape
        column, row = ((xy + 1) / 2 * torch.tensor([width, height])).long().T.numpy()
        return torch.from_numpy(self.frames[self.hours.index(hour)][row, column]).float()

    def render(self, hour: float) -> np.ndarray:
        return self.frames[self.hours.index(hour)]


@pytest.mark.parametrize(("height", "width", "stride"), [(40, 48, 1), (6, 1100, 3)])
def test_pairs_are_thinned_out_masked_and_show_the_peak_as_white(monkeypatch, height: int, width: int, stride: int):
    monkeypatch.setattr(judging, "comparison_sheet", lambda pairs, labels: (pairs, labels))
    rng = np.random.default_rng(0)
    frames, mask = rng.random((3, height, width, 3), np.float32) * 40, rng.random((height, width)) > 0.3
    frames[:, ~mask] = 0
    hours = [0.0, 9.0, 12.0]
    pairs, labels = comparison(dataset_of(frames, mask, hours), Exact(frames, mask, hours))
    assert labels == ["0 h", "9 h", "12 h"]
    for frame, (truth, decoded) in zip(frames, pairs, strict=True):
        assert np.array_equal(truth, decoded)
        shown = linear_to_srgb(frame / frame.max())[::stride, ::stride]
        np.testing.assert_allclose(truth, shown, atol=1e-6)


def test_the_picture_of_a_stored_day_is_close_to_that_of_the_day() -> None:
    grid, frames = started_grid()
    sheet = comparison(dataset_of(frames, example_frames()[1], HOURS), grid.decoder())
    assert sheet.shape[2] == 3 and sheet.min() >= 0 and sheet.max() <= 1
    truth, decoded = sheet[40:60, 4:52], sheet[40:60, 56:104]
    assert 0 < np.abs(truth - decoded).mean() < 0.02


def test_without_light_the_error_is_the_score() -> None:
    assert validation_measures(40.0, 30.0, 0.1)["score"] == 40.0
    black = validation_measures(math.nan, math.nan, 0.25)
    assert black["score"] == -0.25 and math.isnan(black["psnr_db"])
