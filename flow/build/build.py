"""One network's build: from its QONNX file to a verified deploy folder, in steps that are skipped when nothing changed."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flow.build.bitstream import found
from flow.build.deploy import LIBRARY, description, fill, read
from flow.build.source import ORIGIN, Source, is_file, origin_of, source_of
from flow.build.steps import LOCK, STAMPS, Report, Steps, code_digest, digest, exclusive
from flow.build.verify import Verification, compare, layer_cycles
from flow.engine.boards import Board
from flow.engine.compile import engine_hash, with_hash
from flow.engine.config import Folding
from flow.engine.images import widths
from flow.engine.interface import INTERFACE_FILE
from flow.engine.network import NETWORK, read_image
from flow.engine.select import check_fit
from flow.engine.shared import text_of
from flow.errors import GatefoldError
from flow.graph.exits import Halting
from flow.graph.integer import Result, picture_frames
from flow.kept import clear, content_digest, replace_file, replace_folder

if TYPE_CHECKING:
    from qonnx.core.modelwrapper import ModelWrapper

    from flow.engine.config import EngineConfig
    from flow.finn.pixels import Pixels

STEPS, MAPPED_STEPS = 6, 2
VERIFY_FRAMES_PER_MODE, VERIFY_FRAMES = 2, 8
"""Frames that are compared: in each mode, and in all modes at least."""
SAMPLES = 16
POWER_ON_SEEDS = (1, 2)
QONNX, LAYERS, ENGINE = "model.onnx", "layers.onnx", "engine.onnx"


@dataclass
class Request:
    """What to build.

    Attributes:
        model: name of a network of `flow.models`, or path of a QONNX file, which ends in .onnx.
        folding: of the engine.
        checkpoint: weights file, or None for the shipped weights.
        untrained: random weights instead.
        modes: mode names to build, None for all.
        seed: of the random weights.
        mapped: also simulate what synthesis takes: the lanes in LUTs and DSP blocks, from random power-on values.
        pixels: what a network in a file is given for a pixel; None: what its input's type says.
        classes: text file with the names of its classes, or None.
        samples: .npz with sample images for it, or None.
        engine: that the network goes onto, of the same folding; None: one is made for it.
        accept: called with the EngineConfig before anything is written, to refuse it; None accepts all that fit.
    """

    model: str
    board: Board
    folding: Folding
    checkpoint: Path | None = None
    untrained: bool = False
    modes: list[str] | None = None
    seed: int = 1
    mapped: bool = False
    pixels: "Pixels | None" = None
    classes: Path | None = None
    samples: Path | None = None
    engine: "EngineConfig | None" = None
    accept: Callable[["EngineConfig"], None] | None = None


class Conversion:
    """The FINN side of a build, in memory: each part is made when it is first asked for, and what cannot be built is refused there.

    Attributes:
        qonnx: contents of the QONNX file.
        layers: model of SwitchableConv and SwitchableLinear nodes, with all modes of the network.
        engine: model of one TileEngine node, with the modes that are wanted.
    """

    def __init__(self, request: Request, source: Source, report: Report):
        from flow.finn import NetworkConfig

        self.request, self.source, self.report = request, source, report
        modes = None if request.modes is None else tuple(request.modes)
        self.config = NetworkConfig(request.folding, request.pixels, modes, engine=request.engine)

    @cached_property
    def qonnx(self) -> bytes:
        return self.source.qonnx()

    @cached_property
    def layers(self) -> "ModelWrapper":
        from flow.finn.steps import LAYER_STEPS, convert, parse_qonnx

        path = self.request.model if is_file(self.request.model) else QONNX
        return convert(parse_qonnx(self.qonnx, path), LAYER_STEPS, self.config, self.source.name, self.report)

    @cached_property
    def engine(self) -> "ModelWrapper":
        from flow.finn.steps import ENGINE_STEPS, convert

        return convert(self.layers, ENGINE_STEPS, self.config, on_step=self.report)

    def check(self, engine: "ModelWrapper") -> None:
        """Refuse an engine that does not fit the part, and names and sample images that do not fit the network."""
        from flow.finn.accelerator import engine_node

        graph, plan = engine_node(engine).layout()
        check_fit(graph, plan, self.request.board)
        if self.request.accept:
            self.report("estimating the clock: yosys maps the netlist (minutes the first time)")
            self.request.accept(plan.config)
        names = self.source.record.get("class_names")
        if self.request.classes and len(names) != graph.classes:
            raise GatefoldError(
                f"{self.request.classes} names {len(names)} classes and {self.source.name} has {graph.classes}; give one name a line for each."
            )
        self.source.samples(graph.picture_shape, 1)


class Build:
    """The steps of one build.

    Args:
        folder: build folder; model.onnx (QONNX), layers.onnx and engine.onnx (FINN), origin, network.bin, rtl/, simulation/ and
            deploy/ lie in it.

    Attributes:
        hash: the engine's hash, SHA-256 in hex, once `run` has got so far.
    """

    def __init__(self, request: Request, folder: str | Path, report: Report = lambda title: None):
        self.request = request
        self.folder = Path(folder)
        self.steps = Steps(self.folder, report)
        self.hash = None

    def run(self) -> dict[str, Any]:
        """Build; returns the contents of the deploy folder's modes.json.

        Raises:
            GatefoldError: there is no such network, or it does not fit FINN, the engine or the part.
        """
        self.source = source_of(self.request)
        self.source.check(self.request)
        # What lies in a folder under the names of a build's is replaced: only where it is one.
        marks = ((self.folder / name).exists() for name in (LOCK, STAMPS))
        if self.folder.is_dir() and any(self.folder.iterdir()) and not any(marks):
            raise GatefoldError(f"{self.folder} holds other files; give an empty folder, or that of a build, with --output.")
        self.conversion = Conversion(self.request, self.source, self.steps.report)
        # What FINN or the engine does not take is refused before anything is written.
        whole = all(self.steps.vouches(*step) for step in self._conversion_steps())
        self.conversion.check(self._engine() if whole else self.conversion.engine)
        with exclusive(self.folder, self.steps.report):
            return self._run()

    def _conversion_steps(self):
        """(name, key, outputs) of the steps that make the three graphs."""
        pixels = None if self.request.pixels is None else asdict(self.request.pixels)
        key = digest(self.source.digest, self.source.name)
        yield "export", key, [self.folder / QONNX]
        packages = code_digest("graph", "export", "finn", "engine")
        key = digest(
            key, packages, asdict(self.request.folding), text_of(self.request.engine), self.request.modes, pixels, INTERFACE_FILE
        )
        yield "finn", key, [self.folder / LAYERS, self.folder / ENGINE]

    def _engine(self):
        """The TileEngine's ModelWrapper as it lies in the folder."""
        from qonnx.core.modelwrapper import ModelWrapper

        return ModelWrapper(str(self.folder / ENGINE))

    def _run(self):
        for name in ("rtl", "simulation"):
            if not (self.folder / name).is_dir():
                clear(self.folder / name)
        origin, text = self.folder / ORIGIN, f"{origin_of(self.request.model)}\n".encode()
        if not origin.is_file() or origin.read_bytes() != text:
            replace_file(origin, lambda part: part.write_bytes(text))
        self._convert()
        self._generate()
        verification = self._simulate()

        graph, config = self.graph, self.config
        hashes = [content_digest(self.folder / name) for name in (QONNX, LAYERS)]
        contents = description(
            graph, config, self.request.board, self.hash, hashes, self.source.record, self.source.trained, verification
        )
        deploy = self.folder / "deploy"
        samples = self.source.samples(graph.picture_shape, SAMPLES)
        bitstream = found(self.folder, contents)
        parts = self.folder / NETWORK, self.folder / "simulation" / LIBRARY
        self.steps.run(
            "deploy",
            "writing the deploy folder",
            digest(self.source.digest, code_digest("build"), contents, *parts),
            [deploy],
            lambda: replace_folder(deploy, lambda part: fill(part, contents, *parts, samples, bitstream)),
        )
        return read(deploy)

    def _convert(self):
        (export, key, qonnx), (finn, finn_key, graphs) = self._conversion_steps()
        self.steps.run(
            export, "writing the QONNX file", key, qonnx,
            lambda: replace_file(qonnx[0], lambda part: part.write_bytes(self.conversion.qonnx)),
        )  # fmt: skip

        def write():
            for path, model in zip(graphs, (self.conversion.layers, self.conversion.engine), strict=True):
                replace_file(path, lambda part, model=model: model.save(str(part)))

        self.steps.run(finn, "converting to FINN nodes", finn_key, graphs, write)

    def _generate(self):
        """Network image, parameters and top of the node in engine.onnx, and the engine's hash."""
        from flow.engine.sources import RTL, accelerator_sources
        from flow.finn.accelerator import check_memories, engine_node
        from flow.finn.steps import ACCELERATOR_STEPS, convert

        network, rtl = made = [self.folder / NETWORK, self.folder / "rtl"]
        model = self._engine()
        self.node = engine_node(model)
        self.graph, layout = self.node.layout()
        self.config = layout.config

        def write():
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                config = replace(self.conversion.config, folder=folder)
                convert(model, ACCELERATOR_STEPS, config, on_step=self.steps.report)
                replace_folder(rtl, lambda part: shutil.copytree(folder / rtl.name, part, dirs_exist_ok=True))
                replace_file(network, lambda part: shutil.copyfile(folder / network.name, part))

        key = digest(self.folder / ENGINE, code_digest("engine", "finn"), INTERFACE_FILE, *sorted(RTL.glob("*.sv")))
        self.steps.run("network", "writing the network image", key, made, write)
        self.network = network.read_bytes()
        check_memories(self.node, read_image(self.network, widths(self.config)))
        self.sources = accelerator_sources(rtl)
        self.hash = engine_hash(self.config.parameters(), self.sources)
        self.parameters = with_hash(self.config.parameters(), self.hash)

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
                self.node.build(),
                library,
                self.hash,
                lambda layer: self.steps.report(f"measuring cycles of {layer}"),
            )
            replace_file(report, lambda part: part.write_text(json.dumps(asdict(seen), indent=1) + "\n"))

        title = "running the RTL in every mode against the integer model"
        checks = digest(key, self.network, self.source.digest, code_digest("graph", "engine", "build"), library)
        self.steps.run("verification", title, checks, [report], verify)
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
        checks = digest(key, self.network, self.source.digest, code_digest("graph", "engine", "build"), library)
        self.steps.run("mapped-verification", title, checks, [report], verify)

    def _compare(self, library, power_on=0):
        """Run sample images in every mode, to the end, to every early exit, and to where the margins of half of them are; returns the
        Verification."""
        from flow.simulation.simulator import Simulator

        names = list(self.graph.modes)
        modes = names * max(VERIFY_FRAMES_PER_MODE, -(-VERIFY_FRAMES // len(names)))
        pictures = self.source.samples(self.graph.picture_shape, len(modes))[1]
        planes, indices, exits = picture_frames(self.graph, pictures), [names.index(mode) for mode in modes], len(self.graph.exits)
        results: dict[str, Result] = {}
        with Simulator(library, self.network, power_on) as simulator:

            def seen(halting=None):
                records, _ = simulator.run(planes, indices, halting=halting)
                return compare(self.graph, self.config, records, pictures, modes, halting, results)

            whole = seen()
            for number in range(exits):
                for mode, cycles in seen(Halting.at(number, exits)).cycles.items():
                    whole.exits.setdefault(mode, []).append(cycles)
            if exits:
                seen(Halting.sure([result.exit_logits for result in results.values()], 0.5))
        return whole
