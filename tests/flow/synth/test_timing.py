"""Longest paths: each kind of cell against a sum by hand, random netlists against a recursion, names against the RTL."""

import functools
import gzip
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from flow.errors import GatefoldError
from flow.synth import timing
from flow.synth.delays import net_delay
from flow.synth.names import MARK, Names
from tests.flow.synth.netlists import Netlist

ROOT = Path(__file__).resolve().parents[3]
START, NET = 0.518, 0.55  # a flip-flop's clock to output; a net with one load


def worst(netlist):
    return timing.analyse(netlist.module).paths[0]


def after(netlist, source="q"):
    """A netlist that begins with a register of that output."""
    return netlist.flip_flop("start", "0", source)


def between(kind, entry, output, parameters=None, **pins):
    """register -> cell -> register."""
    return after(Netlist()).cell("cell", kind, parameters, **{entry: "q", output: "o"}, **pins).flip_flop("end", "o", "e")


def test_register_to_register():
    assert worst(after(Netlist()).flip_flop("end", "q", "e")).ns == pytest.approx(START + NET)


@pytest.mark.parametrize("kind, pins, setup", [
    ("FDRE", {"CE": "q"}, 0.109), ("FDRE", {"R": "q"}, 0.404), ("FDSE", {"S": "q"}, 0.404), ("FDCE", {"CLR": "q"}, 0.404), ("FDPE", {"PRE": "q"}, 0.404),
])  # fmt: skip
def test_enables_and_resets_are_end_points(kind, pins, setup):
    path = worst(after(Netlist()).flip_flop("end", "0", "e", kind, **pins))
    assert path.ns == pytest.approx(START + NET + setup)


@pytest.mark.parametrize(
    "kind, entry", [(f"LUT{size}", f"I{pin}") for size in range(1, 7) for pin in (0, size - 1)] + [("INV", "I")]
)
def test_lookup_table(kind, entry):
    path = worst(between(kind, entry, "O"))
    assert path.ns == pytest.approx(START + NET + 0.124)  # the register lies in the LUT's slice
    assert (path.luts, path.carries) == (1, 0)


def test_net_with_many_loads_is_slower_by_a_tenth_per_doubling():
    for loads, delay in ((1, 0.55), (2, 0.65), (4, 0.75), (64, 1.15)):
        netlist = after(Netlist())
        for index in range(loads):
            netlist.flip_flop(f"end{index}", "q", f"e{index}")
        assert worst(netlist).ns == pytest.approx(START + delay)


def test_only_one_register_lies_beside_its_lut():
    netlist = after(Netlist()).cell("lut", "LUT1", I0="q", O="o").flip_flop("a", "o", "x").flip_flop("b", "o", "y")
    assert worst(netlist).ns == pytest.approx(START + NET + 0.124 + 0.65)


def carry(netlist, name, o, co, s=("0",) * 4, di=("0",) * 4, **pins):
    return netlist.cell(name, "CARRY4", **({"CI": "0", "CYINIT": "0"} | pins), S=list(s), DI=list(di), O=list(o), CO=list(co))


def test_carry_chain_costs_no_net():
    netlist = after(Netlist()).cell("lut", "LUT2", I0="q", I1="0", O="s")
    carry(netlist, "low", [f"a{i}" for i in range(4)], [f"b{i}" for i in range(4)], s=("s", "0", "0", "0"))
    carry(netlist, "high", [f"c{i}" for i in range(4)], [f"d{i}" for i in range(4)], CI="b3")
    path = worst(netlist.flip_flop("end", "c3", "e"))
    assert path.ns == pytest.approx(START + NET + 0.124 + 0.508 + 0.315)
    assert (path.luts, path.carries) == (1, 2)


@pytest.mark.parametrize("pins, output, delay", [
    ({"s": ("q", "0", "0", "0")}, ("O", 3), 0.124 + 0.584),  # a carry's S is reached through a LUT
    ({"di": ("0", "q", "0", "0")}, ("O", 2), 0.547),
    ({"CYINIT": "q"}, ("O", 3), 0.662),
    ({"di": ("0", "0", "0", "q")}, ("CO", 3), 0.396),
])  # fmt: skip
def test_ways_into_a_carry(pins, output, delay):
    netlist, port, bit = after(Netlist()), *output
    carry(netlist, "carry", [f"O{i}" for i in range(4)], [f"CO{i}" for i in range(4)], **pins)
    assert worst(netlist.flip_flop("end", f"{port}{bit}", "e")).ns == pytest.approx(START + NET + delay)


