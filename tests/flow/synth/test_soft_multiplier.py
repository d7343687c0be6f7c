"""Products made of LUTs against yosys' own multiplication."""

import random
import subprocess
import sys

import pytest

from flow.synth.mapping import SOFT_MULTIPLIER

RUN = "import sys; from pyosys import libyosys; libyosys.run_pass('script ' + sys.argv[1], libyosys.Design())"


def prove(folder, a, b, y, signed, inputs=()):
    """Compare a * b, a and b bits wide, with the techmapped product: for the given inputs, or for all by a SAT solver."""
    sign = "signed" if signed else ""
    (folder / "gold.v").write_text(
        f"module gold(input {sign} [{a - 1}:0] a, input {sign} [{b - 1}:0] b, output {sign} [{y - 1}:0] y);\n"
        "assign y = a * b;\nendmodule\n"
    )
    cases = [f"-set in_a {a}'d{x % 2**a} -set in_b {b}'d{z % 2**b}" for x, z in inputs] or [""]
    script = folder / "prove.ys"
    script.write_text(
        "read_verilog gold.v\ncopy gold gate\n"
        f"techmap -map {SOFT_MULTIPLIER} gate\nselect -assert-none gate/t:$mul gate/t:$__soft_add\n"
        "miter -equiv -flatten gold gate miter\n" + "".join(f"sat {case} -prove trigger 0 -verify miter\n" for case in cases)
    )
    done = subprocess.run([sys.executable, "-c", RUN, str(script)], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]
    assert done.stdout.count("SUCCESS") >= len(cases)


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("a, b, y", [(6, 6, 12), (7, 6, 13), (6, 7, 20), (7, 7, 9)])
def test_every_product_of_small_factors(tmp_path, a, b, y, signed):
    prove(tmp_path, a, b, y, signed)


@pytest.mark.parametrize(
    "a, b, signed",
    [(18, 25, True), (8, 11, True), *(pytest.param(*case, marks=pytest.mark.slow) for case in ((25, 18, True), (20, 31, False)))],
)
def test_products_of_wide_factors(tmp_path, a, b, signed):
    chance = random.Random(0)
    ends = [(x, z) for x in (0, 1, -1, 2 ** (a - 1), 2 ** (a - 1) - 1) for z in (0, 1, -1, 2 ** (b - 1), 2 ** (b - 1) - 1)]
    prove(tmp_path, a, b, a + b, signed, [*ends, *((chance.getrandbits(a), chance.getrandbits(b)) for _ in range(60))])


def test_small_factors_are_left_alone(tmp_path):
    with pytest.raises(AssertionError, match="select"):
        prove(tmp_path, 5, 8, 13, True)
