from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hwnas.core.errors import DataError, FileFormatError, InputError
from hwnas.data.images import ImageData, MemorySplit
from hwnas.data.sources import load_data


def save(path: Path, **arrays: np.ndarray) -> str:
    np.savez(path, **arrays)
    return str(path)


def plain(
    count: int = 30, shape: tuple[int, ...] = (12, 12, 3), classes: int = 3, seed: int = 0
) -> dict[str, np.ndarray]:
    images = np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)
    return {"x_train": images, "y_train": np.arange(count) % classes}


def test_plain_arrays_with_a_test_split(tmp_path, counts_of, disjoint):
    arrays = plain()
    test = plain(9, seed=1)
    path = save(tmp_path / "mine.npz", **arrays, x_test=test["x_train"], y_test=test["y_train"][:, None])
    data = load_data(path)
    assert (data.name, data.class_names, data.input_shape) == ("mine", ("0", "1", "2"), (3, 12, 12))
    assert counts_of(data)[2] == [3, 3, 3]
    assert disjoint(data)
    assert isinstance(data.test, MemorySplit)
    assert np.array_equal(data.test.images.permute(0, 2, 3, 1).numpy(), test["x_train"])


def test_plain_grey_arrays_are_carved_in_three_and_sized(tmp_path, counts_of):
    path = save(tmp_path / "grey.npz", **plain(shape=(10, 14)), names=np.asarray(["a", "b", "c"]))
    data = load_data(path)
    assert (data.input_shape, data.augmentation, data.class_names) == ((1, 10, 14), "shift", ("a", "b", "c"))
    assert [sum(part) for part in counts_of(data)] == [20, 4, 6]
    assert load_data(path, resolution=16).input_shape == (1, 16, 16)


def test_a_channel_that_never_changes_does_not_divide_by_zero(tmp_path):
    from hwnas.data.transform import normalise

    arrays = plain()
    arrays["x_train"][..., 0] = 40
    data = load_data(save(tmp_path / "flat.npz", **arrays))
    assert data.std[0] == 1.0
    assert data.mean[0] == pytest.approx(40 / 255)
    assert torch.isfinite(normalise(next(data.train.batches([torch.arange(4)]))[0], data, "cpu")).all()


def test_encoded_pack(tmp_path, jpeg_arrays, counts_of):
    arrays = {**jpeg_arrays("train", 30), **jpeg_arrays("test", 6), "names": np.asarray(["a", "b", "c"])}
    path = save(tmp_path / "pack.npz", **arrays)
    data = load_data(path)
    assert (data.input_shape, data.class_names) == ((3, 20, 20), ("a", "b", "c"))
    train, search, test = counts_of(data)
    assert (sum(train), sum(search), test) == (26, 4, [2, 2, 2])
    again = load_data(path)
    assert again.fingerprint == data.fingerprint
    assert load_data(path, resolution=10).input_shape == (3, 10, 10)


def test_encoded_pack_with_a_bad_image(tmp_path, jpeg_arrays):
    arrays = jpeg_arrays("train", 30)
    joined = arrays["train_jpeg"].copy()
    start, stop = arrays["train_offset"][4:6]
    joined[start:stop] = 0
    path = save(tmp_path / "pack.npz", **{**arrays, "train_jpeg": joined})
    with pytest.raises(DataError, match="image 4 of train in pack.npz cannot be read"):
        load_data(path)
    data = load_data(path, skip_bad=True)
    assert (data.skipped, len(data.train) + len(data.search) + len(data.test)) == (1, 29)


def test_a_pack_above_the_memory_limit_is_refused_before_it_is_decoded(tmp_path, jpeg_arrays):
    path = save(tmp_path / "pack.npz", **jpeg_arrays("train", 12))
    with pytest.raises(DataError, match="12 decoded images take 9 MiB, the limit is 1 MiB"):
        load_data(path, resolution=512, memory_limit_mb=1)
    np.savez_compressed(tmp_path / "bomb.npz", x_train=np.zeros((400, 64, 64), np.uint8), y_train=np.arange(400) % 2)
    with pytest.raises(DataError, match="bomb.npz unpacks to 1 MiB, the limit is 1 MiB"):
        load_data(str(tmp_path / "bomb.npz"), memory_limit_mb=1)
    with pytest.raises(DataError, match="decoded images take"):
        load_data(save(tmp_path / "small.npz", **plain()), resolution=512, memory_limit_mb=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y_train": np.arange(29) % 3}, "29 labels for 30 images"),
        ({"y_train": np.arange(30) % 3 - 1}, "label -1 is out of range"),
        ({"y_train": np.arange(30) / 3}, "one whole number an image"),
        ({"y_train": np.r_[np.zeros(29, int), 2**40]}, "out of range"),
        ({"y_train": np.r_[np.zeros(29, int), 10**6]}, "label 1000000 is out of range"),
        ({"names": np.asarray(["a", "b"])}, "label 2 is out of range; labels must be between 0 and 1"),
        ({"names": np.asarray(["a", "b", "c", "d"])}, "class 'd' has no image"),
        ({"y_train": np.zeros(30, int)}, "one class only"),
        ({"x_train": np.zeros((30, 12, 12), np.float32)}, "must be uint8 from 0 to 255, not float32"),
        ({"x_train": np.zeros((30, 3, 12, 12), np.uint8)}, r"shape \(N, H, W\) or \(N, H, W, 1 or 3\), not"),
        ({"x_train": np.zeros((0, 12, 12), np.uint8)}, "there are no images"),
        ({"x_train": np.zeros((30, 4, 12), np.uint8)}, "images of 4 x 12 are outside 8 to 1024"),
        ({"x_test": np.zeros((3, 9, 9, 3), np.uint8), "y_test": np.arange(3)}, "images of different shapes"),
        ({"x_test": np.zeros((3, 12, 12, 3), np.uint8), "y_test": np.asarray([0, 1, 3])}, "label 3 is out of range"),
    ],
)
def test_arrays_that_cannot_be_used(tmp_path, change, message):
    path = save(tmp_path / "mine.npz", **{**plain(), **change})
    with pytest.raises(DataError, match=message):
        load_data(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y_train": np.asarray([{}, "x"] * 15, dtype=object)}, "holds Python objects, which are never loaded"),
        ({"names": np.arange(3)}, "names in mine.npz must be text"),
    ],
)
def test_packs_of_another_kind(tmp_path, change, message):
    np.savez(tmp_path / "mine.npz", **{**plain(), **change})
    with pytest.raises(FileFormatError, match=message):
        load_data(str(tmp_path / "mine.npz"))


