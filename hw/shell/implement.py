"""Bitstream of a build: `python hw/shell/implement.py build/resnet8 --toolchain vivado|openxc7`.

Takes the parameters of a deploy folder and adds `accelerator.bit` to it. Nothing of the project depends
on this step; the tools come from elsewhere and are looked for on PATH.

vivado   `vivado`; the block design of vivado.tcl. Also replaces accelerator.hwh.
openxc7  yosys (from the flow's own environment), `nextpnr-himbaechel` or `nextpnr-xilinx`, `fasm2frames`,
         `xc7frames2bit`; the top of zynq_top.sv. The variable PRJXRAY_DB_DIR names prjxray's data base (the folder that holds
         zynq7/), and for nextpnr-xilinx XILINX_CHIPDB the chip data base (xc7z020clg400.bin). Their timing is an
         estimate, not a sign-off.

Neither road has been tried to its end: no machine at hand had these tools. Of the open one, yosys makes the whole netlist
(`--until netlist`). Of the other, vivado.tcl is run against a recorder of Vivado's commands; its reports go into the
build's implementation/record.json.
"""

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from flow.atomic import check_space, refusal, write_text
from flow.build.bitstream import found, install
from flow.build.deploy import BITSTREAM, HANDOFF, hardware, read, read_engine
from flow.build.steps import exclusive
from flow.engine.top import NAME as TOP
from flow.errors import GatefoldError
from flow.synth.mapping import uses_dsp
from flow.synth.timing import ENGINE, analyse, carried, routed
from flow.synth.timing import TOP as NETLIST_TOP

SHELL = Path(__file__).resolve().parent
sys.path.insert(0, str(SHELL))
import reports  # noqa: E402

TOOLCHAINS = ("vivado", "openxc7")
PLACERS = ("nextpnr-himbaechel", "nextpnr-xilinx")
GET_OPENXC7 = "install openXC7 (for example `apio packages install openxc7`) and put its programs on PATH"


def main(argv=None):
    parser = argparse.ArgumentParser(prog="implement.py", description="Make the bitstream of a build.")
    parser.add_argument("build", type=Path, help="build folder, for example build/resnet8")
    parser.add_argument("--toolchain", choices=TOOLCHAINS, help="default: the variable TOOLCHAIN, or what is on PATH")
    parser.add_argument(
        "--if-installed", action="store_true", help="where no tool is on PATH, say so and end well; leave a bitstream that is there"
    )
    parser.add_argument("--until", choices=("netlist", "bitstream"), default="bitstream", help="openxc7: stop after yosys")
    args = parser.parse_args(argv)
    build = args.build.resolve()
    contents = read(build / "deploy")
    if args.if_installed and BITSTREAM in read_engine(build / "deploy")["files"] and found(build, contents):
        print(f"gatefold: {build / 'deploy' / BITSTREAM} is of this build already.")
        return
    toolchain = args.toolchain or os.environ.get("TOOLCHAIN") or ("openxc7" if args.until == "netlist" else installed())
    if toolchain is None:
        command = shlex.join([".venv/bin/python", "hw/shell/implement.py", str(args.build)])
        missing = f"no bitstream was made: neither Vivado nor the open tools are on PATH; install Vivado there, or {GET_OPENXC7}; then type: {command}"
        if not args.if_installed:
            raise GatefoldError(missing)
        print(f"gatefold: {missing}")
        return
    if toolchain not in TOOLCHAINS:
        raise GatefoldError(f"TOOLCHAIN names '{toolchain}'; choose one of {', '.join(TOOLCHAINS)}.")
    work = build / "implementation" / toolchain
    if toolchain == "vivado":
        vivado(build, work, contents)
    else:
        openxc7(build, work, contents, args.until)


def installed():
    """The toolchain whose programs are on PATH, or None."""
    if shutil.which("vivado"):
        return "vivado"
    open_tools = any(map(shutil.which, PLACERS)) and all(map(shutil.which, ("fasm2frames", "xc7frames2bit")))
    return "openxc7" if open_tools else None


