"""Pictures in folders, one per class, as torchvision's ImageFolder takes them.

    FOLDER/CLASS/....png                             a fixed fifth of each class is kept for testing
    FOLDER/train/CLASS/....png, FOLDER/test/CLASS/.... as it is divided there (or val for test)

Classes are numbered in the order of their names. A picture is turned upright as its camera says, scaled so that it covers the
network's rectangle, and cut to its centre; of 16 bits the upper 8 count, grey ones become colour and coloured ones grey as the network
takes them, transparent ones are refused.
"""

import os
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from flow.data.classes import check_names
from flow.errors import GatefoldError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".pgm", ".tif", ".tiff", ".webp", ".gif")
TRAIN, TESTS = "train", ("test", "val")
FIFTH = 5
MODES = {1: "L", 3: "RGB"}
"""Number of colours -> what Pillow calls such pictures."""
LAYOUT = "give a folder with one subfolder of pictures per class"

Part = list[tuple[Path, int]]


def is_divided(folder: Path) -> bool:
    """Whether a folder has pictures to train on and pictures to test with apart."""
    names = {path.name for path in _entries(folder) if path.is_dir()}
    return TRAIN in names and names <= {TRAIN, *TESTS} and len(names) > 1


def load_folder(
    folder: Path, shape: tuple[int, int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, tuple[str, ...]]:
    """train_x uint8 [N, *shape], train_y int64 [N], test_x, test_y, and the names of the classes.

    Args:
        shape: (height, width, colours) that the network takes; 3 colours are RGB, one is grey.

    Raises:
        GatefoldError: the folder is not laid out so, or a picture cannot be read; names it.
    """
    train, test, names = _parts(folder)
    return *_read(train, shape, folder), *_read(test, shape, folder), names


def load_folder_test(folder: Path, shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """test_x, test_y and the names of the classes, as ``load_folder``; the other pictures are not read."""
    _, test, names = _parts(folder)
    return *_read(test, shape, folder), names


def _parts(folder: Path) -> tuple[Part, Part, tuple[str, ...]]:
    """(pictures to train on with their classes, those to test with, names)."""
    if is_divided(folder):
        test_folder = next(folder / name for name in TESTS if (folder / name).is_dir())
        train, test = _classes(folder / TRAIN), _classes(test_folder)
        if list(train) != list(test):
            other = sorted(set(train) ^ set(test))[0]
            lacks = folder / TRAIN if other in test else test_folder
            raise GatefoldError(f"{lacks} has no class {other}; give every class pictures to train on and to test with.")
        return *(_labelled(part) for part in (train, test)), tuple(train)
    classes = _classes(folder)
    train, test = {}, {}
    for name, files in classes.items():
        if len(files) < 2:
            raise GatefoldError(f"{folder / name} holds one picture; give at least 2, one to train on and one to test with.")
        order = np.random.default_rng(0).permutation(len(files))
        count = max(1, len(files) // FIFTH)
        train[name] = [files[i] for i in np.sort(order[count:])]
        test[name] = [files[i] for i in np.sort(order[:count])]
    return _labelled(train), _labelled(test), tuple(classes)


def _labelled(classes: dict[str, list[Path]]) -> Part:
    """Pictures with their classes, these spread evenly: the first N pictures of a set are of all of them."""
    part = [((at + 0.5) / len(files), label, file) for label, files in enumerate(classes.values()) for at, file in enumerate(files)]
    return [(file, label) for _, label, file in sorted(part, key=lambda entry: entry[:2])]


def _entries(folder: Path) -> list[Path]:
    """What lies in a folder, by name; what is hidden does not count."""
    try:
        return sorted((path for path in folder.iterdir() if not path.name.startswith(".")), key=lambda path: path.name)
    except OSError as error:
        raise GatefoldError(f"{folder} cannot be read ({error.strerror}); {LAYOUT}.") from None


def _classes(folder: Path) -> dict[str, list[Path]]:
    """Name of each class to its pictures."""
    entries = _entries(folder)
    beside = next((path for path in entries if not path.is_dir()), None)
    if beside is not None:
        raise GatefoldError(f"{beside} lies beside the folders of the classes; put it into one of them, or take it away.")
    if len(entries) < 2:
        raise GatefoldError(
            f"{folder} has {'one class' if entries else 'no classes'}, which leaves nothing to tell apart; {LAYOUT}, two or more."
        )
    around = next((path for path in entries if folder.resolve().is_relative_to(path.resolve())), None)
    if around is not None:
        raise GatefoldError(f"{around} leads back to {folder}, so that every picture would be in two classes; take it away.")
    names = check_names(folder, [path.name for path in entries])
    return {name: list(_pictures(path)) for name, path in zip(names, entries)}


def _pictures(folder: Path) -> Iterator[Path]:
    """The pictures of a class, in folders within its folder too."""
    found = False
    for where, folders, files in os.walk(folder, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if name.startswith("."):
                continue
            path = Path(where) / name
            if path.suffix.lower() not in SUFFIXES or not path.is_file():
                raise GatefoldError(f"{path} is no picture ({', '.join(SUFFIXES)}); take it away.")
            found = True
            yield path
    if not found:
        raise GatefoldError(f"{folder} holds no picture; give each class some, or take the folder away.")


def _read(part: Part, picture: tuple[int, int, int], folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [N, *picture] and labels int64 [N]."""
    from rich.console import Console
    from rich.progress import track

    if picture[2] not in MODES:
        raise GatefoldError(f"The network takes images of {picture[2]} colours, which no picture has; give an .npz file.")
    shape = (len(part), *picture)
    needed = float(np.prod(shape, dtype=np.float64))
    if needed > os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"):
        raise GatefoldError(f"{folder} would take {needed / 1e9:.0f} GB, more than the memory of this machine; give a part of it.")
    images = np.empty(shape, np.uint8)
    with ThreadPoolExecutor(os.cpu_count()) as pool, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd metadata
        decoded = pool.map(lambda entry: _picture(entry[0], picture), part)
        shown = track(decoded, f"reading {folder.name}", len(part), transient=True, console=Console(stderr=True))
        for image, pixels in zip(images, shown):
            image[:] = pixels
    return images, np.array([label for _, label in part], np.int64)


def _picture(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    """uint8 [*shape]."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as picture:
            upright = ImageOps.exif_transpose(picture)
            if upright.mode.startswith("I"):
                upright = Image.fromarray((np.clip(np.asarray(upright), 0, 0xFFFF) >> 8).astype(np.uint8))
            if upright.mode == "F":
                raise ValueError("pixels in floating point")
            clear = upright.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in upright.info
            transparent = clear and np.asarray(upright.convert("RGBA"))[:, :, 3].min() < 255
            height, width, colours = shape
            pixels = np.asarray(ImageOps.fit(upright.convert(MODES[colours]), (width, height), Image.Resampling.BILINEAR))
    except Exception:  # Pillow raises many kinds for a damaged file
        raise GatefoldError(f"{path} cannot be read as a picture; save it again, or take it away.") from None
    if transparent:
        raise GatefoldError(f"{path} is transparent in places; lay it on a background and save it without transparency.")
    return pixels.reshape(shape)
