"""The simulated device under real pynq: registers, memory and failures behave as on a board."""

import pytest

PREPARE = """
import sys, warnings
warnings.simplefilter("ignore")
import numpy as np, pynq
import board.simulated
from board.deploy import open_deploy
from board.driver import Accelerator
from board.errors import BoardError
deploy = open_deploy(sys.argv[1])
accelerator = Accelerator(deploy, deploy.bitstream(simulated=True))
device = pynq.Device.active_device
registers = accelerator._overlay.gatefold_0
offset = {name: int(entry["offset"], 16) for name, entry in deploy.interface["registers"].items()}
images = np.zeros((2, 32, 32, 3), np.uint8)
modes = deploy.mode_sequence("1/16", 2)
LOADED = 8  # of the status
"""


@pytest.fixture
def check(build, board):
    """A function that runs Python lines after PREPARE and asserts that they end well."""

    def call(lines):
        done = board("-c", PREPARE + lines, build)
        assert done.returncode == 0, done.stderr

    return call


def test_overlay_mmio_and_clock(check):
    check("""
base = accelerator._overlay.ip_dict["gatefold_0"]["phys_addr"]
assert pynq.MMIO(base, 0x100).read(offset["id"]) == 0x47415445
assert int(registers.register_map.version) == deploy.interface["version"]
assert abs(pynq.Clocks.fclk0_mhz - deploy.clock_mhz) < 0.01
assert accelerator._overlay.is_loaded()
""")


def test_buffers_do_not_overlap_and_are_used_again(check):
    check("""
buffers = [pynq.allocate((n,), np.uint8) for n in (1, 5000, 64)]
spans = sorted((b.device_address, b.device_address + b.nbytes) for b in buffers)
assert all(end <= begin for (_, end), (begin, _) in zip(spans, spans[1:]))
assert all(b.device_address % 4096 == 0 for b in buffers)
first = buffers[0].device_address
del buffers
assert pynq.allocate((1,), np.uint8).device_address == first
""")


def test_without_flush_the_accelerator_sees_old_bytes(check):
    check("""
buffer = pynq.allocate((4,), np.uint8)
buffer[:] = 7
assert not buffer.bo.bytes[:4].any()
buffer.flush()
assert (buffer.bo.bytes[:4] == 7).all()
buffer.bo.bytes[:4] = 9
assert (buffer == 7).all()
buffer.invalidate()
assert (buffer == 9).all()
""")


def test_memory_that_never_answers_ends_in_a_time_out(check):
    check("""
device.accelerator.hang()
try:
    accelerator.run(images, modes, timeout=0.5)
    raise SystemExit("no error")
except BoardError as error:
    assert "after 0 of 2 frames" in str(error) and "--timeout" in str(error), error
""")


def test_the_batch_after_a_time_out_is_its_own(check):
    """The memory wakes only when the next batch is run."""
    check("""
images[1] = 255
right = accelerator.run(images, modes)
device.accelerator.hang()
try:
    accelerator.run(np.zeros((4, 32, 32, 3), np.uint8), modes * 2, timeout=0.1)
    raise SystemExit("no error")
except BoardError as error:
    assert "gave no result" in str(error), error
device.accelerator.hang(False)
again = accelerator.run(images, modes)
assert (again.logits == right.logits).all() and (again.frame_cycles == right.frame_cycles).all()
""")


def test_a_time_out_ends_the_batch(check):
    """By a reset: once the memory wakes the accelerator comes to rest and computes none of the frames that are left."""
    check("""
device.accelerator.hang()
try:
    accelerator.run(images, modes, timeout=0.1)
except BoardError:
    pass
assert registers.read(offset["status"]) == LOADED | 1
device.accelerator.hang(False)
for _ in range(20):
    status = registers.read(offset["status"])
assert (status, registers.read(offset["frames_done"])) == (LOADED, 0), status
""")


def test_nothing_starts_on_a_busy_accelerator_and_its_buffers_live(check):
    """Neither by the same object nor by a new one, and no new buffer lies where the DMA may still write."""
    check("""
import gc
device.accelerator.hang()
def refuse(action, saying):
    try:
        action()
        raise SystemExit("no error")
    except BoardError as error:
        assert saying in str(error), error
refuse(lambda: accelerator.run(images, modes, timeout=0.1), "gave no result")
refuse(lambda: accelerator.run(images, modes, timeout=0.1), "still busy with a batch that was given up")
refuse(lambda: Accelerator(deploy, deploy.bitstream(simulated=True)), "still busy with a batch that was given up")
begin = {registers.read(offset[name]) for name in ("source", "mode_list", "destination")}
del accelerator
gc.collect()
fresh = [pynq.allocate((4096,), np.uint8) for _ in range(8)]
assert len(begin) == 3 and not begin & {buffer.device_address for buffer in fresh}
device.accelerator.hang(False)
accelerator = Accelerator(deploy, deploy.bitstream(simulated=True))
assert begin & {pynq.allocate((1,), np.uint8).device_address}
assert len(accelerator.run(images, modes).predictions) == 2
""")


