"""A layer in words."""

from __future__ import annotations

import pytest

from hwnas.core.counting import count
from hwnas.networks.catalogue import published
from hwnas.workflows.blocks import blocks


@pytest.mark.parametrize(
    ("name", "node", "text"),
    [
        ("nasnet-a-mobile", "stem", "Conv 3x3, 32 channels, 111x111"),
        ("nasnet-a-mobile", "stem_cell1", "NASNet reduction cell, 88 channels, 28x28"),
        ("nasnet-a-mobile", "stage1.block0", "NASNet normal cell, 264 channels, 28x28"),
        ("darts-v2", "stage2.block0", "DARTS reduction cell, 288 channels, 16x16"),
        ("proxyless-cifar", "stage1.block0", "Tree block, width 18, 72 channels, 32x32"),
    ],
)
def test_cells_in_words(name: str, node: str, text: str) -> None:
    network = published(name).network()
    rows = blocks(network, None)
    assert {row["name"]: row["text"] for row in rows}[node] == text
    counts = count(network)
    assert (sum(row["params"] for row in rows), sum(row["macs"] for row in rows)) == (counts.params, counts.macs)
