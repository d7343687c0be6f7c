"""One model's build: from weights to a verified deploy folder, in steps that are skipped when nothing changed."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from flow.build.bitstream import found
from flow.build.deploy import LIBRARY, description, fill, read
from flow.build.samples import sample_images
from flow.build.steps import LOCK, STAMPS, Steps, code_digest, digest, exclusive
from flow.build.verify import Verification, compare, layer_cycles
from flow.engine.boards import Board
from flow.engine.compile import build_hash, compile_graph, keep_modes, with_hash
from flow.engine.config import EngineConfig
from flow.engine.interface import INTERFACE_FILE, package_text
from flow.engine.plan import plan
from flow.engine.select import check_fit
from flow.engine.top import NAME as TOP_NAME
from flow.engine.top import top_text
from flow.errors import GatefoldError
from flow.kept import clear, content_digest, replace_file, replace_folder

STEPS, MAPPED_STEPS = 6, 2
VERIFY_FRAMES_PER_MODE = 2
POWER_ON_SEEDS = (1, 2)


@dataclass
class Request:
    """What to build.

    Attributes:
        model: name of a network of `flow.models`.
        board: Board.
        config: EngineConfig with P, PE, R, V and the multiplier mix; depths follow from the model.
        checkpoint: weights file, or None for the shipped weights.
        untrained: random weights instead.
        modes: mode names to build, None for all.
        seed: of the random weights.
        mapped: also simulate what synthesis takes: the lanes in LUTs and DSP blocks, from random power-on values.
    """

    model: str
    board: Board
    config: EngineConfig
    checkpoint: Path | None = None
    untrained: bool = False
    modes: list | None = None
    seed: int = 1
    mapped: bool = False


def weights_of(request):
    """(model, record): the network in eval, and what its record says (empty when untrained).

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


