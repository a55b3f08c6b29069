"""No tensor is made on the wrong device: losses of all models on a GPU that is only pretended.

Under ``FakeTensorMode`` tensors have shapes and devices but no values, and an operation on two devices fails as it
would on a machine with a GPU.
"""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from src.data.lightmap.block_batches import BlockBatch, BlockBatches
from src.data.lightmap_dataset import LightmapDataset
from src.data.portrait.augmentation import move, random_pose, skin_factor
from src.losses.delit_environment import sphere_grid
from src.losses.delit_loss import DelitLoss, DelitLossOptions
from src.losses.delit_loss_check import sample_tensors
from src.models.compressor import CompressorConfig, LightmapCompressor
from src.models.delit_model import ARCHITECTURES, DelitConfig, DelitModel, measure_exposure
from src.models.grid.config import GridConfig
from src.models.grid.latent_grid import LatentGrid
from src.tasks import grid_task
from src.tasks.grid_task import GridTask
from src.tasks.siren_task import SirenTask
from src.training.distributed import Processes
from src.utils.seeding import generator

GPU = torch.device("cuda", 0)
HOURS = (0.0, 6.0, 12.0, 18.0)
HEIGHT, WIDTH = 12, 10


@pytest.fixture
def pretended():
    """The mode, to be entered. Real CPU tensors may come in, as constants do, and must be moved to meet the GPU's."""
    sphere_grid.cache_clear()
    yield FakeTensorMode(allow_non_fake_inputs=True)
    sphere_grid.cache_clear()


def on_gpu(module: torch.nn.Module) -> torch.nn.Module:
    """``module.to("cuda")``: parameters and buffers move, other attributes stay where they are."""
    for part in module.modules():
        for name, value in part._parameters.items():
            if value is not None:
                moved = torch.empty(value.shape, dtype=value.dtype, device=GPU)
                part._parameters[name] = torch.nn.Parameter(moved, requires_grad=value.requires_grad)
        for name, value in part._buffers.items():
            if value is not None:
                part._buffers[name] = torch.empty(value.shape, dtype=value.dtype, device=GPU)
    return module


def test_a_pretended_gpu_refuses_tensors_of_the_cpu(pretended):
    with pretended, pytest.raises(RuntimeError, match="devices"):
        torch.ones(3, device=GPU) + torch.ones(3)


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("env_codec", ["log", "dual"])
def test_delighting(pretended, arch, env_codec):
    model = DelitModel(
        DelitConfig(arch=arch, image_size=64, base_dim=32, env_height=16, env_width=32, env_codec=env_codec)
    )
    loss = DelitLoss(DelitLossOptions(lambda_physical=1.0, use_mask=True), model.codec)
    _, batch = sample_tensors(model.codec)
    with pretended:
        on_gpu(model)
        terms = loss(model(batch.relit.to(GPU)), batch.to(GPU))
        assert all(value.device == GPU for value in terms.values())
        with torch.no_grad():
            output = model(batch.relit.to(GPU))
            assert model.environment(output).device == measure_exposure(batch.relit.to(GPU)).device == GPU


def day(is_radiance: bool) -> LightmapDataset:
    mask = torch.ones(HEIGHT, WIDTH, dtype=torch.bool)
    texels = torch.rand(HEIGHT * WIDTH, len(HOURS), 3)
    return LightmapDataset(texels, mask, HOURS, is_radiance=is_radiance)


def to_gpu(record: object, seen: set | None = None) -> None:
    """Move the tensors that an object of ours holds, and those of lists and objects within it."""
    seen = set() if seen is None else seen
    if id(record) in seen:
        return
    seen.add(id(record))
    for name, value in list(vars(record).items()):
        if isinstance(value, torch.Tensor):
            setattr(record, name, torch.empty(value.shape, dtype=value.dtype, device=GPU))
        elif isinstance(value, list) and value and isinstance(value[0], torch.Tensor):
            setattr(record, name, [torch.empty(one.shape, dtype=one.dtype, device=GPU) for one in value])
        elif type(value).__module__.startswith("src.") and hasattr(value, "__dict__"):
            to_gpu(value, seen)


@pytest.mark.parametrize("is_radiance", [False, True])
@pytest.mark.parametrize("amp", [False, True])
def test_a_siren(pretended, is_radiance, amp):
    scale = ((1.0,) * len(HOURS), 1.0) if is_radiance else ()
    model = LightmapCompressor(CompressorConfig(HEIGHT, WIDTH, HOURS, 8, 8, 2, 8, 2, 2, *scale))
    task = SirenTask(model, day(is_radiance), Processes(0, 1, torch.device("cpu")))
    with pretended:
        on_gpu(task)
        to_gpu(task.dataset)
        with torch.autocast("cuda", torch.bfloat16, enabled=amp):
            terms = task(torch.zeros(30, dtype=torch.int64, device=GPU))
        assert terms["loss"].device == GPU


def test_a_grid(pretended, monkeypatch):
    monkeypatch.setattr(grid_task, "on_device", lambda _random, _device: None)  # there is no generator on a GPU
    data = day(True)
    model = LatentGrid(GridConfig(HEIGHT, WIDTH, HOURS, latent_dim=3, blocks=True), data.mask)
    task = GridTask(model, data, 1000.0, 0)
    (batch,) = BlockBatches(model.layout.texels, model.layout.count, 9, 0, torch.device("cpu")).epoch(0, 0)
    task._checked, task._is_rounded = 0, True  # what size latents have depends on values, which are not there
    with pretended:
        on_gpu(task)
        to_gpu(task)
        batch = BlockBatch(*(part.to(GPU) for part in batch))
        for progress in (0.0, 0.9):  # before and after latents are frozen
            task.progress = progress
            assert task(batch)["loss"].device == GPU


def test_the_pose_and_skin_of_a_batch(pretended):
    with pretended:
        random = generator(1)
        pictures = torch.empty(4, 4, 16, 16, device=GPU)
        moved = move(pictures, random_pose(random, 4, 16, GPU))
        assert moved.device == skin_factor(random, moved[:, :3], moved[:, 3:]).device == GPU