def lay_out(work, contents):
    """What goes into the tools, in the folder of their work, so that a build meanwhile changes nothing of it.

    Returns:
        RTL files.
    """
    _, sources = hardware(contents, work / "rtl")
    return [*sources, work / "rtl" / f"{TOP}.sv"]


def vivado(build, work, contents):
    """Bitstream and handoff through vivado.tcl."""
    tool = find("vivado", "install Vivado and put it on PATH, or use --toolchain openxc7")
    sources = lay_out(work, contents)
    files = work / "files.txt"
    files.write_text("".join(f"{file}\n" for file in [*sources, SHELL / "gatefold_block.v"]))
    arguments = [files, contents["part"], contents["clock_mhz"], contents["board"], work]
    run([tool, "-mode", "batch", "-nojournal", "-source", SHELL / "vivado.tcl", "-tclargs", *arguments], work, "vivado.log")
    figures = reports.utilisation(report(work, "utilization.txt")) | reports.timing(report(work, "timing.txt"))
    deliver(build, contents, {name: work / name for name in (BITSTREAM, HANDOFF)})
    record(build, {"toolchain": "vivado", "clock_mhz": contents["clock_mhz"], **figures})


def openxc7(build, work, contents, until):
    """Bitstream through yosys, nextpnr and prjxray; DSP blocks only where the build asks for them."""
    part = contents["part"]
    database, place = Path(), []
    if until == "bitstream":
        place = [name for name in PLACERS if shutil.which(name)]
        if not place:
            raise GatefoldError(f"neither nextpnr-himbaechel nor nextpnr-xilinx is on PATH; {GET_OPENXC7}.")
        frames, bits = find("fasm2frames", GET_OPENXC7), find("xc7frames2bit", GET_OPENXC7)
        database = Path(os.environ.get("PRJXRAY_DB_DIR", "")) / "zynq7"
        if not (database / part / "part.yaml").is_file():
            raise GatefoldError(
                f"prjxray's data base of {part} is not found; let PRJXRAY_DB_DIR name the folder that holds zynq7/."
            )
    sources = lay_out(work, contents)

    netlist, dsp = work / "netlist.json", uses_dsp(contents["parameters"])
    job = work / "job.json"
    job.write_text(
        json.dumps(
            {
                "sources": [str(file) for file in [*sources, SHELL / "axi3_lite_bridge.sv", SHELL / "zynq_top.sv"]],
                "dsp": dsp,
                "netlist": str(netlist),
            }
        )
    )
    run([sys.executable, SHELL / "synthesise.py", job], work, work / "yosys.log")
    timing = analyse(json.loads(netlist.read_text())["modules"][NETLIST_TOP], ENGINE)
    print(f"gatefold: {carried(timing, contents['clock_mhz'])}")
    if until == "netlist":
        print(f"gatefold: {netlist}")
        return

    fasm, constraints = work / "accelerator.fasm", work / "accelerator.xdc"
    constraints.write_text("")  # the design has no pins
    if place[0] == "nextpnr-himbaechel":
        command = ["nextpnr-himbaechel", "--device", part, "--json", netlist, "-o", f"xdc={constraints}", "-o", f"fasm={fasm}"]
        # The heap placer does not end on this design.
        command += ["--router", "router2", "--placer", "static"]
    else:
        chip = Path(os.environ.get("XILINX_CHIPDB", ""))
        if not chip.is_file():
            raise GatefoldError("nextpnr-xilinx needs its chip data base; let XILINX_CHIPDB name the file (xc7z020clg400.bin).")
        command = ["nextpnr-xilinx", "--chipdb", chip, "--xdc", constraints, "--json", netlist, "--fasm", fasm]
    # A slower result is a result: both programs would call it a failure.
    run([*command, "--freq", contents["clock_mhz"], "--timing-allow-fail"], work, "nextpnr.log")
    check_dsp(fasm.read_text())
    with (work / "accelerator.frames").open("w") as output:
        run([frames, "--part", part, "--db-root", database, fasm], work, "fasm2frames.log", output)
    yaml = database / part / "part.yaml"
    arguments = [
        "--part_file",
        yaml,
        "--part_name",
        part,
        "--frm_file",
        work / "accelerator.frames",
        "--output_file",
        work / BITSTREAM,
    ]
    run([bits, *arguments], work, "xc7frames2bit.log")
    clock = routed((work / "nextpnr.log").read_text(errors="replace"))
    if clock is None:
        raise GatefoldError(f"{place[0]} names no clock after routing; look into {work / 'nextpnr.log'}.")
    if clock < contents["clock_mhz"]:
        raise GatefoldError(
            f"{work / BITSTREAM} carries {clock:g} MHz, as {place[0]} estimates, not the {contents['clock_mhz']:g} MHz of the build; "
            f"build for --clock {int(clock)} and implement that."
        )
    print(f"gatefold: after routing {place[0]} estimates {clock:g} MHz")
    deliver(build, contents, {BITSTREAM: work / BITSTREAM})


