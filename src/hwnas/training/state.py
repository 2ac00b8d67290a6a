"""Everything a training loop must keep to go on bit for bit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from hwnas.core.errors import RunError
from hwnas.core.protocols import Checkpoint, Checkpoints


@dataclass(frozen=True)
class LoopState:
    """The parts of a loop that change; learning rates, batches and draws are functions of the step and need no saving.

    Args:
        modules: parameters and buffers, by name.
        optimizers: momentum and the like, by name.
    """

    modules: Mapping[str, nn.Module]
    optimizers: Mapping[str, Optimizer] = field(default_factory=dict)

    def save(self, checkpoints: Checkpoints, step: int, facts: Mapping[str, Any]) -> None:
        """Keeps every part as it is after `step` steps, and plain JSON values beside them."""
        arrays = {
            f"{name}/{key}": _array(value)
            for name, module in self.modules.items()
            for key, value in module.state_dict().items()
        }
        for name, optimizer in self.optimizers.items():
            for index, values in optimizer.state_dict()["state"].items():
                tensors = {key: value for key, value in values.items() if isinstance(value, Tensor)}
                arrays |= {f"{name}/{index}/{key}": _array(value) for key, value in tensors.items()}
        checkpoints.save(Checkpoint(step, arrays, facts))

    def is_finite(self) -> bool:
        """Whether every parameter and buffer is: what is not would poison every step to come."""
        values = (value for module in self.modules.values() for value in module.state_dict().values())
        # −inf is how gates say that a choice has no such option; a weight that overflows to it spoils the next loss.
        return not any(bool((value.isnan() | value.isposinf()).any()) for value in values)

    def restore(self, checkpoints: Checkpoints) -> Checkpoint | None:
        """Puts every part back to the newest checkpoint and returns it; None where there is none.

        Raises:
            RunError: the checkpoint belongs to other networks.
        """
        saved = checkpoints.latest()
        if saved is None:
            return None
        for name, module in self.modules.items():
            try:
                module.load_state_dict(_below(f"{name}/", saved.arrays))
            except RuntimeError as reason:
                raise RunError(f"the checkpoint of step {saved.step} does not fit {name}: {reason}") from None
        for name, optimizer in self.optimizers.items():
            state: dict[int, dict[str, Tensor]] = {}
            for path, value in _below(f"{name}/", saved.arrays).items():
                index, key = path.split("/")
                state.setdefault(int(index), {})[key] = value
            optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
        return saved


def _below(start: str, arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    return {name[len(start) :]: torch.from_numpy(array) for name, array in arrays.items() if name.startswith(start)}


def _array(value: Tensor) -> np.ndarray:
    array: np.ndarray = value.detach().cpu().contiguous().numpy()
    return array.copy()
