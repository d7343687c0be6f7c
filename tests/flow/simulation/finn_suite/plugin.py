"""pytest plugin: FINN's own RTL tests (package `finn-plus-tests`), unmodified, on this simulator.

    FINN_TESTS=DIR make test-finn

DIR holds the unpacked package (its folder `tests`). `python plugin.py` prints the files that simulate RTL; what
`exclusions.txt` names is deselected, each line a regular expression of test ids and the reason. `--every N` takes every
Nth case of each test: all of them take hours.
"""

import re
import sys
from collections import Counter
from pathlib import Path

FILES = [
    *(
        f"fpgadataflow/test_fpgadataflow_{name}.py"
        for name in (
            "convinputgenerator", "crop", "dwc", "elementwise_binary_rtl", "fmpadding", "layernorm", "mvau", "pad1d", "pwpolyf",
            "requant", "selecttoken", "shuffle", "softmax", "thresholding", "thresholding_runtime", "vvau", "where",
        )
    ),
    "fpgadataflow/test_runtime_weights.py", "util/test_xsi_design_lifecycle.py", "util/test_rtlsim_liveness.py",
    "util/test_rtlsim_performance.py",
]  # fmt: skip

EXCLUSIONS = Path(__file__).with_name("exclusions.txt")


def exclusions() -> list[tuple[str, str]]:
    """(regular expression, reason) per line."""
    lines = [line for line in EXCLUSIONS.read_text().splitlines() if line.strip() and not line.startswith("#")]
    return [tuple(part.strip() for part in line.split(" | ", 1)) for line in lines]


def pytest_addoption(parser):
    parser.addoption("--every", type=int, default=1, help="of the cases of each test take every Nth only")


def pytest_load_initial_conftests():
    from flow.simulation import install

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


if __name__ == "__main__":
    print(*(f"tests/{name}" for name in FILES))
