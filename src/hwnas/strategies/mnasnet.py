"""MnasNet: an LSTM proposes networks, each is trained for a while and timed on the device, and PPO learns the reward.

The reward Q·(T/T0)^w weighs accuracy against the latency that was measured (core/objective.py); nothing is ruled out by
its latency, so that every network teaches something.

Source: Tan, Chen, Pang, Vasudevan, Sandler, Howard, Le 2019, "MnasNet: Platform-Aware Neural Architecture Search for
Mobile", sections 3 and 4.
Differs:
- the controller's learning rate and entropy bonus are for hundreds of children instead of 8,000
  (controllers/recurrent.py; `NASNET` has those that the paper takes from NASNet);
- children are trained on the user's images for so many steps, where the paper has five epochs of ImageNet;
- T0 is the budget less a margin, for what is delivered must be inside it;
- a child that was trained once is not trained again.
"""

from __future__ import annotations

from hwnas.controllers.recurrent import RecurrentController
from hwnas.core.objective import Objective
from hwnas.core.protocols import Checkpoints, Progress
from hwnas.strategies import black_box
from hwnas.strategies.black_box import BlackBoxSettings, Problem
from hwnas.strategies.evaluated import BlackBoxSearched


def search(
    problem: Problem, objective: Objective, settings: BlackBoxSettings, *, seed: int, checkpoints: Checkpoints,
    progress: Progress, purpose: str = "search",
) -> BlackBoxSearched:  # fmt: skip
    """Lets the LSTM propose, and PPO learn; the arguments are those of `black_box.search`."""
    controller = RecurrentController(problem.choices, seed)
    return black_box.search(
        controller, problem, objective, settings, checkpoints=checkpoints, progress=progress, purpose=purpose
    )
