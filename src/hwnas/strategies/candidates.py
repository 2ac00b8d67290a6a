"""Where architectures inside a limit come from, and their ranking on shared weights, alike for search and baselines."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from hwnas.core.architecture import Architecture
from hwnas.core.cost import Cost, CostTerms
from hwnas.core.protocols import PathSpace, Progress
from hwnas.core.trial import Trial
from hwnas.evaluation.shared_weights import SharedWeights
from hwnas.nn.gates import Gates

DRAWS_PER_CANDIDATE = 60


def learned_candidates(
    gates: Gates, terms: CostTerms, limit: float, count: int, rng: np.random.Generator
) -> list[Architecture]:
    """The argmax where it is inside the limit, then distinct samples of softmax(α) that are.

    Where none of the draws is inside, the argmax is moved inside at the least loss of probability.

    Args:
        gates: the learned distribution.
        terms: the cost of every option.
        limit: in the unit of the terms.
        count: at most this many; fewer where the distribution has settled.
        rng: draws the samples.
    """
    found = dict.fromkeys([gates.argmax()] if terms.total(gates.argmax()) <= limit else [])
    for _ in range(DRAWS_PER_CANDIDATE * count):
        if len(found) >= count:
            break
        arch = gates.sample(rng)
        if terms.total(arch) <= limit:
            found[arch] = None
    return list(found) or [nearest_inside(gates, terms, limit)]


def nearest_inside(gates: Gates, terms: CostTerms, limit: float) -> Architecture:
    """The argmax, with options exchanged for cheaper ones until it is inside: least log-probability per cost first."""
    options = gates.argmax().as_dict()
    likely = {choice: {str(o): p for o, p in row.items()} for choice, row in gates.as_dict().items()}
    while (total := terms.total(gates.space.architecture(options))) > limit:
        steps = [
            ((np.log(likely[name][str(now)] + 1e-30) - np.log(likely[name][str(option)] + 1e-30)) / saved, name, option)
            for name, now in options.items()
            for option, cost in terms.by_choice[name].items()
            if (saved := min(terms.by_choice[name][now] - cost, total - limit)) > 0
        ]
        if not steps:
            break  # every choice is at its cheapest
        _, name, option = min(steps, key=lambda step: (step[0], step[1]))
        options[name] = option
    return gates.space.architecture(options)


def random_candidates(
    space: PathSpace, terms: CostTerms, limit: float, count: int, rng: np.random.Generator
) -> list[Architecture]:
    """Distinct architectures inside the limit, spread evenly over the costs up to it.

    Args:
        space: what is drawn from.
        terms: the cost of every option.
        limit: in the unit of the terms.
        count: at most this many.
        rng: draws them.
    """
    found: dict[Architecture, float] = {}
    for draw in range(DRAWS_PER_CANDIDATE * count):
        if len(found) >= 8 * count:
            break
        arch = space.choices.sample_spread(rng) if draw % 2 else space.choices.sample(rng)
        cost = terms.total(arch)
        if cost <= limit:
            found[arch] = cost
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


def fixed_candidates(space: PathSpace, terms: CostTerms, limit: float) -> list[Architecture]:
    """The uniform networks of the space that are inside the limit."""
    architectures = dict.fromkeys(space.uniform_architectures().values())
    return [arch for arch in architectures if terms.total(arch) <= limit]


def rank(
    architectures: Iterable[Architecture], evaluator: SharedWeights, terms: CostTerms, source: str, provenance: str,
    progress: Progress,
) -> list[Trial]:  # fmt: skip
    """Scores architectures on shared weights, best (lowest loss) first.

    Args:
        architectures: what is scored.
        evaluator: how.
        terms: predicts their latency in milliseconds.
        source: who proposed them.
        provenance: of the latency model.
        progress: told how far it is.
    """
    listed = list(architectures)
    progress.stage(f"score/{source}", len(listed))
    trials = []
    for done, arch in enumerate(listed, start=1):
        quality = evaluator.evaluate(arch)
        trials.append(Trial(arch, quality, Cost(terms.total(arch), "ms", "model", provenance), source))
        progress.advance(done, {"best loss": min(trial.quality.loss for trial in trials)})
    return sorted(trials, key=lambda trial: (trial.quality.loss, trial.architecture.id))
