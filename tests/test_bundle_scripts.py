"""export_latent.py and infer.py with bundles and with radiance."""

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image

import export_latent
import infer
import train
from src.export.bundle import read_bundle
from src.models.compressor import load
from src.utils import image_io
from src.utils.color import linear_to_srgb
from src.utils.video_io import VideoReader
from tests import tiny_runs
from tests.radiance_days import GRID, HOURS, SIREN, arguments, radiance, write_hprc

EXPORTS = ["day.tod", "latent_map.npy", "f2_state_dict.pt", "f2_ts.pt", "f2.pt2", "f2_config.json"]


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """A finished run of latent planes on radiance, without exports."""
    folder = tmp_path_factory.mktemp("grid")
    for hour in HOURS:
        image_io.write_linear(folder / "day" / f"bake_{round(hour * 100):04d}.exr", radiance(hour, 12, 16))
    assert train.main(arguments(folder / "day", folder / "run", **GRID)) == 0
    return folder / "run"


@pytest.fixture
def bundle(grid, tmp_path):
    path = tmp_path / "day.tod"
    assert export_latent.main(["--ckpt", str(grid / "best.ckpt"), "--bundle", str(path), "--device", "cpu"]) == 0
    return path


def run_infer(*argv):
    return infer.main([*map(str, argv), "--device", "cpu"])


def error_line(capsys):
    return capsys.readouterr().err.splitlines()[-1]


def test_a_bundle_is_the_checkpoint(grid, bundle):
    assert np.array_equal(read_bundle(bundle).render(list(HOURS)), load(grid / "best.ckpt").render(list(HOURS)))


def test_all_exports_and_the_bundle_at_once(grid, tmp_path, capsys):
    out, bundle = tmp_path / "out", tmp_path / "b" / "other.tod"
    assert export_latent.main(["--ckpt", str(grid), "--out_dir", str(out), "--bundle", str(bundle)]) == 0
    assert sorted(path.name for path in out.iterdir()) == sorted(EXPORTS)
    assert (out / "day.tod").read_bytes() == bundle.read_bytes()
    assert capsys.readouterr().out.count(" MB") == 7


def test_shaders_and_textures_of_a_run(grid, tmp_path, capsys):
    pytest.importorskip("zstandard")
    argv = ["--ckpt", str(grid), "--out_dir", str(tmp_path / "out"), "--shader", "hlsl", "wgsl", "--textures", "--fp16"]
    assert export_latent.main(argv) == 0
    shaders = ["tod_decode.hlsl", "tod_decode.wgsl", "tod_sample.hlsl", "tod_sample.wgsl", "tod_layout.json"]
    buffers = ["tod_weights.bin", "tod_weights.ktx2", "tod_words.bin", "tod_words.ktx2"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted([*EXPORTS, *shaders, *buffers])
    assert capsys.readouterr().out.count(" MB") == 15
    assert (tmp_path / "out" / "tod_sample.wgsl").read_text(encoding="utf-8").count("enable f16;") == 1


def test_a_bundle_alone_gives_what_its_run_gives(grid, bundle, tmp_path):
    flags = ["--shader", "glsl", "wgsl", "--device", "cpu"]
    for name, source in (("run", grid), ("bundle", bundle)):
        page = ["--viewer", str(tmp_path / name / "day.html")]
        assert export_latent.main(["--ckpt", str(source), "--out_dir", str(tmp_path / name), *page, *flags]) == 0
    names = sorted(path.name for path in (tmp_path / "run").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "bundle").iterdir()) and "tod_decode.wgsl" in names
    for name in set(names) - {"f2_ts.pt", "f2.pt2", "f2_state_dict.pt", "day.html"}:  # archives and a page have names
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "bundle" / name).read_bytes(), name
    assert "<title>day</title>" in (tmp_path / "bundle" / "day.html").read_text(encoding="utf-8")


def test_a_folder_of_bundles_is_a_set(bundle, tmp_path, capsys):
    folder = tmp_path / "set"
    folder.mkdir()
    for name in ("hall", "attic"):
        (folder / f"{name}.tod").write_bytes(bundle.read_bytes())
    assert export_latent.main(["--ckpt", str(folder), "--viewer", str(tmp_path / "set.html")]) == 0
    page = (tmp_path / "set.html").read_text(encoding="utf-8")
    assert '{"bundles": [{"name": "attic", ' in page and '{"name": "hall", ' in page
    (folder / "hall.tod").write_bytes(bundle.read_bytes()[:-1])
    assert export_latent.main(["--ckpt", str(folder), "--out_dir", str(tmp_path / "out")]) == 2
    assert "hall.tod: cannot be read as a bundle" in error_line(capsys)


