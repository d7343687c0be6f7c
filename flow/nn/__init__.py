"""Layers of a switchable network: grouped convolution and linear layers, batch normalisation, shuffle, quantisers."""
