"""A build on its way to a board: the board program with the deploy folder in it, as a .zip or through ssh.

board/                   the board program
board/engines/NAME/      of the deploy folder what belongs to the engine, which serves other networks too
board/networks/NAME/     the rest of it
"""

import shlex
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flow.atomic import write_atomically
from flow.build.bitstream import holds_engine, kept_engine
from flow.build.deploy import BITSTREAM, ENGINE, MODES, read, read_engine
from flow.errors import GatefoldError
from flow.paths import ROOT

PROGRAM = ROOT / "board"
SSH = ("ssh", "-o", "ConnectTimeout=10")
FOLDERS = ("engines", "networks")


def files(deploy: Path, name: str, network_only: bool = False) -> Iterator[tuple[str, Path]]:
    """(path on the board, file here) of all that is delivered.

    Args:
        deploy: whole deploy folder; name: of its network.
        network_only: without the engine, of which the board has another build.

    Raises:
        GatefoldError: it is not whole.
    """
    contents = read(deploy)
    for path in sorted(PROGRAM.rglob("*")):
        inside = path.relative_to(PROGRAM)
        kept = path.suffix in (".py", ".ipynb", ".md", ".toml", ".cfg") and "__pycache__" not in inside.parts
        if path.is_file() and kept and (inside.parts[0] not in FOLDERS or len(inside.parts) == 2):
            yield f"board/{inside.as_posix()}", path
    for inside in (MODES, *contents["files"]):
        yield f"board/networks/{name}/{inside}", deploy / inside
    if network_only:
        return
    kept, later = kept_engine(contents), (deploy / BITSTREAM).is_file()  # perhaps laid beside them by hand
    source = kept if not later and holds_engine(kept, contents) else deploy  # built before its engine had a bitstream
    for inside in dict.fromkeys((ENGINE, *read_engine(source)["files"], *([BITSTREAM] if later else []))):
        yield f"board/engines/{contents['engine']}/{inside}", source / inside


def write_zip(deploy: Path, name: str, path: Path, network_only: bool = False) -> None:
    """Write a .zip that runs where it is unpacked, or with `network_only` where another build of its engine is.

    Raises:
        GatefoldError: the deploy folder is not whole, or the file cannot be written.
    """
    found = dict(files(deploy, name, network_only))

    def write(temporary: Path) -> None:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
            for inside, file in found.items():
                archive.write(file, inside)

    write_atomically(path, write, "run the command again")


def send(deploy: Path, name: str, host: str, folder: str, network_only: bool = False) -> str:
    """Copy to a board: by rsync where both sides have it, so that only what changed travels, else as one tar stream.

    Of the board program, of this network and of its engine nothing old stays behind, but for the engine's bitstream where there is none to
    send; other networks and engines on the board, and whatever else lies in `folder`, are left alone.

    Args:
        host: as ssh knows it, e.g. xilinx@pynq; folder: on the board, made if need be.
        network_only: see `files`.

    Returns:
        "rsync" or "tar".

    Raises:
        GatefoldError: the deploy folder is not whole, or the board does not answer or take it.
    """
    if not host or host.startswith("-") or not folder or folder.startswith("-"):
        raise GatefoldError(
            f"{host!r}:{folder!r} names no board and folder; give a host as ssh knows it, e.g. HOST=xilinx@192.168.2.99."
        )
    found = dict(files(deploy, name, network_only))
    own = sorted(
        {"/".join(Path(inside).parts[1:3]) for inside in found if Path(inside).parts[1] in FOLDERS and inside.count("/") > 2}
    )
    bitstream = any(Path(inside).name == BITSTREAM for inside in found)
    target = shlex.quote(folder)
    places = [f"{target}/board/{shlex.quote(place)}" for place in own]
    remote = _call([*SSH, host, f"mkdir -p {' '.join(places)} && (command -v rsync || true)"], host)
    by_rsync = bool(remote.strip()) and shutil.which("rsync") is not None
    with _staged(found) as staging:
        if by_rsync:
            keep = [] if bitstream else [f"--filter=protect /engines/*/{BITSTREAM}"]
            keep += [f"--include=/{place}/***" for place in own]
            for each in FOLDERS:
                keep += [f"--include=/{each}/__init__.py", f"--exclude=/{each}/*"]
            _call(
                [
                    "rsync",
                    "-rlt",
                    "--protect-args",
                    "--delete",
                    "-e",
                    " ".join(SSH),
                    *keep,
                    f"{staging}/board/",
                    f"{host}:{folder}/board/",
                ],
                host,
            )
        else:
            others = " ".join(f"! -name {each}" for each in FOLDERS)
            spared = "" if bitstream else f"! -name {BITSTREAM}"
            old = f"find {target}/board -mindepth 1 -maxdepth 1 {others} -exec rm -rf {{}} +"
            old += f" && find {' '.join(places)} -mindepth 1 -maxdepth 1 {spared} -exec rm -rf {{}} +"
            archive = subprocess.run(["tar", "-C", staging, "-cf", "-", "board"], capture_output=True, check=True).stdout
            _call([*SSH, host, f"{old} && tar -C {target} -xf -"], host, archive)
    return "rsync" if by_rsync else "tar"


def _call(command, host, data=None):
    """Standard output of a program that talks to the board."""
    try:
        done = subprocess.run(command, input=data, stdin=None if data is not None else subprocess.DEVNULL, capture_output=True)
    except FileNotFoundError:
        raise GatefoldError(
            f"{command[0]} is missing, which the copy needs; install it, or unpack the .zip on the board."
        ) from None
    if done.returncode:
        said = (done.stderr.decode(errors="replace").strip().splitlines() or ["no reason"])[-1]
        raise GatefoldError(
            f"{host} does not take the files ({said}); see that `ssh {host}` works without a question, or unpack the .zip there."
        )
    return done.stdout.decode(errors="replace")


@contextmanager
def _staged(found):
    """A temporary folder with the files as they lie on the board."""
    with tempfile.TemporaryDirectory() as folder:
        for inside, file in found.items():
            path = Path(folder) / inside
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, path)
        yield folder
