"""The report on a design: resources against the part, cycles per layer and mode, frames per second, remedies."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flow.build.deploy import built_graph, read
from flow.build.source import is_file, network_name, qonnx_digest
from flow.engine.boards import Board
from flow.engine.config import EngineConfig, Folding
from flow.engine.plan import Plan
from flow.engine.select import smaller_selections
from flow.errors import GatefoldError
from flow.graph.layers import LayerGraph
from flow.paths import build_root
from flow.synth.resources import KINDS, Estimate
from flow.synth.timing import Timing, placed
from flow.synth.timing import contents as timing_contents

if TYPE_CHECKING:
    from rich.console import Console

    from flow.finn.pixels import Pixels


COMFORT = {"lut": 0.85, "ff": 1.0, "dsp": 1.0, "bram36": 0.95}
"""Share of the part up to which placing and routing usually ends well."""
LABELS = {"lut": "LUT", "ff": "FF", "dsp": "DSP48E1", "bram36": "BRAM36"}


@dataclass(frozen=True)
class Design:
    """A network laid out for an engine on a board.

    Attributes:
        graph: LayerGraph; its weights are not used.
        board: Board.
        plan: its Plan.
        built: contents of the modes.json of a build with the same parameters, or None.
        accuracy: mode name -> 0…1, as far as it is known.
        lacks: why the engine cannot run the gates and exits of these weights, so that the design is without them; None where it can.
    """

    graph: LayerGraph
    board: Board
    plan: Plan
    built: dict | None
    accuracy: dict
    lacks: str | None = None

    @property
    def config(self) -> EngineConfig:
        """EngineConfig."""
        return self.plan.config

    @classmethod
    def of(
        cls,
        model: str,
        board: Board,
        folding: Folding,
        modes: Sequence[str] | None = None,
        checkpoint: str | Path | None = None,
        classes: int | None = None,
        pixels: "Pixels | None" = None,
        engine: EngineConfig | None = None,
    ) -> "Design":
        """The design of a network.

        Args:
            model: its name in `flow.models`, or path of a QONNX file.
            board: Board.
            folding: Folding.
            modes: names of the modes to hold, None for all.
            checkpoint: weights file whose classes and modes it has; None: those of what is built in build/MODEL, or else
                of the shipped weights.
            classes: number of classes, where neither weights nor a build shall say.
            pixels: Pixels of a QONNX file.
            engine: that the network goes onto; None: one that is made for it.

        Raises:
            GatefoldError: unknown model or mode, wrong weights, or the engine lacks something.
        """
        from flow.engine.compile import keep_modes
        from flow.engine.plan import plan
        from flow.models import check_name

        if is_file(model):
            return cls._of_file(model, board, folding, modes, checkpoint, classes, pixels, engine)
        if pixels is not None:
            raise GatefoldError(f"--mean, --deviation and --divisor belong to a QONNX file; {model} brings its own.")
        check_name(model)
        built, graph = _built(network_name(model))
        lacks = None
        record = {"num_classes": classes} if classes is not None else _record(model, checkpoint)
        if checkpoint or classes is not None or not built:
            graph, lacks = _graph(model, folding, record)
        if modes:
            graph = keep_modes(graph, modes)
        layout = plan(graph, folding, engine)
        if not _same(built, board, layout.config, graph):
            built = None
        known = built and not checkpoint and classes is None
        accuracy = {mode["name"]: mode["accuracy"] for mode in built["modes"]} if known else record.get("accuracy", {})
        return cls(graph, board, layout, built, accuracy, lacks)

    @classmethod
    def _of_file(cls, path, board, folding, modes, checkpoint, classes, pixels, engine):
        from flow.engine.compile import keep_modes
        from flow.engine.plan import plan
        from flow.finn import NetworkConfig, layer_graph, read_network

        if checkpoint or classes is not None:
            raise GatefoldError(f"{path} holds its weights and classes; leave out {'--checkpoint' if checkpoint else '--classes'}.")
        name = network_name(path)
        graph = layer_graph(read_network(path, NetworkConfig(folding, pixels)))
        graph = keep_modes(graph, modes) if modes else graph
        layout = plan(graph, folding, engine)
        built, _ = _built(name)
        whole = _same(built, board, layout.config, graph) and built["qonnx_hash"] == qonnx_digest(path)
        return cls(graph, board, layout, built if whole else None, {})


def _graph(model, folding, record):
    """(the network's graph, None), or (without its gates and exits, why the engine cannot run them)."""
    from flow.engine.plan import plan

    if not record.get("options"):
        return _graph_with(model, record, {}), None
    try:
        graph = _graph_with(model, record, record["options"])
        plan(graph, folding)
        return graph, None
    except GatefoldError as problem:
        return _graph_with(model, record, {}), str(problem)


def _graph_with(model, record, options):
    from flow import models
    from flow.engine.plan import check_classes
    from flow.export.from_model import layer_graph

    classes = record.get("num_classes", 10)
    check_classes(model, classes)
    network = models.create(model, classes, **options)
    for name, groups in record.get("searched", {}).items():
        network.add_mode(name, groups)
    return layer_graph(network)


def _record(model, checkpoint):
    """What is known of the weights; empty where there are none and none are named."""
    from flow.training.checkpoint import load_named, read_record

    if checkpoint is not None:
        load_named(model, checkpoint)  # wrong weights are told
        return read_record(checkpoint)
    try:
        return read_record(model)
    except GatefoldError:
        return {}


def _built(model):
    """(contents of the modes.json in build/MODEL, its LayerGraph); None twice where there is no whole build of that network."""
    folder = build_root() / model
    try:
        contents = read(folder / "deploy")
        return (contents, built_graph(folder, contents)) if contents["model"] == model else (None, None)
    except GatefoldError:
        return None, None


def _same(built, board, config, graph):
    return (
        built is not None
        and built["parameters"] == config.parameters()
        and built["board"] == board.name
        and [mode["name"] for mode in built["modes"]] == list(graph.modes)
    )


def contents(design: Design, estimate: Estimate | None = None, timing: Timing | None = None) -> dict:
    """The report.

    Args:
        design: Design.
        estimate: flow.synth.resources.Estimate, or None.
        timing: flow.synth.timing.Timing, or None.

    Returns:
        JSON-ready dictionary: model, board, part, clock_mhz, parameters; lacks (see Design);
        resources.{lut,ff,dsp,bram36}.{used,available,short} (used and short, what is missing of the part, None without an
        estimate), units (name, parent, count and the four kinds, of all instances together), fits (None without an
        estimate), advice (sentences); timing (None, or what flow.synth.timing.contents says);
        modes.<name>.{cycles_model,cycles_rtl,frames_per_s,latency_ms,accuracy,layers,layers_rtl,exits,gates}: cycles of a frame by
        the formula and, None before a build, as simulated; the rate is that of the simulated cycles where there are any;
        layers, layers_rtl: layer name -> cycles by the formula and, None before a build, as simulated;
        exits: of each early exit name (of its classifier), cycles_model, cycles_rtl and frames_per_s of frames that stop there;
        gates: gate's name -> {own, saves}, cycles by the formula: those of its layers, and those that a frame takes less where it
        alone says no to everything.
    """
    board = design.board
    resources = {kind: _entry(getattr(estimate.total, kind) if estimate else None, getattr(board, kind)) for kind in KINDS}
    return {
        "model": design.graph.name,
        "board": board.name,
        "part": board.part,
        "clock_mhz": board.clock_mhz,
        "parameters": design.config.parameters(),
        "resources": resources,
        "units": [vars(unit) for unit in estimate.units if any(getattr(unit, kind) for kind in KINDS)] if estimate else [],
        "fits": not any(entry["short"] for entry in resources.values()) if estimate else None,
        "lacks": design.lacks,
        "advice": advice(resources, design.config, smaller_selections(design.graph, design.plan, board)) if estimate else [],
        "timing": timing_contents(timing, board.clock_mhz, placed(design.graph.name)) if timing else None,
        "modes": {name: _mode(design, name) for name in design.graph.modes},
    }


def _entry(used, available):
    return {"used": used, "available": available, "short": None if used is None else max(0, used - available)}


def _mode(design, name):
    from flow.engine.cost import frame_cost, mode_costs
    from flow.engine.frame import exit_cycles

    model = frame_cost(design.graph, name, design.config).cycles
    built = next((mode for mode in design.built["modes"] if mode["name"] == name), {}) if design.built else {}
    simulated, layers = built.get("cycles_rtl"), built.get("cycles_per_layer_rtl", {})
    cycles = simulated or model
    ends = [end for end, _ in exit_cycles(design.graph, design.config, name)]
    seen = [exit["cycles_rtl"] for exit in built.get("exits", [])] or [None] * len(ends)
    return {
        "cycles_model": model,
        "cycles_rtl": simulated,
        "frames_per_s": design.board.clock_mhz * 1e6 / cycles,
        "latency_ms": cycles / (design.board.clock_mhz * 1e3),
        "accuracy": design.accuracy.get(name),
        "layers": {layer: cost.cycles for layer, cost in mode_costs(design.graph, name, design.config).items()},
        "gates": _gates(design, name),
        "layers_rtl": {layer.name: layers.get(layer.name) for layer in design.graph.executed(name) if not layer.exit},
        "exits": [
            {"name": exit.name, "cycles_model": end, "cycles_rtl": rtl, "frames_per_s": design.board.clock_mhz * 1e6 / (rtl or end)}
            for exit, end, rtl in zip(design.graph.exits, ends, seen, strict=True)
        ],
    }


def _gates(design, name):
    from flow.engine.gated_cost import gate_worth

    return {gate: {"own": own, "saves": saves} for gate, (own, saves) in gate_worth(design.graph, name, design.config).items()}


def advice(resources: dict[str, dict], config: EngineConfig, smaller: Sequence[tuple[list[str], float]] = ()) -> list[str]:
    """What to lower, one sentence for each kind of resource that is short or nearly so.

    Args:
        resources: kind -> {"used", "available"}.
        config: EngineConfig of the design.
        smaller: (mode names, BRAM36) of selections of modes whose memories would fit, largest first.
    """
    luts = _fewer_luts(config)
    remedies = {"lut": luts, "ff": luts, "dsp": _fewer_dsps(config), "bram36": _fewer_memories(smaller)}
    sentences = []
    for kind, entry in resources.items():
        share = entry["used"] / entry["available"]
        if share > COMFORT[kind]:
            state = "do not fit" if share > 1 else f"leave the placer little room (over {COMFORT[kind]:.0%})"
            sentences.append(
                f"{entry['used']:,g} {LABELS[kind]} of {entry['available']:,} ({share:.0%}) {state}: {remedies[kind]}."
            )
    return sentences


def _fewer_luts(config):
    if config.pe == 2:
        return "lower PE to 1 (--pe 1), which halves the lanes and about the rate"
    if config.r > 8:
        return f"lower R to {config.r // 2} (--r {config.r // 2}), which slows modes with few inputs per group"
    if config.p == 64:
        return "lower P to 32 (--p 32), which halves the lanes and the rate"
    return "choose a board with a larger part"


def _fewer_dsps(config):
    if config.r > 8:
        return f"lower R to {config.r // 2} (--r {config.r // 2}), or build without DSP blocks (--no-dsp)"
    return "build without DSP blocks (--no-dsp)"


def _fewer_memories(smaller):
    if smaller:
        needs = " or ".join(f"--modes {','.join(names)} ({need:g} BRAM36)" for names, need in smaller)
        return f"hold fewer modes, {needs}, which shrinks the requantisation memory"
    return "choose a smaller model"


def show(report: dict, console: "Console") -> None:
    """Print the report as tables."""
    from rich.table import Table

    parameters = "  ".join(
        f"{name}={value}" for name, value in report["parameters"].items() if name in ("P", "PE", "R", "V", "MULT_DSP")
    )
    console.print(
        f"[bold]{report['model']}[/] for {report['board']} ({report['part']}) at {report['clock_mhz']:g} MHz   {parameters}"
    )
    if report["lacks"]:
        console.print(f"[yellow]Without gates and exits: {report['lacks']}[/]", soft_wrap=True)
    if report["fits"] is not None:
        console.print(_resource_table(report, Table))
        for sentence in report["advice"]:
            console.print(f"[yellow]{sentence}[/]", soft_wrap=True)
        if report["fits"] and not report["advice"]:
            console.print("It fits (estimate of yosys synth_xilinx, before place and route).")
    if report["timing"]:
        _show_timing(report["timing"], console, Table)
    console.print(_layer_table(report, Table))
    if any(mode["gates"] for mode in report["modes"].values()):
        console.print(_gate_table(report, Table))
    console.print(_mode_table(report, Table))
    if any(mode["exits"] for mode in report["modes"].values()):
        console.print(_exit_table(report, Table))


PATHS_SHOWN = 15


def _show_timing(timing, console, table_type):
    from rich.table import Column

    missed = sum(path["over"] > 0 for path in timing["paths"])
    title = f"Slowest path of each pair of modules, {timing['label']} ({timing['model']})"
    ends = (Column(name, overflow="fold") for name in ("from", "to"))
    table = table_type(
        *ends, *(_figures(name) for name in ("ns", "nets", "LUT", "carry", "mux", "DSP", "RAM", "pins over")), title=title
    )
    for path in timing["paths"][:PATHS_SHOWN]:
        counts = (path[kind] for kind in ("luts", "carries", "muxes", "dsps", "memories", "over"))
        ends = (f"{path['from_module']}.{path['from']}", f"{path['to_module']}.{path['to']}")
        table.add_row(
            *ends, f"{path['ns']:.1f}", f"{path['routing_ns']:.1f}", *(f"{count:,}" if count else "–" for count in counts)
        )
    console.print(table)
    after = timing["placed"]
    routed = f"; after routing {after['tool']} said {after['clock_mhz']:g} MHz" if after else ""
    console.print(f"{timing['limit']}{routed}.", soft_wrap=True)
    if not timing["carried"]:
        console.print(
            f"[yellow]{timing['asked_mhz']:g} MHz is not carried: {missed} pair{'s miss' if missed > 1 else ' misses'} it.[/]",
            soft_wrap=True,
        )


def _resource_table(report, table_type):
    table = table_type("unit", *(_figures(LABELS[kind]) for kind in KINDS), title="Resources")
    for unit in report["units"]:
        # Depth below the top: units of the shell and of the engine stand under them.
        inner = unit["parent"] != "gatefold_top"
        count = f" × {unit['count']}" if unit["count"] > 1 else ""
        table.add_row(("  " if inner else "") + unit["name"] + count, *(f"{unit[kind]:,g}" for kind in KINDS))
    table.add_section()
    entries = report["resources"]
    table.add_row("total", *(f"{entries[kind]['used']:,g}" for kind in KINDS))
    table.add_row("part", *(f"{entries[kind]['available']:,}" for kind in KINDS))
    table.add_row("share", *(f"{entries[kind]['used'] / entries[kind]['available']:.0%}" for kind in KINDS))
    if not report["fits"]:
        table.add_row("missing", *(f"{entries[kind]['short']:,g}" if entries[kind]["short"] else "–" for kind in KINDS))
    return table


def _figures(title):
    """A column of figures."""
    from rich.table import Column

    return Column(title, justify="right")


def _number(value, form="{:,}"):
    return "–" if value is None else form.format(value)


def _layer_table(report, table_type):
    modes = list(report["modes"].values())
    table = table_type("layer", "", *(_figures(name) for name in report["modes"]), title="Cycles per layer")
    for layer in max((mode["layers"] for mode in modes), key=len):  # a mode without gates has fewer
        table.add_row(layer, "formula", *(_number(mode["layers"].get(layer)) for mode in modes))
        table.add_row("", "simulated", *(_number(mode["layers_rtl"].get(layer)) for mode in modes))
    return table


def _gate_table(report, table_type):
    modes = {name: mode for name, mode in report["modes"].items() if mode["gates"]}
    title = "Cycles of gates, by the formula: their own, and what a frame saves where one says no to everything"
    table = table_type("gate", "", *(_figures(name) for name in modes), title=title)
    for gate in next(iter(modes.values()))["gates"]:
        table.add_row(gate, "own", *(f"{mode['gates'][gate]['own']:,}" for mode in modes.values()))
        table.add_row("", "saves", *(f"{mode['gates'][gate]['saves']:,}" for mode in modes.values()))
    table.add_section()
    shares = (sum(gate["own"] for gate in mode["gates"].values()) / mode["cycles_model"] for mode in modes.values())
    table.add_row("all, of a frame", "own", *(f"{share:.1%}" for share in shares))
    return table


def _mode_table(report, table_type):
    table = table_type("per frame", *(_figures(name) for name in report["modes"]), title="Modes")
    modes = list(report["modes"].values())
    table.add_row("cycles, formula", *(f"{mode['cycles_model']:,}" for mode in modes))
    table.add_row("cycles, simulated", *(_number(mode["cycles_rtl"]) for mode in modes))
    table.add_row("latency, ms", *(f"{mode['latency_ms']:.3f}" for mode in modes))
    table.add_row("frames/s", *(f"{mode['frames_per_s']:,.0f}" for mode in modes))
    table.add_row("accuracy, %", *(_number(mode["accuracy"] and 100 * mode["accuracy"], "{:.2f}") for mode in modes))
    return table


def _exit_table(report, table_type):
    modes = list(report["modes"].values())
    table = table_type("frames that stop at", "", *(_figures(name) for name in report["modes"]), title="Early exits")
    for number, exit in enumerate(modes[0]["exits"]):
        each = [mode["exits"][number] for mode in modes]
        table.add_row(f"{number}: {exit['name']}", "cycles, formula", *(f"{one['cycles_model']:,}" for one in each))
        table.add_row("", "cycles, simulated", *(_number(one["cycles_rtl"]) for one in each))
        table.add_row("", "frames/s", *(f"{one['frames_per_s']:,.0f}" for one in each))
    return table
