"""The compressors that stand in for missing LZ4 and zlib headers produce what readers expect."""

import ctypes
import subprocess
import zlib

import numpy as np
import pytest
from test_rtlsim_model import lz4_decode

from flow.simulation.toolchain import CPP

WRAPPER = """
#include "compat/lz4.h"
#include "compat_zlib/zlib.h"
extern "C" int lz4(const char* in, char* out, int n, int room) { return LZ4_compress_default(in, out, n, room); }
extern "C" long stored(const unsigned char* in, unsigned char* out, long n, unsigned long room) {
    return compress2(out, &room, in, n, 6) == Z_OK ? (long)room : -1;
}
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compression")
    (folder / "wrapper.cpp").write_text(WRAPPER)
    subprocess.run(["g++", "-shared", "-fPIC", f"-I{CPP}", folder / "wrapper.cpp", "-o", folder / "wrapper.so"], check=True)
    return ctypes.CDLL(str(folder / "wrapper.so"))


def contents():
    rng = np.random.default_rng(1)
    for size in (0, 1, 4, 12, 13, 14, 70, 300, 5000, 200_000):
        yield bytes(size)
        yield rng.integers(0, 256, size, np.uint8).tobytes()
        yield rng.integers(0, 2, size, np.uint8).tobytes()
        yield (b"signal_name_" * (size // 12 + 1))[:size]


def test_lz4_block_decodes(library):
    for plain in contents():
        room = ctypes.create_string_buffer(len(plain) + len(plain) // 255 + 16)
        size = library.lz4(plain, room, len(plain), len(room))
        assert size > 0 and lz4_decode(room.raw[:size]) == plain
    assert size < len(plain) // 20


def test_stored_zlib_decodes(library):
    library.stored.restype = ctypes.c_long
    library.stored.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_long, ctypes.c_ulong]
    for plain in contents():
        room = ctypes.create_string_buffer(len(plain) + 5 * (len(plain) // 65535 + 1) + 6)
        size = library.stored(plain, room, len(plain), len(room))
        assert zlib.decompress(room.raw[:size]) == plain
