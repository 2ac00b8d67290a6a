"""Pickles under every name, safetensors that lie, and .npz packs that unpack to more than they are."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import shutil
import struct
import tempfile
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from attacks import FIT, OLD_RUNS, Scene, attack

from hwnas.runs.files import sealed

WEIGHTS = ("export", "run", "--weights", "evil", "--out", "new")
LEGACY = ("fit", "--budget", "1ms", "--out", "new", "--data-root", "data", "--data")
TRAIN = ("train", "run/network.json", "--data", "toy", "--train-steps", "10", "--out", "new")


@attack(*WEIGHTS, words="evil is no whole safetensors file")
def a_checkpoint_of_torch_as_weights(scene: Scene) -> None:
    scene.run()
    torch.save({"a": scene.bomb}, scene.at / "evil")


@attack(*WEIGHTS, words="evil is no whole safetensors file")
def a_bare_pickle_as_weights(scene: Scene) -> None:
    scene.run()
    (scene.at / "evil").write_bytes(pickle.dumps(scene.bomb))


@attack("export", "net", "--out", "new", words="weights.safetensors is no whole safetensors file")
def a_pickle_called_weights(scene: Scene) -> None:
    (scene.at / "net").mkdir()
    (scene.at / "net" / "network.json").write_bytes((scene.run() / "network.json").read_bytes())
    (scene.at / "net" / "weights.safetensors").write_bytes(pickle.dumps(scene.bomb))


@attack("measure", "evil.onnx", words="evil.onnx is no ONNX file")
def a_pickle_called_model(scene: Scene) -> None:
    (scene.at / "evil.onnx").write_bytes(pickle.dumps(scene.bomb))


@attack("describe", "evil.json", words="evil.json is not valid JSON")
def a_pickle_called_network(scene: Scene) -> None:
    (scene.at / "evil.json").write_bytes(pickle.dumps(scene.bomb, protocol=0))


@attack("describe", "evil.pth", words="is no network")
def a_foreign_checkpoint_as_network(scene: Scene) -> None:
    torch.save(scene.bomb, scene.at / "evil.pth")


@attack(*FIT, "toy", "--config", "evil.pkl", words="evil.pkl is not valid YAML")
def a_pickle_as_settings(scene: Scene) -> None:
    (scene.at / "evil.pkl").write_bytes(pickle.dumps(scene.bomb))


@attack(*FIT, "toy", "--measurements", "evil.pkl", words="evil.pkl is not valid JSON")
def a_pickle_as_measurements(scene: Scene) -> None:
    (scene.at / "evil.pkl").write_bytes(pickle.dumps(scene.bomb))


@attack("describe", "run", "--latency-model", "evil.joblib", words="evil.joblib is not valid JSON")
def a_pickle_as_latency_model(scene: Scene) -> None:
    scene.run()
    (scene.at / "evil.joblib").write_bytes(pickle.dumps(scene.bomb))


@attack(*LEGACY, "mnist", words="mnist is not in data")
def a_pickle_that_torchvision_would_have_cached(scene: Scene) -> None:
    folder = scene.at / "data" / "MNIST" / "processed"
    folder.mkdir(parents=True)
    for name in ("training.pt", "test.pt"):
        torch.save((scene.bomb, scene.bomb), folder / name)


@attack(*LEGACY, "cifar10", words="cifar10 is not in data")
def pickles_as_the_batches_of_cifar(scene: Scene) -> None:
    folder = scene.at / "data" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch", "batches.meta"):
        (folder / name).write_bytes(pickle.dumps(scene.bomb))


@cache
def trained() -> tuple[tempfile.TemporaryDirectory[str], Path]:
    """A run of `hwnas train`, without its result and its checkpoints; made once."""
    from hwnas.cli import run

    folder = tempfile.TemporaryDirectory()
    out = Path(folder.name, "new")
    run(["train", str(OLD_RUNS / "format-2" / "network.json"), *TRAIN[2:-1], str(out), "--quiet"])
    shutil.rmtree(out / "checkpoints")
    (out / "result.json").unlink()
    return folder, out


def checkpoint(scene: Scene, arrays: bytes, state: bytes) -> Path:
    """A run that was begun, with a checkpoint whose manifest is right."""
    scene.run()
    shutil.copytree(trained()[1], scene.at / "new")
    place = scene.at / "new" / "checkpoints" / "train" / "step-00000005"
    place.mkdir(parents=True)
    files = {"arrays.safetensors": arrays, "state.json": state}
    for name, content in files.items():
        (place / name).write_bytes(content)
    listed = {name: {"bytes": len(text), "sha256": hashlib.sha256(text).hexdigest()} for name, text in files.items()}
    facts = {"format": "hwnas-checkpoint@1", "step": 5, "array_names": ["a"], "files": listed}
    (place / "manifest.json").write_bytes(sealed(facts, "manifest"))
    return place


def lying(header: bytes, size: int | None = None, data: bytes = b"\0" * 64) -> bytes:
    return struct.pack("<Q", len(header) if size is None else size) + header + data


def tensors(**entries: Any) -> bytes:
    return json.dumps(entries).encode()


def entry(shape: list[int], offsets: list[int], kind: str = "F32") -> dict[str, Any]:
    return {"dtype": kind, "shape": shape, "data_offsets": offsets}


# what is wrong: the content
LIES: dict[str, bytes] = {
    "a_header_beyond_the_file": lying(b"{}", 10**6),
    "a_header_of_all_memory": lying(b"{}", 2**64 - 1),
    "a_header_of_nothing": lying(b"", 0),
    "tensors_that_overlap": lying(tensors(a=entry([8], [0, 32]), b=entry([8], [16, 48]), c=entry([4], [48, 64]))),
    "a_hole_between_tensors": lying(tensors(a=entry([4], [0, 16]), b=entry([4], [48, 64]))),
    "a_shape_that_overflows": lying(tensors(a=entry([2**32, 2**32, 2**3], [0, 64]))),
    "a_shape_of_terabytes": lying(tensors(a=entry([2**40], [0, 2**42]))),
    "offsets_below_zero": lying(tensors(a=entry([16], [-64, 0]))),
    "offsets_that_fall": lying(tensors(a=entry([16], [64, 0]))),
    "a_shape_below_zero": lying(tensors(a=entry([-16], [0, 64]))),
    "one_name_twice": lying(b'{"a":%(e)s,"a":%(e)s}' % {b"e": json.dumps(entry([16], [0, 64])).encode()}),
    "a_kind_of_number_that_is_code": lying(tensors(a=entry([16], [0, 64], "O"))),
    "a_header_that_nests": lying(b"[" * 10**6),
}
for _name, _content in LIES.items():

    def _build(scene: Scene, content: bytes = _content) -> None:
        scene.run()
        (scene.at / "evil").write_bytes(content)

    _build.__name__ = f"safetensors_with_{_name}"
    attack(*WEIGHTS, words="arrays do not belong" if _name == "one_name_twice" else "evil")(_build)


@attack(*WEIGHTS, words="evil has")
def safetensors_with_a_header_of_a_hundred_megabytes(scene: Scene) -> None:
    scene.run()
    (scene.at / "evil").write_bytes(lying(b'{"a":' + b"[" * (10**8 - 6)))


@attack(*WEIGHTS, words="evil has")
def safetensors_with_a_million_names(scene: Scene) -> None:
    scene.run()
    entries = (b'"%d":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}' % number for number in range(10**6))
    (scene.at / "evil").write_bytes(lying(b"{" + b",".join(entries) + b"}", data=b""))


@attack(*WEIGHTS, words="evil has")
def safetensors_of_a_terabyte_of_holes(scene: Scene) -> None:
    scene.run()
    hollow(scene.at / "evil", 2**40)


def hollow(path: Path, size: int) -> None:
    """A file that takes no room and is endless."""
    with path.open("wb") as file:
        file.truncate(size)


PACK = (*FIT, "evil.npz", "--space", "toy")
IMAGES = np.zeros((40, 24, 24, 3), np.uint8)
LABELS = np.arange(40) % 2


def objects(scene: Scene) -> Any:
    found = np.empty(40, dtype=object)
    found[:] = [scene.bomb] * 40
    return found


@attack(*PACK, words="Python objects")
def a_pack_of_python_objects(scene: Scene) -> None:
    np.savez(scene.at / "evil.npz", x_train=IMAGES, y_train=objects(scene))


@attack(*PACK, words="Python objects")
def a_pack_with_objects_beside_what_is_read(scene: Scene) -> None:
    np.savez(scene.at / "evil.npz", x_train=IMAGES, y_train=LABELS, extra=objects(scene))


@attack(*PACK, words="no .npz")
def a_bare_pickle_called_pack(scene: Scene) -> None:
    (scene.at / "evil.npz").write_bytes(pickle.dumps(scene.bomb))


@attack(*PACK, words="one bare array")
def an_array_of_objects_called_pack(scene: Scene) -> None:
    with (scene.at / "evil.npz").open("wb") as file:
        np.save(file, objects(scene), allow_pickle=True)


@attack(*PACK, words="one bare array")
def a_bare_array_of_four_gigabytes_of_holes(scene: Scene) -> None:
    with (scene.at / "evil.npz").open("wb") as file:
        file.write(array_header((2**32,)))
        file.truncate(2**32 + 128)


def array_header(shape: tuple[int, ...], kind: str = "|u1") -> bytes:
    text = io.BytesIO()
    np.lib.format.write_array_header_1_0(text, {"descr": kind, "fortran_order": False, "shape": shape})
    return text.getvalue()


def packed(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> None:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


@attack(*PACK, words="expected x_train")
def a_pack_whose_names_climb_out(scene: Scene) -> None:
    text = array_header((1,)) + b"x"
    names = ("../../outside/secret.bin", f"{scene.outside}/secret.txt", "..\\..\\x.npy", "a\x1b[31m.npy", "C:\\x.npy")
    packed(scene.at / "evil.npz", dict.fromkeys(names, text))


@attack(*PACK, words="evil.npz")
def a_pack_that_unpacks_to_a_thousand_times_its_size(scene: Scene) -> None:
    count = 2**28 // (24 * 24 * 3)
    with zipfile.ZipFile(scene.at / "evil.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("x_train.npy", "w", force_zip64=True) as member:
            member.write(array_header((count, 24, 24, 3)))
            for _ in range(256):
                member.write(bytes(2**20))
        archive.writestr("y_train.npy", array_header((count,)) + bytes(count))


@attack(*PACK, words="evil.npz")
def a_pack_of_many_entries_of_the_same_bytes(scene: Scene) -> None:
    """One member, listed a thousand times."""
    packed(scene.at / "evil.npz", {"a.npy": array_header((10**7,)) + bytes(10**7)})
    content = (scene.at / "evil.npz").read_bytes()
    start = content.rindex(b"PK\x01\x02")
    end = content.rindex(b"PK\x05\x06")
    listing = content[start:end] * 1000
    tail = bytearray(content[end:])
    tail[8:12] = struct.pack("<HH", 1000, 1000)
    tail[12:20] = struct.pack("<II", len(listing), start)
    (scene.at / "evil.npz").write_bytes(content[:start] + listing + bytes(tail))


@attack(*PACK, words="evil.npz")
def a_pack_with_an_array_larger_than_its_member(scene: Scene) -> None:
    packed(scene.at / "evil.npz", {"x_train.npy": array_header((10**12,)), "y_train.npy": array_header((40,))})


@attack(*PACK, words="evil.npz")
def a_pack_that_lies_about_the_size_of_its_member(scene: Scene) -> None:
    """The listing says a hundred bytes, the stream holds a hundred million."""
    packed(scene.at / "evil.npz", {"x_train.npy": array_header((10**8,)) + bytes(10**8)})
    content = bytearray((scene.at / "evil.npz").read_bytes())
    start = content.rindex(b"PK\x01\x02")
    content[start + 24 : start + 28] = struct.pack("<I", 100)
    content[22:26] = struct.pack("<I", 100)
    (scene.at / "evil.npz").write_bytes(content)


@attack(*PACK, words="evil.npz")
def a_pack_with_a_name_for_a_class_of_a_gigabyte(scene: Scene) -> None:
    names = array_header((2,), "<U250000000")
    packed(scene.at / "evil.npz", {"x_train.npy": array_header((4, 8, 8)) + bytes(256), "names.npy": names})


@attack(*PACK, words="evil.npz")
def a_pack_with_ten_thousand_arrays(scene: Scene) -> None:
    text = array_header((1,)) + b"x"
    packed(scene.at / "evil.npz", {f"{'long-name' * 20}{number}.npy": text for number in range(10_000)})


@attack(*TRAIN, words="damaged and set aside", codes=(0,))
def a_pickle_as_the_arrays_of_a_checkpoint(scene: Scene) -> None:
    checkpoint(scene, pickle.dumps(scene.bomb), b"{}\n")


@attack(*TRAIN, words="damaged and set aside", codes=(0,))
def a_pickle_as_the_state_of_a_checkpoint(scene: Scene) -> None:
    checkpoint(scene, lying(tensors(a=entry([16], [0, 64]))), pickle.dumps(scene.bomb, protocol=0))


@attack(*TRAIN, words="damaged and set aside", codes=(0,))
def a_file_of_torch_among_the_checkpoints(scene: Scene) -> None:
    place = checkpoint(scene, b"", b"{}\n")
    torch.save(scene.bomb, place / "arrays.safetensors")
    torch.save(scene.bomb, place.parent / "last.ckpt")


@attack(*TRAIN, words="damaged and set aside", codes=(0,))
def a_checkpoint_of_arrays_that_overlap(scene: Scene) -> None:
    checkpoint(scene, LIES["tensors_that_overlap"], b"{}\n")


@attack(*TRAIN, words="of step 5 does not fit")
def a_checkpoint_of_another_network(scene: Scene) -> None:
    checkpoint(scene, lying(tensors(a=entry([16], [0, 64]))), b'{"setbacks": [1], "progress": null}\n')
