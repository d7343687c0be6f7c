"""Networks that came with this folder, one folder each; the engine that one runs on lies in engines/."""
