"""The whole command on small data."""

import json

import numpy as np
import pytest
import torch

import evaluate
import train
from src.data.lightmap.sources import open_lightmaps
from src.data.lightmap_dataset import LightmapDataset
from src.evaluation.lightmap.peers import PEERS
from src.export.bundle import read_bundle, write_bundle
from src.models.compressor import load
from src.models.grid.config import GridConfig
from src.models.grid.latent_grid import CHECKPOINT_KIND, LatentGrid
from src.utils import checkpoint, image_io
from src.utils.metrics import LPIPS_BACKBONES
from src.utils.tile_metrics import tile_metrics
from tests.data.lightmap.test_hprc import write_set

HEIGHT, WIDTH = 20, 28


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """24 images of a light that wanders over a wall."""
    folder = tmp_path_factory.mktemp("day")
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    for hour in range(24):
        glow = np.exp(-((x - WIDTH * hour / 24) ** 2 + (y - 9) ** 2) / 60)
        image_io.write_display(folder / f"tod_{hour:02d}.png", glow[..., None] * np.array([1, 0.8, 0.6], np.float32))
    return folder


@pytest.fixture(scope="module")
def siren(images, tmp_path_factory):
    run = tmp_path_factory.mktemp("run")
    sizes = ["--latent_dim", "4", "--hidden_f1", "8", "--hidden_f2", "8", "--layers_f1", "2", "--layers_f2", "2"]
    assert train.main(["--data_dir", str(images), "--out_dir", str(run), "--epochs", "2", *sizes]) == 0
    return run / "best.ckpt"


def test_the_names_of_the_peers_are_those_that_exist():
    assert set(evaluate.PEER_NAMES) == {*PEERS, "siren"}
    assert evaluate.peer_list("all") == list(evaluate.PEER_NAMES)


def test_a_checkpoint_beside_peers_as_table_json_and_plot(images, siren, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))  # no LPIPS weights there
    report_file, plot = tmp_path / "out" / "report.json", tmp_path / "out" / "plot.png"
    flags = ["--ckpt", str(siren), "--peers", "pca,siren", "--json", str(report_file), "--plot", str(plot)]
    assert evaluate.main(["lightmap", "--data_dir", str(images), *flags]) == 0

    report = json.loads(report_file.read_text())
    ours, *pca = report["rows"]
    assert [row["coder"] for row in report["rows"]] == ["ours", "pca", "pca", "pca", "pca"]
    truth = np.stack([image_io.read_display(images / f"tod_{hour:02d}.png") for hour in range(24)])
    decoded = load(siren).render(list(range(24)))
    expected = tile_metrics(truth, decoded, np.ones((HEIGHT, WIDTH), bool))
    assert [frame["psnr_db"] for frame in ours["frames"]] == pytest.approx(expected.psnr_db, abs=1e-6)
    assert ours["psnr_db"] == pytest.approx(expected.psnr_db.mean())
    f2_parameters = (4 + 4) * 8 + 8 + 8 * 8 + 8 + 8 * 3 + 3
    assert ours["size_bytes_memory"] == 4 * (HEIGHT * WIDTH * 4 + f2_parameters)
    assert ours["size_bytes_disk"] > ours["size_bytes_memory"]
    assert [row["psnr_db"] for row in pca] == sorted(row["psnr_db"] for row in pca)
    assert report["lightmaps"] == [
        {"name": images.name, "height": HEIGHT, "width": WIDTH, "hours": [float(hour) for hour in range(24)]}
    ]
    assert "--siren_ckpt" in report["skipped"]["siren"]
    assert LPIPS_BACKBONES["alex"] in report["skipped"]["LPIPS"]
    assert plot.read_bytes().startswith(b"\x89PNG")

    printed = capsys.readouterr().out
    assert f"| {images.name} | 23 | {expected.psnr_db[23]:.2f} |" in printed
    assert "skipped siren: give the checkpoint" in printed


