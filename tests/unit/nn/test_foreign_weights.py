"""Other people's checkpoints: the real one of MCUNet's kind, names, and files that are something else."""

from __future__ import annotations

import io
import itertools
import json
import zipfile
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
import torch
from foreign_files import mobilenet_v3_file, proxyless_file
from PIL import Image
from sklearn.datasets import load_sample_images
from torch import nn

from hwnas.core.errors import FileFormatError, HwnasError, InputError
from hwnas.core.network import NetworkSpec
from hwnas.formats.arrays import check_arrays
from hwnas.formats.onnx_file import to_onnx
from hwnas.hardware.engines.onnxruntime import OnnxRuntimeEngine
from hwnas.networks.foreign import ForeignNetwork, read_foreign
from hwnas.nn import foreign_weights
from hwnas.nn.build import BuiltNetwork, build, load_arrays
from hwnas.nn.foreign_weights import read_checkpoint, renamed
from hwnas.testing.engines import used_arrays

MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])  # of ImageNet, as everybody has them
PALACE, CHURCH, CASTLE, CINEMA = 698, 497, 483, 498
SUIT, BOW_TIE, WINDSOR_TIE, MILITARY_UNIFORM = 834, 457, 906, 652


@pytest.fixture(scope="module")
def imagenet(shared_data: Path) -> tuple[NetworkSpec, dict[str, np.ndarray], BuiltNetwork]:
    """The network that was trained on ImageNet, its arrays, and the module in eval mode."""
    folder = shared_data / "mcunet"
    found = read_foreign(json.loads((folder / "proxyless-w0.3-r176_imagenet.json").read_text()))
    stored = read_checkpoint(folder / "proxyless-w0.3-r176_imagenet.pth")
    arrays = renamed(stored, found.network, found.weight_names)
    module = build(found.network).eval()
    load_arrays(module, arrays)
    return found.network, arrays, module


