import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import prepare_olat
from src.data.portrait import olat_stacks, random_light
from src.data.portrait.delit_dataset import DelitDataset
from src.data.portrait.layout import find_pairs
from src.data.portrait.olat_stacks import OlatStacks
from src.data.portrait.pair_batch import PairBatch
from src.data.portrait.picture_cache import PictureCache
from src.data.portrait.random_light import Light, RandomLight
from src.data.portrait.relight_batches import WILD, RelightBatches, RelightOptions
from src.data.portrait.stored_pairs import StoredPairs
from src.data.stage.captures import Stage, open_stage
from src.data.stage.lights import read_lights
from src.data.stage.olat import LightCells
from src.data.stage.settings import Settings
from src.utils.cli import InputError
from src.utils.image_io import list_images, read_mask, write_display
from src.utils.sphere import perspective_directions, sample_environment
from src.utils.sphere_torch import sample
from tests.tiny_stage import ball_normals, write_stage

CPU = torch.device("cpu")
SIZE = 10


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    root = write_stage(tmp_path_factory.mktemp("stage"), subjects=3)
    folders = ["--olat_root", str(root / "olat"), "--env_dir", str(root / "envs"), "--out_root", str(root / "set")]
    assert prepare_olat.main([*folders, "--workers", "1"]) == 0
    return root


def stage_of(root: Path) -> Stage:
    return open_stage(root / "olat")


def stacks_of(root: Path, cache: Path, image_size: int = SIZE, stage: Stage | None = None, **options) -> OlatStacks:
    return OlatStacks(stage or stage_of(root), PictureCache(cache), image_size, CPU, **options)


def make(
    root: Path,
    cache: Path,
    image_size: int = SIZE,
    env_size: tuple[int, int] = (16, 32),
    pairs: DelitDataset | None = None,
    stage: Stage | None = None,
    max_bytes: float = 2**30,
    **options,
) -> RelightBatches:
    has_lamps = "stage_lamps" in options.get("wild", ())
    light = RandomLight(list_images(root / "envs"), *env_size, PictureCache(cache), CPU, has_stage_lamps=has_lamps)
    stored = None if pairs is None else StoredPairs(pairs, CPU, max_bytes)
    options = RelightOptions(**{"batch_size": 6, "steps_per_epoch": 3, **options})
    return RelightBatches(stacks_of(root, cache, image_size, stage, max_bytes=max_bytes), light, stored, options)


def pairs_of(root: Path, image_size: int = SIZE) -> DelitDataset:
    return DelitDataset(find_pairs(root / "set"), image_size=image_size, env_height=16, env_width=32)


def tensors_of(batch: PairBatch) -> dict[str, torch.Tensor]:
    """All of them, those of ``other`` and ``stage`` as "other.shading"."""
    found = {}
    for name, value in vars(batch).items():
        within = {name: value} if isinstance(value, torch.Tensor) else {}
        if name in ("other", "stage") and value is not None:
            within = {f"{name}.{field}": tensor for field, tensor in vars(value).items()}
        found |= within
    return found


def assert_same(one: PairBatch, other: PairBatch) -> None:
    assert one.name == other.name
    a, b = tensors_of(one), tensors_of(other)
    assert a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_samples_are_the_subject_under_the_environment_that_comes_along(root, tmp_path):
    batches = make(root, tmp_path, batch_size=12, augment=False)
    normals, mask = (part[1:11] for part in ball_normals())  # the square about the middle
    inside = mask > 0
    lights = read_lights(root / "olat" / "lights.json")
    cosine = np.einsum("hwk,lk->hwl", normals, lights).clip(0, None) / np.pi
    cells = LightCells(lights)
    batch = batches.batch(0, 0)
    assert np.array_equal(batch.mask[0, 0], mask)
    for relit, flat_lit, environment in zip(batch.relit, batch.flat_lit, batch.environment, strict=True):
        # A white Lambertian ball's picture is irradiance / pi; this one's is its flat-lit albedo times that.
        light = cells.integrate(environment.movedim(0, -1).numpy())
        shading = cosine @ light / (cosine @ cells.solid_angles())[..., None].clip(1e-6, None)
        expected = flat_lit.movedim(0, -1).numpy() * shading
        np.testing.assert_allclose(relit.movedim(0, -1).numpy()[inside], expected[inside], rtol=0.01)