def test_an_accelerator_that_another_program_keeps_busy_is_left_alone(check):
    check("""
right = accelerator.run(images, modes)
buffer = pynq.allocate((3072 * 64,), np.uint8)
records = pynq.allocate((64, 32), np.uint32)
for name, value in (("source", buffer.device_address), ("destination", records.device_address), ("mode_list", 0), ("mode", 0), ("frames", 64), ("control", 1)):
    registers.write(offset[name], value)
try:
    accelerator.run(images, modes)
    raise SystemExit("no error")
except BoardError as error:
    assert "busy with a batch of another program" in str(error), error
while registers.read(offset["status"]) & 1:
    pass
assert registers.read(offset["frames_done"]) == 64
assert (accelerator.run(images, modes).logits == right.logits).all()
""")


def test_batches_in_turn(check):
    """Each is made ready while the one before it runs, in the buffers of two, and gives what it gives alone."""
    check("""
from board.driver import Order
pictures = np.random.default_rng(3).integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)
sizes = [8, 8, 8, 8, 5, 3]
names = ["full", "1/16", "1/4", "1/2", "1/8"]
busy, told, addresses = [], [], set()
def batches():
    at = 0
    for size in sizes:
        yield pictures[at : at + size]
        at += size
def orders(frames):
    addresses.add(registers.read(offset["source"]))
    told.append(frames)
    return Order(deploy.mode_sequence(names[len(told) % 5], frames))
prepare = accelerator._prepare
def prepared(pixels, slot):
    busy.append(registers.read(offset["status"]) & 1)
    return prepare(pixels, slot)
accelerator._prepare = prepared
memories = lambda: len(device._memories)
before, found = memories(), []
for batch in accelerator.stream(batches(), orders):
    found.append(batch)
    assert memories() <= before + 6
accelerator._prepare = prepare
assert busy == [0, 1, 1, 1, 1, 1] and told == sizes and len(addresses - {0}) == 2
at = 0
for number, (batch, size) in enumerate(zip(found, sizes)):
    alone = accelerator.run(pictures[at : at + size], deploy.mode_sequence(names[(number + 1) % 5], size))
    assert (batch.logits == alone.logits).all() and (batch.frame_cycles == alone.frame_cycles).all()
    at += size
""")


def test_a_stream_that_ends_early(check):
    """By its reader, by its source, by an order that does not fit, and by memory that does not answer: the next batch is its own."""
    check("""
from board.driver import Order
right = accelerator.run(images, modes)
full = deploy.mode_sequence("full", 40)
images, few = np.zeros((40, 32, 32, 3), np.uint8), images
order = lambda frames: Order(full)  # long enough to be under way when the stream ends
def good():
    batch = accelerator.run(few, modes)
    assert (batch.logits == right.logits).all() and (batch.frame_cycles == right.frame_cycles).all()
stream = accelerator.stream([images] * 5, order)
next(stream)
assert registers.read(offset["status"]) & 1
stream.close()
good()
def broken():
    yield images
    raise ValueError("no more")
for batches, orders, problem in (
    (broken(), order, ValueError),
    ([images, images[:1]], order, BoardError),
    ([images, images[..., :2]], order, BoardError),
    ([images, images], iter([Order(full), Order([])]).__next__, BoardError),
):
    call = orders if orders is order else lambda frames: orders()
    try:
        list(accelerator.stream(batches, call))
        raise SystemExit("no error")
    except problem:
        good()
stream = accelerator.stream([images] * 5, order, timeout=0.1)
next(stream)
device.accelerator.hang()
try:
    list(stream)
    raise SystemExit("no error")
except BoardError as error:
    assert "gave no result" in str(error), error
device.accelerator.hang(False)
good()
assert list(accelerator.stream([], order)) == []
""")


def test_an_interrupt_ends_the_batch(check):
    check("""
from board import driver
right = accelerator.run(images, modes)
naps = []
def interrupted(seconds):
    naps.append(seconds)
    if len(naps) == 2:
        raise KeyboardInterrupt
sleep, driver.time.sleep = driver.time.sleep, interrupted
try:
    accelerator.run(np.zeros((64, 32, 32, 3), np.uint8), modes * 32)
    raise SystemExit("no interrupt")
except KeyboardInterrupt:
    pass
driver.time.sleep = sleep
assert registers.read(offset["status"]) == LOADED and registers.read(offset["frames_done"]) < 64 and not driver._given_up
assert (accelerator.run(images, modes).logits == right.logits).all()
""")


