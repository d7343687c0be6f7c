"""Random idle and back-pressure for FINN's SimEngine: the same pauses, cycle by cycle, as those of the C++ stream loop."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from finn_xsi.sim_engine import SimEngine


_MASK = (1 << 64) - 1


def draw(seed: int, stream: int, cycle: int) -> int:
    """16 random bits of one stream in one cycle, the function `draw` of `cpp/harness.cpp`.

    Args:
        stream: number of the stream, inputs first.
        cycle: from 0, where the streams begin.
    """
    x = (seed * 0x9E3779B97F4A7C15 + (stream + 1) * 0xD1B54A32D192ED03 + cycle * 0x8CB92BA72F3D8DD7) & _MASK
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    x = (x ^ x >> 27) * 0x94D049BB133111EB & _MASK
    return (x ^ x >> 31) >> 48


class _Task:
    def __init__(self, sim, name: str, number: int, pause: float, seed: int):
        self.valid, self.ready, self.data = (sim.get_bus_port(name, part) for part in ("TVALID", "TREADY", "TDATA"))
        self.number, self.chance, self.seed = number, round(pause * 65536), seed
        self.first_tick = sim.ticks + 1

    def paused(self, sim) -> bool:
        return draw(self.seed, self.number, sim.ticks - self.first_tick) < self.chance


class PausedInput(_Task):
    """SimEngine task: offers the values (hexadecimal strings); between two beats it may pause, an offered beat stays."""

    def __init__(self, sim: "SimEngine", name: str, values: Iterator[str], number: int, pause: float, seed: int):
        super().__init__(sim, name, number, pause, seed)
        self.values, self.next = values, next(values, None)

    def __call__(self, sim) -> dict | None:
        offered = self.valid.as_bool()
        if offered and not self.ready.read().as_bool():
            return {}
        if self.next is None:
            return {self.valid: "0", self.data: "0"} if offered else None
        if self.paused(sim):
            return {self.valid: "0", self.data: "0"} if offered else {}
        value, self.next = self.next, next(self.values, None)
        return {self.data: value, self.valid: "1"}


class PausedOutput(_Task):
    """SimEngine task: collects `size` values as hexadecimal strings in `buf`, with `ready` low in some cycles."""

    def __init__(
        self, sim: "SimEngine", name: str, size: int, watchdog: "SimEngine.Watchdog | None", number: int, pause: float, seed: int
    ):
        super().__init__(sim, name, number, pause, seed)
        self.size, self.watchdog, self.buf = size, watchdog, []

    def __iter__(self) -> Iterator[str]:
        return iter(self.buf)

    def __call__(self, sim) -> dict | None:
        if self.ready.as_bool() and self.valid.read().as_bool():
            self.buf.append(self.data.read().as_hexstr())
            if self.watchdog is not None:
                self.watchdog.reset()
        if len(self.buf) == self.size:
            return {self.ready: "0"} if self.ready.as_bool() else None
        return {self.ready: "0" if self.paused(sim) else "1"}


@contextmanager
def paused_streams(sim: "SimEngine", pause: float, seed: int) -> Iterator[None]:
    """Within, `sim.stream_input` and `sim.collect_output` pause with the chance `pause` per cycle."""
    number = itertools.count()
    sim.stream_input = lambda name, values, throttle=None: sim.enlist(
        PausedInput(sim, name, iter(values), next(number), pause, seed)
    )

    def collect(name, size, watchdog=None):
        task = PausedOutput(sim, name, size, watchdog, next(number), pause, seed)
        sim.enlist(task)
        return task

    sim.collect_output = collect
    try:
        yield
    finally:
        del sim.stream_input, sim.collect_output
