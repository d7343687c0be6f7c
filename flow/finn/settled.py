"""A FINN model that leaves out the transformations which are known to leave it as it is."""

import copy
import hashlib
from typing import Any

from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation


class SettledModel(ModelWrapper):
    """A ModelWrapper that a transformation works on once where it changes nothing.

    FINN's `Streamline` gives names, types and layouts anew behind each of its 22 transformations, and cleans up behind each of
    these; most find nothing to do. Transformations are functions of the model and of their options: one that gave back the very
    bytes of a model gives them back again.

    Args:
        model: what to begin with; its graph is shared.
        memory: what is known so far; shared by all models that come of this one.
    """

    def __init__(self, model: ModelWrapper, memory: "Memory | None" = None):
        super().__init__(model.model, fix_float64=model.fix_float64)
        self.memory = Memory() if memory is None else memory

    def transform(
        self, transformation: Transformation, make_deepcopy: bool = True, cleanup: bool = True, *options: Any, **others: Any
    ) -> "SettledModel":
        own = vars(transformation)
        if not all(isinstance(value, (str, int, float, type(None))) for value in own.values()):  # no others can be compared
            own = {"": object()}
        key = (type(transformation), frozenset(own.items()), cleanup, self._digest())
        if key in self.memory:
            return copy.deepcopy(self) if make_deepcopy else self
        model = super().transform(transformation, make_deepcopy, cleanup, *options, **others)
        if not isinstance(model, SettledModel):
            model = SettledModel(model, self.memory)
        if model._digest() == key[-1]:
            self.memory.add(key)
        return model

    def plain(self) -> ModelWrapper:
        """The model as FINN knows it."""
        return ModelWrapper(self.model, fix_float64=self.fix_float64)

    def _digest(self):
        return hashlib.sha256(self.model.SerializeToString(deterministic=True)).digest()


class Memory(set):
    """Transformations with their options, and the model that each left as it was; copies of a model share it."""

    def __deepcopy__(self, memo: dict) -> "Memory":
        return self
