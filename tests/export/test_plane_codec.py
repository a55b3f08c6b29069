import lzma

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.export import plane_codec
from src.export.entropy import CorruptStream


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 24), st.integers(1, 24), st.integers(1, 5), st.sampled_from([4, 6, 8]), st.floats(0, 1),
    st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_planes_come_back(height: int, width: int, planes: int, bits: int, share: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random((height, width)) < share
    mask[rng.integers(height), rng.integers(width)] = True
    smooth = np.cumsum(rng.integers(-1, 2, (int(mask.sum()), planes)), axis=0)
    values = (smooth % (1 << bits)).astype(np.uint8)
    data = plane_codec.encode(values, mask, bits)
    assert np.array_equal(plane_codec.decode(data, mask, planes, bits), values)


def test_charts_cost_less_than_a_general_compressor_asks() -> None:
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:96, :96]
    mask = (y % 16 > 1) & (x % 12 > 1)
    chart = (y // 16) * 8 + x // 12
    level = rng.integers(0, 40, chart.max() + 1)
    planes = [level[chart] + np.sin(0.2 * x + d) * 6 + rng.normal(0, 0.4, x.shape) + 10 for d in range(4)]
    values = np.stack([np.rint(plane).clip(0, 63)[mask] for plane in planes], axis=1).astype(np.uint8)
    general = sum(len(lzma.compress(values[:, d].tobytes(), preset=9)) for d in range(4))
    data = plane_codec.encode(values, mask, 6)
    assert len(data) < 0.8 * general
    assert np.array_equal(plane_codec.decode(data, mask, 4, 6), values)


def test_damaged_planes_are_refused_or_differ_but_nothing_worse() -> None:
    rng = np.random.default_rng(4)
    mask = rng.random((12, 12)) < 0.8
    values = rng.integers(0, 16, (int(mask.sum()), 2)).astype(np.uint8)
    data = plane_codec.encode(values, mask, 4)
    refused = 0
    positions = range(0, len(data), 2)
    for position in positions:
        damaged = bytearray(data)
        damaged[position] ^= 0x55
        try:
            plane_codec.decode(bytes(damaged), mask, 2, 4)
        except CorruptStream:
            refused += 1
    assert refused > 0.9 * len(positions)
    for length in range(0, len(data), 7):
        with pytest.raises(CorruptStream):
            plane_codec.decode(data[:length], mask, 2, 4)
