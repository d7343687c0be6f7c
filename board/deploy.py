"""The deploy folder of one build: which modes it has, where its registers lie, and that its files are those of the build.

A build holds its network (modes.json and what it lists) and its engine (engine.json and what it lists) in one folder. On a board they lie
apart, networks/NAME and engines/NAME, since an engine serves several networks.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Union

import numpy as np

from board.description import (
    Damaged,
    Mode,
    Picture,
    check_description,
    check_interface,
    check_same_engine,
    need,
    read_modes,
    read_object,
    read_picture,
)
from board.engine import bitstream_of, check_files, engine_of, read_engine, read_sealed, shared_engine
from board.errors import BoardError
from board.exits import Exit, Halting, computed, read_exits
from board.gates import Gate, Work, executed_tiles, read_gates
from board.network import read_network

UNGATED = " ungated"  # behind the name of a mode: the same without gates


@dataclass(frozen=True)
class Deploy:
    """A deploy folder.

    Attributes:
        folder: where it lies.
        engine: where the engine's files lie: there too, or in engines/ beside the folder of networks.
        engine_name: what the engine's folder is called there.
        model, board, clock_mhz: of the build.
        engine_hash: first 32 bits of the engine's SHA-256, as the hardware's register holds them.
        build: SHA-256 of the engine and the network, in hex.
        classes: names of the classes.
        class_order: the class of each of the hardware's logits, int64 [classes].
        picture: Picture, what pictures it takes.
        modes: name -> Mode, in the hardware's order.
        interface: the parsed interface.json.
        gates, layers: what decides in a frame, and what the convolutions have to do with it.
        exits: where a frame may stop early.
        logit_scale: what one unit of the logits stands for.
        parameters: of the engine, by name.
    """

    folder: Path
    engine: Path
    engine_name: str
    model: str
    board: str
    clock_mhz: float
    engine_hash: int
    build: str
    classes: List[str]
    class_order: np.ndarray
    picture: Picture
    modes: Dict[str, Mode]
    interface: dict
    gates: List[Gate]
    layers: List[Work]
    exits: List[Exit]
    logit_scale: float
    parameters: Dict[str, int]

    @property
    def samples(self) -> Path:
        """The sample images (.npz)."""
        return self.folder / "samples.npz"

    def bitstream(self, simulated: bool) -> Path:
        """What `Overlay` loads: the bitstream, or for the simulated board the Verilated accelerator.

        A build that was made before the bitstream of its engine takes that from engines/.

        Raises:
            BoardError: there is no bitstream.
        """
        if simulated:
            return self.engine / "accelerator.so"
        return bitstream_of(self.engine, shared_engine(self.folder, self.engine_name), self.remedy)

    @property
    def remedy(self) -> str:
        """What helps where files do not belong together."""
        return f"build again with: make bitstream MODEL={self.model}"

    def network(self) -> np.ndarray:
        """The network image, uint8 [bytes].

        Raises:
            BoardError: it is none, or one for another engine.
        """
        return read_network(self.folder / "network.bin", self.engine_hash, self.remedy)

    def layer_tiles(
        self, modes: List[Mode], decisions: np.ndarray, stopped: np.ndarray, halting: Optional[Halting] = None
    ) -> Dict[str, np.ndarray]:
        """Executed tiles of every convolution, int64 [N]; 0 where it does not run.

        Args:
            modes: of the frames; decisions: uint8 [N, all], see `board.driver.Batch`.
            stopped: int64 [N], number of the exit where a frame stopped; halting: what it was told.
        """
        tiles = {layer.name: np.zeros(len(modes), np.int64) for layer in self.layers}
        for mode in {mode.name for mode in modes}:
            frames = np.array([each.name == mode for each in modes])
            chosen = self.modes[mode]
            # Without gates all frames of a mode are alike.
            decided = decisions[frames] if chosen.gates else np.zeros((1, decisions.shape[1]), np.uint8)
            found = executed_tiles(self.gates, self.layers, chosen.groups, chosen.gates, decided)
            for name, counts in found.items():
                tiles[name][frames] = counts
        for layer, runs in zip(self.layers, computed(self.exits, self.layers, stopped, halting)):
            tiles[layer.name] *= runs
        return tiles

    def all_tiles(self, modes: List[Mode]) -> float:
        """Tiles of a frame without gates and exits, the mean of some modes."""
        ones = np.ones((len(modes), sum(gate.count for gate in self.gates)), np.uint8)
        tiles = self.layer_tiles(modes, ones, np.full(len(modes), len(self.exits)))
        return sum(float(tiles[layer.name].mean()) for layer in self.layers if not (layer.gate or layer.exit))

    def mode_sequence(self, text: str, frames: int, gates: str = "on") -> List[Mode]:
        """The modes of `frames` frames, in turn from the comma list `text`, e.g. "full,1/4".

        Args:
            gates: "off" for the modes of the same names in which no gate runs.

        Raises:
            BoardError: a name is unknown, or there are no gates to switch off.
        """
        names = [name.strip() for name in text.split(",")]
        if gates == "off":
            if not self.gates:
                raise BoardError(f"{self.model} has no gates that could be off; leave out --gate.")
            names = [name if name.endswith(UNGATED) else name + UNGATED for name in names]
        for name in names:
            if name not in self.modes:
                raise BoardError(f"mode {name!r} is unknown; {self.model} has {', '.join(self.modes)}.")
        return [self.modes[names[frame % len(names)]] for frame in range(frames)]


def open_deploy(folder: Union[str, Path]) -> Deploy:
    """Read the deploy folder at `folder` (the folder itself, or the build that holds it), and check its files.

    modes.json and engine.json vouch for themselves (`digest`) and for the other files of network and engine (`files`: path in the folder ->
    SHA-256 in hex). A bitstream is made later and may lie beside them.

    Raises:
        BoardError: it is missing, was written by another version, or one of its files is not the build's.
    """
    folder = Path(folder)
    if not (folder / "modes.json").is_file() and (folder / "deploy" / "modes.json").is_file():
        folder = folder / "deploy"
    if folder.exists() and not folder.is_dir():
        raise BoardError(f"{folder} is no folder; name a deploy folder, or make one with: make bitstream MODEL=resnet8.")
    if not (folder / "modes.json").is_file():
        raise BoardError(f"{folder} is no deploy folder (modes.json is missing); make one with: make bitstream MODEL=resnet8.")
    remedy, what = "build again with make bitstream", "holds a damaged modes.json, engine.json or interface.json"
    try:
        contents = read_sealed(folder / "modes.json", remedy)
        what = "was made by another version of gatefold"  # as whole as it was written, and not what this program reads
        check_description(contents)
        modes = read_modes(contents.get("modes"))
        picture = read_picture(contents.get("image"))
        gates, layers = read_gates(contents.get("gates"), contents.get("layers"))
        exits = read_exits(contents.get("exits"), list(modes.values()), layers)
        for mode in modes.values():
            need({layer.name for layer in layers} <= set(mode.groups), f"modes.json: mode {mode.name} lacks group counts")
            for layer in layers:
                n = mode.groups[layer.name]
                need(layer.inputs % n == layer.outputs % n == 0, f"modes.json: layer {layer.name} has no {n} groups")
        remedy = f"build again with: make bitstream MODEL={contents['model']}"
        check_files(folder / "modes.json", contents.get("files"), remedy)
        engine = engine_of(folder, contents)
        what = "holds a damaged modes.json, engine.json or interface.json"
        check_same_engine(contents, read_engine(engine, remedy))
        what = "was made by another version of gatefold"
        interface = read_object(engine / "interface.json")
        check_interface(interface)
    except Damaged as problem:
        raise BoardError(f"{folder} {what} ({problem}); {remedy}.") from None
    if contents.get("interface_version") != interface["version"]:
        raise BoardError(f"modes.json and interface.json of {folder} come from different builds; {remedy}.")
    return Deploy(
        folder,
        engine,
        contents["engine"],
        contents["model"],
        contents["board"],
        float(contents["clock_mhz"]),
        int(contents["engine_hash"][:8], 16),
        hashlib.sha256(f"{contents['engine_hash']} {contents['files']['network.bin']}".encode()).hexdigest(),
        contents["classes"],
        np.array(contents["class_order"] or range(len(contents["classes"]))),
        picture,
        modes,
        interface,
        gates,
        layers,
        exits,
        float(contents["logit_scale"]),
        contents["parameters"],
    )


def find_deploy(places: Sequence[Union[str, Path]], model: Optional[str] = None) -> Deploy:
    """The deploy folder of `model`, or without a model the one that was built last.

    Args:
        places: folders that hold one folder per model, e.g. build/; the deploy folder lies in it, or is it.

    Raises:
        BoardError: there is none.
    """
    found = [
        (path.stat().st_mtime, path.parent.parent.name, path.parent)
        for place in places
        for path in Path(place).glob("*/deploy/modes.json")
    ]
    found += [
        (path.stat().st_mtime, path.parent.name, path.parent) for place in places for path in Path(place).glob("*/modes.json")
    ]
    if model is None and not found:
        raise BoardError(f"there is no deploy folder in {places[0]}; make one with: make bitstream MODEL=resnet8.")
    for _, name, folder in sorted(found, reverse=True):
        if model in (None, name):
            return open_deploy(folder)
    known = f"built are {', '.join(sorted({name for _, name, _ in found}))}" if found else "nothing is built yet"
    raise BoardError(f"there is no build of {model!r} in {places[0]} ({known}); make it with: make bitstream MODEL={model}.")
