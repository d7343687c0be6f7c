"""Tiny ImageNet (Stanford CS231n): 200 classes, 64x64 pixels; its validation images serve as test images."""

import io
import zipfile

import numpy as np

from flow.data.archive import fetch

URL = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
CHECKSUM = "md5:90528d7ca1a48142e341f4ef8d21d0de"


def load_tiny_imagenet() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """train_x uint8 [100000, 64, 64, 3], train_y int64 [100000], test_x [10000, 64, 64, 3], test_y [10000]."""
    from PIL import Image
    from rich.progress import track

    with zipfile.ZipFile(fetch("Tiny ImageNet", URL, CHECKSUM)) as archive:
        names = archive.namelist()
        root = names[0].split("/")[0]
        classes = {line: i for i, line in enumerate(archive.read(f"{root}/wnids.txt").decode().split())}
        lines = archive.read(f"{root}/val/val_annotations.txt").decode().splitlines()
        test = {f"{root}/val/images/{line.split()[0]}": classes[line.split()[1]] for line in lines}
        train = {name: classes[name.split("/")[2]] for name in names if name.startswith(f"{root}/train/") and name.endswith("EG")}

        def gather(files, label):
            images = np.empty((len(files), 64, 64, 3), np.uint8)
            for i, name in enumerate(track(sorted(files), f"Tiny ImageNet, {label}", transient=True)):
                images[i] = np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB"))
            return images, np.array([files[name] for name in sorted(files)], np.int64)

        return *gather(train, "training"), *gather(test, "test")
