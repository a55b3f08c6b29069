"""F2 at one hour as a graph of the operations that small runtimes have, such as Unity's inference package.

Opset 13; every tensor is float32, but for the truth of comparisons, which becomes float32 at once. At one hour the
hours' weights are blended first, so that a texel costs one small network, whatever the number of baked hours.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from src.models.f2 import F2
from src.models.grid.engine_f2 import GridF2
from src.models.hour_lookup import HourLookup
from src.models.radiance_f2 import RadianceF2
from src.utils.hour_interpolation import HOURS_PER_DAY, SNAP_HOURS

OPSET = 13
IR_VERSION = 7  # of the same time
NEVER = 1e6  # an hour that no hour of the day reaches


class Graph:
    """A graph that grows node by node. Values are known by their names."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[TensorProto] = []

    def constant(self, values: ArrayLike | Tensor) -> str:
        """Any numbers, as float32."""
        if isinstance(values, Tensor):
            values = values.detach().cpu().numpy()
        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(values, np.float32), name))
        return name

    def add(self, operation: str, *inputs: str, out: str = "", **attributes: Any) -> str:
        """A node with one output, whose name is returned."""
        out = out or f"v{len(self._nodes)}"
        self._nodes.append(helper.make_node(operation, list(inputs), [out], **attributes))
        return out

    def at_least(self, value: str, limits: ArrayLike) -> str:
        """1 where ``value`` reaches ``limits``, else 0."""
        return self.add("Cast", self.add("GreaterOrEqual", value, self.constant(limits)), to=TensorProto.FLOAT)

    def model(self, latent_dim: int) -> onnx.ModelProto:
        graph = helper.make_graph(
            self._nodes,
            "f2_at_hour",
            [
                helper.make_tensor_value_info("z", TensorProto.FLOAT, ["texels", latent_dim]),
                helper.make_tensor_value_info("hour", TensorProto.FLOAT, [1]),
            ],
            [helper.make_tensor_value_info("rgb", TensorProto.FLOAT, ["texels", 3])],
            self._constants,
        )
        opset = [helper.make_opsetid("", OPSET)]
        return helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION, producer_name="airender")


def at_hour(f2: nn.Module) -> onnx.ModelProto:
    """``(z N x latent_dim, hour 1) -> rgb N x 3`` of :class:`GridF2`, :class:`F2` or :class:`RadianceF2`."""
    graph = Graph()
    day = graph.constant(HOURS_PER_DAY)
    days = graph.add("Floor", graph.add("Div", "hour", day))
    hour = graph.add("Sub", "hour", graph.add("Mul", days, day))  # in [0, 24)
    if isinstance(f2, GridF2):
        _grid(graph, f2, hour)
    elif isinstance(f2, F2):
        _siren(graph, f2, hour)
    else:
        raise TypeError(type(f2).__name__)
    return graph.model(f2.latent_dim)


def _hour_weights(graph: Graph, lookup: HourLookup, hour: str) -> str:
    """T x 1: how much of each baked hour is in ``hour`` of [0, 24), as :class:`HourLookup` has it.

    Frame t fades in through interval t - 1 and out through interval t. Comparisons are with limits rounded as hours
    are, never with differences of such: float32 keeps 18.1 to 4e-7, and an event at 18.1 still switches there.
    """
    starts, lengths, steps = (values.numpy()[:, None] for values in (lookup.starts, lookup.lengths, lookup.steps))
    today = graph.at_least(hour, starts[0] - SNAP_HOURS)
    waits = graph.add("Sub", graph.constant(1.0), today)  # before the first frame: the day before goes on
    hour = graph.add("Add", hour, graph.add("Mul", waits, graph.constant(HOURS_PER_DAY)))
    begins = starts - SNAP_HOURS
    begins[0] = 0.0
    ends = np.append(begins[1:], [[NEVER]], axis=0)
    switches = np.where(np.isnan(steps), NEVER, starts + np.fmax(steps - SNAP_HOURS, 2 * SNAP_HOURS))
    fades = np.isnan(steps)

    def interval(shift: int) -> tuple[str, str]:
        """Whether the hour lies in the interval ``shift`` before that of each frame, and the share of its second."""
        own = [np.roll(values, shift, axis=0) for values in (begins, ends, starts, lengths, switches, fades)]
        begin, end, start, length, switch, fade = own
        inside = graph.add("Sub", graph.at_least(hour, begin), graph.at_least(hour, end))
        faded = graph.add("Mul", graph.add("Sub", hour, graph.constant(start)), graph.constant(fade / length))
        faded = graph.add("Max", graph.constant(0.0), graph.add("Min", graph.constant(1.0), faded))
        return inside, graph.add("Add", faded, graph.at_least(hour, switch))

    inside, share = interval(0)
    fades_out = graph.add("Mul", inside, graph.add("Sub", graph.constant(1.0), share))
    return graph.add("Add", fades_out, graph.add("Mul", *interval(1)))


