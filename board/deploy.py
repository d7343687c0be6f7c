"""The deploy folder of one build: which modes it has, where its registers lie."""

import json
from dataclasses import dataclass
from pathlib import Path

from board.errors import BoardError

FORMAT = 1
IMAGE_SHAPE = (32, 32, 3)


@dataclass(frozen=True)
class Mode:
    """One entry of modes.json.

    Attributes:
        index: what the hardware calls it.
        name: "full", "1/2", ...
        accuracy: on the data set's test images, 0…1, or None.
    """

    index: int
    name: str
    accuracy: float | None


@dataclass(frozen=True)
class Deploy:
    """A deploy folder.

    Attributes:
        folder: where it lies.
        model, board, clock_mhz: of the build.
        build_hash: first 32 bits of the build's SHA-256, as the hardware's register holds them.
        classes: names of the classes.
        modes: name -> Mode, in the hardware's order.
        interface: the parsed interface.json.
    """

    folder: Path
    model: str
    board: str
    clock_mhz: float
    build_hash: int
    classes: list
    modes: dict
    interface: dict

    @property
    def samples(self):
        """The sample images (.npz)."""
        return self.folder / "samples.npz"

    def bitstream(self, simulated):
        """What `Overlay` loads: the bitstream, or for the simulated board the Verilated accelerator.

        Raises:
            BoardError: it is not there.
        """
        path = self.folder / ("accelerator.so" if simulated else "accelerator.bit")
        if not path.is_file():
            if simulated:
                raise BoardError(f"{path} is missing; build it with: make bitstream MODEL={self.model}.")
            raise BoardError(
                f"{path} is missing: this build holds no bitstream yet; implement it with Vivado or the open tools, "
                f"or run on a machine without a board to simulate."
            )
        if not path.with_suffix(".hwh").is_file():
            raise BoardError(f"{path.with_suffix('.hwh')} is missing; build again with: make bitstream MODEL={self.model}.")
        return path

    def mode_sequence(self, text, frames):
        """The modes of `frames` frames, in turn from the comma list `text`, e.g. "full,1/4".

        Raises:
            BoardError: a name is unknown.
        """
        names = [name.strip() for name in text.split(",")]
        for name in names:
            if name not in self.modes:
                raise BoardError(f"mode {name!r} is unknown; {self.model} has {', '.join(self.modes)}.")
        return [self.modes[names[frame % len(names)]] for frame in range(frames)]


def open_deploy(folder):
    """Read the deploy folder at `folder` (the folder itself, or the build that holds it).

    Raises:
        BoardError: it is missing, incomplete, or was written by another version.
    """
    folder = Path(folder)
    if not (folder / "modes.json").is_file() and (folder / "deploy" / "modes.json").is_file():
        folder = folder / "deploy"
    try:
        text = json.loads((folder / "modes.json").read_text())
        interface = json.loads((folder / "interface.json").read_text())
        if text["format"] != FORMAT:
            raise BoardError(f"{folder} has format {text['format']}, this program reads {FORMAT}; build again with: make bitstream MODEL={text['model']}.")
        if text["interface_version"] != interface["version"]:
            raise BoardError(f"modes.json and interface.json of {folder} come from different builds; build again with: make bitstream MODEL={text['model']}.")
        modes = {mode["name"]: Mode(mode["index"], mode["name"], mode.get("accuracy")) for mode in text["modes"]}
        return Deploy(
            folder, text["model"], text["board"], float(text["clock_mhz"]), int(text["build_hash"][:8], 16), list(text["classes"]),
            modes, interface,
        )
    except FileNotFoundError as problem:
        raise BoardError(f"{folder} is no deploy folder ({Path(problem.filename).name} is missing); make one with: make bitstream MODEL=resnet8.") from None
    except NotADirectoryError:
        raise BoardError(f"{folder} is no folder; name a deploy folder, or make one with: make bitstream MODEL=resnet8.") from None
    except (ValueError, KeyError, TypeError) as problem:
        raise BoardError(f"{folder} holds a damaged modes.json or interface.json ({problem!r}); build again with make bitstream.") from None


def find_deploy(builds, model=None):
    """The deploy folder of `model`, or without a model the one that was built last.

    Args:
        builds: folder that holds one folder per model, e.g. build/.

    Raises:
        BoardError: there is none.
    """
    builds = Path(builds)
    if model is not None:
        if "/" not in model and (builds / model / "deploy" / "modes.json").is_file():
            return open_deploy(builds / model / "deploy")
        built = sorted(path.parent.parent.name for path in builds.glob("*/deploy/modes.json"))
        known = f"built are {', '.join(built)}" if built else "nothing is built yet"
        raise BoardError(f"there is no build of {model!r} in {builds} ({known}); make it with: make bitstream MODEL={model}.")
    found = sorted(builds.glob("*/deploy/modes.json"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise BoardError(f"there is no deploy folder in {builds}; make one with: make bitstream MODEL=resnet8.")
    return open_deploy(found[-1].parent)
