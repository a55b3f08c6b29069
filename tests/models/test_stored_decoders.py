"""Checkpoints and exports that an earlier version wrote, of both ways to store a day, decode to what they did then.

``stored/KIND/decoded.npy`` holds the frames at ``HOURS``, decoded by the version that wrote the files. Another
processor may round sums of products otherwise, in the last bits of float32: that much is allowed.
"""

from pathlib import Path

import numpy as np
import pytest
import torch

from src.models.compressor import load, load_exported
from src.models.lightmap_decoder import LightmapDecoder
from src.utils.cli import InputError
from src.utils.texel_grid import texel_xy

STORED = Path(__file__).parent / "stored"
HOURS = [0.0, 5.95, 6.0, 10.5, 23.9]  # a lamp goes off at 6 in those of radiance
KINDS = ("siren_display", "siren_radiance", "grid_display", "grid_radiance")
LAST_BITS = 1e-6  # of the largest value


def decoders(kind: str) -> list:
    """From the checkpoint, and from the export with F2's weights as plain tensors and, where stored, as TorchScript."""
    folder = STORED / kind
    f2_files = [path for path in (folder / "f2_state_dict.pt", folder / "f2_ts.pt") if path.exists()]
    return [load(folder / "best.ckpt"), *(load_exported(folder / "latent_map.npy", path) for path in f2_files)]


@pytest.mark.parametrize("kind", KINDS)
def test_stored_files_decode_to_what_they_did(kind: str) -> None:
    expected = np.load(STORED / kind / "decoded.npy")
    for decoder in decoders(kind):
        frames = decoder.render(HOURS)
        assert frames.shape == (5, 9, 11, 3) and frames.dtype == np.float32
        np.testing.assert_allclose(frames, expected, rtol=0, atol=LAST_BITS * expected.max())
        assert np.array_equal((expected == 0).all(-1), (frames == 0).all(-1)), "the same texels are invalid"


@pytest.mark.parametrize("kind", KINDS)
def test_checkpoint_and_export_decode_to_the_same_bits(kind: str) -> None:
    checkpoint, *exported = (decoder.render(HOURS) for decoder in decoders(kind))
    assert exported
    for frames in exported:
        assert np.array_equal(frames, checkpoint)


@pytest.mark.parametrize("kind", KINDS)
def test_every_decoder_answers_all_that_scripts_ask(kind: str) -> None:
    asked = [name for name in vars(LightmapDecoder) if not name.startswith("_")] + list(LightmapDecoder.__annotations__)
    assert {"peak", "decode", "render", "hours", "is_radiance"} <= {*asked}
    for decoder in decoders(kind):
        assert all(hasattr(decoder, name) for name in asked)
        assert (decoder.height, decoder.width) == (9, 11)
        assert decoder.is_radiance == kind.endswith("radiance") and decoder.lightmap_names == ()
        assert decoder.peak > 0 and decoder.resident_bytes > 0
        assert np.array_equal(decoder.render(6.0), next(decoder.frames([6.0])))
        with pytest.raises(InputError, match="--lightmap: no lightmap 'Hall:0' in the file"):
            decoder.lightmap("Hall:0")


@pytest.mark.parametrize("kind", KINDS)
def test_single_texels_of_stored_files_are_those_of_the_frames(kind: str) -> None:
    expected = np.load(STORED / kind / "decoded.npy")
    texels = torch.tensor([0, 13, 40, 98])
    for decoder in decoders(kind):
        for hour, frame in zip(HOURS, expected, strict=True):
            colours = decoder.decode(texel_xy(texels, 9, 11), hour).numpy()
            np.testing.assert_allclose(colours, frame.reshape(-1, 3)[texels], rtol=0, atol=4e-6 * expected.max())
