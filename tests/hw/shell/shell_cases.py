"""cocotb cases of the shell (registers and DMA); test_shell.py builds the bench and runs them.

Every channel of both buses pauses at random, `PAUSE` per cent of the cycles. The loop-back answers each frame with sums
over it, so a lost, doubled or swapped beat shows.
"""

import os
import random

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteMaster, AxiSlave

from flow.engine.interface import load_interface

MODES, CLASSES, IMAGE_BEATS = (int(os.environ[name]) for name in ("MODES", "CLASSES", "IMAGE_BEATS"))
PAUSE = int(os.environ["PAUSE"])
SEED = int(os.environ["BENCH_SEED"])

INTERFACE = load_interface()
REG, ERR = INTERFACE.registers, INTERFACE.errors
IMAGE_BYTES = IMAGE_BEATS * 8
RECORD_BYTES = INTERFACE.record_words(CLASSES) * 4
SIZE = 1 << 18
SOURCE, LIST, DESTINATION = 0x0_0080, 0x2_0180, 0x3_0F80
BUSY, DONE, ERROR, LOADED, IGNORED = 1, 2, 4, 8, 16
START, RESET, ENABLE, LOAD = 1, 2, 4, 8
BLOCK = 128  # bytes


class Memory:
    """A memory of SIZE bytes; beyond it, and at addresses in `faulty`, accesses answer an error."""

    def __init__(self):
        self.data = np.zeros(SIZE, np.uint8)
        self.faulty = set()

    def _check(self, address):
        if address + 8 > SIZE or address & ~7 in self.faulty:
            raise ValueError("faulty address")

    async def read(self, address, length):
        self._check(address)
        return self.data[address : address + length].tobytes()

    async def write(self, address, data):
        self._check(address)
        self.data[address : address + len(data)] = np.frombuffer(bytes(data), np.uint8)


