"""Engines that came with this folder, one folder each: the bitstream, and what belongs to it. PYNQ looks for overlays here."""
