import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from src.utils.radiance_transfer import RadianceTransfer

HOURS = (0.0, 5.9, 6.0, 12.0)


@given(st.lists(st.floats(1e-3, 1e5), min_size=4, max_size=4), st.floats(0.5, 4.0), st.integers(0, 2**31))
def test_what_is_encoded_decodes_to_itself_and_codes_fill_the_unit(peaks: list[float], gamma: float, seed: int):
    unit = torch.rand(20, 4, 3, generator=torch.Generator().manual_seed(seed)) * 0.9 + 0.1
    radiance = unit * torch.tensor(peaks)[:, None]
    transfer = RadianceTransfer.fitted(radiance.amax(dim=(0, 2)).tolist(), HOURS, gamma)
    codes = transfer.encode(radiance)
    assert codes.min() >= 0
    np.testing.assert_allclose(codes.amax(dim=(0, 2)), 1.0, rtol=1e-5)
    np.testing.assert_allclose(transfer.decode(codes, torch.tensor(HOURS)), radiance, rtol=1e-4)


def test_black_frames_stay_black_and_negative_radiance_is_none():
    transfer = RadianceTransfer.fitted([0.0, 2.0, 2.0, 4.0], HOURS, 2.0)
    codes = transfer.encode(torch.tensor([[[0.0] * 3, [-1.0] * 3, [0.5] * 3, [1.0] * 3]]))
    assert codes[0, :, 0].tolist() == [0.0, 0.0, 0.5, 0.5]
    assert transfer.decode(codes, torch.tensor(HOURS))[0, :, 0].tolist() == [0.0, 0.0, 0.5, 1.0]


def test_between_hours_the_scale_fades_but_steps_where_frames_bracket_a_switch():
    transfer = RadianceTransfer(HOURS, (1.0, 3.0, 5.0, 9.0), 1.0)
    hours = torch.tensor([9.0, 5.95, 6.0, 18.0, 24.0])
    decoded = transfer.decode(torch.full((5, 3), 0.5), hours)
    np.testing.assert_allclose(decoded[:, 0], [3.5, 1.5, 2.5, 2.5, 0.5], rtol=1e-6)
