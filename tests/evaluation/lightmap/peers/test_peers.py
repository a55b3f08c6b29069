"""Every peer on small frames: real bytes, decoded again, better with more of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.evaluation.lightmap.peers import PEERS
from src.evaluation.lightmap.peers.coding import Peer, Transfer, fill_invalid, pad_to_multiple
from src.evaluation.lightmap.peers.video_codec import decode_hevc, encode_hevc
from src.evaluation.lightmap.quality import Coded
from src.utils.tile_metrics import tile_metrics

HEIGHT, WIDTH, COUNT = 48, 36, 12
RANDOM_ACCESS = {"pca", "pca_x265", "pca_bc4", "pca_astc", "planes", "bc7", "astc"}
STEPS = np.linspace(0, 1, 60, endpoint=False)  # of peers that train


@pytest.fixture(scope="module")
def lightmap() -> tuple[np.ndarray, np.ndarray]:
    """A moving highlight over a textured wall, from 0.01 at night to 6; the upper left corner is invalid."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32) / WIDTH
    albedo = 0.5 + 0.3 * np.sin(9 * x)[..., None] * np.cos(7 * y)[..., None] * np.array([1, 0.7, 0.4], np.float32)
    frames = []
    for t in range(COUNT):
        highlight = np.exp(-8 * ((x - t / COUNT) ** 2 + (y - 0.5) ** 2))[..., None]
        frames.append(albedo * (0.02 + 8 * np.sin(np.pi * t / COUNT) ** 2 * highlight))
    mask = np.ones((HEIGHT, WIDTH), bool)
    mask[:20, :9] = False
    return np.where(mask[..., None], np.stack(frames), 0).astype(np.float32), mask


def runnable(name: str) -> Peer:
    if reason := PEERS[name].reason_to_skip():
        pytest.skip(reason)
    return PEERS[name]


def encode(peer: Peer, frames: np.ndarray, mask: np.ndarray, is_radiance: bool, setting: object) -> Coded:
    return peer.encode(frames, mask, is_radiance, setting, *([STEPS] if peer.trains else []))


@pytest.mark.parametrize("name", [name for name, peer in PEERS.items() if not peer.trains])
def test_rate_and_quality_rise_together(name, lightmap):
    frames, mask = lightmap
    peer = runnable(name)
    coded = [encode(peer, frames, mask, True, setting) for setting in peer.settings]
    quality = []
    for setting, each in zip(peer.settings, coded, strict=True):
        decoded = each.decode()
        assert decoded.shape == frames.shape
        assert np.isfinite(decoded).all()
        assert peer.describe(setting)
        assert (each.size_bytes_memory is not None) == (name in RANDOM_ACCESS)
        quality.append(tile_metrics(frames, decoded, mask).mean("psnr_db"))
    sizes = [each.size_bytes_disk for each in coded]
    assert sizes == sorted(sizes)
    assert quality == sorted(quality)
    assert quality[-1] > (37 if name == "pca_astc" else 40)  # 2 bits for a value of planes that hardly correlate
    if len(peer.settings) > 1:
        assert quality[0] < quality[-1] - 3


@pytest.mark.parametrize("name", PEERS)
def test_display_values_are_coded_without_a_transfer(name, lightmap):
    frames, mask = lightmap
    peer = runnable(name)
    display = np.round(255 * np.clip(frames / 6, 0, 1)).astype(np.float32) / 255
    decoded = encode(peer, display, mask, False, peer.settings[-1]).decode()
    assert np.abs(decoded - display)[:, mask].mean() < 0.02


def test_the_size_is_that_of_the_encoded_bytes(lightmap):
    import zlib

    frames, mask = lightmap
    coded = runnable("bc7").encode(frames, mask, True, 1)
    assert coded.size_bytes_disk == COUNT * (HEIGHT * WIDTH + 4)  # 16 bytes per 4 x 4 texels and one scale per frame
    basis = 4 * (3 * COUNT * 9 + 1)  # mean and 8 vectors, and the scale
    bc4 = runnable("pca_bc4").encode(frames, mask, True, 8)
    assert bc4.size_bytes_memory == bc4.size_bytes_disk == 8 * HEIGHT * WIDTH // 2 + basis + 2 * 4 * 8
    astc = runnable("pca_astc").encode(frames, mask, True, (6, 5))
    assert astc.size_bytes_memory == astc.size_bytes_disk == 16 * (8 * 6 + 10 * 8) + basis + 2 * 4 * 8
    pca = PEERS["pca"].encode(frames, mask, True, 4)
    side = 4 * (3 * COUNT * 5 + 1 + 8)
    assert pca.size_bytes_memory == 4 * HEIGHT * WIDTH + side
    assert 4 * len(zlib.compress(bytes(HEIGHT * WIDTH))) + side < pca.size_bytes_disk < pca.size_bytes_memory


