"""The netlist that goes to place and route, of one unit of each kind with DSP blocks or block memory: registers and memories as the
RTL means them, by the commands that map the whole accelerator."""

import json
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from flow.engine.sources import accelerator_sources

ROOT = Path(__file__).resolve().parents[3]
TOP = """
module zynq_top;
  wire [3:0] fclk;
  wire clk;
  wire [31:0] word;
  logic result;
  BUFG buffer (.I(fclk[0]), .O(clk));
  PS7 processing_system (.FCLKCLK(fclk), .MAXIGP0ACLK(clk), .MAXIGP0WDATA(word), .IRQF2P({19'b0, result}));
  logic [255:0] words;
  always_ff @(posedge clk) words <= {words[223:0], word};
  wire [255:0] seen = words ^ {words[100:0], words[255:101]};  // operands that nobody knows, with no register at the blocks
  if (1) begin : gatefold_0
    if (1) begin : top
      wire [3:0] pixel;
      engine_requantiser requantiser (.clk, .acc(seen[17:0]), .scale(seen[42:18]), .bias(seen[79:43]), .fine(1'b0), .high(5'd0),
        .residual(seen[83:80]), .on_map(seen[84]), .pixel, .level());
      wire [3:0][9:0] sum;
      engine_quad_row row (.clk, .taps(seen[123:100]), .weights(seen[165:124]), .sum);
      wire [8:0] data0, data1;
      engine_weight_column #(.DEPTH(4096)) column (.clk, .we(seen[51:50]), .addr0(seen[11:0]), .addr1(seen[24:13]), .wdata0(seen[34:26]),
        .wdata1(seen[43:35]), .data0, .data1);
      engine_pkg::load_t load;
      always_comb begin
        load = '0;
        load.write = seen[67:52];
        load.addr = seen[84:68];
        load.beats[3] = {seen[116:85], seen[116:85]};
      end
      wire [31:0] logit;
      engine_vector #(.V(4), .DEPTH(160)) vector (.clk, .rst_n(seen[0]), .load, .start(seen[1]), .in_count(seen[10:2]), .out_count(seen[19:11]),
        .weight_base(seen[36:20]), .bias_base(seen[51:37]), .pool_addr(), .pool_data(seen[91:52]), .logit_valid(), .logit_index(),
        .logit, .best(), .done());
      always_ff @(posedge clk) result <= ^{pixel, sum, data0, data1, logit};
    end
  end
endmodule
"""
REGISTERS = ("AREG", "BREG", "MREG", "PREG")


@pytest.fixture(scope="module")
def netlist(tmp_path_factory):
    """(cells of the netlist, folder)."""
    folder = tmp_path_factory.mktemp("units")
    (folder / "units.sv").write_text(TOP)
    sources = [str(file) for file in accelerator_sources(folder)]
    job = {"sources": [*sources, str(folder / "units.sv")], "dsp": True, "netlist": str(folder / "netlist.json")}
    (folder / "job.json").write_text(json.dumps(job))
    command = [sys.executable, ROOT / "hw" / "shell" / "synthesise.py", "job.json"]
    done = subprocess.run(command, cwd=folder, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return json.loads((folder / "netlist.json").read_text())["modules"]["zynq_top"]["cells"], folder


def test_registers_of_dsp_blocks(netlist):
    """Requantiser: two registers before the product, the product's and the sum's. A row of three taps: one cascade, its products
    registered, its sum behind the last. Vector unit: operands, product, and nothing of the sum in the blocks."""
    cells, _ = netlist
    found = Counter()
    for name, cell in cells.items():
        if cell["type"] == "DSP48E1":
            values = tuple(int(cell["parameters"].get(register, "1"), 2) for register in REGISTERS)
            found[
                next(unit for unit in ("requantiser", "row", "vector") if f"top.{unit}" in json.dumps([name, cell["attributes"]])),
                values,
            ] += 1
    assert found == {
        ("requantiser", (2, 2, 1, 1)): 1,
        ("row", (0, 0, 1, 0)): 2,
        ("row", (0, 0, 1, 1)): 1,
        ("vector", (1, 1, 1, 1)): 4,
    }


def test_block_memories_are_written_and_begin_with_nothing(netlist):
    """A network image fills them: the kernels' through both ports, with an address of its own each."""
    cells, _ = netlist
    ports = defaultdict(set)
    for name, cell in cells.items():
        if cell["type"] in ("RAMB18E1", "RAMB36E1"):
            unit = next(unit for unit in ("column", "vector") if f"top.{unit}" in name)
            values = [value for key, value in cell["parameters"].items() if key.startswith(("INIT_", "INITP_"))]
            assert not any(set(value) - set("0x") for value in values), name
            wired = {port for port in ("WEA", "WEBWE") if any(isinstance(bit, int) for bit in cell["connections"][port])}
            ports[unit] |= wired
    assert ports["column"] == {"WEA", "WEBWE"} and len(ports["vector"]) == 1


def test_what_the_check_says(netlist):
    text = (netlist[1] / "netlist.txt").read_text()
    assert "      1 PS7\n" in text and "      1 DSP48E1 of requantiser: AREG=2 BREG=2 CREG=0 MREG=1 PREG=1\n" in text
