"""The register file by itself: what starts a batch and what is refused, and how a batch's end is told."""

import pytest

from flow.engine.interface import load_interface
from flow.engine.sources import accelerator_sources
from flow.simulation.compile import compile_model
from flow.simulation.library import Model

MODES, CLASSES, RECORD_WORDS, HASH = 3, 10, 32, 0xCAFE0123
REG, ERR = load_interface().registers, load_interface().errors
START, RESET, ENABLE, LOAD = 1, 2, 4, 8
BUSY, DONE, ERROR, LOADED, IGNORED = 1, 2, 4, 8, 16
GOOD = {"source": 0x1000, "destination": 0x2000, "frames": 1, "mode": 0, "mode_list": 0}


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    parameters = {"CLASSES": CLASSES, "RECORD_WORDS": RECORD_WORDS, "ENGINE_HASH": HASH}
    return compile_model("registers", accelerator_sources(tmp_path_factory.mktemp("registers")), parameters=parameters)


class Registers:
    """The module, and what it says in the cycle after the last write, in which it is done: `started`, `reset`."""

    def __init__(self, model):
        self.model = model
        model.write("loaded", 1)
        model.write("modes", MODES)
        model.reset()

    def write(self, name, value, strobe=15, **inputs):
        for port, state in {"write": 1, "write_address": REG[name], "write_data": value, "write_strobe": strobe}.items():
            self.model.write(port, state)
        self.model.cycles(1)
        for port, state in {"write": 0, **inputs}.items():
            self.model.write(port, state)
        self.model.run(0)
        self.started, self.reset = self.model.read("start"), self.model.read("soft_reset")
        self.model.cycles(1)
        for port in inputs:
            if port != "busy":
                self.model.write(port, 0)

    def read(self, name):
        self.model.write("read_address", REG[name])
        self.model.cycles(2)
        value = self.model.read("read_data")
        return value & ~LOADED if name == "status" else value

    def finish(self, error=0):
        self.model.write("finish", 1)
        self.model.write("finish_error", error)
        self.model.cycles(1)
        self.model.write("finish", 0)

    def start(self, control=START, **settings):
        """Start a batch; returns whether it starts and the error code of the status."""
        for name, value in {**GOOD, **settings}.items():
            self.write(name, value)
        self.write("control", control)
        status = self.read("status")
        assert bool(status & ERROR) == bool(status >> 8 & 255) and not status & DONE
        return self.started, status >> 8 & 255


@pytest.fixture
def registers(library):
    with Model(library, clock="clk", reset="rst_n") as model:
        yield Registers(model)


@pytest.mark.parametrize("name", ["source", "destination", "mode_list"])
@pytest.mark.parametrize("bit", range(32))
def test_addresses_are_multiples_of_128(registers, name, bit):
    fine = bit >= 7
    assert registers.start(**{name: 1 << bit}) == (fine, ERR["none"] if fine else ERR["misaligned_address"])
    assert registers.read("irq") == (not fine)


@pytest.mark.parametrize(
    "settings, error",
    [
        ({"frames": 0}, "zero_frames"),
        ({"frames": 1}, "none"),
        ({"frames": 1 << 31}, "none"),
        ({"mode": MODES - 1}, "none"),
        ({"mode": MODES}, "bad_mode"),
        ({"mode": 255}, "bad_mode"),
        ({"mode": 256}, "bad_mode"),
        ({"mode": 1 << 31}, "bad_mode"),
        ({"mode": MODES, "mode_list": 128}, "none"),  # the list counts
        ({"frames": 0, "mode": MODES, "source": 1}, "zero_frames"),
        ({"mode": MODES, "destination": 1}, "bad_mode"),
    ],
)
def test_what_is_refused(registers, settings, error):
    assert registers.start(**settings) == (error == "none", ERR[error])
    assert registers.model.read("frames") == settings.get("frames", 1)


def test_a_start_while_busy_is_ignored(registers):
    registers.write("control", START, busy=1)
    assert not registers.started and registers.read("status") == BUSY | IGNORED and registers.read("irq") == 0
    for name, value in {**GOOD, "frames": 0}.items():
        registers.write(name, value)
    registers.write("control", START)
    assert not registers.started and registers.read("status") == BUSY | IGNORED  # not even refused


@pytest.mark.parametrize("clearing", [("control", START), ("control", RESET), ("irq", 1)])
@pytest.mark.parametrize("control", [START, LOAD])
def test_what_was_ignored_is_told_until_it_is_cleared(registers, clearing, control):
    registers.write("control", control, busy=1)
    registers.write("control", ENABLE)
    assert registers.read("status") == BUSY | IGNORED
    registers.model.write("busy", 0)
    registers.write(*clearing)
    assert not registers.read("status") & IGNORED


