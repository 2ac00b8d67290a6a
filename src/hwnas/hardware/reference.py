"""The fixed reference network: the yardstick that every latency is a multiple of."""

from __future__ import annotations

from statistics import median

from hwnas.core.layers import Classifier, ConvBnAct, MBConv
from hwnas.core.network import NetworkSpec, Node
from hwnas.core.primitives import Shape
from hwnas.core.protocols import Progress
from hwnas.core.seeds import seed_for
from hwnas.hardware.engines import open_engine
from hwnas.hardware.model_files import untrained
from hwnas.hardware.sessions import Plan, Timer, default_rounds
from hwnas.hardware.steadiness import throttled
from hwnas.hardware.store import Reference, TargetStore
from hwnas.hardware.targets import Target

REFERENCE = "reference network"
REFERENCE_SESSIONS = 5
LARGE_IMAGE = 48  # pixels; from here on a stem of stride 2 keeps the reference near the candidates' latency


def reference_network(input_shape: Shape) -> NetworkSpec:
    """A small MobileNetV2-like network for any images of at least 8 pixels a side.

    Its layers never change: stored latencies are multiples of it. It does what candidates do (wide 1×1, depthwise 3×3
    and 5×5), so what slows them slows it.

    Args:
        input_shape: (channels, height, width) of the images.
    """
    large = min(input_shape[1:]) >= LARGE_IMAGE
    stem, widths = (32, (24, 40, 80, 96, 192)) if large else (16, (16, 24, 40))
    strides = (2, 2, 2, 1, 2) if large else (2, 2, 1)
    nodes = [Node("stem", ConvBnAct(stem, 3, 2 if large else 1)), Node("first", MBConv(widths[0] // 2, 3, 1))]
    for stage, (width, stride) in enumerate(zip(widths, strides, strict=True), start=1):
        nodes.append(Node(f"stage{stage}.block0", MBConv(width, 3, 3, stride)))
        nodes.append(Node(f"stage{stage}.block1", MBConv(width, 5, 3)))
    nodes += [Node("head", ConvBnAct(8 * widths[0], 1)), Node("classifier", Classifier(10))]
    return NetworkSpec(tuple(input_shape), tuple(nodes))


def reference_ms(target: Target, store: TargetStore, timer: Timer, progress: Progress) -> float:
    """The reference network's long-run median on a target: measured once per target key, then taken from the store.

    It is the median over five sessions of the median over rounds. Later sessions never change it: every latency on
    the target is a multiple of this one number, so budgets and measurements stay comparable while the machine drifts.

    Args:
        target: where.
        store: where it is kept.
        timer: runs the sessions.
        progress: told if something stored could not be used, or if the machine did not keep its speed.

    Returns:
        Its latency in ms.
    """
    record = store.read(target)
    if record.note:
        progress.say(record.note)
    if record.reference is not None:
        return record.reference.ms
    return store.keep_reference(target, _measure_reference(target, timer, progress)).ms


def _measure_reference(target: Target, timer: Timer, progress: Progress) -> Reference:
    shape = target.key.input_shape
    file, rounds = untrained(reference_network(shape), open_engine(target.name)), default_rounds(shape)
    progress.stage("measure the reference network", REFERENCE_SESSIONS)
    sessions_ms = []
    for index in range(REFERENCE_SESSIONS):
        session = timer.time_session(target, {REFERENCE: file}, Plan(rounds, seed_for(0, "reference", index)))
        sessions_ms.append(session.samples[REFERENCE].on(target))
        progress.advance(index + 1, {"ms": median(sessions_ms[-1])})
    doubt = throttled(sessions_ms)
    if doubt:
        progress.say(
            f"{doubt.says} Every latency on {target.name} is a multiple of its long-run median, which was measured "
            "just now: set HWNAS_CACHE to another directory and start again when the machine is calm."
        )
    return Reference(median(map(median, sessions_ms)), REFERENCE_SESSIONS, rounds)
