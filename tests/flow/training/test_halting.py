"""Early exits: eq. (4) of DDI, and where inference halts."""

import json

import numpy as np
import pytest
import torch

from flow.cli import main
from flow.costs import Accounting
from flow.models import create, initialise
from flow.training.checkpoint import save_model
from flow.training.exits import evaluate_exits, exit_accuracies, exit_costs, halt_by_budget, halt_by_margin, joint_loss


@pytest.fixture(scope="module")
def model():
    return initialise(create("resnet8", exits=True), 2)


def test_joint_loss_is_the_sum_of_all_cross_entropies():
    torch.manual_seed(0)
    logits, labels = [torch.randn(4, 10) for _ in range(3)], torch.tensor([1, 0, 9, 3])
    expected = 0.0
    for output in logits:
        for row, label in zip(output, labels):
            expected += -float(torch.log(row.exp()[label] / row.exp().sum())) / 4
    assert float(joint_loss(logits, labels)) == pytest.approx(expected, rel=1e-5)


def test_costs_cumulate_up_to_each_exit(model):
    model(torch.rand(3, 3, 32, 32))
    costs = exit_costs(Accounting(model, "macs"), model.trace, 3)
    assert costs.shape == (3, 3)
    stem, block1 = 32 * 32 * 9 * 3 * 16, 2 * 32 * 32 * 9 * 16 * 16
    branch = 8 * 8 * 9 * 16 * 32 + 4 * 4 * 9 * 32 * 64 + 640
    assert costs[0, 0] == stem + block1 + branch
    assert torch.equal(costs[:, 2], Accounting(model, "macs").of(model.trace).expand(3))
    assert bool((costs.diff(dim=1) > 0).all())


def test_budget_halts_at_the_last_exit_that_fits():
    costs = torch.tensor([[1.0, 2, 3], [2, 4, 6], [5, 6, 7]])
    assert halt_by_budget(costs, 3).tolist() == [2, 0, 0]
    assert halt_by_budget(costs, torch.tensor([2.5, 6.0, 6.5])).tolist() == [1, 2, 1]


def test_margin_halts_at_the_first_sure_exit():
    logits = [torch.tensor([[1.0, 0, 0.5], [3, 0, 1]]), torch.tensor([[0.0, 4, 1], [0, 0, 9]]), torch.zeros(2, 3)]
    assert halt_by_margin(logits, 2.0).tolist() == [1, 0]
    assert halt_by_margin(logits, [0.1, 9, 9]).tolist() == [0, 0]
    assert halt_by_margin(logits, 100.0).tolist() == [2, 2]


def test_evaluation_takes_the_chosen_logits(model):
    rng = np.random.default_rng(1)
    images, accounting = rng.integers(0, 256, (5, 32, 32, 3), dtype=np.uint8), Accounting(model, "macs")
    final = model(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255)
    for exit in range(3):
        classes = [*model.exit_logits, final][exit].argmax(1).numpy()
        labels = np.where(np.arange(5) < 3, classes, (classes + 1) % 10)
        costs = exit_costs(accounting, model.trace, 5)[:, exit]
        reached = evaluate_exits(model, images, labels, accounting, lambda logits, costs: halt_by_budget(costs, costs[0, exit]))
        assert reached[0] == 0.6 and reached[1] == pytest.approx(float(costs.mean()))
        assert reached[2].tolist() == [float(i == exit) for i in range(3)]
        alone, (spent, twice) = exit_accuracies(model, images, labels, [accounting, accounting])[exit]
        assert alone == reached[0] and spent == twice == pytest.approx(reached[1])


def test_evaluate_halts_by_budget_and_by_margin(model, tmp_path, capsys):
    save_model(model, tmp_path / "weights.safetensors", {})
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "own.npz", x=rng.integers(0, 256, (20, 32, 32, 3), dtype=np.uint8), y=rng.integers(0, 10, 20))
    arguments = ["evaluate", "resnet8", "--checkpoint", str(tmp_path / "weights.safetensors"), "--mode", "full"]
    arguments += ["--data", str(tmp_path / "own.npz"), "--json"]

    def evaluate(*options):
        assert main([*arguments, *options]) == 0
        return json.loads(capsys.readouterr().out)

    exits = evaluate()["exits"]
    assert len(exits) == 3 and exits[0]["macs"] < exits[1]["macs"] < exits[2]["macs"]
    for i, row in enumerate(exits):
        halted = evaluate("--budget", str(row["macs"] + 1e-6))["halted"]
        assert halted["taken"][i] == 1 and halted["accuracy"] == row["accuracy"]
        assert halted["macs"] == pytest.approx(row["macs"])
    assert evaluate("--margin", "0")["halted"]["taken"] == [1, 0, 0]
    assert evaluate("--margin", "1e6")["halted"]["taken"] == [0, 0, 1]
