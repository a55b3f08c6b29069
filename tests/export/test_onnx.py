"""F2 as ONNX and as a program of torch.export, against the decoder, from the exported latent map."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import export_latent
from src.export.grid import export_grid
from src.export.onnx import export_onnx
from src.export.siren import export_siren, siren_f2
from src.models.compressor import CompressorConfig, LightmapCompressor
from src.models.grid.decoder import GridDecoder
from src.models.grid.engine_f2 import grid_f2
from src.models.lightmap_decoder import LightmapDecoder
from tests.export.test_bundle import example_decoder
from tests.export.test_c import REGIONS, changed, large_network
from tests.lightmap_example import HOURS
from tests.tiny_runs import one_error_line

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
at_hour = pytest.importorskip("src.export.onnx_at_hour").at_hour

# Baked hours, between them, around midnight, at the events and beside them, and outside of [0, 24).
SHOWN = (0.0, 5.9, 18.1, 21.0, 1.25, 5.999, 6.0, 6.001, 10.5, 17.99, 18.0, 18.05, 22.5, 23.999, 24.0, -1.5, 49.3)
EVENTS = (0.0, 5.9, 7.5, 18.1, 23.5)


def siren(is_radiance: bool) -> LightmapCompressor:
    torch.manual_seed(0)
    config = CompressorConfig(9, 13, HOURS, 5, 16, 2, 24, 2, 3)
    if is_radiance:
        scale = tuple(0.5 + 0.3 * k for k in range(len(HOURS)))
        config = replace(config, gamma=2.2, frame_scale=scale)
    return LightmapCompressor(config)


CASES = {
    "grid": lambda: example_decoder(5, 6, (), True),
    "grid with coarser levels": lambda: example_decoder(4, 4, ((3, 2), (7, 1))),
    "display values": lambda: changed(example_decoder(5, 8, (), True), is_radiance=False),
    "many events": lambda: changed(example_decoder(5, 8, (), True), events=EVENTS),
    "many weights": large_network,
    "siren": lambda: siren(False),
    "siren of radiance": lambda: siren(True),
}
KNOWN_TO_UNITY = {
    *("Add", "Cast", "Concat", "Cos", "Div", "Floor", "Gemm", "GreaterOrEqual", "MatMul", "Max", "Min", "Mul", "Pow"),
    *("Relu", "Sigmoid", "Sin", "Sub", "Transpose"),
}
BY_TORCH = ("grid", "siren of radiance")  # torch's exporters take a second each


def exported(case: str, out_dir: Path) -> tuple[LightmapDecoder, torch.nn.Module, np.ndarray]:
    """The decoder, F2, and the exported latent map."""
    model = CASES[case]()
    if isinstance(model, GridDecoder):
        export_grid(model, out_dir)
        decoder, f2 = model, grid_f2(model)
    else:
        export_siren(model, out_dir)
        decoder, f2 = model.decoder(), siren_f2(model)
    return decoder, f2, np.load(out_dir / "latent_map.npy")


def assert_is_the_decoder(
    decoder: LightmapDecoder, latents: np.ndarray, network: Callable[[np.ndarray, float], np.ndarray]
) -> None:
    """Whole frames of the network are those of the decoder, invalid texels aside; in the map they are 0."""
    valid = (latents != 0).any(-1)
    frames = decoder.render(SHOWN)
    limit = 1e-5 * float(frames.max())
    for hour, frame in zip(SHOWN, frames, strict=True):
        assert np.abs(network(latents[valid], hour) - frame[valid]).max() < limit, hour
        assert not frame[~valid].any()


@pytest.mark.parametrize("case", CASES)
def test_at_one_hour_float32_is_the_decoder(tmp_path: Path, case: str) -> None:
    decoder, f2, latents = exported(case, tmp_path)
    model = at_hour(f2)
    onnx.checker.check_model(model, full_check=True)
    assert model.opset_import[0].version == 13
    assert {constant.data_type for constant in model.graph.initializer} == {onnx.TensorProto.FLOAT}
    assert {node.op_type for node in model.graph.node} <= KNOWN_TO_UNITY
    session = onnxruntime.InferenceSession(model.SerializeToString())

    def network(z: np.ndarray, hour: float) -> np.ndarray:
        return session.run(None, {"z": z, "hour": np.array([hour], np.float32)})[0]

    assert_is_the_decoder(decoder, latents, network)


@pytest.mark.parametrize("case", BY_TORCH)
def test_the_files_of_the_script_are_the_decoder(tmp_path: Path, case: str) -> None:
    decoder, f2, latents = exported(case, tmp_path)
    paths = export_onnx(f2, latents.shape[-1], tmp_path)
    assert [path.name for path in paths] == ["f2.onnx", "f2_at_hour.onnx"]
    onnx.checker.check_model(str(paths[0]), full_check=True)
    assert paths[1].read_bytes() == at_hour(f2).SerializeToString()
    session = onnxruntime.InferenceSession(str(paths[0]))
    program = torch.export.load(str(tmp_path / "f2.pt2")).module()

    def by_onnx(z: np.ndarray, hour: float) -> np.ndarray:
        return session.run(None, {"z": z, "hours": np.full(len(z), hour, np.float32)})[0]

    def by_torch(z: np.ndarray, hour: float) -> np.ndarray:
        with torch.no_grad():
            return program(torch.from_numpy(z), torch.full((len(z),), hour)).numpy()

    for network in (by_onnx, by_torch):
        assert_is_the_decoder(decoder, latents, network)
        row = latents.reshape(-1, latents.shape[-1])[60:61]
        assert network(row, 12.0).shape == (1, 3)  # no number of rows is built in
    folder = str(Path(__file__).parents[2]).encode()
    for name in ("f2.onnx", "f2_at_hour.onnx", "f2.pt2"):
        assert folder not in (tmp_path / name).read_bytes(), "no paths of this machine"


def test_lightmaps_of_one_map_are_rows_of_the_latent_map(tmp_path: Path) -> None:
    decoder = changed(example_decoder(5, 8, (), True), regions=REGIONS)
    export_grid(decoder, tmp_path)
    latents = np.load(tmp_path / "latent_map.npy")
    session = onnxruntime.InferenceSession(at_hour(grid_f2(decoder)).SerializeToString())
    for name, first_row, height, width in json.loads((tmp_path / "f2_config.json").read_text("utf-8"))["regions"]:
        z = latents[first_row : first_row + height, :width]
        frame = decoder.lightmap(name).render(17.5)
        valid = (z != 0).any(-1)
        colours = session.run(None, {"z": z[valid], "hour": np.float32([17.5])})[0]
        assert np.abs(colours - frame[valid]).max() < 1e-5 * frame.max()


def test_without_the_packages_the_script_says_what_to_install(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    argv = ["--ckpt", str(trained / "best.ckpt"), "--out_dir", str(tmp_path / "out"), "--onnx"]
    assert export_latent.main(argv) == 2
    assert "--onnx: needs onnx and onnxscript: pip install onnx onnxscript" in one_error_line(capsys.readouterr().err)
    assert not (tmp_path / "out").exists()
