import lzma

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.export import plane_codec
from src.export.entropy import CorruptStream
from src.export.plane_order import PlaneOrder
from src.export.plane_scan import PlaneScan
from src.export.plane_walk import PlaneWalk


def random_planes(height: int, width: int, planes: int, bits: int, share: float, seed: int) -> tuple:
    """(mask, values N x D), of charts and single texels, the values smooth but for steps."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    mask = (rng.random((height, width)) < share) & (np.hypot(x % 17 - 8, y % 13 - 6) < rng.uniform(3, 12))
    mask[rng.integers(height), rng.integers(width)] = True
    smooth = np.cumsum(rng.integers(-1, 2, (int(mask.sum()), planes)), axis=0) + rng.integers(0, 1 << bits)
    return mask, (smooth % (1 << bits)).astype(np.uint8)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 70), st.integers(1, 70), st.integers(1, 9), st.sampled_from([4, 6, 8]), st.floats(0, 1.5),
    st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_planes_come_back(height: int, width: int, planes: int, bits: int, share: float, seed: int) -> None:
    mask, values = random_planes(height, width, planes, bits, share, seed)
    data = plane_codec.encode(values, mask, bits)
    assert np.array_equal(plane_codec.decode(data, mask, planes, bits), values)


@pytest.mark.parametrize("height, width, planes", [(1, 300, 3), (300, 1, 3), (2, 3, 40), (150, 9, 30), (9, 150, 30)])
def test_maps_of_extreme_shapes_come_back(height: int, width: int, planes: int) -> None:
    mask, values = random_planes(height, width, planes, 8, 1.2, 5)
    data = plane_codec.encode(values, mask, 8)
    assert np.array_equal(plane_codec.decode(data, mask, planes, 8), values)


def expected_by_the_text(values: np.ndarray, mask: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """(predictions N x D, features N x D x 14) as docs/bundle-format.md has them, texel by texel."""
    planes = values.shape[1]
    value = {
        (d, x, y): int(v) for d in range(planes) for (y, x), v in zip(np.argwhere(mask), values[:, d], strict=True)
    }
    residual: dict = {}
    predictions, features = np.zeros(values.shape, int), np.zeros((*values.shape, 14), int)

    def stands_for(d: int, x: int, y: int) -> int:
        if x < 0 or y < 0:
            return 1 << (bits - 1)
        own = value.get((d, x, y), value.get((d, x - 1, y)))
        return stands_for(d, x, y - 1) if own is None else own

    def total(d: int, x: int, y: int) -> int:
        return sum(residual.get((before, x, y), 0) for before in range(d))

    for d in range(planes):
        for n, (y, x) in enumerate(np.argwhere(mask).tolist()):
            offsets = ((-1, 0), (0, -1), (-1, -1), (1, -1), (-2, 0), (0, -2))
            w, above, nw, ne, ww, nn = (value.get((d, x + i, y + j)) for i, j in offsets)
            missing = sum(at is None for at in (w, above, nw, ne))
            if w is None:
                w = stands_for(d, x - 1, y) if above is None else above
            above = w if above is None else above
            nw, ne, nn = (above if at is None else at for at in (nw, ne, nn))
            ww = w if ww is None else ww
            predictions[n, d] = sorted((w, above, w + above - nw))[1]
            r = [residual.get((d, x + i, y + j), 0) for i, j in offsets[:4]]
            near = [
                abs(w - nw),
                abs(above - nw),
                abs(above - ne),
                r[0],
                r[1],
                r[2] + r[3],
                abs(ww - w) + abs(nn - above),
            ]
            near += [residual.get((d - 1, x, y), 0), residual.get((d - 2, x, y), 0)]
            sums = [total(d, x, y), total(d, x + 1, y) + total(d, x, y + 1)]
            sums.append(sum(total(d, x + i, y + j) for i, j in offsets[:4]))
            features[n, d] = (
                [min(v, 16) for v in near] + [min(v, 64) for v in sums] + [1 + (missing == 3), missing == 4]
            )
            symbol = (value[d, x, y] - predictions[n, d]) % (1 << bits)
            residual[d, x, y] = min(symbol, (1 << bits) - symbol)
    return predictions, features


@pytest.mark.parametrize("height, width, bits", [(23, 9, 8), (8, 30, 6), (17, 17, 4)])
def test_encoder_and_decoder_expect_what_the_format_says(height: int, width: int, bits: int) -> None:
    mask, values = random_planes(height, width, 5, bits, 0.8, height)
    predictions, features = expected_by_the_text(values, mask, bits)
    scan = PlaneScan(mask, bits)
    for d in range(5):
        scanned = scan.scan(values[:, d])
        assert np.array_equal(scanned.features.T, features[:, d])
        assert np.array_equal(scanned.symbols, (values[:, d] - predictions[:, d]) % (1 << bits))

    weights = np.random.default_rng(0).integers(-500, 3000, (5, 14))
    thresholds = [int(0.015 * 2 ** ((k - 0.5) / 2.5) * 4096) for k in range(1, 24)]
    contexts = (np.einsum("ndk,dk->nd", features, weights)[..., None] >= thresholds).sum(2)
    order = PlaneOrder(mask, 5)
    symbols = order.to_stream(((values - predictions) % (1 << bits)).astype(np.uint8).T)
    walk, end, found, predicted = PlaneWalk(mask, weights, bits), 0, [], []
    for of_step in walk.steps():
        first, end = end, end + len(of_step)
        found.append(of_step)
        predicted.append(walk.predictions())
        walk.store(symbols[first:end])
    assert np.array_equal(order.from_stream(np.concatenate(found)).T, contexts)
    assert np.array_equal(order.from_stream(np.concatenate(predicted)).T, predictions)
    assert np.array_equal(walk.values().T, values)


def test_values_are_coded_in_the_order_of_the_format() -> None:
    mask = np.random.default_rng(1).random((11, 7)) < 0.6
    texels = [(x, y) for y, x in np.argwhere(mask).tolist()]
    order = PlaneOrder(mask, 4)
    values = np.arange(4 * len(texels)).reshape(4, -1)
    steps = range(7 + 2 * 11 + 3 * 3)
    by_the_text = [
        [d * len(texels) + n for d in range(4) for n, (x, y) in enumerate(texels) if x + 2 * y == step - 3 * d]
        for step in steps
    ]
    assert order.to_stream(values).tolist() == [value for of_step in by_the_text for value in of_step]
    assert order.sizes.tolist() == [len(of_step) for of_step in by_the_text]


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