def check_dsp(fasm):
    """Refuse a FASM whose DSP blocks lack the tie-offs that older nextpnr leaves out: they would compute wrongly.

    INMODE1 can only be tied inside its tile (prjxray: DSP_0_INMODE1.DSP_GND_L and the like), so every block in use
    must show it.

    Raises:
        GatefoldError: a DSP48E1 in use carries no tie of INMODE1.
    """
    used = set(re.findall(r"^(DSP_[LR]_X\d+Y\d+)\.DSP48\.DSP_([01])\.", fasm, re.MULTILINE))
    tied = set(re.findall(r"^(DSP_[LR]_X\d+Y\d+)\.DSP_([01])_INMODE1\.DSP_(?:GND|VCC)_[LR]", fasm, re.MULTILINE))
    if used - tied:
        raise GatefoldError(
            f"{len(used - tied)} of {len(used)} DSP blocks have wrong mode bits; take a newer nextpnr, or build without DSP blocks."
        )


def find(name, remedy):
    """Path of a program on PATH."""
    path = shutil.which(name)
    if path is None:
        raise GatefoldError(f"{name} is not on PATH; {remedy}.")
    return path


def run(command, folder, log, output=None):
    """Run a tool in `folder`, its output in `log`."""
    log = folder / log
    with log.open("w") as file:
        done = subprocess.run(
            [str(part) for part in command], cwd=folder, stdout=output or file, stderr=file if output else subprocess.STDOUT
        )
    if done.returncode:
        check_space(log.parent, log.read_text(errors="replace"))
        said = [line for line in log.read_text(errors="replace").splitlines() if line.startswith("gatefold: ")]
        reason = f": {said[-1].removeprefix('gatefold: ').rstrip('.')}" if said else ""
        raise GatefoldError(f"{Path(str(command[0])).name} failed{reason}; its output is in {log}.")


def report(work, name):
    """Text of a report that the tools were to write."""
    path = work / name
    if not path.is_file():
        raise GatefoldError(f"{name} was not written; look into {work}.")
    return path.read_text(errors="replace")


def record(build, figures):
    """Keep what the tools reported of a build, as implementation/record.json."""
    write_text(build / "implementation" / "record.json", json.dumps(figures, indent=1) + "\n")


def deliver(build, contents, files):
    """Add what the tools made to the deploy folder: file name there -> path."""
    for path in files.values():
        if not path.is_file() or not path.stat().st_size:
            raise GatefoldError(f"{path.name} was not written; look into {path.parent}.")
    with exclusive(build, lambda words: print(f"gatefold: {words}")):
        install(build, contents, files)
    for name in files:
        print(f"gatefold: {build / 'deploy' / name}")


if __name__ == "__main__":
    try:
        main()
    except GatefoldError as error:
        print(f"gatefold: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        print(f"gatefold: {refusal(error)}", file=sys.stderr)
        sys.exit(2)