class Build:
    """The steps of one build.

    Args:
        request: Request.
        folder: build folder; model.onnx (QONNX), layers.onnx and engine.onnx (FINN), images/, rtl/, simulation/ and deploy/ lie
            in it.
        report: called with the title of each step, and with None when it has ended.

    Attributes:
        compiled: Compiled, once `run` has got so far.
        hash: the build hash, SHA-256 in hex.
    """

    def __init__(self, request, folder, report=lambda title: None):
        self.request = request
        self.folder = Path(folder)
        self.steps = Steps(self.folder, report)
        self.compiled = self.hash = None

    def run(self):
        """Build; returns the contents of the deploy folder's modes.json.

        Raises:
            GatefoldError: weights are missing or damaged, or the network does not fit the engine or the part.
        """
        from flow.export.from_model import layer_graph

        model, record = weights_of(self.request)
        layers = layer_graph(model)
        # What the engine cannot run, or the part not hold, is refused before anything is written.
        held = keep_modes(layers, self.request.modes) if self.request.modes else layers
        check_fit(held, plan(held, self.request.config).config, self.request.board)
        # What lies in a folder under the names of a build's is replaced: only where it is one.
        marks = ((self.folder / name).exists() for name in (LOCK, STAMPS))
        if self.folder.is_dir() and any(self.folder.iterdir()) and not any(marks):
            raise GatefoldError(f"{self.folder} holds other files; give an empty folder, or that of a build, with --output.")
        with exclusive(self.folder, self.steps.report):
            return self._run(model, layers, record)

    def _run(self, model, layers, record):
        from flow.export.importer import import_graph, load

        for name in ("rtl", "simulation"):
            if not (self.folder / name).is_dir():
                clear(self.folder / name)
        onnx = self.folder / "model.onnx"
        key = digest(code_digest("graph", "export", "models", "nn"), _weights_digest(model))
        self.steps.run("export", "exporting to QONNX", key, [onnx], lambda: self._export(layers, onnx))

        graph = import_graph(load(onnx))
        if self.request.modes:
            graph = keep_modes(graph, self.request.modes)
        key = digest(key, onnx, asdict(self.request.config), list(graph.modes), INTERFACE_FILE)
        self._compile(graph, key)
        self._convert(graph, digest(key, code_digest("finn")))
        verification = self._simulate()

        contents = description(self.compiled, self.request.board, self.hash, content_digest(onnx), record, verification)
        deploy = self.folder / "deploy"
        self.steps.run(
            "deploy",
            "writing the deploy folder",
            digest(key, code_digest("build"), contents, self.folder / "simulation" / LIBRARY),
            [deploy],
            lambda: replace_folder(
                deploy,
                lambda part: fill(
                    part,
                    contents,
                    self.folder / "images",
                    self.folder / "simulation" / LIBRARY,
                    sample_images(),
                    found(self.folder, contents),
                ),
            ),
        )
        return read(deploy)

    def _export(self, layers, path):
        from flow.export.qonnx_export import export

        replace_file(path, lambda part: export(layers).save(str(part)))

    def _compile(self, graph, key):
        from flow.engine.sources import PACKAGE, accelerator_sources

        images, rtl = self.folder / "images", self.folder / "rtl"
        self.steps.report("laying out memories and requantisation")
        self.compiled = compile_graph(graph, self.request.config)
        self.sources = accelerator_sources(rtl)
        parameters = self.compiled.plan.config.parameters()
        self.hash = build_hash(self.compiled.images, parameters, self.sources)
        self.parameters = with_hash(parameters, self.hash)

        def write():
            top = {f"{TOP_NAME}.sv": top_text(self.parameters), PACKAGE: package_text()}
            for folder, texts in ((images, self.compiled.images), (rtl, top)):
                replace_folder(folder, lambda part, texts=texts: [(part / n).write_text(t) for n, t in texts.items()])

        self.steps.run("images", "writing memory images", digest(key, self.hash), [images, rtl], write)

    def _convert(self, graph, key):
        layers, engine = self.folder / "layers.onnx", self.folder / "engine.onnx"

        def write():
            from flow.finn import MapToTileEngine, build_layer_graph

            model = build_layer_graph(graph, self.request.config)
            for path, content in ((layers, model), (engine, model.transform(MapToTileEngine()))):
                replace_file(path, lambda part, content=content: content.save(str(part)))

        self.steps.run("finn", "converting to FINN nodes", key, [layers, engine], write)

    def _simulate(self):
        from flow.simulation.accelerator import compile_accelerator, simulation_files

        folder = self.folder / "simulation"
        library, report = folder / LIBRARY, folder / "verification.json"
        key = digest(self.hash, code_digest("simulation"), *simulation_files())
        self.steps.run(
            "simulator",
            "compiling the simulated accelerator",
            key,
            [library],
            lambda: compile_accelerator(folder, library, self.parameters, self.sources, jobs=os.cpu_count() or 1),
        )

        def verify():
            seen = self._compare(library)
            seen.layers = layer_cycles(
                self.compiled,
                library,
                self.folder / "images",
                lambda layer: self.steps.report(f"measuring cycles of {layer}"),
            )
            replace_file(report, lambda part: part.write_text(json.dumps(asdict(seen), indent=1) + "\n"))

        title = "running the RTL in every mode against the integer model"
        self.steps.run("verification", title, digest(key, code_digest("graph", "engine", "build"), library), [report], verify)
        if self.request.mapped:
            self._simulate_mapped(key)
        return Verification(**json.loads(report.read_text()))

    def _simulate_mapped(self, key):
        from flow.simulation.accelerator import compile_accelerator

        folder = self.folder / "simulation" / "mapped"
        library, report = folder / LIBRARY, folder / "verification.json"

        def compile_mapped():
            compile_accelerator(folder, library, self.parameters, self.sources, mapped=True, jobs=os.cpu_count() or 1)

        def verify():
            seen = [self._compare(library, power_on) for power_on in POWER_ON_SEEDS]
            replace_file(report, lambda part: part.write_text(json.dumps([asdict(each) for each in seen], indent=1) + "\n"))

        self.steps.run("mapped-simulator", "compiling the accelerator as synthesis takes it", key, [library], compile_mapped)
        title = "running it in every mode against the integer model"
        self.steps.run(
            "mapped-verification", title, digest(key, code_digest("graph", "engine", "build"), library), [report], verify
        )

    def _compare(self, library, power_on=0):
        """Run sample images in every mode; returns the Verification."""
        from flow.simulation.simulator import Simulator

        names = list(self.compiled.graph.modes)
        modes = names * VERIFY_FRAMES_PER_MODE
        images = sample_images(len(modes))[1]
        with Simulator(library, self.folder / "images", power_on) as simulator:
            records, _ = simulator.run(images, [names.index(mode) for mode in modes])
        return compare(self.compiled.graph, self.compiled.plan.config, records, images, modes)


def _weights_digest(model):
    """SHA-256 of all that the network's integers follow from."""
    parts = []
    for name, tensor in sorted(model.state_dict().items()):
        parts += [name, tensor.detach().cpu().contiguous().numpy().tobytes()]
    return digest(model.name, getattr(model, "searched", {}), repr(model.layers()), *parts)
