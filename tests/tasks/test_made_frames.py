import json

import numpy as np
import pytest
import torch

import train
from src.export.bundle import read_bundle
from src.models.grid.config import GridConfig
from src.models.grid.latent_grid import LatentGrid
from src.tasks.grid_task import GridTask
from src.tasks.grid_training import budget_bytes
from src.tasks.made_frames import learn_passed_share, middle_frame, with_made_frames
from src.utils import image_io
from tests.lightmap_example import dataset_of

HEIGHT, WIDTH = 64, 160
HOURS = [float(hour) for hour in range(24)]
Y, X = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)


def coloured(light: np.ndarray) -> np.ndarray:
    return ((0.1 + light)[..., None] * np.array([1.0, 0.9, 0.7])).astype(np.float32)


def half_plane(hour: float) -> np.ndarray:
    """A lit half whose edge moves 6 texels an hour, a little oblique."""
    return coloured(np.clip(6.0 * hour + 8.0 + 0.2 * Y - X, 0.0, 1.0))


def disc(hour: float) -> np.ndarray:
    """A spot of light, 14 texels in radius, that moves 6 texels an hour."""
    return coloured(np.clip(14.0 - np.hypot(X - 8.0 - 6.0 * hour, Y - 32.0), 0.0, 1.0))


def two_charts() -> np.ndarray:
    mask = np.ones((HEIGHT, WIDTH), bool)
    mask[:, 78:82] = False
    mask[:2] = False
    return mask


def psnr_db(truth: np.ndarray, predicted: np.ndarray, mask: np.ndarray) -> float:
    return float(10 * np.log10(truth[mask].max() ** 2 / np.square(truth - predicted)[mask].mean()))


@pytest.mark.parametrize(
    ("scene", "mask"), [(half_plane, np.ones((HEIGHT, WIDTH), bool)), (disc, two_charts())], ids=["plane", "disc"]
)
def test_an_edge_moves_on_between_the_hours(scene, mask):
    frames = [scene(hour) * mask[..., None] for hour in HOURS]
    network = learn_passed_share(frames, HOURS, (), mask, seed=0)
    assert network is not None
    gains = []
    for t in range(4, 19, 2):
        made = middle_frame(network, frames[t], frames[t + 1], mask)
        fade = (frames[t] + frames[t + 1]) / 2
        truth = scene(HOURS[t] + 0.5) * mask[..., None]
        gains.append(psnr_db(truth, fade if made is None else made, mask) - psnr_db(truth, fade, mask))
    assert np.mean(gains) > 3.0
    assert min(gains) > -0.1


def test_light_that_changes_everywhere_fades():
    frames = [coloured(0.1 * 1.5**hour * np.ones((HEIGHT, WIDTH), np.float32)) for hour in range(12)]
    data = dataset_of(np.stack(frames), two_charts(), HOURS[:12])
    assert with_made_frames(data, (), seed=0).made_hours == ()


def test_noise_alone_is_left_to_fade():
    random = np.random.default_rng(0)
    frames = np.stack([coloured(random.gamma(4.0, 0.25, (HEIGHT, WIDTH)).astype(np.float32)) for _ in HOURS])
    mask = np.ones((HEIGHT, WIDTH), bool)
    network = learn_passed_share(list(frames), HOURS, (), mask, seed=0)
    truth = coloured(np.ones((HEIGHT, WIDTH), np.float32))
    for t in range(5):
        made = middle_frame(network, frames[t], frames[t + 1], mask) if network else None
        fade = (frames[t] + frames[t + 1]) / 2
        assert made is None or psnr_db(truth, made, mask) > psnr_db(truth, fade, mask) - 0.1


def test_no_frame_is_made_across_an_event():
    mask = np.ones((HEIGHT, WIDTH), bool)
    data = dataset_of(np.stack([half_plane(hour) for hour in HOURS]), mask, HOURS)
    made = with_made_frames(data, (9.5, 14.0), seed=0)
    assert {8.5, 10.5, 12.5, 14.5} <= set(made.made_hours)
    assert not {9.5, 13.5, 23.5} & set(made.made_hours)  # from 23 h to 0 h everything changes


def test_made_frames_count_neither_as_bits_nor_as_quality():
    mask = two_charts()
    frames = np.stack([half_plane(hour) for hour in (6.0, 12.0, 18.0)]) * mask[..., None]
    data = dataset_of(frames, mask, (6.0, 12.0, 18.0))
    odd = np.full((HEIGHT, WIDTH, 3), 7.0, np.float32)
    more = data.with_frames({9.0: odd})
    assert more.hour_values == (6.0, 9.0, 12.0, 18.0)
    assert more.baked_hours == data.hour_values
    assert more.baked.tolist() == [True, False, True, True]
    assert torch.equal(more.texels[:, [0, 2, 3]], data.texels)
    assert (more.texels[:, 1] == 7.0).all()
    assert budget_bytes(more, 0.7) == budget_bytes(data, 0.7)

    config = GridConfig(HEIGHT, WIDTH, more.hour_values, latent_dim=2, made_hours=more.made_hours, blocks=True)
    assert GridConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    model = LatentGrid(config, more.mask)
    model.start_from(more.texels)
    task = GridTask(model, more, 1e9, seed=0)
    decoder = model.decoder()
    decoded = decoder.render([6.0, 12.0, 18.0])
    expected = np.mean([psnr_db(truth, found, mask) for truth, found in zip(frames, decoded, strict=True)])
    assert task.tile_psnr_db().shape == (1, 3)
    assert task.validate()["psnr_db"] == pytest.approx(expected, abs=0.05)
    assert decoder.bpp_memory() == pytest.approx(decoder.resident_bytes * 8 / (HEIGHT * WIDTH * 3))


@pytest.mark.filterwarnings("ignore:.*images, not 24")
def test_the_whole_command_stores_what_was_made(tmp_path, capsys):
    for hour in HOURS:
        image_io.write_linear(tmp_path / "day" / f"bake_{round(100 * hour):04d}.exr", half_plane(hour))
    arguments = ["--data_dir", str(tmp_path / "day"), "--out_dir", str(tmp_path / "run"), "--f1", "grid"]
    options = ["--between", "shadow", "--bpp", "3", "--epochs", "10", "--compute_latent"]
    assert train.main([*arguments, *options]) == 0
    assert "made between the baked hours: " in capsys.readouterr().out
    decoder = read_bundle(tmp_path / "run" / "day.tod")
    assert {8.5, 12.5} <= set(decoder.config.made_hours)
    assert json.loads((tmp_path / "run" / "f2_config.json").read_text())["made_hours"]
    everywhere = np.ones((HEIGHT, WIDTH), bool)
    for hour in (8.0, 12.0):
        truth = half_plane(hour + 0.5)
        fade = (half_plane(hour) + half_plane(hour + 1.0)) / 2
        assert psnr_db(truth, decoder.render([hour + 0.5])[0], everywhere) > psnr_db(truth, fade, everywhere) + 5.0
