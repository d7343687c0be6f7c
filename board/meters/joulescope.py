"""Files that a Joulescope recorded (JLS, by pyjoulescope_driver or the Joulescope's own program), through `pyjls`.

The marker is general-purpose input 0, which the instrument records beside power, sample by sample.
"""

from pathlib import Path

import numpy as np

from board.errors import BoardError
from board.meters.recording import Recording

RATE = 10_000.0  # samples/s of the trace: what is recorded faster is averaged
AT_ONCE = 1 << 22  # samples


def read_jls(path: Path, marker: str = "gpi[0]") -> Recording:
    """The recording in a JLS file with power (or current and voltage) and the marker's input.

    Args:
        marker: the signal of the input that the board's pin is wired to.

    Raises:
        BoardError: it is no such file, or pyjls is missing.
    """
    try:
        import pyjls
    except ImportError:
        raise BoardError("pyjls is missing; type: pip install pyjls.") from None
    if not path.is_file():
        raise BoardError(f"{path} is missing; name the Joulescope's .jls file.")
    try:
        reader = pyjls.Reader(str(path))
    except (RuntimeError, ValueError, OSError) as problem:
        raise BoardError(f"{path} is no JLS file ({problem!s:.100}); name the Joulescope's .jls file.") from None
    try:
        signals = {signal.name: signal for signal in reader.signals.values() if signal.sample_rate}
        for name in [marker, *([] if "power" in signals else ["current", "voltage"])]:
            if name not in signals:
                raise BoardError(f"{path} has no signal {name!r:.40} but {', '.join(signals)!s:.100}; record it too.")
        factors = [signals["power"]] if "power" in signals else [signals["current"], signals["voltage"]]
        times, watts = _averages(reader, factors)
        mark_times, marks = _bits(reader, signals[marker])
        source = reader.sources[signals[marker].source_id]
        identity = {"name": "joulescope", "file": path.name, "model": source.model, "serial": source.serial_number}
        return Recording(times, watts, mark_times, marks, 0.0, identity)
    finally:
        reader.close()


def _averages(reader, factors):
    """Times and means, some samples each, of a signal or of the product of two; NaN where samples are missing."""
    rate, first = factors[0].sample_rate, factors[0].sample_id_offset
    block = max(1, int(rate / RATE))
    length = min(signal.length for signal in factors) // block * block
    means = [np.zeros(0)]
    for at in range(0, length, AT_ONCE // block * block):
        count = min(AT_ONCE // block * block, length - at)
        values = np.ones(count)
        for signal in factors:
            values *= reader.fsr(signal.signal_id, at, count)
        means.append(values.reshape(-1, block).mean(axis=1))
    watts = np.concatenate(means)
    return (first + block * (np.arange(len(watts)) + 0.5)) / rate, watts


def _bits(reader, signal):
    """Times of the edges of a signal of one bit, and its level from each on."""
    times, levels, before = [], [], None
    for at in range(0, signal.length, AT_ONCE):
        count = min(AT_ONCE, signal.length - at)
        bits = np.unpackbits(np.asarray(reader.fsr(signal.signal_id, at, count), np.uint8), bitorder="little")[:count]
        changes = np.flatnonzero(np.diff(bits)) + 1
        if before is None or bits[0] != before:
            changes = np.append(0, changes)
        times.append((signal.sample_id_offset + at + changes) / signal.sample_rate)
        levels.append(bits[changes].astype(bool))
        before = bits[-1]
    if not times:
        return np.zeros(0), np.zeros(0, bool)
    return np.concatenate(times), np.concatenate(levels)
