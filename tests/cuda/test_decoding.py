"""What a GPU decodes, exports and delights is what the CPU does, within the rounding of float32."""

import numpy as np
import pytest
import torch

from src.export.files import F2_WEIGHTS, LATENT_MAP
from src.export.siren import export_siren
from src.inference.delit.delighter import Delighter
from src.models.compressor import CompressorConfig, LightmapCompressor, load_exported
from src.models.delit_model import DelitConfig, DelitModel
from src.models.grid.config import GridConfig
from src.models.grid.latent_grid import LatentGrid

pytestmark = pytest.mark.cuda
HOURS = (0.0, 6.0, 12.0, 18.0)
HEIGHT, WIDTH = 37, 53


def random_xy(count=500):
    return torch.rand(count, 2, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_a_siren_is_exported_and_decoded(device, tmp_path):
    torch.manual_seed(0)
    model = LightmapCompressor(CompressorConfig(HEIGHT, WIDTH, HOURS)).eval()
    export_siren(model, tmp_path / "cpu")
    expected = model.decoder().render([0.0, 7.3])
    expected_texels = model.decoder().decode(random_xy(), 7.3)
    model.to(device)
    export_siren(model, tmp_path / "device")
    latents = [np.load(tmp_path / name / LATENT_MAP) for name in ("cpu", "device")]
    np.testing.assert_allclose(latents[1], latents[0], atol=1e-4)
    stored = load_exported(tmp_path / "device" / LATENT_MAP, tmp_path / "device" / F2_WEIGHTS, device)
    for decoder in (model.decoder(), stored):
        np.testing.assert_allclose(decoder.render([0.0, 7.3]), expected, atol=1e-3)
    texels = model.decoder().decode(random_xy().to(device), 7.3).cpu()
    torch.testing.assert_close(texels, expected_texels, atol=1e-3, rtol=0)


def test_a_grid_is_decoded(device):
    torch.manual_seed(0)
    mask = torch.rand(HEIGHT, WIDTH) > 0.2
    model = LatentGrid(GridConfig(HEIGHT, WIDTH, HOURS, latent_dim=5, coarse=((4, 3),)), mask)
    for table in model.tables():
        torch.nn.init.uniform_(table, -1, 1)
    torch.nn.init.normal_(model.f2_weights.hour_weight, std=0.1)
    decoder = model.decoder()
    expected, expected_texels = decoder.render([0.0, 7.3]), decoder.decode(random_xy(), 7.3)
    on_device = model.to(device).decoder()
    np.testing.assert_allclose(on_device.render([0.0, 7.3]), expected, atol=1e-4)
    texels = on_device.decode(random_xy().to(device), 7.3).cpu()
    torch.testing.assert_close(texels, expected_texels, atol=1e-4, rtol=0)


@pytest.mark.parametrize("arch", ["attention", "simplified"])
def test_a_portrait_is_delit(device, arch):
    torch.manual_seed(0)
    config = DelitConfig(arch=arch, image_size=64, base_dim=32, env_height=8, env_width=16)
    model = DelitModel(config).eval().requires_grad_(False)
    relit = torch.rand(80, 60, 3).numpy()
    expected = Delighter(model, crops=False)(relit)
    result = Delighter(model.to(device), crops=False)(relit)
    # Convolutions of GPUs round to TF32.
    np.testing.assert_allclose(result.flat_lit, expected.flat_lit, atol=2e-2)
    np.testing.assert_allclose(result.prediction.environment, expected.prediction.environment, rtol=5e-2, atol=2e-2)
