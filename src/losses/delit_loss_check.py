"""Each term of the delighting loss on sample tensors: its value, and the norm of its gradient.

python -m src.losses.delit_loss [--env_codec dual] [--lpips_net alex] [--lpips_weights FILE]
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from src.data.portrait.pair_batch import OtherLight, PairBatch, StageView
from src.losses.delit_loss import ENV_LOSSES, DelitLoss, DelitLossOptions
from src.models.delit.outputs import Delit
from src.utils import cli
from src.utils.hdr_codec import CODECS, Codec, make_codec
from src.utils.metrics import LPIPS_BACKBONES, load_lpips
from src.utils.sphere import pixel_directions, pixel_solid_angles, voronoi_cells
from src.utils.sphere_torch import sampling_grid

LPIPS_WEIGHT = 0.1


def sample_tensors(codec: Codec, size: int = 64, rows: int = 16, lights: int = 12) -> tuple[Delit, PairBatch]:
    """An output (leaves that need gradients) and a batch of 2 of smooth random pictures, environments and OLATs."""
    generator = torch.Generator().manual_seed(0)

    def smooth(*shape: int) -> Tensor:
        coarse = torch.rand(*shape[:-2], 4, 4, generator=generator).flatten(0, -4)
        return F.interpolate(coarse, shape[-2:], mode="bilinear").reshape(shape)

    directions = torch.randn(lights, 3, generator=generator)
    directions = (directions / directions.norm(dim=1, keepdim=True)).numpy()
    cells = torch.from_numpy(voronoi_cells(directions, rows, 2 * rows)).long().flatten()
    solid_angles = torch.from_numpy(pixel_solid_angles(rows, 2 * rows)).float().flatten()
    sun = torch.from_numpy(pixel_directions(rows, 2 * rows) @ directions[0]).float()
    environment = smooth(2, 3, rows, 2 * rows) + 50 * (20 * (sun - 1)).exp()
    flat_lit = smooth(2, 3, size, size)
    mask = (smooth(2, 1, size, size) > 0.4).float()
    light_matrix = F.one_hot(cells, lights).T * solid_angles
    transfer = smooth(2, lights, size // 4, size // 4)
    output = Delit(
        flat_lit=flat_lit * 1.3,
        environment_code=codec.encode(environment * (0.2 + smooth(2, 3, rows, 2 * rows))),
        exposure=torch.ones(2, 1, 1, 1),
        confidence=smooth(2, 1, rows, 2 * rows),
        mask=smooth(2, 1, size, size),
        transfer=transfer / transfer.sum(dim=1, keepdim=True),
        lobes=light_matrix / light_matrix.sum(dim=1, keepdim=True).clamp_min(1e-6),
        flat_error=0.1 + smooth(2, 1, size, size),
    )
    batch = PairBatch(
        relit=flat_lit * smooth(2, 1, size, size),
        flat_lit=flat_lit,
        mask=mask,
        environment=environment,
        name=["first", "second"],
        other=OtherLight(environment.flip(0), smooth(2, 3, size, size)),
        stage=StageView(
            olats=smooth(2, lights, 3, size // 4, size // 4),
            mask=F.interpolate(mask, (size // 4, size // 4), mode="area"),
            light_matrix=light_matrix.expand(2, -1, -1),
            to_stage=sampling_grid(torch.from_numpy(pixel_directions(rows, 2 * rows)), rows, 2 * rows).expand(
                2, -1, -1, -1
            ),
        ),
    )
    for name in ("flat_lit", "environment_code", "confidence", "mask", "transfer", "flat_error"):
        getattr(output, name).requires_grad_(True)
    return output, batch


@cli.script
def main(argv: Sequence[str] | None = None) -> int:
    parser = cli.Parser(__doc__)
    parser.add_argument("--env_codec", choices=CODECS, default="log", help="how radiance becomes codes in [0, 1]")
    parser.add_argument("--lpips_net", choices=tuple(LPIPS_BACKBONES), default="alex")
    parser.add_argument("--lpips_weights", help="the backbone's file; otherwise torch's cache is looked into")
    args = parser.parse_args(argv)

    codec = make_codec(args.env_codec)
    output, batch = sample_tensors(codec)
    leaves = [value for value in output if value is not None and value.requires_grad]
    lpips = skipped = None
    try:
        lpips = load_lpips(args.lpips_net, args.lpips_weights)
    except cli.InputError as error:
        if args.lpips_weights is not None:
            raise
        skipped = error

    lpips_weight = 0.0 if lpips is None else LPIPS_WEIGHT
    for env_loss in ENV_LOSSES:
        options = DelitLossOptions(lambda_flat_lpips=lpips_weight, lambda_physical=1.0, env_loss=env_loss)
        terms = DelitLoss(options, codec, lpips)(output, batch)
        print(f"--env_loss {env_loss}\n  {'term':<15} {'value':>9} {'|gradient|':>11}")
        for name, value in terms.items():
            gradients = torch.autograd.grad(value, leaves, retain_graph=True, allow_unused=True)
            norm = torch.cat([gradient.flatten() for gradient in gradients if gradient is not None]).norm()
            print(f"  {name:<15} {value.item():>9.5f} {norm.item():>11.6f}")
    if skipped is not None:
        print(f"flat_lpips skipped: {skipped}")
    return 0
