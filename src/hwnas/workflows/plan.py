"""What a job is going to do, as far as its settings tell: the parts that a reader sees, and the time that is left."""

from __future__ import annotations

from hwnas.core.protocols import PlannedPart, Work
from hwnas.hardware.profiling import LAYER_SESSIONS, NETWORK_SESSIONS
from hwnas.workflows.full_baselines import ARCHITECTURE_STEP_COST, equal_steps, trained_alone
from hwnas.workflows.job import FitJob

ROLES = {
    "none": ("searched",),
    "standard": ("searched", "fixed", "random"),
    "full": ("searched", "fixed", "random", "random-uniform-supernet", "random-standalone"),
}
ENDS = 2  # of the space, measured side by side
# In weight steps of the search, until their own speed is known: as on MNIST at 40 % of the largest network's latency.
TRAINING_STEP_COST = 0.5
SCORING_COST = 1.3


def title(job: FitJob, run: str) -> str:
    """What a job is called: its run directory, its budget and where the network will run."""
    return f"{run}: {job.settings.budget} on {job.target.name}"


def fit_plan(job: FitJob) -> tuple[PlannedPart, ...]:
    """The parts of a fit that goes well, by the names that its account has; a file over the budget adds others."""
    roles = ROLES[job.settings.baselines]
    files = PlannedPart("measure/0", "measure", (_sessions(job, len(roles)),))
    parts = [*_until_searched(job)]
    if "random-uniform-supernet" in roles:
        steps = equal_steps(job.settings.search)
        parts.append(
            PlannedPart(
                "baseline/random-uniform-supernet", "second supernet", (Work("uniform", ((steps, 1.0),), "search"),)
            )
        )
    for role in roles:
        parts += [_choice(job, role), _trainings(job, role)]
    return (*parts, files, PlannedPart("report", "report"))


def search_plan(job: FitJob) -> tuple[PlannedPart, ...]:
    """The parts of a search without trainings."""
    return (*_until_searched(job), _choice(job, "searched"))


def train_plan(steps: int) -> tuple[PlannedPart, ...]:
    """The one part of the training of a given network."""
    return (PlannedPart("train", "train", (Work("train", ((steps, 1.0),)),)),)


def _until_searched(job: FitJob) -> tuple[PlannedPart, PlannedPart]:
    """The latency model, whose layers and networks may be too large for one group, and the search."""
    settings = job.settings.search
    profile = (
        Work("measure layers", ((LAYER_SESSIONS, 1.0),)),
        Work("measure calibration networks", ((NETWORK_SESSIONS, job.settings.calibration + 1.0),)),
        Work("measure held-out networks", ((NETWORK_SESSIONS, job.settings.held_out + 1.0),)),
        _sessions(job, ENDS),
    )
    both = 1.0 + ARCHITECTURE_STEP_COST / settings.architecture_every
    steps = ((settings.warmup_steps, 1.0), (settings.steps - settings.warmup_steps, both))
    return PlannedPart("latency model", "latency model", profile), PlannedPart(
        "search", "search", (Work("search", steps),)
    )


def _choice(job: FitJob, role: str) -> PlannedPart:
    """Candidates scored on shared weights, or trained alone, and the untrained file of one measured."""
    if role == "random-standalone":
        networks, steps = trained_alone(job)
        scored = networks * (Work("alone", ((steps, TRAINING_STEP_COST),), "train"),)
    else:
        most = len(job.space.uniform_architectures()) if role == "fixed" else job.settings.candidates
        scored = (Work("score", ((most, SCORING_COST),), "search"),)
    return PlannedPart(f"choose/{role}/0", f"choose {role}", (*scored, _sessions(job, 1)))


def _trainings(job: FitJob, role: str) -> PlannedPart:
    """From scratch, and from the supernet's weights where there are any."""
    ways = 1 if role == "random-standalone" else 2
    work = Work("train", ((job.settings.train_steps, TRAINING_STEP_COST),), "search")
    return PlannedPart(f"train/{role}/0", f"train {role}", ways * (work,))


def _sessions(job: FitJob, files: int) -> Work:
    """Measuring sessions; the reference network is timed in each beside the files."""
    return Work("measure", ((job.settings.sessions, files + 1.0),))