def test_frames_need_a_network(registers):
    registers.model.write("loaded", 0)
    assert registers.start() == (0, ERR["no_network"])
    assert registers.start(mode=MODES, frames=0) == (0, ERR["zero_frames"])
    registers.model.write("loaded", 1)
    assert registers.start() == (1, ERR["none"])


@pytest.mark.parametrize("settings, error", [({"frames": 0}, "zero_frames"), ({"source": 64}, "misaligned_address"), ({"frames": 3}, "none"),
                                             ({"destination": 1, "mode": MODES, "mode_list": 7}, "none")])  # fmt: skip
@pytest.mark.parametrize("loaded", [0, 1])
def test_what_is_refused_of_loads(registers, settings, error, loaded):
    registers.model.write("loaded", loaded)
    assert registers.start(LOAD, **settings) == (error == "none", ERR[error])
    registers.write("frames", 1)
    assert registers.model.read("load") == (error == "none")
    registers.model.write("loaded", 1)
    assert registers.start() == (1, 0) and not registers.model.read("load")


@pytest.mark.parametrize("code", [ERR["none"], ERR["bus_error"], ERR["bad_mode_in_list"]])
@pytest.mark.parametrize("enabled", [0, ENABLE])
def test_the_end_of_a_batch(registers, code, enabled):
    assert registers.start(START | enabled) == (1, 0)
    assert registers.read("control") == enabled and registers.model.read("irq") == 0
    registers.finish(code)
    status = ERROR | code << 8 if code else DONE
    assert registers.read("status") == status
    assert registers.read("irq") == 1 and registers.model.read("irq") == bool(enabled)
    registers.write("irq", 0)
    registers.write("irq", 1, strobe=14)
    registers.write("irq", 0xFFFFFFFE)
    assert registers.read("status") == status and registers.read("irq") == 1
    registers.write("irq", 1)
    assert registers.read("status") == 0 and registers.read("irq") == 0 and registers.model.read("irq") == 0


@pytest.mark.parametrize("clearing", [("control", START), ("control", RESET), ("irq", 1)])
def test_what_clears_an_end(registers, clearing):
    registers.start()
    registers.finish(ERR["bus_error"])
    registers.write(*clearing)
    assert registers.read("status") == 0 and registers.read("irq") == 0


def test_a_start_that_enables_the_interrupt_tells_no_earlier_end(registers):
    registers.start()
    registers.finish()
    registers.model.write("write_address", REG["control"])
    registers.model.write("write_data", START | ENABLE)
    registers.model.write("write", 1)
    for _ in range(5):
        registers.model.cycles(1)
        registers.model.write("write", 0)
        assert registers.model.read("irq") == 0
    assert registers.read("control") == ENABLE


@pytest.mark.parametrize("code", [ERR["none"], ERR["bus_error"]])
def test_an_end_in_the_cycle_of_a_clear_is_not_lost(registers, code):
    registers.start()
    registers.write("irq", 1, finish=1, finish_error=code)
    assert registers.read("irq") == 1 and registers.read("status") == (ERROR | code << 8 if code else DONE)


def test_soft_reset_is_stronger_than_start_and_end(registers):
    registers.start()
    registers.write("control", RESET | START | ENABLE, finish=1)
    assert registers.reset and not registers.started
    assert registers.read("status") == 0 and registers.read("irq") == 0
    assert [registers.read(name) for name in GOOD] == list(GOOD.values())
    registers.write("control", RESET | START, strobe=14)
    assert not registers.reset and not registers.started and registers.read("control") == ENABLE


def test_byte_strobes(registers):
    for name in GOOD:
        registers.write(name, 0x11223344)
        for lane in range(4):
            registers.write(name, 0xAABBCCDD, strobe=1 << lane)
            mask = (1 << 8 * (lane + 1)) - 1
            assert registers.read(name) == (0xAABBCCDD & mask | 0x11223344 & ~mask)
        assert [registers.read(other) for other in GOOD if other != name].count(0xAABBCCDD) == list(GOOD).index(name)


def test_counters_and_constants(registers):
    for value, name in enumerate(("frames_done", "cycles", "tiles"), 0x80000001):
        registers.model.write(name, value)
        assert registers.read(name) == value
    assert registers.read("engine_hash") == HASH
    assert registers.read("config") == MODES | CLASSES << 8 | RECORD_WORDS << 16
    registers.model.write("loaded", 0)
    assert registers.read("config") == CLASSES << 8 | RECORD_WORDS << 16
    assert registers.read("id") == load_interface().id and registers.read("version") == load_interface().version
