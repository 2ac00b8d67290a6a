"""Names become objects, here and nowhere else."""

from typing import TYPE_CHECKING

from hwnas.core.on_demand import on_demand

if TYPE_CHECKING:
    from hwnas.compose.data import open_data, toy_data
    from hwnas.compose.fits import open_job, plan_fits, resolved
    from hwnas.compose.names import known_names, targets
    from hwnas.compose.networks import Fitting, FoundNetwork, open_model, open_network
    from hwnas.compose.spaces import SPACES, find_in_space, open_space, own_space, space_of
    from hwnas.compose.training import open_recipe, open_training, resolved_training

_HOMES = {
    "data": ("open_data", "toy_data"),
    "fits": ("open_job", "plan_fits", "resolved"),
    "names": ("known_names", "targets"),
    "networks": ("Fitting", "FoundNetwork", "open_model", "open_network"),
    "spaces": ("SPACES", "find_in_space", "open_space", "own_space", "space_of"),
    "training": ("open_recipe", "open_training", "resolved_training"),
}
if not TYPE_CHECKING:  # mypy reads the imports above
    __getattr__ = on_demand(
        __name__, {name: f"hwnas.compose.{home}" for home, names in _HOMES.items() for name in names}
    )
__all__ = [
    "SPACES", "Fitting", "FoundNetwork", "find_in_space", "known_names", "open_data", "open_job", "open_model",
    "open_network", "open_recipe", "open_space", "open_training", "own_space", "plan_fits", "resolved",
    "resolved_training", "space_of", "targets", "toy_data",
]  # fmt: skip
