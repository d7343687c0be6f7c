"""Versal's floating-point cell against single precision of numpy: rounding, subnormals and flags as AMD's AM004 gives them."""

import numpy as np

from flow.simulation import compile_model
from flow.simulation.compile import RTL
from flow.simulation.library import Model

REGISTERS = ("AREG", "FPA_PREG", "FPBREG", "FPCREG", "FPDREG", "FPMPIPEREG", "FPM_PREG", "FPOPMREG", "INMODEREG")
SPECIAL = [0x00000000, 0x80000000, 0x00000001, 0x807FFFFF, 0x00800000, 0x80800001, 0x7F7FFFFF, 0xFF7FFFFF, 0x3F800000, 0xBF800001]
SPECIAL += [0x20000000, 0xA0000001, 0x7F800000, 0xFF800000, 0x7FC00000, 0x7F800001]
PRODUCT_PLUS_C = 0b0011001  # FPA = C + FPM


def flushed(value):
    """A subnormal as a zero of its sign."""
    return value & np.uint32(0x80000000) if value & 0x7F800000 == 0 else value


def expected(operation, one, other):
    """(bits, invalid, overflow, underflow) of an operation on single precision, given as bits."""
    u, v = (np.array([flushed(np.uint32(word))]).view(np.float32)[0] for word in (one, other))
    with np.errstate(all="ignore"):
        result = operation(u, v)
        exact = operation(np.float64(u), np.float64(v))
    signalling = any(word & 0x7F800000 == 0x7F800000 and word & 0x7FFFFF and not word & 0x400000 for word in (one, other))
    finite = np.isfinite(u) and np.isfinite(v)
    invalid = signalling or (np.isnan(result) and not np.isnan(u) and not np.isnan(v))
    tiny = bool(finite and exact != 0 and abs(result) < np.finfo(np.float32).tiny)
    bits = 0x7FC00000 if np.isnan(result) else int(flushed(np.array([result]).view(np.uint32)[0]))
    return bits, bool(invalid), bool(finite and np.isinf(result)), tiny


def test_products_sums_and_flags():
    rng = np.random.default_rng(0)
    words = [*SPECIAL, *rng.integers(0, 2**32, 40, dtype=np.uint64).tolist()]
    library = compile_model("DSPFP32", [RTL / "gf_float.sv", RTL / "cells" / "DSPFP32.sv"], parameters=dict.fromkeys(REGISTERS, 0))
    seen = set()
    with Model(library, clock="CLK") as model:
        model.write("FPINMODE", 1)
        model.write("FPOPMODE", PRODUCT_PLUS_C)
        for a in words:
            for b in words:
                c = b ^ 0x80000001 if a == 0x3F800000 else words[(a + b) % len(words)]  # a neighbour's difference
                for port, word in (("A", a), ("B", b)):
                    model.write(f"{port}_SIGN", word >> 31)
                    model.write(f"{port}_EXP", word >> 23 & 0xFF)
                    model.write(f"{port}_MAN", word & 0x7FFFFF)
                model.write("C", c)
                model.run(10)
                product = expected(np.multiply, a, b)
                for unit, answer in (("FPM", product), ("FPA", expected(np.add, product[0], c))):
                    flags = tuple(bool(model.read(f"{unit}_{name}")) for name in ("INVALID", "OVERFLOW", "UNDERFLOW"))
                    assert (model.read(f"{unit}_OUT"), *flags) == answer, (unit, hex(a), hex(b), hex(c))
                    seen.add((unit, flags))
    assert len(seen) == 8  # none, and each flag, of both units
