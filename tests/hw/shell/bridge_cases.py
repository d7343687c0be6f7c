"""cocotb cases of the AXI3 to AXI4-Lite bridge; test_shell.py builds the bench and runs them."""

import os
import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles
from cocotbext.axi import AxiBurstType, AxiBus, AxiLiteBus, AxiLiteSlave, AxiMaster, AxiResp

PAUSE, SEED = int(os.environ["PAUSE"]), int(os.environ["BENCH_SEED"])
SIZE = 4096


class Memory:
    """SIZE bytes; accesses to the words in `faulty` answer an error."""

    def __init__(self):
        self.data, self.faulty = bytearray(SIZE), set()

    async def read(self, address, length):
        if address & ~3 in self.faulty:
            raise ValueError("faulty address")
        return bytes(self.data[address : address + length])

    async def write(self, address, data):
        if address & ~3 in self.faulty:
            raise ValueError("faulty address")
        self.data[address : address + len(data)] = data


def pauses(seed):
    source = random.Random(seed)
    while True:
        yield source.randrange(100) < PAUSE


async def ready(dut):
    cocotb.start_soon(Clock(dut.clk, 10, unit="ns").start())
    dut.rst_n.value = 0
    memory = Memory()
    master = AxiMaster(AxiBus.from_prefix(dut, "s_axi"), dut.clk, dut.rst_n, reset_active_level=False, max_burst_len=16)
    slave = AxiLiteSlave(AxiLiteBus.from_prefix(dut, "m_axi"), dut.clk, dut.rst_n, target=memory, reset_active_level=False)
    for index, side in enumerate((master, slave)):
        for offset, channel in enumerate(
            (
                side.write_if.aw_channel,
                side.write_if.w_channel,
                side.write_if.b_channel,
                side.read_if.ar_channel,
                side.read_if.r_channel,
            )
        ):
            if PAUSE:
                channel.set_pause_generator(pauses(SEED * 16 + index * 5 + offset))
    await ClockCycles(dut.clk, 5)
    dut.rst_n.value = 1
    await ClockCycles(dut.clk, 3)
    return master, memory


@cocotb.test()
async def bursts_of_any_length_and_size(dut):
    master, memory = await ready(dut)
    source = random.Random(SEED)
    copy = bytearray(SIZE)
    for _ in range(60):
        length, size = source.randrange(1, 100), source.randrange(3)
        address = source.randrange(SIZE - length)
        data = source.randbytes(length)
        answer = await master.write(address, data, size=size, awid=source.randrange(1 << 12))
        assert answer.resp == AxiResp.OKAY
        copy[address : address + length] = data
        length, size = source.randrange(1, 100), source.randrange(3)
        address = source.randrange(SIZE - length)
        answer = await master.read(address, length, size=size, arid=source.randrange(1 << 12))
        assert answer.resp == AxiResp.OKAY and answer.data == copy[address : address + length]
    assert memory.data == copy


@cocotb.test()
async def fixed_bursts_stay_at_their_address(dut):
    master, memory = await ready(dut)
    await master.write(0x40, bytes(range(16)), burst=AxiBurstType.FIXED)
    assert memory.data[0x40:0x54] == bytes([12, 13, 14, 15]) + bytes(16)
    assert (await master.read(0x40, 16, burst=AxiBurstType.FIXED)).data == bytes([12, 13, 14, 15]) * 4


@cocotb.test()
async def errors_come_back(dut):
    master, memory = await ready(dut)
    memory.faulty = {0x104}
    assert (await master.write(0x100, bytes(16))).resp == AxiResp.SLVERR
    assert (await master.read(0x100, 16)).resp == AxiResp.SLVERR
    memory.faulty = set()
    assert (await master.write(0x100, bytes(16))).resp == AxiResp.OKAY
    assert (await master.read(0x100, 16)).resp == AxiResp.OKAY
