"""Random search: networks drawn without replacement, and the best of them kept.

The baseline that every search has to beat at equal cost.

Source: Li, Talwalkar 2019, "Random Search and Reproducibility for Neural Architecture Search".
Differs: drawn without replacement, every second network from a sample that is spread over the costs (uniformly drawn
ones cost nearly the same, most often more than a budget); what is over a limit is passed over before it is trained.
"""

from __future__ import annotations

from hwnas.controllers.random import RandomController, SpreadOrder
from hwnas.core.objective import Objective
from hwnas.core.protocols import Checkpoints, Progress
from hwnas.strategies import black_box
from hwnas.strategies.black_box import BlackBoxSettings, Problem
from hwnas.strategies.evaluated import BlackBoxSearched


def search(
    problem: Problem, objective: Objective, settings: BlackBoxSettings, *, seed: int, checkpoints: Checkpoints,
    progress: Progress, purpose: str = "search",
) -> BlackBoxSearched:  # fmt: skip
    """Draws networks and keeps what they score; the arguments are those of `black_box.search`."""
    controller = RandomController(problem.choices, seed, SpreadOrder)
    return black_box.search(
        controller, problem, objective, settings, checkpoints=checkpoints, progress=progress, purpose=purpose
    )
