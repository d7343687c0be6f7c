"""CIFAR ResNets of variable width (US-Net: Yu and Huang, arXiv:1903.05134), the comparison for WeNet's group modes.

Named modes choose the width whose multiply-accumulates come closest to the group mode's: 1/n of them needs sqrt(1/n) of the
channels.
"""

from dataclasses import replace

import torch
from torch import nn

from flow.errors import GatefoldError
from flow.models.resnet import SwitchableResNet
from flow.nn.layers import ConvUnit
from flow.nn.modes import MODES, check_mode
from flow.nn.slimmable import FULL_WIDTH, WIDTHS, SlimmableBatchNorm2d, SlimmableConv2d, SlimmableLinear, active
from flow.nn.spec import LayerSpec

MODE_WIDTHS = dict(zip(MODES, (16, 11, 8, 6, 4)))


class SlimmableResNet(SwitchableResNet):
    """A ``SwitchableResNet`` whose layers have k/16 of their channels, without group modes and shuffles.

    ``layers()`` describes the active width, so an ``Accounting`` made after ``set_width`` counts that width.
    """

    def __init__(self, name: str, blocks_per_stage: int, num_classes: int = 10):
        super().__init__(name, blocks_per_stage, num_classes, shuffle=False)
        for unit in [module for module in self.modules() if isinstance(module, ConvUnit)]:
            conv, gain = unit.conv, unit.norm.norms["1"].weight
            kernel, stride = conv.kernel_size[0], conv.stride[0]
            unit.conv = SlimmableConv2d(conv.in_channels, conv.out_channels, kernel, stride, unit is not self.stem)
            unit.norm = SlimmableBatchNorm2d(conv.out_channels)
            with torch.no_grad():
                unit.conv.weight.copy_(conv.weight)
                unit.norm.weight.copy_(gain)
        linear = self.classifier
        self.classifier = SlimmableLinear(linear.in_features, linear.out_features)
        self.classifier.load_state_dict(linear.state_dict())
        self._described = None  # of the layers before
        self.to(memory_format=torch.channels_last)

    def set_width(self, width: int) -> None:
        """Select k/16 of the channels."""
        if width not in WIDTHS:
            raise GatefoldError(f"There is no width {width}/{FULL_WIDTH}; choose one of {WIDTHS[0]} to {WIDTHS[-1]}.")
        for module in self.modules():
            if isinstance(module, (SlimmableConv2d, SlimmableBatchNorm2d, SlimmableLinear)):
                module.width = width

    def set_mode(self, mode: str) -> None:
        """Select the width that stands for a named group mode."""
        check_mode(mode)
        self.set_width(MODE_WIDTHS[mode])

    def layers(self) -> list[LayerSpec]:
        """All layers in execution order, with their active channels."""
        specs = []
        for spec in super().layers():
            if spec.kind == "conv":
                inputs, outputs = self.switch(spec.name).active_channels
            else:
                inputs, outputs = active(spec.in_channels, self.classifier.width), spec.out_channels
            specs.append(replace(spec, in_channels=inputs, out_channels=outputs))
        return specs


@torch.no_grad()
def calibrate_widths(model: SlimmableResNet, batches: list[torch.Tensor], widths: list[int]) -> None:
    """Replace the statistics of the given widths by those of the given float images [N, 3, 32, 32] in 0..1.

    The model is left in eval and at full width.
    """
    norms: list[nn.BatchNorm2d] = [
        module.norms[str(width)] for module in model.modules() if isinstance(module, SlimmableBatchNorm2d) for width in widths
    ]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # cumulative average
    model.train()
    for width in widths:
        model.set_width(width)
        for images in batches:
            model(images)
    for norm, momentum in zip(norms, momenta):
        norm.momentum = momentum
    model.set_width(FULL_WIDTH)
    model.eval()
