"""Guided search, the black-box strategy that hwnas recommends: mutants of the best that a model finds most promising.

A Gaussian process learns the scores of what has been trained, a logistic regression which networks are inside the
limits; of the mutants of the best networks those with the largest expected improvement are trained next.

Source: BANANAS (White, Neiswanger, Savani 2021), with the Gaussian process and the expected improvement of Bayesian
optimisation; controllers/guided.py says what differs.
"""

from __future__ import annotations

from hwnas.controllers.guided import GuidedController, GuidedSettings
from hwnas.core.choices import ChoiceSpace
from hwnas.core.objective import Objective
from hwnas.core.protocols import Checkpoints, Progress
from hwnas.evaluation.predictors import GaussianProcessPredictor
from hwnas.strategies import black_box
from hwnas.strategies.black_box import BlackBoxSettings, Problem
from hwnas.strategies.evaluated import BlackBoxSearched


def controller(space: ChoiceSpace, seed: int, settings: GuidedSettings | None = None) -> GuidedController:
    """The controller, with a Gaussian process over the choices of the space."""
    return GuidedController(space, seed, GaussianProcessPredictor(space), settings)


def search(
    problem: Problem, objective: Objective, settings: BlackBoxSettings, *, seed: int, checkpoints: Checkpoints,
    progress: Progress, purpose: str = "search",
) -> BlackBoxSearched:  # fmt: skip
    """Lets the model choose among mutants; the arguments are those of `black_box.search`."""
    return black_box.search(
        controller(problem.choices, seed), problem, objective, settings, checkpoints=checkpoints, progress=progress,
        purpose=purpose,
    )  # fmt: skip
