"""The laws of an engine, as a test class that pytest runs on any Engine.

In a test file of your own:

    @pytest.fixture
    def engine():
        return MyEngine()

    class TestMyEngine(EngineContract):
        tolerance = 0.02  # where the engine computes in less than f32
"""

from __future__ import annotations

import numpy as np

from hwnas.core.cells import NasnetCell
from hwnas.core.errors import EvaluationFailed
from hwnas.core.layers import Classifier, ConvBnAct, LayerSpec, MBConv
from hwnas.core.network import NetworkSpec, Node
from hwnas.core.protocols import Engine
from hwnas.formats.onnx_file import to_onnx


class EngineContract:
    """Every test takes a fixture `engine`.

    `tolerance` is the largest error of a score, in standard deviations of the scores.
    """

    tolerance = 1e-4

    def test_fingerprint_says_what_a_latency_depends_on(self, engine: Engine) -> None:
        """Engine, version, precision and threads, as texts, the same at every call."""
        facts = engine.fingerprint()
        assert {"engine", "version", "precision", "threads"} <= set(facts)
        assert all(isinstance(value, str) and value for value in facts.values())
        assert int(facts["threads"]) >= 1
        assert engine.fingerprint() == facts

    def test_it_computes_what_torch_does(self, engine: Engine) -> None:
        """Our ONNX file gives, on the engine, the scores of the torch module with the same arrays."""
        import torch

        for name, network in networks().items():
            module, model, images = trained(network)
            with torch.no_grad():
                expected = module(torch.from_numpy(images)).numpy()
            found = engine.predict(model, images)
            assert found.shape == expected.shape and found.dtype == np.float32
            error = float(np.abs(found - expected).max() / expected.std())
            assert error <= self.tolerance, f"{name}: {error:.1e} standard deviations"

    def test_an_image_is_judged_alone(self, engine: Engine) -> None:
        """Scores do not depend on the images beside it."""
        for network in networks().values():
            _, model, images = trained(network)
            together = engine.predict(model, images)
            np.testing.assert_array_equal(together[1:2], engine.predict(model, images[1:2]))

    def test_a_loaded_network_runs_as_often_as_it_is_called(self, engine: Engine) -> None:
        """A runner returns nothing, and can be called again."""
        for network in networks().values():
            runner = engine.load(trained(network)[1], network.input_shape)
            for _ in range(3):
                runner()

    def test_what_is_no_model_is_refused(self, engine: Engine) -> None:
        """A damaged file is an EvaluationFailed, when loading and when predicting."""
        network = networks()["mobile"]
        damaged = trained(network)[1][:-100]
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
    """Small networks that hold every primitive a space may ask for."""
    cell = NasnetCell(
        4,
        blocks=(
            (0, "sep5", 1, "sep3"),
            (1, "sep5", 1, "max3"),
            (0, "avg3", 1, "identity"),
            (1, "avg3", 1, "avg3"),
            (0, "sep3", 0, "identity"),
        ),
        concat=(1, 2, 3, 4, 5, 6),
    )
    rows: dict[str, list[tuple[str, LayerSpec]]] = {
        "mobile": [
            ("down", MBConv(16, 5, 3, stride=2)),
            ("same", MBConv(16, 3, 6)),
            ("excite", MBConv(16, 3, 3, se_channels=4, activation="hard_swish")),
            ("swish", ConvBnAct(24, 1, activation="swish")),
        ],
        "cell": [("cell", cell)],
    }
    return {
        name: NetworkSpec(
            (3, 17, 15),
            (
                Node("stem", ConvBnAct(8, 3)),
                *(Node(node, layer, ("stem", "input_copy") if node == "cell" else ()) for node, layer in middle),
                Node("classifier", Classifier(7)),
            ),
        )
        for name, middle in rows.items()
    }
