"""Where architectures inside a limit come from, alike for search and baselines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np

from hwnas.core.architecture import Architecture, Option
from hwnas.core.cost import Totals
from hwnas.core.protocols import PathSpace
from hwnas.nn.gates import Gates

DRAWS_PER_CANDIDATE = 60
_ROUNDING = 1e-9  # of a latency: a smaller saving is none
WELL_USED = 0.9  # of the limit: from here on an architecture counts as using it


@dataclass(frozen=True)
class Constraint:
    """What a proposed architecture must meet before anything is trained.

    Args:
        latencies: of architectures, in milliseconds.
        limit_ms: the largest of them.
        further: of what is limited besides, what an architecture takes as a share of its limit, the largest one.
        rejected: what has been found to be outside.
    """

    latencies: Totals
    limit_ms: float
    further: Callable[[Architecture], float] = lambda arch: 0.0
    rejected: frozenset[Architecture] = frozenset()

    def __contains__(self, arch: Architecture) -> bool:
        return arch not in self.rejected and self.latencies.total(arch) <= self.limit_ms and self.further(arch) <= 1

    def total(self, arch: Architecture) -> float:
        """What an architecture takes of the limit that it is farthest beyond, as a share; rejected ones like others."""
        return max(self.latencies.total(arch) / self.limit_ms, self.further(arch))


def learned_candidates(
    gates: Gates, constraint: Constraint, count: int, rng: np.random.Generator
) -> list[Architecture]:
    """The argmax where it is inside the constraint, then distinct samples of softmax(α) that are.

    Samples that use the limit come first: a budget that is left over has bought no accuracy. Where none of the draws is
    inside, the argmax is moved inside at the least loss of probability.

    Args:
        gates: the learned distribution.
        constraint: what each must meet.
        count: at most this many; fewer where the distribution has settled.
        rng: draws the samples.
    """
    drawn = chain([gates.argmax()], (gates.sample(rng) for _ in range(DRAWS_PER_CANDIDATE * count)))
    found = list(_distinct(arch for arch in drawn if arch in constraint))
    if not found:
        moved = nearest_inside(gates, constraint, 1.0)
        return [moved] if moved in constraint else []
    rest = [arch for arch in found if arch != gates.argmax()]
    using = [arch for arch in rest if constraint.latencies.total(arch) >= WELL_USED * constraint.limit_ms]
    return list(_distinct(chain(found[:1], using, rest)))[:count]


def nearest_inside(gates: Gates, costs: Totals, limit: float) -> Architecture:
    """The argmax, with options exchanged for cheaper ones until it is inside: least log-probability per cost first."""
    options = gates.argmax().as_dict()

    def with_(name: str, option: Option) -> float:
        return costs.total(gates.space.architecture({**options, name: option}))

    likely = {choice: {str(o): p for o, p in row.items()} for choice, row in gates.as_dict().items()}
    while (total := costs.total(gates.space.architecture(options))) > limit:
        steps = [
            ((np.log(row[str(options[name])] + 1e-30) - np.log(row[str(option)] + 1e-30)) / saved, name, option)
            for name, row in likely.items()
            for option in gates.space[name].options
            if (saved := min(total - with_(name, option), total - limit)) > _ROUNDING * total
        ]
        if not steps:
            break  # every choice is at its cheapest
        _, name, option = min(steps, key=lambda step: (step[0], step[1]))
        options[name] = option
    return gates.space.architecture(options)


def random_candidates(
    space: PathSpace, constraint: Constraint, count: int, rng: np.random.Generator
) -> list[Architecture]:
    """Distinct architectures inside the constraint, spread evenly over the latencies up to it.

    Args:
        space: what is drawn from.
        constraint: what each must meet.
        count: at most this many.
        rng: draws them.
    """
    samplers = (space.choices.sample, space.choices.sample_spread)
    drawn = (samplers[draw % 2](rng) for draw in range(DRAWS_PER_CANDIDATE * count))
    inside = islice(_distinct(arch for arch in drawn if arch in constraint), 8 * count)
    found = {arch: constraint.latencies.total(arch) for arch in inside}
    if len(found) <= count:
        return list(found)
    # One architecture from each of `count` equal steps of cost where there is one, then the dearest of the rest.
    ordered = sorted(found, key=lambda arch: (found[arch], arch.id))
    least, greatest = found[ordered[0]], found[ordered[-1]]
    steps: dict[int, Architecture] = {}
    for arch in ordered:
        steps.setdefault(min(int(count * (found[arch] - least) / max(greatest - least, 1e-12)), count - 1), arch)
    picked = dict.fromkeys(steps.values())
    for arch in reversed(ordered):
        if len(picked) == count:
            break
        picked[arch] = None
    return list(picked)


def fixed_candidates(space: PathSpace, constraint: Constraint) -> list[Architecture]:
    """The uniform networks of the space that are inside the constraint."""
    return [arch for arch in _distinct(space.uniform_architectures().values()) if arch in constraint]


def _distinct(architectures: Iterable[Architecture]) -> Iterator[Architecture]:
    seen: set[Architecture] = set()
    for arch in architectures:
        if arch not in seen:
            seen.add(arch)
            yield arch
