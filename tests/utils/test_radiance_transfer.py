import pytest
import torch

from src.utils.radiance_transfer import RadianceTransfer

HOURS = (0.0, 6.0, 12.0)


def test_codes_use_the_whole_range_at_every_hour_and_lead_back() -> None:
    radiance = torch.rand(50, 3, 3, generator=torch.Generator().manual_seed(1)) * torch.tensor([[1e-3], [7.0], [1.0]])
    transfer = RadianceTransfer.fitted(radiance.amax(dim=(0, 2)).tolist(), HOURS, 2.2)
    codes = transfer.encode(radiance)
    assert codes.amax(dim=(0, 2)).tolist() == pytest.approx([1.0, 1.0, 1.0])
    torch.testing.assert_close(transfer.decode(codes, torch.tensor(HOURS)), radiance, rtol=1e-4, atol=1e-7)


def test_a_black_hour_decodes_to_black_whatever_the_code() -> None:
    transfer = RadianceTransfer.fitted([0.0, 4.0, -1.0], HOURS, 1.0)
    assert transfer.frame_scale == (0.0, 4.0, 0.0)
    assert torch.equal(transfer.encode(torch.zeros(5, 3, 3)), torch.zeros(5, 3, 3))
    decoded = transfer.decode(torch.full((5, 3, 3), 0.5), torch.tensor(HOURS))
    assert decoded.amax(dim=(0, 2)).tolist() == [0.0, 2.0, 0.0]
