"""One engine for several networks: the smallest that holds each of them, and what one lacks of what a network needs.

Networks are data (`flow.engine.network`), so any that an engine is large enough for runs on it. Some parameters say how an engine works
and must be the same; the others are sizes, of which a network may use less.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from itertools import combinations
from pathlib import Path

from flow.atomic import write_text
from flow.engine.boards import find_board
from flow.engine.config import EngineConfig
from flow.errors import GatefoldError
from flow.files import check_file, parse_json

SAME = {
    "p": "pixels per cycle",
    "pe": "outputs per cycle",
    "r": "requantisers",
    "v": "multipliers of the vector unit",
    "requant_dsp": "DSP blocks in the requantisers",
    "planes": "planes of an image",
    "image_size": "rows and columns of an image",
    "high_digits": "digits of the first layer's weights that count 16 times",
    "low_digits": "digits of the first layer's weights",
    "tables": "tables of layers",
    "classes": "classes",
}
"""Parameters that are the same in all networks of an engine, and what they are."""
WHERE_ANY = {"hidden": "hidden units of the gates' LSTM"}
"""Those that are the same in all networks that have some."""
SIZES = {
    "x_depth": "words of a feature memory for the residual stream",
    "m_depth": "words of a feature memory inside the blocks",
    "image_base": "words of maps inside the blocks",
    "weight_depth": "kernels",
    "pack": "kernels of each quarter of the lanes",
    "requant_depth": "requantisation entries",
    "fc_depth": "words of vector weights",
    "modes": "modes",
    "layers": "layers",
    "biases": "biases of the vector unit",
    "pool_depth": "words of pooled sums",
    "products": "constants of the LSTM or of squeeze-and-excitation",
    "acc_width": "bits of an accumulator",
    "pool_width": "bits of a pooled sum",
    "gates": "channels of a gate's mask",
    "decisions": "decisions of gates",
    "exits": "early exits",
    "factors": "factors of squeeze-and-excitation",
    "inner": "hidden units of squeeze-and-excitation",
}
"""Parameters of which a network may need less than an engine has, and what they count."""
RESIDENT = ("weight_depth", "pack", "requant_depth", "fc_depth", "biases", "products", "modes")
"""Sizes of which networks that stay in the engine together need the sum: `board/linking.py` lays them behind one another."""
FORMAT = 1


def join(configs: Sequence[EngineConfig], resident: bool = False, names: Sequence[str] = ()) -> EngineConfig:
    """The smallest engine that holds every network of which these are the configurations.

    Args:
        resident: all of them at once.
        names: of the networks, for what is said of two.

    Raises:
        GatefoldError: two of them cannot share an engine.
    """
    first = configs[0]
    names = names or [f"network {number}" for number in range(len(configs))]
    for (name, one), (also, other) in combinations(zip(names, configs, strict=True), 2):  # what some have, the first one may lack
        try:
            _check_alike(one, other)
        except GatefoldError as error:
            raise GatefoldError(f"{name} and {also} cannot share an engine: {error}") from None
    if resident and len(configs) > 1 and first.tables:
        raise GatefoldError(
            f"{' and '.join(names[:2])} have tables of their layers, of which an engine holds one network's; leave out --resident and load one "
            "or the other."
        )
    joined: dict[str, int] = {name: max(getattr(config, name) for config in configs) for name in (*SIZES, *WHERE_ANY)}
    if resident:
        # A network begins at an even word.
        joined |= {name: sum(-(-getattr(config, name) // 2) * 2 for config in configs) for name in RESIDENT if name != "modes"}
        joined["modes"] = sum(config.modes for config in configs)
    # What multiplies in DSP blocks is no matter to a network, and wide accumulators leave fewer of them to the lanes.
    joined["mult_dsp"] = min(config.mult_dsp for config in configs)
    joined["mask"] = max(config.mask for config in configs)
    joined["pool2"] = 0
    for config in configs:
        joined["pool2"] |= config.pool2
    buffers = 2 * first.planes * first.image_size // 8
    joined["m_depth"] = 1 << (joined["image_base"] + buffers - 1).bit_length()
    return replace(first, **joined)


def check_holds(engine: EngineConfig, own: EngineConfig, network: str) -> None:
    """Raise GatefoldError where an engine is too small for a network, or works otherwise.

    Args:
        own: the configuration of an engine that is made for the network alone.
    """
    try:
        _check_alike(own, engine)
    except GatefoldError as error:
        raise GatefoldError(f"{network} does not go onto this engine: {error}") from None
    for name, what in SIZES.items():
        if name != "m_depth" and getattr(own, name) > getattr(engine, name):
            raise GatefoldError(
                f"{network} needs {getattr(own, name)} {what} and the engine has {getattr(engine, name)}; make one that holds it with "
                "`gatefold engine`."
            )
    for missing, what in ((own.mask and not engine.mask, "masks of maps"), (own.pool2 & ~engine.pool2, "2x2 pools of that kind")):
        if missing:
            raise GatefoldError(f"{network} needs {what}, which the engine lacks; make one that holds it with `gatefold engine`.")


def _check_alike(one, other):
    for name, what in (*SAME.items(), *WHERE_ANY.items()):
        values = getattr(one, name), getattr(other, name)
        if values[0] != values[1] and (name in SAME or all(values)):
            raise GatefoldError(f"{what}: {values[0]} here, {values[1]} there; they need engines of their own.")


def write_engine(path: Path, board: str, engine: EngineConfig, networks: Sequence[str]) -> None:
    """Write the description of an engine: JSON with the board, its parameters, and the networks that it was made for."""
    contents = {"format": FORMAT, "board": board, "networks": list(networks), "parameters": engine.parameters()}
    write_text(path, json.dumps(contents, indent=1) + "\n")


def read_engine(path: Path) -> tuple[str, EngineConfig]:
    """(board, engine) of a file that `write_engine` wrote.

    Raises:
        GatefoldError: there is none, or it is damaged or of another version.
    """
    try:
        check_file(path, "write an engine with `gatefold engine`")
        contents = parse_json(path.read_text())
        if contents["format"] != FORMAT:
            raise KeyError
        board, parameters = contents["board"], contents["parameters"]
        whole = isinstance(board, str) and all(type(value) is int for value in parameters.values())
    except OSError as error:
        raise GatefoldError(f"Cannot read {path} ({error.strerror}); write an engine with `gatefold engine`.") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        whole = False
    if not whole:
        raise GatefoldError(f"{path} describes no engine of this version; write one with `gatefold engine`.")
    try:
        find_board(board)
    except GatefoldError as error:
        raise GatefoldError(f"{path} is for a board that is not known: {error}") from None
    try:
        return board, EngineConfig.of(parameters)
    except GatefoldError:
        raise GatefoldError(
            f"{path} describes an engine of another version of gatefold; write one with `gatefold engine`."
        ) from None


def text_of(engine: EngineConfig | None) -> str:
    """An engine as a text of one line, empty for None."""
    return json.dumps(asdict(engine), sort_keys=True) if engine else ""


def of_text(text: str) -> EngineConfig | None:
    """The inverse of `text_of`."""
    return EngineConfig(**json.loads(text)) if text else None


assert {*SAME, *WHERE_ANY, *SIZES, "mask", "pool2", "mult_dsp"} == {field.name for field in fields(EngineConfig)}