def test_an_end_without_all_records_is_no_result(check):
    """Status and records of an earlier batch pass for those of this one where its start was not seen."""
    check("""
import types
accelerator.run(images, modes)
real = accelerator._registers
def refuse(write, saying):
    accelerator._registers = types.SimpleNamespace(read=real.read, write=write)
    try:
        accelerator.run(images, modes)
        raise SystemExit("no error")
    except BoardError as error:
        assert saying in str(error), error
    accelerator._registers = real
started = lambda value: value == 1
refuse(lambda at, value: real.write(at, 0 if at == offset["control"] and started(value) else value), "stopped after 2 of 2 frames")
refuse(lambda at, value: real.write(at, 1 if at == offset["frames"] else value), "stopped after 1 of 2 frames")
refuse(lambda at, value: real.write(at, 0 if at == offset["mode_list"] else value), "is that of another frame, mode")
""")


def test_a_process_that_gives_up_ends_well(check):
    check("""
device.accelerator.hang()
try:
    accelerator.run(images, modes, timeout=0.1)
except BoardError as error:
    assert "gave no result" in str(error), error
""")


def test_addresses_without_memory_are_a_bus_error(check):
    check("""
for name, value in (("source", 0x3000_0000), ("destination", 0x3100_0000), ("mode_list", 0), ("mode", 0), ("frames", 1), ("control", 1)):
    registers.write(offset[name], value)
status = registers.read(offset["status"])
assert status & 4 and status >> 8 & 255 == deploy.interface["errors"]["bus_error"], hex(status)
""")


def test_a_refused_batch_names_the_error(check):
    check("""
import dataclasses
wrong = [dataclasses.replace(mode, index=200) for mode in modes]
try:
    accelerator.run(images, wrong)
    raise SystemExit("no error")
except BoardError as error:
    assert "bad_mode" in str(error), error
assert len(accelerator.run(images, modes).predictions) == 2
""")


def test_waiting_buses_change_no_result(check):
    check("""
calm = accelerator.run(images, modes)
device.accelerator.stall(seed=3, percent=40)
slow = accelerator.run(images, modes)
assert (calm.logits == slow.logits).all() and slow.cycles > calm.cycles
""")


def test_a_second_overlay_replaces_the_first(check):
    check("""
again = Accelerator(deploy, deploy.bitstream(simulated=True))
assert (again.run(images, modes).logits == again.run(images, modes).logits).all()
""")


def test_address_outside_the_map(check):
    check("""
try:
    pynq.MMIO(0x5000_0000, 16).read(0)
    raise SystemExit("no error")
except BoardError as error:
    assert "0x50000000" in str(error), error
""")


def test_a_broken_contract_of_the_hardware_is_told(check):
    check("""
import zlib
network = np.fromfile(deploy.folder / "network.bin", "<u8")
memory_of = deploy.interface["network"]["memories"].index
(at, *_) = np.flatnonzero(network & 0xFFFF_FFFF == memory_of("program")) + 1  # the first word of the section at the program's begin
widths = [(name, width) for name, width in deploy.interface["descriptor"]]
low = {name: sum(width for _, width in widths[:place]) for place, (name, _) in enumerate(widths)}
first = sum(int(network[at + part]) << 64 * part for part in range(3))
source = first >> low["src_base"] & 255  # the image: the first layer's result goes over it
first = first & ~(255 << low["dst_base"]) | 1 << low["dst"] | source << low["dst_base"]
network[at : at + 3] = [first >> 64 * part & (1 << 64) - 1 for part in range(3)]
network[2] = int(network[2]) & 0xFFFFFFFF | zlib.crc32(network[16:].tobytes()) << 32
hardware = board.simulated.VerilatedAccelerator(deploy.folder / "accelerator.so")
memory = np.zeros(1 << 20, np.uint8)
memory[: network.nbytes] = network.view(np.uint8)
hardware.map_memory(memory.ctypes.data, 0x1000_0000, memory.nbytes)
for frames, control in ((network.nbytes // 128, 8), (1, 1)):
    for name, value in (("source", 0x1000_0000), ("destination", 0x1000_8000), ("frames", frames), ("control", control)):
        hardware.write(offset[name], value)
    hardware.advance(100_000)
try:
    hardware.read(offset["status"])
    raise SystemExit("no error")
except BoardError as error:
    assert "layer 0 of mode 0 writes into a map that is still to be read" in str(error), error
""")
