"""Costs of a network from the trace of what it executed."""

import torch
from torch import Tensor, nn

from flow.costs.activity import Activity, activity
from flow.costs.cycles import layer_cycles
from flow.costs.energy import MEMORIES, layer_accesses, layer_energy
from flow.engine.config import Folding
from flow.engine.cost import Unplanned
from flow.errors import GatefoldError
from flow.nn.modes import group_vector
from flow.nn.spec import LayerSpec
from flow.nn.trace import Trace, Use

UNITS = ("macs", "params", *MEMORIES, "energy", "cycles")


def active_groups(model: nn.Module) -> dict[str, int]:
    """Group count that each layer has now, by layer name."""
    modules = ((spec.name, model.get_submodule(spec.name)) for spec in model.layers())
    return {name: getattr(module, "conv", module).n for name, module in modules}


class Accounting:
    """Costs of a model's layers, of its gates too, in one unit.

    ``"macs"``: multiply-accumulates. ``"params"``: weights used, each counted once however often a shared layer runs.
    ``"register"``, ``"cache"``, ``"main"``: accesses of these memories, and ``"energy"``: see ``flow.costs.energy``; the weights
    of a shared layer are read from main memory once. ``"cycles"``: see ``flow.costs.cycles``.

    Args:
        model: network with ``layers()``; one with gates describes their layers in ``gate_layers()``, named as in its trace.
        unit: one of ``UNITS``.
        folding: of the engine, for cycles.
    """

    def __init__(self, model: nn.Module, unit: str, folding: Folding | None = None):
        if unit not in UNITS:
            raise GatefoldError(f"There is no cost unit '{unit}'; choose one of {', '.join(UNITS)}.")
        self.model = model
        self.unit = unit
        gates = model.gate_layers() if hasattr(model, "gate_layers") else []
        folding = folding or Folding()
        equipped = getattr(model, "gates", None) is not None
        self.engine = Unplanned.of(folding, gates=int(equipped), pack=int(folding.quarters and equipped))
        self._specs = {spec.name: spec for spec in [*model.layers(), *gates]}

    @property
    def full(self) -> float:
        """Cost of one image when every layer of the network runs in the active group mode, gates left out."""
        return self.of_mode(active_groups(self.model))

    def of_mode(self, mode: str | dict[str, int]) -> float:
        """Cost of one image in a group mode, or with a group count per layer; all layers run, gates left out."""
        return sum(self.layer_costs(mode).values())

    def layer_costs(self, mode: str | dict[str, int]) -> dict[str, float]:
        """``of_mode`` of every layer by name."""
        vector = group_vector(self.model, mode) if isinstance(mode, str) else mode
        return {spec.name: float(sum(self._cost(Use(spec.name, vector[spec.name])))) for spec in self.model.layers()}

    def of(self, trace: Trace) -> Tensor:
        """Cost of each image, gates included: float64 [N], differentiable in the decisions; scalar 0 for an empty trace."""
        return sum(self.per_layer(trace).values(), torch.zeros((), dtype=torch.float64))

    def per_layer(self, trace: Trace) -> dict[str, Tensor]:
        """Cost of each image by layer name, float64 [N] each; a shared gate's uses are put together."""
        decided = [t for use in trace for t in (use.executed, use.inputs, use.outputs) if t is not None]
        images, device = {len(t) for t in decided}, decided[0].device if decided else "cpu"
        if len(images) > 1:
            raise GatefoldError(f"The trace mixes batches of {sorted(images)} images; take it from one forward pass.")
        count = images.pop() if images else 1
        runs: dict[str, Tensor] = {}
        once: dict[str, Tensor] = {}
        for use in trace:
            run, shared = (part.expand(count).to(device) for part in self._cost(use))
            known = use.name in runs
            runs[use.name] = runs[use.name] + run if known else run
            once[use.name] = torch.maximum(once[use.name], shared) if known else shared
        return {name: run + once[name] for name, run in runs.items()}

    def _cost(self, use: Use) -> tuple[Tensor, Tensor]:
        """What the layer costs whenever it is used, and what only once however often."""
        if use.name not in self._specs:
            raise GatefoldError(f"The model does not describe the layer '{use.name}' of the trace; use the model's own trace.")
        spec = self._specs[use.name]
        run, once = self._when_run(spec, activity(spec, use))
        return (run, once) if use.executed is None else (run * use.executed.double(), once * use.executed.double())

    def _when_run(self, spec: LayerSpec, active: Activity) -> tuple[Tensor, Tensor]:
        nothing = torch.zeros_like(active.pairs)
        if self.unit == "cycles":
            return layer_cycles(spec, active, self.engine), nothing
        if self.unit == "energy":
            return layer_energy(spec, active)
        if self.unit in MEMORIES:
            accesses, weights = layer_accesses(spec, active)
            return accesses[self.unit], weights if self.unit == "main" else nothing
        weights = active.pairs * spec.kernel**2
        return (weights * spec.out_size**2, nothing) if self.unit == "macs" else (nothing, weights)
