"""Writes a file as the Joulescope's driver records it: jls_writer.py FILE.npz FILE.jls. At 10 kS/s, with 500 samples lost.

The archive holds float32 arrays by the names of signals, and `bits`, uint8, under a name of its own: see `write_jls` in test_measured.py.
"""

import sys

import numpy as np
import pyjls

RATE, FIRST, LOST = 10_000, 5000, slice(40_000, 40_500)

with np.load(sys.argv[1]) as archive:
    signals = {name: archive[name] for name in archive.files}
gpi = next(name for name in signals if name.startswith("gpi"))
bits = signals.pop(gpi)
writer = pyjls.Writer(sys.argv[2])
writer.source_def(source_id=1, name="js220", vendor="Jetperch", model="JS220", version="1", serial_number="001234")
for number, (name, values) in enumerate(signals.items(), 1):
    kind = {"signal_type": pyjls.SignalType.FSR, "data_type": pyjls.DataType.F32, "sample_rate": RATE, "units": name[0]}
    writer.signal_def(number, source_id=1, name=name, **kind)
    writer.fsr_f32(number, FIRST, values[: LOST.start])
    writer.fsr_f32(number, FIRST + LOST.stop, values[LOST.stop :])
kind = {"signal_type": pyjls.SignalType.FSR, "data_type": pyjls.DataType.U1, "sample_rate": RATE, "units": ""}
writer.signal_def(9, source_id=1, name=gpi, **kind)
writer.fsr(9, FIRST, np.packbits(bits, bitorder="little")[: len(bits) // 8])
writer.close()
