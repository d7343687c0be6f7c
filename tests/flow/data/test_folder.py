"""Folders of pictures: classes, division, size, and what is refused."""

import io

import numpy as np
import pytest
from PIL import Image

from flow.cli import main
from flow.data import load, load_test, load_training
from flow.data.folder import load_folder
from flow.errors import GatefoldError


def save(path, value=0, size=(32, 32), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value).save(path)


@pytest.fixture
def pictures(tmp_path):
    """Two classes of 10 and 5 pictures, each of one grey value of its own."""
    folder = tmp_path / "pictures"
    for name, first, count in (("cat", 0, 10), ("ant", 100, 5)):
        for i in range(count):
            save(folder / name / f"{i:02}.png", (first + i,) * 3)
    return folder


def test_a_folder_is_divided_class_by_class_and_always_the_same_way(pictures):
    data = load_training(str(pictures))
    assert data.name == "pictures" and data.class_names == ("ant", "cat") and data.num_classes == 2 and not data.mirrored
    assert data.train_x.shape == (12, 32, 32, 3) and data.train_x.dtype == np.uint8 and data.test_x.shape == (3, 32, 32, 3)
    for images, labels in ((data.train_x, data.train_y), (data.test_x, data.test_y)):
        assert labels.dtype == np.int64
        assert ((images[:, 0, 0, 0] < 100) == (labels == 1)).all()
    assert np.bincount(data.test_y).tolist() == [1, 2]
    values = [*data.train_x[:, 0, 0, 0].tolist(), *data.test_x[:, 0, 0, 0].tolist()]
    assert sorted(values) == [*range(10), *range(100, 105)]
    assert data.division == "a fixed fifth of the pictures of each class"
    again = load(str(pictures))
    assert np.array_equal(again.train_x, data.train_x) and np.array_equal(again.test_x, data.test_x)
    test_x, test_y = load_test(f"{pictures}/", 2, ["ant", "cat"])
    assert np.array_equal(test_x, data.test_x) and np.array_equal(test_y, data.test_y)
    # A further class does not change how the others are divided.
    for i in range(5):
        save(pictures / "bee" / f"{i}.png", (200 + i,) * 3)
    wider = load(str(pictures))
    assert wider.class_names == ("ant", "bee", "cat")
    assert wider.test_x[wider.test_y == 2].tolist() == data.test_x[data.test_y == 1].tolist()


def test_the_first_pictures_are_of_all_classes(tmp_path):
    for label, count in enumerate((40, 10, 5)):
        for i in range(count):
            save(tmp_path / f"class {label}" / f"{i:02}.png", (10 * label + i % 10,) * 3)
    data = load(str(tmp_path))
    assert np.bincount(data.train_y).tolist() == [32, 8, 4] and np.bincount(data.train_y[:11]).tolist() == [8, 2, 1]
    assert np.bincount(data.test_y).tolist() == [8, 2, 1] and set(data.test_y[:7]) == {0, 1, 2}


@pytest.mark.parametrize("second", ["test", "val"])
def test_a_folder_that_is_divided_stays_so(tmp_path, second):
    for part, count in (("train", 3), (second, 1)):
        for label, name in enumerate(("b", "a")):
            for i in range(count):
                save(tmp_path / part / name / "deeper" / f"{i}.png", (100 * label + i,) * 3)
    (tmp_path / "train" / "a" / ".hidden").write_text("")
    (tmp_path / ".DS_Store").write_text("")
    data = load(str(tmp_path))
    assert data.class_names == ("a", "b") and len(data.train_x) == 6 and len(data.test_x) == 2 and data.division == ""
    assert data.train_y.tolist() == [0, 1] * 3 and data.train_x[:, 0, 0, 0].tolist() == [100, 0, 101, 1, 102, 2]


def test_pictures_cover_the_square_and_are_cut_to_their_centre(tmp_path):
    wide = np.zeros((64, 192, 3), np.uint8)
    wide[:, 64:128] = (10, 200, 30)
    for name in ("a", "b"):
        for i in range(2):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.fromarray(wide).save(tmp_path / name / f"{i}.png")
    for size in (32, 16):
        images = load(str(tmp_path), size=size).train_x
        assert images.shape == (2, size, size, 3)
        assert (images[:, :, 1:-1] == (10, 200, 30)).all()
    assert np.array_equal(load_folder(tmp_path, (64, 64, 3))[0][0], wide[:, 64:128])  # nothing is scaled, nothing changes


