import pytest

from src.data.lightmap.atlas import LightmapAtlas
from src.data.lightmap.sources import open_lightmaps
from src.utils.cli import InputError
from src.utils.image_io import write_linear
from tests.tiny_runs import smooth_frame


def test_lightmaps_of_other_hours_cannot_share(tmp_path) -> None:
    write_linear(tmp_path / "a_0.exr", smooth_frame(0, 4, 4))
    lightmaps = [open_lightmaps(tmp_path, [hour])[0] for hour in (0.0, 6.0)]
    with pytest.raises(InputError, match="--share_f2"):
        LightmapAtlas(lightmaps)
