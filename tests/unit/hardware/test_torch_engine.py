"""Torch's eager mode as a target: a file without code, and threads that are put back."""

from __future__ import annotations

import io
import json
import random

import numpy as np
import pytest
import torch
from safetensors.numpy import load, save

from hwnas.core.errors import EvaluationFailed, InputError
from hwnas.core.network import NetworkSpec
from hwnas.hardware.engines.torch_eager import TorchEngine
from hwnas.testing.engines import networks, used_arrays

NETWORK = networks()["mobile"]
ARRAYS = used_arrays(NETWORK, seed=1)
FILE = TorchEngine().write(NETWORK, ARRAYS)
IMAGES = np.random.default_rng(3).standard_normal((5, *NETWORK.input_shape), dtype=np.float32)


def header() -> dict[str, object]:
    read: dict[str, object] = json.loads(FILE[8 : 8 + int.from_bytes(FILE[:8], "little")])
    return read


def test_the_file_is_numbers_and_the_network() -> None:
    found = load(FILE)
    assert found.keys() == ARRAYS.keys()
    assert all((found[name] == ARRAYS[name]).all() for name in ARRAYS)
    metadata = header()["__metadata__"]
    assert isinstance(metadata, dict) and metadata.keys() == {"network"}
    assert NetworkSpec.from_json(json.loads(metadata["network"])) == NETWORK


def test_every_batch_reads_the_same_file() -> None:
    expected = TorchEngine().predict(FILE, IMAGES)
    engine = TorchEngine(batch=3)
    assert engine.write(NETWORK, ARRAYS) == FILE
    np.testing.assert_allclose(engine.predict(FILE, IMAGES), expected, atol=1e-5 * expected.std())


def test_threads_are_for_a_call_alone() -> None:
    before = torch.get_num_threads()
    engine = TorchEngine(threads=before + 1)
    with engine.settings():
        assert torch.get_num_threads() == before + 1
        assert torch.is_inference_mode_enabled()
    engine.load(FILE, NETWORK.input_shape)()
    engine.predict(FILE, IMAGES)
    assert torch.get_num_threads() == before and not torch.is_inference_mode_enabled()
    with pytest.raises(ZeroDivisionError), engine.settings():
        raise ZeroDivisionError
    assert torch.get_num_threads() == before


def test_other_files_are_refused() -> None:
    pickled = io.BytesIO()
    torch.save({"network": ARRAYS["classifier.linear.bias"]}, pickled)
    some = {name: ARRAYS[name] for name in list(ARRAYS)[1:]}
    told = {"network": json.dumps(NETWORK.to_json())}
    other = {"network": json.dumps({**NETWORK.to_json(), "format": "hwnas-network@99"})}
    halves = {name: array.astype(np.float16) for name, array in ARRAYS.items()}
    for file in (
        pickled.getvalue(), b"", b"\xff" * 16, save(ARRAYS), save(ARRAYS, {"network": "["}), save(ARRAYS, other),
        save(ARRAYS, {"network": "[" * 100_000}), save(some, told), save(halves, told),
    ):  # fmt: skip
        with pytest.raises(EvaluationFailed, match="torch cannot run this file"):
            TorchEngine().predict(file, IMAGES)


def test_a_damaged_header_is_refused_or_changes_nothing_that_matters() -> None:
    rng = random.Random(0)
    end = 8 + int.from_bytes(FILE[:8], "little")
    refused = 0
    for _ in range(150):
        place = rng.randrange(end)
        damaged = FILE[:place] + bytes([FILE[place] ^ 1 << rng.randrange(8)]) + FILE[place + 1 :]
        try:
            TorchEngine().load(damaged, NETWORK.input_shape)()
        except EvaluationFailed:
            refused += 1
    assert refused > 100


def test_images_and_arrays_of_another_shape_are_refused() -> None:
    with pytest.raises(EvaluationFailed, match=r"images of \(3, 18, 14\), not of \(3, 14, 18\)"):
        TorchEngine().load(FILE, (3, 14, 18))
    with pytest.raises(InputError, match="stem"):
        TorchEngine().write(NETWORK, {name: array for name, array in ARRAYS.items() if not name.startswith("stem")})
