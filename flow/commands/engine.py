"""``gatefold engine``: one engine for several networks."""

import argparse
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from flow.commands.counts import whole
from flow.errors import GatefoldError

if TYPE_CHECKING:
    from flow.engine.boards import Board
    from flow.engine.config import EngineConfig, Folding

KERNELS = 4096
"""Kernels that the block memories of a bank hold, in whose multiples it is worth having more."""
STEP = 1024
"""Kernels of the smallest part of a bank."""
FILL = "fill"
FEWER = "fewer or smaller networks, fewer --kernels, or no --resident"


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "engine",
        help="describe one engine that several networks run on",
        description="Write the description of the smallest engine that holds all of the named networks, and compile its simulator. `gatefold build "
        "NETWORK --engine FILE` builds a network for it: builds of one engine have the same hardware, so they share its bitstream and its "
        "simulator, and the board program loads one network or another. Without names it is an engine for the shipped networks that fit "
        "the part together, with as many kernels for networks to come as there is block memory for.",
    )
    parser.add_argument(
        "networks", nargs="*", metavar="NETWORK", help="names or files, as `gatefold build` takes them (default: the shipped ones)"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="where the description is written (JSON)")
    parser.add_argument("--board", default="pynq-z2", help="pynq-z1, pynq-z2 or zedboard (default: %(default)s)")
    parser.add_argument("--untrained", action="store_true", help="networks without weights too: the engine is the same")
    add_folding_options(parser)
    parser.add_argument(
        "--kernels",
        type=_kernels,
        metavar="N",
        help=f"room for so many kernels at least, for networks to come, or '{FILL}' for as many as the part holds (default: {FILL} without "
        "names)",
    )
    parser.add_argument("--no-simulator", action="store_true", help="do not compile the simulator: the first build does")
    parser.add_argument(
        "--resident",
        action="store_true",
        help="room for all of them at once, so that a batch of frames may go from one to another (`board/run.py --model A,B`)",
    )
    parser.set_defaults(run=run)


def add_folding_options(parser: argparse.ArgumentParser) -> None:
    """The options that say how much an engine computes at once."""
    parser.add_argument("--p", type=int, help="output pixels per cycle: 32 or 64 (default: 64)")
    parser.add_argument("--pe", type=int, help="output channels per cycle: 1 or 2 (default: 2, without DSP 1)")
    parser.add_argument("--r", type=int, help="requantisers: 8, 16, 32 or 64 (default: 64, without DSP 32)")
    parser.add_argument("--no-dsp", action="store_true", help="use no DSP blocks, for open tools without them")


def add_target_options(parser: argparse.ArgumentParser) -> None:
    """The options that say what a network goes onto: an engine, or a board and how much one of its own computes at once."""
    parser.add_argument("--board", help="pynq-z1, pynq-z2 or zedboard (default: pynq-z2)")
    parser.add_argument(
        "--engine", type=Path, metavar="FILE", help="engine that the network goes onto, as `gatefold engine` wrote it (default: one that is "
        "made for it); its board and its --p, --pe, --r are the engine's",
    )  # fmt: skip
    add_folding_options(parser)


def target_of(args: argparse.Namespace) -> tuple["Board", "Folding", "EngineConfig | None"]:
    """Board, at the clock of --clock, folding, and the engine that the options of `add_target_options` name, if they name one.

    Raises:
        GatefoldError: there is no such board or engine, or an option contradicts the engine.
    """
    from flow.engine.boards import at_clock, find_board
    from flow.engine.limits import flaw
    from flow.engine.select import choose
    from flow.engine.shared import read_engine

    name, engine = args.board or "pynq-z2", None
    if args.engine:
        name, engine = read_engine(args.engine)
        if why := flaw(engine):
            raise GatefoldError(f"{args.engine} describes no engine: {why}; write one with `gatefold engine`.")
        given = [option for option in ("p", "pe", "r") if getattr(args, option) is not None] + ["no-dsp"] * args.no_dsp
        if given or args.board and find_board(args.board) != find_board(name):
            option = f"--{given[0]}" if given else "--board"
            raise GatefoldError(f"{option} is that of the engine in {args.engine}; leave it out, or make another engine.")
    dsp = bool(engine.requant_dsp) if engine else not args.no_dsp
    board = at_clock(find_board(name), args.clock, dsp)
    return board, engine.folding if engine else choose(board, args.p, args.pe, args.r, dsp=dsp), engine


def _kernels(text):
    return text if text == FILL else whole(0)(text)


