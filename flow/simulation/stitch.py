"""FINN's stitched design without Vivado: the block design of `CreateStitchedIP` as one flat Verilog module."""

import re
import shutil
from collections import defaultdict
from collections.abc import Callable, Hashable
from pathlib import Path

from flow.errors import GatefoldError
from flow.simulation.block_design import BlockDesign, read_block_design
from flow.simulation.compile import MEMORY_IMAGES, Port, module_ports


def stitch(script: Path) -> Path:
    """Do what FINN's `make_project.tcl` asks of Vivado, as far as a simulation needs it; returns the wrapper.

    Written are the wrapper where the script wants it, in Vivado's form (module `<design>_wrapper`), and
    `all_verilog_srcs.txt` with every source file and the wrapper.

    Raises:
        GatefoldError: a node without RTL, or a step that only Vivado can do (synthesis).
    """
    text = script.read_text()
    if re.search(r"^write_checkpoint\b", text, re.M):
        raise GatefoldError("Synthesis of the stitched design (run_synth, run_pnr) needs Vivado; stitch it without.")
    design = read_block_design(script)
    (sources,) = re.findall(r"^set fp \[open (\S+all_verilog_srcs\.txt) w\]", text, re.M)
    wrappers = re.findall(r"^add_files -norecurse (\S+_wrapper\.v)$", text, re.M)[-1:]
    wrappers += re.findall(r"^write_verilog -mode funcsim -force -file (\S+)", text, re.M)  # simulated instead: the RTL
    files = list(dict.fromkeys(design.files))
    cells = {cell: (name, design.parameters.get(cell, {})) for cell, name in design.cells.items()}
    module = join(design, module_ports(cells, [file for file in files if file.suffix not in MEMORY_IMAGES]))
    for wrapper in map(Path, wrappers):
        wrapper.parent.mkdir(parents=True, exist_ok=True)
        wrapper.write_text(module)
    Path(sources).write_text("".join(f"{file}\n" for file in [*files, wrappers[0]] if str(file) not in wrappers[1:]))
    return Path(wrappers[-1])


class _Nets:
    """Union of signals that are joined."""

    def __init__(self):
        self.above: dict[Hashable, Hashable] = {}

    def find(self, signal):
        while (next_one := self.above.setdefault(signal, signal)) != signal:
            self.above[signal] = self.above[next_one]
            signal = next_one
        return signal

    def join(self, signals):
        for one, other in zip(signals, signals[1:], strict=False):
            self.above[self.find(one)] = self.find(other)


def join(design: BlockDesign, ports: dict[str, dict[str, Port]]) -> str:
    """Verilog of the module `<design>_wrapper`.

    Args:
        ports: cell -> {name: port}, for every cell that is a module.

    Raises:
        GatefoldError: a pin that does not exist, or a net with two drivers.
    """
    interfaces = _Nets()
    for ends in design.interface_joins:
        interfaces.join(ends)
    groups = defaultdict(list)
    for ends in design.interface_joins:
        for end in ends:
            if end not in groups[interfaces.find(end)]:
                groups[interfaces.find(end)].append(end)

    nets, external = _Nets(), {}
    for ends in groups.values():
        signals = defaultdict(list)
        for cell, name in ends:
            for port in ports.get(cell, ()):
                if port.startswith(f"{name}_"):
                    signals[port[len(name) + 1 :].lower()].append((cell, port))
        for suffix, pins in signals.items():
            outside = [("", f"{name}_{suffix}") for cell, name in ends if not cell]
            nets.join(pins + outside)
            external |= dict.fromkeys(outside)
    for ends in design.pin_joins:
        for cell, name in ends:
            if cell in ports and name not in ports[cell]:
                raise GatefoldError(f"The cell {cell} ({design.cells[cell]}) has no pin {name}; it has {', '.join(ports[cell])}.")
        nets.join(ends)
        external |= {end: None for end in ends if not end[0]}
    return _module(design, ports, nets, list(external))


def _module(design: BlockDesign, ports: dict[str, dict[str, Port]], nets: _Nets, external: list) -> str:
    members = defaultdict(list)
    for cell, own in ports.items():
        for name in own:
            members[nets.find((cell, name))].append((cell, name))
    number = {net: index for index, net in enumerate(members)}
    header, body = [], []
    outside = defaultdict(list)
    for end in external:
        outside[nets.find(end)].append(end[1])
    for net, pins in members.items():
        drivers = [pin for pin in pins if ports[pin[0]][pin[1]].output]
        width = max(ports[cell][name].width for cell, name in pins)
        span = f"[{width - 1}:0] "
        if len(drivers) > 1:
            raise GatefoldError(f"Two outputs drive one net of the design: {', '.join('/'.join(pin) for pin in drivers)}.")
        body.append(f"  wire {span}n{number[net]};")
        for name in outside[net]:
            header.append(f"  {'output' if drivers else 'input'} wire {span}{name}")
            body.append(f"  assign {name} = n{number[net]};" if drivers else f"  assign n{number[net]} = {name};")
        if not drivers and not outside[net]:
            body.append(f"  assign n{number[net]} = {width}'d0;")
    for index, (cell, own) in enumerate(ports.items()):
        parameters = ", ".join(f".{name}({value})" for name, value in design.parameters.get(cell, {}).items())
        pins = ",\n".join(f"    .{name}(n{number[nets.find((cell, name))]})" for name in own)
        name = re.sub(r"\W", "_", cell)
        body.append(f"  {design.cells[cell]} {f'#({parameters}) ' if parameters else ''}i{index}_{name} (\n{pins}\n  );")
    ends = ",\n".join(header)
    return f"module {design.name}_wrapper (\n{ends}\n);\n" + "\n".join(body) + "\nendmodule\n"


def vivado(tool: str) -> str:
    """FINN's `resolve_xilinx_tool` for `CreateStitchedIP`: the tool where it is installed, else a name for the script."""
    return shutil.which(tool) or tool


def launch(
    original: Callable[..., tuple[str, str]], command: list[str | Path], *arguments: object, **options: object
) -> tuple[str, str]:
    """FINN's `launch_process_helper` for `CreateStitchedIP`: without Vivado, its script is read here."""
    from finn.util.exception import FINNUserError

    script = Path(command[-1]).with_name("make_project.tcl")
    if shutil.which("vivado") or not script.is_file():
        return original(command, *arguments, **options)
    try:
        stitch(script)
    except GatefoldError as problem:
        raise FINNUserError(str(problem)) from problem
    return "", ""
