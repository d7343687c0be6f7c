"""Reading and writing weights and training state."""

import os
import zipfile
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

import flow
from flow.atomic import write_atomically, write_together
from flow.errors import GatefoldError
from flow.files import check_file, read_sealed, sealed
from flow.models import NAMES, check_name, create, equipment, name_of
from flow.models.user import check_unchanged, in_words, is_users
from flow.training.weights import check_record, check_weights, digest

STATE = {
    "settings": dict, "data": str, "model": dict, "optimiser": dict, "phases": list, "epoch": int, "seconds": (int, float), "history": list
}  # fmt: skip
"""What a checkpoint holds, and as what."""
REMEDY = "start again with --overwrite, or give another --output"
SHIPPED = Path(flow.__file__).parent.parent / "models"


def save_training_state(path: Path, state: dict) -> None:
    """Write everything that ``--resume`` needs."""
    write_atomically(path, lambda temporary: torch.save(state, temporary))


def load_training_state(path: Path, wanted: dict = STATE) -> dict:
    """Read what ``save_training_state`` wrote; ``wanted`` says what it must hold, key -> type or types, ``epoch`` among it."""
    if not os.path.lexists(path):
        raise GatefoldError(f"There is no checkpoint {path}; start without --resume, or give its folder with --output.")
    check_file(path, REMEDY)
    try:
        with zipfile.ZipFile(path) as archive:  # torch does not compare the checksums
            whole = archive.testzip() is None
        state = torch.load(path, map_location="cpu", weights_only=True) if whole else None
    except (Exception, MemoryError):  # zipfile and torch raise many kinds for a damaged file
        state = None
    if (
        not isinstance(state, dict)
        or not all(isinstance(state.get(key), kind) for key, kind in wanted.items())
        or state["epoch"] < 0
    ):
        raise GatefoldError(f"The checkpoint {path} is damaged or of another version; {REMEDY}.")
    return state


def save_model(model: nn.Module, path: Path, record: dict) -> None:
    """Write ``path`` (.safetensors) and beside it a .json with the record: model, classes, digest, and what was reached."""
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    own = {"model": model.name, "num_classes": model.num_classes, "quantised": model.quantised}
    if getattr(model, "searched", None):
        own["searched"] = model.searched
    if getattr(model, "options", None):
        own["options"] = model.options
    if getattr(model, "source", None):
        own["source"], own["layers"] = model.source, in_words(model.layers())
    data = save(tensors)
    record = {**own, **record, "sha256": digest(data)}
    write_together(
        {
            path: lambda temporary: temporary.write_bytes(data),
            path.with_suffix(".json"): lambda temporary: temporary.write_text(sealed(record)),
        }
    )


def read_record(name_or_path: str | Path) -> dict:
    """The .json beside the weights."""
    path = _weights_path(name_or_path).with_suffix(".json")
    return check_record(read_sealed(path, "it is the record beside the weights: train the model again or restore the file"), path)


def _weights_path(name_or_path: str | Path) -> Path:
    if _is_model(name_or_path):
        return SHIPPED / f"{name_or_path}.safetensors"
    path = Path(name_or_path)
    if path.is_dir():
        raise GatefoldError(f"{path} is a folder; give the .safetensors file in it.")
    if path.suffix != ".safetensors" and not path.exists():
        raise GatefoldError(
            f"'{name_or_path}' is neither a model nor a weights file; give one of {', '.join(NAMES)} or a .safetensors file."
        )
    if os.path.exists(path):
        check_file(path, "give a .safetensors file")
    return path


def is_shipped(name: str) -> bool:
    """Whether there are trained weights of a network of that name in the folder of the shipped ones."""
    return _is_model(name) and (SHIPPED / f"{name}.safetensors").exists()


def _is_model(name):
    try:
        check_name(str(name))
    except GatefoldError:
        return False
    return True


def load_model(name_or_path: str | Path, network: str | None = None) -> nn.Module:
    """Load trained weights.

    Args:
        name_or_path: the name of a shipped model, or a .safetensors file with its .json beside it.
        network: FILE.py:CLASS where they are of a user's network: a record alone is no reason to run a file. Or what the command line
            calls the network, resnet8-ddi for a resnet8 with those gates.

    Returns:
        The network in eval and in the full mode.
    """
    path = _weights_path(name_or_path)
    if not path.exists():
        remedy = (
            f"make them with `{_train(path.stem)}` and name them with --checkpoint" if _is_model(name_or_path) else "check the path"
        )
        raise GatefoldError(f"There are no trained weights {'of ' + path.stem if is_users(path.stem) else path}; {remedy}.")
    record = read_record(path)
    try:
        data = path.read_bytes()
        tensors = load(data)
        check_weights(data, tensors, record, path)
        model = create(_class_of(record, network, path), record["num_classes"], **record.get("options", {}))
        if "source" in record:
            check_unchanged(model, record, path)
        for name, groups in record.get("searched", {}).items():
            model.add_mode(name, groups)
        model.load_state_dict(tensors)
        base, options = equipment(network or str(name_or_path))
        found = {name: bool(value) if name == "exits" else value for name, value in record.get("options", {}).items()}
        if options and base == model.name and options.items() <= found.items():
            model.name = network or str(name_or_path)
        model.set_quantised(record["quantised"])
    except (SafetensorError, OSError, RuntimeError, KeyError, TypeError, ValueError, AttributeError):
        raise GatefoldError(f"The weights {path} are damaged or of another version; restore or train them again.") from None
    model.eval()
    return model


def _train(name: str) -> str:
    """The command that trains a network."""
    base, options = equipment(name)
    return f"gatefold train {base} --method {name.rpartition('-')[2]}" if options else f"gatefold train {name}"


def _class_of(record: dict, network: str | None, path: Path) -> str:
    if "source" not in record:
        return record["model"]
    if network is None or not is_users(network):
        file, name = record["source"]["file"], record["source"]["class"]
        raise GatefoldError(f"{path} holds weights of the class {name} in {file}; name the network, {file}:{name}.")
    if name_of(network) != record["model"]:
        raise GatefoldError(f"{path} holds {record['model']}, not {network}; name that class.")
    return network


def load_named(name: str, path: str | Path | None) -> nn.Module:
    """``load_model`` of what must be the network called ``name``; None: its shipped weights."""
    model = load_model(path or name, name)
    if model.name != name_of(name):
        raise GatefoldError(f"{path} holds {model.name}, not {name}; name that model.")
    return model