@pytest.mark.parametrize(
    "flags, line",
    [
        (["--bundle", "day.tod", "--shader", "wgsl"], "--shader needs --out_dir"),
        (["--bundle", "day.tod", "--textures"], "--textures needs --out_dir"),
        (["--out_dir", "out", "--baked"], "--baked needs --shader"),
        (["--out_dir", "out", "--fp16"], "--fp16 needs --shader or --textures"),
        (["--out_dir", "out", "--shader", "metal"], "invalid choice: 'metal'"),
    ],
)
def test_flags_that_go_together(grid, capsys, flags, line):
    assert export_latent.main(["--ckpt", str(grid), *flags]) == 2
    assert line in error_line(capsys)


def test_every_source_gives_the_same_picture(grid, bundle, tmp_path):
    out = tmp_path / "out"
    assert export_latent.main(["--ckpt", str(grid / "best.ckpt"), "--out_dir", str(out)]) == 0
    latents = ("--latent_path", out / "latent_map.npy", "--f2_path")
    sources = [
        ("--ckpt", grid / "best.ckpt"),
        ("--bundle", bundle),
        (*latents, out / "f2_ts.pt"),
        (*latents, out / "f2_state_dict.pt"),
    ]
    pictures = []
    for k, source in enumerate(sources):
        assert run_infer(*source, "--time", "5.95,12.5", "--out", tmp_path / f"{k}_{{time}}.exr") == 0
        pictures.append([(tmp_path / f"{k}_{code}.exr").read_bytes() for code in ("0595", "1250")])
    assert all(picture == pictures[0] for picture in pictures)


def test_radiance_is_linear_in_exr_and_exposed_in_png(bundle, tmp_path):
    decoder = read_bundle(bundle)
    truth = decoder.render(12.0)
    assert run_infer("--bundle", bundle, "--time", 12, "--out", tmp_path / "a.exr") == 0
    np.testing.assert_allclose(image_io.read_linear(tmp_path / "a.exr"), truth, rtol=1e-3, atol=1e-6)
    for flags, exposure in (([], 1.0 / decoder.peak), (["--exposure", 0.25], 0.25), (["--exposure", 4], 4.0)):
        assert run_infer("--bundle", bundle, "--time", 12, "--out", tmp_path / "a.png", *flags) == 0
        shown = image_io.read_display(tmp_path / "a.png")
        np.testing.assert_allclose(shown, linear_to_srgb(truth * np.float32(exposure)), atol=0.51 / 255)
    assert shown.max() == 1, "what is too bright is clipped"


def test_exposure_keeps_the_night_dark_beside_noon(bundle, tmp_path):
    assert run_infer("--bundle", bundle, "--time", "0,12", "--out", tmp_path / "{time}.png") == 0
    night, noon = (image_io.read_display(tmp_path / name).mean() for name in ("0000.png", "1200.png"))
    assert night < 0.5 * noon


def test_a_video_of_a_bundle(bundle, tmp_path):
    assert run_infer("--bundle", bundle, "--time", "0:24:4", "--out", tmp_path / "day.mp4") == 0
    assert VideoReader(tmp_path / "day.mp4").size == (12, 16)
    assert len(list(VideoReader(tmp_path / "day.mp4"))) == 6


def test_display_values_stay_as_they_are_and_can_be_exposed(day, tmp_path):
    run = tmp_path / "run"
    assert train.main(arguments(day, run, **SIREN, hours=tiny_runs.HOURS)) == 0
    assert run_infer("--ckpt", run / "best.ckpt", "--time", 6, "--out", tmp_path / "a.png") == 0
    assert run_infer("--ckpt", run / "best.ckpt", "--time", 6, "--out", tmp_path / "b.png", "--exposure", 0.5) == 0
    plain, darker = (image_io.read_display(tmp_path / name) for name in ("a.png", "b.png"))
    np.testing.assert_allclose(plain, load(run / "best.ckpt").render(6.0), atol=0.51 / 255)
    assert darker.mean() < plain.mean() - 0.05