def run(args: argparse.Namespace) -> int:
    """Describe; returns the exit code."""
    import torch
    from rich.console import Console

    from flow.build.build import Request
    from flow.build.source import is_file, network_name
    from flow.engine.boards import find_board
    from flow.engine.limits import flaw
    from flow.engine.memories import block_memories
    from flow.engine.plan import engine_for
    from flow.engine.select import choose
    from flow.engine.shared import write_engine

    torch.set_num_threads(1)
    board = find_board(args.board)
    folding = choose(board, args.p, args.pe, args.r, dsp=not args.no_dsp)
    if args.output.is_dir():
        raise GatefoldError(f"{args.output} is a folder; give the name of a file for --output.")
    _check_not_read(args.output, args.networks)
    with Console(stderr=True).status("reading networks") as status:
        if args.networks:
            names, graphs = args.networks, []
            for name in names:
                untrained = args.untrained and not is_file(name)  # a file has its weights
                graphs.append(_graph(Request(name, board, folding, untrained=untrained), status.update))
        else:
            names, graphs = _shipped(board, folding, status.update)
    engine = engine_for(graphs, folding, args.resident)
    kernels = FILL if args.kernels is None and not args.networks else args.kernels
    engine = _filled(engine, board) if kernels == FILL else _with_room(engine, kernels or 0)
    need = block_memories(engine)
    if need > board.bram36:
        raise GatefoldError(
            f"The engine does not fit {board.part}: its memories need {need:g} BRAM36 and the part has {board.bram36}; name {FEWER}."
        )
    if why := flaw(engine):
        raise GatefoldError(f"There is no engine for all of that: {why}; name {FEWER}.")
    write_engine(args.output, board.name, engine, [network_name(network) for network in names])
    sizes = f"{engine.weight_depth} kernels, {engine.modes} modes of {engine.layers} layers"
    print(f"{args.output}: engine for {', '.join(names)} on {board.name}; {sizes}, {need:g} of {board.bram36} BRAM36")
    if not args.no_simulator:
        with Console(stderr=True).status("compiling the simulated accelerator"):
            _compile(engine)
    return 0


def _check_not_read(output, networks):
    """Raise GatefoldError where the description would be written over the file of a network."""
    for name in networks:
        for file in (name, name.rpartition(":")[0]):
            if file and output.exists() and Path(file).exists() and output.samefile(file):
                raise GatefoldError(f"{output} is the file of a network; give another name for --output.")


def _graph(request, say):
    """The layer graph of a network: of a file what FINN makes of it, of one of ours what FINN would."""
    from flow.build.build import Conversion
    from flow.build.source import is_file, source_of, weights_of
    from flow.export.from_model import layer_graph
    from flow.finn.accelerator import engine_node

    say(request.model)
    if not is_file(request.model):
        return layer_graph(weights_of(request)[0])
    conversion = Conversion(request, source_of(request), lambda title: title and say(f"{request.model}: {title}"))
    return engine_node(conversion.engine).layout()[0]


def _shipped(board, folding, say):
    """(names, layer graphs) of shipped networks that fit the part together: the smallest first, each that still does."""
    from flow.build.build import Request
    from flow.engine.memories import block_memories
    from flow.engine.plan import engine_for
    from flow.training.checkpoint import SHIPPED

    names = [path.stem for path in SHIPPED.glob("*.safetensors")]
    graphs = {name: _graph(Request(name, board, folding), say) for name in names}

    def need(*chosen):
        return block_memories(engine_for([graphs[name] for name in chosen], folding))

    kept = []
    for name in sorted(names, key=lambda name: (need(name), name)):
        if need(*kept, name) <= board.bram36:
            kept.append(name)
    return sorted(kept), [graphs[name] for name in sorted(kept)]


def _with_room(engine, kernels):
    return replace(engine, weight_depth=max(engine.weight_depth, -(-kernels // KERNELS) * KERNELS))


def _filled(engine, board):
    """The engine with as many kernels as the part and an address have room for."""
    from flow.engine.interface import load_interface
    from flow.engine.memories import block_memories

    most = 1 << dict(load_interface().descriptor)["weight_base"]
    while engine.weight_depth < most:
        larger = replace(engine, weight_depth=engine.weight_depth + STEP)
        if block_memories(larger) > board.bram36:
            break
        engine = larger
    return engine


def _compile(engine):
    """Compile the simulator, which is kept for the builds of the engine."""
    from flow.build.deploy import LIBRARY
    from flow.engine.compile import engine_hash, with_hash
    from flow.engine.sources import accelerator_sources
    from flow.simulation.accelerator import compile_accelerator

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources, parameters = accelerator_sources(folder), engine.parameters()
        parameters = with_hash(parameters, engine_hash(parameters, sources))
        compile_accelerator(folder, folder / LIBRARY, parameters, sources, jobs=os.cpu_count() or 1)
