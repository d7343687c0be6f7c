"""Gatefold: run-time adaptive neural networks, from PyTorch to an FPGA."""
