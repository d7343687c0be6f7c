"""200 frames in one batch whose gates, modes and exits are the worst that a host and its pictures can do: masks of nothing, everything,
every second channel, everything but a group, at random, turning round from frame to frame; each frame in its order and exact."""

import numpy as np
import pytest
from frames import loaded, prepare, stream
from test_early_exits import tell

from flow.engine.frame import frame_record
from flow.engine.requant import hardware
from flow.graph.exits import OFF, Halting
from flow.graph.integer import run
from flow.graph.random_graph import random_gated, with_exits

FRAMES = 200
SIZE = dict(p=64, pe=2, r=64, v=16)
BLOCKS = ("stage1.block1", "stage2.block1")
BRIGHTNESS = (0, 60, 120, 180, 250)
"""Of five kinds of pictures, and so of five masks."""


def by_brightness(graph):
    """Let the gates of the first two blocks decide by how bright the picture is alone, the third block's as they do.

    Channel 0 of the stem becomes the picture's brightness. With it the masks grow: none; every second channel but those of a quarter,
    the first group; every second one; all but that quarter; all. The second block's shrink instead.
    """
    stem = graph.layers[0]
    stem.weight[0] = 0
    stem.weight[0, :, 1, 1] = 1
    stem.affine = {setting: (scale.copy(), offset.copy()) for setting, (scale, offset) in stem.affine.items()}
    for scale, offset in stem.affine.values():
        scale[0], offset[0] = 15 / (3 * 255), 0
    for name, grows in (("stage1.block1", True), ("stage2.block1", False)):
        gate = next(layer for layer in graph.gates if layer.name.startswith(name) and layer.out_channels > 1)
        gate.input = "stem"
        gate.weight = np.zeros((gate.out_channels, stem.out_channels), np.int64)
        gate.weight[:, 0] = 100 if grows else -100
        channel = np.arange(gate.out_channels)
        odd, first = channel % 2 == 1, channel < gate.out_channels // 4
        step = np.select([odd & ~first, odd, ~first], [1, 2, 3], 4)  # the lowest kind of pictures that switches it on
        sums = np.array([round(15 * 3 * value / (3 * 255)) * 1024 for value in BRIGHTNESS])
        bound = (sums[step] + sums[step - 1]) // 2
        gate.bias = -100 * bound if grows else 100 * bound
    return graph


def pictures(rng):
    """Frames whose brightness turns round, stays, and is random; some of them noise, whose third block's masks are random."""
    kinds = [*([0, 4] * 30), *range(5), *([2] * 15), *rng.integers(0, 5, FRAMES - 80)]
    images = np.repeat(np.array(BRIGHTNESS, np.uint8)[kinds], 3 * 32 * 32).reshape(-1, 3, 32, 32).copy()
    noisy = rng.random(FRAMES) < 0.7
    shift = rng.integers(-5, 6, images.shape)
    images[noisy] = np.clip(images[noisy].astype(int) + shift[noisy], 0, 255)
    return images, np.array(kinds)


@pytest.mark.timeout(900)
def test_every_frame_is_out_in_order_and_exact(tmp_path):
    rng = np.random.default_rng(0)
    graph = by_brightness(with_exits(random_gated(8, blocks=(1, 1, 1), kinds=("pooled", "pooled", "both")), BLOCKS))
    library, ((layout, table),) = prepare([graph], SIZE, tmp_path)
    images, kinds = pictures(rng)
    modes = [list(graph.modes)[number] for number in rng.integers(0, len(graph.modes), FRAMES)]
    results, exit_logits = [None] * FRAMES, []
    for mode in graph.modes:
        frames = [frame for frame in range(FRAMES) if modes[frame] == mode]
        of_mode = run(graph, images[frames], mode, hardware(table))
        exit_logits.append(of_mode.exit_logits)
        for row, frame in enumerate(frames):
            results[frame] = of_mode, row
    count = len(graph.exits)
    sure = Halting.sure(exit_logits, 0.5).margins
    for margins in ((OFF,) * count, sure):
        # One mode after the other: no exit is due, the first is, the second is.
        limits = [Halting.at(number % 3 - 1, count).limits for number in range(len(graph.modes))]
        haltings = [Halting(each, margins) for each in limits]
        with loaded(library, tmp_path / f"{graph.name}.bin", random_reset=3) as model:
            model.reset()
            tell(model, haltings)
            records = stream(model, graph, modes, images, (0.3, 0.5), 1)
        assert [record["frame"] for record in records] == list(range(FRAMES))
        for frame, record in enumerate(records):
            told = haltings[list(graph.modes).index(modes[frame])]
            expected = frame_record(graph, layout.config, modes[frame], *results[frame], told)
            assert {name: record[name] for name in expected} == expected, f"frame {frame}, {modes[frame]}, {told}"
        assert {record["exit"] for record in records} == set(range(count + 1))
    gate = next(layer for layer in graph.gates if layer.out_channels == 16)
    gated = [frame for frame in range(FRAMES) if modes[frame] not in graph.ungated]
    masks = {(int(kinds[frame]), int(results[frame][0].decisions[gate.name][results[frame][1]].sum())) for frame in gated}
    assert masks == {(0, 0), (1, 6), (2, 8), (3, 14), (4, 16)}
