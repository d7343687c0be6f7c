"""Images: what the picture shows is what the network sees; what cannot be, and labels that cannot be, are told."""

import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from tests.mutations import hollow_npy, hollow_png

IMAGE = np.random.default_rng(5).integers(0, 256, (32, 32, 3), dtype=np.uint8)
GREY = IMAGE[:, :, 0]


@pytest.fixture(scope="module")
def run(build, program):
    """A function: logits of images at a path, mode 1/16."""

    def call(path, count=1):
        done = program("--board-dir", build, "--json", "--mode", "1/16", "--count", count, "--images", path)
        assert (done.code, done.err) == (0, "")
        return json.loads(done.out)

    return call


@pytest.fixture(scope="module")
def expected(run, tmp_path_factory):
    """A function: the result of the 8-bit RGB image uint8 [32, 32, 3]."""

    def call(image):
        path = tmp_path_factory.mktemp("expected") / "x.npz"
        np.savez(path, x=image[None])
        return run(path)["logits"]

    return call


def grey(plane):
    return np.repeat(plane[:, :, None], 3, axis=2)


@pytest.fixture
def refuse(build, program):
    """A function: the program refuses the images at a path in one sentence."""
    return lambda path, saying, count=1: program.refuse("--board-dir", build, "--count", count, "--images", path, saying=saying)


# --- pictures


def test_sixteen_bit_grey_is_scaled(run, expected, tmp_path):
    """Its upper byte counts; the lower one here is arbitrary."""
    values = GREY.astype(np.uint16) << 8 | IMAGE[:, :, 1]
    Image.fromarray(values).save(tmp_path / "grey.png")
    assert run(tmp_path)["logits"] == expected(grey(GREY))


def test_sixteen_bit_grey_of_a_pixmap(run, expected, tmp_path):
    values = GREY.astype(">u2") * 257
    (tmp_path / "grey.ppm").write_bytes(b"P5 32 32 65535\n" + values.tobytes())
    assert run(tmp_path)["logits"] == expected(grey(GREY))


