import numpy as np
import pytest

from src.utils import image_io
from tests.radiance_days import HOURS, radiance, write_hprc


@pytest.fixture(scope="session")
def hprc(tmp_path_factory):
    return write_hprc(tmp_path_factory.mktemp("set"))


@pytest.fixture
def hdr(tmp_path):
    """A folder of EXR images with a mask; what is masked is absurdly bright."""
    folder = tmp_path / "hdr"
    mask = np.ones((12, 16), bool)
    mask[:, :3] = False
    for hour in HOURS:
        frame = np.where(mask[..., None], radiance(hour, 12, 16), 60000.0).astype(np.float32)
        image_io.write_linear(folder / f"bake_{round(hour * 100):04d}.exr", frame)
    image_io.write_display(folder / "mask.png", np.repeat(mask[..., None], 3, axis=2).astype(np.float32))
    return folder
