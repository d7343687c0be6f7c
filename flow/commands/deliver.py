"""``gatefold deliver``: a build onto a board, or into a .zip for one."""

import argparse
from pathlib import Path


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "deliver",
        help="copy a build with the board program to a board, or into a .zip",
        description="Put the board program and a build together, as all that a board needs: with --host copied there by rsync or tar over ssh, "
        "else into a .zip that runs where it is unpacked (python3 board/run.py).",
    )
    parser.add_argument("model", help="network whose build in build/ is meant, as for `gatefold build`")
    parser.add_argument("--host", metavar="USER@HOST", help="the board, as ssh knows it, e.g. xilinx@192.168.2.99")
    parser.add_argument(
        "--folder", default="gatefold", metavar="DIR", help="folder on the board (default: %(default)s, in the home folder)"
    )
    parser.add_argument(
        "--network-only",
        action="store_true",
        help="leave the engine's files out (bitstream, hardware handoff, simulator): the board has another build of the same engine",
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="the .zip (default: build/MODEL/MODEL.zip)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Deliver; returns the exit code."""
    import sys

    from flow.build.delivery import files, send, write_zip
    from flow.build.deploy import BITSTREAM
    from flow.build.source import network_name
    from flow.paths import build_root

    name = network_name(args.model)
    deploy = build_root() / name / "deploy"
    if args.host is not None:
        how = send(deploy, name, args.host, args.folder, args.network_only)
        print(
            f"{name} is on {args.host} in {args.folder} (by {how}); there: cd {args.folder}, and as root python3 board/run.py --model {name}"
        )
    if args.host is None or args.output:
        path = args.output or deploy.parent / f"{name}.zip"
        write_zip(deploy, name, path, args.network_only)
        print(path)
    if not args.network_only and not any(path.name == BITSTREAM for _, path in files(deploy, name)):
        print(f"gatefold: {name} has no bitstream yet: it runs simulated, and not on a board.", file=sys.stderr)
    return 0
