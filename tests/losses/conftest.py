import pytest
import torch

from src.utils.metrics import LPIPS_BACKBONES, load_lpips


@pytest.fixture(scope="session")
def random_backbone(tmp_path_factory):
    """Random weights of AlexNet's convolutions: the distances mean nothing, the formula and the gradient are real."""
    pytest.importorskip("lpips")
    torch.manual_seed(0)
    sizes = {0: (3, 64, 11), 3: (64, 192, 5), 6: (192, 384, 3), 8: (384, 256, 3), 10: (256, 256, 3)}
    features = torch.nn.ModuleDict({str(index): torch.nn.Conv2d(*size) for index, size in sizes.items()})
    file = tmp_path_factory.mktemp("lpips") / LPIPS_BACKBONES["alex"]
    torch.save({f"features.{name}": value for name, value in features.state_dict().items()}, file)
    return file


@pytest.fixture(scope="session")
def lpips(random_backbone):
    return load_lpips("alex", random_backbone)
