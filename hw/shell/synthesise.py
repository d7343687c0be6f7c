"""The netlist of the whole accelerator by yosys: `python synthesise.py JOB.json`.

One flat module, for nextpnr (implement.py) and for the timing estimate (flow/synth/timing.py). The job names `sources`, `dsp`
(allow DSP blocks) and `netlist`, the JSON file; what it holds goes into a text file beside it. The top is zynq_top. Cells carry
the instance path that they come from.
"""

import json
import sys
from pathlib import Path

from pyosys import libyosys

from flow.errors import GatefoldError
from flow.synth.mapping import flat_commands
from flow.synth.names import mark

sys.path.insert(0, str(Path(__file__).resolve().parent))
from netlist import check

TOP = "zynq_top"


def main(job_file):
    job = json.loads(Path(job_file).read_text())
    design = libyosys.Design()
    library = Path(libyosys.__file__).parent / "share" / "xilinx"

    def run(*commands):
        for command in commands:
            libyosys.run_pass(command, design)

    run(
        f"read_verilog -lib {library}/cells_sim.v",
        f"read_verilog -lib {library}/cells_xtra.v",
        "read_slang -j 1 -Wno-implicit-port-type-mismatch -Wno-unconnected-inout-port --no-implicit-memories "
        f"--best-effort-hierarchy --empty-blackboxes --top {TOP} {' '.join(job['sources'])}",
        f"hierarchy -check -top {TOP}",
    )
    mark(design, TOP)
    run(
        *flat_commands(f"-flatten -abc9 -arch xc7 -noiopad -top {TOP}", job["dsp"]),
        f"write_json {job['netlist']}",
    )
    netlist = Path(job["netlist"])
    lines = check(json.loads(netlist.read_text())["modules"][TOP], job["dsp"], "gatefold_0.top")
    netlist.with_suffix(".txt").write_text("".join(f"{line}\n" for line in lines))


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except GatefoldError as error:
        print(f"gatefold: {error}", file=sys.stderr)
        sys.exit(2)
