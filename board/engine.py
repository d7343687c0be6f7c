"""The engine that a network runs on, and what vouches for both: modes.json for the network's files, engine.json for the engine's.

An engine's files lie in the deploy folder of a build, or on a board in engines/NAME beside the folder of networks.
"""

import hashlib
import os
from pathlib import Path, PurePosixPath

from board.description import FORMAT, Damaged, check_digest, is_text, need, read_object
from board.errors import BoardError

ENGINES = "engines"
BITSTREAM = "accelerator.bit"
NEEDED = {
    "engine.json": ("accelerator.hwh", "accelerator.so", "interface.json"),
    "modes.json": ("network.bin", "samples.npz"),
}


def bitstream_of(engine: Path, shared: Path, remedy: str) -> Path:
    """The bitstream in the folder of an engine; where that has none, of the same engine in engines/, which got it later.

    Raises:
        BoardError: neither has one, or that in engines/ is not whole.
    """
    if (engine / BITSTREAM).is_file():
        return engine / BITSTREAM
    if not (shared / BITSTREAM).is_file():
        raise BoardError(
            f"{engine / BITSTREAM} is missing: this build holds no bitstream yet; implement it with Vivado or the open tools, "
            f"or run on a machine without a board to simulate."
        )
    try:
        read_engine(shared, remedy)
    except Damaged as problem:
        raise BoardError(f"{shared} holds no whole engine ({problem}); {remedy}.") from None
    return shared / BITSTREAM


def read_sealed(path: Path, remedy: str) -> dict:
    """The contents of modes.json or engine.json, which nobody has changed.

    Raises:
        BoardError: it is of another format.
        Damaged: it is not what was written.
    """
    contents = read_object(path)
    if "format" in contents and contents["format"] != FORMAT:
        raise BoardError(
            f"{path.parent} was made by another version of gatefold (its format is {contents['format']!r:.20}, this program reads {FORMAT}); "
            f"{remedy}."
        )
    check_digest(contents, path.name)
    return contents


def read_engine(folder: Path, remedy: str) -> dict:
    """The contents of engine.json in a folder whose files are those of the engine.

    Raises:
        BoardError: a file is not, or it is of another format.
        Damaged: engine.json is not what was written.
    """
    contents = read_sealed(folder / "engine.json", remedy)
    check_files(folder / "engine.json", contents.get("files"), remedy)
    return contents


def engine_of(folder: Path, contents: dict) -> Path:
    """The folder that holds the engine of a network.

    Raises:
        BoardError: there is none.
    """
    shared = shared_engine(folder, contents["engine"])
    for engine in (folder, shared):
        if (engine / "engine.json").is_file():
            return engine
    model = contents["model"]
    raise BoardError(
        f"the engine of {model} (engine.json) is neither in {folder} nor in {shared}; deliver it with: gatefold deliver {model}, or build "
        f"again with: make bitstream MODEL={model}."
    )


def shared_engine(folder: Path, name: str) -> Path:
    """Where an engine lies that is not in the deploy folder itself: engines/ beside the folder of networks or builds."""
    return Path(os.path.abspath(folder)).parent.parent / ENGINES / name  # "." has no parent


def check_files(vouching: Path, files: object, remedy: str) -> None:
    """Every file that modes.json or engine.json lists is there and is the one that was built.

    Raises:
        BoardError: which file is not.
        Damaged: `files` does not list them.
    """
    need(
        isinstance(files, dict) and set(NEEDED[vouching.name]) <= set(files),
        f"{vouching.name} does not list the files of the build",
    )
    for name, digest in sorted(files.items()):
        place = PurePosixPath(name)
        need(
            is_text(name) and not place.is_absolute() and ".." not in place.parts,
            f"{vouching.name} lists {name!r:.40}, which is no file of this folder",
        )
        path = vouching.parent / name
        if not path.is_file():
            raise BoardError(f"{path} is missing; {remedy}.")
        if _sha256(path) != digest:
            raise BoardError(f"{path} is damaged or of another build: its SHA-256 is not the one in {vouching.name}; {remedy}.")


def _sha256(path):
    """SHA-256 of a file, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()
