"""The whole accelerator in RTL: registers, DMA and tile engine against the compiler's integer model."""

import os
import random
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from flow.engine.boards import find_board
from flow.engine.compile import compile_graph
from flow.engine.cost import frame_cost
from flow.engine.network import load_cycles
from flow.engine.select import choose
from flow.engine.sources import accelerator_sources
from flow.errors import GatefoldError
from flow.graph.integer import run
from flow.graph.random_graph import random_resnet
from flow.paths import build_root
from flow.simulation.accelerator import compile_accelerator
from flow.simulation.simulator import ABI, BASE, Simulator

FRAMES = 16
ALTERNATING = ["full", "1/16", "1/4", "1/2"] * (FRAMES // 4)
HASH = 0xC0FFEE42
LOADED = 8  # in the status register


def test_the_library_names_no_folder(accelerator):
    """It goes to other machines, and is the same from wherever it is built."""
    library, code = accelerator[0].read_bytes(), Path(__file__).parents[3]
    assert not [path for path in (code, accelerator[0].parent, build_root()) if str(path.resolve()).encode() in library]
    assert b"rtl/tile_engine_checks.sv" in library


@pytest.fixture(scope="module")
def accelerator(tmp_path_factory):
    """(library, network image, images [N, 32, 32, 3], mode indices, expected records) of a random ResNet-8."""
    folder = tmp_path_factory.mktemp("accelerator")
    graph = random_resnet(seed=3)
    compiled = compile_graph(graph, choose(find_board("pynq-z2")))  # the engine of the board's tests: its objects are theirs
    config = compiled.plan.config
    parameters = {**config.parameters(), "ENGINE_HASH": HASH}
    library = compile_accelerator(folder, folder / "accelerator.so", parameters, accelerator_sources(folder))

    planes = np.random.default_rng(3).integers(0, 256, (FRAMES, 3, 32, 32), dtype=np.uint8)
    expected = []
    for plane, mode in zip(planes, ALTERNATING, strict=True):
        result, cost = run(graph, plane[None], mode), frame_cost(graph, mode, config)
        answer = {"logits": result.logits[0].tolist(), "class": int(result.classes[0])}
        expected.append({**answer, "tiles": cost.tiles, "cycles": cost.cycles})
    indices = [list(graph.modes).index(mode) for mode in ALTERNATING]
    return library, compiled.image(f"{HASH:08x}"), planes.transpose(0, 2, 3, 1), indices, expected


@pytest.fixture
def simulator(accelerator):
    with Simulator(accelerator[0], accelerator[1]) as simulator:
        yield simulator


def check(records, modes, expected):
    for frame, (record, mode, answer) in enumerate(zip(records, modes, expected, strict=True)):
        assert (record["frame"], record["mode"], record["exit"], record["status"]) == (frame, mode, 0, 0)
        assert record["logits"] == answer["logits"], f"frame {frame}"
        assert (record["class"], record["tiles"]) == (answer["class"], answer["tiles"])
        assert abs(record["cycles"] / answer["cycles"] - 1) < 0.02


def test_alternating_modes_lose_no_cycle(accelerator, simulator):
    """Each frame has its own mode's result, and the batch takes the sum of its frames' cycles."""
    _, _, images, modes, expected = accelerator
    records, cycles = simulator.run(images, modes)
    check(records, modes, expected)
    assert abs(cycles / sum(answer["cycles"] for answer in expected) - 1) < 0.02
    assert simulator.read("tiles") == sum(answer["tiles"] for answer in expected)
    assert simulator.read("frames_done") == FRAMES


@pytest.mark.parametrize("stall, latency", [(20, 24), (50, 1), (90, 60)])
def test_idle_and_back_pressure_change_no_result(accelerator, simulator, stall, latency):
    _, _, images, modes, expected = accelerator
    simulator.set_latency(latency)
    records, _ = simulator.run(images, modes, stall=stall, seed=stall)
    check(records, modes, expected)


def test_slow_memory_is_hidden_behind_the_computation(accelerator, simulator):
    _, _, images, modes, expected = accelerator
    simulator.set_latency(100)
    _, cycles = simulator.run(images, modes)
    assert cycles / sum(answer["cycles"] for answer in expected) < 1.02


def test_one_mode_for_all(accelerator, simulator):
    _, _, images, modes, expected = accelerator
    records, _ = simulator.run(images[:1], 0)
    check(records, [0], expected[:1])
    assert simulator.read("engine_hash") == HASH


@pytest.mark.parametrize(
    "registers, error",
    [
        ({"frames": 0}, "zero_frames"),
        ({"mode": 5}, "bad_mode"),
        ({"source": BASE + 64}, "misaligned_address"),
        ({"source": 0x7000_0000}, "bus_error"),
        ({"destination": 0x7000_0000}, "bus_error"),
        ({"mode_list": 0x7000_0000}, "bus_error"),
        ({"mode_list": BASE}, "bad_mode_in_list"),
    ],
)
def test_errors_are_reported_and_overcome(accelerator, simulator, registers, error):
    _, _, images, modes, expected = accelerator
    memory = np.full(1 << 16, 9, np.uint8)  # as a mode list: a mode that does not exist
    simulator.set_memory(memory, BASE)
    good = {"source": BASE, "destination": BASE + 0x8000, "frames": 2, "mode": 0, "mode_list": 0}
    for name, value in {**good, **registers}.items():
        simulator.write(name, value)
    simulator.write("control", 1)
    simulator.advance(200_000)
    assert simulator.read("status") == LOADED | 4 | simulator.interface.errors[error] << 8
    simulator.write("control", 2)
    simulator.advance(1000)
    records, _ = simulator.run(images[:4], modes[:4])
    check(records, modes[:4], expected[:4])


def test_memory_that_never_answers(accelerator, simulator):
    """The host's time-out ends it with a sentence; when the memory wakes, a soft reset puts all right."""
    _, _, images, modes, expected = accelerator
    simulator.hang()
    with pytest.raises(GatefoldError, match="did not end: 0 of 16 frames"):
        simulator.run(images, modes, max_cycles=100_000)
    assert simulator.read("status") == LOADED | 1  # bursts are still under way
    with pytest.raises(GatefoldError, match="is busy with an earlier batch"):
        simulator.run(images[:2], modes[:2])
    simulator.hang(False)
    simulator.advance(10_000)
    assert simulator.read("status") == LOADED
    records, _ = simulator.run(images[:2], modes[:2])
    check(records, modes[:2], expected[:2])


def test_the_batch_after_a_time_out_is_its_own(accelerator, simulator):
    """The memory wakes only when the next batch is run: no record of it may come from, or be missing by, the one before."""
    _, _, images, modes, expected = accelerator
    simulator.hang()
    with pytest.raises(GatefoldError, match="did not end"):
        simulator.run(images, modes, max_cycles=20_000)
    simulator.hang(False)
    records, _ = simulator.run(images[4:8], modes[4:8])
    check(records, modes[4:8], expected[4:8])


def test_a_time_out_ends_the_batch(accelerator, simulator):
    """A soft reset, not patience: the frames that are left are never computed."""
    _, _, images, modes, _ = accelerator
    with pytest.raises(GatefoldError, match="did not end"):
        simulator.run(images, modes, max_cycles=50_000)
    assert simulator.read("status") == LOADED
    done = simulator.read("frames_done")
    simulator.advance(300_000)
    assert 0 < done == simulator.read("frames_done") < FRAMES


def test_an_end_without_records_is_no_result(accelerator, simulator, monkeypatch):
    """A start that the accelerator does not see leaves it at rest, without an error."""
    _, _, images, modes, expected = accelerator
    check(simulator.run(images[:2], modes[:2])[0], modes[:2], expected[:2])
    write = simulator.write
    monkeypatch.setattr(simulator, "write", lambda name, value: write(name, value & ~1 if name == "control" else value))
    with pytest.raises(GatefoldError, match="rests without an end of its batch: 2 of 3 frames"):
        simulator.run(images[:3], modes[:3])


def test_soft_reset_in_the_middle(accelerator, simulator):
    _, _, images, modes, expected = accelerator
    for cycles in (700, 5000, 20_000):
        with pytest.raises(GatefoldError, match="did not end"):
            simulator.run(images, modes, stall=30, seed=cycles, max_cycles=cycles)
        assert simulator.read("status") == LOADED
        records, _ = simulator.run(images[:2], modes[:2], stall=30, seed=cycles)
        check(records, modes[:2], expected[:2])


def test_bad_requests(accelerator, tmp_path):
    library, network, images, _, _ = accelerator
    with pytest.raises(GatefoldError, match="does not exist; run `gatefold build`"):
        Simulator(tmp_path / "none.so", network)
    (tmp_path / "text.so").write_text("no library")
    with pytest.raises(GatefoldError, match="is no simulation library"):
        Simulator(tmp_path / "text.so", network)
    with Simulator(library) as simulator, pytest.raises(GatefoldError, match="reports no_network"):
        simulator.run(images[:1], 0)
    with Simulator(library, network) as simulator:
        with pytest.raises(GatefoldError, match="2 modes for 1 frames"):
            simulator.run(images[:1], [0, 1])
        with pytest.raises(GatefoldError, match="give uint8"):
            simulator.run(images[:1].astype(np.int64), 0)
        for part in (images[:1, :, :, :2], images[:1, :16], images[:1, :16, :16]):
            with pytest.raises(GatefoldError, match=re.escape("takes uint8 [N, 32, 32, 3]; give such")):
                simulator.run(part, 0)
        with pytest.raises(GatefoldError, match="reports bad_mode"):
            simulator.run(images[:1], 9)
        with pytest.raises(GatefoldError, match="writes no waveforms"):
            simulator.trace(tmp_path / "out.fst")


def test_a_library_that_was_built_anew_is_loaded_anew(accelerator, tmp_path):
    """In one process too, where the loader knows the path already."""
    others = (
        "image_size",
        "image_planes",
        "destroy",
        "write",
        "read",
        "set_memory",
        "run",
        "cycles",
        "interrupt",
        "set_stall",
        "set_latency",
        "hang",
        "trace",
    )
    for answer in ("the first", "the second"):
        source = f'int gf_abi(void) {{ return {ABI}; }}\nvoid *gf_create(void) {{ return 0; }}\nconst char *gf_failure(void) {{ return "{answer}"; }}\n'
        source += "".join(f"int gf_{name}(void) {{ return 0; }}\n" for name in others)
        command = ["g++", "-shared", "-fPIC", "-x", "c++", "-", "-o", "new.so"]
        text = f'extern "C" {{\n{source}}}\n'
        subprocess.run(command, input=text, text=True, check=True, cwd=tmp_path)
        os.replace(tmp_path / "new.so", tmp_path / "accelerator.so")
        for _ in range(2):
            with pytest.raises(GatefoldError, match=f"does not start: {answer}"):
                Simulator(tmp_path / "accelerator.so", accelerator[1])


@pytest.mark.parametrize("latency", [1, 24, 40])
def test_a_load_takes_a_cycle_for_a_word(accelerator, simulator, latency):
    _, network, images, modes, expected = accelerator
    simulator.set_latency(latency)
    assert simulator.load(network) == load_cycles(network, latency)
    check(simulator.run(images[:2], modes[:2])[0], modes[:2], expected[:2])


@pytest.mark.parametrize("stall, latency", [(40, 24), (80, 90)])
def test_loads_wait_and_are_whole(accelerator, stall, latency):
    library, network, images, modes, expected = accelerator
    with Simulator(library, power_on=stall) as simulator:
        simulator.set_latency(latency)
        simulator.load(network, stall, seed=latency)
        check(simulator.run(images[:2], modes[:2])[0], modes[:2], expected[:2])


def damaged(network, chance):
    """(what is done to an image, the error that is told)."""
    words = np.frombuffer(network, "<u8")
    bit = chance.randrange(8 * 128, 8 * len(network))
    flipped = bytearray(network)
    flipped[bit // 8] ^= 1 << bit % 8
    yield bytes(flipped), None  # which one depends on the bit
    yield network[: 128 * chance.randrange(1, len(network) // 128)], "bad_network"
    yield network + bytes(128 * chance.randrange(1, 5)), "bad_network"
    yield network[:16] + (HASH ^ 1 << chance.randrange(32)).to_bytes(4, "little") + network[20:], "other_engine"
    yield chance.randbytes(128 * chance.randrange(1, 40)), "bad_network"
    where = chance.choice([at for at in range(16, len(words) - 1) if words[at] == words[16]])  # a header: its memory, its words
    longer = words.copy()
    longer[where] += 1 << chance.randrange(49, 63)
    yield longer.tobytes(), "bad_network"


@pytest.mark.parametrize("seed", range(4))
def test_damaged_networks_are_refused_and_the_next_one_is_loaded(accelerator, simulator, seed):
    _, network, images, modes, expected = accelerator
    for image, error in damaged(network, random.Random(seed)):
        with pytest.raises(GatefoldError, match=f"reports {error or '(bad|damaged)_network'}; check the network image"):
            simulator.load(image)
        with pytest.raises(GatefoldError, match="reports no_network"):
            simulator.run(images[:1], 0)
    simulator.load(network)
    check(simulator.run(images[:2], modes[:2])[0], modes[:2], expected[:2])


def test_loads_broken_by_the_bus_or_a_reset(accelerator, simulator):
    """An error at every 1,000th beat, and a reset some time before: no network, and the next load is whole."""
    _, network, images, modes, expected = accelerator
    memory = np.frombuffer(network, np.uint8).copy()
    for beat in range(0, len(network) // 8, 1000):
        simulator.set_memory(memory[: 8 * beat + 8], BASE)
        for name, value in (("source", BASE), ("frames", len(network) // 128), ("control", 8)):
            simulator.write(name, value)
        simulator.advance(100 + beat // 2)
        if beat % 2000:
            simulator.write("control", 2)
        simulator.advance(100_000)
        status = simulator.read("status")
        assert status == (0 if beat % 2000 else 4 | simulator.interface.errors["bus_error"] << 8), beat
        with pytest.raises(GatefoldError, match="reports no_network"):
            simulator.run(images[:1], 0)
    simulator.load(network)
    check(simulator.run(images[:2], modes[:2])[0], modes[:2], expected[:2])


def test_refused_design_is_named(tmp_path):
    sources = accelerator_sources(tmp_path)
    with pytest.raises(GatefoldError, match="DEPTH must be a power of two"):
        compile_accelerator(tmp_path, tmp_path / "x.so", {"READ_DEPTH": 48}, sources)
    assert not (tmp_path / "x.so").exists()
