"""Shares of nothing: without a decision nothing is skipped, and without an image there is no accuracy."""

import numpy as np
import pytest
import torch

from flow.costs import UNITS, Accounting
from flow.errors import GatefoldError
from flow.models import create, initialise
from flow.nn.trace import Trace, Use
from flow.pictures.measure import settings, skips
from flow.training.evaluate import accuracy, predict
from flow.training.exits import evaluate_exits, exit_accuracies
from flow.training.methods.energynet import EnergyNet
from flow.training.skip_ratio import harden, measure_skip_ratio, skip_ratio
from flow.training.work import Work, exit_table

IMAGES, LABELS = np.zeros((0, 32, 32, 3), np.uint8), np.zeros(0, np.int64)


@pytest.fixture(scope="module")
def gated():
    return initialise(create("resnet8", gates="acs", exits=True), seed=0).eval()


@pytest.mark.parametrize(
    "trace",
    [
        Trace(),
        Trace([Use("stem"), Use("classifier")]),
        Trace([Use("stem"), Use("gates.a", executed=torch.zeros(2))]),
        Trace([Use("a", outputs=torch.zeros(0, 4))]),
    ],
)
def test_where_nothing_is_decided_nothing_is_skipped(trace):
    ratio = skip_ratio(harden(trace))
    assert isinstance(ratio, torch.Tensor) and ratio.shape == () and ratio == 0


def test_everything_skipped_is_another_thing():
    assert skip_ratio(Trace([Use("a", executed=torch.zeros(2))])) == 1


@pytest.mark.parametrize("unit", UNITS)
def test_an_empty_trace_costs_nothing(unit, gated):
    cost = Accounting(gated, unit).of(Trace())
    assert cost.dtype == torch.float64 and cost == 0 and cost.expand(3).tolist() == [0, 0, 0]


def test_gates_that_decide_nothing_skip_nothing(gated, monkeypatch):
    images = np.zeros((3, 32, 32, 3), np.uint8)
    gated.set_gates(False)
    try:
        found = skips(gated, images)
        assert found.layers == {} and found.images.tolist() == [0, 0, 0]
        assert measure_skip_ratio(gated, images) == 0
    finally:
        gated.set_gates(True)


@pytest.mark.parametrize(
    "measure",
    [
        lambda model: predict(model, IMAGES, "full"),
        lambda model: accuracy(model, IMAGES, LABELS, "full"),
        lambda model: measure_skip_ratio(model, IMAGES),
        lambda model: evaluate_exits(model, IMAGES, LABELS, Accounting(model, "macs"), lambda logits, _: logits),
        lambda model: exit_accuracies(model, IMAGES, LABELS, [Accounting(model, "macs")]),
        lambda model: exit_table(model, IMAGES, LABELS),
        lambda model: settings(model, IMAGES, LABELS),
        lambda model: skips(model, IMAGES),
    ],
)
def test_no_images_have_no_share(measure, gated):
    with pytest.raises(GatefoldError, match="no images to measure on"):
        measure(gated)


def test_no_batches_have_no_work(gated):
    assert Work(gated).record() == {}


def test_a_step_that_has_seen_nothing_has_no_accuracy(gated):
    first, second, third = EnergyNet(first_epochs=1, epochs=1, last_epochs=1).phases()
    first.leave(gated)
    assert first.accuracy is None and third.wanted()