@pytest.mark.parametrize(
    "orientation, turn",
    [
        (2, lambda a: a[:, ::-1]),
        (3, lambda a: a[::-1, ::-1]),
        (4, lambda a: a[::-1]),
        (5, lambda a: a.transpose(1, 0, 2)),
        (6, lambda a: np.rot90(a, -1)),
        (7, lambda a: a[::-1, ::-1].transpose(1, 0, 2)),
        (8, lambda a: np.rot90(a, 1)),
    ],
)
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_exif_orientation_is_obeyed(run, expected, tmp_path, suffix, orientation, turn):
    """EXIF 2.32, tag 0x0112: 6 is stored so that it must be turned a quarter to the right to stand upright."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(IMAGE).save(tmp_path / f"turned.{suffix}", exif=exif)
    plain = io.BytesIO()
    Image.fromarray(IMAGE).save(plain, {"png": "PNG", "jpg": "JPEG"}[suffix])
    stored = np.asarray(Image.open(plain))
    assert run(tmp_path)["logits"] == expected(np.ascontiguousarray(turn(stored)))


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK"])
def test_modes_without_transparency(run, expected, tmp_path, mode):
    picture = Image.fromarray(IMAGE).convert(mode)
    picture.save(tmp_path / ("x.jpg" if mode == "CMYK" else "x.png"), quality=100)
    shown = Image.open(next(tmp_path.iterdir())).convert("RGB")
    assert run(tmp_path)["logits"] == expected(np.asarray(shown))
    if mode in ("RGBA", "P"):
        wanted = IMAGE if mode == "RGBA" else np.asarray(picture.convert("RGB"))
        assert run(tmp_path)["logits"] == expected(wanted)


def test_transparency_is_told(refuse, tmp_path):
    def save(picture, **options):
        picture.save(tmp_path / "x.png", **options)
        refuse(tmp_path, "x.png is transparent in places; lay it on a background")

    alpha = np.full((32, 32), 255, np.uint8)
    alpha[3, 5] = 254
    save(Image.fromarray(np.dstack([IMAGE, alpha])))
    save(Image.fromarray(np.dstack([GREY, alpha]), "LA"))
    palette = Image.fromarray(IMAGE).quantize(16)
    save(palette, transparency=int(np.asarray(palette)[0, 0]))
    save(Image.fromarray(GREY), transparency=int(GREY[0, 0]))


def test_floating_point_is_told(refuse, tmp_path):
    (tmp_path / "x.ppm").write_bytes(b"Pf\n32 32\n-1.0\n" + np.zeros((32, 32), "<f4").tobytes())
    refuse(tmp_path, "x.ppm")


def test_wrong_size(refuse, tmp_path):
    Image.new("RGB", (48, 32)).save(tmp_path / "wide.png")
    refuse(tmp_path, "wide.png is 48x32 pixels, the network takes 32x32")


@pytest.mark.parametrize("side, saying", [(13_000, "x.png is 13000x13000 pixels"), (60_000, "x.png is no readable picture")])
def test_decompression_bombs(refuse, tmp_path, side, saying):
    (tmp_path / "x.png").write_bytes(hollow_png(side, side))
    refuse(tmp_path, saying)


def test_foreign_pictures(refuse, tmp_path):
    for name, contents, saying in (
        ("x.png", b"hello", "x.png is no readable picture"),
        ("x.png", b"", "x.png is no readable picture"),
        ("x.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 32\n", "x.png holds EPS; save it as PNG"),
    ):
        (tmp_path / name).write_bytes(contents)
        refuse(tmp_path, saying)


def test_a_folder_named_as_a_picture(refuse, tmp_path):
    (tmp_path / "x.png").mkdir()
    refuse(tmp_path, "x.png is no file")


def test_no_picture(refuse, tmp_path):
    refuse(tmp_path, "holds no picture")


def test_only_pictures_that_are_used_are_read(run, refuse, tmp_path):
    Image.fromarray(IMAGE).save(tmp_path / "1.png")
    (tmp_path / "2.png").write_bytes(b"")
    run(tmp_path)
    refuse(tmp_path, "2.png", count=2)


# --- arrays


def save(path, **arrays):
    np.savez(path, **arrays)
    return path


def test_arrays_alone_and_compressed(run, expected, tmp_path):
    np.save(tmp_path / "x.npy", IMAGE[None])
    np.savez_compressed(tmp_path / "x.npz", test_x=IMAGE[None], test_y=[3])
    assert run(tmp_path / "x.npy")["logits"] == run(tmp_path / "x.npz")["logits"] == expected(IMAGE)


@pytest.mark.parametrize(
    "labels, saying",
    [
        (np.arange(1, 11), "go from 1 to 10; subtract 1, the classes are 0 to 9"),
        (np.arange(10) + 1000, "go from 1000 to 1009; the network's classes are 0 to 9"),
        (np.arange(10) - 2, "go from -2 to 7; the network's classes are 0 to 9"),
        (np.full(10, 2**64 - 1, np.uint64), "go from 18446744073709551615 to 18446744073709551615"),
        (np.arange(10) / 10, "the labels of"),
        (np.array(["cat"] * 10), "the labels of"),
        (np.zeros(9, int), "the labels of"),
        (np.zeros((10, 1), int), "the labels of"),
        (np.array([True] * 10), "the labels of"),
    ],
)
def test_labels_that_cannot_be(refuse, tmp_path, labels, saying):
    refuse(save(tmp_path / "x.npz", x=np.zeros((10, 32, 32, 3), np.uint8), y=labels), saying)


def test_labels_beyond_the_frames_that_run_are_told_too(refuse, tmp_path):
    refuse(save(tmp_path / "x.npz", x=np.zeros((10, 32, 32, 3), np.uint8), y=np.arange(1, 11)), "subtract 1", count=1)


@pytest.mark.parametrize("kind", ["i1", "u1", ">i4", "<u8", "i8"])
def test_accuracy_of_labels_of_any_integer_kind(run, tmp_path, kind):
    images = np.random.default_rng(6).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    seen = run(save(tmp_path / "x.npz", x=images), 6)
    assert seen["accuracy"] is None
    labels = np.array(seen["predictions"]).astype(kind)
    labels[0] = (labels[0] + 1) % 10
    assert run(save(tmp_path / "x.npz", x=images, y=labels), 6)["accuracy"] == pytest.approx(5 / 6)


def test_unknown_labels_do_not_count(run, tmp_path):
    images = np.random.default_rng(6).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    predictions = np.array(run(save(tmp_path / "x.npz", x=images), 4)["predictions"])
    labels = np.where(np.arange(4) < 2, predictions, -1)
    assert run(save(tmp_path / "x.npz", x=images, y=labels), 4)["accuracy"] == 1


@pytest.mark.parametrize(
    "array, saying",
    [
        (np.zeros((2, 28, 28), np.uint8), "give uint8 [N, 32, 32, 3]"),
        (np.zeros((2, 32, 32, 3)), "are float64 [2, 32, 32, 3]; give uint8 [N, 32, 32, 3]"),
        (np.zeros((0, 32, 32, 3), np.uint8), "holds no image"),
        (np.asfortranarray(np.zeros((2, 32, 32, 3), np.uint8)), "ascontiguousarray"),
        (np.array(None), "give uint8 [N, 32, 32, 3]"),
    ],
)
def test_images_that_cannot_be(refuse, tmp_path, array, saying):
    refuse(save(tmp_path / "x.npz", x=array), saying)
    np.save(tmp_path / "x.npy", array)
    refuse(tmp_path / "x.npy", saying)


@pytest.mark.parametrize(
    "count, saying",
    [(10**12, "holds 1,000,000,000,000 images; give at most"), (1_000_001, "holds 1,000,001 images"), (900_000, "ends too early")],
)
def test_giant_headers_are_not_believed(refuse, program, tmp_path, count, saying):
    (tmp_path / "x.npy").write_bytes(hollow_npy((count, 32, 32, 3)))
    refuse(tmp_path / "x.npy", saying)
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        with zipfile.ZipFile(tmp_path / "x.npz", "w", method) as archive:
            archive.writestr("x.npy", hollow_npy((count, 32, 32, 3)))
        refuse(tmp_path / "x.npz", saying)
    (tmp_path / "x.npy").write_bytes(b"\x93NUMPY\x02\x00" + (2**32 - 1).to_bytes(4, "little") + b" " * 100)
    refuse(tmp_path / "x.npy", "its header has 4,294,967,295 bytes")


def test_giant_labels(refuse, tmp_path):
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("x.npy", hollow_npy((1, 32, 32, 3)) + bytes(3072))
        archive.writestr("y.npy", hollow_npy((10**13,), "<i8"))
    refuse(tmp_path / "x.npz", "the labels of")


def test_a_flipped_bit_of_an_archive_is_told_wherever_it_is(refuse, tmp_path):
    """Even in an image that would not be used."""
    save(tmp_path / "x.npz", x=np.zeros((50, 32, 32, 3), np.uint8))
    data = bytearray((tmp_path / "x.npz").read_bytes())
    data[100_000] ^= 1
    (tmp_path / "x.npz").write_bytes(data)
    refuse(tmp_path / "x.npz", "is no readable array file (Bad CRC-32")


def test_archives_that_are_none(refuse, tmp_path):
    path = tmp_path / "x.npz"
    for contents in (b"", b"PK", b"hello", b"\x93NUMPY", b"\x93NUMPY\x09\x00", bytes(1000), b"\x93NUMPY\x01\x00\x06\x00(((((("):
        path.write_bytes(contents)
        refuse(path, "is no readable array file")
    save(path, z=np.zeros(3))
    refuse(path, "has no key x")
    path.write_bytes(save(path, x=np.zeros((4, 32, 32, 3), np.uint8)).read_bytes()[:-3000])
    refuse(path, "is no readable array file")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("x.npy", hollow_npy((1, 32, 32, 3)) + bytes(3072))
    refuse(path, "compression 14 is none of numpy's")
    np.save(tmp_path / "x.npy", np.zeros((2, 32, 32, 3), np.uint8))
    (tmp_path / "x.npy").write_bytes((tmp_path / "x.npy").read_bytes() + b"x")
    refuse(tmp_path / "x.npy", "holds more than its header says")


def test_nothing_there(refuse, tmp_path):
    import os

    refuse(tmp_path / "none.npz", "none.npz does not exist")
    refuse("x" * 5000, "File name too long")
    os.mkfifo(tmp_path / "pipe.npz")
    refuse(tmp_path / "pipe.npz", "is neither a file nor a folder")
    os.mkfifo(tmp_path / "pipe.png")
    refuse(tmp_path, "pipe.png is no file")
    refuse("a\nb", "a\\nb does not exist")
