"""The laws of an engine, as a test class that pytest runs on any Engine.

In a test file of your own:

    @pytest.fixture
    def engine():
        return MyEngine()

    class TestMyEngine(EngineContract):
        tolerance = {"f16": 0.02}  # where none is given for the engine's precision
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hwnas.core.errors import EvaluationFailed
from hwnas.core.layers import BnAct, Classifier, ConvBnAct, MBConv
from hwnas.core.nasnet import NasnetCell
from hwnas.core.network import NetworkSpec, Node
from hwnas.core.protocols import Engine, ProfilingEngine
from hwnas.core.pyramid import PyramidTreeBlock
from hwnas.formats.arrays import random_arrays
from hwnas.formats.onnx_file import to_onnx


class EngineContract:
    """Every test takes a fixture `engine`.

    `tolerance` is the largest error of a score by precision, in standard deviations of the scores.
    """

    tolerance: Mapping[str, float] = {"f32": 1e-4, "bf16": 0.05, "int8": 0.2}

    def test_fingerprint_says_what_a_latency_depends_on(self, engine: Engine) -> None:
        """Engine, version, precision, threads and batch, as texts, the same at every call."""
        facts = engine.fingerprint()
        assert {"engine", "version", "precision", "threads", "batch"} <= set(facts)
        assert all(isinstance(value, str) and value for value in facts.values())
        assert int(facts["threads"]) >= 1 and int(facts["batch"]) >= 1
        assert engine.fingerprint() == facts

    def test_it_computes_what_torch_does(self, engine: Engine) -> None:
        """The file that the engine writes gives the scores of the torch module with the same arrays."""
        import torch

        from hwnas.nn.build import build, load_arrays

        for name, network in networks().items():
            module, images = build(network).eval(), _images(network)
            load_arrays(module, used_arrays(network, seed=1))
            with torch.no_grad():
                expected = module(torch.from_numpy(images)).numpy()
            found = engine.predict(_model(engine, network), images)
            assert found.shape == expected.shape and found.dtype == np.float32
            error = float(np.abs(found - expected).max() / expected.std())
            allowed = self.tolerance[engine.fingerprint()["precision"]]
            assert error <= allowed, f"{name}: {error:.1e} standard deviations"

    def test_equal_networks_are_equal_files(self, engine: Engine) -> None:
        """So that what was measured once is known again."""
        for network in networks().values():
            assert _model(engine, network) == _model(engine, network)

    def test_an_onnx_file_is_converted_or_refused(self, engine: Engine) -> None:
        """Anybody's ONNX file computes what it did, or the engine says that it has no way in."""
        network = networks()["mobile"]
        images, arrays = _images(network), used_arrays(network, seed=1)
        try:
            converted = engine.convert(to_onnx(network, arrays, batch=int(engine.fingerprint()["batch"])), images)
        except EvaluationFailed as reason:
            assert "onnx" in str(reason).lower()
            return
        np.testing.assert_array_equal(
            engine.predict(converted, images), engine.predict(_model(engine, network), images)
        )

    def test_an_image_is_judged_alone(self, engine: Engine) -> None:
        """Scores do not depend on the images beside it."""
        for network in networks().values():
            model, images = _model(engine, network), _images(network)
            together = engine.predict(model, images)
            np.testing.assert_array_equal(together[1:2], engine.predict(model, images[1:2]))

    def test_a_loaded_network_runs_as_often_as_it_is_called(self, engine: Engine) -> None:
        """A runner returns nothing, and can be called again."""
        for network in networks().values():
            runner = engine.load(_model(engine, network), network.input_shape)
            for _ in range(3):
                runner()

    def test_a_profiler_tells_of_the_network(self, engine: Engine) -> None:
        """Where there is one, most kernels go by names of the file's nodes, which begin with those of the layers."""
        if not isinstance(engine, ProfilingEngine):
            return
        for network in networks().values():
            layers = tuple(f"{node.name}." for node in network.nodes)
            kernels = engine.profile(_model(engine, network), network.input_shape, 2)
            assert min(kernels.values()) >= 0 and sum(kernels.values()) > 0
            named = [kernel for kernel in kernels if kernel.startswith(layers)]
            assert 2 * len(named) > len(kernels), sorted(kernels)

    def test_what_is_no_model_is_refused(self, engine: Engine) -> None:
        """A damaged file is an EvaluationFailed, when loading and when predicting."""
        network = networks()["mobile"]
        model = _model(engine, network)
        damaged = model[: len(model) // 2]
        images = np.zeros((1, *network.input_shape), np.float32)
        for attempt in (
            lambda: engine.load(damaged, network.input_shape),
            lambda: engine.predict(damaged, images),
        ):
            try:
                attempt()
            except EvaluationFailed:
                continue
            raise AssertionError("a damaged file was taken for a model")


def networks() -> dict[str, NetworkSpec]:
    """Small networks that hold every primitive there is."""
    normal = ((0, "sep5", 1, "sep3"), (1, "max3", 0, "avg3"), (0, "identity", 2, "sep3"))
    reduction = ((0, "sep5", 1, "sep7"), (0, "max3", 1, "avg3"), (2, "identity", 0, "avg3"))
    tree = ("sep7", "dil3", "identity", "max3", "sep3", "avg3", "sep5", "sep5", "sep5", "dil3", "sep7", "sep7")
    bodies: dict[str, tuple[Node, ...]] = {
        "mobile": (
            Node("down", MBConv(16, 5, 3, stride=2)),
            Node("same", MBConv(16, 3, 6)),
            Node("excite", MBConv(16, 3, 3, se_channels=4, activation="hard_swish")),
            Node("swish", ConvBnAct(24, 1, activation="swish")),
            Node("gate", ConvBnAct(24, 3, activation="hard_sigmoid")),
        ),
        "cell": (
            Node("normal", NasnetCell(6, normal, (2, 3, 4)), ("stem", "stem")),
            Node("reduction", NasnetCell(8, reduction, (2, 3, 4), reduction=True), ("normal", "stem")),
        ),
        "tree": (Node("tree", PyramidTreeBlock(6, 2, tree)), Node("activate", BnAct())),
    }
    ends = Node("stem", ConvBnAct(8, 3, activation="")), Node("classifier", Classifier(7))
    return {name: NetworkSpec((3, 18, 14), (ends[0], *body, ends[1])) for name, body in bodies.items()}


def used_arrays(network: NetworkSpec, seed: int) -> dict[str, np.ndarray]:
    """Arrays with batch-norms that do something, as after training."""
    rng = np.random.default_rng(seed)
    arrays = random_arrays(network, seed)
    for name, array in arrays.items():
        if array.ndim == 1:
            low, high = (0.5, 1.5) if name.endswith(("weight", "running_var")) else (-0.3, 0.3)
            arrays[name] = rng.uniform(low, high, array.shape).astype(np.float32)
    return arrays


def _model(engine: Engine, network: NetworkSpec) -> bytes:
    return engine.write(network, used_arrays(network, seed=1), _images(network))


def _images(network: NetworkSpec) -> np.ndarray:
    return np.random.default_rng(2).standard_normal((4, *network.input_shape), dtype=np.float32)
