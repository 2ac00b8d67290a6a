"""Whether an engine works here, found out by using it in a process of its own."""

from __future__ import annotations

from dataclasses import dataclass

from hwnas.core.errors import EvaluationFailed, quoted
from hwnas.core.network import NetworkSpec
from hwnas.hardware.fields import positive, text
from hwnas.hardware.sessions import Plan
from hwnas.hardware.worker_process import WorkerProcess

QUICK = WorkerProcess(timeout_s=60.0)


@dataclass(frozen=True, slots=True)
class Tried:
    """An engine that works.

    Args:
        engine: its name and version.
        ms: what the network took, in ms of CPU time; once, so it is no measurement.
    """

    engine: str
    ms: float


def try_engine(target: str, network: NetworkSpec, process: WorkerProcess = QUICK) -> Tried:
    """Writes, loads and runs a network, all of it in a worker: nothing of the engine is imported here.

    Args:
        target: by name.
        network: a small one.
        process: does it.

    Raises:
        TargetUnavailable: the engine cannot be used here; the message says what to do.
        EvaluationFailed: it crashed, hung, or cannot run the network.
    """
    plan = Plan(rounds=1, seed=0)
    answer = process.ask(
        "try", target, {}, network=network.to_json(), sample_ms=plan.sample_ms, warm_up_calls=plan.warm_up_calls
    )
    try:
        facts = answer["fingerprint"]
        return Tried(f"{text(facts['engine'])} {text(facts['version'])}", positive(answer["ms"]))
    except (KeyError, TypeError, ValueError) as reason:
        raise EvaluationFailed(f"trying {target!r} gave an incomplete answer: {quoted(reason)}") from None
