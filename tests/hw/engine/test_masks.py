"""Every mask of sixteen channels in every group mode: the sequencer visits each active pair of an output and an input once, with its
kernel, completes each active output once, and nothing else."""

import pytest
from rtl import fault_cases, faulty, unit

from flow.simulation.library import Model, RtlSimError

MASKS = 1 << 16
GROUPS = (0, 1, 2, 3, 4)  # as powers of two


def bench(folder):
    """The bench, whose program is in itself."""
    return Model(unit("mask_bench", folder, "mask_bench.sv"), clock="clk", reset="rst_n", random_reset=5)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("groups", [pytest.param(n, marks=[] if n == 2 else pytest.mark.slow) for n in GROUPS])
def test_every_mask(groups, tmp_path):
    with bench(tmp_path) as model:
        model.write("mode", groups)
        model.reset()
        while model.read("masks") < MASKS:
            before = model.read("masks")
            model.cycles(100_000)
            assert model.read("masks") > before, "no frame ends"


FAULTS = [
    ("engine_groups", "only ? alive : rest", "only ? alive : left"),
    ("engine_groups", "only ? alone : of_left[2]", "only ? alone : of_left[1]"),
    ("engine_groups", "group <= spared ? spare : walked", "group <= walked"),
    ("engine_list", "            last <= sixteenth == 6'd1;", "            last <= 1'b0;"),
    ("engine_list", "if (keep) any[number[3:0]] <= 1'b1;", "any[number[3:0]] <= 1'b1;"),
    ("engine_channels", "in_list ? in_channel : kernel_at", "kernel_at"),
    ("engine_masks", "last_channel = out_count - 9'd1;", "last_channel = out_count - 9'd2;"),
]


@pytest.mark.parametrize("module, old, new", fault_cases(FAULTS))
def test_a_fault_is_found(module, old, new, tmp_path, monkeypatch):
    faulty(module, old, new, tmp_path, monkeypatch)
    with bench(tmp_path) as model:
        model.write("mode", 2)
        model.reset()
        with pytest.raises((RtlSimError, AssertionError)):
            while model.read("masks") < MASKS:
                before = model.read("masks")
                model.cycles(20_000)
                assert model.read("masks") > before, "no frame ends"
