"""Skip ratio and the sign of alpha."""

import numpy as np
import pytest
import torch

from flow.models import create, initialise
from flow.nn.trace import Trace, Use
from flow.training.skip_ratio import flipped_alpha, harden, measure_skip_ratio, skip_ratio


def test_skip_ratio_counts_channels_and_layers():
    executed, channels = torch.tensor([1.0, 0.0]), torch.tensor([[1.0, 1, 0, 0], [1, 1, 1, 1]])
    trace = Trace(
        [
            Use("stem"),
            Use("gates.layer.lstm"),
            Use("gates.channel.a.conv", executed=executed),
            Use("a.conv1", executed=executed, outputs=channels),
            Use("b.conv1", executed=torch.tensor([1.0, 1.0])),
        ]
    )
    ran, total = 2 + 0 + 2, 8 + 2
    assert float(skip_ratio(trace)) == pytest.approx(1 - ran / total)


def test_hardened_decisions_are_those_of_the_threshold():
    soft = Trace([Use("a", 2, torch.tensor([0.2, 0.5], requires_grad=True), None, torch.tensor([[0.49], [0.9]]))])
    (use,) = harden(soft)
    assert (use.name, use.n, use.inputs) == ("a", 2, None)
    assert use.executed.tolist() == [0, 1] and use.outputs.tolist() == [[0], [1]] and not use.executed.requires_grad
    assert harden(soft, 0.6)[0].executed.tolist() == [0, 0]


@pytest.mark.parametrize("skipped, sign", [(0.2, 1), (0.5, 0), (0.7, -1)])
def test_alpha_turns_its_sign_at_the_target(skipped, sign):
    assert flipped_alpha(2e-4, skipped, 0.5) == sign * 2e-4


def test_controller_holds_the_ratio_of_hard_decisions():
    """A gate of one bias per channel under nothing but alpha * E, as in eq. (5)."""
    for target in (0.3, 0.5, 0.7):
        torch.manual_seed(0)
        logits = torch.randn(40, requires_grad=True)
        optimiser = torch.optim.SGD([logits], lr=0.5)
        for _ in range(400):
            p = torch.sigmoid(logits).expand(4, 40)
            alpha = flipped_alpha(0.1, float(skip_ratio(harden(Trace([Use("a", outputs=p)])))), target)
            optimiser.zero_grad()
            (alpha * p.sum(1).mean()).backward()
            optimiser.step()
        assert float((logits < 0).float().mean()) == pytest.approx(target, abs=0.03)


def test_measured_ratio_is_that_of_inference():
    model = initialise(create("resnet8", gates="channel"), 1)
    images = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    with torch.no_grad():
        for gate in model.gates.channel.values():
            gate.linear.weight.zero_()
            gate.linear.bias[:] = 1
            gate.linear.bias[: len(gate.linear.bias) // 4] = -1
    assert measure_skip_ratio(model.train(), images, batch=2) == pytest.approx(0.25)
