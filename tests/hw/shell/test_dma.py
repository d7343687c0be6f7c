"""Both sides of the DMA by themselves: which answers of the bus are errors, and what an error leaves behind."""

import pytest

from flow.engine.interface import load_interface
from flow.engine.sources import accelerator_sources
from flow.simulation.compile import compile_model
from flow.simulation.library import Model

OKAY, EXOKAY, SLVERR, DECERR = range(4)
BURST, LIST, SOURCE, DESTINATION = 16, 0x8000, 0x1000, 0x20F80
IMAGE_BEATS, RECORD_BEATS = 32, 32
TILES_BEAT = 2  # words 4 and 5 of a record: cycles, tiles


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return accelerator_sources(tmp_path_factory.mktemp("dma"))


@pytest.fixture
def reader(sources):
    library = compile_model("dma_read", sources, parameters={"IMAGE_BEATS": IMAGE_BEATS, "DEPTH": 64})
    with Model(library, clock="clk", reset="rst_n", random_reset=6) as model:
        model.write("mode_count", 5)
        model.reset()
        yield model


@pytest.fixture
def writer(sources):
    library = compile_model("dma_write", sources, parameters={"RECORD_BEATS": RECORD_BEATS})
    with Model(library, clock="clk", reset="rst_n", random_reset=6) as model:
        model.reset()
        yield model


def start(model, **settings):
    for name, value in {**settings, "start": 1}.items():
        model.write(name, value)
    model.cycles(1)
    model.write("start", 0)


def read_frames(model, frames, mode_list, answer, cycles=600):
    """Serve reads for some cycles: (addresses and lengths asked for, beats handed on).

    answer: (address of a beat) -> (data, response).
    """
    start(model, source=SOURCE, frames=frames, mode=3, mode_list=mode_list)
    asked, waiting, handed = [], [], []
    model.write("m_axi_arready", 1)
    model.write("m_axis_tready", 1)
    for _ in range(cycles):
        model.write("m_axi_rvalid", bool(waiting))
        if waiting:
            address, last = waiting[0]
            data, response = answer(address)
            for name, value in (("rdata", data), ("rresp", response), ("rlast", last)):
                model.write(f"m_axi_{name}", value)
        model.run(0)
        if waiting and model.read("m_axi_rready"):
            waiting.pop(0)
        if model.read("m_axis_tvalid"):
            handed.append(model.read("m_axis_tdata"))
        if model.read("m_axi_arvalid"):
            address, length = model.read("m_axi_araddr"), model.read("m_axi_arlen") + 1
            asked.append((address, length))
            waiting += [(address + 8 * beat, beat == length - 1) for beat in range(length)]
        model.cycles(1)
    assert not waiting and model.read("idle")
    return asked, handed


def content(address):
    """A mode list that says 3, and images that say where they lie."""
    return 0x0303030303030303 if address >= LIST else address


@pytest.mark.parametrize("mode_list", [0, LIST])
def test_frames_and_their_addresses(reader, mode_list):
    asked, handed = read_frames(reader, 10, mode_list, lambda address: (content(address), OKAY), cycles=900)
    images = [(SOURCE + 8 * BURST * burst, BURST) for burst in range(20)]
    assert asked == ([(LIST, 1), *images[:16], (LIST + 8, 1), *images[16:]] if mode_list else images)
    frames = [[3, *(SOURCE + 8 * (IMAGE_BEATS * frame + beat) for beat in range(IMAGE_BEATS))] for frame in range(10)]
    assert handed == sum(frames, []) and reader.read("frames_read") == 10


@pytest.mark.parametrize("blocks", [1, 2, 3, 20])
def test_a_network_image_is_one_header_and_its_bursts(reader, blocks):
    reader.write("load", 1)
    asked, handed = read_frames(reader, blocks, 0, lambda address: (address, OKAY), cycles=900)
    assert asked == [(SOURCE + 8 * BURST * burst, BURST) for burst in range(blocks)]
    header = blocks << 32 | 1 << load_interface().network.header_bit
    assert handed == [header, *range(SOURCE, SOURCE + 8 * BURST * blocks, 8)]
    reader.write("load", 0)
    _, handed = read_frames(reader, 1, 0, lambda address: (content(address), OKAY))
    assert handed == [3, *range(SOURCE, SOURCE + 8 * IMAGE_BEATS, 8)]


@pytest.mark.parametrize("response", [OKAY, EXOKAY, SLVERR, DECERR])
@pytest.mark.parametrize(
    "place, whole",
    [(LIST, 0), (SOURCE, 0), (SOURCE + 8 * (BURST - 1), 0), (SOURCE + 8 * IMAGE_BEATS, 1), (SOURCE + 8 * (2 * IMAGE_BEATS - 1), 1)],
)
def test_answers_of_reads(reader, place, whole, response):
    """An error ends the reading: no frame begins after it, and no beat of its burst is handed on from there."""
    _, handed = read_frames(reader, 2, LIST, lambda address: (content(address), response if address == place else OKAY))
    failed = response in (SLVERR, DECERR)
    assert reader.read("bus_error") == failed
    good = [3, *range(SOURCE, SOURCE + 8 * IMAGE_BEATS, 8), 3, *range(SOURCE + 8 * IMAGE_BEATS, SOURCE + 16 * IMAGE_BEATS, 8)]
    if not failed:
        assert handed == good and reader.read("frames_read") == 2
    else:
        before = 0 if place == LIST else good.index(place)
        assert handed == good[:before] and reader.read("frames_read") == (0 if place == LIST else whole + 1)
    read_frames(reader, 1, 0, lambda address: (content(address), OKAY))
    assert not reader.read("bus_error") and reader.read("frames_read") == 1  # the next batch begins anew


