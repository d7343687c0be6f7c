"""The board program: runs a build on a PYNQ board, or on the simulated board of its deploy folder.

Needs numpy and pynq (and Pillow for folders of pictures); it shares with the compiler only the files of the deploy folder.
"""
