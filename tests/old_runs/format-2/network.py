"""An image classifier made by hwnas: plain PyTorch, with its weights in weights.safetensors beside it.

    python network.py                        loads the weights and scores one random image
    from network import load                 network = load("weights.safetensors"); scores = network(images)

It needs torch and nothing else.
"""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn


class Group(nn.Module):
    """Named parts and nothing else: groups give the arrays their names, the work is in Network.forward."""

    def __init__(self, /, **parts: nn.Module) -> None:
        super().__init__()
        self._modules.update(parts)

    def __getitem__(self, name: str) -> nn.Module:
        return self._modules[name]


class BatchNorm(nn.Module):
    """Batch normalisation; nn.BatchNorm2d without its count of batches."""

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, self.training, 0.1, self.eps
        )


class Network(Group):
    """5 layers: images (batch, 1, 4, 32) to scores (batch, 2)."""

    def __init__(self) -> None:
        super().__init__(
            stem=Group(conv=nn.Conv2d(1, 8, 1, bias=False), bn=BatchNorm(8)),
            conv1=Group(conv=nn.Conv2d(8, 24, 7, padding=3, bias=False), bn=BatchNorm(24)),
            conv2=Group(conv=nn.Conv2d(24, 8, 3, padding=1, bias=False), bn=BatchNorm(8)),
            conv3=Group(conv=nn.Conv2d(8, 8, 5, padding=2, bias=False), bn=BatchNorm(8)),
            classifier=Group(linear=nn.Linear(8, 2)),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # stem: ConvBnAct(out_channels=8, kernel=1, activation='relu')
        x = F.relu(self.stem.bn(self.stem.conv(x)))  # 8, 4, 32

        # conv1: ConvBnAct(out_channels=24, kernel=7, activation='relu')
        x = F.relu(self.conv1.bn(self.conv1.conv(x)))  # 24, 4, 32

        # conv2: ConvBnAct(out_channels=8, kernel=3, activation='relu')
        x = F.relu(self.conv2.bn(self.conv2.conv(x)))  # 8, 4, 32

        # conv3: ConvBnAct(out_channels=8, kernel=5, activation='relu')
        x = F.relu(self.conv3.bn(self.conv3.conv(x)))  # 8, 4, 32

        # classifier: Classifier(classes=2)
        x = torch.flatten(F.adaptive_avg_pool2d(x, 1), 1)  # 8
        x = self.classifier.linear(x)  # 2
        return x


def read_safetensors(path: str | Path) -> dict[str, torch.Tensor]:
    """The float32 arrays of a safetensors file: 8 bytes with the header's size, a JSON header, the numbers.

    Raises ValueError where the file is damaged; nothing in it is executed.
    """
    data = Path(path).read_bytes()
    try:
        (size,) = struct.unpack_from("<Q", data)
        if size > len(data) - 8:
            raise ValueError(f"the header has {size} bytes, the file {len(data)}")
        header = json.loads(data[8 : 8 + size])
        header.pop("__metadata__", None)
        arrays = {}
        for name, entry in header.items():
            shape, (start, stop) = entry["shape"], entry["data_offsets"]
            whole = all(type(number) is int and number >= 0 for number in (*shape, start, stop))
            if entry["dtype"] != "F32" or not whole or not 0 < 4 * math.prod(shape) == stop - start:
                raise ValueError(f"array {name!r} is not float32 or its size is wrong")
            if stop > len(data) - 8 - size:
                raise ValueError(f"array {name!r} lies outside the file")
            numbers = bytearray(data[8 + size + start : 8 + size + stop])
            arrays[name] = torch.frombuffer(numbers, dtype=torch.float32).reshape(shape)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, struct.error) as reason:
        raise ValueError(f"{path} is not a whole safetensors file: {reason}") from None
    return arrays


def load(path: str | Path = "weights.safetensors") -> Network:
    """The network with its weights, ready to score images (batch, channels, height, width)."""
    network = Network()
    network.load_state_dict(read_safetensors(path))
    return network.eval()


if __name__ == "__main__":
    with torch.inference_mode():
        scores = load(Path(__file__).with_name("weights.safetensors"))(torch.rand(1, 1, 4, 32))
    print(f"scores of one random image: {tuple(scores.shape)}")