def test_multiplexers_of_a_slice():
    netlist = after(Netlist()).cell("lut", "LUT6", I0="q", O="a")
    netlist.cell("seven", "MUXF7", I0="0", I1="a", S="0", O="b").cell("eight", "MUXF8", I0="b", I1="0", S="0", O="c")
    path = worst(netlist.flip_flop("end", "c", "e"))
    assert path.ns == pytest.approx(START + NET + 0.124 + 0.225 + 0.104)
    assert (path.luts, path.muxes) == (1, 2)
    assert worst(between("MUXF7", "S", "O", I0="0", I1="0")).ns == pytest.approx(START + NET + 0.314)
    assert worst(between("MUXF8", "S", "O", I0="0", I1="0")).ns == pytest.approx(START + NET + 0.283)
    # Straight from a register: through a LUT on the way.
    assert worst(between("MUXF7", "I0", "O", I1="0", S="0")).ns == pytest.approx(START + NET + 0.124 + 0.219)


ADDRESS = ["0"] * 5


@pytest.mark.parametrize("kind, pins, output, delay", [
    ("RAM64M", {"ADDRA": ["q", *ADDRESS]}, "DOA", 0.157),
    ("RAM32M", {"ADDRC": ["0", "q", "0", "0", "0"]}, "DOC", 0.157),
    ("RAM64X1D", {"DPRA5": "q"}, "DPO", 0.157),
    ("RAM32X1D", {"A4": "q"}, "SPO", 0.157),
    ("RAM64X1S", {"A0": "q"}, "O", 0.157),
    ("RAM32X1S", {"A0": "q"}, "O", 0.157),
    ("RAM128X1S", {"A5": "q"}, "O", 0.157 + 0.225),
    ("RAM128X1S", {"A6": "q"}, "O", 0.314),
    ("RAM128X1D", {"DPRA": ["0"] * 6 + ["q"]}, "DPO", 0.314),
    ("RAM256X1S", {"A": ["q"] + ["0"] * 7}, "O", 0.157 + 0.225 + 0.104),
    ("RAM256X1S", {"A": ["0"] * 6 + ["q", "0"]}, "O", 0.314 + 0.104),
    ("RAM256X1S", {"A": ["0"] * 7 + ["q"]}, "O", 0.283),
    ("SRL16E", {"A2": "q"}, "Q", 0.124),
    ("SRLC32E", {"A": ["q", *ADDRESS[1:]]}, "Q", 0.124),
])  # fmt: skip
def test_reads_of_lut_memories(kind, pins, output, delay):
    graph = timing.Graph(after(Netlist()).cell("memory", kind, WCLK="clk", **pins, **{output: "o"}).module)
    assert [edge[2] for edge in graph._edges] == [pytest.approx(NET + delay)]


@pytest.mark.parametrize("kind, pins, setup", [
    ("RAM64M", {"ADDRD": [*ADDRESS, "q"]}, 0.362), ("RAM64M", {"DIB": "q"}, 0.461), ("RAM64M", {"WE": "q"}, 0.654), ("RAM32M", {"ADDRD": ["q", *ADDRESS[1:]]}, 0.066),
    ("RAM64X1D", {"A3": "q"}, 0.208), ("RAM128X1D", {"A": ["0"] * 6 + ["q"]}, 0.616), ("RAM256X1S", {"A": ["0"] * 7 + ["q"]}, 0.633),
    ("SRL16E", {"D": "q"}, 0.178), ("SRL16E", {"CE": "q"}, 0.638), ("SRLC32E", {"D": "q"}, 0.178),
    ("RAMB36E1", {"ADDRARDADDR": ["q"] * 2}, 0.566 + 0.1), ("RAMB18E1", {"ADDRBWRADDR": ["q"]}, 0.566), ("RAMB36E1", {"WEA": ["q"]}, 0.532),
    ("RAMB36E1", {"WEBWE": ["q"]}, 0.532), ("RAMB36E1", {"ENARDEN": "q"}, 0.443), ("RAMB18E1", {"RSTRAMARSTRAM": "q"}, 0.359),
    ("RAMB18E1", {"REGCEB": "q"}, 0.360), ("RAMB18E1", {"RSTREGB": "q"}, 0.342), ("RAMB36E1", {"DIADI": ["q"]}, 0.737),
])  # fmt: skip
def test_set_up_of_memories(kind, pins, setup):
    path = worst(after(Netlist()).cell("memory", kind, **pins))
    assert path.ns == pytest.approx(START + NET + setup)


