"""ResNets of other widths: the baseline of ACS."""

import pytest
import torch

from flow.costs import Accounting
from flow.models import create, initialise


def test_resnet38_of_width_32_is_the_baseline_of_acs():
    """ACS, section 1 and table 4: 2.25 million parameters, 0.67313 GFLOPs (two per product)."""
    model = create("resnet38-w32")
    assert 2e-9 * Accounting(model, "macs").full == pytest.approx(0.67313, rel=0.02)
    assert sum(p.numel() for n, p in model.named_parameters() if "weight" in n) == pytest.approx(2.25e6, rel=0.01)
    assert [model.get_submodule(f"stage{i}.block1.conv1").conv.out_channels for i in (1, 2, 3)] == [32, 64, 128]


@pytest.mark.parametrize("gates", [None, "acs"])
def test_wide_network_runs_in_integers_and_in_every_mode(gates):
    model = initialise(create("resnet8-w32", gates=gates))
    for mode in ("full", "1/16"):
        model.set_mode(mode)
        logits = model(torch.rand(2, 3, 32, 32))
        assert logits.shape == (2, 10) and logits.isfinite().all()
