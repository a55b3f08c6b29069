import json

import numpy as np
import pytest

from src.export.bundle import read_bundle
from src.export.shader.day import shader_day
from src.export.shader.files import write_shaders, write_textures
from src.utils.cli import InputError
from tests.export import test_ktx2
from tests.export.shader import gpu
from tests.export.shader.days import large_network, siren
from tests.export.test_bundle import STORED_2, STORED_3


def test_buffers_lie_beside_every_source(tmp_path):
    day = shader_day(read_bundle(STORED_2))
    paths = write_shaders(day, ["glsl", "glsl_es", "hlsl", "wgsl"], tmp_path)
    sources = [f"tod_{part}.{suffix}" for suffix in ("glsl", "essl", "hlsl", "wgsl") for part in ("sample", "decode")]
    names = [*sources, "tod_words.bin", "tod_weights.bin", "tod_layout.json"]
    assert [path.name for path in paths] == names and sorted(names) == sorted(p.name for p in tmp_path.iterdir())
    layout = json.loads((tmp_path / "tod_layout.json").read_text(encoding="utf-8"))
    words = np.fromfile(tmp_path / layout["words"]["file"], "<u4")
    weights = np.fromfile(tmp_path / layout["weights"]["file"], "<f4").reshape(-1, 4)
    assert len(words) == layout["words"]["count"] and len(weights) == layout["weights"]["count"]
    assert np.array_equal(words, day.words) and np.array_equal(weights, day.weights)
    assert layout["lightmaps"] == [{"number": 0, "name": "", "height": 40, "width": 48}]
    for name in sources:
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert "tod_sample(" in text and ("main(" in text) == ("decode" in name)
        for constant, value in layout["constants"].items():
            assert isinstance(value, float) or f"{constant} = {value}u" in text or f"{constant}: u32 = {value}u" in text


def test_half_precision_loses_nothing_of_a_grid(tmp_path):
    day = shader_day(read_bundle(STORED_3))
    write_shaders(day, ["wgsl"], tmp_path, half=True)
    assert np.array_equal(np.fromfile(tmp_path / "tod_weights.bin", "<f2"), day.weights.flatten())


@pytest.mark.parametrize("half", [False, True], ids=["single", "half"])
def test_textures_hold_what_the_buffers_hold(tmp_path, half):
    day = shader_day(read_bundle(STORED_3))
    for path, values in zip(write_textures(day, tmp_path, half), (day.words, day.weights), strict=True):
        header, texels = test_ktx2.read(path.read_bytes())
        kept = values.astype(np.float16) if half and values is day.weights else values
        assert header["width"] == 2048
        assert texels.tobytes()[: kept.nbytes] == kept.tobytes() and not any(texels.tobytes()[kept.nbytes :])


def test_what_a_network_cannot_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"--baked.*20,800 multiply-adds"):
        write_shaders(shader_day(large_network()), ["wgsl"], tmp_path, baked=True)
    with pytest.raises(InputError, match=r"--fp16.*SIREN"):
        write_shaders(shader_day(siren()), ["wgsl"], tmp_path, half=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(gpu.missing("glsl_es") is not None, reason=str(gpu.missing("glsl_es")))
@pytest.mark.parametrize("half", [False, True], ids=["single", "half"])
@pytest.mark.parametrize("baked", [False, True], ids=["loop", "baked"])
def test_every_file_compiles(tmp_path, baked, half):
    write_shaders(shader_day(read_bundle(STORED_2)), list(gpu.COMPILERS), tmp_path, baked, half)
    for language, suffix in (("glsl", "glsl"), ("glsl_es", "essl"), ("hlsl", "hlsl")):
        gpu.spirv((tmp_path / f"tod_decode.{suffix}").read_text(encoding="utf-8"), language)
