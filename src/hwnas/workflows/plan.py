"""What a job is going to do, as far as its settings tell: the parts that a reader sees, and the time that is left."""

from __future__ import annotations

from hwnas.core.protocols import PlannedPart, UniformSpace, Work
from hwnas.hardware.profiling import LAYER_SESSIONS, NETWORK_SESSIONS
from hwnas.workflows.children import ENDS as ENDS_STAGE
from hwnas.workflows.full_baselines import ARCHITECTURE_STEP_COST, equal_steps, trained_alone
from hwnas.workflows.job import ChildrenSettings, FitJob

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


def roles_of(job: FitJob) -> tuple[str, ...]:
    """Who delivers a network in a fit: the search first."""
    if not isinstance(job.settings.search, ChildrenSettings):
        return ROLES[job.settings.baselines]
    baselines = {"fixed": isinstance(job.space, UniformSpace), "random": job.children.strategy != "random"}
    asked = job.settings.baselines != "none"
    return ("searched", *(role for role, possible in baselines.items() if possible and asked))


def fit_plan(job: FitJob) -> tuple[PlannedPart, ...]:
    """The parts of a fit that goes well, by the names that its account has; a file over the budget adds others."""
    roles = roles_of(job)
    files = PlannedPart("measure/0", "measure", (_sessions(job, len(roles)),))
    parts = [*_until_searched(job)]
    if isinstance(job.settings.search, ChildrenSettings):
        parts += [PlannedPart(f"baseline/{role}", f"{role} baseline", (_trained(job, role),)) for role in roles[1:]]
    if "random-uniform-supernet" in roles:
        steps = equal_steps(job.gradient)
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
    if isinstance(job.settings.search, ChildrenSettings):
        ends = PlannedPart(ENDS_STAGE, "ends of the space", (_sessions(job, ENDS),))
        return ends, PlannedPart("search", "search", (_trained(job, "searched"),))
    settings = job.gradient
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
    if isinstance(job.settings.search, ChildrenSettings):
        scored: tuple[Work, ...] = ()  # they have been trained by then
    elif role == "random-standalone":
        networks, steps = trained_alone(job)
        scored = networks * (Work("alone", ((steps, TRAINING_STEP_COST),), "train"),)
    else:
        most = len(job.path_space.uniform_architectures()) if role == "fixed" else job.settings.candidates
        scored = (Work("score", ((most, SCORING_COST),), "search"),)
    return PlannedPart(f"choose/{role}/0", f"choose {role}", (*scored, _sessions(job, 1)))


def _trainings(job: FitJob, role: str) -> PlannedPart:
    """From scratch, and from the supernet's weights where there are any."""
    alone = role == "random-standalone" or isinstance(job.settings.search, ChildrenSettings)
    ways = 1 if alone else 2
    work = Work("train", ((job.settings.train_steps, TRAINING_STEP_COST),), "search")
    return PlannedPart(f"train/{role}/0", f"train {role}", ways * (work,))


def _trained(job: FitJob, role: str) -> Work:
    """Networks that are measured and trained alone, one after the other."""
    networks = job.children.loop.evaluations
    if role == "fixed" and isinstance(job.space, UniformSpace):
        networks = min(networks, len(job.space.uniform_architectures()))
    work = ((networks, TRAINING_STEP_COST * job.children.child_steps),)
    return Work("search", work) if role == "searched" else Work(role, work, "search")


def _sessions(job: FitJob, files: int) -> Work:
    """Measuring sessions; the reference network is timed in each beside the files."""
    return Work("measure", ((job.settings.sessions, files + 1.0),))
