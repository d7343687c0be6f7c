"""Which contracts a simulation watches: those of its own modules; a synthesis none."""

import re

from flow.engine.sources import accelerator_sources
from flow.simulation.checks import CHECKS, with_checks

HW = CHECKS.parent


def test_synthesis_reads_no_contract(tmp_path):
    assert not [file for file in accelerator_sources(tmp_path) if CHECKS in file.parents]


def test_every_contract_is_in_the_simulation_of_its_module(tmp_path):
    shell = [HW / "shell" / "axi3_lite_bridge.sv"]
    assert set(with_checks([*accelerator_sources(tmp_path), *shell])) >= set(CHECKS.glob("*.sv"))
    for file in CHECKS.glob("*_checks.sv"):
        (target,) = re.findall(r"^bind (\w+)", file.read_text(), re.MULTILINE)
        module = next(HW.glob(f"*/{target}.sv"))
        others = set(CHECKS.glob("*_checks.sv")) - {file}
        chosen = with_checks([module])
        assert chosen[0] == module and file in chosen
        assert {re.search(r"^bind (\w+)", other.read_text(), re.MULTILINE)[1] for other in others & set(chosen)} <= {target}


def test_other_designs_are_left_as_they_are(tmp_path):
    design = tmp_path / "mvu.sv"
    assert with_checks([design]) == [design] and with_checks([]) == []
