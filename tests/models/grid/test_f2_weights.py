import torch
from torch import Tensor

from src.models.grid.config import GridConfig
from src.models.grid.f2_weights import F2Weights


def test_arrays_are_named_in_their_stored_order() -> None:
    config = GridConfig(2, 2, (0.0, 12.0), latent_dim=5, hidden_f2=4, layers_f2=3)
    arrays = [torch.randn(shape) for shape in config.f2_shapes]
    f2 = F2Weights.from_arrays(arrays)
    assert [(tuple(weight.shape), tuple(bias.shape)) for weight, bias in f2.hidden] == [((5, 4), (4,))] + 2 * [
        ((4, 4), (4,))
    ]
    assert tuple(f2.hour_weight.shape) == (9, 6) and tuple(f2.hour_bias.shape) == (6,)
    assert all(a is b for a, b in zip(f2.arrays(), arrays, strict=True))
    assert all(array.dtype == torch.float16 for array in f2.map(Tensor.half).arrays())


def test_features_are_the_latent_and_what_the_layers_make_of_it() -> None:
    f2 = F2Weights(((torch.tensor([[1.0, -2.0]]), torch.tensor([0.5, 0.0])),), torch.zeros(3, 3), torch.zeros(3))
    assert f2.features(torch.tensor([[1.0], [-1.0]])).tolist() == [[1.0, 1.5, 0.0], [-1.0, 0.0, 2.0]]
