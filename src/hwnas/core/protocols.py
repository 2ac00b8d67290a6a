"""What the rooms expect of each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from hwnas.core.architecture import Architecture, Option
from hwnas.core.choices import ChoiceSpace
from hwnas.core.cost import Cost, CostTerms
from hwnas.core.layers import LayerSpec
from hwnas.core.network import LocatedLayer, NetworkSpec
from hwnas.core.primitives import Shape
from hwnas.core.trial import Quality


class SearchSpace(Protocol):
    """A family of networks: choices, and what each architecture means."""

    @property
    def input_shape(self) -> Shape:
        """(channels, height, width) of the images."""
        ...

    @property
    def classes(self) -> int:
        """How many classes the networks tell apart."""
        ...

    @property
    def choices(self) -> ChoiceSpace:
        """The decisions."""
        ...

    def decode(self, arch: Architecture) -> NetworkSpec:
        """The network that an architecture stands for.

        Raises:
            InputError: the architecture belongs to another space or version.
        """
        ...


@dataclass(frozen=True, slots=True)
class Slot:
    """A place in a path-level supernet.

    Args:
        position: the node's name in decoded networks.
        choice: the choice that decides it; several slots may share one.
        options: the layer of each option; every option reads and writes the same shapes.
    """

    position: str
    choice: str
    options: Mapping[Option, LayerSpec]


@runtime_checkable
class UniformSpace(SearchSpace, Protocol):
    """A space that knows the fixed networks that a person would try first."""

    def uniform_architectures(self) -> dict[str, Architecture]:
        """Networks with one operation and depth throughout, by description."""
        ...


@runtime_checkable
class PathSpace(UniformSpace, Protocol):
    """A space whose networks are chains of nodes, each fixed or decided by one choice."""

    def chain(self) -> tuple[Slot | tuple[str, LayerSpec], ...]:
        """Every place in order: a Slot where a choice decides, (name, layer) where nothing is searched."""
        ...


class CostModel(Protocol):
    """Predicts or counts what a network costs."""

    @property
    def unit(self) -> str:
        """The unit of every value, for example "ms"."""
        ...

    def cost(self, network: NetworkSpec) -> Cost:
        """The cost of one network.

        Raises:
            UnknownLayer: the model knows no such layer; names layer, table and nearest entry.
        """
        ...


class LayerCostModel(CostModel, Protocol):
    """A cost model that says what each layer of a network costs."""

    def price_ms(self, layer: LocatedLayer) -> float:
        """What one layer costs inside a network, in ms.

        Raises:
            UnknownLayer: the model knows no such layer; names layer, table and nearest entry.
        """
        ...


class AdditiveCostModel(CostModel, Protocol):
    """A cost model that is a sum over choices: what Proxyless-G differentiates."""

    def terms(self, space: PathSpace) -> CostTerms:
        """Plain floats with constant + Σ by_choice[choice][option] equal to cost(decode(arch))."""
        ...


class Ranked(Protocol):
    """What architectures can be put in order by: a Quality, or a Rating, which knows no accuracy."""

    @property
    def merit(self) -> float:
        """Finite; higher is better; comparable with that of the same evaluator only."""
        ...


class Ranker(Protocol):
    """Puts architectures in order, which is less than to say how good each is: every Evaluator is one."""

    def evaluate(self, arch: Architecture) -> Ranked:
        """Where one architecture stands.

        Raises:
            EvaluationFailed: it could not be evaluated; the message gives the reason.
        """
        ...


class Evaluator(Ranker, Protocol):
    """Says how good an architecture is."""

    def evaluate(self, arch: Architecture) -> Quality:
        """The quality of one architecture.

        Raises:
            EvaluationFailed: it could not be evaluated; the message gives the reason.
        """
        ...


class Controller(Protocol):
    """Proposes architectures and learns from their scores.

    What it proposes is a function of its seed, its settings and what it has observed. `load_state_dict` brings a new
    controller of the same space, seed and settings to where `state_dict` was taken.
    """

    def propose(self, count: int) -> list[Architecture]:
        """Architectures to score next, canonical; fewer than `count`, or none, where there is nothing left to try."""
        ...

    def observe(self, scored: Sequence[tuple[Architecture, float]]) -> None:
        """Learns the scores of proposed architectures, higher is better, in the order in which they were proposed.

        Raises:
            InputError: a score is not finite.
        """
        ...

    def best_guess(self) -> Architecture:
        """The architecture that it would deliver now.

        Raises:
            InputError: that is the best it has observed, and it has observed none.
        """
        ...

    def state_dict(self) -> dict[str, Any]:
        """All that it has learned, as plain JSON values."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from there.

        Raises:
            FileFormatError: a field is missing or wrong, or the state is of another controller, space or setting.
        """
        ...


class Runner(Protocol):
    """One loaded network, ready to run."""

    def __call__(self) -> None:
        """Runs the network once, on as many fixed images as a call takes; returns when the result is there."""
        ...


class Engine(Protocol):
    """Runs networks on a target, in files of its own format, with so many threads and so many images a call."""

    @property
    def suffix(self) -> str:
        """What its files end in, for example ".onnx"."""
        ...

    def fingerprint(self) -> dict[str, str]:
        """Engine, version, precision, threads and batch: what a latency depends on besides the machine."""
        ...

    def write(
        self, network: NetworkSpec, arrays: Mapping[str, np.ndarray], images_BCHW: np.ndarray | None = None
    ) -> bytes:
        """A network as the file that ships; what is timed is made by this too.

        Args:
            network: the network.
            arrays: float32, exactly the network's.
            images_BCHW: some of the user's, by which an engine that computes in few bits chooses its ranges; None
                where the arrays are random too.

        Raises:
            EvaluationFailed: the engine lacks an operation, or refuses the network; the message says which.
        """
        ...

    def convert(self, model: bytes, images_BCHW: np.ndarray | None = None) -> bytes:
        """The same from an ONNX file of any origin.

        Raises:
            EvaluationFailed: the engine has no way in from ONNX, or lacks an operation; the message says what to do.
        """
        ...

    def load(self, model: bytes, input_shape: Shape) -> Runner:
        """Prepares one of its files for running.

        Raises:
            EvaluationFailed: it refuses the file; the message says why.
        """
        ...

    def predict(self, model: bytes, images_BCHW: np.ndarray) -> np.ndarray:
        """The class scores (images, classes) that one of its files gives float32 images.

        Raises:
            EvaluationFailed: it refuses the file or the images; the message says why.
        """
        ...


@runtime_checkable
class ProfilingEngine(Engine, Protocol):
    """An engine that can say where the time of a run goes."""

    def profile(self, model: bytes, input_shape: Shape, runs: int) -> Mapping[str, float]:
        """What each kernel takes inside a run, by the engine's own profiler, in ms.

        Args:
            model: one of its files.
            input_shape: (channels, height, width) of its images.
            runs: at least 1, besides those to warm up; the median of each kernel counts.

        Returns:
            By name of the file's node, one of them for a kernel that computes several; in the order in which they
            run. A kernel that computes none of them, such as a change of layout, has the engine's name.

        Raises:
            EvaluationFailed: it refuses the file; the message says why.
        """
        ...


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state of a loop after `step` steps: arrays by name, and plain JSON values."""

    step: int
    arrays: Mapping[str, np.ndarray]
    state: Mapping[str, Any]


