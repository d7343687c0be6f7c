"""Accuracy of many group vectors of one network on the same images, computing again only what changed."""

from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional as F

from flow.engine.graph import IMAGE
from flow.errors import GatefoldError
from flow.nn.groups import block_diagonal
from flow.nn.quantisers import ACTIVATION_MAX
from flow.nn.shuffle import ChannelShuffle

BATCH = 50


class Evaluator:
    """Accuracy with the integers of the hardware.

    The outputs of all layers are kept for one group vector, the base; another vector only computes the layers that differ and
    those that read them.

    Args:
        model: quantised network on a processor.
        images: uint8 [N, H, W, 3]; labels: int64 [N].
    """

    def __init__(self, model, images: np.ndarray, labels: np.ndarray):
        if not model.quantised:
            raise GatefoldError(f"{model.name} computes in floating point; train it with 4-bit numbers before the search.")
        self.specs = model.layers()
        self._integers = {spec.name: model.integer_layer(spec.name) for spec in self.specs}
        self._labels = torch.from_numpy(labels)
        self._batches = [
            torch.from_numpy(np.ascontiguousarray(images[at : at + BATCH])).permute(0, 3, 1, 2)
            for at in range(0, len(images), BATCH)
        ]
        self._base: dict[str, int] | None = None
        self._kept: list[dict[str, torch.Tensor]] = [{} for _ in self._batches]

    def rebase(self, vector: dict[str, int]) -> float:
        """Keep the outputs of this group vector; returns its accuracy, 0..1."""
        predictions = self._predict(vector, self._kept)
        self._base = dict(vector)
        return self._accuracy(predictions)

    def accuracy(self, vector: dict[str, int]) -> float:
        """Accuracy 0..1 of a group vector (layer name to group count)."""
        return self._accuracy(self._predict(vector, None))

    def _accuracy(self, predictions: torch.Tensor) -> float:
        return float((predictions == self._labels).double().mean())

    def _changed(self, vector: dict[str, int]) -> set[str]:
        """Layers whose outputs differ from the kept ones."""
        if self._base is None:
            return {spec.name for spec in self.specs}
        changed: set[str] = set()
        for spec in self.specs:
            if vector[spec.name] != self._base[spec.name] or changed & {spec.input, spec.residual}:
                changed.add(spec.name)
        return changed

    @torch.no_grad()
    def _predict(self, vector, kept) -> torch.Tensor:
        changed = self._changed(vector)
        layers = [(spec, self._layer(spec, vector[spec.name])) for spec in self.specs if spec.name in changed]
        predictions = []
        for index, pixels in enumerate(self._batches):
            outputs: dict[str, torch.Tensor] = {}

            def read(name, index=index, pixels=pixels, outputs=outputs):
                if name == IMAGE:
                    return pixels
                return outputs[name] if name in outputs else self._kept[index][name]

            for spec, compute in layers:
                outputs[spec.name] = compute(read(spec.input), None if spec.residual is None else read(spec.residual))
            predictions.append(read(self.specs[-1].name).argmax(1))
            if kept is not None:
                kept[index].update(outputs)
        return torch.cat(predictions)

    def _layer(self, spec, n: int) -> Callable:
        """Function (input, residual or None) to output; maps are uint8, sums and logits float64."""
        integers = self._integers[spec.name]
        if spec.kind == "linear":
            weight, bias = (torch.from_numpy(value).double() for value in (integers.weight, integers.bias))
            return lambda x, _: x @ weight.t() + bias
        weight = block_diagonal(torch.from_numpy(integers.weight).float(), n).contiguous(memory_format=torch.channels_last)
        scale, bias = (torch.from_numpy(value)[None, :, None, None] for value in integers.affine(n))
        shuffle = ChannelShuffle(spec.out_channels) if spec.shuffle else lambda y: y

        def convolve(x, residual):
            x = x.float().contiguous(memory_format=torch.channels_last)
            y = F.conv2d(x, weight, None, spec.stride, spec.kernel // 2, 1, n)
            y = y.mul_(scale).add_(bias).round_()
            if residual is not None:
                y = y.add_(residual)
            y = shuffle(y.clamp_(0, ACTIVATION_MAX))
            return y.double().sum((2, 3)) if spec.pool else y.to(torch.uint8)

        return convolve