def test_a_set_at_once(tmp_path, capsys):
    hprc, run = write_hprc(tmp_path / "set"), tmp_path / "run"
    assert train.main(arguments(hprc, run, **GRID)) == 0
    assert export_latent.main(["--ckpt", str(run), "--bundle", str(tmp_path / "b"), "--out_dir", str(run)]) == 0
    for name in ("Hall_0", "Hall_7"):
        assert (tmp_path / "b" / f"{name}.tod").read_bytes() == (run / name / "day.tod").read_bytes()
    shared = tmp_path / "shared"
    assert train.main(arguments(hprc, shared, **GRID, share_f2=True, compute_latent=True)) == 0
    capsys.readouterr()
    assert run_infer("--bundle", shared / "day.tod", "--time", 0, "--out", tmp_path / "a.png") == 2
    assert "--lightmap: the file holds several lightmaps: pick one of Hall:0, Hall:7" in error_line(capsys)
    flags = ("--lightmap", "Hall:7", "--time", 0, "--out", tmp_path / "a.png")
    assert run_infer("--bundle", shared / "day.tod", *flags) == 0
    assert image_io.image_size(tmp_path / "a.png") == (9, 16)
    assert run_infer("--bundle", tmp_path / "b" / "Hall_7.tod", *flags) == 2
    assert "--lightmap: no lightmap 'Hall:7' in the file" in error_line(capsys)


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "missing", "other"])
def test_a_damaged_bundle_is_one_line(bundle, tmp_path, capsys, damage):
    content = bytearray(bundle.read_bytes())
    path = tmp_path / "bad.tod"
    if damage == "flipped":
        content[len(content) // 2] ^= 4
    if damage != "missing":
        path.write_bytes({"cut": content[:-100], "empty": b"", "other": b"\x89PNG" * 99}.get(damage, bytes(content)))
    capsys.readouterr()
    assert run_infer("--bundle", path, "--time", 0, "--out", tmp_path / "a.png") == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1 and errors[0].startswith("error: ") and "bad.tod" in errors[0]
    assert not (tmp_path / "a.png").exists()


def test_a_viewer_holds_the_bundle_and_what_it_was_trained_on(grid, bundle, tmp_path):
    plain, with_truth = tmp_path / "plain.html", tmp_path / "truth.html"
    assert export_latent.main(["--ckpt", str(grid), "--viewer", str(plain)]) == 0
    data = grid.parent / "day"
    assert export_latent.main(["--ckpt", str(grid), "--viewer", str(with_truth), "--data_dir", str(data)]) == 0
    embedded = base64.b64encode(bundle.read_bytes()).decode()
    for page in (plain, with_truth):
        assert (
            page.read_text(encoding="utf-8").count(f'<script type="text/plain" id="bundle-0">{embedded}</script>') == 1
        )
    assert 'id="truth-0-0"' not in plain.read_text(encoding="utf-8")
    lines = with_truth.read_text(encoding="utf-8").split('id="truth-0-0">')[1].split("</script>")[0].split()
    assert len(lines) == len(HOURS)
    noon = Image.open(io.BytesIO(base64.b64decode(lines[HOURS.index(12.0)]))).convert("RGB")
    truth = radiance(12.0, 12, 16)
    shown = (np.asarray(noon) / 255) ** 3 * truth.max()
    assert np.abs(shown - truth).max() < 0.1 * truth.max()


def test_what_cannot_be_exported(day, grid, tmp_path, capsys):
    run = tmp_path / "run"
    assert train.main(arguments(day, run, **SIREN, hours=tiny_runs.HOURS)) == 0
    capsys.readouterr()
    for argv, words in (
        (["--ckpt", run / "best.ckpt", "--bundle", tmp_path / "a.tod"], "was trained with --f1 siren"),
        (["--ckpt", run / "best.ckpt", "--viewer", tmp_path / "a.html"], "was trained with --f1 siren"),
        (["--ckpt", run / "best.ckpt"], "--ckpt, and --out_dir, --bundle or --viewer"),
        (["--ckpt", grid, "--out_dir", tmp_path / "x", "--data_dir", day], "--data_dir needs --viewer"),
        (["--ckpt", grid, "--viewer", tmp_path / "a.html", "--data_dir", day], "holds 4 images, the run has 5 hours"),
        (["--ckpt", day, "--out_dir", tmp_path / "x"], "holds no best.ckpt"),
        (["--ckpt", day / "tod_0.png", "--out_dir", tmp_path / "x"], "cannot be read as a checkpoint"),
    ):
        assert export_latent.main(list(map(str, argv))) == 2
        assert words in error_line(capsys)
    both = ("--bundle", "a.tod", "--ckpt", grid / "best.ckpt", "--time", 0, "--out", tmp_path / "a.png")
    assert run_infer(*both) == 2
    assert "--ckpt: give either" in error_line(capsys)
    assert run_infer("--ckpt", grid / "best.ckpt", "--time", 0, "--out", tmp_path / "a.png", "--exposure", 0) == 2
    assert "--exposure: 0 is not" in error_line(capsys)


def test_a_latent_map_and_an_f2_that_do_not_fit(grid, tmp_path, capsys):
    out = tmp_path / "out"
    assert export_latent.main(["--ckpt", str(grid), "--out_dir", str(out)]) == 0
    latents = np.load(out / "latent_map.npy")
    np.save(tmp_path / "fewer.npy", latents[..., :-1])
    flags = ("--f2_path", out / "f2_state_dict.pt", "--time", 0, "--out", tmp_path / "a.png")
    assert run_infer("--latent_path", tmp_path / "fewer.npy", *flags) == 2
    assert f"the latent map has {latents.shape[2] - 1} channels, F2 takes {latents.shape[2]}" in error_line(capsys)
    state = torch.load(out / "f2_state_dict.pt", weights_only=True)
    for name in ("hour_bias", "lookup.starts", "hidden.1"):
        torch.save({key: value for key, value in state.items() if key != name}, tmp_path / "part.pt")
        flags = ("--f2_path", tmp_path / "part.pt", "--time", 0, "--out", tmp_path / "a.png")
        assert run_infer("--latent_path", out / "latent_map.npy", *flags) == 2
        assert error_line(capsys).startswith("error: ")
