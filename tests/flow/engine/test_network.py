"""Network images: what goes in comes out, whatever the sizes of the memories, and nothing that is damaged is believed."""

import random

import pytest

from flow.engine.compile import compile_graph
from flow.engine.config import Folding
from flow.engine.images import widths
from flow.engine.network import BLOCK, KERNEL_BITS, network_image, read_image
from flow.errors import GatefoldError
from flow.graph.random_graph import random_resnet

WIDTHS = {"weights": KERNEL_BITS, "requant": 54, "fc_weights": 128, "fc_bias": 32, "program": 144, "tables": 10}


@pytest.mark.parametrize("seed", range(20))
def test_what_goes_in_comes_out(seed):
    chance = random.Random(seed)
    memories = {
        name: [chance.getrandbits(width) for _ in range(chance.choice([1, 2, 15, 16, 17, 40]))]
        for name, width in WIDTHS.items()
        if chance.random() < 0.8
    }
    image = network_image(memories, "c0ffee42" * 8, WIDTHS, 5)
    assert len(image) % (8 * BLOCK) == 0 and image[:8] == b"GATEFOLD" and image[16:20] == bytes.fromhex("42eeffc0")
    assert read_image(image, WIDTHS) == memories


def test_a_network_s_own():
    compiled = compile_graph(random_resnet(6), Folding(v=8))
    assert read_image(compiled.image("0" * 64), widths(compiled.plan.config)) == compiled.memories


def test_every_flipped_bit_and_every_cut_is_seen():
    image = network_image({"weights": list(range(20)), "fc_bias": [7]}, "0" * 64, WIDTHS, 1)
    for bit in range(8 * len(image)):
        if (
            8 * 16 <= bit < 8 * 20 or 8 * 24 <= bit < 8 * 8 * BLOCK
        ):  # the engine's hash, which the accelerator compares, and reserved words
            continue
        damaged = bytearray(image)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(GatefoldError, match="network image"):
            read_image(bytes(damaged), WIDTHS)
    for length in range(len(image)):
        with pytest.raises(GatefoldError, match="network image"):
            read_image(image[:length], WIDTHS)
