import numpy as np
import pytest

from src.data.lightmap.atlas import LightmapAtlas
from src.data.lightmap.texels import LightmapTexels
from src.utils.cli import InputError
from tests.lightmap_example import ExampleLightmap


def test_lightmaps_lie_where_their_regions_say() -> None:
    lightmaps = [ExampleLightmap(20, 30), ExampleLightmap(12, 48)]
    atlas = LightmapAtlas(lightmaps)
    frames, _, mask = atlas.load()
    assert frames.shape[1:3] == mask.shape == (32, 48)
    for lightmap, (_, row, height, width) in zip(lightmaps, atlas.regions, strict=True):
        own_frames, _, own_mask = lightmap.load()
        assert np.array_equal(frames[:, row : row + height, :width], own_frames)
        assert np.array_equal(mask[row : row + height, :width], own_mask)
    assert not mask[:20, 30:].any()
    assert LightmapTexels(atlas).regions == atlas.regions


def test_lightmaps_of_other_hours_cannot_share() -> None:
    other = ExampleLightmap()
    other.hours = other.hours[1:]
    with pytest.raises(InputError, match="--share_f2"):
        LightmapAtlas([ExampleLightmap(), other])
