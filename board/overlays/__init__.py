"""Builds that came with this folder, one folder each: the files of a deploy folder. PYNQ looks for overlays here too."""