def test_bundles_of_two_qualities_and_the_checkpoint_they_come_from(tmp_path, capsys):
    rng = np.random.default_rng(0)
    patterns = rng.random((5, HEIGHT, WIDTH, 3), np.float32)
    frames = np.einsum("tk,khwc->thwc", rng.random((6, 5), np.float32), patterns)
    for t, frame in enumerate(frames):
        image_io.write_linear(tmp_path / "day" / f"bake_{400 * t:04d}.exr", frame)
    (lightmap,) = open_lightmaps(tmp_path / "day")
    data = LightmapDataset.from_lightmap(lightmap)
    flags, paths = [], []
    for latent_dim in (2, 4):
        grid = LatentGrid(GridConfig(HEIGHT, WIDTH, data.hour_values, latent_dim=latent_dim, latent_bits=8), data.mask)
        grid.start_from(data.texels)
        paths.append(tmp_path / f"{latent_dim}.tod")
        write_bundle(paths[-1], grid.decoder())
        flags += ["--bundle", str(paths[-1])]
    model = {"config": grid.config.to_dict(), "state": grid.state_dict()}
    checkpoint.write(tmp_path / "grid.ckpt", CHECKPOINT_KIND, {"model": model})
    flags += ["--ckpt", str(tmp_path / "grid.ckpt"), "--json", str(tmp_path / "r.json")]
    assert evaluate.main(["lightmap", "--data_dir", str(tmp_path / "day"), *flags]) == 0

    low, high, same = json.loads((tmp_path / "r.json").read_text())["rows"]
    truth, hours, mask = lightmap.load()
    for row, path in ((low, paths[0]), (high, paths[1])):
        decoder = read_bundle(path)
        assert row["psnr_db"] == tile_metrics(truth, decoder.render(hours.tolist()), mask).mean("psnr_db")
        assert (row["size_bytes_disk"], row["size_bytes_memory"]) == (path.stat().st_size, decoder.resident_bytes)
        assert row["setting"] == f"{tmp_path.name}/{path.name}"
    assert high["psnr_db"] > low["psnr_db"] + 3
    for name in ("psnr_db", "ssim", "size_bytes_disk", "size_bytes_memory"):
        assert same[name] == high[name]
    assert capsys.readouterr().out.count("| lightmap | hour |") == 3


