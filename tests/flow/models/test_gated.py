"""Gated networks: eq. (1)-(3) of DDI, the trace, and that what is skipped has no influence."""

import copy

import numpy as np
import pytest
import torch

from flow.errors import GatefoldError
from flow.models import create, initialise
from flow.models.calibrate import calibrate
from flow.models.gated import GATES, mix
from flow.models.requantisation import limit_multipliers
from flow.nn.batchnorm import UNGATED, SwitchableBatchNorm2d
from flow.nn.gates.gating import Decision, Gates
from flow.nn.modes import MODES
from flow.nn.shuffle import shuffle_permutation
from flow.training.methods.ddi import Ddi

BLOCKS = ["stage1.block1", "stage2.block1", "stage3.block1"]


class Fixed(Gates):
    """Gates with given answers: block name to (executed, channels)."""

    def __init__(self, blocks, answers):
        super().__init__(blocks)
        self.answers = answers

    def layers(self):
        return []

    def before_block(self, name, x, judge, state):
        executed, channels = self.answers[name]
        return Decision(executed, channels, channels)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(5).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)


def as_float(images):
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255


def random_answers(model, images, seed=0):
    generator = torch.Generator().manual_seed(seed)
    answers = {}
    for shape in model.block_shapes():
        executed = (torch.rand(images, generator=generator) < 0.6).float()
        answers[shape.name] = executed, (torch.rand(images, shape.channels, generator=generator) < 0.5).float()
    return answers


def gated(kind="ddi", exits=False, seed=3, spread=0.0, ungated=False):
    """Random weights; ``spread`` draws the gates' last biases, so that decisions differ."""
    model = initialise(create("resnet8", gates=kind, exits=exits, ungated=ungated), seed)
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.gates.named_parameters():
        if name.endswith(("linear.bias", "output.bias")):
            parameter.data.copy_(torch.randn(parameter.shape, generator=generator) * spread)
        if name.endswith(("linear.weight", "output.weight")):
            parameter.data *= 1 + 3 * spread
    return model


def fixed(answers=None, **keys):
    model = gated(**keys)
    model.gates = Fixed(model.block_shapes(), answers or random_answers(model, 6))
    return model.eval()


def test_mixing_follows_the_equations():
    torch.manual_seed(0)
    out, residual = torch.randn(2, 4, 3, 4, 4)
    layer, channel = torch.rand(4), torch.rand(4, 3)
    for g_layer, g_channel in ((layer, None), (None, channel), (layer, channel)):
        y = mix(out, residual, g_layer, g_channel)
        for i in range(4):
            for c in range(3):
                g = (1 if g_layer is None else g_layer[i]) * (1 if g_channel is None else g_channel[i, c])
                assert torch.allclose(y[i, c], g * out[i, c] + (1 - g) * residual[i, c], atol=1e-6)
    assert mix(out, residual, None, None) is out


def test_soft_training_passes_through_the_equations():
    """A stage of a floating-point network with soft gates, against eq. (3) written out."""
    model = gated(spread=1.0)
    model.set_quantised(False)
    model.train()
    seen = {}
    block = model.stage2.block1
    hooks = {"x": block.conv1, "y1": block.conv1.norm, "branch": block.conv2, "shortcut": block.shortcut}
    for key, module in hooks.items():
        module.register_forward_hook(
            lambda m, a, y, key=key: seen.update({key: a[0] if key == "x" else y, "in2" if key == "branch" else "": a[0]})
        )
    model.stage3.block1.conv1.register_forward_hook(lambda m, a, y: seen.update(out=a[0]))
    model(torch.rand(4, 3, 32, 32))
    use = {u.name: u for u in model.trace}
    layer, channel = use["stage2.block1.conv2"].executed, use["stage2.block1.conv2"].outputs
    assert 0 < float(layer.detach().min()) and float(channel.detach().max()) < 1
    cap = 15 * model.stage2.stream.scale
    inside = seen["y1"].clamp(0, 15 * block.activation.scale) * channel[:, :, None, None]
    shuffled = torch.empty_like(inside)
    shuffled[:, shuffle_permutation(32)] = inside
    assert torch.allclose(seen["in2"], shuffled, atol=1e-6)
    residual = seen["shortcut"].clamp(0, cap)
    g = (layer[:, None] * channel)[:, :, None, None]
    expected = g * (seen["branch"] + residual).clamp(0, cap) + (1 - g) * residual
    assert torch.allclose(seen["out"], expected, atol=1e-5)


