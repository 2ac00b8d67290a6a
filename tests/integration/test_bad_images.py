"""Images that cannot be used: refused by name before anything is measured, or left out and counted on request."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from refusals import Refused

from hwnas.data.sources import load_data


@pytest.fixture
def folder(here: Path) -> Path:
    """A folder of two classes that can be used."""
    colours = np.random.default_rng(0).integers(0, 256, (2, 8, 24, 24, 3), np.uint8)
    for name, images in zip(("cat", "dog"), colours, strict=True):
        (here / "photos" / name).mkdir(parents=True)
        for number, pixels in enumerate(images):
            Image.fromarray(pixels).save(here / "photos" / name / f"{number}.png")
    return here / "photos"


def picture(path: Path, width: int = 24, height: int = 24, mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (width, height)).save(path)


def emptied(path: Path) -> None:
    for one in path.iterdir():
        one.unlink()


def halved(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def as_train(photos: Path, extra: str) -> None:
    (photos / "train").mkdir()
    for name in ("cat", "dog"):
        (photos / name).rename(photos / "train" / name)
    (photos / extra).mkdir(parents=True)


def hostile_class(photos: Path) -> None:
    (photos / "c\x1b[31m\n").mkdir()
    for number in range(9):
        (photos / "c\x1b[31m\n" / f"{number}.png").write_text("x")


def class_in_another_encoding(photos: Path) -> None:
    for number in range(4):
        picture(Path(os.fsdecode(bytes(photos) + b"/c\xff")) / f"{number}.png")


# what is done to a usable folder, words of the message
FOLDERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "nothing": (shutil.rmtree, "does not exist"),
    "no images": (lambda at: (emptied(at / "cat"), (at / "cat" / "x.txt").touch()), "class folder cat has no images"),
    "one class": (lambda at: shutil.rmtree(at / "dog"), "one class only ('cat')"),
    "a class of one image": (lambda at: (emptied(at / "dog"), picture(at / "dog" / "0.png")), "class 'dog' has 1"),
    "an empty class": (lambda at: (at / "owl").mkdir(), "class folder owl has no images"),
    "text called .jpg": (lambda at: (at / "cat" / "note.jpg").write_text("hello"), "image 'cat/note.jpg'"),
    "no bytes": (lambda at: (at / "cat" / "0.png").write_bytes(b""), "image 'cat/0.png'"),
    "a truncated image": (lambda at: halved(at / "dog" / "3.png"), "image 'dog/3.png'"),
    "a huge image": (lambda at: picture(at / "cat" / "big.png", 12_000, 9_000, "1"), "'cat/big.png' has more than"),
    "pixels of 32 bits": (lambda at: picture(at / "cat" / "deep.tif", mode="F"), "image 'cat/deep.tif'"),
    "a link that leads out": (lambda at: (at / "cat" / "x.png").symlink_to("/etc/passwd"), "cat/x.png is a link"),
    "an empty test/": (lambda at: as_train(at, "test"), "test/ has no images"),
    "a class in test/ alone": (lambda at: (as_train(at, "test"), picture(at / "test" / "owl" / "0.png")), "test/owl"),
    "escapes in a class": (hostile_class, "c\\x1b[31m"),
    "a class that is no text": (class_in_another_encoding, "UTF-8"),
}  # fmt: skip


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_that_cannot_be_used_is_refused_before_anything_is_measured(
    refused: Refused, folder: Path, name: str
) -> None:
    damage, words = FOLDERS[name]
    damage(folder)
    refused("fit", "--data", str(folder), "--budget", "1ms", "--out", "new/run", words=words)


def test_a_folder_of_many_kinds_of_images_is_read_and_bad_ones_are_counted_on_request(folder: Path) -> None:
    for number, mode in enumerate(("1", "L", "P", "RGBA", "LA", "CMYK", "I;16", "YCbCr")):
        picture(folder / "cat" / f"kind{number}.tif", 20 + number, 30, mode)
    as_train(folder, "notes")  # train/ alone: a test split is taken off it
    assert load_data(str(folder)).skipped == 0
    (folder / "train" / "cat" / "note.jpg").write_text("hello")
    halved(folder / "train" / "dog" / "3.png")
    picture(folder / "train" / "dog" / "big.png", 12_000, 9_000, "1")
    assert load_data(str(folder), skip_bad=True).skipped == 3


IMAGES = np.random.default_rng(0).integers(0, 256, (40, 24, 24, 3), np.uint8)
LABELS = np.arange(40) % 2
PLAIN: dict[str, Any] = {"x_train": IMAGES, "y_train": LABELS}
PACKS: dict[str, tuple[dict[str, Any], str]] = {
    "other names": ({"pictures": IMAGES}, "holds pictures: expected x_train"),
    "no labels": ({"x_train": IMAGES}, "no array 'y_train'"),
    "images that are no bytes": ({**PLAIN, "x_train": IMAGES / 255}, "uint8"),
    "labels that are no whole numbers": ({**PLAIN, "y_train": LABELS * 1.0}, "whole number"),
    "labels below zero": ({**PLAIN, "y_train": LABELS - 1}, "label -1"),
    "labels out of range": ({**PLAIN, "y_train": LABELS * 10**6}, "label 1000000"),
    "labels that test alone has": ({**PLAIN, "x_test": IMAGES, "y_test": LABELS + 1}, "label 2"),
    "lengths that differ": ({**PLAIN, "y_train": LABELS[:-1]}, "39 labels for 40 images"),
    "one class": ({**PLAIN, "y_train": LABELS * 0}, "one class only"),
    "too few images": ({"x_train": IMAGES[:4], "y_train": LABELS[:4]}, "has 2 images"),
    "no images": ({"x_train": IMAGES[:0], "y_train": LABELS[:0]}, "no images"),
    "images without pixels": ({**PLAIN, "x_train": IMAGES[:, :0]}, "no images"),
    "two channels": ({**PLAIN, "x_train": IMAGES[..., :2]}, "shape"),
    "tiny images": ({**PLAIN, "x_train": IMAGES[:, :4, :4]}, "--resolution"),
    "fewer names than classes": ({**PLAIN, "names": ["a"]}, "label 1"),
    "a name for nothing": ({**PLAIN, "names": ["a", "b", "c"]}, "class 'c'"),
    "one name twice": ({**PLAIN, "names": ["a", "a"]}, "two classes are named 'a'"),
    "half characters as names": ({**PLAIN, "names": ["a", "b\ud800"]}, "UTF-8"),
    "Python objects": ({**PLAIN, "y_train": np.asarray([{}] * 40, dtype=object)}, "Python objects"),
    "offsets that fall": (
        {"train_jpeg": IMAGES.ravel(), "train_offset": [0, 5, 3], "train_label": LABELS[:2]}, "must rise",
    ),
    "files that are no images": (
        {"train_jpeg": IMAGES.ravel(), "train_offset": np.arange(41) * 10, "train_label": LABELS}, "image 0 of train",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PACKS)
def test_a_pack_that_cannot_be_used_is_refused(refused: Refused, here: Path, name: str) -> None:
    arrays, words = PACKS[name]
    np.savez(here / "pack.npz", **arrays)
    refused("fit", "--data", "pack.npz", "--budget", "1ms", "--out", "new", words=words)


def test_what_is_no_pack_or_does_not_fit_its_space_is_refused(refused: Refused, here: Path, folder: Path) -> None:
    np.save(here / "bare.npy", IMAGES)
    (here / "bare.npy").rename(here / "bare.npz")
    (here / "junk.npz").write_bytes(b"PK\x03\x04junk")
    (here / "empty.npz").touch()
    task = ["--budget", "1ms", "--out", "new", "--data"]
    for name, words in (("bare.npz", "one bare array"), ("junk.npz", "damaged"), ("empty.npz", "damaged")):
        refused("fit", *task, name, words=(name, words))
    refused("fit", *task, "bare.npz/x", words="does not exist")
    refused("fit", *task, str(folder), "--space", "proxyless-imagenet", words="--resolution 64")
    refused("fit", *task, str(folder), "--space", "toy", words="--data toy")
    refused("fit", *task, "toy", "--resolution", "32", words="its own images")
    refused("fit", *task, "cifar10", "--data-root", "nowhere", words=("cifar10 is not in nowhere", "--download"))
    refused("fit", *task, "toy", "--optimizer", "adahessian", words="'adahessian' cannot be used here")
