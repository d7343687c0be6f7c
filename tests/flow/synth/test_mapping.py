"""The order of yosys' commands."""

import pytest

from flow.synth.mapping import SOFT_MULTIPLIER, commands, flat_commands


def ranges(found):
    """What each synth_xilinx runs: (from, to) of its `-run`, empty for an open end."""
    return [
        tuple(command.rsplit("-run ", 1)[1].split(":")) if "-run" in command else ("", "")
        for command in found
        if command.startswith("synth_xilinx")
    ]


@pytest.mark.parametrize("dsp", [True, False])
@pytest.mark.parametrize("made", [commands, flat_commands])
def test_every_step_runs_once_and_in_order(made, dsp):
    found = ranges(made("-top x", dsp))
    assert found[0][0] in ("", "begin") and found[-1][1] == ""
    assert all(before[1] == after[0] for before, after in zip(found[:-1], found[1:], strict=True))
    assert all(("-nodsp" in command) != dsp for command in made("-top x", dsp) if command.startswith("synth_xilinx"))


def test_flattening_comes_before_luts_are_mapped():
    found = flat_commands("-top x")
    assert (
        found.index("setattr -mod -unset keep_hierarchy")
        < found.index("flatten")
        < found.index("synth_xilinx -top x -run map_luts:")
    )


def test_products_are_laid_out_before_yosys_makes_its_own():
    for found in (commands("-top x", False), flat_commands("-top x", False)):
        place = found.index(f"techmap -map {SOFT_MULTIPLIER}")
        assert found[place - 1].endswith("-run begin:coarse") and "-run coarse:" in found[place + 2]