def test_gates_switched_off_leave_the_plain_network(images):
    model = gated()
    plain = create("resnet8")
    plain.load_state_dict({name: t for name, t in model.state_dict().items() if name in plain.state_dict()})
    plain.eval()
    model.set_gates(False)
    assert np.array_equal(model.integer_logits(images), plain.integer_logits(images))
    x = as_float(images)
    assert torch.equal(model.train()(x), plain.train()(x))
    assert [use.name for use in model.trace] == [spec.name for spec in plain.layers()]
    assert all(use.executed is use.inputs is use.outputs is None for use in model.trace)


def _settings():
    """Every kind in every mode; the quick ones have every mode of the first kind, and of the others one that differs."""
    for number, kind in enumerate(GATES):
        quick = set(MODES) if number == 0 else {MODES[number % len(MODES)]}
        yield from (pytest.param(kind, mode, marks=[] if mode in quick else pytest.mark.slow) for mode in MODES)


def decided(use):
    return [t for t in (use.executed, use.outputs) if t is not None]


@pytest.mark.parametrize(("kind", "mode"), list(_settings()))
def test_every_mode_with_every_gate_setting(images, mode, kind):
    model = gated(kind, spread=1.0, exits=True, ungated=True)
    model.set_mode(mode)
    images = images[:2]
    x = as_float(images)
    for on in (True, False):
        model.set_gates(on)
        model.eval()
        exact = model(x)
        trace = model.trace
        assert {use.n for use in trace if use.name in {s.name for s in model.layers()}} >= {model.stage3.block1.conv1.conv.n}
        for use in trace:
            for t in (use.executed, use.inputs, use.outputs):
                assert t is None or bool(((t == 0) | (t == 1)).all())
        model.exact = False
        fake = model(x).detach()
        model.exact = True
        # A sum next to a half may be rounded the other way in floating point, which moves the logits by some thousandths, or a decision.
        pairs = [(a, b) for one, other in zip(trace, model.trace, strict=True) for a, b in zip(decided(one), decided(other))]
        turned = sum(int((a != b).sum()) for a, b in pairs) / max(1, sum(a.numel() for a, _ in pairs))
        assert turned < 0.05 and (turned or torch.allclose(exact, fake, atol=2e-2))
        logits = model.integer_logits(images) * model.integer_layer("classifier").logit_scale
        assert np.allclose(exact.numpy(), logits, rtol=1e-6)
        model.train()
        for soft in (True, False):
            model.soft_gates = soft
            model.zero_grad()
            sum(y.square().mean() for y in model(x)).backward()
            if on:
                assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in model.gates.parameters())


def layer_by_hand(model, name, x, residual=0):
    """One convolution of the full mode on integers [1, C, H, W]."""
    integers, conv = model.integer_layer(name), model.get_submodule(name).conv
    weight = torch.from_numpy(integers.weight).double()
    acc = torch.nn.functional.conv2d(torch.from_numpy(x).double(), weight, None, conv.stride, conv.padding).numpy()
    scale, bias = integers.affine(1)
    y = np.round(acc.astype(np.float32) * scale[:, None, None] + bias[:, None, None]).astype(np.int64)
    return np.clip(y + residual, 0, 15)


def logits_by_hand(model, answers, images):
    """Eq. (3) image by image; what is skipped is not computed: a block is passed by, channels are left out of lists."""
    logits = []
    for i, image in enumerate(images):
        x = layer_by_hand(model, "stem", image.transpose(2, 0, 1)[None].astype(np.int64))
        for name in BLOCKS:
            block = model.get_submodule(name)
            executed, channels = (answer[i].numpy() for answer in answers[name])
            residual = x if block.shortcut is None else layer_by_hand(model, f"{name}.shortcut", x)
            out = residual.copy()
            if executed:
                on = np.flatnonzero(channels)
                inside = layer_by_hand(model, f"{name}.conv1", x)
                shuffled = np.zeros_like(inside)
                shuffled[:, shuffle_permutation(inside.shape[1]).numpy()[on]] = inside[:, on]
                out[:, on] = layer_by_hand(model, f"{name}.conv2", shuffled, residual)[:, on]
            x = out
        classifier = model.integer_layer("classifier")
        logits.append(x.sum((2, 3)) @ classifier.weight.T + classifier.bias)
    return np.concatenate(logits)


def test_masked_execution_equals_execution_that_skips(images):
    model = fixed()
    assert np.array_equal(model.integer_logits(images), logits_by_hand(model, model.gates.answers, images))


