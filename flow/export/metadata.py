"""What a Gatefold QONNX file says beyond its nodes, as JSON in the model's metadata.

gatefold.mode     the mode that the nodes are in; the exporter writes the full network, `ApplyMode` the others
gatefold.modes    mode name -> {layer name: `Setting.code`}; their order is the mode index
gatefold.ungated  names of the modes that run no gates; absent in files without gates
gatefold.layers   layer name -> what its nodes cannot say, in the order of execution. Of a convolution: `group_counts`, and `affine`,
                  `Setting.code` -> [A, B], the batch norm's float32 constants per output channel; of the classifier: `logit_scale`
"""

import json
from typing import Any

import numpy as np
from qonnx.core.modelwrapper import ModelWrapper

from flow.errors import GatefoldError
from flow.graph.layers import Layer, LayerGraph, Setting

PREFIX = "gatefold."


def write(qonnx: ModelWrapper, /, **entries: Any) -> None:
    """Store values, JSON-encoded, under `gatefold.<key>`."""
    for key, value in entries.items():
        qonnx.set_metadata_prop(PREFIX + key, json.dumps(value))


def read(model: ModelWrapper, key: str, default: Any = None) -> Any:
    """The value under `gatefold.<key>`, or the default.

    Raises:
        GatefoldError: the entry is damaged.
    """
    text = model.get_metadata_prop(PREFIX + key)
    if text is None:
        return default
    try:
        return json.loads(text)
    except ValueError as error:
        raise GatefoldError(f"metadata {PREFIX}{key} of the QONNX file is damaged ({error}); export it again.") from None


def layer_entry(layer: Layer) -> dict[str, Any]:
    """What `gatefold.layers` says of a layer; every float32 is written so that it is read as the same one."""
    if layer.decisions or layer.kind == "excite":
        return {}
    if layer.kind == "linear":
        return {"logit_scale": float(layer.logit_scale)}
    affine = {str(setting.code): [table.tolist() for table in pair] for setting, pair in layer.affine.items()}
    return {"group_counts": list(layer.group_counts), "affine": affine}


def affine_of(entry: dict[str, Any]) -> dict[Setting, tuple[np.ndarray, np.ndarray]]:
    """(A, B) of each setting, float32 [Co] each, of a convolution's entry."""
    return {Setting.of_code(code): tuple(np.array(table, np.float32) for table in pair) for code, pair in entry["affine"].items()}


def modes_entry(graph: LayerGraph) -> dict[str, dict[str, int]]:
    """What `gatefold.modes` says of a graph."""
    return {mode: {layer: setting.code for layer, setting in settings.items()} for mode, settings in graph.modes.items()}


def modes_of(entry: dict[str, dict[str, int]]) -> dict[str, dict[str, Setting]]:
    """The `modes` of a graph."""
    return {mode: {layer: Setting.of_code(code) for layer, code in settings.items()} for mode, settings in entry.items()}