def test_missing_arrays_are_named_with_the_layouts(tmp_path):
    with pytest.raises(FileFormatError, match="mine.npz holds images, labels: expected x_train and y_train"):
        load_data(save(tmp_path / "mine.npz", images=np.zeros(3), labels=np.zeros(3)))
    with pytest.raises(FileFormatError, match="has no array 'y_train'"):
        load_data(save(tmp_path / "half.npz", x_train=plain()["x_train"]))


@pytest.mark.parametrize(
    "offsets", [np.asarray([0, 50, 20]), np.asarray([-1, 5, 9]), np.asarray([0, 5, 10**9]), np.asarray([0.0, 1.0])]
)
def test_offsets_that_do_not_fit(tmp_path, jpeg_arrays, offsets):
    path = save(tmp_path / "pack.npz", **{**jpeg_arrays("train", 12), "train_offset": offsets})
    with pytest.raises(FileFormatError, match="train_offset in pack.npz"):
        load_data(path)


def test_damaged_files_are_refused_at_every_length(tmp_path, jpeg_arrays):
    path = tmp_path / "pack.npz"
    np.savez_compressed(path, **jpeg_arrays("train", 12))
    whole = path.read_bytes()
    for length in np.linspace(0, len(whole) - 1, 40).astype(int).tolist():
        path.write_bytes(whole[:length])
        with pytest.raises(FileFormatError, match="pack.npz"):
            load_data(str(path))
    rng = np.random.default_rng(0)
    for _ in range(60):  # a flipped bit is found, or was in bytes that nobody reads
        damaged = bytearray(whole)
        damaged[int(rng.integers(len(whole)))] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            load_data(str(path))
        except InputError:
            continue
    np.save(tmp_path / "bare.npy", np.zeros(4))
    (tmp_path / "bare.npy").rename(tmp_path / "bare.npz")
    with pytest.raises(FileFormatError, match="one bare array"):
        load_data(str(tmp_path / "bare.npz"))


def subset_of_cifar(pack: Path, folder: Path, counts: dict[str, int]) -> str:
    """Images evenly spaced over the pack, which is sorted by class."""
    with np.load(pack, allow_pickle=False) as whole:
        arrays = {"names": whole["names"]}
        for split, count in counts.items():
            joined, offsets, labels = (whole[f"{split}_{part}"] for part in ("jpeg", "offset", "label"))
            rows = np.arange(0, len(labels), len(labels) // count)
            files = [joined[offsets[row] : offsets[row + 1]] for row in rows]
            arrays[f"{split}_jpeg"] = np.concatenate(files)
            arrays[f"{split}_offset"] = np.cumsum([0, *map(len, files)])
            arrays[f"{split}_label"] = labels[rows]
    return save(folder / "cifar.npz", **arrays)


def test_real_cifar_images(shared_data, tmp_path, counts_of):
    pack = shared_data / "cifar10" / "cifar10_jpeg.npz"
    if not pack.is_file():
        pytest.skip(f"no CIFAR-10 pack at {pack}")
    data: ImageData = load_data(subset_of_cifar(pack, tmp_path, {"train": 2000, "test": 400}))
    assert data.input_shape == (3, 32, 32)
    assert data.class_names[:2] == ("airplane", "automobile")
    assert counts_of(data) == [[170] * 10, [30] * 10, [40] * 10]
    assert data.mean == pytest.approx((0.491, 0.482, 0.446), abs=0.03)


@pytest.mark.slow
def test_the_whole_cifar_pack(shared_data, counts_of):
    data = load_data(str(shared_data / "cifar10" / "cifar10_jpeg.npz"))
    assert counts_of(data) == [[4250] * 10, [750] * 10, [1000] * 10]
    assert data.mean == pytest.approx((0.4914, 0.4822, 0.4465), abs=0.003)
    assert data.std == pytest.approx((0.247, 0.243, 0.261), abs=0.004)
