"""The data sources that have a name. No torch here, so a list of them costs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hwnas.data.splits import SEARCH, TEST, TRAIN

EMBEDDED = {
    "mnist5k": "5,000 real MNIST digits, 28x28 grey, 10 classes; comes with hwnas",
    "digits": "1,797 handwritten digits, 8x8 grey enlarged to 16x16, 10 classes; comes with hwnas",
}

Parts = Mapping[int, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class TorchvisionSet:
    """How torchvision names a data set and its splits.

    Args:
        loader: class in torchvision.datasets.
        about: one sentence for lists.
        parts: for every split that exists, the arguments that select it.
        augmentation: its own default; None goes by the channels.
    """

    loader: str
    about: str
    parts: Parts
    augmentation: str | None = None


_FLAG: Parts = {TRAIN: {"train": True}, TEST: {"train": False}}
_NAMED: Parts = {TRAIN: {"split": "train"}, TEST: {"split": "test"}}
_THREE: Parts = {**_NAMED, SEARCH: {"split": "val"}}
_JOINED: Parts = {TRAIN: {"split": "trainval"}, TEST: {"split": "test"}}
_WHOLE: Parts = {TRAIN: {}}

TORCHVISION = {
    "cifar10": TorchvisionSet("CIFAR10", "60,000 photographs, 32x32, 10 classes", _FLAG),
    "cifar100": TorchvisionSet("CIFAR100", "60,000 photographs, 32x32, 100 classes", _FLAG),
    "dtd": TorchvisionSet("DTD", "5,640 textures, 47 classes", _THREE),
    "eurosat": TorchvisionSet("EuroSAT", "27,000 satellite images, 64x64, 10 classes", _WHOLE),
    "fashion-mnist": TorchvisionSet("FashionMNIST", "70,000 clothes, 28x28 grey, 10 classes", _FLAG, "shift-flip"),
    "flowers102": TorchvisionSet("Flowers102", "8,189 flowers, 102 classes", _THREE),
    "food101": TorchvisionSet("Food101", "101,000 dishes, 101 classes", _NAMED),
    "gtsrb": TorchvisionSet("GTSRB", "39,270 German traffic signs, 43 classes", _NAMED, "shift"),
    "kmnist": TorchvisionSet("KMNIST", "70,000 Japanese characters, 28x28 grey, 10 classes", _FLAG, "affine"),
    "mnist": TorchvisionSet("MNIST", "70,000 digits, 28x28 grey, 10 classes", _FLAG, "affine"),
    "oxford-pets": TorchvisionSet("OxfordIIITPet", "7,349 cats and dogs, 37 classes", _JOINED),
    "stl10": TorchvisionSet("STL10", "13,000 photographs, 96x96, 10 classes", _NAMED),
    "svhn": TorchvisionSet("SVHN", "99,289 house numbers, 32x32, 10 classes", _NAMED, "shift"),
}


def known_sources() -> dict[str, str]:
    """One sentence for every data source that has a name; folders of images and .npz files are sources, too."""
    local = {name: f"{entry.about}; read by torchvision from a local folder" for name, entry in TORCHVISION.items()}
    return {**EMBEDDED, **local}