def _grid(graph: Graph, f2: GridF2, hour: str) -> None:
    weights = _hour_weights(graph, f2.lookup, hour)
    scaled = f2.hour_weight * f2.frame_scale[:, None]  # F x T x 3
    columns = [graph.add("MatMul", graph.constant(scaled[:, :, k]), weights) for k in range(3)]
    weight = graph.add("Concat", *columns, axis=1)  # F x 3
    bias = graph.constant(f2.hour_bias * f2.frame_scale[:, None])
    bias = graph.add("MatMul", graph.add("Transpose", weights, perm=[1, 0]), bias)  # 1 x 3
    h, hidden = "z", list(f2.hidden)
    for layer_weight, layer_bias in zip(hidden[::2], hidden[1::2], strict=True):
        h = graph.add("Relu", graph.add("Gemm", h, graph.constant(layer_weight), graph.constant(layer_bias)))
    colours = graph.add("MatMul", graph.add("Concat", "z", h, axis=1), weight)
    colours = graph.add("Add", colours, bias)
    if f2.is_radiance:
        graph.add("Relu", colours, out="rgb")
    else:
        graph.add("Min", graph.add("Relu", colours), graph.constant(1.0), out="rgb")


def _siren(graph: Graph, f2: F2, hour: str) -> None:
    first, *others = f2.siren.sine_layers
    weight = first.scaled_weight()
    of_z, of_hour = weight[:, : f2.latent_dim], weight[:, f2.latent_dim :]
    angles = graph.add("Mul", hour, graph.constant(2 * np.pi / HOURS_PER_DAY * f2.harmonics.double()[None]))
    sines = graph.add("MatMul", graph.add("Sin", angles), graph.constant(of_hour[:, 0::2].T))
    cosines = graph.add("MatMul", graph.add("Cos", angles), graph.constant(of_hour[:, 1::2].T))
    hour_part = graph.add("Add", graph.add("Add", sines, cosines), graph.constant(first.scaled_bias()))
    h = graph.add("Sin", graph.add("Add", graph.add("MatMul", "z", graph.constant(of_z.T)), hour_part))
    for layer in others:
        h = graph.add("Gemm", h, graph.constant(layer.scaled_weight().T), graph.constant(layer.scaled_bias()))
        h = graph.add("Sin", h)
    head = f2.siren.head
    colours = graph.add("Gemm", h, graph.constant(head.weight.T), graph.constant(head.bias))
    if not isinstance(f2, RadianceF2):
        graph.add("Sigmoid", colours, out="rgb")
        return
    codes = graph.add("Pow", graph.add("Sigmoid", colours), graph.constant(f2.transfer_gamma))
    weights = graph.add("Transpose", _hour_weights(graph, f2.lookup, hour), perm=[1, 0])
    scale = graph.add("MatMul", weights, graph.constant(f2.transfer_scale[:, None]))  # 1 x 1
    graph.add("Mul", codes, scale, out="rgb")
