"""Notebooks for the board, which `pynq get-notebooks` delivers."""
