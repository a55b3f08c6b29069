import hashlib
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from src.data.lightmap.atlas import LightmapAtlas
from src.data.lightmap.sources import open_lightmaps
from src.data.lightmap_dataset import LightmapDataset, TexelBatches
from src.utils.cli import InputError
from src.utils.image_io import write_display, write_linear
from src.utils.texel_grid import texel_xy
from tests.tiny_runs import smooth_frame, write_day

PARTS = [0.0, 6.0, 12.0, 18.0]


def empty_dataset(texel_count: int, hours: int) -> LightmapDataset:
    return LightmapDataset(torch.zeros(texel_count, hours, 3), torch.ones(1, texel_count, dtype=bool), range(hours))


def test_the_stack_holds_every_image_as_stored(day):
    dataset = LightmapDataset.from_folder(day, PARTS)
    assert (dataset.height, dataset.width, dataset.texel_count) == (10, 12, 120)
    assert dataset.texels.shape == (120, 4, 3) and dataset.texels.dtype == torch.float32
    assert dataset.texels.is_contiguous()
    assert dataset.names == ("tod_0.png", "tod_1.png", "tod_2.png", "tod_3.png")
    assert dataset.hours.tolist() == PARTS
    assert dataset.mask.all() and not dataset.is_radiance
    for t, hour in enumerate(PARTS):
        stored = np.rint(smooth_frame(hour, 10, 12) * 255) / np.float32(255)
        np.testing.assert_array_equal(dataset.frame(t), stored.astype(np.float32))
    described = dataset.describe()
    hashes = {file.name: hashlib.sha256(file.read_bytes()).hexdigest()[:32] for file in sorted(day.iterdir())}
    assert described.pop("files") == hashes
    assert described == {"mask_files": {}, "hours": PARTS, "height": 10, "width": 12, "valid_texels": 120}


