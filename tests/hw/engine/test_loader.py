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
    with Model(library, clock="clk", reset="rst_n", random_reset=3) as model:
        model.reset()
        for frame in range(3):
            images = rng.integers(0, 256, (planes, size, size), dtype=np.uint8)
            beats, sent, memory = frame_beats(images, 40 + frame), 0, {}
            model.write("s_axis_tvalid", 0)
            for _ in range(20 * len(beats)):
                offer = sent < len(beats) and rng.random() < 0.8
                model.write("write_ready", int(rng.random() < 0.7))
                model.write("s_axis_tvalid", int(offer))
                model.write("s_axis_tdata", int(beats[min(sent, len(beats) - 1)]))
                model.run(0)
                if model.read("write") and model.read("write_ready"):
                    memory[model.read("bank"), model.read("addr")] = model.read("data")
                sent += offer and model.read("s_axis_tready")
                if model.read("valid"):
                    break
                step(model)
            assert sent == len(beats) and model.read("mode") == 40 + frame and model.read("buffer") == frame % 2
            base = BASE + frame % 2 * image_words(planes, size)
            expected = {}
            for channel in range(2 * planes):
                nibbles = images[channel % planes] >> 4 if channel < planes else images[channel % planes] & 15
                for row in range(size):
                    bank, word = place(channel, row, size)
                    expected[bank, base + word] = pack(nibbles[row], 4)
            assert memory == expected
            step(model, release_buffer=1, s_axis_tvalid=0)
            model.write("release_buffer", 0)