def test_skipped_layers_and_channels_have_no_influence(images):
    model = fixed()
    for _, channels in model.gates.answers.values():
        channels[:, 3] = 0
    model.gates.answers["stage2.block1"][0].zero_()
    before = model.integer_stations(images)
    with torch.no_grad():
        for name in BLOCKS:
            block = model.get_submodule(name)
            for unit in (block.conv1, block.conv2):
                unit.conv.weight[3] = -5 * unit.conv.weight[3] + 1
                unit.norm.norms["1"].bias[3] += 2
            block.conv2.conv.weight[:, shuffle_permutation(block.conv2.conv.in_channels)[3]] *= -1
        block = model.stage2.block1
        block.conv1.conv.weight.neg_()
        block.conv2.norm.norms["1"].bias += 1
    after = model.integer_stations(images)
    for name in before:
        skipped = name.startswith("stage2.block1.conv1")
        assert skipped or np.array_equal(before[name], after[name]), name
    # The same changes are seen as soon as the channel runs.
    model.gates.answers["stage3.block1"][0][:] = 1
    model.gates.answers["stage3.block1"][1][:, 3] = 1
    assert not np.array_equal(model.integer_stations(images)["stage3.block1.conv2"], after["stage3.block1.conv2"])


def test_a_skipped_layer_does_not_compute_its_channel_gate(images):
    model = gated(spread=1.0)
    model.exact = False  # in integers: test_integer_gates.py
    x = as_float(images)
    chances = []
    hook = model.gates.layer.register_forward_hook(lambda m, a, y: chances.append(y[0]))
    model(x)
    hook.remove()
    model.gates.threshold = float(torch.cat(chances).median())
    seen = []
    for key, gate in model.gates.channel.items():
        gate.register_forward_hook(lambda m, a, y, key=key: seen.append((key, len(a[0]))))
    model(x)
    uses = {use.name: use for use in model.trace}
    runs = {key: int(uses[f"gates.channel.{key}.conv"].executed.sum()) for key in model.gates.channel}
    assert dict(seen) == {key: n for key, n in runs.items() if n}
    assert 0 < sum(runs.values()) < 3 * len(images)
    for key in model.gates.channel:
        name = key.replace("_", ".")
        for layer in (f"{name}.conv1", f"{name}.conv2", f"gates.channel.{key}.linear"):
            assert torch.equal(uses[layer].executed, uses[f"gates.channel.{key}.conv"].executed)


def test_the_layer_gate_remembers_from_block_to_block():
    """EnergyNet, Fig. 2: one RNN runs along the blocks, from zeros for every batch."""
    model = gated("energynet")
    seen = []
    model.gates.layer.register_forward_hook(lambda gate, args, out: seen.append((args[1], out[1])))
    model.train()(torch.rand(2, 3, 32, 32))
    model(torch.rand(2, 3, 32, 32))
    assert len(seen) == 6 and seen[0][0] is None and seen[3][0] is None
    for before, after in zip(seen, seen[1:3]):
        assert after[0] is before[1]


def test_trace_lists_layers_in_order_and_masks_as_the_layers_read_them(images):
    model = gated(exits=True, spread=1.0)
    model(as_float(images))
    own = [spec.name for spec in model.layers()]
    assert [use.name for use in model.trace if use.name in own] == own
    described = {spec.name for spec in model.gate_layers()}
    assert {use.name for use in model.trace} - set(own) == described
    uses = {use.name: use for use in model.trace}
    for name, channels in zip(BLOCKS, (16, 32, 64)):
        conv1, conv2 = uses[f"{name}.conv1"], uses[f"{name}.conv2"]
        assert conv1.inputs is None and torch.equal(conv1.outputs, conv2.outputs)
        read = torch.empty_like(conv1.outputs)
        read[:, shuffle_permutation(channels)] = conv1.outputs
        assert torch.equal(conv2.inputs, read)
    assert all(uses[name].executed is None for name in ("stem", "stage2.block1.shortcut", "classifier"))


def test_exits_give_all_logits_in_training_and_do_not_change_the_network(images):
    model = gated(exits=True)
    x = as_float(images)
    logits = model(x)
    assert [t.shape for t in model.exit_logits] == [(6, 10)] * 2
    model.set_exits(False)
    assert torch.equal(model(x), logits) and model.exit_logits == []
    assert not any(use.name.startswith("exits") for use in model.trace)
    model.train()
    assert isinstance(model(x), torch.Tensor)
    model.set_exits(True)
    assert [y.shape for y in model(x)] == [(6, 10)] * 3


def test_six_exits_on_deep_networks():
    model = create("resnet38", exits=True)
    assert list(model.exits) == [f"stage{s}_block{b}" for s in (1, 2, 3) for b in (2, 5)]


