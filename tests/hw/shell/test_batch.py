"""The life of a batch by itself: its ends, its cycles, and what an error or a soft reset waits for."""

import pytest

from flow.engine.interface import load_interface
from flow.engine.sources import accelerator_sources
from flow.simulation.compile import compile_model
from flow.simulation.library import Model

RESET_CYCLES = 16
ERR = load_interface().errors
REST = {"read_idle": 1, "write_idle": 1}


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    sources = accelerator_sources(tmp_path_factory.mktemp("batch"))
    return compile_model("dma_batch", sources, parameters={"RESET_CYCLES": RESET_CYCLES})


class Batch:
    """The module; `cycle` sets inputs, which stay but for start and soft_reset, and returns the outputs of that cycle."""

    def __init__(self, model):
        self.model = model
        model.write("load", 0)
        self.outputs = [name for name, port in model.ports.items() if port.output]
        for name, value in REST.items():
            model.write(name, value)
        model.reset()

    def cycle(self, **inputs):
        for name, value in inputs.items():
            self.model.write(name, value)
        self.model.run(0)
        seen = {name: self.model.read(name) for name in self.outputs}
        self.model.cycles(1)
        for name in ("start", "soft_reset"):
            self.model.write(name, 0)
        return seen

    def start(self, frames):
        seen = self.cycle(start=1, frames=frames)
        assert not seen["dma_start"] and not seen["busy"]
        seen = self.cycle(frames_read=0, frames_done=0)
        assert seen["dma_start"] and seen["busy"] and not seen["finish"]

    def runs(self, cycles, **inputs):
        """So many cycles of an undisturbed batch."""
        for _ in range(cycles):
            seen = self.cycle(**inputs)
            assert (seen["busy"], seen["finish"], seen["abort"], seen["engine_rst_n"], seen["dma_start"]) == (1, 0, 0, 1, 0)

    def drains(self, cycles, **inputs):
        """So many cycles in which everything is stopped; returns those with the engine in reset."""
        low = 0
        for _ in range(cycles):
            seen = self.cycle(**inputs)
            assert (seen["busy"], seen["finish"], seen["abort"], seen["dma_start"]) == (1, 0, 1, 0)
            low += not seen["engine_rst_n"]
        return low

    def rests(self, cycles=3):
        for _ in range(cycles):
            seen = self.cycle()
            assert (seen["busy"], seen["finish"], seen["abort"], seen["dma_start"]) == (0, 0, 0, 0)


def load(batch, **inputs):
    """Start a load."""
    batch.cycle(start=1, frames=3)
    batch.model.write("load", 1)
    seen = batch.cycle(**inputs)
    assert seen["dma_start"] and seen["busy"] and not seen["finish"]


def with_network(batch):
    assert not batch.cycle()["loaded"]
    load(batch)
    batch.cycle(network_done=1)
    batch.cycle(network_done=0)
    while not batch.cycle()["finish"]:
        pass
    assert batch.cycle(load=0)["loaded"]
    return batch


@pytest.fixture
def batch(library):
    with Model(library, clock="clk", reset="rst_n", random_reset=4) as model:
        yield with_network(Batch(model))


@pytest.mark.parametrize("frames, cycles", [(1, 1), (3, 20), (2, 100)])
def test_a_batch_ends_with_its_last_record(batch, frames, cycles):
    batch.rests()
    for _ in range(2):  # the second batch counts anew
        batch.start(frames)
        batch.runs(cycles, frames_read=frames, frames_done=frames - 1, read_idle=0)
        batch.runs(1, frames=7, frames_done=frames, read_idle=1)
        seen = batch.cycle()
        assert seen["finish"] and seen["busy"] and seen["finish_error"] == ERR["none"]
        for _ in range(5):
            assert batch.cycle()["cycles"] == cycles + 1  # from the start to the last record, and then it stands still
        batch.rests()


@pytest.mark.parametrize("late", ["read_idle", "network_done"])
def test_a_load_ends_when_all_is_written_and_read(batch, late):
    for _ in range(2):
        load(batch)
        assert not batch.cycle(read_idle=0)["loaded"]
        batch.runs(5)
        if late == "read_idle":
            batch.runs(1, network_done=1)
            batch.runs(4, network_done=0)
        else:
            batch.runs(4, read_idle=1)
            batch.runs(1, network_done=1)
        if late == "read_idle":
            batch.runs(1, read_idle=1)
        else:
            batch.runs(1, network_done=0)
        seen = batch.cycle()
        assert seen["finish"] and seen["finish_error"] == ERR["none"]
        assert batch.cycle()["loaded"]
        batch.rests()


