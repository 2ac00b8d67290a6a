from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hwnas.core.errors import DataError
from hwnas.data.decode import PixelFormat, fit, read_pixels, survey
from hwnas.data.folder import load_folder
from hwnas.data.images import FolderSplit, ImageData, MemorySplit, pinned
from hwnas.data.options import LoadOptions
from hwnas.data.sampling import chunks, training_indices
from hwnas.data.sources import load_data


def everything(split) -> tuple[torch.Tensor, torch.Tensor]:
    pairs = list(split.batches(chunks(len(split), 7)))
    return torch.cat([images for images, _ in pairs]), torch.cat([labels for _, labels in pairs])


def test_class_folders_are_split_in_three(image_folder, counts_of, disjoint):
    data = load_data(str(image_folder({"cat": 20, "dog": 20, "ant": 10})))
    assert data.name == "pictures"
    assert data.class_names == ("ant", "cat", "dog")
    assert data.input_shape == (3, 20, 20)
    assert data.augmentation == "shift-flip"
    assert counts_of(data) == [[7, 13, 14], [1, 3, 2], [2, 4, 4]]
    assert disjoint(data)
    assert isinstance(data.train, MemorySplit)


def test_given_splits_are_kept(image_folder, counts_of):
    image_folder({"cat": 10, "dog": 10}, "set/train")
    image_folder({"cat": 3, "dog": 3}, "set/test")
    root = image_folder({"cat": 2, "dog": 2}, "set/valid")
    assert counts_of(load_data(str(root.parent))) == [[10, 10], [2, 2], [3, 3]]


def test_a_class_may_be_called_train(image_folder):
    data = load_data(str(image_folder({"car": 5, "train": 5, "test": 5})))
    assert data.class_names == ("car", "test", "train")


def test_files_and_memory_give_the_same_images(image_folder, monkeypatch):
    root = image_folder({"cat": 12, "dog": 12}, height=30, width=40)
    held = load_folder(root, LoadOptions(resolution=24))
    monkeypatch.setattr(LoadOptions, "fits_memory", lambda options, size_bytes: False)
    streamed = load_folder(root, LoadOptions(resolution=24))
    assert isinstance(held.train, MemorySplit) and isinstance(streamed.train, FolderSplit)
    for one, other in ((held.train, streamed.train), (held.search, streamed.search), (held.test, streamed.test)):
        assert all(torch.equal(a, b) for a, b in zip(everything(one), everything(other), strict=True))
    assert (held.mean, held.std, held.fingerprint) == (streamed.mean, streamed.std, streamed.fingerprint)

    indices = list(training_indices(len(held.train), 4, 0, "weights", steps=9))
    pairs = zip(held.train.batches(indices), streamed.train.batches(iter(indices)), strict=True)
    for (images, labels), (images_too, labels_too) in pairs:
        assert torch.equal(images, images_too) and torch.equal(labels, labels_too)
        assert images_too.is_contiguous(memory_format=torch.channels_last)


def test_a_set_above_the_memory_limit_stays_in_files(image_folder):
    root = image_folder({"cat": 6, "dog": 6})
    options = LoadOptions(resolution=256, memory_limit_mb=1)
    assert isinstance(load_folder(root, options).train, FolderSplit)


def test_workers_give_the_same_batches_and_the_same_sentence(image_folder):
    root = image_folder({"cat": 8, "dog": 8})
    alone, shared = load_data(str(root)), load_data(str(root), workers=2)
    assert torch.equal(everything(alone.train)[0], everything(shared.train)[0])
    assert alone.fingerprint == shared.fingerprint

    (root / "cat" / "002.png").write_bytes(b"no image")
    split = FolderSplit(root, ("cat/001.png", "cat/002.png"), torch.tensor([0, 0]), PixelFormat(3, 20), num_workers=1)
    with pytest.raises(DataError, match=r"^image 'cat/002.png' cannot be read \(it is none of JPEG, PNG"):
        list(split.batches([torch.tensor([0, 1])]))


def test_reading_files_leaves_the_global_random_numbers_alone(image_folder):
    root = image_folder({"cat": 6, "dog": 6})
    torch.manual_seed(0)
    before = torch.get_rng_state()
    everything(load_data(str(root)).train)
    assert torch.equal(torch.get_rng_state(), before)


def test_an_endless_sequence_is_read_only_as_far_as_asked(image_folder):
    root = image_folder({"cat": 4, "dog": 4})
    files = tuple(f"{name}/{row:03d}.png" for name in ("cat", "dog") for row in range(4))
    split = FolderSplit(root, files, torch.tensor([0] * 4 + [1] * 4), PixelFormat(3, 16))
    batches = split.batches(training_indices(8, 4, 0, "weights"))
    assert [next(batches)[0].shape for _ in range(5)] == [torch.Size([4, 3, 16, 16])] * 5


