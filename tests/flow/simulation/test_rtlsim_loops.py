"""The C++ stream loop and FINN's SimEngine do the same: every beat in the same cycle, and as many cycles."""

from contextlib import nullcontext

import finn_nodes
import numpy as np
import pytest
from finn_nodes import rtlsim_node, run
from test_rtlsim_finn_nodes import SWEEP

from flow.simulation import Model, install
from flow.simulation.pauses import draw, paused_streams

CASES = {
    "MVAU doubled clock, PE = MH, one pixel": (
        finn_nodes.mvau, {"size": 1, "width": 12, "simd": 6, "pe": 16, "pumpedCompute": 1},
    ),
    "MVAU doubled clock": (finn_nodes.mvau, {"size": 2, "simd": 6, "pe": 8, "pumpedCompute": 1}),
    "FMPadding": (finn_nodes.fmpadding, {"size": (4, 4), "channels": 4}),
}  # fmt: skip


class Watch:
    """SimEngine task beside the others: the 0-based ticks in which a stream transfers a beat."""

    def __init__(self, sim, name):
        self.valid, self.ready = sim.get_bus_port(name, "TVALID"), sim.get_bus_port(name, "TREADY")
        self.first_tick, self.ticks = sim.ticks + 1, []

    def __bool__(self):
        return False

    def __call__(self, sim):
        if self.valid.read().as_bool() and self.ready.read().as_bool():
            self.ticks.append(sim.ticks - self.first_tick)
        return {}


def by_sim_engine(library, beats, counts, pause, seed, rounds):
    """Per round (cycles, {stream: ticks}, {output: values}) of FINN's SimEngine; pauses by our tasks where there are some."""
    from finn_xsi import adapter

    sim = adapter.load_sim_obj(library.parents[2], library.relative_to(library.parents[2]))
    adapter.reset_rtlsim(sim)
    for _ in range(rounds):
        watches = {name: Watch(sim, name) for name in [*beats, *counts]}
        start = sim.ticks
        with paused_streams(sim, pause, seed) if pause else nullcontext():
            for name, values in beats.items():
                sim.stream_input(name, iter([value[::-1].tobytes().hex() for value in values]))
            outputs = {name: sim.collect_output(name, count) for name, count in counts.items()}
            for watch in watches.values():
                sim.enlist(watch)
            assert not sim.run(100_000)
        values = {name: [int(value, 16) for value in output] for name, output in outputs.items()}
        yield sim.ticks - start, {name: watch.ticks for name, watch in watches.items()}, values
    sim.close()


def by_stream_loop(library, beats, counts, pause, seed, rounds):
    with Model(library, library.parents[2]) as model:
        model.reset()
        for _ in range(rounds):
            result = model.stream(beats, counts, input_pause=pause, output_pause=pause, seed=seed)
            ticks = {name: cycles.tolist() for name, cycles in {**result.input_cycles, **result.output_cycles}.items()}
            values = {name: [int.from_bytes(beat.tobytes(), "little") for beat in beats] for name, beats in result.outputs.items()}
            yield result.cycles, ticks, values


def streams_of(model, feed, expected):
    """(library, {input stream: beats}, {output stream: count}) that FINN hands to the simulation of the one node."""
    from finn import xsi

    seen = {}

    def record(sim, io, counts, sname="_V_V", **options):
        beats = {}
        for name, values in io["inputs"].items():
            size = sim.top.model.stream_port(name + sname, "tdata").bytes
            packed = b"".join((value & (1 << 8 * size) - 1).to_bytes(size, "little") for value in map(int, values))
            beats[name + sname] = np.frombuffer(packed, np.uint8).reshape(-1, size)
        counts_of = counts if isinstance(counts, dict) else dict.fromkeys(io["outputs"], counts)
        seen.update(library=sim.top.library, beats=beats, counts={name + sname: int(n) for name, n in counts_of.items()})
        return loop(sim, io, counts, sname=sname, **options)

    loop, xsi.rtlsim_multi_io = xsi.rtlsim_multi_io, record
    try:
        output, node = run(model, feed)
    finally:
        xsi.rtlsim_multi_io = loop
    assert np.array_equal(output, expected)
    return seen["library"], seen["beats"], seen["counts"]


def agree(build, options):
    install()
    streams = streams_of(*rtlsim_node(lambda: build(**options)))
    for pause, seed in ((0, 0), (0.4, 1), (0.8, 2)):
        settings = *streams, pause, seed, 2  # the second round starts in the state that the first one left
        for one, other in zip(by_sim_engine(*settings), by_stream_loop(*settings), strict=True):
            assert one == other


@pytest.mark.parametrize("name", CASES)
def test_loops_agree(name):
    agree(*CASES[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", SWEEP)
def test_loops_agree_in_the_sweep(name):
    agree(*SWEEP[name])


def test_pauses_of_a_stream_are_as_frequent_as_asked_and_differ():
    drawn = np.array([[draw(3, stream, cycle) for cycle in range(4000)] for stream in range(3)]) < 0.3 * 65536
    assert (abs(drawn.mean(1) - 0.3) < 0.03).all()
    assert (abs(np.corrcoef(drawn)[np.triu_indices(3, 1)]) < 0.06).all()
