"""ResNet-50, MobileNetV2 and EfficientNet-B0: published sizes, blocks by hand, group modes, training."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from flow.costs import Accounting
from flow.errors import GatefoldError
from flow.models import create
from flow.models.imagenet import MODELS
from flow.models.imagenet.efficientnet import MBConv
from flow.models.imagenet.mobilenet import InvertedResidual
from flow.models.imagenet.resnet50 import Bottleneck
from flow.nn.batchnorm import SwitchableBatchNorm2d
from flow.nn.modes import MODES, group_vector
from flow.nn.quantisers import Activation, ResidualBranch, Stored

# Parameters as published with the reference implementations; multiply-accumulates at 224x224: 4.09 G, 300.8 M, 0.386 G.
PUBLISHED = {
    "resnet50": (25_557_032, 4.089e9),
    "mobilenet_v2": (3_504_872, 300.8e6),
    "efficientnet_b0": (5_288_548, 385.8e6),
}


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", params=list(MODELS))
def model(request):
    torch.manual_seed(0)
    return create(request.param, 1000, float=True).eval()


def test_published_sizes(model):
    norms = [module for module in model.modules() if isinstance(module, SwitchableBatchNorm2d)]
    others = sum(p.numel() for norm in norms for n in list(norm.norms)[1:] for p in norm.norms[n].parameters())
    scales = sum(p.numel() for name, p in model.named_parameters() if "quant" in name)
    parameters, macs = PUBLISHED[model.name]
    assert sum(p.numel() for p in model.parameters()) - others - scales == parameters
    assert Accounting(model, "macs").of_mode("full") == pytest.approx(macs, rel=1e-3)


def test_described_layers_are_those_that_run(model):
    seen = {}
    hooks = []
    for spec in model.layers():
        module = model.get_submodule(spec.name)
        hooks.append(module.register_forward_hook(lambda _, x, y, name=spec.name: seen.update({name: (x[0].shape, y.shape)})))
    with torch.no_grad():
        model(torch.rand(1, 3, 224, 224))
    for hook in hooks:
        hook.remove()
    assert list(seen) and set(seen) == {spec.name for spec in model.layers()}
    before = {"image"}
    for spec in model.layers():
        x, y = seen[spec.name]
        assert (x[1], y[1]) == (spec.in_channels, spec.out_channels)
        if spec.kind == "conv":
            assert (x[2], y[2]) == (spec.in_size, spec.out_size)
        assert spec.input in before and (spec.residual is None or spec.residual in before)
        before.add(spec.name)


@pytest.mark.parametrize("mode", MODES)
def test_masked_and_grouped_agree(model, mode):
    model.set_mode(mode)
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        model.set_grouped(True)
        real = model(x)
        model.set_grouped(False)
        torch.testing.assert_close(model(x), real, rtol=1e-3, atol=1e-4)
    switchable = [spec for spec in model.layers() if len(spec.group_counts) > 1]
    assert {group_vector(model, mode)[spec.name] for spec in switchable} <= {1, 2, 4, 8, 16}
    if mode != "full":
        assert Accounting(model, "macs").of_mode(mode) < Accounting(model, "macs").of_mode("full")
    model.set_grouped(None)
    model.set_mode("full")


def norm(unit, x):
    stats = unit.norm.norms[str(unit.conv.n)]
    return F.batch_norm(x, stats.running_mean, stats.running_var, stats.weight, stats.bias)


def floating(block):
    for module in block.modules():
        if hasattr(module, "quantised"):
            module.quantised = False
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean)
            nn.init.uniform_(module.weight)
    return block.eval()


def shuffled(x, groups=16):
    n, c, h, w = x.shape
    return x.reshape(n, groups, c // groups, h, w).transpose(1, 2).reshape(n, c, h, w)


@torch.no_grad()
def test_bottleneck_by_hand():
    stream = Activation()
    stream.quantised = False
    block = floating(Bottleneck(64, 32, 2, stream, ResidualBranch(stream), shuffle=True))
    block._stage[1].quantised = False
    x, cap = torch.rand(2, 64, 8, 8), 15 * stream.scale
    y = norm(block.conv1, F.conv2d(x, block.conv1.conv.weight)).clamp(0, cap)
    y = norm(block.conv2, F.conv2d(shuffled(y), block.conv2.conv.weight, stride=2, padding=1)).clamp(0, cap)
    y = norm(block.conv3, F.conv2d(y, block.conv3.conv.weight))
    short = norm(block.shortcut, F.conv2d(x, block.shortcut.conv.weight, stride=2)).clamp(0, cap)
    torch.testing.assert_close(block(x), (y + short).clamp(0, cap))


@torch.no_grad()
@pytest.mark.parametrize("shuffle", [True, False])
def test_inverted_residual_by_hand(shuffle):
    stream = floating(Stored())
    block = floating(InvertedResidual(16, 16, 1, 6, stream, shuffle))
    x, cap = torch.randn(2, 16, 8, 8), 15 * block.activation1.scale
    y = norm(block.expand, F.conv2d(x, block.expand.conv.weight)).clamp(0, cap)
    y = shuffled(y) if shuffle else y
    y = norm(block.depthwise, F.conv2d(y, block.depthwise.conv.weight, padding=1, groups=96)).clamp(0, cap)
    torch.testing.assert_close(block(x), norm(block.project, F.conv2d(y, block.project.conv.weight)) + x)


@torch.no_grad()
def test_mbconv_by_hand():
    block = floating(MBConv(16, 24, 2, 6, 5, floating(Stored()), True))
    x = torch.randn(2, 16, 8, 8)
    y = shuffled(F.silu(norm(block.expand, F.conv2d(x, block.expand.conv.weight))))
    y = F.silu(norm(block.depthwise, F.conv2d(y, block.depthwise.conv.weight, stride=2, padding=2, groups=96)))
    reduce, expand = block.excite.reduce, block.excite.expand
    assert reduce.weight.shape == (4, 96)
    s = F.silu(y.mean((2, 3)) @ reduce.weight.t() + reduce.bias) @ expand.weight.t() + expand.bias
    y = y * torch.sigmoid(s)[:, :, None, None]
    torch.testing.assert_close(block(x), norm(block.project, F.conv2d(y, block.project.conv.weight)))


@pytest.mark.parametrize("name", list(MODELS))
def test_trains_in_4_bit(name):
    torch.manual_seed(0)
    model = create(f"{name}-unshuffled", 4).train()
    assert model.quantised and not any(spec.shuffle for spec in model.layers())
    for module in model.modules():
        if isinstance(module, SwitchableBatchNorm2d):
            module.copy_full()
    x, y = torch.rand(4, 3, 64, 64), torch.tensor([0, 1, 2, 3])
    model.set_mode("1/4")
    F.cross_entropy(model(x), y).backward()
    missing = [
        spec.name for spec in model.layers() if (getattr(model.get_submodule(spec.name), "conv", None)
        or model.get_submodule(spec.name)).weight.grad is None
    ]  # fmt: skip
    assert not missing
    conv = model.get_submodule(model.layers()[1].name).conv
    assert len(conv.quant_weight().value[0].unique()) <= 15


def test_refusals():
    with pytest.raises(GatefoldError, match="no gates"):
        create("resnet50", gates="ddi")
    with pytest.raises(GatefoldError, match="no model"):
        create("resnet50-slim")
    model = create("mobilenet_v2")
    with pytest.raises(GatefoldError, match="depthwise"):
        model.set_mode({"blocks.1.depthwise": 2})
    with pytest.raises(GatefoldError, match="no layer"):
        model.set_mode({"nowhere": 2})
