import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from src.utils import hdr_codec_check
from src.utils.hdr_codec import CODECS, DualCodec, HdrRangeWarning, LogCodec, make_codec
from src.utils.image_io import write_linear

radiance = st.floats(float(np.float32(1e-6)), 2e4, width=32)


@pytest.mark.parametrize("name", CODECS)
@given(st.tuples(radiance, radiance, radiance))
def test_round_trip(name, rgb):
    hdr = np.array([rgb], np.float32)
    codec = make_codec(name)
    code = codec.encode(hdr)
    assert code.shape == (1, codec.channels) and code.dtype == np.float32
    assert code.min() >= 0 and code.max() <= 1
    assert np.abs(codec.decode(code) - hdr).max() <= 1e-5 * hdr.max()


def test_log_codec_is_the_written_formula():
    code = LogCodec(10.0).encode(np.array([[2.0, 4.0, 1.0]], np.float32))
    np.testing.assert_allclose(code, [[0.5, 1.0, 0.25, math.log(5.0) / 10]], rtol=1e-6)
    decoded = LogCodec(10.0).decode(np.array([[0.5, 1.0, 0.25, 0.3]], np.float32))
    np.testing.assert_allclose(decoded, np.array([[0.5, 1.0, 0.25]]) * (math.exp(3.0) - 1), rtol=1e-6)


def test_dual_codec_is_the_written_formula():
    code = DualCodec(10.0).encode(np.array([[2.0, 4.0, 0.0]], np.float32))
    logs = [math.log(3.0) / 10, math.log(5.0) / 10, 0]
    np.testing.assert_allclose(code, [[2 / 3, 4 / 5, 0, *logs]], rtol=1e-6)


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("log_scale", [8.0, 10.0, 13.0])
def test_numpy_and_torch_agree_in_every_leading_shape(name, log_scale):
    codec = make_codec(name, log_scale)
    hdr = hdr_codec_check._random_radiance(np.random.default_rng(0), codec.ceiling)[:48].reshape(2, 4, 6, 3)
    code = codec.encode(hdr)
    as_torch = torch.from_numpy(hdr).movedim(-1, -3)
    torch_code = codec.encode(as_torch)
    assert torch_code.shape == (2, codec.channels, 4, 6)
    np.testing.assert_allclose(torch_code.movedim(-3, -1), code, atol=1e-6)
    np.testing.assert_allclose(codec.decode(torch_code).movedim(-3, -1), codec.decode(code), rtol=1e-5, atol=1e-6)
    assert codec.encode(as_torch[0]).shape == (codec.channels, 4, 6)


def test_black_has_a_defined_code():
    black = np.zeros((1, 3), np.float32)
    np.testing.assert_array_equal(LogCodec().encode(black), [[1, 1, 1, 0]])
    np.testing.assert_array_equal(DualCodec().encode(black), [[0] * 6])
    for name in CODECS:
        np.testing.assert_array_equal(make_codec(name).decode(make_codec(name).encode(black)), black)


