"""Controllers by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from hwnas.controllers.categorical import CategoricalController, CategoricalSettings
from hwnas.controllers.evolution import EvolutionController, EvolutionSettings
from hwnas.controllers.guided import GuidedSettings
from hwnas.controllers.random import RandomController
from hwnas.controllers.recurrent import POLICY_GRADIENT, RecurrentController, RecurrentSettings
from hwnas.core.choices import ChoiceSpace
from hwnas.core.errors import UnknownName
from hwnas.core.protocols import Controller
from hwnas.strategies import guided


@dataclass(frozen=True)
class KnownController:
    """A controller that can be asked for by name.

    Args:
        text: one sentence.
        make: makes one of a space and a seed.
        settings: what it is made with; None where nothing can be set.
    """

    text: str
    make: Callable[[ChoiceSpace, int], Controller]
    settings: Any = None


CONTROLLERS: dict[str, KnownController] = {
    "random": KnownController("every network as likely as any other, none twice", RandomController),
    "evolution": KnownController(
        "regularised evolution: mutants of tournament winners, the oldest die", EvolutionController, EvolutionSettings()
    ),
    "guided": KnownController(
        "mutants of the best that a Gaussian process finds most promising", guided.controller, GuidedSettings()
    ),
    "reinforce": KnownController(
        "a categorical for each choice, learned by REINFORCE", CategoricalController, CategoricalSettings()
    ),
    "ppo": KnownController(
        "an LSTM over the choices, learned by PPO: the controller of NASNet and MnasNet",
        RecurrentController, RecurrentSettings(),
    ),
    "policy-gradient": KnownController(
        "an LSTM over the choices, learned by the plain policy gradient: the controller before NASNet's",
        partial(RecurrentController, settings=POLICY_GRADIENT), POLICY_GRADIENT,
    ),
}  # fmt: skip


def known_controller(name: str) -> KnownController:
    """A controller by name.

    Raises:
        UnknownName: no such controller.
    """
    if name not in CONTROLLERS:
        raise UnknownName("strategy", name, CONTROLLERS)
    return CONTROLLERS[name]