class Bench:
    """Clock, reset, register access, memory; `bursts` counts cycles in which the accelerator asks for one."""

    def __init__(self, dut):
        self.dut = dut
        self.random = random.Random(SEED)
        cocotb.start_soon(Clock(dut.clk, 10, unit="ns").start())
        dut.rst_n.value = 0
        self.host = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi_control"), dut.clk, dut.rst_n, reset_active_level=False)
        self.memory = Memory()
        self.slave = AxiSlave(AxiBus.from_prefix(dut, "m_axi"), dut.clk, dut.rst_n, target=self.memory, reset_active_level=False)
        channels = [
            self.host.write_if.aw_channel,
            self.host.write_if.w_channel,
            self.host.write_if.b_channel,
            self.host.read_if.ar_channel,
            self.host.read_if.r_channel,
            self.slave.write_if.aw_channel,
            self.slave.write_if.w_channel,
            self.slave.write_if.b_channel,
            self.slave.read_if.ar_channel,
            self.slave.read_if.r_channel,
        ]
        if PAUSE:
            for index, channel in enumerate(channels):
                channel.set_pause_generator(self._pauses(SEED * 16 + index))
        self.bursts = 0
        cocotb.start_soon(self._count())

    @staticmethod
    def _pauses(seed):
        source = random.Random(seed)
        while True:
            yield source.randrange(100) < PAUSE

    async def _count(self):
        while True:
            await RisingEdge(self.dut.clk)
            for channel in ("ar", "aw"):
                self.bursts += int(self.dut.rst_n.value) and int(getattr(self.dut, f"m_axi_{channel}valid").value)

    async def reset(self):
        await ClockCycles(self.dut.clk, 5)
        self.dut.rst_n.value = 1
        await ClockCycles(self.dut.clk, 3)

    async def read(self, name):
        """A register; the status without the flag of a network, which `loaded` tells."""
        value = await self.host.read_dword(REG[name])
        return value & ~LOADED if name == "status" else value

    async def loaded(self):
        return bool(await self.host.read_dword(REG["status"]) & LOADED)

    async def load(self, blocks, error=0, control=LOAD):
        """Start the load of a random image that the loop-back ends with an error code, or well; returns the sum it must give."""
        words = np.random.default_rng(blocks).integers(0, 256, blocks * BLOCK, dtype=np.uint8).view("<u4").reshape(-1, 2)
        words[0] = error, 0
        self.memory.data[SOURCE : SOURCE + words.nbytes] = words.view(np.uint8).reshape(-1)
        for name, value in (("source", SOURCE), ("frames", blocks), ("control", control)):
            await self.write(name, value)
        return (len(words) + int(words[:, 1].astype(np.uint64).sum())) & 0xFFFFFFFF

    async def write(self, name, value):
        await self.host.write_dword(REG[name], value)

    def fill(self, frames):
        """Random images; returns them as uint32 [frames, words]."""
        images = np.random.default_rng(self.random.randrange(1 << 30)).integers(0, 256, frames * IMAGE_BYTES, dtype=np.uint8)
        self.memory.data[SOURCE : SOURCE + len(images)] = images
        return images.view("<u4").reshape(frames, -1)

    async def start(self, frames, modes, control=START):
        """Set up and start a batch; `modes` is one mode or a list."""
        listed = isinstance(modes, list)
        if listed:
            self.memory.data[LIST : LIST + len(modes)] = modes
        self.memory.data[DESTINATION:] = 0xEE
        for name, value in (
            ("source", SOURCE),
            ("destination", DESTINATION),
            ("frames", frames),
            ("mode", 0 if listed else modes),
            ("mode_list", LIST if listed else 0),
            ("control", control),
        ):
            await self.write(name, value)

    async def end(self):
        """Wait for the end; returns the status."""
        for _ in range(5000):
            status = await self.read("status")
            if not status & BUSY:
                return status
        raise AssertionError("the batch does not end")

    def check_records(self, images, modes, first=0):
        """Every image has its record, and nothing lies behind the last one."""
        count = len(images)
        got = self.memory.data[DESTINATION : DESTINATION + count * RECORD_BYTES].view("<u4").reshape(count, RECORD_BYTES // 4)
        for frame, (image, mode) in enumerate(zip(images, modes, strict=True)):
            words = image.astype(np.uint64)
            weighted = (words * np.arange(1, len(words) + 1, dtype=np.uint64)).sum()
            expected = np.zeros(RECORD_BYTES // 4, np.uint64)
            expected[[0, 1, 5, 8, 9, 10]] = [
                first + frame,
                mode,
                7 * (mode + 1),
                words.sum(),
                np.bitwise_xor.reduce(words),
                weighted,
            ]
            assert (got[frame] == (expected & np.uint64(0xFFFFFFFF))).all(), f"record {frame}: {got[frame]} for {expected}"
        behind = self.memory.data[DESTINATION + count * RECORD_BYTES :]
        assert (behind == 0xEE).all(), "written behind the last record"

    async def batch(self, frames, modes, first=0):
        """A whole batch that must succeed."""
        images = self.fill(frames)
        await self.start(frames, modes)
        status = await self.end()
        assert status == DONE, f"status {status:#x}"
        listed = modes if isinstance(modes, list) else [modes] * frames
        self.check_records(images, listed, first)
        assert await self.read("frames_done") == frames
        assert await self.read("tiles") == sum(7 * (mode + 1) for mode in listed)
        assert await self.read("cycles") >= frames * IMAGE_BEATS

    def random_modes(self, count):
        return [self.random.randrange(MODES) for _ in range(count)]


async def ready(dut, network=True):
    bench = Bench(dut)
    await bench.reset()
    if network:
        await bench.load(1)
        assert await bench.end() == DONE
        await bench.write("irq", 1)
        bench.bursts = 0
    return bench


@cocotb.test()
async def networks_are_loaded_before_frames_run(dut):
    bench = await ready(dut, network=False)
    bench.fill(1)
    await bench.start(1, 0)
    assert await bench.end() == ERROR | ERR["no_network"] << 8 and not await bench.loaded() and bench.bursts == 0
    for blocks in (1, 2, 3, 40, 1):
        expected = await bench.load(blocks)
        assert await bench.end() == DONE and await bench.loaded()
        assert int(dut.network_sum.value) == expected
        assert await bench.read("cycles") >= 16 * blocks and await bench.read("frames_done") == 0
        await bench.batch(2, bench.random_modes(2))
        await bench.write("control", RESET)
        assert await bench.end() == 0 and await bench.loaded()  # its memories are as they were


@cocotb.test()
async def broken_loads_leave_no_network(dut):
    bench = await ready(dut)
    for name in ("other_engine", "bad_network", "damaged_network"):
        await bench.load(20, ERR[name])
        assert await bench.end() == ERROR | ERR[name] << 8 and not await bench.loaded()
        await bench.start(1, 0)
        assert await bench.end() == ERROR | ERR["no_network"] << 8
        await bench.load(2)
        assert await bench.end() == DONE
        await bench.batch(1, 0)
    for place in (0, BLOCK * 19 + 120, 8 * bench.random.randrange(20 * BLOCK // 8)):
        bench.memory.faulty = {SOURCE + place}
        await bench.load(20)
        assert await bench.end() == ERROR | ERR["bus_error"] << 8 and not await bench.loaded()
        bench.memory.faulty = set()
        expected = await bench.load(2)
        assert await bench.end() == DONE and int(dut.network_sum.value) == expected
        await bench.batch(1, 0)
    await bench.load(40)
    await ClockCycles(dut.clk, bench.random.randrange(60))
    await bench.write("control", RESET)
    assert await bench.end() == 0 and not await bench.loaded()
    await bench.load(1)
    assert await bench.end() == DONE
    await bench.batch(1, 0)


@cocotb.test()
async def bad_loads_start_nothing(dut):
    bench = await ready(dut)
    for changes, error in (({"frames": 0}, "zero_frames"), ({"source": SOURCE | 64}, "misaligned_address")):
        for name, value in {"source": SOURCE, "frames": 1, "destination": 1, "mode": MODES, "mode_list": 0, **changes}.items():
            await bench.write(name, value)
        await bench.write("control", LOAD)
        assert await bench.end() == ERROR | ERR[error] << 8 and await bench.loaded() and bench.bursts == 0
    bench.fill(3)
    await bench.start(3, 0)
    await bench.load(1)  # while frames run: ignored, and said so
    status = await bench.read("status")
    assert status == BUSY | IGNORED
    assert await bench.end() == DONE | IGNORED and await bench.read("frames_done") == 3
    await bench.write("irq", 1)
    assert await bench.read("status") == 0


@cocotb.test()
async def registers_hold_what_is_written(dut):
    bench = await ready(dut)
    assert await bench.read("id") == INTERFACE.id
    assert await bench.read("version") == INTERFACE.version
    assert await bench.read("engine_hash") == 0x1234ABCD
    assert await bench.read("config") == MODES | CLASSES << 8 | (RECORD_BYTES // 4) << 16
    for name in ("source", "destination", "frames", "mode", "mode_list", "gate_threshold", "layer_threshold"):
        value = bench.random.randrange(1 << 32)
        await bench.write(name, value)
        assert await bench.read(name) == value
        lane = bench.random.randrange(4)
        response = await bench.host.write(REG[name] + lane, b"\x5a")  # one byte strobe
        assert int(response.resp) == 0
        value = value & ~(0xFF << 8 * lane) | 0x5A << 8 * lane
        assert await bench.read(name) == value
    for name in ("id", "version", "config", "status", "cycles"):
        before = await bench.read(name)
        await bench.write(name, 0xFFFFFFFF)
        assert await bench.read(name) == before
    await bench.write("forced", 0x701)
    for number in range(3):
        word = bench.random.randrange(1 << 32)
        await bench.write("forced_word", word)
        assert await bench.read("forced_word") == word
        assert await bench.read("forced") == (8 + number) << 8 | 1
    await bench.write("forced", 0)
    await bench.write("exits", 0x90301)
    for number in range(3):
        limit, margin = (bench.random.randrange(1 << 32) for _ in range(2))
        await bench.write("exit_limit", limit)
        assert await bench.read("exits") == 0x90000 | (3 + number) << 8 | 1
        await bench.write("exit_margin", margin)
        assert (await bench.read("exit_limit"), await bench.read("exit_margin")) == (limit, margin)
        assert await bench.read("exits") == 0x90000 | (4 + number) << 8 | 1
    await bench.write("exits", 0)
    unknown = [offset for offset in (0x1C, 0x34, 0x4C, 0x7FC, 0xFFC) if offset not in REG.values()]
    for offset in unknown:
        assert int((await bench.host.write(offset, b"\xff\xff\xff\xff")).resp) == 0
        answer = await bench.host.read(offset, 4)
        assert int(answer.resp) == 0 and answer.data == bytes(4)
    await bench.write("control", ENABLE)
    assert await bench.read("control") == ENABLE
    assert await bench.read("status") == 0 and bench.bursts == 0


@cocotb.test()
async def reads_and_writes_overlap(dut):
    bench = await ready(dut)
    values = [bench.random.randrange(1 << 32) for _ in range(20)]
    operations = [bench.host.init_write(REG["source"], value.to_bytes(4, "little")) for value in values]
    reads = [bench.host.init_read(REG["id"], 4) for _ in values]
    for operation in operations:
        await operation.wait()
    answers = []
    for operation in reads:
        await operation.wait()
        answers.append(operation.data)
    assert all(answer.data == INTERFACE.id.to_bytes(4, "little") for answer in answers)
    assert await bench.read("source") == values[-1]


@cocotb.test()
async def bad_values_start_nothing(dut):
    bench = await ready(dut)
    good = {"source": SOURCE, "destination": DESTINATION, "frames": 1, "mode": MODES - 1, "mode_list": 0}
    cases = [({"frames": 0}, "zero_frames"), ({"mode": MODES}, "bad_mode"), ({"mode": 1 << 8}, "bad_mode")]
    cases += [({name: good[name] | 8}, "misaligned_address") for name in ("source", "destination")]
    cases += [({"mode_list": LIST | 64}, "misaligned_address")]
    for changes, error in cases:
        for name, value in {**good, **changes}.items():
            await bench.write(name, value)
        await bench.write("control", START | ENABLE)
        assert await bench.read("status") == ERROR | ERR[error] << 8, error
        assert await bench.read("irq") == 1 and int(dut.irq.value) == 1
        await bench.write("irq", 1)
        assert await bench.read("status") == 0 and await bench.read("irq") == 0 and int(dut.irq.value) == 0
    assert bench.bursts == 0
    await bench.batch(1, MODES - 1)


@cocotb.test()
async def one_mode_for_all_frames(dut):
    bench = await ready(dut)
    await bench.batch(5, 1)
    await bench.batch(1, 0, first=5)


@cocotb.test()
async def a_mode_for_each_frame(dut):
    bench = await ready(dut)
    await bench.batch(19, bench.random_modes(19))
    await bench.batch(8, bench.random_modes(8), first=19)
    await bench.batch(1, bench.random_modes(1), first=27)


@cocotb.test()
async def interrupt_only_when_enabled(dut):
    bench = await ready(dut)
    await bench.batch(1, 0)
    assert await bench.read("irq") == 1 and int(dut.irq.value) == 0
    bench.fill(2)
    await bench.start(2, 0, START | ENABLE)
    while not int(dut.irq.value):
        await RisingEdge(dut.clk)
    assert await bench.read("status") == DONE
    await bench.write("irq", 0)
    assert int(dut.irq.value) == 1
    await bench.write("irq", 1)
    assert int(dut.irq.value) == 0 and await bench.read("status") == 0


@cocotb.test()
async def settings_may_change_while_busy(dut):
    bench = await ready(dut)
    modes = bench.random_modes(11)
    images = bench.fill(11)
    await bench.start(11, modes)
    for name in ("source", "destination", "frames", "mode", "mode_list"):
        await bench.write(name, 0xFFFFFFFF)
    await bench.write("control", START)
    assert await bench.read("status") == BUSY | IGNORED
    assert await bench.end() == DONE | IGNORED
    bench.check_records(images, modes)


@cocotb.test()
async def bad_mode_in_list_keeps_the_frames_before(dut):
    bench = await ready(dut)
    first = 0
    for bad in (0, 3, 8):
        modes = bench.random_modes(12)
        modes[bad] = MODES
        images = bench.fill(12)
        await bench.start(12, modes)
        assert await bench.end() == ERROR | ERR["bad_mode_in_list"] << 8
        bench.check_records(images[:bad], modes[:bad], first)
        assert await bench.read("frames_done") == bad
        first += bad
    await bench.batch(3, 1, first=first)


@cocotb.test()
async def bus_errors_stop_the_batch(dut):
    bench = await ready(dut)
    places = {
        "image": SOURCE + 2 * IMAGE_BYTES + 8 * bench.random.randrange(IMAGE_BEATS),
        "first beat": SOURCE,
        "list": LIST + 8,
        "record": DESTINATION + RECORD_BYTES + 8 * bench.random.randrange(RECORD_BYTES // 8),
    }
    for place, address in places.items():
        bench.memory.faulty = {address}
        modes = bench.random_modes(9)
        bench.fill(9)
        await bench.start(9, modes)
        assert await bench.end() == ERROR | ERR["bus_error"] << 8, place
        assert await bench.read("frames_done") <= {"image": 2, "first beat": 0, "list": 8, "record": 1}[place]
        bench.memory.faulty = set()
        await bench.batch(2, bench.random_modes(2))  # the engine was reset, so frames count from 0


@cocotb.test()
async def soft_reset_at_any_time(dut):
    bench = await ready(dut)
    await bench.write("control", RESET)
    assert await bench.end() == 0
    for _ in range(6):
        bench.fill(9)
        await bench.start(9, bench.random_modes(9), START | ENABLE)
        await ClockCycles(dut.clk, bench.random.randrange(4 * IMAGE_BEATS))
        await bench.write("control", RESET | START)
        assert await bench.end() == 0
        assert await bench.read("irq") == 0 and int(dut.irq.value) == 0
        quiet = bench.bursts
        await ClockCycles(dut.clk, 100)
        assert bench.bursts == quiet
        await bench.batch(2, bench.random_modes(2))
