"""Where FINN keeps its files: the project's build folder, never the home directory."""

import os
from pathlib import Path

from flow.paths import build_root


def prepare_finn_environment() -> Path:
    """Give FINN a build folder and a settings path where the user has not; returns the build folder.

    `FINN_SETTINGS` may name a file that does not exist; unset, FINN makes `~/.finn`. FINN's workers
    are separate processes in which no Verilator engine is installed, so that one is the default.
    """
    os.environ.setdefault("FINN_BUILD_DIR", str(build_root() / "finn"))
    folder = Path(os.environ["FINN_BUILD_DIR"])
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("FINN_SETTINGS", str(folder / "settings.yaml"))
    os.environ.setdefault("NUM_DEFAULT_WORKERS", "1")
    return folder