def test_the_fingerprint_follows_files_and_sizes(image_folder, tmp_path):
    root = image_folder({"cat": 8, "dog": 8})
    first = load_data(str(root)).fingerprint
    moved = root.rename(tmp_path / "elsewhere")
    assert load_data(str(moved)).fingerprint == first
    assert load_data(str(moved), resolution=16).fingerprint != first
    (moved / "cat" / "000.png").rename(moved / "cat" / "000b.png")
    assert load_data(str(moved)).fingerprint != first


def test_grey_images_have_one_channel_and_one_colour_image_makes_it_three(image_folder):
    root = image_folder({"cat": 6, "dog": 6})
    for file in root.rglob("*.png"):
        Image.open(file).convert("L").save(file)
    data = load_data(str(root))
    assert data.input_shape == (1, 20, 20)
    assert data.augmentation == "shift"
    Image.new("RGB", (20, 20), (250, 0, 0)).save(root / "cat" / "red.png")
    assert load_data(str(root)).input_shape == (3, 20, 20)


def test_hidden_files_other_files_and_deeper_folders(image_folder):
    root = image_folder({"cat": 6, "dog": 6})
    (root / "cat" / "deeper").mkdir()
    (root / "cat" / "000.png").rename(root / "cat" / "deeper" / "000.png")
    (root / "cat" / ".hidden.png").write_bytes(b"x")
    (root / "cat" / "notes.txt").write_text("x")
    os.mkfifo(root / "cat" / "pipe.png")
    (root / ".cache").mkdir()
    (root / "__MACOSX").mkdir()
    data = load_data(str(root))
    assert data.class_names == ("cat", "dog")
    assert len(data.train) + len(data.search) + len(data.test) == 12


def test_links_may_not_leave_the_folder(image_folder, tmp_path):
    root = image_folder({"cat": 6, "dog": 6})
    secret = tmp_path / "secret.png"
    Image.new("RGB", (20, 20)).save(secret)
    (root / "cat" / "inside.png").symlink_to(root / "cat" / "000.png")
    assert len(load_data(str(root)).train) > 0
    (root / "cat" / "outside.png").symlink_to(secret)
    with pytest.raises(DataError, match="cat/outside.png is a link that leaves the folder 'pictures'"):
        load_data(str(root))
    (root / "cat" / "outside.png").unlink()
    (root / "bird").symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(DataError, match="bird is a link that leaves the folder"):
        load_data(str(root))
    (root / "bird").unlink()
    (root / "dog" / "round.png").symlink_to(root / "dog" / "round.png")
    with pytest.raises(DataError, match="dog/round.png is a link that leads to no file"):
        load_data(str(root))


def test_folders_that_hold_no_task(image_folder, tmp_path):
    with pytest.raises(DataError, match="has no images in class folders: expected one folder of images for each class"):
        load_data(str(tmp_path))
    (tmp_path / "empty" / "cat").mkdir(parents=True)
    with pytest.raises(DataError, match="class folder cat has no images"):
        load_data(str(tmp_path / "empty"))
    with pytest.raises(DataError, match=r"one class only \('cat'\)"):
        load_data(str(image_folder({"cat": 9}, "one")))
    with pytest.raises(DataError, match="class 'dog' has 1 image "):
        load_data(str(image_folder({"cat": 9, "dog": 1}, "few")))
    image_folder({"cat": 9, "dog": 9}, "more/train")
    root = image_folder({"cat": 2, "cow": 2}, "more/test").parent
    with pytest.raises(DataError, match="test/cow is a class that train/ does not have"):
        load_data(str(root))
    for file in (root / "test").rglob("*.png"):
        file.unlink()
    (root / "test" / "cow").rmdir()
    with pytest.raises(DataError, match="test/ has no images"):
        load_data(str(root))


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("damage", ["text", "truncated"])
def test_unreadable_images_stop_or_are_skipped_and_counted(image_folder, monkeypatch, in_memory, damage):
    root = image_folder({"cat": 10, "dog": 10}, ending=".jpg")
    if not in_memory:
        monkeypatch.setattr(LoadOptions, "fits_memory", lambda options, size_bytes: False)
    bad = root / "cat" / "004.jpg"
    bad.write_bytes(b"not an image" if damage == "text" else bad.read_bytes()[:-200])
    data = load_data(str(root), skip_bad=True)
    assert data.skipped == 1
    assert len(data.train) + len(data.search) + len(data.test) == 19
    assert sum(len(everything(split)[1]) for split in (data.train, data.search, data.test)) == 19
    with pytest.raises(DataError, match=r"image 'cat/004.jpg' cannot be read .*--skip-bad"):
        everything(load_data(str(root)).train)


def test_a_class_of_bad_images_is_named_even_when_skipping(image_folder):
    root = image_folder({"cat": 6, "dog": 6})
    for file in (root / "dog").iterdir():
        file.write_bytes(b"bad")
    with pytest.raises(DataError, match="class 'dog' has no readable training image left"):
        load_data(str(root), skip_bad=True)


