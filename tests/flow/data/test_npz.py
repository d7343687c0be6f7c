"""Arrays of files that are damaged, foreign or giant: nothing is allocated that the file cannot hold."""

import io
import os
import resource
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from flow.data.npz import read_npz
from flow.errors import GatefoldError

GIANT = (10**12, 32, 32, 3)


def npy(shape, dtype="|u1", data=b"", version=(1, 0)):
    file = io.BytesIO()
    write = np.lib.format.write_array_header_1_0 if version == (1, 0) else np.lib.format.write_array_header_2_0
    write(file, {"descr": dtype, "fortran_order": False, "shape": shape})
    return file.getvalue() + data


def write(path, members, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def read(path):
    return read_npz(path, ("x", "y"), "give another")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_what_numpy_saves(save, tmp_path):
    arrays = {
        "x": np.random.default_rng(0).integers(0, 256, (3, 4), dtype=np.uint8),
        "y": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "z": np.zeros(2, object),  # not asked for, so not read
    }
    save(tmp_path / "a.npz", **arrays)
    found = read(tmp_path / "a.npz")
    assert list(found) == ["x", "y"] and all(np.array_equal(found[key], arrays[key]) for key in found)
    save(tmp_path / "b.npz", x=np.zeros((0, 5)), y=np.array("name"))
    found = read(tmp_path / "b.npz")
    assert found["x"].shape == (0, 5) and found["y"] == "name"
    save(tmp_path / "c.npz", x=np.zeros((500, 1000)))  # as small as Deflate makes anything
    assert read(tmp_path / "c.npz")["x"].shape == (500, 1000)


def test_newer_headers(tmp_path):
    write(tmp_path / "a.npz", {"x.npy": npy((2,), data=b"ab", version=(2, 0))})
    assert read(tmp_path / "a.npz")["x"].tolist() == [97, 98]


@pytest.mark.parametrize(
    "members",
    [
        {"x.npy": npy(GIANT)},
        {"x.npy": npy((10**30,))},
        {"x.npy": npy((-1, 3))},
        {"x.npy": npy((2,), "|O", b"\x80\x04N.")},
        {"x.npy": npy((2,), data=b"a")},
        {"x.npy": npy((2,), data=b"abc")},
        {"x.npy": npy((2,), data=b"ab")[:-60]},
        {"x.npy": b"hello"},
        {"x.npy": b""},
        {"x": b"\x93NUMPY\x09\x00"},
    ],
)
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_headers_that_lie(members, method, tmp_path):
    with pytest.raises(GatefoldError, match="a.npz cannot be read as an .npz file; save it again"):
        read(write(tmp_path / "a.npz", members, method))


def test_a_zip_that_lies(tmp_path):
    """The directory of the archive claims the giant size too."""
    path = write(tmp_path / "a.npz", {"x.npy": npy((10**9,), data=bytes(100))}, zipfile.ZIP_STORED)
    data = path.read_bytes()
    size, claimed = (len(npy((10**9,))) + more for more in (100, 10**9))
    path.write_bytes(data.replace(size.to_bytes(4, "little"), claimed.to_bytes(4, "little")))
    with pytest.raises(GatefoldError, match="cannot be read"):
        read(path)


def test_more_than_the_memory(tmp_path, monkeypatch):
    np.savez(tmp_path / "a.npz", x=np.zeros(5000, np.uint8), y=np.zeros(5000, np.uint8))
    real = os.sysconf
    monkeypatch.setattr(os, "sysconf", lambda name: 2 if name == "SC_PHYS_PAGES" else real(name))
    with pytest.raises(GatefoldError, match="more than the memory of this machine; give a part"):
        read(tmp_path / "a.npz")


def test_nothing_giant_is_allocated(tmp_path):
    """In a process that may have 2 GB, a file of some bytes that claims 3 PB."""
    write(tmp_path / "a.npz", {"x.npy": npy(GIANT), "y.npy": npy(GIANT[:1], "<i8")})
    program = "import sys; from flow.data import load_test; load_test(sys.argv[1])"
    limit = lambda: resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))  # noqa: E731
    done = subprocess.run([sys.executable, "-c", program, tmp_path / "a.npz"], capture_output=True, text=True, preexec_fn=limit)
    assert done.returncode == 1 and "GatefoldError" in done.stderr and "cannot be read as an .npz file" in done.stderr, done.stderr


def test_flipped_bits_do_not_go_through(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros(1000, np.uint8))
    data = bytearray((tmp_path / "a.npz").read_bytes())
    data[500] ^= 1
    (tmp_path / "a.npz").write_bytes(data)
    with pytest.raises(GatefoldError, match="cannot be read"):
        read(tmp_path / "a.npz")


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda path: None, "There is no file .*; give another"),
        (os.mkdir, "is a folder; give another"),
        (os.mkfifo, "is not a regular file; give another"),
        (lambda path: path.symlink_to(path), "There is no file"),
        (lambda path: path.symlink_to("/dev/zero"), "is not a regular file"),
    ],
)
def test_what_is_no_file(make, message, tmp_path):
    make(tmp_path / "a.npz")
    with pytest.raises(GatefoldError, match=message):
        read(tmp_path / "a.npz")
    with pytest.raises(GatefoldError, match="There is no file"):
        read(tmp_path / ("x" * 300))
