"""Networks of users: a class on ``flow.models.network.Network`` in a Python file of theirs, called FILE.py:CLASS."""

import hashlib
import importlib.util
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from torch import nn

from flow.errors import GatefoldError
from flow.files import check_file
from flow.models.network import Network
from flow.nn.layers import ConvUnit, Residual
from flow.nn.linear import SwitchableLinear
from flow.nn.quantisers import Activation
from flow.nn.spec import LayerSpec

SUFFIX = ".py"
HOW = "name a class in a Python file, mynet.py:Net for example"
_LAYERS = (ConvUnit, Residual, SwitchableLinear, Activation)
_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict, nn.Identity)
_LIBRARIES = ("torch.", "torchvision.", "brevitas.")


def is_users(name: str) -> bool:
    """Whether a name of the command line is that of a user's network."""
    return name.endswith(SUFFIX) or name.rpartition(":")[0].endswith(SUFFIX)


def class_name(name: str) -> str:
    """CLASS of FILE.py:CLASS; GatefoldError where it is missing."""
    file, colon, found = name.rpartition(":")
    if colon and found.isidentifier():
        return found
    file = file if colon else name
    known = [f"{file}:{each}" for each in _networks(_module(Path(file)))]
    remedy = f"name one of {', '.join(known)}" if known else f"it has none on flow.models.network.Network; {HOW}"
    raise GatefoldError(f"{name} names no class in that file; {remedy}.")


def load_class(name: str) -> type[Network]:
    """The class.

    Raises:
        GatefoldError: there is no such file or class, Python cannot run the file, or the class is no ``Network``.
    """
    wanted, file = class_name(name), Path(name.rpartition(":")[0])
    module = _module(file)
    found = getattr(module, wanted, None)
    known = _networks(module)
    if found is None:
        remedy = f"it has {', '.join(known)}" if known else "it has no network on flow.models.network.Network"
        raise GatefoldError(f"There is no class {wanted} in {file}; {remedy}.")
    if not isinstance(found, type) or not issubclass(found, Network) or found is Network:
        raise GatefoldError(f"{name} is not built on flow.models.network.Network; write class {wanted}(Network).")
    if found.forward is not Network.forward:
        raise GatefoldError(f"{name} has a forward of its own, which the integers would not follow; call it topology.")
    return found


def make(name: str, num_classes: int) -> Network:
    """An untrained network of a user's class, with ``source``: file name, class, and SHA-256 (hex) of the file.

    Raises:
        GatefoldError: see ``load_class``; or it cannot be made, contradicts itself, or has layers that are not those of
            ``flow.nn.layers``; names them.
    """
    cls, file = load_class(name), Path(name.rpartition(":")[0])
    with _told(name, file):
        model = _made(cls, num_classes)
        _check_layers(name, model)
        if model.name != cls.__name__:
            raise GatefoldError(f"it calls itself {model.name}; leave the name of the network to its class")
        model.start()
    model.source = {"file": file.name, "class": cls.__name__, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    return model


def _made(cls: type[Network], num_classes: int) -> Network:
    """An instance; a class that leaves out its base class's __init__ is told so."""
    try:
        model = cls(num_classes)
    except AttributeError as error:
        if "before Module.__init__() call" not in str(error):
            raise
        told = GatefoldError("a layer comes before super().__init__; begin __init__ with super().__init__(num_classes)")
        raise told.with_traceback(error.__traceback__) from error
    if "_modules" not in vars(model):
        raise GatefoldError("its __init__ lacks super().__init__(num_classes); begin with it")
    return model


def in_words(specs: list[LayerSpec]) -> list[str]:
    """Layers as text, one line each, for a record: what is equal there computes the same."""
    lines = []
    for spec in specs:
        line = f"{spec.name}: {spec.kind} {spec.kernel}x{spec.kernel} of stride {spec.stride}, {spec.in_channels} to {spec.out_channels} "
        line += f"channels, {spec.in_size} to {spec.out_size} pixels, groups {'/'.join(map(str, spec.group_counts))}, reads {spec.input}"
        lines.append(
            line + (f", adds {spec.residual}" if spec.residual else "") + ", shuffled" * spec.shuffle + ", pooled" * spec.pool
        )
    return lines


def check_unchanged(model: Network, record: dict, path: Path) -> None:
    """GatefoldError, naming the layer, where a class is no longer the one whose weights a record is of."""
    now, then = in_words(model.layers()), record.get("layers", [])
    if now != then:
        other = next((line for line in now if line not in then), None) or next(line for line in then if line not in now)
        raise GatefoldError(
            f"The class {model.name} in {model.source['file']} has changed since {path} was trained, in layer {other.partition(':')[0]}; "
            "restore it, or train again."
        )


def _check_layers(name: str, module: nn.Module, prefix: str = "") -> None:
    for own, child in module.named_children():
        kind = type(child)
        if isinstance(child, _LAYERS):
            continue
        if kind.__module__.startswith(_LIBRARIES) and not isinstance(child, _CONTAINERS):
            raise GatefoldError(
                f"{prefix}{own} is a {kind.__name__}, which the engine lacks; write it with Conv, Residual and Classifier of flow.nn.layers"
            )
        _check_layers(name, child, f"{prefix}{own}.")


def _networks(module: ModuleType) -> list[str]:
    own = (value for value in vars(module).values() if isinstance(value, type) and issubclass(value, Network))
    return [value.__name__ for value in own if value.__module__ == module.__name__]


def _module(file: Path) -> ModuleType:
    """The file as a module; run again only if it has changed."""
    check_file(file, HOW)
    try:
        content = file.read_bytes()
    except OSError as error:
        raise GatefoldError(f"{file} cannot be read ({error.strerror}); {HOW}.") from None
    known = f"gatefold_network_{hashlib.sha256(bytes(file.resolve()) + content).hexdigest()[:16]}"
    if known not in sys.modules:
        spec = importlib.util.spec_from_file_location(known, file)
        module = importlib.util.module_from_spec(spec)
        sys.modules[known] = module
        folder = str(file.resolve().parent)
        sys.path.insert(0, folder)  # as Python does for a script: the file may import what lies beside it
        try:
            with _told(str(file), file):
                exec(compile(content, str(file), "exec"), module.__dict__)
        except BaseException:
            del sys.modules[known]
            raise
        finally:
            sys.path.remove(folder)
    return sys.modules[known]


@contextmanager
def _told(name: str, file: Path) -> Iterator[None]:
    """Tells what goes wrong in a user's file as one sentence with the line."""
    try:
        yield
    except (Exception, SystemExit) as error:
        line = error.lineno if isinstance(error, SyntaxError) else None
        for frame in traceback.extract_tb(error.__traceback__):
            if frame.filename == str(file):
                line = frame.lineno
        where = name if line is None else f"{name}, line {line}"
        if isinstance(error, GatefoldError):
            raise GatefoldError(f"{where}: {str(error).rstrip('.')}.") from None
        message = error.msg if isinstance(error, SyntaxError) else str(error)
        text = (message.splitlines() or [""])[0].rstrip(".")
        raise GatefoldError(f"{where}: {type(error).__name__}{': ' if text else ''}{text}; mend that.") from error