def test_pca_with_all_components_leaves_only_the_rounding(lightmap):
    frames, mask = lightmap
    decoded = PEERS["pca"].encode(frames, mask, True, 3 * COUNT).decode()
    assert tile_metrics(frames, decoded, mask).mean("psnr_db") > 55


def test_a_black_lightmap_is_coded(lightmap):
    _, mask = lightmap
    black = np.zeros((3, HEIGHT, WIDTH, 3), np.float32)
    for name in ("pca", "pca_bc4", "pca_astc", "planes", "bc7", "jxl"):
        if PEERS[name].reason_to_skip() is None:
            peer = PEERS[name]
            assert np.abs(encode(peer, black, mask, True, peer.settings[-1]).decode()).max() < 1e-3


def test_an_absent_library_is_the_reason_to_skip():
    peer = Peer("x", (1,), str, PEERS["pca"].encode, requires=("a_codec_that_nobody_wrote", "numpy"))
    assert peer.reason_to_skip() == "a_codec_that_nobody_wrote not installed"
    assert PEERS["pca"].reason_to_skip() is None


def test_hevc_without_loss_gives_back_rgb_and_grey():
    pytest.importorskip("av")
    rng = np.random.default_rng(0)
    for pixel_format, channels, top in (("gbrp10le", 3, 1023), ("gray12le", 1, 4095)):
        pictures = rng.integers(0, top + 1, (2, 32, 75, channels), dtype=np.uint16)
        decoded = decode_hevc(encode_hevc(pictures, pixel_format, "lossless=1", {}))
        assert decoded.shape == (2, 64, 80, channels)
        assert np.array_equal(decoded[:, :32, :75], pictures)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_invalid_texels_get_a_nearest_valid_one(height, width, seed):
    rng = np.random.default_rng(seed)
    planes = rng.random((2, height, width, 3), np.float32)
    mask = rng.random((height, width)) > 0.6
    mask[rng.integers(height), rng.integers(width)] = True
    filled = fill_invalid(planes, mask)
    assert np.array_equal(filled[:, mask], planes[:, mask])
    valid = np.argwhere(mask)
    for y, x in np.argwhere(~mask):
        distance = np.hypot(*(valid - (y, x)).T)
        nearest = valid[np.isclose(distance, distance.min())]
        assert any(np.array_equal(filled[:, y, x], planes[:, v, u]) for v, u in nearest)


@settings(max_examples=25, deadline=None)
@given(st.floats(1e-3, 1e4), st.booleans(), st.booleans(), st.integers(8, 16))
def test_the_transfer_is_inverted_to_half_a_code(peak, is_radiance, per_frame, bits):
    frames = np.random.default_rng(0).random((2, 4, 5, 3), np.float32)
    frames[1] *= 0.1
    frames *= np.float32(peak) if is_radiance else 1
    transfer = Transfer.of(frames, is_radiance, per_frame)
    codes = transfer.to_codes(frames, bits)
    assert codes.max() == 2**bits - 1 or not is_radiance
    back = transfer.to_unit(transfer.from_codes(codes, bits))
    assert np.abs(back - transfer.to_unit(frames)).max() < 0.51 / (2**bits - 1) + 1e-6


def test_padding_repeats_the_edge():
    planes = np.arange(2 * 3 * 5, dtype=np.float32).reshape(1, 2, 5, 3)
    padded = pad_to_multiple(planes, 4)
    assert padded.shape == (1, 4, 8, 3)
    assert np.array_equal(padded[:, :2, :5], planes)
    assert np.array_equal(padded[:, 3, 7], planes[:, 1, 4])
    assert pad_to_multiple(planes, 4, least=6).shape == (1, 6, 8, 3)