def test_a_batch_is_coordinates_and_colours_of_its_texels(day):
    dataset = LightmapDataset.from_folder(day, PARTS)
    index = torch.tensor([0, 13, 119, 13])
    xy, colours = dataset.batch(index)
    assert torch.equal(xy, texel_xy(index, 10, 12))
    for m, i in enumerate(index.tolist()):
        for t in range(4):
            assert colours[m, t].tolist() == dataset.frame(t)[i // 12, i % 12].tolist()


def test_natural_order_gives_the_hours(tmp_path):
    write_day(tmp_path / "day", hours=24, height=2, width=2)
    dataset = LightmapDataset.from_folder(tmp_path / "day")
    assert dataset.names[:4] == ("tod_0.png", "tod_1.png", "tod_2.png", "tod_3.png")
    assert dataset.names[10] == "tod_10.png"
    assert dataset.hour_values == tuple(float(hour) for hour in range(24))


def save_as(mode: str, path, values: np.ndarray) -> None:
    """``values`` H x W x 3 uint8, stored as a png of that kind."""
    picture = Image.fromarray(values)
    if mode == "16":
        write_u16 = (values[..., 0].astype(np.uint16) * 257).tobytes()
        Image.frombytes("I;16", picture.size, write_u16).save(path)
    elif mode == "RGBA":
        picture.putalpha(Image.fromarray(np.full(values.shape[:2], 40, np.uint8)))
        picture.save(path)
    else:
        picture.convert(mode).save(path)


@pytest.mark.parametrize("mode", ["RGB", "L", "LA", "P", "RGBA", "16", "1"])
def test_all_kinds_of_png(tmp_path, mode):
    values = np.zeros((4, 6, 3), np.uint8)
    values[1:3, 2:5] = 255
    values[0] = 0 if mode == "1" else 102  # a level of the web palette
    save_as(mode, tmp_path / "a_0.png", values)
    dataset = LightmapDataset.from_folder(tmp_path, [0.0])
    np.testing.assert_allclose(dataset.frame(0), values.astype(np.float32) / 255, atol=1e-6)


def test_an_image_of_another_size(day):
    Image.fromarray(np.zeros((10, 13, 3), np.uint8)).save(day / "tod_2.png")
    with pytest.raises(InputError, match=r"tod_2.png: is 13 x 10 .* but .*tod_0.png is 12 x 10"):
        LightmapDataset.from_folder(day, PARTS)


def test_radiance_stays_as_it_is_and_invalid_texels_are_left_out(tmp_path):
    mask = np.ones((5, 6), bool)
    mask[0] = mask[3, 2] = False
    frames = [smooth_frame(hour, 5, 6) * scale for hour, scale in zip(PARTS, (0.01, 1, 40, 0), strict=True)]
    for t, frame in enumerate(frames):
        write_linear(tmp_path / f"a_{t}.exr", np.where(mask[..., None], frame, 1e4))
    write_display(tmp_path / "mask.png", np.repeat(mask[..., None], 3, axis=2).astype(np.float32))
    dataset = LightmapDataset.from_folder(tmp_path, PARTS)
    assert dataset.texel_count == mask.sum() == 23
    assert dataset.valid.tolist() == np.flatnonzero(mask).tolist()
    assert dataset.is_radiance and dataset.mask.numpy().tolist() == mask.tolist()
    xy, _ = dataset.batch(torch.tensor([0, 22]))
    assert torch.equal(xy, texel_xy(torch.tensor([6, 29]), 5, 6))
    for t, frame in enumerate(frames):
        np.testing.assert_allclose(dataset.texels[:, t], frame[mask], rtol=2e-3)  # half floats in the file
    assert (dataset.frame(0)[~mask] == 0).all()
    assert dataset.describe()["valid_texels"] == 23
    assert list(dataset.describe()["mask_files"]) == ["mask.png"]


def test_several_lightmaps_lie_in_one_map_one_below_the_other(tmp_path):
    sizes, hours = {"wall": (5, 6), "floor": (3, 9)}, [0.0, 12.0]
    for name, (height, width) in sizes.items():
        for t, hour in enumerate(hours):
            write_linear(tmp_path / name / f"{name}_{t}.exr", smooth_frame(hour, height, width))
    mask = np.ones((3, 9), bool)
    mask[1, 2] = False
    write_display(tmp_path / "floor" / "mask.png", np.repeat(mask[..., None], 3, axis=2).astype(np.float32))
    lightmaps = [open_lightmaps(tmp_path / name, hours)[0] for name in sizes]
    atlas = LightmapAtlas(lightmaps)
    dataset = LightmapDataset.from_lightmap(atlas)
    assert dataset.regions == atlas.regions == (("wall", 0, 5, 6), ("floor", 16, 3, 9))
    assert dataset.names == ("wall_0.exr", "wall_1.exr", "floor_0.exr", "floor_1.exr")
    assert (dataset.height, dataset.width, dataset.texel_count) == (32, 9, 30 + 26)
    for t in range(2):
        image = dataset.frame(t)
        for lightmap, (_, row, height, width) in zip(lightmaps, atlas.regions, strict=True):
            assert np.array_equal(image[row : row + height, :width], lightmap.load()[0][t])
        assert not image[:5, 6:].any()
    dataset.texels[3, 1, 0] = float("nan")
    assert dataset.describe_batch(torch.tensor([3, 4])) == "2 texels of wall_1.exr, floor_1.exr"


@pytest.mark.parametrize("count", [1, 2])
def test_reading_holds_the_data_once(tmp_path, count):
    lightmaps = []
    for k in range(count):
        write_day(tmp_path / f"day{k}", hours=48, height=120, width=160)  # a few frames are worked on at a time
        lightmaps += open_lightmaps(tmp_path / f"day{k}")
    LightmapDataset.from_lightmap(lightmaps[0])  # what the first reading of all imports is not the data
    tracemalloc.start()
    dataset = LightmapDataset.from_lightmap(LightmapAtlas(lightmaps) if count > 1 else lightmaps[0])
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert dataset.texels.nbytes == count * 48 * 120 * 160 * 12
    assert peak_bytes < 1.4 * dataset.texels.nbytes


def test_batches_of_an_epoch_are_a_permutation_in_whole_texels():
    batches = TexelBatches(empty_dataset(100, 4), 80, None, seed=1)
    assert (batches.texels_per_batch, batches.steps_per_epoch) == (20, 5)
    epochs = [torch.cat(list(batches.epoch(epoch, 0))) for epoch in range(3)]
    for order in epochs:
        assert sorted(order.tolist()) == list(range(100))
    assert not torch.equal(epochs[0], epochs[1])


@pytest.mark.parametrize(
    ("texels", "hours", "batch_size", "samples_per_epoch", "expected"),
    [
        (100, 4, 80, None, (20, 5)),
        (100, 4, 83, None, (20, 5)),
        (100, 4, 120, None, (30, 3)),
        (100, 4, 1, None, (1, 100)),
        (100, 4, 10**9, None, (100, 1)),
        (100, 4, 80, 160, (20, 2)),
        (100, 4, 80, 1, (20, 1)),
        (100, 4, 80, 4000, (20, 50)),
    ],
)
def test_batch_size_counts_samples(texels, hours, batch_size, samples_per_epoch, expected):
    batches = TexelBatches(empty_dataset(texels, hours), batch_size, samples_per_epoch, seed=1)
    assert (batches.texels_per_batch, batches.steps_per_epoch) == expected
    drawn = list(batches.epoch(0, 0))
    assert len(drawn) == expected[1]
    assert all(len(batch) == expected[0] for batch in drawn)


sizes = {
    "texels": st.integers(1, 60),
    "hours": st.integers(1, 5),
    "batch_size": st.integers(1, 90),
    "samples": st.none() | st.integers(1, 700),
    "seed": st.integers(0, 2**31),
    "epoch": st.integers(0, 1000),
}


@given(**sizes, count=st.integers(1, 5))
@settings(deadline=None)
def test_processes_share_out_exactly_the_batch_of_one_process(texels, hours, batch_size, samples, seed, epoch, count):
    dataset = empty_dataset(texels, hours)
    shares = [TexelBatches(dataset, batch_size, samples, seed, rank, count) for rank in range(count)]
    together = shares[0].texels_per_batch * count
    streams = [list(share.epoch(epoch, 0)) for share in shares]
    assert len({len(stream) for stream in streams}) == 1, "every process takes equally many steps"
    if together <= texels:
        alone = TexelBatches(dataset, together * hours, samples, seed)
        whole = list(alone.epoch(epoch, 0))
        assert len(whole) == len(streams[0])
        for step, batch in enumerate(whole):
            assert torch.equal(torch.cat([stream[step] for stream in streams]), batch)
    if samples is None and together <= texels:
        drawn = torch.cat([batch for stream in streams for batch in stream])
        assert len(set(drawn.tolist())) == len(drawn), "no texel twice in an epoch"


@given(**sizes, start=st.integers(0, 80))
@settings(deadline=None)
def test_an_epoch_can_be_entered_anywhere(texels, hours, batch_size, samples, seed, epoch, start):
    batches = TexelBatches(empty_dataset(texels, hours), batch_size, samples, seed)
    whole = list(batches.epoch(epoch, 0))
    late = list(batches.epoch(epoch, start))
    assert len(late) == max(0, len(whole) - start)
    assert all(torch.equal(a, b) for a, b in zip(whole[start:], late, strict=True))