def test_every_kind_of_picture_becomes_rgb(tmp_path):
    grey, deep = np.full((32, 32), 77, np.uint8), np.full((32, 32), 77 * 256 + 5, np.uint16)
    turned = np.zeros((32, 32, 3), np.uint8)
    turned[:, :16] = 77
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        Image.fromarray(grey).save(folder / "grey.png")
        Image.fromarray(deep).save(folder / "deep.png")
        Image.fromarray(np.dstack([grey, grey, grey, np.full_like(grey, 255)])).save(folder / "opaque.png")
        Image.fromarray(grey).convert("P").save(folder / "palette.gif")
        Image.fromarray(turned).save(folder / "turned.png", exif=exif)
    data = load(str(tmp_path))
    images = np.concatenate([data.train_x, data.test_x])
    plain = [image for image in images if (image == 77).all()]
    assert len(images) == 10 and len(plain) == 8
    other = next(image for image in images if (image != 77).any())
    assert (other[:, 16:] == 77).all() and (other[:, :16] == 0).all()


def broken(path):
    content = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(content, "PNG")
    path.write_bytes(content.getvalue()[:500])


REFUSED = {
    "text": (lambda f: (f / "cat" / "notes.txt").write_text("x"), r"cat/notes.txt is no picture \(.png, .*\); take it away"),
    "unreadable": (lambda f: (f / "cat" / "03.png").write_text("x"), "cat/03.png cannot be read as a picture; save it again"),
    "truncated": (lambda f: broken(f / "cat" / "03.png"), "cat/03.png cannot be read as a picture; save it again"),
    "transparent": (lambda f: save(f / "cat" / "03.png", (9, 9, 9, 9), mode="RGBA"), "cat/03.png is transparent in places"),
    "floating point": (lambda f: save(f / "cat" / "x.tiff", 0.5, mode="F"), "cat/x.tiff cannot be read as a picture"),
    "empty class": (lambda f: (f / "bee").mkdir(), "bee holds no picture; give each class some"),
    "folder as picture": (lambda f: (f / "bee" / "x.png").mkdir(parents=True), "bee holds no picture"),
    "one picture": (lambda f: save(f / "bee" / "x.png"), "bee holds one picture; give at least 2"),
    "beside": (lambda f: save(f / "x.png"), "pictures/x.png lies beside the folders of the classes"),
    "one class": (lambda f: (f / "ant").rename(f.parent / "ant"), "pictures has one class, which leaves nothing to tell apart"),
    "no class": (lambda f: [(f / n).rename(f.parent / n) for n in ("ant", "cat")], "pictures has no classes"),
    "a way back": (lambda f: (f / "zoo").symlink_to(f), "zoo leads back to .*pictures, so that every picture would be in two classes"),
    "odd name": (lambda f: (f / "cat").rename(f / "c\nat"), "give each class 1 to 64 printable characters"),
    "long name": (lambda f: (f / "cat").rename(f / ("c" * 65)), "give each class 1 to 64 printable characters"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_such_folder_is_told(pictures, capsys, tmp_path, case):
    change, words = REFUSED[case]
    change(pictures)
    with pytest.raises(GatefoldError, match=words) as caught:
        load(str(pictures))
    assert "\n" not in str(caught.value)
    if case != "odd name":
        assert main(["train", "resnet8", "--data", str(pictures), "--output", str(tmp_path / "out")]) == 2
        assert capsys.readouterr().err.endswith(f"gatefold: {caught.value}\n")
        assert not (tmp_path / "out").exists() or not list((tmp_path / "out").glob("*.pt"))


def test_pictures_as_a_network_takes_them(pictures):
    """Neither square nor in colour: what a network from a QONNX file may ask for."""
    images, labels = load_test(str(pictures), shape=(8, 12, 1))
    assert images.shape == (3, 8, 12, 1) and labels.tolist() == [1, 0, 1]
    assert (images == images[:, :1, :1]).all() and set(images[:, 0, 0, 0]) <= {*range(10), *range(100, 105)}
    with pytest.raises(GatefoldError, match="takes images of 2 colours, which no picture has; give an .npz file"):
        load_test(str(pictures), shape=(8, 12, 2))


def test_both_parts_have_the_same_classes(tmp_path):
    for part, names in (("train", "ab"), ("test", "ac")):
        for name in names:
            save(tmp_path / part / name / "x.png")
    with pytest.raises(GatefoldError, match="test has no class b; give every class pictures to train on and to test with"):
        load(str(tmp_path))


def test_other_options_of_folders(pictures, tmp_path, capsys):
    names = tmp_path / "names.txt"
    names.write_text("a\nb\n")
    with pytest.raises(GatefoldError, match="names its classes by their folders; leave --classes out"):
        load(str(pictures), names)
    with pytest.raises(GatefoldError, match="names other classes than the network, or in another order"):
        load_test(str(pictures), 2, ["cat", "ant"])
    with pytest.raises(GatefoldError, match="give --data an .npz file, a folder of pictures or one of cifar10"):
        load(str(tmp_path / "nothing"))
    with pytest.raises(GatefoldError, match="There is no file"):
        load("x" * 300)