def test_huge_images_are_refused_before_they_are_decoded(image_folder):
    root = image_folder({"cat": 6, "dog": 6})
    Image.new("1", (12_000, 8_000)).save(root / "cat" / "huge.png")
    with pytest.raises(DataError, match="image 'cat/huge.png' has more than 50,331,648 pixels"):
        load_data(str(root))
    assert load_data(str(root), skip_bad=True).skipped == 1


def decode(path: Path, channels: int = 3, side: int = 16) -> np.ndarray:
    return read_pixels(path, path.name, PixelFormat(channels, side))


def test_the_centre_is_cut_out_of_long_images(tmp_path):
    wide = np.zeros((16, 48, 3), np.uint8)
    wide[:, 16:32] = (10, 20, 30)
    Image.fromarray(wide).save(tmp_path / "wide.png")
    assert (decode(tmp_path / "wide.png") == (10, 20, 30)).all()
    Image.new("RGB", (1, 50_000), (1, 2, 3)).save(tmp_path / "thread.png")
    assert (decode(tmp_path / "thread.png", side=200) == (1, 2, 3)).all()


def test_every_pixel_kind_becomes_bytes(tmp_path):
    red = Image.new("RGB", (16, 16), (200, 0, 0))
    kinds = {
        "P": red.convert("P", palette=Image.Palette.ADAPTIVE),
        "RGBA": red.convert("RGBA"),
        "LA": Image.new("LA", (16, 16), (80, 0)),
        "1": Image.new("1", (16, 16), 1),
        "I;16": Image.fromarray(np.full((16, 16), 0x8123, np.uint16)),
    }
    expected = {"P": (200, 0, 0), "RGBA": (200, 0, 0), "LA": (80,) * 3, "1": (255,) * 3, "I;16": (0x81,) * 3}
    for kind, image in kinds.items():
        path = tmp_path / f"{kind[:1]}{len(kind)}.png"
        image.save(path)
        assert (decode(path) == expected[kind]).all(), kind
    cmyk = tmp_path / "cmyk.tif"
    Image.new("CMYK", (16, 16), (0, 0, 0, 0)).save(cmyk)
    assert (decode(cmyk) == 255).all()
    assert decode(cmyk, channels=1).shape == (16, 16, 1)


def test_floating_point_pixels_are_refused_with_the_reason(tmp_path):
    Image.fromarray(np.ones((16, 16), np.float32)).save(tmp_path / "depth.tif")
    with pytest.raises(DataError, match="depth.tif cannot be read .*32 bits with no known range"):
        decode(tmp_path / "depth.tif")


def test_photographs_are_turned_upright(tmp_path):
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[:8] = 255
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    upright = decode(tmp_path / "turned.png")
    assert (upright[:8] == 0).all() and (upright[8:] == 255).all()


def test_a_script_that_calls_itself_an_image_is_not_run(tmp_path):
    canary = tmp_path / "canary"
    script = f"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\n({canary}) (w) file closefile showpage\n"
    (tmp_path / "art.png").write_text(script)
    with pytest.raises(DataError, match="it is none of JPEG, PNG"):
        decode(tmp_path / "art.png")
    assert not canary.exists()


@pytest.mark.parametrize(
    ("sizes", "side"),
    [
        ([(28, 28)] * 3, 28),
        ([(96, 96)] * 3, 96),
        ([(8, 8)] * 3, 32),
        ([(30, 40), (33, 33)], 32),
        ([(64, 50), (70, 90)], 64),
        ([(100, 200), (180, 180)], 128),
        ([(4000, 3000)] * 2, 224),
        ([(500, 500)] * 2, 224),
    ],
)
def test_the_default_resolution_follows_the_images(sizes, side):
    from hwnas.data.decode import Header

    assert survey(len(sizes), lambda row: Header(*sizes[row], False), None, False) == PixelFormat(3, side)


def test_fit_returns_the_same_pixels_where_nothing_is_to_do(photo):
    pixels = photo(0, 16, 16)
    assert np.array_equal(fit(Image.fromarray(pixels), PixelFormat(3, 16)), pixels)


def test_pinned_changes_nothing_but_where_batches_from_files_lie(tmp_path) -> None:
    pixels = PixelFormat(1, 8)
    files = FolderSplit(tmp_path, ("a.png",), torch.zeros(1, dtype=torch.int64), pixels)
    held = MemorySplit(torch.zeros(1, 1, 8, 8, dtype=torch.uint8), torch.zeros(1, dtype=torch.int64))
    data = ImageData("x", ("a", "b"), (1, 8, 8), (0.5,), (0.2,), files, held, files, "none", "f")
    locked = pinned(data)
    assert locked.train.pin_memory and locked.test.pin_memory and not files.pin_memory
    assert locked.search is held and locked.fingerprint == data.fingerprint
