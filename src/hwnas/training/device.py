"""Where training runs: a torch device and the precision of its forward passes."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import nn

from hwnas.core.errors import TargetUnavailable, UnknownName

KNOWN = ("auto", "cpu", "cuda", "mps")


@dataclass(frozen=True, slots=True)
class TrainingDevice:
    """A torch device by name, and whether forward passes run in bfloat16 autocast.

    On CUDA autocast is the default; on a CPU it is slower than f32 and off.
    """

    name: str
    autocast: bool = False

    @property
    def torch(self) -> torch.device:
        """The torch device."""
        return torch.device(self.name)

    def place(self, module: nn.Module) -> nn.Module:
        """Moves a module here, in channels-last memory (for small networks on a CPU two to three times faster)."""
        module.to(self.torch)
        channels_last: nn.Module = module.to(memory_format=torch.channels_last)
        return channels_last

    def precision(self) -> AbstractContextManager[object]:
        """The context in which forward passes and losses are computed."""
        return torch.autocast(self.name, dtype=torch.bfloat16) if self.autocast else nullcontext()


def training_device(name: str) -> TrainingDevice:
    """Resolves "auto", "cpu", "cuda" or "mps"; auto takes CUDA, then MPS, then the CPU.

    Raises:
        UnknownName: another name.
        TargetUnavailable: the device is not there.
    """
    if name not in KNOWN:
        raise UnknownName("training device", name, KNOWN)
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if name == "auto":
        name = "cuda" if cuda else "mps" if mps else "cpu"
    if (name == "cuda" and not cuda) or (name == "mps" and not mps):
        raise TargetUnavailable(f"--train-on {name}: torch sees no such device here; use --train-on cpu")
    return TrainingDevice(name, autocast=name == "cuda" and torch.cuda.is_bf16_supported())
