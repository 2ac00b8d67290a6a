"""Several fits in one call, over seeds, budgets and targets: what they share, and the matrix that they end in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas import compose
from hwnas.api.arguments import call_in_words
from hwnas.api.beginning import check_names, check_targets, open_images, replayed, reserved
from hwnas.api.fits import fit_in, settled
from hwnas.config import FitConfig, checked_settings
from hwnas.core.errors import BudgetError, EvaluationFailed, TargetUnavailable
from hwnas.core.protocols import Progress, Silence
from hwnas.runs.directory import RunDirectory
from hwnas.runs.lock import RunLock
from hwnas.runs.stop import Stop

if TYPE_CHECKING:
    from hwnas.data.images import ImageData
    from hwnas.workflows.several import OneFit, SeveralResult
    from hwnas.workflows.specialisation import Home


@dataclass(frozen=True)
class _Call:
    """What the fits of one call have in common.

    Args:
        place: the directory of all.
        images: of all.
        fresh: start every one over.
        measurements: a checked file of those that are to be replayed.
        command: what the user typed.
        progress: told how far they are.
        stop: asks them to end.
        has_siblings: whether any two differ in target or budget.
    """

    place: Path
    images: ImageData
    fresh: bool
    measurements: Path | None
    command: str
    progress: Progress
    stop: Stop | None
    has_siblings: bool


@dataclass(frozen=True)
class _Done:
    """A fit that has ended, with its settings as they were settled; None where it was refused before that."""

    fit: OneFit
    config: FitConfig | None


def fit_several(
    data: str = "mnist5k",
    *,
    budgets: Sequence[str],
    out: str | Path,
    targets: Sequence[str] = ("onnxruntime-f32",),
    seeds: int = 1,
    fresh: bool = False,
    measurements: str | Path | None = None,
    command: str | None = None,
    progress: Progress | None = None,
    stop: Stop | None = None,
    **settings: Any,
) -> SeveralResult:
    """Several fits below one directory, each a complete run, and a summary that sets them side by side.

    The same call resumes; what has finished is not done again. A fit that is refused (infeasible budget, target not
    available) does not keep the others from being done. They share the images and whatever no latency enters; each
    ends as it would by itself. Where there are several targets, every network is measured on each of them in the end.

    Args:
        data: a known data set, a folder of images or an .npz pack.
        budgets: k-th with the k-th target; one serves all targets.
        out: gets result.json and report.html of the summary, and a directory for every fit.
        targets: one serves all budgets.
        seeds: how often each is done; the first seed is the setting `seed`.
        fresh: start every one over.
        measurements: replay those of this run directory or exported file instead of taking them.
        command: what to write into the reports under "how to repeat this".
        progress: told how far it is.
        stop: asks it to end as soon as everything is saved.
        settings: any other field of `hwnas.config.FitConfig`.

    Raises:
        InputError: a setting or the images cannot be used, or targets and budgets do not pair.
        RunError: a directory holds a run with other settings, or is in use.
    """
    place, shown = Path(out), progress or Silence()
    first = checked_settings(FitConfig, {"data": data, "budget": (*budgets, "")[0], **settings})
    plans = compose.plan_fits(first, targets, budgets, seeds)
    from hwnas.workflows.several import SPECIALISATION, check_free, summarise

    check_free(place)
    values = {"data": data, "budgets": list(budgets), "targets": list(targets), "seeds": seeds, **settings}
    command = command or call_in_words("fit_several", {**values, "out": str(out)})
    several_targets = len({plan.target for plan in plans.values()}) > 1
    with ExitStack() as held:
        names = [*plans, *([SPECIALISATION] if several_targets else [])]
        locks = {name: held.enter_context(reserved(place / name)) for name in names}
        check_names(first)
        check_targets([plan.target for plan in plans.values()], shown)
        records, images = held.enter_context(replayed(measurements)), open_images(first, shown)
        tasks = {(plan.target, plan.budget) for plan in plans.values()}
        call = _Call(place, images, fresh, records, command, shown, stop, len(tasks) > 1)
        done = _all(call, plans, locks)
        matrices = _matrices(call, done, locks[SPECIALISATION]) if several_targets else []
        return summarise([one.fit for one in done], place, command, matrices)


def fit_seeds(
    data: str = "mnist5k", *, seeds: int, budget: str, out: str | Path, target: str = "onnxruntime-f32", **others: Any
) -> SeveralResult:
    """The same fit with several seeds, each a complete run in out/seed-K, and what they say together.

    Args:
        data: a known data set, a folder of images or an .npz pack.
        seeds: how many, counted from the setting `seed`.
        budget: latency limit with its unit.
        out: gets the summary, and a directory for every seed.
        target: where the network will run.
        others: whatever else `fit_several` takes.
    """
    return fit_several(data, seeds=seeds, budgets=[budget], targets=[target], out=out, **others)


def _all(call: _Call, plans: Mapping[str, FitConfig], locks: Mapping[str, RunLock]) -> list[_Done]:
    """One fit after the other."""
    done: list[_Done] = []
    steps: dict[tuple[str, str], dict[str, Any]] = {}  # the seeds of one task have the same settings
    for number, (name, plan) in enumerate(plans.items(), start=1):
        call.progress.say(f"[{number}/{len(plans)}] {call.place / name}")
        task = (plan.target, plan.budget)
        one = _one(call, name, plan.model_copy(update=steps.get(task, {})), done, locks[name])
        if one.config is not None:
            steps[task] = {"search_steps": one.config.search_steps, "train_steps": one.config.train_steps}
        done.append(one)
    return done


def _one(call: _Call, name: str, plan: FitConfig, before: Sequence[_Done], lock: RunLock) -> _Done:
    """One of several fits; what ends it alone is told in its row."""
    from hwnas.workflows.several import OneFit, finished

    place, config = call.place / name, None
    result, error, code = None, None, 0
    try:
        config = settled(plan, call.images, place, call.fresh, call.progress)
        result = None if call.fresh else finished(place, config.kept())
        if result is None:
            siblings = _siblings(call, config, before) if call.has_siblings else None
            result = fit_in(
                place, config, call.images, call.fresh, call.measurements, call.command, call.progress, call.stop, lock,
                siblings,
            ).result  # fmt: skip
    except (BudgetError, EvaluationFailed, TargetUnavailable) as reason:
        call.progress.say(f"{place}: {reason}")
        error, code = str(reason), reason.exit_code
    if result is not None and result["status"] != "inside-budget":
        code = BudgetError.exit_code
    return _Done(OneFit(name, plan.target, plan.budget, plan.seed, result, error, code), config)


def _siblings(call: _Call, config: FitConfig, before: Sequence[_Done]) -> tuple[Path, ...]:
    """The fits before it whose work this one may take over."""
    from hwnas.workflows.sharing import may_share

    return tuple(
        call.place / one.fit.directory
        for one in before
        if one.config is not None
        and one.fit.result is not None
        and may_share(config.kept(), one.config.kept(), one.fit.result, call.images.fingerprint)
    )


def _matrices(call: _Call, done: Sequence[_Done], lock: RunLock) -> list[Mapping[str, Any]]:
    """The specialisation matrix of every seed that has delivered a network."""
    from hwnas.workflows.several import SPECIALISATION
    from hwnas.workflows.specialisation import specialised

    homes = [_home(call, one) for one in done]
    delivered = dict.fromkeys(home.fit.seed for home in homes if home.fit.result is not None)
    if not delivered:
        return []
    settings = {"sessions": max(one.config.sessions for one in done if one.config is not None)}
    with RunDirectory.open(
        call.place / SPECIALISATION, settings, fresh=call.fresh, stop=call.stop, say=call.progress.say, lock=lock
    ) as run:
        if call.measurements is not None:
            run.store.import_measurements(call.measurements)
        return [
            specialised([home for home in homes if home.fit.seed == seed], run, call.progress) for seed in delivered
        ]


def _home(call: _Call, one: _Done) -> Home:
    """A fit with what measures on its target."""
    from hwnas.workflows.specialisation import Home

    place = call.place / one.fit.directory
    if one.config is None:
        return Home(one.fit, place, None, one.fit.error or "")
    try:
        return Home(one.fit, place, compose.open_job(one.config, call.images, call.command))
    except TargetUnavailable as reason:
        return Home(one.fit, place, None, str(reason))