def prepared(image: Image.Image, short_side: int = 200, side: int = 176) -> np.ndarray:
    """ImageNet's evaluation transform: (1, 3, side, side)."""
    scale = short_side / min(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    cut = np.asarray(image.convert("RGB").crop((left, top, left + side, top + side)), dtype=np.float64)
    return ((cut / 255 - MEAN) / DEVIATION).transpose(2, 0, 1)[None].astype(np.float32)


def photographs() -> dict[str, Image.Image]:
    """The photographs that scikit-learn and matplotlib ship: a Chinese palace, a flower, a lady in uniform."""
    sample = load_sample_images()
    images = {Path(name).stem: Image.fromarray(one) for name, one in zip(sample.filenames, sample.images, strict=True)}
    portrait = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    return {**images, "hopper": Image.open(portrait)}


Trained = tuple[NetworkSpec, dict[str, np.ndarray], BuiltNetwork]


def test_nothing_is_missing_and_nothing_left_over(imagenet: Trained) -> None:
    network, arrays, module = imagenet
    check_arrays(network, arrays)
    assert sum(value.numel() for value in module.parameters()) == 754_280


def test_it_sees_what_is_in_a_photograph(imagenet: Trained) -> None:
    """Without ImageNet's images top-1 cannot be measured; a network with weights in wrong places names anything."""
    module, images = imagenet[2], photographs()
    with torch.no_grad():
        first = {
            name: module(torch.from_numpy(prepared(image)))[0].topk(3).indices.tolist()
            for name, image in images.items()
        }
    assert first["china"][0] == PALACE
    assert set(first["china"]) <= {PALACE, CHURCH, CASTLE, CINEMA}
    assert first["hopper"][0] == SUIT
    assert set(first["hopper"][:2]) <= {SUIT, BOW_TIE, WINDSOR_TIE, MILITARY_UNIFORM}


def correlations(module: nn.Module) -> list[float]:
    """Of every depthwise and project batch-norm's stored mean with the mean that photographs give there."""
    found = []

    def compare(part: nn.Module, values: Any, _: Any) -> None:
        assert isinstance(part.running_mean, torch.Tensor)
        means = torch.stack([values[0].mean((0, 2, 3)), part.running_mean])
        found.append(float(torch.corrcoef(means)[0, 1]))

    hooks = [
        part.register_forward_hook(compare)
        for name, part in module.named_modules()
        if name.endswith(("depthwise.bn", "project.bn"))
    ]
    images = [prepared(image, side) for image in photographs().values() for side in (176, 200, 256)]
    with torch.no_grad():
        module(torch.from_numpy(np.concatenate(images)))
    for hook in hooks:
        hook.remove()
    return found


def test_every_batch_norm_expects_what_photographs_give(imagenet: Trained) -> None:
    """Each layer one by one. Behind a linear bottleneck means are near zero: the expansions' say nothing."""
    network, arrays, module = imagenet
    found = correlations(module)
    assert len(found) == 40 and min(found) > 0.6 and np.median(found) > 0.9
    # A mistake shows: the batch-norms of two layers of equal width exchanged.
    means = [name for name in arrays if name.endswith("depthwise.bn.running_mean")]
    pairs = [(a, b) for a, b in itertools.combinations(means, 2) if arrays[a].shape == arrays[b].shape]
    assert len(pairs) > 10
    for pair in pairs[::5]:
        exchanged = dict(arrays)
        for kind in ("weight", "bias", "running_mean", "running_var"):
            one, other = (name.replace("running_mean", kind) for name in pair)
            exchanged[one], exchanged[other] = arrays[other], arrays[one]
        wrong = build(network).eval()
        load_arrays(wrong, exchanged)
        assert min(correlations(wrong)) < 0.5


def test_onnx_runtime_agrees_with_torch(imagenet: Trained) -> None:
    network, arrays, module = imagenet
    images = np.concatenate([prepared(image) for image in photographs().values()])
    with torch.no_grad():
        expected = module(torch.from_numpy(images)).numpy()
    found = OnnxRuntimeEngine().predict(to_onnx(network, arrays), images)
    assert found.shape == (3, 1000)
    assert np.abs(found - expected).max() / expected.std() < 1e-5


# Names.


def foreign_state(found: ForeignNetwork, arrays: dict[str, np.ndarray], spelling: int = 0) -> dict[str, torch.Tensor]:
    """The arrays under their names, with what torch adds."""
    state = {}
    for name, array in arrays.items():
        names = found.weight_names[name]
        theirs = names[min(spelling, len(names) - 1)]
        state[theirs] = torch.from_numpy(array)
        if theirs.endswith(".running_var"):
            state[theirs.replace("running_var", "num_batches_tracked")] = torch.tensor(7)
    if "feature_mix_layer.conv.weight" in state and "classifier.hidden.weight" in arrays:
        state["feature_mix_layer.conv.weight"] = state["feature_mix_layer.conv.weight"][:, :, None, None]
    return state


def saved(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path


@pytest.mark.parametrize("spelling", [0, 1])
@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("wrapped", [False, True])
def test_names_of_every_release(tmp_path: Path, spelling: int, prefix: str, wrapped: bool) -> None:
    found = read_foreign(mobilenet_v3_file())
    arrays = used_arrays(found.network, 2)
    state = {f"{prefix}{name}": value for name, value in foreign_state(found, arrays, spelling).items()}
    path = saved(tmp_path / "a.pth", {"state_dict": state, "epoch": 3, "best_acc": 71.2} if wrapped else state)
    got = renamed(read_checkpoint(path), found.network, found.weight_names)
    assert list(got) == list(arrays)
    assert all(np.array_equal(got[name], arrays[name]) and got[name].shape == arrays[name].shape for name in arrays)


def test_what_is_missing_and_left_over_is_named() -> None:
    found = read_foreign(proxyless_file())
    stored = {name: value.numpy() for name, value in foreign_state(found, used_arrays(found.network, 2)).items()}
    stored["ema.decay"] = stored.pop("first_conv.conv.weight")
    stored["classifier.linear.weight"] = stored["classifier.linear.weight"][:5]
    with pytest.raises(InputError) as error:
        renamed(stored, found.network, found.weight_names)
    said = str(error.value)
    assert "missing 1: first_conv.conv.weight" in said and "left over 1: ema.decay" in said
    assert "of another shape 1: classifier.linear.weight (shape (5, 64), expected (10, 64))" in said


def test_a_count_of_batches_without_a_batch_norm_is_left_over() -> None:
    found = read_foreign(proxyless_file())
    stored = {name: value.numpy() for name, value in foreign_state(found, used_arrays(found.network, 2)).items()}
    stored["elsewhere.bn.num_batches_tracked"] = np.array(3)
    with pytest.raises(InputError, match=r"left over 1: elsewhere\.bn\.num_batches_tracked"):
        renamed(stored, found.network, found.weight_names)


def test_both_spellings_of_one_array_at_once_are_refused() -> None:
    found = read_foreign(proxyless_file())
    stored = {name: value.numpy() for name, value in foreign_state(found, used_arrays(found.network, 2)).items()}
    twice = "blocks.1.conv.depth_conv.conv.weight"
    stored[twice] = stored["blocks.1.mobile_inverted_conv.depth_conv.conv.weight"]
    with pytest.raises(InputError, match=f"left over 1: {twice}"):
        renamed(stored, found.network, found.weight_names)


def test_half_precision_becomes_float32(tmp_path: Path) -> None:
    state = {
        "a": torch.ones(2, dtype=torch.bfloat16),
        "b": torch.full((1,), 0.5, dtype=torch.float64),
        "c": torch.tensor(3),
    }
    got = read_checkpoint(saved(tmp_path / "a.pth", state))
    assert {name: str(value.dtype) for name, value in got.items()} == {"a": "float32", "b": "float32", "c": "int64"}


# Files that are something else.


class Runs:
    """Unpickled by anything but a reader of plain tensors, it would leave a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


CONTENTS: dict[str, tuple[Any, str]] = {
    "a list": ([torch.ones(2)], "holds no state_dict but 'list'"),
    "nothing": ({}, "holds no state_dict"),
    "an empty state_dict": ({"state_dict": {}}, "holds no state_dict"),
    "a text": ({"a": "weights"}, "entry 'a' is no plain tensor but str"),
    "a dictionary inside": ({"a": {"b": torch.ones(1)}}, "entry 'a' is no plain tensor but dict"),
    "a number for a name": ({3: torch.ones(1)}, "entry 3 is no plain tensor"),
    "complex numbers": ({"a": torch.ones(2, dtype=torch.complex64)}, "entry 'a' is no plain tensor"),
    "whole numbers": ({"a": torch.ones(2, dtype=torch.uint8)}, "entry 'a' is no plain tensor"),
    "a sparse tensor": ({"a": torch.eye(3).to_sparse()}, "entry 'a' is no plain tensor"),
    "not a number": ({"a": torch.tensor([1.0, float("nan")])}, "tensor 'a' holds NaN or infinity"),
    "too large for float32": ({"a": torch.tensor([1e300], dtype=torch.float64)}, "tensor 'a' holds NaN or infinity"),
    "one value told to be billions": ({"a": torch.zeros(1).expand(2**40)}, "the tensors up to 'a' take more than"),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_what_is_no_plain_tensor_is_refused(tmp_path: Path, name: str) -> None:
    content, said = CONTENTS[name]
    path = saved(tmp_path / "odd.pth", content)
    with pytest.raises(FileFormatError) as error:
        read_checkpoint(path)
    assert said in str(error.value) and str(path) in str(error.value)


def test_no_code_in_a_checkpoint_runs(tmp_path: Path) -> None:
    path = saved(tmp_path / "odd.pth", {"a": torch.ones(1), "b": Runs(tmp_path / "ran")})
    with pytest.raises(FileFormatError, match="cannot be read as a checkpoint of plain tensors"):
        read_checkpoint(path)
    assert not (tmp_path / "ran").exists()


def test_a_module_or_a_script_is_no_checkpoint(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2), tmp_path / "module.pth")
    with pytest.raises(FileFormatError, match=r"save the state_dict alone"):
        read_checkpoint(tmp_path / "module.pth")


def test_no_file_and_no_plain_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="there is no file"):
        read_checkpoint(tmp_path / "none.pth")
    with pytest.raises(FileFormatError, match="must be a plain file"):
        read_checkpoint(tmp_path)
    path = saved(tmp_path / "a.pth", {"a": torch.ones(9)})
    monkeypatch.setattr(foreign_weights, "LIMIT_BYTES", 100)
    with pytest.raises(FileFormatError, match="at most 100 bytes"):
        read_checkpoint(path)


def test_a_small_file_that_unpacks_to_a_large_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, packed = saved(tmp_path / "plain.pth", {"a": torch.zeros(2**18)}), tmp_path / "packed.pth"
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    assert packed.stat().st_size < 2**14
    monkeypatch.setattr(foreign_weights, "LIMIT_BYTES", 2**18)
    with pytest.raises(FileFormatError, match="unpacks to more than"):
        read_checkpoint(packed)


def test_a_damaged_file_is_refused_or_read(tmp_path: Path) -> None:
    """Cut off, with bytes changed, or something else altogether: one typed error that names the file."""
    buffer = io.BytesIO()
    torch.save({"a": torch.ones(4), "b": torch.zeros(2, 2)}, buffer)
    whole = buffer.getvalue()
    rng = np.random.default_rng(0)
    contents = [b"", b"PK", b"\x80\x02.", b"not a checkpoint", whole[:-1], whole[: len(whole) // 2]]
    for _ in range(200):
        changed = bytearray(whole)
        for at in rng.integers(0, len(whole), 3):
            changed[at] = rng.integers(256)
        contents.append(bytes(changed))
    empty = io.BytesIO()
    with zipfile.ZipFile(empty, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}.")
    path, refused = tmp_path / "damaged.pth", 0
    for content in [*contents, empty.getvalue()]:
        path.write_bytes(content)
        try:
            assert all(np.isfinite(value).all() for value in read_checkpoint(path).values())
        except HwnasError as reason:
            refused += 1
            assert isinstance(reason, FileFormatError) and str(path) in str(reason) and len(str(reason)) < 1_000
    assert refused >= 7