def test_a_part_of_an_hprc_set_with_lpips_of_a_random_backbone(tmp_path, capsys):
    torchvision = pytest.importorskip("torchvision")
    pytest.importorskip("lpips")
    write_set(tmp_path)
    torch.manual_seed(0)
    weights = tmp_path / "random.pth"  # not trained: the value means nothing, but it is computed
    torch.save(torchvision.models.AlexNet().state_dict(), weights)
    flags = ["--lightmap", "Hall:7", "--peers", "pca", "--lpips_weights", str(weights)]
    assert evaluate.main(["lightmap", "--data_dir", str(tmp_path), *flags, "--json", str(tmp_path / "r.json")]) == 0
    report = json.loads((tmp_path / "r.json").read_text())
    assert [lightmap["name"] for lightmap in report["lightmaps"]] == ["Hall:7"]
    assert all(row["lpips"] > 0 and row["hprc_attainable"] == 50 for row in report["rows"])
    assert "skipped" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (["--data_dir", "{images}"], "--bundle: nothing to measure: give --bundle, --ckpt, --peers or --between"),
        (["--data_dir", "{images}", "--peers", "gif"], "--peers: unknown peer 'gif', known are pca"),
        (["--data_dir", "{images}", "--peers", "pca", "--plot", "x.bmp"], "--plot: 'x.bmp' does not end in"),
        (["--data_dir", "{images}/absent", "--peers", "pca"], "absent: no such folder"),
        (["--data_dir", "{images}", "--peers", "pca", "--lpips_weights", "absent.pth"], "absent.pth: no such file"),
        (
            ["--data_dir", "{images}", "--ckpt", "{ckpt}", "{ckpt}"],
            "--ckpt: 2 files for 1 lightmaps: give one",
        ),
        (["--data_dir", "{images}", "--ckpt", "{images}/tod_00.png"], "tod_00.png: "),
        (["--data_dir", "{images}", "--bundle", "{ckpt}"], "best.ckpt: cannot be read as a bundle"),
        (["--data_dir", "{images}", "--bundle", "{images}/day.tod"], "day.tod: "),
        (["--data_dir", "{hdr}", "--ckpt", "{ckpt}"], "best.ckpt: decodes to display values, radiance holds radiance"),
        (["--data_dir", "{images}", "--between", "{images}"], ": has no hour that was not baked: give images of"),
        (["--data_dir", "{images}", "--between", "{small}"], ": is 4 x 4 texels of display values, "),
        (["--data_dir", "{images}", "--between", "{hdr}"], ": is 28 x 20 texels of radiance, "),
        (["--data_dir", "{images}", "--between", "{black}"], ": is black at every valid texel: PSNR needs light"),
        (["--data_dir", "{images}", "--between", "{images}/absent"], "absent: no such folder"),
        (["--data_dir", "{small}", "--ckpt", "{ckpt}"], "best.ckpt: is of 28 x 20 texels, small has 4 x 4"),
    ],
)
def test_wrong_input_is_one_line_and_status_2(flags, line, images, siren, tmp_path, capsys):
    hdr, small = tmp_path / "radiance", tmp_path / "small"
    image_io.write_linear(hdr / "a_0600.exr", np.ones((HEIGHT, WIDTH, 3), np.float32))
    image_io.write_display(small / "a.png", np.ones((4, 4, 3), np.float32))
    image_io.write_display(tmp_path / "black" / "h_0650.png", np.zeros((HEIGHT, WIDTH, 3), np.float32))
    capsys.readouterr()
    places = {"images": images, "ckpt": siren, "hdr": hdr, "small": small, "black": tmp_path / "black"}
    assert evaluate.main(["lightmap", *(flag.format(**places) for flag in flags)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert line in captured.err.splitlines()[-1]
    assert captured.err.splitlines()[-1].startswith("error: ")


@pytest.mark.filterwarnings("ignore:.*images, not 24")
def test_hours_between_beside_the_true_neighbours(tmp_path, capsys):
    rng = np.random.default_rng(0)
    baked = rng.random((4, HEIGHT, WIDTH, 3), np.float32)
    for hour, frame in zip((0, 6, 12, 18), baked, strict=True):
        image_io.write_linear(tmp_path / "day" / f"bake_{100 * hour:04d}.exr", frame)
    mask = np.ones((HEIGHT, WIDTH), bool)
    mask[:, :5] = False
    image_io.write_display(tmp_path / "other" / "mask.png", np.repeat(mask[..., None], 3, 2).astype(np.float32))
    # At 3 h the left of the lightmap is still that of 0 h, the right already that of 6 h; at 20 h it is a plain fade.
    left = np.arange(WIDTH)[:, None] < 15
    moved = np.where(left, baked[0], baked[1])
    later = (baked[3] * 4 + baked[0] * 2) / 6 + 0.1
    for code, frame in (("0300", moved), ("1200", baked[2]), ("2000", later)):
        image_io.write_linear(tmp_path / "other" / f"bake_{code}.exr", frame)
    data = LightmapDataset.from_folder(tmp_path / "day")
    grid = LatentGrid(GridConfig(HEIGHT, WIDTH, data.hour_values, latent_dim=4, latent_bits=8), data.mask)
    grid.start_from(data.texels)
    write_bundle(tmp_path / "day.tod", grid.decoder())
    report = tmp_path / "r.json"
    day = ["--data_dir", str(tmp_path / "day"), "--between", str(tmp_path / "other"), "--json", str(report)]
    assert evaluate.main(["lightmap", *day, "--bundle", str(tmp_path / "day.tod"), "--peers", "pca"]) == 0

    printed = capsys.readouterr()
    assert "between, other: baked too, left out: 12 h" in printed.err
    fade, best, ours, *pca = json.loads(report.read_text())["between"]
    assert [(row["coder"], row["setting"]) for row in (fade, best)] == [
        ("truth", "crossfade"),
        ("truth", "best of three"),
    ]
    assert [frame["hour"] for frame in fade["frames"]] == [3.0, 20.0]
    truth = np.stack([moved, later])
    faded = np.stack([(baked[0] + baked[1]) / 2, (baked[3] * 4 + baked[0] * 2) / 6])
    decoded = read_bundle(tmp_path / "day.tod").render([3.0, 20.0])
    for row, predicted in ((fade, faded), (ours, decoded)):
        squared = np.square((truth - predicted)[:, mask]).mean(axis=(1, 2))
        expected = 10 * np.log10(truth[:, mask].max(axis=(1, 2)) ** 2 / squared)
        assert [frame["psnr_db"] for frame in row["frames"]] == pytest.approx(expected, abs=0.01)
        assert row["psnr_db"] == pytest.approx(expected.mean(), abs=0.01)
        assert row["worst_hour"] == (3.0, 20.0)[expected.argmin()]
        assert f"{row['psnr_db']:.2f}" in printed.out
    assert best["frames"][0]["psnr_db"] > 100
    assert best["frames"][1]["psnr_db"] >= fade["frames"][1]["psnr_db"]
    assert len(pca) == 4
    assert pca[-1]["psnr_db"] == pytest.approx(fade["psnr_db"], abs=1.0)  # its frames, faded

    assert evaluate.main(["lightmap", *day]) == 0  # the neighbours alone
    assert "| truth " in capsys.readouterr().out