class Checkpoints(Protocol):
    """Where a loop keeps its state."""

    def latest(self) -> Checkpoint | None:
        """The newest whole checkpoint, or None at the start."""
        ...

    def due(self, step: int) -> bool:
        """Whether a loop should save after so many steps: at every interval, and when the process is asked to stop."""
        ...

    def save(self, checkpoint: Checkpoint) -> None:
        """Keeps a checkpoint; returns when it is durable."""
        ...


@dataclass(frozen=True, slots=True)
class Work:
    """Steps that a part of a job will take, as far as its settings tell.

    Args:
        kind: the name, up to a slash, of the stage that will do them: "train" of "train/1a2b/scratch".
        runs: (how many steps, the cost of each) in order; costs are relative, to compare steps of one kind.
        like: the kind whose speed may stand in until this one's is known, the costs of both being comparable.
    """

    kind: str
    runs: tuple[tuple[int, float], ...]
    like: str | None = None


@dataclass(frozen=True, slots=True)
class PlannedPart:
    """A part of a job, announced before it begins.

    Args:
        name: by which the job enters it.
        label: for readers.
        work: in order; empty for what takes no time worth counting.
    """

    name: str
    label: str
    work: tuple[Work, ...] = ()


class Progress(Protocol):
    """Where a long job says how far it is."""

    def plan(self, title: str, parts: Sequence[PlannedPart]) -> None:
        """A job of these parts begins; one that goes badly may enter others as well."""
        ...

    def enter(self, part: str) -> None:
        """The part of that name begins; the one before is over."""
        ...

    def found(self, who: str, facts: Mapping[str, float | str]) -> None:
        """The best of what `who` has found so far; facts of earlier calls stay, those of equal names are replaced."""
        ...

    def stage(self, name: str, total: int, done: int = 0) -> None:
        """A new stage of `total` steps begins, inside the present one if that has steps left.

        `done` of the steps were finished before, in a process that was cut off.
        """
        ...

    def advance(self, done: int, facts: Mapping[str, float | str]) -> None:
        """`done` steps of the stage are finished; `facts` are figures worth showing."""
        ...

    def say(self, text: str) -> None:
        """One sentence for the reader."""
        ...

    def record(self, line: Mapping[str, Any]) -> None:
        """One row of figures to keep; a row with the same "stage" and "step" replaces the one before."""
        ...


class Silence:
    """A Progress that says nothing."""

    def plan(self, title: str, parts: Sequence[PlannedPart]) -> None:
        """Nothing."""

    def enter(self, part: str) -> None:
        """Nothing."""

    def found(self, who: str, facts: Mapping[str, float | str]) -> None:
        """Nothing."""

    def stage(self, name: str, total: int, done: int = 0) -> None:
        """Nothing."""

    def advance(self, done: int, facts: Mapping[str, float | str]) -> None:
        """Nothing."""

    def say(self, text: str) -> None:
        """Nothing."""

    def record(self, line: Mapping[str, Any]) -> None:
        """Nothing."""


class NoCheckpoints:
    """Checkpoints for loops that need not survive: nothing is kept."""

    def latest(self) -> Checkpoint | None:
        """None."""
        return None

    def due(self, step: int) -> bool:
        """Never."""
        return False

    def save(self, checkpoint: Checkpoint) -> None:
        """Nothing."""