@pytest.mark.parametrize("name", CODECS)
def test_values_out_of_range_are_clamped_with_a_count(name):
    codec = make_codec(name)
    hdr = np.array([[-1, 2, 3], [np.nan, 1, 1], [np.inf, 1, 5], [1e6, 0, 0]], np.float32)
    with pytest.warns(HdrRangeWarning, match="1 negative, 1 above ceiling, 2 not finite"):
        code = codec.encode(hdr)
    expected = np.array([[0, 2, 3], [0, 1, 1], [codec.ceiling, 1, 5], [codec.ceiling, 0, 0]])
    np.testing.assert_allclose(codec.decode(code), expected, rtol=2e-5, atol=2e-5 * codec.ceiling * 1e-4)
    torch_decoded = codec.decode(codec.encode(torch.from_numpy(hdr).T[:, :, None]))[..., 0].T
    np.testing.assert_allclose(torch_decoded, codec.decode(code), rtol=1e-5, atol=1e-4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        codec.encode(np.array([[0.0, 1.0, codec.ceiling]], np.float32))


@pytest.mark.parametrize("name", CODECS)
def test_gradients_are_finite_at_zero_and_at_the_ceiling(name):
    codec = make_codec(name)
    for level in (0.0, 1e-12, 1.0, codec.ceiling, 2 * codec.ceiling):
        hdr = torch.full((3, 2, 2), level, requires_grad=True)
        codec.encode(hdr).sum().backward()
        assert torch.isfinite(hdr.grad).all()
    for level in (0.0, 0.5, 1.0):
        code = torch.full((codec.channels, 2, 2), level, requires_grad=True)
        codec.decode(code).sum().backward()
        assert torch.isfinite(code.grad).all()


@pytest.mark.parametrize("name", CODECS)
def test_gradient_agrees_with_finite_differences(name):
    codec = make_codec(name)
    code = torch.rand((codec.channels, 1, 3), generator=torch.Generator().manual_seed(2)) * 0.5 + 0.1
    code.requires_grad_()
    codec.decode(code).sum().backward()
    step = 1e-3
    for channel in range(codec.channels):
        moved = code.detach().clone()
        moved[channel] += step
        back = code.detach().clone()
        back[channel] -= step
        numeric = (codec.decode(moved).sum() - codec.decode(back).sum()) / (2 * step)
        assert code.grad[channel].sum().item() == pytest.approx(numeric.item(), rel=2e-2, abs=1e-2)


@pytest.mark.parametrize("name", CODECS)
def test_codes_are_float32_under_autocast_and_from_half(name):
    codec = make_codec(name)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hdr = torch.full((3, 2, 2), 1234.5)
        code = codec.encode(hdr)
        assert code.dtype == torch.float32 and codec.decode(code).dtype == torch.float32
        np.testing.assert_allclose(codec.decode(code), hdr, rtol=1e-5)
        assert codec.encode(hdr.half()).dtype == torch.float32


def test_wrong_channel_counts_are_refused():
    with pytest.raises(ValueError, match="3 channels"):
        LogCodec().encode(np.zeros((4, 4), np.float32))
    with pytest.raises(ValueError, match="6 channels"):
        DualCodec().decode(torch.zeros(4, 2, 2))


def dual_to_log(level, noise):
    """The error of dual codes relative to that of log codes."""
    rng = np.random.default_rng(0)
    dual = hdr_codec_check.perturbed_error(DualCodec(), level, noise, rng)
    return dual / hdr_codec_check.perturbed_error(LogCodec(), level, noise, rng)


@given(st.floats(0.05, 8.0))
@settings(max_examples=20)
def test_small_errors_of_dual_codes_count_as_inverse_variances_say(level):
    """Errors (1 + L)^2 e and (1 + L) s e, weighed by their inverse squares, leave 1 / sqrt(1 + (s / (1 + L))^2) of the
    second, which is that of log codes: 0.67 at most here."""
    expected = 1 / math.sqrt(1 + (10.0 / (1 + level)) ** 2)
    assert dual_to_log(level, 0.002) == pytest.approx(expected, rel=0.03)


@given(st.floats(0.05, 8.0), st.floats(0.002, 0.05))
@settings(max_examples=20)
def test_dual_codes_suffer_less_from_errors_than_log_codes(level, noise):
    # With errors of 0.05 a log code is off by half a natural logarithm: there the first order above, 0.67 at level 8,
    # has become 0.81, and a sample of 60,000 values tells it to 0.01.
    assert dual_to_log(level, noise) < 0.83


def test_raising_the_ceiling_costs_dual_codes_nothing_in_ordinary_light():
    rng = np.random.default_rng(0)
    errors = [hdr_codec_check.perturbed_error(DualCodec(scale), 1.0, 0.01, rng) for scale in (10.0, 14.0)]
    assert errors[1] < 1.05 * errors[0]
    errors = [hdr_codec_check.perturbed_error(LogCodec(scale), 1.0, 0.01, rng) for scale in (10.0, 14.0)]
    assert errors[1] > 1.3 * errors[0]


def test_command_reports_and_judges(tmp_path, capsys, monkeypatch):
    path = tmp_path / "umgebung ü.exr"
    write_linear(path, np.random.default_rng(0).uniform(0, 50, (8, 16, 3)).astype(np.float32))
    assert hdr_codec_check.main([str(path)]) == 0
    out = capsys.readouterr().out
    assert out.count("ok") == 4 and str(path) in out and "RMS relative error" in out
    monkeypatch.setattr(hdr_codec_check, "TOLERANCE", 1e-9)
    assert hdr_codec_check.main([]) == 1
    assert hdr_codec_check.main([str(tmp_path / "absent.hdr")]) == 2
