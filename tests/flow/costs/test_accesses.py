"""Access counts of SCALE-Sim against the arithmetic of a weight-stationary array, and their cache."""

import numpy as np
import pytest
from scalesim.memory.read_buffer_estimate_bw import ReadBufferEstimateBw
from scalesim.memory.read_port import read_port

from flow.costs import accesses
from flow.costs.accesses import Accesses, Shape, count_accesses, simulate


@pytest.mark.parametrize("shape", [Shape(16, 16, 3, 1, 32), Shape(16, 32, 3, 2, 16), Shape(64, 10, 1, 1, 1)])
def test_weight_stationary_counts(shape):
    """Inputs are streamed once per 14 filters, sums leave once per 12 rows of a filter, weights are loaded once."""
    windows, row = shape.out_size**2, shape.kernel**2 * shape.in_channels
    size = (shape.out_size - 1) * shape.stride + shape.kernel
    counts = simulate(shape)
    assert counts.cache_inputs == windows * row * -(-shape.out_channels // 14)
    assert counts.cache_weights == row * shape.out_channels
    assert counts.cache_outputs == windows * shape.out_channels * -(-row // 12)
    assert counts.main_inputs == size**2 * shape.in_channels
    assert counts.main_weights == row * shape.out_channels
    assert counts.main_outputs == windows * shape.out_channels


def test_main_reads_are_those_of_scale_sims_buffer(monkeypatch):
    monkeypatch.setattr(accesses, "BUFFER_KIB", 2)

    def reference(demand):
        buffer = ReadBufferEstimateBw()
        buffer.set_params(read_port(), total_size_bytes=2048, word_size=1, active_buf_frac=0.5)
        for cycle, line in enumerate(demand):
            buffer.service_reads(line[None], np.array([[cycle]]))
        buffer.complete_all_prefetches()
        return buffer.get_num_accesses()

    rng = np.random.default_rng(0)
    fits = rng.integers(-1, 900, (400, 12))
    exceeds = np.concatenate([np.arange(6000).reshape(-1, 12)] * 2)
    assert accesses._main_reads(fits) == reference(fits) == len(np.unique(fits[fits >= 0]))
    assert accesses._main_reads(exceeds) == reference(exceeds) > 6000


def test_a_shape_is_simulated_once(tmp_path, monkeypatch):
    monkeypatch.setenv("GATEFOLD_BUILD", str(tmp_path))
    shape = Shape(4, 8, 1, 1, 4)
    first = count_accesses(shape)
    monkeypatch.setattr(accesses, "simulate", lambda _: pytest.fail("simulated again"))
    assert count_accesses(shape) == first
    (file,) = (tmp_path / "cache" / "scalesim").glob("*.json")
    file.write_text("{")  # a damaged entry is made again
    monkeypatch.setattr(accesses, "simulate", lambda _: Accesses(1, 2, 3, 4, 5, 6))
    assert count_accesses(shape) == Accesses(1, 2, 3, 4, 5, 6)
