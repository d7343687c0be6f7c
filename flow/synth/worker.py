"""Runs yosys on one design, in a process of its own: `python -m flow.synth.worker JOB.json`.

yosys ends its process on an error and writes to standard output; both stay away from the caller this way.

The job names `sources` (absolute paths, packages first), `top`, `parameters` (name -> integer), `dsp` (allow DSP
blocks) and `result`, the file that receives yosys' `stat -json`.
"""

import json
import sys
from pathlib import Path

from pyosys import libyosys

from flow.synth.mapping import commands
from flow.synth.merge import equal_modules


def main(job_file: str | Path) -> None:
    job = json.loads(Path(job_file).read_text())
    design = libyosys.Design()

    def run(command):
        libyosys.run_pass(command, design)

    top = job["top"]
    parameters = " ".join(f"-G {name}={value}" for name, value in job["parameters"].items())
    # Only memories that say so become memories: otherwise registers of DSP blocks would stay outside them.
    run(
        "read_slang -j 1 -Wno-implicit-port-type-mismatch --no-implicit-memories --best-effort-hierarchy "
        f"--top {top} {parameters} {' '.join(job['sources'])}"
    )
    run("hierarchy -check")
    elaborated = Path(job["result"]).with_suffix(".elaborated.json")
    run(f"write_json {elaborated}")
    merged = equal_modules(json.loads(elaborated.read_text()))
    elaborated.unlink()
    for module in design.modules_.values():
        for cell in module.cells_.values():
            name = cell.type.str().removeprefix("\\")
            if merged.get(name, name) != name:
                cell.type = libyosys.IdString("\\" + merged[name])
    run(f"hierarchy -purge_lib -top {top}")
    for command in commands(f"-family xc7 -top {top} -noiopad -noclkbuf", job["dsp"]):
        run(command)
    run(f"tee -q -o {job['result']} stat -json -tech xilinx")


if __name__ == "__main__":
    main(sys.argv[1])