def test_a_failed_load_leaves_no_network(batch):
    for ends, error in (({"network_error": ERR["damaged_network"]}, "damaged_network"), ({"read_bus_error": 1}, "bus_error")):
        load(batch)
        assert not batch.cycle(**ends)["loaded"]
        batch.cycle()
        batch.drains(RESET_CYCLES, **dict.fromkeys(ends, 0))
        while not (seen := batch.cycle())["finish"]:
            assert seen["busy"]
        assert seen["finish_error"] == ERR[error] and not batch.cycle()["loaded"]
        batch.rests()
    load(batch)
    batch.cycle(soft_reset=1)
    while batch.cycle()["busy"]:
        pass
    assert not batch.cycle()["loaded"]


@pytest.mark.parametrize("missing", [{"read_idle": 0}, {"write_idle": 0}, {"frames_done": 1}])
def test_a_bad_mode_ends_a_batch_after_the_frames_before(batch, missing):
    batch.start(5)
    batch.runs(4, frames_read=2)
    complete = {"read_bad_mode": 1, "read_idle": 1, "write_idle": 1, "frames_done": 2}
    batch.runs(10, **{**complete, **missing})
    batch.runs(1, **complete)
    seen = batch.cycle()
    assert seen["finish"] and seen["finish_error"] == ERR["bad_mode_in_list"]
    batch.rests()


@pytest.mark.parametrize("side", ["read", "write"])
@pytest.mark.parametrize("wait", [0, RESET_CYCLES, 50])
@pytest.mark.parametrize("slow", ["read_idle", "write_idle"])
def test_a_bus_error_drains(batch, side, wait, slow):
    """It ends once both sides rest, and the engine was in reset for RESET_CYCLES at least."""
    batch.start(2)
    batch.runs(3, frames_read=1)
    error = batch.cycle(**{f"{side}_bus_error": 1, slow: 0, "frames_read": 2, "frames_done": 2})
    assert not error["finish"] and not error["abort"]  # not even when the last record comes with it
    error = batch.cycle()
    assert not error["finish"] and not error["abort"]
    low = batch.drains(wait) if wait else 0
    batch.model.write(slow, 1)
    while True:
        seen = batch.cycle()
        low += not seen["engine_rst_n"]
        if seen["finish"]:
            break
        assert seen["busy"] and seen["abort"] and low <= max(RESET_CYCLES, wait) + 1
    assert seen["finish_error"] == ERR["bus_error"] and seen["busy"]
    assert low >= max(RESET_CYCLES, wait)
    for _ in range(2):
        after = batch.cycle(**{f"{side}_bus_error": 0})
    assert after["engine_rst_n"]
    batch.rests()


@pytest.mark.parametrize("when", ["idle", "running", "draining"])
def test_a_soft_reset_ends_without_an_end(batch, when):
    if when != "idle":
        batch.start(2)
        batch.runs(3, frames_read=2)
    if when == "draining":
        batch.cycle(write_bus_error=1, write_idle=0)
        batch.cycle()
        batch.drains(5)
    seen = batch.cycle(soft_reset=1, write_idle=0, frames_done=2)
    assert not seen["finish"]
    low = batch.drains(RESET_CYCLES + 20, start=1, frames=1)  # nothing starts meanwhile
    assert low >= RESET_CYCLES
    batch.drains(2, write_idle=1)
    batch.model.write("write_bus_error", 0)
    batch.rests()
    batch.start(1)
    batch.runs(2, frames_read=1)


def test_a_soft_reset_in_the_cycle_after_a_start_ends_the_batch(batch):
    batch.cycle(start=1, frames=1)
    seen = batch.cycle(soft_reset=1)
    assert seen["dma_start"]
    assert batch.drains(RESET_CYCLES) >= RESET_CYCLES - 1
    while batch.cycle()["busy"]:
        pass
    batch.rests()


@pytest.mark.parametrize("running", [False, True])
def test_a_soft_reset_of_an_accelerator_at_rest_resets_the_engine_long_enough(batch, running):
    if running:
        batch.start(2)
        batch.runs(3, frames_read=1)
    batch.cycle(soft_reset=1)
    low = 0
    while (seen := batch.cycle())["busy"]:
        low += not seen["engine_rst_n"]
        assert seen["abort"] and not seen["finish"] and low <= RESET_CYCLES + 1
    low += not seen["engine_rst_n"]
    assert low >= RESET_CYCLES
    batch.rests()
