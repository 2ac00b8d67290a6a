"""What becomes one layer of a file, by hand."""

from __future__ import annotations

import numpy as np

from hwnas.core.primitives import Activation, Add, BatchNorm, Conv, Flatten, Graph, GraphWriter, Linear
from hwnas.formats.fusing import fused, fused_arrays


def chain(*readers: str) -> Graph:
    """c -> n -> a -> f -> l -> r, where `readers` add what else reads a value."""
    graph = GraphWriter((2, 1, 1))
    value = graph.add("c", Conv(2, 2, (1, 1), bias=True), "input")
    value = graph.add("n", BatchNorm(2, 0.0), value)
    value = graph.add("a", Activation("relu"), value)
    value = graph.add("f", Flatten(), value)
    value = graph.add("l", Linear(2, 2), value)
    value = graph.add("r", Activation("swish"), value)
    for reader in readers:
        graph.add(f"{reader}2", Add(), reader, reader)
    return graph.graph(value)


def layers(graph: Graph, *activations: str) -> list[str]:
    return [
        "".join(part.name for part in (one.operation, one.batch_norm, one.activation) if part)
        for one in fused(graph, activations)
    ]


def test_what_follows_alone_is_fused() -> None:
    assert layers(chain()) == ["cn", "a", "f", "l", "r"]
    assert layers(chain(), "relu") == ["cna", "f", "l", "r"]
    assert layers(chain(), "relu", "swish") == ["cna", "f", "lr"]


def test_a_value_with_another_reader_stays() -> None:
    assert layers(chain("c"), "relu") == ["c", "n", "a", "f", "l", "r", "c2"]
    assert layers(chain("n"), "relu", "swish") == ["cn", "a", "f", "lr", "n2"]
    assert layers(chain("l"), "relu", "swish") == ["cna", "f", "l", "r", "l2"]


def test_the_output_of_the_network_stays() -> None:
    graph = chain()
    assert layers(Graph(graph.input_shape, graph.operations, "n"), "relu") == ["cn", "a", "f", "l", "r"]


def test_a_batch_norm_folds_by_hand() -> None:
    (one, *_) = fused(chain())
    arrays = {
        "c.weight": np.float32([[[[1]], [[2]]], [[[3]], [[4]]]]),
        "c.bias": np.float32([1, 2]),
        "n.weight": np.float32([3, 1]),
        "n.bias": np.float32([10, 20]),
        "n.running_mean": np.float32([0, 1]),
        "n.running_var": np.float32([9, 4]),
    }
    weight, bias = fused_arrays(one, arrays)
    assert weight.dtype == np.float32 and weight.ravel().tolist() == [1, 2, 1.5, 2]
    assert bias is not None and bias.dtype == np.float32 and bias.tolist() == [11, 20.5]
