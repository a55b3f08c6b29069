import torch

from src.models.grid.block_rounding import BlockLayout, packed_bytes, round_blocks, texel_ranges
from src.models.grid.group_rounding import round_groups
from src.models.grid.quantiser import Quantiser


def steps(values: torch.Tensor) -> torch.Tensor:
    """Latents at so many quantisation steps of 8 bits above the smallest."""
    return values * Quantiser(8).step - 1.0


def cost(layout: BlockLayout, exact: torch.Tensor, codes: torch.Tensor, price: float) -> float:
    return float((codes - exact).square().sum()) + price * 8 * packed_bytes(layout, codes, 8)


def test_groups_are_narrowed_only_where_that_pays() -> None:
    random = torch.Generator().manual_seed(0)
    mask = torch.rand(70, 150, generator=random) < 0.8
    layout, count = BlockLayout.of(mask), int(mask.sum())
    exact = 128.0 + torch.randn(count, 6, generator=random) * torch.tensor([0.1, 0.3, 0.6, 1.0, 4.0, 30.0])
    exact = exact.clamp(0.0, 255.0)
    for price in (0.0, 0.1, 0.4, 3.0):
        alone, held = (f(layout, steps(exact), 8, price) for f in (round_blocks, round_groups))
        before, after = (cost(layout, exact, codes, price) for codes in (alone, held))
        # Records are filled up to whole words, which no decision looks at.
        slack = price * 32 * len(layout.partial)
        assert after <= before + slack
        assert packed_bytes(layout, held, 8) <= packed_bytes(layout, alone, 8)
        (low, high), (held_low, held_high) = texel_ranges(layout, alone), texel_ranges(layout, held)
        assert ((held_high - held_low) <= (high - low)).all()
    assert torch.equal(round_groups(layout, steps(exact), 8, 0.0), round_blocks(layout, steps(exact), 8, 0.0))


def test_blocks_that_are_a_step_apart_become_one_value() -> None:
    mask = torch.ones(16, 16, dtype=torch.bool)
    exact = torch.full((16, 16), 100.4)
    exact[4:8, 4:8] = 100.6  # rounded alone, a block of 101 among those of 100
    exact = exact.view(-1, 1)
    layout = BlockLayout.of(mask)
    assert round_blocks(layout, steps(exact), 8, 0.2).unique().tolist() == [100, 101]
    # 16 headers of two bits less, 6.4 squared steps, for 16 x (0.6^2 - 0.4^2) = 3.2
    assert round_groups(layout, steps(exact), 8, 0.2).unique().tolist() == [100]
    assert round_groups(layout, steps(exact), 8, 0.09).unique().tolist() == [100, 101]