def test_set_up_of_block_memory_depends_on_its_write_mode():
    path = worst(after(Netlist()).cell("memory", "RAMB18E1", {"WRITE_MODE_B": "READ_FIRST"}, DIBDI=["q"]))
    assert path.ns == pytest.approx(START + NET + 0.241)


@pytest.mark.parametrize("kind, parameters, output, launch", [
    ("RAMB36E1", {"DOA_REG": 0}, "DOADO", 2.454), ("RAMB36E1", {"DOA_REG": 1}, "DOADO", 0.882), ("RAMB18E1", {"DOB_REG": 0}, "DOPBDOP", 2.454),
    ("RAM64M", {}, "DOA", 1.346), ("SRL16E", {}, "Q", 1.637), ("SRLC32E", {}, "Q31", 1.27),
])  # fmt: skip
def test_memories_are_starts(kind, parameters, output, launch):
    path = worst(
        Netlist().cell("memory", kind, parameters, **{output: "o"}).cell("lut", "LUT1", I0="o", O="x").flip_flop("end", "x", "e")
    )
    assert path.ns == pytest.approx(launch + NET + 0.124)


DIRECT = {
    f"{name}REG": 0
    for name in ("A", "B", "C", "D", "AD", "M", "P", "INMODE", "OPMODE", "ALUMODE", "CARRYIN", "CARRYINSEL", "ACASC", "BCASC")
}


def dsp(netlist, name="dsp", p="p", registers=None, **pins):
    parameters = (
        DIRECT | {"USE_MULT": "MULTIPLY", "USE_DPORT": "FALSE", "A_INPUT": "DIRECT", "B_INPUT": "DIRECT"} | (registers or {})
    )
    return netlist.cell(name, "DSP48E1", parameters, CLK="clk", P=[f"{p}{i}" for i in range(4)], **pins)


@pytest.mark.parametrize("pin, registers, delay", [
    ("A", {}, 3.841), ("B", {}, 3.656), ("C", {}, 1.820), ("CARRYIN", {}, 1.416), ("OPMODE", {}, 2.326), ("ALUMODE", {}, 2.098), ("INMODE", {}, 3.923),
    ("CARRYINSEL", {}, 1.910), ("A", {"USE_DPORT": "TRUE"}, 5.201), ("D", {"USE_DPORT": "TRUE"}, 5.070), ("A", {"USE_MULT": "NONE"}, 2.077),
])  # fmt: skip
def test_unregistered_dsp_block(pin, registers, delay):
    path = worst(dsp(after(Netlist()), registers=registers, **{pin: ["q"]}).flip_flop("end", "p2", "e"))
    assert path.ns == pytest.approx(START + NET + delay + NET)
    assert path.dsps == 1


@pytest.mark.parametrize("pin, registers, setup", [
    ("A", {"AREG": 1}, 0.362), ("A", {"AREG": 2, "MREG": 1, "PREG": 1}, 0.362), ("B", {"BREG": 1}, 0.450), ("C", {"CREG": 1, "PREG": 1}, 0.233),
    ("D", {"USE_DPORT": "TRUE", "DREG": 1}, 0.413), ("D", {"USE_DPORT": "TRUE", "ADREG": 1}, 1.626), ("A", {"USE_DPORT": "TRUE", "ADREG": 1}, 1.756),
    ("A", {"MREG": 1}, 1.928), ("B", {"MREG": 1}, 1.743), ("C", {"MREG": 1, "PREG": 1}, 1.701), ("A", {"PREG": 1}, 3.722), ("B", {"PREG": 1}, 3.536),
    ("A", {"USE_DPORT": "TRUE", "MREG": 1}, 3.288), ("A", {"USE_MULT": "NONE", "PREG": 1, "MREG": 1}, 1.958), ("OPMODE", {"OPMODEREG": 1}, 0.449),
    ("OPMODE", {"PREG": 1}, 2.209), ("CEM", {"MREG": 1}, 0.266), ("RSTP", {"PREG": 1}, 0.347), ("CEA2", {"AREG": 1}, 0.497),
])  # fmt: skip
def test_set_up_of_a_dsp_block(pin, registers, setup):
    paths = timing.analyse(dsp(after(Netlist()), registers=registers, **{pin: ["q"]}).module).paths
    assert [path.ns for path in paths if "inside" not in path.to_name] == [pytest.approx(START + NET + setup)]


