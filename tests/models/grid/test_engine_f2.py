import numpy as np
import pytest
import torch

from src.export.grid import export_grid
from src.models.grid.engine_f2 import decoder_from_exported, float_latents, grid_f2
from src.utils import checkpoint
from src.utils.texel_grid import texel_xy
from tests.lightmap_example import HOURS, started_grid

LEVELS = [(), ((2, 3), (5, 7))]
FORMS = [*((coarse, False) for coarse in LEVELS), ((), True)]


def started_decoder(coarse: tuple, blocks: bool = False):
    grid, _ = started_grid(3, 6, coarse, blocks)
    torch.nn.init.normal_(grid.f2_weights.hour_weight, std=0.1)
    return grid.decoder()


@pytest.mark.parametrize("coarse, blocks", FORMS)
def test_the_network_of_float_latents_is_the_decoder(coarse: tuple, blocks: bool) -> None:
    decoder = started_decoder(coarse, blocks)
    texels, coarser = decoder.latents.valid
    z = float_latents(decoder, [slice(0, len(texels)), *coarser])
    assert z.shape == (len(texels), decoder.config.z_dim) and (z != 0).all()
    xy = texel_xy(texels, decoder.height, decoder.width)
    for hour in (5.95, 10.5, 18.1):
        colours = grid_f2(decoder)(z, torch.tensor([hour]))
        torch.testing.assert_close(colours, decoder.decode(xy, hour), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("coarse, blocks", FORMS)
def test_exported_files_decode_to_the_same_bits(tmp_path, coarse: tuple, blocks: bool) -> None:
    decoder = started_decoder(coarse, blocks)
    export_grid(decoder, tmp_path)
    latent_map = np.load(tmp_path / "latent_map.npy")
    assert latent_map.shape == (40, 48, 3 + sum(channels for _, channels in coarse))
    state = checkpoint.read_weights(tmp_path / "f2_state_dict.pt")
    again = decoder_from_exported(latent_map, state, torch.device("cpu"))
    assert again.config.coarse == coarse and again.resident_bytes == decoder.resident_bytes
    assert np.array_equal(again.render(list(HOURS)), decoder.render(list(HOURS)))


@pytest.mark.parametrize("coarse", [[[0, 3]], [[2, 0]], [[-2, 1]], [[2, 13]], [[2, -1]]])
def test_impossible_levels_are_refused(tmp_path, coarse: list) -> None:
    decoder = started_decoder(LEVELS[1])
    export_grid(decoder, tmp_path)
    state = checkpoint.read_weights(tmp_path / "f2_state_dict.pt") | {"coarse": torch.tensor(coarse)}
    with pytest.raises(ValueError, match="coarser levels"):
        decoder_from_exported(np.load(tmp_path / "latent_map.npy"), state, torch.device("cpu"))
