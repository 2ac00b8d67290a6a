"""Regularised evolution: mutants of tournament winners are tried, and the oldest die, however good they were.

Source: Real, Aggarwal, Huang, Le 2019, "Regularized Evolution for Image Classifier Architecture Search", algorithm 1.
Differs: the population is smaller, for hundreds of networks instead of 20,000, and no network is tried twice
(controllers/evolution.py); latency is held against a hard limit, where the paper has accuracy alone.
"""

from __future__ import annotations

from hwnas.controllers.evolution import EvolutionController
from hwnas.core.objective import Objective
from hwnas.core.protocols import Checkpoints, Progress
from hwnas.strategies import black_box
from hwnas.strategies.black_box import BlackBoxSettings, Problem
from hwnas.strategies.evaluated import BlackBoxSearched


def search(
    problem: Problem, objective: Objective, settings: BlackBoxSettings, *, seed: int, checkpoints: Checkpoints,
    progress: Progress, purpose: str = "search",
) -> BlackBoxSearched:  # fmt: skip
    """Evolves a population; the arguments are those of `black_box.search`."""
    controller = EvolutionController(problem.choices, seed)
    return black_box.search(
        controller, problem, objective, settings, checkpoints=checkpoints, progress=progress, purpose=purpose
    )