@pytest.mark.parametrize("pin, registers, launch", [
    ("A", {"AREG": 1}, 4.009), ("B", {"BREG": 1}, 3.813), ("A", {"MREG": 1}, 2.305), ("A", {"AREG": 1, "MREG": 1}, 2.305), ("C", {"CREG": 1}, 2.291),
    ("A", {"AREG": 1, "MREG": 1, "PREG": 1}, 0.434), ("D", {"USE_DPORT": "TRUE", "DREG": 1}, 5.320), ("D", {"USE_DPORT": "TRUE", "ADREG": 1}, 3.684),
    ("A", {"AREG": 1, "USE_MULT": "NONE", "MREG": 1}, 2.215),
])  # fmt: skip
def test_dsp_block_is_a_start(pin, registers, launch):
    netlist = dsp(Netlist(), registers=registers, **{pin: ["in"]}).cell("lut", "LUT1", I0="p0", O="x").flip_flop("end", "x", "e")
    paths = [path for path in timing.analyse(netlist.module).paths if path.luts]
    assert paths[0].ns == pytest.approx(launch + NET + 0.124)


def test_register_of_a_constant_starts_nothing():
    netlist = dsp(Netlist(), registers={"OPMODEREG": 1, "CREG": 1, "PREG": 0}, OPMODE=["1", "0"], C=["0"], A=["in"]).flip_flop(
        "end", "p0", "e"
    )
    with pytest.raises(GatefoldError, match="no path between registers"):
        timing.analyse(netlist.module)


def test_cascade_of_dsp_blocks_costs_no_net():
    netlist = dsp(Netlist(), "first", "a", {"MREG": 1}, A=["in"], PCOUT=["u"])
    dsp(netlist, "second", "b", {"MREG": 1}, A=["0"], PCIN=["u"], PCOUT=["v"])
    dsp(netlist, "third", "c", {"MREG": 1, "PREG": 1}, A=["0"], PCIN=["v"])
    path = worst(netlist)
    assert path.ns == pytest.approx(2.500 + 1.713 + 1.400)
    assert path.dsps == 1 and path.routing_ns == 0


def test_a_and_b_cascades():
    netlist = dsp(Netlist(), "first", "a", {"AREG": 1, "ACASCREG": 1, "MREG": 1, "PREG": 1}, A=["in"], ACOUT=["u"])
    dsp(netlist, "second", "b", {"A_INPUT": "CASCADE", "AREG": 1, "MREG": 1, "PREG": 1}, ACIN=["u"])
    cascade = [path for path in timing.analyse(netlist.module).paths if not path.to_name.endswith("block)")]
    assert cascade[0].ns == pytest.approx(0.864 + 0.319)


def test_way_inside_a_dsp_block_counts():
    path = worst(dsp(Netlist(), registers={"AREG": 1, "PREG": 1}, A=["in"]))
    assert path.ns == pytest.approx(4.009) and "inside its DSP block" in path.to_name


def test_processing_system():
    outputs = {"SAXIHP0RDATA", "MAXIGP0ARADDR", "FCLKCLK"}
    netlist = Netlist().cell(
        "ps", "PS7", outputs=outputs, FCLKCLK=["f"], SAXIHP0RDATA=["r"], SAXIHP0ACLK="clk", SAXIHP0WDATA=["q"], IRQF2P=["q2"]
    )
    netlist.flip_flop("start", "r", "q").flip_flop("other", "0", "q2")
    graph = timing.Graph(netlist.module)
    # Data of a port are timed; interrupts, clocks and resets are not.
    assert {pin.port: end for _, end, pin, _ in graph.ends if pin.cell == 0} == {"SAXIHP0WDATA": pytest.approx(NET + 1.038)}
    assert {pin.port: launch for _, launch, pin in graph.launches if pin.cell == 0} == {"SAXIHP0RDATA": pytest.approx(1.507)}


def test_loop_is_refused():
    netlist = after(Netlist()).cell("a", "LUT2", I0="y", I1="q", O="x").cell("b", "LUT1", I0="x", O="y").flip_flop("end", "y", "e")
    with pytest.raises(GatefoldError, match="loop without a register at (a|b)"):
        timing.analyse(netlist.module)


