"""Architecture parameters α of a path-level supernet and ProxylessNAS's two-path update of them.

Source: Cai et al. 2019, equations 3 and 4 and section 3.2.1; the released code's `two` mode.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from hwnas.core.architecture import Architecture
from hwnas.core.choices import ChoiceSpace
from hwnas.core.cost import CostTerms


@dataclass(frozen=True)
class Pairs:
    """Two different options of every choice, drawn from softmax(α) without replacement.

    Args:
        columns: (choices, 2) int64; column 0 is the active option, column 1 the other.
        active: the architecture of column 0.
        other: the architecture of column 1.
    """

    columns: Tensor
    active: Architecture
    other: Architecture


class Gates(nn.Module):
    """α for every option of every choice, a (choices, options) tensor; absent options stand at −inf.

    Args:
        space: without conditions; choices may have different numbers of options, at least two.
        seed_rng: draws the start, N(0, 1e-3) as in the released code.
    """

    def __init__(self, space: ChoiceSpace, seed_rng: np.random.Generator) -> None:
        super().__init__()
        self.space = space
        width = max(len(choice.options) for choice in space.choices)
        exists = torch.zeros(len(space.choices), width, dtype=torch.bool)
        for row, choice in enumerate(space.choices):
            exists[row, : len(choice.options)] = True
        start = torch.from_numpy(seed_rng.normal(0.0, 1e-3, size=tuple(exists.shape))).float()
        self.alpha = nn.Parameter(start.masked_fill(~exists, -torch.inf))
        self._exists = exists

    def probabilities(self) -> Tensor:
        """softmax(α), (choices, options), detached."""
        return torch.softmax(self.alpha.detach(), dim=1)

    def as_dict(self) -> dict[str, dict[str, float]]:
        """{choice: {option: probability}} with plain floats."""
        rows = self.probabilities().tolist()
        return {
            choice.name: {str(option): p for option, p in zip(choice.options, row, strict=False)}
            for choice, row in zip(self.space.choices, rows, strict=True)
        }

    def entropy(self) -> float:
        """Mean entropy of the choices in nats; 0 where all are decided."""
        p = self.probabilities()
        return float(-(p * p.clamp_min(1e-30).log()).sum(1).mean())

    def sample(self, rng: np.random.Generator) -> Architecture:
        """One path drawn from softmax(α), in canonical form."""
        return self.space.canonical(self._path(_draw(self.probabilities().double().numpy(), rng)))

    def argmax(self) -> Architecture:
        """The most likely option of every choice, in canonical form."""
        return self.space.canonical(self._path(self.alpha.detach().argmax(dim=1).numpy()))

    def sample_pairs(self, rng: np.random.Generator) -> Pairs:
        """Two options a choice without replacement from softmax(α); the active one by the softmax of just the two."""
        p = self.probabilities().double().numpy()
        rows = np.arange(len(p))
        first = _draw(p, rng)
        rest = p.copy()
        rest[rows, first] = 0.0
        # A decided gate may leave no mass: then the runner-up is drawn uniformly among the existing options.
        empty = rest.sum(1) < 1e-12
        uniform = self._exists.double().numpy()
        uniform[rows, first] = 0.0
        rest[empty] = uniform[empty]
        second = _draw(rest / rest.sum(1, keepdims=True), rng)
        mass_first, mass_second = p[rows, first], p[rows, second]
        swap = rng.random(len(p)) >= mass_first / np.maximum(mass_first + mass_second, 1e-300)
        active, other = np.where(swap, second, first), np.where(swap, first, second)
        columns = torch.from_numpy(np.stack([active, other], axis=1))
        return Pairs(columns, self._path(active), self._path(other))

    def expected_cost(self, terms: CostTerms) -> float:
        """Σ p·c over all options, in the unit of the terms."""
        return terms.constant + float((self.probabilities() * self.cost_matrix(terms)).sum())

    def cost_matrix(self, terms: CostTerms) -> Tensor:
        """(choices, options) costs; 0 where an option does not exist."""
        costs = torch.zeros(self._exists.shape)
        for row, choice in enumerate(self.space.choices):
            costs[row, : len(choice.options)] = torch.tensor([terms.by_choice[choice.name][o] for o in choice.options])
        return costs

    def _path(self, columns: np.ndarray) -> Architecture:
        """One option a place, not canonical: a gradient of place i must come from what stood at place i."""
        options = (choice.options[int(column)] for choice, column in zip(self.space.choices, columns, strict=True))
        return Architecture(self.space.name, tuple(zip((c.name for c in self.space.choices), options, strict=True)))


def _draw(probabilities: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One column a row by inverse transform."""
    cumulative = probabilities.cumsum(axis=1)
    points = rng.random(len(probabilities))[:, None] * cumulative[:, -1:]
    columns: np.ndarray = (points >= cumulative).sum(axis=1).clip(0, probabilities.shape[1] - 1)
    return columns


def pair_probabilities(alpha: Tensor, pairs: Pairs) -> Tensor:
    """Softmax over just the two drawn options, (choices, 2); differentiable in α."""
    return torch.softmax(alpha.gather(1, pairs.columns), dim=1)


def gate_to_alpha(gate_gradient: Tensor, p: Tensor) -> Tensor:
    """∂L/∂α_i = Σ_j ∂L/∂g_j · p_j · (δ_ij − p_i), row by row.

    Source: Cai et al. 2019, equation 4 (the straight-through estimate of BinaryConnect).

    Args:
        gate_gradient: ∂L/∂g, (choices, n).
        p: probabilities of the same options, (choices, n).
    """
    weighted = gate_gradient * p
    return weighted - p * weighted.sum(dim=1, keepdim=True)


def expected_cost_of_pairs(gates: Gates, p_pairs: Tensor, pairs: Pairs, costs: Tensor, constant: float) -> Tensor:
    """The exact expected cost as a value, with a gradient that compares the two drawn options only.

    Differs: the released code's `two` mode also takes the value from the two drawn options, which makes the sign of
    E − T a coin toss near the target.

    Args:
        gates: give the value.
        p_pairs: what `pair_probabilities` returned, (choices, 2).
        pairs: the drawn options.
        costs: (choices, options).
        constant: cost of everything that is not searched.
    """
    of_pairs = (p_pairs * costs.gather(1, pairs.columns)).sum()
    exact = constant + (gates.probabilities() * costs).sum()
    return exact + of_pairs - of_pairs.detach()


def rescale(alpha: Tensor, before: Tensor, pairs: Pairs) -> None:
    """Shifts the two updated α of each choice so that every option that was not drawn keeps its probability.

    Source: Cai et al. 2019, section 3.2.1 ("rescale by multiplying a ratio"): α −= ln(Σ exp(new two) / Σ exp(old two)).

    Args:
        alpha: after the optimiser's step, changed in place.
        before: α before the step.
        pairs: the options that the step has moved.
    """
    new, old = alpha.gather(1, pairs.columns), before.gather(1, pairs.columns)
    shift = torch.logsumexp(new, dim=1, keepdim=True) - torch.logsumexp(old, dim=1, keepdim=True)
    alpha.scatter_(1, pairs.columns, new - shift)
