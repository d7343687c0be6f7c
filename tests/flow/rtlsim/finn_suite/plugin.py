"""pytest plugin: FINN's own RTL tests (package `finn-plus-tests`), unmodified, on this simulator.

    FINN_TESTS=DIR make test-finn

DIR holds the unpacked package (its folder `tests`). Taken are the files of `FILES`; what `exclusions.txt` names is
deselected, each line a regular expression of test ids and the reason.
"""

import re
import sys
from collections import Counter
from pathlib import Path

from flow.rtlsim import install

EXCLUSIONS = Path(__file__).with_name("exclusions.txt")


def exclusions() -> list[tuple[str, str]]:
    """(regular expression, reason) per line."""
    lines = [line for line in EXCLUSIONS.read_text().splitlines() if line.strip() and not line.startswith("#")]
    return [tuple(part.strip() for part in line.split(" | ", 1)) for line in lines]


def pytest_addoption(parser):
    parser.addoption("--every", type=int, default=1, help="of the cases of each test take every Nth only")


def pytest_load_initial_conftests():
    _import_torchvision()
    install()


def _import_torchvision():
    """FINN's helpers import it. A build for CUDA beside a torch without it lacks its operators, which no test here calls:
    each one that the import looks up is declared."""
    import torch

    library = _import_torchvision.library = torch.library.Library("torchvision", "DEF")
    while True:
        try:
            import torchvision  # noqa: F401

            return
        except ModuleNotFoundError:
            return
        except RuntimeError as problem:
            (name,) = re.findall(r"operator torchvision::(\w+) does not exist", str(problem))
            library.define(f"{name}(Tensor x) -> Tensor")
            for module in [module for module in sys.modules if module.split(".")[0] == "torchvision"]:
                del sys.modules[module]


def pytest_collection_modifyitems(config, items):
    patterns = [re.compile(pattern) for pattern, _ in exclusions()]
    kept, seen = [], Counter()
    for item in items:
        if not any(pattern.search(item.nodeid) for pattern in patterns):
            name = item.nodeid.split("[")[0]
            if seen[name] % config.getoption("every") == 0:
                kept.append(item)
            seen[name] += 1
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept
