"""Searches on real images side by side: one budget for all, and each search a run of its own.

Whatever a strategy learns from, all are judged alike: by the accuracy of the best network that is inside the limits, as
measured and counted in its own search.
"""

from __future__ import annotations

from collections.abc import Mapping

from hwnas.core.errors import BudgetError
from hwnas.core.objective import Limited
from hwnas.core.protocols import Progress
from hwnas.runs.clock import Spent
from hwnas.runs.directory import RunDirectory
from hwnas.workflows.accounting import RunProgress
from hwnas.workflows.attempts import Attempt, attempt_of
from hwnas.workflows.children import searched_in, wanted
from hwnas.workflows.compare import Asked
from hwnas.workflows.job import FitJob
from hwnas.workflows.limits import ends_by_macs, settle_limits
from hwnas.workflows.search_only import search_only


def common_limits(job: FitJob, run: RunDirectory, shown: Progress) -> dict[str, float]:
    """What every search is held against, by the names of costs: the latency that is aimed at in ms, further limits.

    Args:
        job: of any of the searches.
        run: of the comparison; it keeps how fast the ends of the space are, so that a budget such as 40% is the same
            for every search that replays them.
        shown: told how far it is.

    Raises:
        BudgetError: the smallest network of the space is over the budget; nothing was searched.
    """
    return wanted(job, settle_limits(job, run, ends_by_macs(job.space), RunProgress(shown, run)))


def search_attempt(
    asked: Asked, job: FitJob, run: RunDirectory, limits: Mapping[str, float], shown: Progress
) -> Attempt:  # fmt: skip
    """One search, as `hwnas search` does it, as a row of a comparison; one that was cut off goes on.

    Args:
        asked: its strategy and seed.
        job: everything it works on.
        run: of this search.
        limits: what counts as found is inside all of them.
        shown: told how far it is.

    Raises:
        EvaluationFailed: most of its networks cannot be trained, or a file cannot be measured.
    """
    try:
        search_only(job, run, shown)
    except BudgetError as nothing:  # the budget can be met, see `common_limits`, but this search did not find how
        shown.say(f"{asked.name}: {nothing}")
    spent = [stage.spent for stage in run.store.stages()]
    whole = Spent(sum(one.cpu_seconds for one in spent), sum(one.wall_seconds for one in spent))
    return attempt_of(asked.strategy, asked.seed, searched_in(run), Limited(limits=limits), whole, None)
