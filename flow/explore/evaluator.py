"""Accuracy of many group vectors of one network on the same images, computing again only what changed."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flow.errors import GatefoldError
from flow.graph.layers import IMAGE
from flow.models.integer import requantise
from flow.nn.groups import block_diagonal
from flow.nn.shuffle import ChannelShuffle

BATCH = 50


@dataclass
class Evaluation:
    """What an evaluation found.

    Attributes:
        accuracy: 0..1.
        states: layer name to the state of its batch normalisation, of the layers that were computed.
    """

    accuracy: float
    states: dict[str, dict[str, Tensor]]


class Evaluator:
    """Accuracy with the integers of the hardware, batch normalisation with the statistics of the evaluated network.

    Statistics are measured layer after layer on calibration images (for US-Net, Yu and Huang do so after training; here a
    mixed group vector is a network that training has hardly seen). The outputs of all layers are kept for one group vector,
    the base; another one only computes the layers that differ and those that read them.

    Args:
        model: quantised network on a processor.
        images: uint8 [N, H, W, 3]; labels: int64 [N].
        calibration: uint8 [M, H, W, 3], other training images.
    """

    def __init__(self, model: nn.Module, images: np.ndarray, labels: np.ndarray, calibration: np.ndarray):
        if not model.quantised:
            raise GatefoldError(f"{model.name} computes in floating point; train it with 4-bit numbers before the search.")
        if len(images) == 0 or len(calibration) == 0:
            raise GatefoldError("A search needs held-out images and others for the statistics; give at least one of each.")
        self.specs = model.layers()
        self._integers = {spec.name: model.integer_layer(spec.name) for spec in self.specs}
        self._labels = torch.from_numpy(labels)
        calibrated = _batches(calibration)
        self._calibrated = len(calibrated)
        self._images = calibrated + _batches(images)
        self._base: dict[str, int] | None = None
        self._kept: dict[str, list[Tensor]] = {}
        self._states: dict[str, dict[str, Tensor]] = {}

    def rebase(self, vector: dict[str, int]) -> Evaluation:
        """Evaluate a group vector and keep the outputs of its layers; gives the states of all layers."""
        outputs, states = self._compute(vector, keep=True)
        self._kept.update(outputs)
        self._states.update(states)
        self._base = dict(vector)
        return Evaluation(self._accuracy(self._kept), dict(self._states))

    def evaluate(self, vector: dict[str, int]) -> Evaluation:
        """Evaluate a group vector (layer name to group count)."""
        outputs, states = self._compute(vector, keep=self._base is None)
        return Evaluation(self._accuracy(outputs or self._kept), states)

    def _accuracy(self, outputs: dict[str, list[Tensor]]) -> float:
        logits = torch.cat(outputs[self.specs[-1].name][self._calibrated :])
        return float((logits.argmax(1) == self._labels).double().mean())

    def _changed(self, vector: dict[str, int]) -> list:
        """Layers whose outputs differ from the kept ones."""
        changed, names = [], set()
        for spec in self.specs:
            if self._base is None or vector[spec.name] != self._base[spec.name] or names & {spec.input, spec.residual}:
                changed.append(spec)
                names.add(spec.name)
        return changed

    @torch.no_grad()
    def _compute(self, vector: dict[str, int], keep: bool) -> tuple[dict, dict]:
        """Outputs and states of the changed layers; unless they are to be kept, outputs are dropped after their last use."""
        changed = self._changed(vector)
        last_use = {name: i for i, spec in enumerate(changed) for name in (spec.input, spec.residual)}
        outputs, states = {}, {}
        for i, spec in enumerate(changed):
            sources = [
                self._images if name == IMAGE else outputs.get(name) or self._kept[name]
                for name in (spec.input, spec.residual)
                if name is not None
            ]
            if spec.kind == "linear":
                outputs[spec.name] = self._linear(spec, *sources)
            else:
                outputs[spec.name], states[spec.name] = self._convolution(spec, vector[spec.name], *sources)
            if not keep:
                for name in [name for name in outputs if last_use.get(name, len(changed)) <= i]:
                    del outputs[name]
        return outputs, states

    def _linear(self, spec, inputs: list[Tensor]) -> list[Tensor]:
        integers = self._integers[spec.name]
        weight, bias = (torch.from_numpy(value).double() for value in (integers.weight, integers.bias))
        return [x @ weight.t() + bias for x in inputs]

    def _convolution(self, spec, n: int, inputs: list[Tensor], residuals: list[Tensor] | None = None):
        """(outputs, state): maps are uint8, sums float64 [N, C]."""
        integers = self._integers[spec.name]
        weight = block_diagonal(torch.from_numpy(integers.weight).float(), n).contiguous(memory_format=torch.channels_last)

        def accumulate(x: Tensor) -> Tensor:
            x = x.float().contiguous(memory_format=torch.channels_last)
            return F.conv2d(x, weight, None, spec.stride, spec.kernel // 2, 1, n)

        sums = [accumulate(x) for x in inputs[: self._calibrated]]
        state = integers.recalibrated(n, *_statistics(sums))
        constants = integers.affine_of_state(state, n)
        shuffle = ChannelShuffle(spec.out_channels) if spec.shuffle else nn.Identity()
        outputs = []
        for i, x in enumerate(inputs):
            acc = sums[i] if i < self._calibrated else accumulate(x)
            y = shuffle(requantise(acc, *constants, None if residuals is None else residuals[i]))
            outputs.append(y.double().sum((2, 3)) if spec.pool else y.to(torch.uint8))
        return outputs, state


def _batches(images: np.ndarray) -> list[Tensor]:
    return [
        torch.from_numpy(np.ascontiguousarray(images[at : at + BATCH])).permute(0, 3, 1, 2) for at in range(0, len(images), BATCH)
    ]


def _statistics(sums: list[Tensor]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and unbiased variance per channel of integer maps [N, C, H, W], float64 [C]."""
    count = sum(acc.numel() // acc.shape[1] for acc in sums)
    mean = sum(acc.sum((0, 2, 3), dtype=torch.float64) for acc in sums) / count
    square = sum((acc.double() - mean[None, :, None, None]).square().sum((0, 2, 3)) for acc in sums)
    return mean.numpy(), (square / max(count - 1, 1)).numpy()