def test_unknown_cell_is_refused():
    with pytest.raises(GatefoldError, match="cell MYSTERY without delays"):
        timing.analyse(after(Netlist()).cell("x", "MYSTERY", I="q").module)


def random_netlist(chance, registers=8, luts=60):
    netlist, nets = Netlist(), [f"q{index}" for index in range(registers)]
    loads, inputs = dict.fromkeys(nets, 0), {}
    for index in range(luts):
        chosen = chance.sample(nets, chance.randint(1, min(6, len(nets))))
        inputs[f"l{index}"] = chosen
        netlist.cell(f"lut{index}", f"LUT{len(chosen)}", O=f"l{index}", **{f"I{i}": net for i, net in enumerate(chosen)})
        for net in chosen:
            loads[net] += 1
        nets.append(f"l{index}")
        loads[f"l{index}"] = 0
    ends = {}
    for index in range(registers):
        ends[index] = chance.choice(nets)
        loads[ends[index]] += 1
        netlist.flip_flop(f"r{index}", ends[index], f"q{index}")
    return netlist, inputs, ends, loads


@pytest.mark.parametrize("seed", range(5))
def test_longest_path_of_random_netlists(seed):
    netlist, inputs, ends, loads = random_netlist(random.Random(seed))

    @functools.cache
    def arrival(net):
        if net.startswith("q"):
            return START
        return 0.124 + max(arrival(entry) + net_delay(loads[entry]) for entry in inputs[net])

    beside = {}
    for index in sorted(ends):
        beside.setdefault(ends[index], index)
    expected = max(
        arrival(net) + (0 if net.startswith("l") and beside[net] == index else net_delay(loads[net])) for index, net in ends.items()
    )
    path = worst(netlist)
    assert path.ns == pytest.approx(expected, abs=6e-4)
    assert path.ns == pytest.approx(START + path.routing_ns + 0.124 * path.luts, abs=2e-3)


RTL = """
module counter(input logic clk, input logic rst, input logic [15:0] step, output logic [15:0] count);
  always_ff @(posedge clk) if (rst) count <= '0; else count <= count + step;
endmodule
module chain(input logic clk, input logic rst, input logic [7:0] a, output logic [33:0] total);
  logic signed [16:0] factor, other;
  logic signed [33:0] product;
  logic [15:0] step;
  logic [1:0][15:0] counts;
  always_ff @(posedge clk) begin
    step <= 16'(a) << 3;
    factor <= 17'(counts[0]);
    other <= 17'(counts[1]);
    product <= factor * other;
    total <= product;
  end
  for (genvar i = 0; i < 2; i++) begin : pair
    counter each (.clk, .rst, .step(i == 0 ? step : counts[0]), .count(counts[i]));
  end
endmodule
"""
MAP = """
import sys
from pyosys import libyosys
from flow.synth.mapping import flat_commands
from flow.synth.names import mark
design = libyosys.Design()
libyosys.run_pass("read_slang -j 1 --best-effort-hierarchy --top chain chain.sv", design)
libyosys.run_pass("hierarchy -check -top chain", design)
mark(design, "chain")
for command in (*flat_commands("-flatten -abc9 -noiopad -noclkbuf -top chain"), "write_json chain.json"):
    libyosys.run_pass(command, design)
"""


def test_names_of_a_design_by_yosys(tmp_path):
    (tmp_path / "chain.sv").write_text(RTL)
    done = subprocess.run([sys.executable, "-c", MAP], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]
    module = json.loads((tmp_path / "chain.json").read_text())["modules"]["chain"]
    assert sum(cell["type"] == "DSP48E1" for cell in module["cells"].values()) == 1
    paths = {(path.from_module, path.to_module): path for path in timing.analyse(module).paths}
    inside = paths["pair[*].each", "pair[*].each"]
    assert (inside.from_name, inside.to_name) == ("counts", "counts") and inside.carries == 4
    # A bit of a counter to its own last bits and to those of the other counter: a LUT and four carries.
    assert START + 0.65 + 0.124 + 0.38 + 2 * 0.117 + 0.315 < inside.ns < START + 0.75 + 0.124 + 0.528 + 2 * 0.117 + 0.334
    assert paths["top", "pair[*].each"].from_name == "step"
    assert paths["pair[*].each", "top"].ns < 2  # into a DSP block's register