def test_some_of_the_exits():
    whole = initialise(create("resnet38", gates="ddi", exits=True), 3)
    some = create("resnet38", gates="ddi", exits=[0, 4])
    assert list(some.exits) == ["stage1_block2", "stage3_block2"] and some.exits_on
    some.load_backbone(whole)
    own = some.state_dict()
    assert all(torch.equal(own[name], value) for name, value in whole.state_dict().items() if name in own)
    for exits in ([4, 0], [0, 0], [0, 6], [-1]):
        with pytest.raises(GatefoldError, match="numbers from 0 to 5"):
            create("resnet38", exits=exits)
    with pytest.raises(GatefoldError, match="all of its exits or none"):
        create("densenet41", exits=[0])
    assert list(Ddi(gate_epochs=0, exits="1,2").create("resnet38", 10).exits) == ["stage1_block5", "stage2_block2"]
    with pytest.raises(GatefoldError, match="exits is 'one'"):
        Ddi(gate_epochs=0, exits="one").create("resnet38", 10)


def test_backbone_weights_are_taken_over(images):
    plain = initialise(create("resnet8"), 7)
    model = create("resnet8", gates="ddi")
    model.load_backbone(plain)
    model.eval().set_gates(False)
    assert np.array_equal(model.integer_logits(images), plain.integer_logits(images))
    with pytest.raises(GatefoldError, match="give weights of the same network and data set"):
        model.load_backbone(create("resnet20"))


def test_copies_of_a_network_do_not_share_gates(images):
    model = gated(spread=1.0)
    twin = copy.deepcopy(model)
    x = as_float(images)
    before = model(x)
    for parameter in twin.parameters():
        parameter.data.zero_()
    twin(x)
    assert torch.equal(model(x), before)


def test_bad_settings():
    with pytest.raises(GatefoldError, match="ddi"):
        create("resnet8", gates="none")
    with pytest.raises(GatefoldError, match="gates="):
        create("resnet8", exits=True).set_gates(True)
    with pytest.raises(GatefoldError, match="exits=True"):
        create("resnet8", gates="ddi").set_exits(True)


@pytest.mark.parametrize("name", ["resnet8", "densenet41"])
def test_gates_off_have_batch_normalisations_of_their_own(name):
    model = create(name, gates="acs", exits=True, ungated=True)
    norms = {k: m for k, m in model.named_modules() if isinstance(m, SwitchableBatchNorm2d)}
    assert all(norm.separated != k.startswith("gates.") for k, norm in norms.items())
    x = torch.rand(4, 3, 32, 32)
    before = {k: t.clone() for k, t in model.state_dict().items()}
    model.train().set_gates(False)
    sum(y.square().mean() for y in model(x)).backward()
    changed = {k for k, t in model.state_dict().items() if not torch.equal(t, before[k]) and "running" in k}
    assert changed and all(UNGATED in k for k in changed)
    taught = {k for k, p in model.named_parameters() if p.grad is not None and ".norms." in k}
    assert taught and all(UNGATED in k for k in taught)
    model.set_gates(True)
    model(x)
    changed = {k for k, t in model.state_dict().items() if not torch.equal(t, before[k]) and "running" in k}
    assert {k.replace(UNGATED, "") for k in changed} <= changed


def test_calibration_measures_both_settings_on_what_each_of_them_sees():
    model = gated(spread=1.0, ungated=True)
    x = torch.rand(8, 3, 32, 32)
    calibrate(model, [x])
    assert model.gates_on and model.soft_gates and not model.training
    conv2 = model.stage1.block1.conv2
    for on in (True, False):
        model.train().set_gates(on)
        model.soft_gates = False
        seen = []
        hook = conv2.conv.register_forward_hook(lambda m, a, y: seen.append(y.detach()))
        measured = conv2.norm.active(1).running_mean.clone()
        model(x)
        hook.remove()
        assert torch.allclose(measured, seen[0].mean((0, 2, 3)), atol=1e-4)


def test_multipliers_of_both_settings_are_limited():
    model = gated(ungated=True)
    norm = model.stage1.block1.conv1.norm
    for on in (True, False):
        norm.ungated = not on
        norm.active(4).weight.data.fill_(1e6)
    limit_multipliers(model)
    assert norm.ungated
    for on in (True, False):
        norm.ungated = not on
        assert abs(model.integer_layer("stage1.block1.conv1").affine(4)[0]).max() < 0.25


def test_backbone_fills_both_settings(images):
    backbone = initialise(create("resnet8"), 8)
    model = create("resnet8", gates="acs", ungated=True)
    model.load_backbone(backbone)
    model.eval().set_gates(False)
    assert np.array_equal(model.integer_logits(images), backbone.integer_logits(images))
    other = create("resnet8", gates="acs", ungated=True)
    model.stem.norm.active(1).bias.data.add_(1)
    other.load_backbone(model)
    assert torch.equal(other.stem.norm.norms["1" + UNGATED].bias, model.stem.norm.norms["1" + UNGATED].bias)
    assert not torch.equal(other.stem.norm.norms["1"].bias, other.stem.norm.norms["1" + UNGATED].bias)
