"""What a Gatefold QONNX file says beyond its nodes, as JSON in the model's metadata.

gatefold.model    the model's name
gatefold.mode     the mode that the nodes are in; the exporter writes the full network, `ApplyMode` the others
gatefold.modes    mode name -> {layer name: setting}; their order is the mode index (settings: `LayerGraph.modes`)
gatefold.layers   per convolution and classifier, in the order of the nodes: name, group counts, and per setting
                  the batch norm's A and B (base64 of little-endian float32 [Co])
"""

import base64
import json

import numpy as np

from flow.errors import GatefoldError

PREFIX = "gatefold."


def encode(array):
    """float32 array as base64 text."""
    return base64.b64encode(np.ascontiguousarray(array, "<f4").tobytes()).decode()


def decode(text):
    """The float32 vector in base64 text."""
    return np.frombuffer(base64.b64decode(text), "<f4").copy()


def write(qonnx, /, **entries):
    """Store values, JSON-encoded, under `gatefold.<key>`."""
    for key, value in entries.items():
        qonnx.set_metadata_prop(PREFIX + key, json.dumps(value))


def read(model, key, default=None):
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
        raise GatefoldError(f"metadata {PREFIX}{key} of the QONNX file is damaged ({error}); export it again") from None


def affine_tables(model):
    """Layer name -> {setting: (A, B)} of every convolution."""
    return {
        layer["name"]: {int(n): (decode(pair["A"]), decode(pair["B"])) for n, pair in layer["affine"].items()}
        for layer in read(model, "layers", [])
    }