def test_flat_lit_is_what_preparing_the_set_writes(root, tmp_path):
    batch = make(root, tmp_path, augment=False).batch(0, 0)
    prepared = {item.name[0].split("/")[0]: item.flat_lit[0] for item in pairs_of(root)}
    for name, flat_lit, mask in zip(batch.name, batch.flat_lit, batch.mask, strict=True):
        torch.testing.assert_close(flat_lit, prepared[name.split("/")[0]] * (mask > 0), rtol=5e-3, atol=1e-4)


def test_the_background_is_the_environment_ahead(root, tmp_path):
    batch = make(root, tmp_path, augment=False, fov_degrees=50.0).batch(0, 0)
    rays = perspective_directions(SIZE, SIZE, 50.0)
    for relit, environment, mask in zip(batch.relit, batch.environment, batch.mask, strict=True):
        expected = sample_environment(environment.movedim(0, -1).numpy(), rays)
        outside = mask[0].numpy() == 0
        np.testing.assert_allclose(relit.movedim(0, -1).numpy()[outside], expected[outside], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("augment", [False, True])
def test_batches_have_the_shapes_that_are_promised(root, tmp_path, augment):
    batch = make(root, tmp_path, augment=augment, physical=True, pairs=pairs_of(root), batch_size=5).batch(1, 2)
    shapes = {key: tuple(value.shape) for key, value in tensors_of(batch).items()}
    side = batch.stage.olats.shape[-1]
    assert shapes == {
        "relit": (5, 3, SIZE, SIZE),
        "flat_lit": (5, 3, SIZE, SIZE),
        "mask": (5, 1, SIZE, SIZE),
        "environment": (5, 3, 16, 32),
        "other.environment": (4, 3, 16, 32),
        "other.shading": (4, 3, SIZE, SIZE),
        "stage.olats": (4, 24, 3, side, side),
        "stage.mask": (4, 1, side, side),
        "stage.light_matrix": (4, 24, 512),
        "stage.to_stage": (4, 16, 32, 2),
    }
    assert len(batch.name) == 5 and all("/" in name for name in batch.name)
    for key, value in tensors_of(batch).items():
        assert key == "stage.to_stage" or (value.isfinite().all() and value.min() >= 0), key
    assert batch.mask.max() <= 1 + 1e-6


# ---- the other light


@pytest.mark.parametrize("pairs", [False, True])
def test_the_other_shading_is_the_subject_under_the_other_environment(root, tmp_path, pairs):
    batch = make(root, tmp_path, batch_size=12, augment=False, pairs=pairs_of(root) if pairs else None).batch(0, 0)
    count = 12 - 2 * pairs
    assert len(batch.other.environment) == len(batch.other.shading) == count
    lights = read_lights(root / "olat" / "lights.json")
    cosine = np.einsum("hwk,lk->hwl", ball_normals()[0][1:11], lights).clip(0, None) / np.pi
    cells = LightCells(lights)
    inside = batch.mask[0, 0].numpy() > 0
    for shading, environment in zip(batch.other.shading, batch.other.environment, strict=True):
        light = cells.integrate(environment.movedim(0, -1).numpy())
        expected = cosine @ light / (cosine @ cells.solid_angles())[..., None].clip(1e-6, None)
        np.testing.assert_allclose(shading.movedim(0, -1).numpy()[inside], expected[inside], rtol=0.01)
    for one, other in zip(batch.environment[:count], batch.other.environment, strict=True):
        assert not torch.allclose(one, other, rtol=0.01)


def test_the_other_shading_is_moved_with_the_subject_and_whatever_its_skin(root, tmp_path):
    """White light from all around shades a subject alike everywhere, however it is turned and coloured."""
    batches = make(root, tmp_path, image_size=32, batch_size=12)
    batches.light = UniformLight(batches.light, 3.0)
    batch = batches.batch(0, 0)
    inside = (batch.mask > 0.99).expand_as(batch.other.shading)
    assert 0.2 < inside.float().mean() < 0.9
    shading = batch.other.shading[inside]
    torch.testing.assert_close(shading, torch.full_like(shading, 3.0), rtol=0.02, atol=0)


class UniformLight:
    """In place of light that is drawn: the same from everywhere."""

    def __init__(self, light: RandomLight, radiance: float) -> None:
        self.grid, self.directions, self._radiance = light.grid, light.directions, radiance

    def __call__(self, _random: torch.Generator, rotation: torch.Tensor) -> Light:
        maps = torch.full((len(rotation), 3, *self.directions.shape[:2]), self._radiance)
        return Light(maps, maps, ["white"] * len(rotation))


# ---- what the physical loss gets


def rendered(batch: PairBatch, environment: torch.Tensor) -> torch.Tensor:
    """The n subjects as captured under environments in the stage's frame."""
    light = torch.einsum("nlp,ncp->nlc", batch.stage.light_matrix, environment.flatten(2))
    return torch.einsum("nlc,nlchw->nchw", light, batch.stage.olats)


def test_olats_rerender_the_picture_itself_where_nothing_is_moved(root, tmp_path):
    batch = make(root, tmp_path, image_size=32, physical=True, augment=False).batch(0, 0)
    again = rendered(batch, sample(batch.environment, batch.stage.to_stage))
    inside = (batch.mask == 1).expand_as(again)
    assert inside.sum() > 1000
    torch.testing.assert_close(again[inside], batch.relit[inside], rtol=1e-3, atol=1e-4)


def test_the_moved_environment_finds_back_to_the_light_that_the_subject_was_relit_under(root, tmp_path, monkeypatch):
    batches = make(root, tmp_path, physical=True, env_size=(32, 64), batch_size=24)
    relit_under = []  # (subject, c_l) as captured, before the pose moves picture and light
    relight = batches.stacks.relight

    def record(k, coefficients):
        relit_under.extend((k, light) for light in coefficients[: len(coefficients) // 2])  # then the other light's
        return relight(k, coefficients)

    monkeypatch.setattr(batches.stacks, "relight", record)
    batch = batches.batch(0, 0)
    names = [capture.name for capture in batches.stacks.stage.captures]
    subjects = [names.index(name.split("/")[0]) for name in batch.name]
    order = sorted(range(24), key=subjects.__getitem__)
    assert [k for k, _ in relit_under] == [subjects[index] for index in order]
    light = torch.stack([light for _, light in relit_under])[np.argsort(order)]  # 24 x 3 x L
    truth = torch.einsum("ncl,nlchw->nchw", light, batch.stage.olats)

    def errors(environment: torch.Tensor) -> torch.Tensor:
        difference = (rendered(batch, environment) - truth) * batch.stage.mask
        return difference.flatten(1).norm(dim=1) / (truth * batch.stage.mask).flatten(1).norm(dim=1)

    found = errors(sample(batch.environment, batch.stage.to_stage))
    assert found.max() < 0.1 and found.mean() < 0.03  # the map is interpolated twice
    assert errors(batch.environment).mean() > 4 * found.mean()


def test_subjects_with_lights_of_their_own_are_lit_by_them(root, tmp_path):
    """One has its lights in another order, in a set of equal count; another is captured under half of them."""
    stage = stage_of(root)
    directions, order = stage.light_sets["stage"], np.random.default_rng(0).permutation(24)
    first, second, third = stage.captures
    mixed = Stage(
        (
            first,
            replace(second, light_set="other", images=tuple(second.images[k] for k in order)),
            replace(third, light_set="few", images=third.images[::2]),
        ),
        {"stage": directions, "other": directions[order], "few": directions[::2]},
    )
    options = {"augment": False, "physical": True, "batch_size": 12}
    expected = make(root, tmp_path, **options).batch(0, 0)
    batch = make(root, tmp_path, stage=mixed, **options).batch(0, 0)
    shaded = rendered(batch, sample(batch.environment, batch.stage.to_stage))
    truth = rendered(expected, sample(expected.environment, expected.stage.to_stage))
    seen = set()
    for index, name in enumerate(batch.name):
        seen.add(subject := name.split("/")[0])
        if subject == "ID003":  # fewer lights are another approximation of the same light
            assert batch.stage.olats[index, 12:].abs().max() == 0 and batch.stage.light_matrix[index, 12:].max() == 0
            inside = truth[index] > 0.01
            assert (shaded[index][inside] / truth[index][inside] - 1).abs().mean() < 0.2
        else:
            torch.testing.assert_close(batch.relit[index], expected.relit[index], rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(shaded[index], truth[index], rtol=1e-4, atol=1e-5)
    assert seen == {"ID001", "ID002", "ID003"}


def test_captures_are_taken_as_the_set_was_prepared(root, tmp_path):
    """Four times the exposure is four times the person, before the same background."""
    stage = stage_of(root)
    plain = make(root, tmp_path, augment=False, physical=True).batch(0, 0)
    bright_stage = replace(stage, settings=Settings(exposure=4.0))
    bright = make(root, tmp_path, stage=bright_stage, augment=False, physical=True).batch(0, 0)
    assert torch.equal(bright.environment, plain.environment)
    torch.testing.assert_close(bright.flat_lit, 4 * plain.flat_lit)
    torch.testing.assert_close(bright.relit * bright.mask, 4 * plain.relit * plain.mask)
    outside = (plain.mask == 0).expand_as(plain.relit)
    assert torch.equal(bright.relit[outside], plain.relit[outside])
    torch.testing.assert_close(bright.other.shading, plain.other.shading)
    torch.testing.assert_close(
        rendered(bright, bright.environment), 4 * rendered(plain, plain.environment), rtol=1e-4, atol=1e-5
    )


# ---- randomness


def test_batches_are_a_function_of_seed_epoch_index_and_rank(root, tmp_path):
    one, other = (make(root, tmp_path, seed=3, physical=True, pairs=pairs_of(root)) for _ in range(2))
    other.batch(5, 0)
    list(other.epoch(0, 0))
    assert_same(one.batch(2, 1), other.batch(2, 1))
    for index, batch in enumerate(one.epoch(2, 1), 1):
        assert_same(batch, other.batch(2, index))
    different = [one.batch(2, 1), one.batch(2, 2), one.batch(1, 1)]
    different += [make(root, tmp_path, seed=4).batch(2, 1), make(root, tmp_path, seed=3, rank=1).batch(2, 1)]
    for key in ("relit", "environment"):
        assert not any(
            torch.equal(getattr(a, key), getattr(b, key)) for i, a in enumerate(different) for b in different[:i]
        )


def test_the_same_seed_gives_the_batch_that_it_always_gave(root, tmp_path):
    """``stored/relit_batch.npz`` was written by an earlier version; of environments every fourth row and column."""
    batch = make(root, tmp_path, batch_size=5, seed=3, pairs=pairs_of(root)).batch(1, 2)
    with np.load(Path(__file__).parent / "stored" / "relit_batch.npz") as stored:
        assert batch.name == stored["name"].tolist()
        for name, values in {
            "relit": batch.relit,
            "flat_lit": batch.flat_lit,
            "mask": batch.mask,
            "environment": batch.environment[..., ::4, ::4],
            "other_environment": batch.other.environment[..., ::4, ::4],
            "other_shading": batch.other.shading,
        }.items():
            np.testing.assert_allclose(values, stored[name], rtol=1e-4, atol=1e-5, err_msg=name)


def test_no_light_is_seen_twice(root, tmp_path):
    batches = make(root, tmp_path, augment=False)
    maps = [light for epoch in range(3) for batch in batches.epoch(epoch, 0) for light in batch.environment]
    assert len(maps) == 3 * 3 * 6
    assert not any(torch.allclose(a, b, rtol=1e-3) for i, a in enumerate(maps) for b in maps[:i])


def test_an_epoch_has_its_steps_from_any_start(root, tmp_path):
    batches = make(root, tmp_path)
    assert [len(list(batches.epoch(0, start))) for start in (0, 2, 3)] == [3, 1, 0]


def test_every_subject_and_environment_takes_part(root, tmp_path):
    names = {name for batch in make(root, tmp_path, batch_size=64).epoch(0, 0) for name in batch.name}
    assert names == {f"ID00{subject}/env_00{environment}" for subject in (1, 2, 3) for environment in (1, 2, 3)}


# ---- pairs


@pytest.mark.parametrize(("share", "count"), [(0.2, 2), (0.0, 0), (1.0, 10)])
def test_pairs_have_their_share_of_a_batch(root, tmp_path, share, count):
    pairs = pairs_of(root)
    batches = make(root, tmp_path, batch_size=10, pairs=pairs, pair_share=share, augment=False, physical=True)
    batch = batches.batch(0, 0)
    items = {item.name[0]: item for item in pairs}
    as_rendered = 0
    for index, name in enumerate(batch.name):
        item = items[name]
        if torch.equal(batch.relit[index], item.relit[0]):
            as_rendered += 1
            torch.testing.assert_close(batch.environment[index], item.environment[0], rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(batch.flat_lit[index], item.flat_lit[0] * (item.mask[0] > 0))
    assert as_rendered == count and len(batch.stage.olats) == len(batch.stage.to_stage) == 10 - count


def test_augmented_pairs_are_moved_with_their_environment(root, tmp_path):
    pairs = pairs_of(root)
    batches = make(root, tmp_path, batch_size=40, pairs=pairs, pair_share=1.0)
    batch = batches.batch(0, 0)
    items = {item.name[0]: item for item in pairs}
    originals = torch.stack([items[name].environment[0] for name in batch.name])
    assert not any(torch.allclose(a, b, rtol=1e-2) for a, b in zip(batch.environment, originals, strict=True))
    # Turning and mirroring about the camera's axis takes each half-sphere, before and behind, into itself.
    columns = torch.arange(32)
    front = (columns < 8) | (columns >= 24)
    rows = torch.sin(torch.pi * (torch.arange(16) + 0.5) / 16)[:, None]
    for half in (front, ~front):
        power, before = ((maps * rows)[..., half].sum((1, 2, 3)) for maps in (batch.environment, originals))
        torch.testing.assert_close(power, before, rtol=0.1, atol=0)


# ---- files


def test_olats_are_read_once(root, tmp_path, monkeypatch):
    expected = make(root, tmp_path).batch(0, 0)
    monkeypatch.setattr(olat_stacks, "read_picture", lambda *_: pytest.fail("read again"))
    assert_same(make(root, tmp_path).batch(0, 0), expected)


@pytest.mark.parametrize("changed", ["mask.png", "013.exr"])
def test_changed_files_are_read_again(root, tmp_path, changed):
    own = Path(shutil.copytree(root, tmp_path / "own"))
    before = stacks_of(own, tmp_path / "cache")
    folder = own / "olat" / "ID002"
    if changed == "mask.png":
        write_display(folder / changed, np.roll(read_mask(folder / changed), -2, axis=0))  # another square is cut
    else:
        shutil.copy(folder / "002.exr", folder / changed)
    after = stacks_of(own, tmp_path / "cache")
    assert torch.equal(before.olats(0), after.olats(0))
    assert not torch.equal(before.olats(1), after.olats(1))


def test_stacks_too_large_for_memory_are_mapped_and_give_the_same(root, tmp_path):
    expected = make(root, tmp_path, physical=True).batch(0, 0)
    assert_same(make(root, tmp_path, physical=True, max_bytes=0).batch(0, 0), expected)


# ---- wrong input


def test_backgrounds_need_masks(root, tmp_path):
    stage = stage_of(root)
    stage = Stage(tuple(replace(capture, mask=None) for capture in stage.captures), stage.light_sets)
    with pytest.raises(InputError, match=r"ID001: has no mask\.png"):
        stacks_of(root, tmp_path, stage=stage)


def test_nothing_to_train_on_is_said(root, tmp_path):
    stage = stage_of(root)
    with pytest.raises(InputError, match=r"--olat_root: no captures to train on"):
        stacks_of(root, tmp_path, stage=Stage((), stage.light_sets))
    with pytest.raises(InputError, match=r"--env_dir: no environments to train on"):
        RandomLight([], 16, 32, PictureCache(tmp_path), CPU)


def test_black_environments_light_nobody_but_stay_finite(root, tmp_path, monkeypatch):
    monkeypatch.setattr(random_light, "read_environment", lambda _: np.zeros((16, 32, 3), np.float32))
    batch = make(root, tmp_path, batch_size=16).batch(0, 0)
    assert all(value.isfinite().all() for value in tensors_of(batch).values())


# ---- in the wild


@pytest.mark.parametrize("name", WILD)
def test_every_switch_changes_the_batch(root, tmp_path, name):
    options = {"batch_size": 64, "pairs": pairs_of(root, 16), "image_size": 16}
    plain = make(root, tmp_path, **options).batch(0, 0)
    varied = make(root, tmp_path, wild=frozenset({name}), **options).batch(0, 0)
    assert not torch.equal(plain.relit, varied.relit)
    for key, value in tensors_of(varied).items():
        assert value.isfinite().all() and (value.min() >= 0 or key == "stage.to_stage"), key


def test_everything_at_once_is_a_function_of_the_seed(root, tmp_path):
    options = {"wild": frozenset(WILD), "physical": True, "pairs": pairs_of(root)}
    one, other = (make(root, tmp_path, **options).batch(1, 2) for _ in range(2))
    assert_same(one, other)


def test_tinted_people_are_those_that_say_nothing_of_the_light(root, tmp_path):
    """Of the split nothing but the colour of skin is changed: whoever has a light is as without any tint."""
    batches = make(root, tmp_path, wild=frozenset({"skin_split"}), batch_size=16)
    batch = batches.batch(0, 0)
    own = torch.stack([batches.stacks.flat_lit[int(name[2:5]) - 1] for name in batch.name])
    ratio = [
        (flat[:, mask[0] > 0.99].mean(1) / skin[:, skin.amin(0) > 0.05].mean(1)).sub(1).abs().max()
        for flat, mask, skin in zip(batch.flat_lit, batch.mask, own, strict=True)
    ]
    known = batch.has_environment.tolist()
    assert 3 < sum(known) < 13
    assert max(r for r, is_known in zip(ratio, known, strict=True) if is_known) < 0.1
    assert np.mean([float(r) for r, is_known in zip(ratio, known, strict=True) if not is_known]) > 0.1