def test_report_says_what_limits():
    netlist = after(Netlist()).cell("lut", "LUT2", I0="q", I1="0", O="a").flip_flop("end", "a", "e", CE="q")
    found = timing.analyse(netlist.module)
    said = timing.contents(found, 1000)
    assert said["label"] == "estimated before placing" and "0.55 ns" in said["model"]
    assert said["worst_ns"] == pytest.approx(START + 0.65 + 0.124) and said["clock_mhz"] == 773.9
    assert not said["carried"] and timing.contents(found, 770)["carried"]
    assert said["limit"].startswith("top.q to top.e takes 1.3 ns (1 × LUT) and limits the clock to 773.9 MHz")
    (path,) = said["paths"]
    assert (path["over"], path["luts"], path["routing_ns"]) == (2, 1, pytest.approx(0.65))
    assert json.loads(json.dumps(said)) == said


def test_clock_that_is_not_carried_is_refused(monkeypatch):
    found = timing.analyse(after(Netlist()).flip_flop("end", "q", "e").module)
    monkeypatch.setattr(timing, "estimate", lambda parameters: found)
    timing.check_clock({}, 900)
    with pytest.raises(GatefoldError, match=r"1200 MHz is not carried: top.q to top.e takes 1.1 ns .* --clock-anyway"):
        timing.check_clock({}, 1200)


def test_register_is_named_in_the_module_that_holds_it():
    """A net has a name in every module that it crosses; the mark in `src` tells which holds the register."""
    netlist = Netlist().flip_flop("held", "d", "n").flip_flop("bare", "n", "m").cell("store.mem.0.3", "RAM64M", DOA="w")
    module = netlist.module
    for scope in ("core", "core.unit[3]"):
        module["cells"][scope] = {
            "type": "$scopeinfo",
            "attributes": {},
            "connections": {},
            "port_directions": {},
            "parameters": {},
        }
    module["cells"]["held"]["attributes"]["src"] = f"rtl/unit.sv:3.2|{MARK}core.unit[3]|lib/map.v:1.1"
    bit = module["netnames"]["n"]["bits"]
    for name in ("out", "core.out", "core.unit[3].count", "core.next.in"):
        module["netnames"][name] = {"hide_name": 0, "bits": bit, "attributes": {}}
    names = Names(module, "core")
    assert names.of("held") == ("unit[3]", "count")
    del module["netnames"]["core.unit[3].count"]  # yosys drops names
    assert Names(module, "core").of("held") == ("unit[3]", "n")
    assert names.of("bare") == ("top", "m")
    module["cells"]["core.unit[3].mem.0.3"] = module["cells"].pop("store.mem.0.3")
    assert Names(module, "core").of("core.unit[3].mem.0.3") == ("unit[3]", "mem")


def test_what_is_damaged_in_the_cache_is_made_anew(tmp_path, monkeypatch):
    """Netlist and result are kept; a cut, emptied or edited one counts as none."""
    monkeypatch.setenv("GATEFOLD_BUILD", str(tmp_path))
    made = []

    def synthesise(folder, sources, parameters, target, log):
        made.append(target.name)
        netlist = after(Netlist()).flip_flop("end", "q", "e")
        with gzip.open(target, "wt") as file:
            json.dump({"modules": {timing.TOP: netlist.module}}, file)

    monkeypatch.setattr(timing, "_synthesise", synthesise)
    assert timing.known_estimate({"P": 64}) is None and not made
    first = timing.estimate({"P": 64})
    assert timing.estimate({"P": 64}) == timing.known_estimate({"P": 64, "ENGINE_HASH": 1}) == first and len(made) == 1
    assert timing.known_estimate({"P": 32}) is None
    files = sorted(path for path in (tmp_path / "cache" / "timing").iterdir() if path.suffix != ".sha256")
    result, netlist = (next(path for path in files if path.name.endswith(end)) for end in (".json", ".gz"))
    for damage in (b"", result.read_bytes()[:20], result.read_bytes().replace(b"1", b"2")):
        result.write_bytes(damage)
        assert timing.known_estimate({"P": 64}) is None
        assert timing.estimate({"P": 64}) == first and len(made) == 1
    result.unlink()
    netlist.write_bytes(netlist.read_bytes()[:30])
    assert timing.estimate({"P": 64}) == first and len(made) == 2