def write_records(model, records, answer, cycles=400):
    """Hand in records (lists of words) and take what is written: (addresses asked for, beats written, answers given)."""
    start(model, destination=DESTINATION)
    words, asked, beats, due, given = sum(records, []), [], [], 0, 0
    model.write("m_axi_awready", 1)
    model.write("m_axi_wready", 1)
    for _ in range(cycles):
        model.write("s_axis_tvalid", bool(words))
        model.write("s_axis_tdata", words[0] if words else 0)
        model.write("m_axi_bvalid", due > given)
        model.write("m_axi_bresp", answer(given))
        model.run(0)
        if words and model.read("s_axis_tready"):
            words.pop(0)
        if model.read("m_axi_awvalid"):
            asked.append(model.read("m_axi_awaddr"))
        ended = False
        if model.read("m_axi_wvalid"):
            beats.append(model.read("m_axi_wdata"))
            ended = model.read("m_axi_wlast")
        given += due > given and model.read("m_axi_bready")
        model.cycles(1)
        due += bool(ended)
    assert model.read("idle")
    return asked, beats, given


def record(tiles):
    words = [0x100 * tiles + beat for beat in range(RECORD_BEATS)]
    words[TILES_BEAT] = tiles << 32 | 7
    return words


def test_records_and_their_addresses(writer):
    records = [record(5), record(6), record(7)]
    asked, beats, given = write_records(writer, records, lambda burst: OKAY)
    assert asked == [DESTINATION + 8 * BURST * burst for burst in range(6)] and given == 6
    assert beats == sum(records, [])
    assert writer.read("frames_done") == 3 and writer.read("tiles") == 18 and not writer.read("bus_error")


@pytest.mark.parametrize("response", [OKAY, EXOKAY, SLVERR, DECERR])
@pytest.mark.parametrize("burst", range(4))
def test_answers_of_writes(writer, burst, response):
    """No record counts whose writing was answered with an error, and no burst starts after it."""
    asked, _, given = write_records(writer, [record(5), record(6)], lambda answered: response if answered == burst else OKAY)
    failed = response in (SLVERR, DECERR)
    done = burst // 2 if failed else 2
    assert writer.read("bus_error") == failed
    assert writer.read("frames_done") == done and writer.read("tiles") == (0, 5, 11)[done]
    assert len(asked) == given == (burst + 1 if failed else 4)


def test_the_next_batch_begins_anew(writer):
    write_records(writer, [record(5)], lambda burst: SLVERR)
    writer.write("abort", 1)
    writer.cycles(3)
    writer.write("abort", 0)
    asked, beats, _ = write_records(writer, [record(9)], lambda burst: OKAY)
    assert asked == [DESTINATION, DESTINATION + 8 * BURST] and beats == record(9)
    assert writer.read("frames_done") == 1 and writer.read("tiles") == 9 and not writer.read("bus_error")


@pytest.mark.parametrize("taken", range(0, BURST, 5))
def test_an_abort_ends_the_burst_under_way_and_no_more(writer, taken):
    """The bus gets all beats of a burst that it was told of, as they were; the buffer is empty afterwards."""
    words = record(5)
    start(writer, destination=DESTINATION)
    beats, pending = [], list(words)
    for cycle in range(200):
        writer.write("abort", len(beats) >= taken and cycle > 40)
        writer.write("s_axis_tvalid", bool(pending))
        writer.write("s_axis_tdata", pending[0] if pending else 0)
        ready = len(beats) < taken or cycle > 60 and cycle % 3 == 0
        writer.write("m_axi_wready", ready)
        writer.write("m_axi_awready", cycle > 70)
        writer.write("m_axi_bvalid", len(beats) == BURST and cycle > 130)
        writer.run(0)
        if pending and writer.read("s_axis_tready"):
            pending.pop(0)
        if writer.read("m_axi_wvalid") and ready:
            beats.append(writer.read("m_axi_wdata"))
            assert writer.read("m_axi_wlast") == (len(beats) == BURST)
        writer.cycles(1)
    assert beats == words[:BURST] and not pending and writer.read("idle")
    writer.write("abort", 0)
    writer.cycles(1)
    _, beats, _ = write_records(writer, [record(9)], lambda burst: OKAY)
    assert beats == record(9) and writer.read("tiles") == 9


@pytest.mark.parametrize("after", [0, 1, 15, 16, 40])
def test_an_abort_receives_what_was_asked_for_and_drops_it(reader, after):
    start(reader, source=SOURCE, frames=4, mode=1, mode_list=0)
    waiting, received = [], 0
    for cycle in range(300):
        abort = received >= after and cycle > 5
        reader.write("abort", abort)
        reader.write("m_axi_arready", cycle % 2)
        reader.write("m_axi_rvalid", bool(waiting) and cycle > 5)
        reader.write("m_axi_rlast", bool(waiting) and waiting[0])
        reader.run(0)
        if waiting and cycle > 5 and reader.read("m_axi_rready"):
            waiting.pop(0)
            received += 1
        if reader.read("m_axi_arvalid") and cycle % 2:
            waiting += [beat == BURST - 1 for beat in range(BURST)]
        reader.cycles(1)
    assert not waiting and reader.read("idle") and received % BURST == 0
    reader.write("abort", 0)
    assert not reader.read("m_axis_tvalid")
    _, handed = read_frames(reader, 1, 0, lambda address: (address, OKAY))
    assert handed == [3, *range(SOURCE, SOURCE + 8 * IMAGE_BEATS, 8)]
