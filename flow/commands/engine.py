"""``gatefold engine``: one engine for several networks."""

import argparse
from dataclasses import replace
from pathlib import Path

from flow.errors import GatefoldError

KERNELS = 4096
"""Kernels that the block memories of a bank hold, in whose multiples it is worth having more."""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "engine",
        help="describe one engine that several networks run on",
        description="Write the description of the smallest engine that holds all of the named networks. `gatefold build NETWORK --engine FILE` "
        "builds a network for it: builds of one engine have the same hardware, so they share its bitstream and its simulator, and the "
        "board program loads one network or another.",
    )
    parser.add_argument("networks", nargs="+", metavar="NETWORK", help="names or files, as `gatefold build` takes them")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="where the description is written (JSON)")
    parser.add_argument("--board", default="pynq-z2", help="pynq-z1, pynq-z2 or zedboard (default: %(default)s)")
    parser.add_argument("--untrained", action="store_true", help="networks without weights too: the engine is the same")
    parser.add_argument("--p", type=int, help="output pixels per cycle: 32 or 64 (default: 64)")
    parser.add_argument("--pe", type=int, help="output channels per cycle: 1 or 2 (default: 2, without DSP 1)")
    parser.add_argument("--r", type=int, help="requantisers: 8, 16, 32 or 64 (default: 64, without DSP 32)")
    parser.add_argument("--no-dsp", action="store_true", help="use no DSP blocks, for open tools without them")
    parser.add_argument(
        "--kernels", type=int, default=0, metavar="N", help="room for so many kernels at least, for networks to come"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Describe; returns the exit code."""
    import torch
    from rich.console import Console

    from flow.build.build import Conversion, Request
    from flow.build.source import network_name, source_of
    from flow.engine.boards import find_board
    from flow.engine.memories import block_memories
    from flow.engine.select import choose
    from flow.engine.shared import join, write_engine
    from flow.finn.accelerator import engine_node

    torch.set_num_threads(1)
    board = find_board(args.board)
    folding = choose(board, args.p, args.pe, args.r, dsp=not args.no_dsp)
    if args.output.is_dir():
        raise GatefoldError(f"{args.output} is a folder; give the name of a file for --output.")
    configs = []
    with Console(stderr=True).status("reading networks") as status:
        for network in args.networks:
            request = Request(network, board, folding, untrained=args.untrained)
            source = source_of(request)

            def report(title, network=network):
                if title:
                    status.update(f"{network}: {title}")

            configs.append(engine_node(Conversion(request, source, report).engine).layout()[1].config)
    engine = join(configs)
    engine = replace(engine, weight_depth=max(engine.weight_depth, -(-args.kernels // KERNELS) * KERNELS))
    need = block_memories(engine)
    if need > board.bram36:
        raise GatefoldError(
            f"The engine does not fit {board.part}: its memories need {need:g} BRAM36 and the part has {board.bram36}; name fewer or smaller "
            "networks, or fewer --kernels."
        )
    write_engine(args.output, args.board, engine, [network_name(network) for network in args.networks])
    sizes = f"{engine.weight_depth} kernels, {engine.modes} modes of {engine.layers} layers"
    print(f"{args.output}: engine for {', '.join(args.networks)} on {board.name}; {sizes}, {need:g} of {board.bram36} BRAM36")
    return 0
