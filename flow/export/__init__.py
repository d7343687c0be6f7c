"""QONNX files with everything the hardware needs, out of a layer graph and back."""
