"""FINN's own builder runs our steps as they are, where its closing report finds a folder for Vivado."""

import warnings
from dataclasses import fields

import plain_networks
import pytest
import torch

import flow.finn as gatefold_finn


@pytest.mark.slow
def test_finns_builder_makes_the_same_engine(tmp_path, monkeypatch):
    from finn.builder.build_dataflow import build_dataflow_cfg
    from finn.builder.build_dataflow_config import DataflowBuildConfig
    from qonnx.core.modelwrapper import ModelWrapper

    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = plain_networks.train(plain_networks.stack(), (3, 32, 32), steps=2)
        path = plain_networks.save(network, (3, 32, 32), tmp_path / "stack.onnx")
    monkeypatch.setenv("XILINX_VIVADO", str(tmp_path / "Vivado" / "2024.2"))
    steps = [*gatefold_finn.LAYER_STEPS, *gatefold_finn.ENGINE_STEPS]
    config = DataflowBuildConfig(output_dir=str(tmp_path / "out"), synth_clk_period_ns=10.0, generate_outputs=[], steps=steps)
    for field in fields(gatefold_finn.NetworkConfig):
        setattr(config, field.name, field.default)
    assert build_dataflow_cfg(str(path), config) == 0
    theirs = ModelWrapper(str(tmp_path / "out" / "intermediate_models" / "step_map_to_engine.onnx"))
    ours = gatefold_finn.convert(gatefold_finn.read_network(path), gatefold_finn.ENGINE_STEPS, gatefold_finn.NetworkConfig())
    digests = [model.get_nodes_by_op_type("TileEngine")[0] for model in (theirs, ours)]
    digests = [gatefold_finn.TileEngine(node).get_nodeattr("memories_digest") for node in digests]
    assert digests[0] == digests[1] != ""
