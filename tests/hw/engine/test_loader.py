"""The image loader: every size and number of planes, two buffers, words held up; what fills a frame up to whole bursts is dropped."""

import numpy as np
import pytest
from rtl import pack, step, unit

from flow.engine.plan import image_words
from flow.engine.stream import frame_beats
from flow.simulation.library import Model

BASE = 6


def place(channel, row, size):
    """(bank, word) of a row, as `plan.map_words` describes it."""
    if size == 8:
        return row + 8 * (channel % 2), channel // 2
    return row % 16, channel * size // 16 + row // 16 if size == 32 else channel


@pytest.mark.parametrize("planes, size", [(3, 32), (4, 16), (2, 8), (3, 8)])
def test_loader(planes, size, tmp_path):
    rng = np.random.default_rng(planes + size)
    library = unit("engine_loader", tmp_path, PLANES=planes, SIZE=size, IMAGE_BASE=BASE)
    frames = rng.integers(0, 256, (4, planes, size, size), dtype=np.uint8)
    beats = np.concatenate([frame_beats(images, 40 + number) for number, images in enumerate(frames)])
    written, offered, sent = [], 0, 0
    with Model(library, clock="clk", reset="rst_n", random_reset=3) as model:
        model.reset()
        # One frame behind the other, now and then without a pause; a complete one is released at once or waits.
        for _ in range(20 * len(beats)):
            offer = sent < len(beats) and rng.random() < 0.9
            model.write("write_ready", int(rng.random() < 0.7))
            model.write("s_axis_tvalid", int(offer))
            model.write("s_axis_tdata", int(beats[min(sent, len(beats) - 1)]))
            model.run(0)
            release = model.read("valid") and rng.random() < 0.02
            if model.read("write") and model.read("write_ready"):
                written.append(((model.read("bank"), model.read("addr")), model.read("data")))
            sent += offer and model.read("s_axis_tready")
            if release:
                assert model.read("mode") == 40 + offered and model.read("buffer") == offered % 2
                offered += 1
            step(model, release_buffer=release)
    assert sent == len(beats) and offered == len(frames)
    words = 2 * planes * size
    for number, images in enumerate(frames):
        base = BASE + number % 2 * image_words(planes, size)
        expected = {}
        for channel in range(2 * planes):
            nibbles = images[channel % planes] >> 4 if channel < planes else images[channel % planes] & 15
            for row in range(size):
                bank, word = place(channel, row, size)
                expected[bank, base + word] = pack(nibbles[row], 4)
        assert dict(written[number * words : (number + 1) * words]) == expected
    assert len(written) == len(frames) * words
