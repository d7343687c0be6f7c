"""What a build starts from: a QONNX file, exported from a network of `flow.models` or brought by its author."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

from flow.build.samples import SAMPLE_SHAPE, Samples, random_images, sample_images
from flow.build.steps import code_digest, digest
from flow.errors import GatefoldError

if TYPE_CHECKING:
    from torch import nn

    from flow.build.build import Request

SUFFIX = ".onnx"
ORIGIN = "origin"
"""File in a build folder that names what was built there, see `origin_of`."""
NAME_LENGTH = 99
"""Characters of a name that the board program takes."""


def pictures_of(shape: Sequence[int], count: int) -> Samples:
    """Samples for a network that takes pictures of a shape [height, width, colours]: photographs and digits where they fit."""
    return sample_images(count) if tuple(shape) == SAMPLE_SHAPE else random_images(shape, count)


@dataclass(frozen=True)
class Source:
    """A network to build.

    Attributes:
        name: of the network.
        digest: SHA-256 (hex) of all that the QONNX file follows from.
        qonnx: gives the contents of the QONNX file.
        record: what is known of the weights: `data`, `class_names`, `accuracy` (mode name -> 0…1); empty where nothing is.
        trained: whether the weights are trained ones.
        samples: of (shape [height, width, colours], count).
        check: called before anything else; refuses what can be refused without the QONNX file.
    """

    name: str
    digest: str
    qonnx: Callable[[], bytes]
    record: dict[str, Any] = field(default_factory=dict)
    trained: bool = True
    samples: Callable[[Sequence[int], int], Samples] = pictures_of
    check: Callable[["Request"], None] = lambda request: None


def is_file(model: str) -> bool:
    """Whether a model's name is that of a QONNX file."""
    return str(model).endswith(SUFFIX)


def network_name(model: str) -> str:
    """Name of the network that a command line names, and of its build folder: a network's own, that of a class of FILE.py:CLASS, or that of
    a QONNX file without its ending.

    Raises:
        GatefoldError: the file's name is none, or no class is named.
    """
    if is_file(model):
        return file_name(model)
    from flow import models

    return models.name_of(model)


def origin_of(model: str) -> str:
    """What tells networks of one name apart: the whole path of FILE.onnx, or of FILE.py:CLASS; of any other network its name."""
    from flow.models.user import is_users

    return str(Path(model).resolve()) if is_file(model) or is_users(model) else model


def check_origin(folder: Path, model: str) -> None:
    """Raise GatefoldError where a build folder is that of another network, which is still there, of the same name.

    Args:
        folder: build folder, which need not exist.
        model: what the command line calls the network.
    """
    from flow.models.user import is_users

    try:
        other = (folder / ORIGIN).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return
    file = Path(other.rpartition(":")[0] if is_users(other) else other)
    if other and other != origin_of(model) and (not file.is_absolute() or file.is_file()):
        raise GatefoldError(f"{folder} holds the build of {other}; give {model} a folder of its own with --output, or rename it.")


def qonnx_digest(path: str | Path) -> str:
    """SHA-256 (hex) of a QONNX file, as a build of it says in `qonnx_hash`."""
    from flow.finn.steps import read_qonnx

    return hashlib.sha256(read_qonnx(path)).hexdigest()


def source_of(request: "Request") -> Source:
    """What a request names.

    Raises:
        GatefoldError: there is no such file, network or weights, or options that do not go with it.
    """
    return _of_file(request) if is_file(request.model) else _of_network(request)


def file_name(path: str | Path) -> str:
    """Name of the network in a QONNX file: that of the file, without its ending."""
    name = Path(path).name.removesuffix(SUFFIX)
    if not 0 < len(name) <= NAME_LENGTH or not name.isprintable() or name.startswith("."):
        raise GatefoldError(f"{path} gives the network no name; call the file NAME{SUFFIX}.")
    return name


