"""SVHN (Netzer et al., "Reading Digits in Natural Images with Unsupervised Feature Learning", 2011), cropped digits."""

import numpy as np

from flow.data.archive import fetch
from flow.errors import GatefoldError

URL = "http://ufldl.stanford.edu/housenumbers/"
# The papers train on the 73,257 training and 531,131 extra images.
TRAIN = {
    "train_32x32.mat": "md5:e26dedcc434d2e4c54c9b2d4a06d8373",
    "extra_32x32.mat": "md5:a93ce644f1a588dc4d68dda5feec44a7",
}
TEST = {"test_32x32.mat": "md5:eb5a983be6a315427106f1b164d9cef3"}


def _read(path: str) -> tuple[np.ndarray, np.ndarray]:
    from scipy.io import loadmat

    try:
        content = loadmat(path)
        images = np.ascontiguousarray(content["X"].transpose(3, 0, 1, 2))
        return images, content["y"].reshape(-1).astype(np.int64) % 10  # the archive calls the digit zero 10
    except Exception:  # scipy raises many kinds for a damaged file
        raise GatefoldError(f"{path} cannot be read as a file of SVHN; delete it, and it is downloaded again.") from None


def load_svhn() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """train_x uint8 [604388, 32, 32, 3], train_y int64 [604388], test_x [26032, 32, 32, 3], test_y [26032]."""

    def gather(files):
        parts = [_read(fetch("SVHN", URL + name, checksum)) for name, checksum in files.items()]
        return tuple(np.concatenate(arrays) for arrays in zip(*parts))

    return *gather(TRAIN), *gather(TEST)
