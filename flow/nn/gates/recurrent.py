"""Recurrent layer gate: RNNGate of EnergyNet (Wang et al., 2018, Fig. 2) and SkipNet, G^L of DDI (Wang et al., JSTSP 2020,
Fig. 2a)."""

import torch
from torch import Tensor, nn

from flow.nn import fixed_point
from flow.nn.gates.unit import INITIAL_BIAS
from flow.nn.linear import SwitchableLinear
from flow.nn.spec import LayerSpec

HIDDEN = 10


class LayerGate(nn.Module):
    """Probability that a block is worth running, from the map it reads and from what was decided before.

    Global average, 1x1 projection to 10, LSTM with 10 hidden units, linear layer to one output, sigmoid; 8-bit weights. All
    blocks share the weights; only the projection exists once per channel count. Where the network is quantised, all between the
    projection and the last sum is fixed point, as ``flow.graph.lstm`` defines it.

    Args:
        widths: channel counts of the maps.

    Attributes:
        exact: see ``ConvGate``.
    """

    exact = True

    def __init__(self, widths: list[int]):
        super().__init__()
        self.quantised = True
        self.widths = sorted(set(widths))
        for width in self.widths:
            self.add_module(f"project{width}", SwitchableLinear(width, HIDDEN, switchable=False))
        self.lstm = SwitchableLinear(2 * HIDDEN, 4 * HIDDEN, switchable=False)
        self.output = SwitchableLinear(HIDDEN, 1, switchable=False)
        nn.init.constant_(self.output.bias, INITIAL_BIAS)

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """One step.

        Args:
            x: map [N, C, H, W].
            state: what the step before gave for these images; None: zeros.

        Returns:
            Probabilities [N], and the state: hidden and cell vectors [N, 10].
        """
        if state is None:
            zeros = x.new_zeros(x.shape[0], HIDDEN)
            state = zeros, zeros
        hidden, cell = state
        fixed, sigmoid, tanh = (
            (fixed_point.fixed, fixed_point.sigmoid, fixed_point.tanh)
            if self.quantised
            else (nn.Identity(), torch.sigmoid, torch.tanh)
        )
        projected = fixed(getattr(self, f"project{x.shape[1]}")(x.mean((2, 3))))
        enter, forget, candidate, leave = fixed(self.lstm(torch.cat([projected, hidden], 1))).chunk(4, 1)
        cell = fixed(sigmoid(forget) * cell + sigmoid(enter) * tanh(candidate))
        hidden = fixed(sigmoid(leave) * tanh(cell))
        return torch.sigmoid(self.output(hidden)[:, 0]), (hidden, cell)

    def steps(self, channels: int) -> list[str]:
        """Names of the layers that run for a map of ``channels`` channels."""
        return [f"project{channels}", "lstm", "output"]

    def layers(self, in_size: int = 1) -> list[LayerSpec]:
        """Its layers, named relative to the gate; they work on averages, whatever ``in_size`` is."""

        def linear(name: str, source: str) -> LayerSpec:
            module = getattr(self, name)
            return LayerSpec(name, "linear", module.in_features, module.out_features, 1, 1, 1, 1, (1,), source)

        projections = [linear(f"project{width}", "map") for width in self.widths]
        return [*projections, linear("lstm", projections[0].name), linear("output", "lstm")]
