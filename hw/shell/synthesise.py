"""yosys for implement.py: `python synthesise.py JOB.json`, in the folder of the memory images.

The job names `sources`, `dsp` (allow DSP blocks) and `netlist`, the JSON file for nextpnr. The top is zynq_top.
"""

import json
import sys
from pathlib import Path

from pyosys import libyosys

from flow.synth.mapping import commands


def main(job_file):
    job = json.loads(Path(job_file).read_text())
    design = libyosys.Design()
    library = Path(libyosys.__file__).parent / "share" / "xilinx"
    for command in (
        f"read_verilog -lib {library}/cells_sim.v",
        f"read_verilog -lib {library}/cells_xtra.v",
        "read_slang -j 1 -Wno-implicit-port-type-mismatch -Wno-unconnected-inout-port --no-implicit-memories "
        f"--best-effort-hierarchy --empty-blackboxes --top zynq_top {' '.join(job['sources'])}",
        "hierarchy -check -top zynq_top",
        *commands("-flatten -abc9 -arch xc7 -noiopad -top zynq_top", job["dsp"]),
        "tee -q -o statistics.txt stat -tech xilinx".replace("statistics.txt", str(Path(job["netlist"]).with_suffix(".txt"))),
        f"write_json {job['netlist']}",
    ):
        libyosys.run_pass(command, design)


if __name__ == "__main__":
    main(sys.argv[1])
