import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.export import entropy


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3000), st.integers(1, 4), st.integers(2, 256), st.integers(0, 7))
def test_symbols_come_back(seed: int, count: int, contexts: int, alphabet: int, lane_bits: int) -> None:
    rng = np.random.default_rng(seed)
    symbols = np.minimum(rng.geometric(rng.uniform(0.05, 1), count) - 1, alphabet - 1).astype(np.uint8)
    context = rng.integers(0, contexts, count)
    counts = np.bincount(context * alphabet + symbols, minlength=contexts * alphabet).reshape(contexts, alphabet)
    frequencies = entropy.quantise_frequencies(counts)
    cuts = np.sort(rng.integers(0, count + 1, 5))
    steps = np.diff([0, *cuts, count])
    data = entropy.encode(symbols, context, steps, frequencies, 1 << lane_bits)
    decoder = entropy.Decoder(data, frequencies, 1 << lane_bits)
    ends = np.cumsum(steps)
    parts = [decoder.read(context[end - size : end]) for end, size in zip(ends, steps, strict=True)]
    decoder.finish()
    assert np.array_equal(np.concatenate(parts), symbols)


def test_it_takes_what_the_entropy_asks_for() -> None:
    rng = np.random.default_rng(0)
    symbols = (rng.random(200_000) < 0.02).astype(np.uint8)
    context = np.zeros(len(symbols), np.int64)
    frequencies = entropy.quantise_frequencies(np.bincount(symbols)[None])
    lanes = entropy.lane_count(len(symbols))
    data = entropy.encode(symbols, context, np.array([len(symbols)]), frequencies, lanes)
    p = symbols.mean()
    ideal_bytes = -len(symbols) * (p * np.log2(p) + (1 - p) * np.log2(1 - p)) / 8
    assert ideal_bytes < len(data) < 1.002 * ideal_bytes + 4 * lanes


@pytest.mark.parametrize("counts", [[[0, 0, 0]], [[5, 0, 0]], [[0, 0, 9]], [[10**9, 1, 0]], [[1] * 256]])
def test_frequencies_sum_to_the_total_and_leave_no_symbol_free_of_cost(counts: list) -> None:
    frequencies = entropy.quantise_frequencies(np.array(counts))
    assert frequencies.sum() == entropy.TOTAL
    assert frequencies.max() < entropy.TOTAL
    assert (frequencies[np.array(counts) > 0] > 0).all()


def test_damage_is_found() -> None:
    symbols = np.random.default_rng(1).integers(0, 4, 5000).astype(np.uint8)
    context = np.zeros(len(symbols), np.int64)
    frequencies = entropy.quantise_frequencies(np.bincount(symbols)[None])
    data = entropy.encode(symbols, context, np.array([len(symbols)]), frequencies, 2)
    with pytest.raises(entropy.CorruptStream):
        entropy.Decoder(data[:-200], frequencies, 2).read(context)
    longer = entropy.Decoder(data + b"\0\0", frequencies, 2)
    longer.read(context)
    with pytest.raises(entropy.CorruptStream):
        longer.finish()
    with pytest.raises(entropy.CorruptStream):
        entropy.Decoder(data[:6], frequencies, 2)
    with pytest.raises(entropy.CorruptStream):
        entropy.Decoder(data, frequencies + np.uint16(1), 2)
