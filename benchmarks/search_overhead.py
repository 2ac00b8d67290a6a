"""What a long black-box search costs besides its trainings: controller, store, checkpoints, memory. Prints JSON.

Pass mark: under 1 % of the CPU time of a search whose networks take 10 CPU seconds each. The real loop runs on a space
of inverted bottlenecks; whoever evaluates knows an accuracy and a latency of every network at once, and every answer is
kept in a real run directory, with the checkpoints that a search there has. Time is taken around what is called; what is
left is the loop's own.

    python benchmarks/search_overhead.py random --candidates 10000
"""

import argparse
import json
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import psutil

from hwnas.compose.controllers import CONTROLLERS
from hwnas.compose.spaces import open_space
from hwnas.controllers.random import RandomController, SpreadOrder
from hwnas.core.objective import objective
from hwnas.core.protocols import Silence
from hwnas.core.seeds import rng_for
from hwnas.core.trial import Quality
from hwnas.runs.checkpoints import CheckpointDirectory
from hwnas.runs.directory import RunDirectory
from hwnas.runs.provenance import environment
from hwnas.strategies.black_box import BlackBoxSettings, Problem, search
from hwnas.workflows.remembered import Remembered

MARKS = (1_000, 5_000, 10_000)  # candidates after which memory is looked at
CHILD_CPU_S = 10.0
MADE = {name: one.make for name, one in CONTROLLERS.items()} | {
    "random": partial(RandomController, order=SpreadOrder)  # as strategies/random_search.py has it
}


class Parts:
    """CPU and wall seconds by part; calls are not nested."""

    def __init__(self) -> None:
        self.cpu: dict[str, float] = {}
        self.wall: dict[str, float] = {}

    def around(self, part, function, *arguments, **named):
        """What the function returns, its time booked."""
        cpu, wall = time.process_time(), time.perf_counter()
        try:
            return function(*arguments, **named)
        finally:
            self.cpu[part] = self.cpu.get(part, 0.0) + time.process_time() - cpu
            self.wall[part] = self.wall.get(part, 0.0) + time.perf_counter() - wall


class Timed:
    """Any object, whose named methods are booked to a part."""

    def __init__(self, inner, parts: Parts, part: str, names: tuple[str, ...]) -> None:
        self._inner = inner
        for name in names:
            setattr(self, name, partial(parts.around, part, getattr(inner, name)))

    def __getattr__(self, name: str):
        return getattr(self._inner, name)


class Known:
    """An evaluator that costs nothing: an accuracy of its own for every choice, added up."""

    def __init__(self, choices) -> None:
        rng = rng_for(0, "overhead")
        self._worth = {
            choice.name: dict(zip(choice.options, rng.random((len(choice.options), 2)).tolist(), strict=True))
            for choice in choices.choices
        }

    def _sum(self, arch, index: int) -> float:
        return float(np.mean([self._worth[name][option][index] for name, option in arch.choices]))

    def evaluate(self, arch) -> Quality:
        """The mean worth of its choices."""
        accuracy = self._sum(arch, 0)
        return Quality(1.0 - accuracy, accuracy, 1000, "table")

    def costs(self, architectures) -> list[dict[str, float]]:
        """A latency that has nothing to do with the accuracy."""
        return [{"latency": 0.01 + self._sum(arch, 1)} for arch in architectures]


class Memory(Silence):
    """Resident memory of this process after so many candidates, in MB."""

    def __init__(self) -> None:
        self.rss_mb: dict[int, float] = {}

    def advance(self, done: int, facts) -> None:
        """Looks at it at the marks."""
        if done in MARKS or done == 1:
            self.rss_mb.setdefault(done, round(psutil.Process().memory_info().rss / 1e6, 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("controller", choices=[*MADE])
    parser.add_argument("--candidates", type=int, default=10_000)
    parser.add_argument("--batch", type=int, default=10, help="proposals a step, as hwnas search has it")
    parser.add_argument("--reward", default="mnasnet-soft", help="admits every network, so that each is evaluated")
    parser.add_argument("--space", default="proxyless-small")
    parser.add_argument("--out", help="where the run lies; the disk is part of what is measured")
    options = parser.parse_args()
    space, parts, memory = open_space(options.space, (3, 32, 32), 10, 1.0), Parts(), Memory()
    known = Known(space.choices)
    with tempfile.TemporaryDirectory(dir=options.out) as folder:
        with RunDirectory.open(Path(folder) / "run", {"benchmark": "search overhead"}) as run:
            remembered = Remembered(known, run.store, "trained-alone")
            made = MADE[options.controller](space.choices, 0)
            controller = Timed(made, parts, "controller", ("propose", "observe"))
            checkpoints = Timed(run.checkpoints("search"), parts, "checkpoints", ("latest", "due", "save"))

            def answers(architectures):
                return parts.around("store", lambda: list(remembered.in_order(architectures, 1, lambda: None)))

            cpu, wall = time.process_time(), time.perf_counter()
            with run.accounted("search"):
                found = search(
                    controller, Problem(space.choices, known.costs, answers),
                    objective(options.reward, {"latency": 0.5}),
                    BlackBoxSettings(options.candidates, options.batch), checkpoints=checkpoints, progress=memory,
                )  # fmt: skip
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            saved = CheckpointDirectory(run.checkpoints("search").path).latest()
            checkpoint_bytes = sum(file.stat().st_size for file in run.checkpoints("search").path.rglob("*.*"))
            store_bytes = (run.path / "store.sqlite").stat().st_size
    number = len(found.evaluated)
    spread = {at: rss for at, rss in memory.rss_mb.items() if at > 1}
    print(json.dumps({
        "benchmark": "search overhead", "settings": vars(options), "machine": environment(),
        "load": [round(one, 1) for one in psutil.getloadavg()], "candidates": number, "proposals": found.proposals,
        "steps": saved.step if saved else 0, "cpu_seconds": round(cpu, 2), "wall_seconds": round(wall, 2),
        "cpu_ms_per_candidate": {
            **{part: round(1000 * seconds / number, 3) for part, seconds in parts.cpu.items()},
            "loop and evaluator": round(1000 * (cpu - sum(parts.cpu.values())) / number, 3),
            "all": round(1000 * cpu / number, 3),
        },
        "controller_cpu_ms_per_proposal": round(1000 * parts.cpu["controller"] / found.proposals, 3),
        "wall_ms_per_candidate": {part: round(1000 * seconds / number, 3) for part, seconds in parts.wall.items()},
        "rss_mb": memory.rss_mb,
        "kb_per_candidate": round(1000 * (max(spread.values()) - min(spread.values())) / (max(spread) - min(spread)), 2)
        if len(spread) > 1 else None,
        "checkpoint_mb": round(checkpoint_bytes / 1e6, 1), "store_mb": round(store_bytes / 1e6, 1),
        "share_of_a_search": round(cpu / (cpu + number * CHILD_CPU_S), 5),
        "passes": {"under 1 %": cpu / (cpu + number * CHILD_CPU_S) < 0.01},
    }, indent=2))  # fmt: skip


if __name__ == "__main__":
    main()