def read_class_names(path: str | Path) -> list[str]:
    """Names of classes in a text file, one a line, in the order of the logits.

    Raises:
        GatefoldError: it cannot be read, or a line is no name.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise GatefoldError(
            f"Cannot read the class names in {path} ({error.strerror}); give a text file, one name a line."
        ) from None
    except UnicodeDecodeError:
        raise GatefoldError(f"{path} is no text in UTF-8; give a text file, one class name a line.") from None
    names = [line.strip() for line in lines]
    while names and not names[-1]:
        names.pop()
    for number, name in enumerate(names, 1):
        if not 0 < len(name) <= NAME_LENGTH or not name.isprintable():
            raise GatefoldError(f"Line {number} of {path} is no class name; give one name a line, 1 to {NAME_LENGTH} characters.")
    return names


def _of_file(request):
    from flow.finn.steps import read_qonnx

    for given, option in ((request.checkpoint, "--checkpoint"), (request.untrained, "--untrained")):
        if given:
            raise GatefoldError(f"{request.model} holds its weights; leave out {option}.")
    name = file_name(request.model)
    data = read_qonnx(request.model)
    record = {"class_names": read_class_names(request.classes)} if request.classes else {}
    samples = random_images if request.samples is None else _samples_of(request.samples)
    given = request.samples.read_bytes() if request.samples else b""
    return Source(name, digest(data, record, given), lambda: data, record, samples=samples)


def _samples_of(path):
    """Samples function of an .npz with x, uint8 [N, height, width, colours], and optionally names."""
    try:
        with np.load(path) as archive:
            images = archive["x"]
            names = [str(name) for name in archive["names"]] if "names" in archive else None
    except (OSError, ValueError, KeyError, EOFError, AttributeError, TypeError, BadZipFile) as error:
        raise GatefoldError(f"Cannot read images x in {path} ({error}); save them with numpy.savez(file, x=images).") from None
    names = names or [f"image{number}" for number in range(len(images))]
    if images.dtype != np.uint8 or images.ndim != 4 or not len(images) or len(names) != len(images):
        raise GatefoldError(
            f"The images of {path} are {images.dtype} {list(images.shape)} with {len(names)} names; give x, uint8 [N, height, width, "
            "colours], and as many names or none."
        )

    def samples(shape, count):
        if images.shape[1:] != tuple(shape):
            raise GatefoldError(
                f"The images of {path} are {list(images.shape[1:])} and the network takes {list(shape)}; resize them."
            )
        index = np.arange(count) % len(images)
        return [names[number] for number in index], images[index]

    return samples


def _of_network(request):
    for given, option in (
        (request.pixels, "--mean, --deviation and --divisor"), (request.classes, "--classes"), (request.samples, "--samples")
    ):  # fmt: skip
        if given is not None:
            raise GatefoldError(f"{option} belong to a QONNX file; {request.model} brings its own.")
    model, record = weights_of(request)

    def check(request):
        """What the engine cannot run, or the part not hold, is known before FINN's minutes."""
        from flow.engine.compile import keep_modes
        from flow.engine.plan import plan
        from flow.engine.select import check_fit
        from flow.export.from_model import layer_graph

        graph = layer_graph(model)
        graph = keep_modes(graph, request.modes) if request.modes else graph
        check_fit(graph, plan(graph, request.folding, request.engine), request.board)

    def qonnx():
        from flow.export.from_model import layer_graph
        from flow.export.qonnx_export import export

        return export(layer_graph(model)).model.SerializeToString()

    key = digest(code_digest("graph", "export", "models", "nn"), _weights_digest(model))
    return Source(model.name, key, qonnx, record, bool(record), check=check)


def weights_of(request: "Request") -> tuple["nn.Module", dict[str, Any]]:
    """(model, record): the network of a request in eval, and what its record says (empty when untrained).

    Raises:
        GatefoldError: there are no such weights, or they belong to another model or are not quantised.
    """
    from flow import models
    from flow.training.checkpoint import load_model, read_record

    if request.untrained:
        return models.initialise(models.create(request.model), request.seed), {}
    models.check_name(request.model)  # an unknown name is refused before a missing file
    source = request.checkpoint or request.model
    try:
        model, record = load_model(source, request.model), read_record(source)
    except GatefoldError as error:
        if request.checkpoint:
            raise
        raise GatefoldError(f"{error} Random weights will do with --untrained.") from None
    if model.name != models.name_of(request.model):
        raise GatefoldError(f"{source} holds weights of {model.name}; build that, or give weights of {request.model}.")
    if not model.quantised:
        raise GatefoldError(f"{source} holds floating-point weights; train on with 4-bit numbers first.")
    return model, record


def _weights_digest(model):
    """SHA-256 of all that the network's integers follow from."""
    parts = []
    for name, tensor in sorted(model.state_dict().items()):
        parts += [name, tensor.detach().cpu().contiguous().numpy().tobytes()]
    return digest(model.name, getattr(model, "searched", {}), repr(model.layers()), *parts)
