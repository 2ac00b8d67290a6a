"""Everything a training loop must keep to go on bit for bit: as arrays by name."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from hwnas.core.errors import RunError


def module_arrays(prefix: str, module: nn.Module) -> dict[str, np.ndarray]:
    """Parameters and buffers under `prefix`."""
    return {f"{prefix}/{name}": _array(value) for name, value in module.state_dict().items()}


def load_module(prefix: str, module: nn.Module, arrays: Mapping[str, np.ndarray]) -> None:
    """Puts back what `module_arrays` gave."""
    start = f"{prefix}/"
    state = {name[len(start) :]: torch.from_numpy(array) for name, array in arrays.items() if name.startswith(start)}
    try:
        module.load_state_dict(state)
    except RuntimeError as reason:
        raise RunError(f"the checkpoint does not fit this network: {reason}") from None


def optimizer_arrays(prefix: str, optimizer: Optimizer) -> dict[str, np.ndarray]:
    """The optimiser's tensors (momentum and the like), one name per parameter and kind."""
    arrays = {}
    for index, values in optimizer.state_dict()["state"].items():
        for key, value in values.items():
            if isinstance(value, Tensor):
                arrays[f"{prefix}/{index}/{key}"] = _array(value)
    return arrays


def load_optimizer(prefix: str, optimizer: Optimizer, arrays: Mapping[str, np.ndarray]) -> None:
    """Puts back what `optimizer_arrays` gave; learning rates come from the schedule."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, array in arrays.items():
        if name.startswith(f"{prefix}/"):
            _, index, key = name.rsplit("/", 2)
            state.setdefault(int(index), {})[key] = torch.from_numpy(array)
    whole = optimizer.state_dict()
    optimizer.load_state_dict({"state": state, "param_groups": whole["param_groups"]})


def _array(value: Tensor) -> np.ndarray:
    array: np.ndarray = value.detach().cpu().contiguous().numpy()
    return array.copy()
