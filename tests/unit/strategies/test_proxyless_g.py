"""The search: its steps, its checkpoints, what it finds, and that the loss is what finds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hwnas.compose import toy_data
from hwnas.core.architecture import Architecture
from hwnas.core.collapse import Shares, findings
from hwnas.core.cost import CostTerms
from hwnas.core.counted import MacsModel
from hwnas.core.errors import EvaluationFailed
from hwnas.core.objective import AbsoluteLoss, AdditiveLoss, LatencyLoss, LogProductLoss, latency_loss
from hwnas.core.protocols import Checkpoint, Checkpoints, NoCheckpoints, Silence
from hwnas.data.images import ImageData
from hwnas.nn.build import arrays_of
from hwnas.nn.gates import Gates, Pairs
from hwnas.nn.supernet import PathSupernet
from hwnas.runs.checkpoints import CheckpointDirectory
from hwnas.spaces.proxyless import ProxylessSpace
from hwnas.spaces.toy import BUDGET_MACS, ToySpace
from hwnas.strategies.candidates import Constraint, learned_candidates
from hwnas.strategies.proxyless_g import ProxylessGSettings, Searched, architecture_step, search
from hwnas.training.device import TrainingDevice
from hwnas.training.loop import REPORT_EVERY
from hwnas.training.recipe import Recipe

CPU = TrainingDevice("cpu")
SPACE = ToySpace()
TERMS = MacsModel().terms(SPACE)
TARGET = 0.97 * BUDGET_MACS
FEW = ProxylessGSettings(20, warmup_share=0.2, architecture_every=2, recipe=Recipe(batch_size=8, average_share=0.0))
# Enough for the first convolutions to see that the distance matters before the gates choose between them.
TOY = ProxylessGSettings(
    1200,
    warmup_share=0.5,
    alpha_lr=0.03,
    recipe=Recipe(average_share=0.0, batch_size=64, lr=0.2, label_smoothing=0.0, weight_decay=1e-5),
)
REMOVABLE = ProxylessSpace(
    name="removable@1", input_shape=(1, 8, 8), classes=2, stem_channels=8, stem_stride=1, first_channels=8,
    stage_channels=(8,), stage_layers=(2,), stage_strides=(1,), head_channels=16, kernels=(3,), expansions=(1, 3),
)  # fmt: skip


@cache
def images() -> ImageData:
    return toy_data()


def searched(settings: ProxylessGSettings, target: float = TARGET, seed: int = 0, **parts: Any) -> Searched:
    given = {"data": images(), "checkpoints": NoCheckpoints(), "progress": Silence(), **parts}
    data, checkpoints, progress = given["data"], given["checkpoints"], given["progress"]
    return search(
        SPACE, data, TERMS, target, settings, seed=seed, device=CPU, checkpoints=checkpoints, progress=progress
    )


# what it finds


class Notes(Silence):
    def __init__(self) -> None:
        self.lines: list[Mapping[str, Any]] = []

    def record(self, line: Mapping[str, Any]) -> None:
        self.lines.append(line)

    def shares(self) -> list[Shares]:
        return [Shares.from_json(line["step"], line["shares"]) for line in self.lines]


COURSES: dict[int, Notes] = {}  # of toy searches, by seed


@cache
def toy_search(seed: int) -> Searched:
    return searched(TOY, seed=seed, progress=COURSES.setdefault(seed, Notes()))


@pytest.mark.parametrize("seed", range(5))
def test_it_finds_the_optimum_of_toy(seed: int) -> None:
    gates = toy_search(seed).gates
    assert gates.argmax() == SPACE.optimum, gates.as_dict()


@pytest.mark.parametrize("seed", range(5))
def test_a_search_that_finds_the_optimum_has_not_collapsed(seed: int) -> None:
    ended = toy_search(seed).ended
    shares = COURSES[seed].shares()
    assert len(shares) == TOY.steps / REPORT_EVERY and shares[-1] == ended
    assert findings(shares, TOY.warmup_steps, TOY.steps) == []


def collapsing(loss: LatencyLoss) -> tuple[Searched, list[str]]:
    """A search of a space whose two layers may be removed, and what is wrong with its course."""
    space, notes = replace(REMOVABLE, input_shape=SPACE.input_shape), Notes()
    terms = MacsModel().terms(space)
    settings = replace(TOY, steps=200, warmup_share=0.2, alpha_lr=0.1, loss=loss, recipe=FEW.recipe)
    found = search(
        space, images(), terms, 0.9 * terms.greatest(), settings, seed=0, device=CPU, checkpoints=NoCheckpoints(),
        progress=notes,
    )  # fmt: skip
    return found, [one.name for one in findings(notes.shares(), settings.warmup_steps, settings.steps)]


def test_a_latency_term_that_outweighs_the_loss_removes_every_layer_and_is_found_out() -> None:
    found, wrong = collapsing(AdditiveLoss(50.0))
    assert set(found.gates.argmax().as_dict().values()) == {"zero"}
    assert found.ended is not None and found.ended.removed is not None and found.ended.removed > 0.95
    assert {"layers-removed", "latency-off"} <= set(wrong)


def test_the_same_search_with_a_loss_that_knows_the_target_is_healthy() -> None:
    found, wrong = collapsing(AbsoluteLoss(2.0))
    assert "zero" not in found.gates.argmax().as_dict().values() and wrong == []


def found_without_loss_gradient(seeds: range, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many seeds find the optimum where the cross-entropy tells the gates nothing and latency alone is left."""

    def deaf(
        self: PathSupernet, images: torch.Tensor, active: Architecture, other: Architecture, gates: torch.Tensor
    ) -> torch.Tensor:
        return self(images, active).detach() + 0 * gates.sum()

    monkeypatch.setattr(PathSupernet, "forward_two_paths", deaf)
    return sum(searched(TOY, seed=seed).gates.argmax() == SPACE.optimum for seed in seeds)


def test_without_the_loss_gradient_it_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found_without_loss_gradient(range(2), monkeypatch) == 0  # of five seeds, none has ever found it


@pytest.mark.slow
def test_without_the_loss_gradient_it_does_not_on_five_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found_without_loss_gradient(range(5), monkeypatch) <= 2


def test_two_budgets_give_two_architectures() -> None:
    settings = replace(TOY, steps=150, warmup_share=0.2, alpha_lr=0.1)
    targets = (1.1 * TERMS.least(), 0.8 * TERMS.greatest())
    low, high = (searched(settings, target).gates for target in targets)
    assert low.argmax() != high.argmax()
    assert TERMS.total(low.argmax()) < 1.3 * targets[0] < 0.7 * targets[1] < TERMS.total(high.argmax())


def test_all_that_is_proposed_meets_the_constraint() -> None:
    gates = toy_search(0).gates
    for limit in (BUDGET_MACS, 0.8 * BUDGET_MACS, TERMS.least()):
        constraint = Constraint(TERMS, limit, lambda arch: 2.0 * (arch["conv3"] == "k5"))
        found = learned_candidates(gates, constraint, 10, np.random.default_rng(0))
        assert found and all(arch in constraint for arch in found)
        assert len(set(found)) == len(found)
        if gates.argmax() in constraint:
            assert found[0] == gates.argmax()


# how it goes on


class CutOff(Exception):
    pass


class CutOffAfterSaving:
    """Checkpoints of a process that is killed right after its first one."""

    def __init__(self, kept: Checkpoints) -> None:
        self.kept = kept

    def latest(self) -> Checkpoint | None:
        return self.kept.latest()

    def due(self, step: int) -> bool:
        return self.kept.due(step)

    def save(self, checkpoint: Checkpoint) -> None:
        self.kept.save(checkpoint)
        if checkpoint.step > 0:
            raise CutOff


def same_bits(a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray]) -> None:
    assert list(a) == list(b)
    for name, array in a.items():
        assert array.dtype == b[name].dtype and array.tobytes() == b[name].tobytes(), name


def test_twenty_steps_are_ten_a_checkpoint_on_disk_and_ten(tmp_path: Path) -> None:
    whole = CheckpointDirectory(tmp_path / "whole", every=10)
    halved = CheckpointDirectory(tmp_path / "halved", every=10)
    expected = searched(FEW, checkpoints=whole)
    with pytest.raises(CutOff):
        searched(FEW, checkpoints=CutOffAfterSaving(halved))
    cut = halved.latest()
    assert cut is not None and cut.step == 10
    resumed = searched(FEW, checkpoints=halved)
    same_bits(arrays_of(expected.supernet), arrays_of(resumed.supernet))
    same_bits({"alpha": expected.gates.alpha.detach().numpy()}, {"alpha": resumed.gates.alpha.detach().numpy()})
    last, last_resumed = whole.latest(), halved.latest()
    assert last is not None and last_resumed is not None and last.step == last_resumed.step == 20
    same_bits(last.arrays, last_resumed.arrays)
    assert resumed.images_seen == expected.images_seen


def test_what_it_counts() -> None:
    settings = ProxylessGSettings(20, warmup_share=0.2, architecture_every=3)
    assert settings.warmup_steps == 4
    assert [step for step in range(20) if settings.has_architecture_step(step)] == [4, 7, 10, 13, 16, 19]
    assert settings.architecture_steps == 6
    assert ProxylessGSettings(20, warmup_share=1.0).architecture_steps == 0
    assert searched(FEW).images_seen == 8 * (20 + 8)


def test_a_uniform_supernet_leaves_the_gates_alone() -> None:
    gates = searched(replace(FEW, warmup_share=1.0)).gates
    assert gates.entropy() == pytest.approx(np.log(3), abs=1e-4)


def test_it_says_how_far_it_is() -> None:
    notes = Notes()
    result = searched(replace(FEW, steps=100), progress=notes)
    assert [line["step"] for line in notes.lines] == [20, 40, 60, 80, 100]
    assert all({"stage", "loss", "expected_ms", "entropy"} <= set(line) for line in notes.lines)
    assert notes.lines[-1]["gates"] == result.gates.as_dict()
    assert notes.lines[-1]["expected_ms"] == result.gates.expected_cost(TERMS)
    assert notes.lines[-1]["entropy"] == result.gates.entropy()
    last = notes.shares()[-1]
    assert last == result.ended and last.removed is None
    assert last.entropy == pytest.approx(result.gates.entropy() / np.log(3), rel=1e-5)
    assert last.latency == result.gates.expected_cost(TERMS) / TARGET


# one architecture step


def stepped(
    loss: LatencyLoss, target: float, supernet: PathSupernet | None = None, steps: int = 1, costs: CostTerms = TERMS
) -> tuple[torch.Tensor, torch.Tensor, PathSupernet]:
    """α before and after some steps, and the supernet."""
    supernet = supernet or PathSupernet(SPACE, seed=0)
    gates = Gates(SPACE.choices, np.random.default_rng(0))
    before = gates.alpha.detach().clone()
    optimizer = torch.optim.Adam([gates.alpha], lr=0.05, betas=(0.0, 0.999))
    batch, labels = torch.randn(8, 1, 4, 32), torch.arange(8) % 2
    for step in range(steps):
        rng = np.random.default_rng(step)
        architecture_step(supernet, gates, batch, labels, costs, target, loss, optimizer, rng, CPU)
    return before, gates.alpha.detach(), supernet


@pytest.mark.parametrize(
    "loss", [AbsoluteLoss(), AdditiveLoss(), LogProductLoss()], ids=lambda loss: type(loss).__name__
)
def test_every_form_of_the_loss_runs_and_pays_for_latency(loss: LatencyLoss) -> None:
    searched(replace(FEW, loss=loss))
    heavy = type(loss)(20.0)
    if isinstance(heavy, LogProductLoss):
        heavy = LogProductLoss(20.0, 3.0)
    _, alpha, _ = stepped(heavy, TERMS.least(), steps=60)
    cheapest_first = alpha[:, 0] > alpha[:, 2]  # kernel 3 before kernel 7
    assert cheapest_first.all()


@pytest.mark.parametrize("form", ["absolute", "additive", "log-product"])
def test_the_loss_of_a_step_by_hand(form: str) -> None:
    supernet, gates = PathSupernet(SPACE, seed=0), Gates(SPACE.choices, np.random.default_rng(0))
    batch, labels = torch.randn(8, 1, 4, 32), torch.arange(8) % 2
    terms = CostTerms(0.1, {name: {"k3": 0.02, "k5": 0.05, "k7": 0.1} for name in ("conv1", "conv2", "conv3")})
    active = gates.sample_pairs(np.random.default_rng(5)).active
    with torch.no_grad():
        ce = torch.nn.functional.cross_entropy(supernet.train()(batch, active), labels).item()
    e, t = gates.expected_cost(terms), 0.4  # ms, both below 1 ms, where a logarithm of milliseconds would be negative
    expected = {
        "absolute": ce + 1.0 * abs(e / t - 1),
        "additive": ce + 0.1 * (e - t) / t,
        "log-product": 0.2 * ce * (np.log(1000 * e) / np.log(1000 * t)) ** 0.3,
    }
    optimizer = torch.optim.Adam([gates.alpha], lr=0.1)
    found = architecture_step(
        supernet, gates, batch, labels, terms, t, latency_loss(form), optimizer, np.random.default_rng(5), CPU
    )
    assert e == pytest.approx(0.1 + 3 * 0.17 / 3, abs=1e-3)
    assert found.item() == pytest.approx(expected[form], rel=1e-5)


def test_a_search_runs_in_bfloat16() -> None:
    found = search(
        SPACE, images(), TERMS, TARGET, FEW, seed=0, device=TrainingDevice("cpu", autocast=True),
        checkpoints=NoCheckpoints(), progress=Silence(),
    )  # fmt: skip
    assert all(value.isfinite().all() and value.dtype == torch.float32 for value in found.supernet.parameters())
    assert found.gates.alpha.isfinite().all() and found.gates.alpha.dtype == torch.float32


def test_an_architecture_step_asks_for_no_weight_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    forward = PathSupernet.forward_two_paths

    def watched(self: PathSupernet, *arguments: Any) -> torch.Tensor:
        asked.append(any(parameter.requires_grad for parameter in self.parameters()))
        return forward(self, *arguments)

    monkeypatch.setattr(PathSupernet, "forward_two_paths", watched)
    stepped(AbsoluteLoss(), TARGET)
    assert asked == [False]


def test_an_architecture_step_leaves_the_weights_as_they_are() -> None:
    supernet = PathSupernet(SPACE, seed=0)
    weights = {name: value.clone() for name, value in supernet.named_parameters()}
    before, after, _ = stepped(AbsoluteLoss(), TARGET, supernet)
    assert all(torch.equal(value, weights[name]) for name, value in supernet.named_parameters())
    assert all(value.requires_grad and value.grad is None for value in supernet.parameters())
    assert ((before != after).sum(dim=1) == 2).all()  # two options of every choice
    p, q = before.softmax(1), after.softmax(1)
    torch.testing.assert_close(p[before == after], q[before == after], rtol=1e-5, atol=0)


@pytest.mark.parametrize("weight", [0.0, 1000.0])
def test_a_gate_is_pushed_where_zero_is_active(weight: float, monkeypatch: pytest.MonkeyPatch) -> None:
    options = REMOVABLE.choices["stage1.block1"].options
    zero = options.index("zero")
    gates = Gates(REMOVABLE.choices, np.random.default_rng(0))
    archs = [
        REMOVABLE.choices.architecture({"stage1.block0": "k3e1", "stage1.block1": "zero"}),
        REMOVABLE.choices.architecture({"stage1.block0": "k3e3", "stage1.block1": "k3e3"}),
    ]
    pairs = Pairs(torch.tensor([[0, 1], [zero, 1]]), *archs)
    monkeypatch.setattr(gates, "sample_pairs", lambda rng: pairs)
    before = gates.alpha.detach().clone()
    optimizer = torch.optim.SGD([gates.alpha], lr=1.0)
    terms = MacsModel().terms(REMOVABLE)
    supernet = PathSupernet(REMOVABLE, seed=0)
    batch, labels = torch.randn(8, 1, 8, 8), torch.arange(8) % 2
    architecture_step(
        supernet, gates, batch, labels, terms, terms.least(), AdditiveLoss(weight), optimizer,
        np.random.default_rng(0), CPU,
    )  # fmt: skip
    assert gates.alpha.grad is not None
    pushed = gates.alpha.grad[1, [zero, 1]]
    assert (pushed != 0).all()
    torch.testing.assert_close(pushed[0], -pushed[1])
    moved = gates.alpha.detach()[1, zero] - before[1, zero]
    if weight:  # latency outweighs the rest: the removed layer, which costs nothing, becomes likelier
        assert pushed[0] < 0 < moved


def test_a_loss_that_is_not_a_number_ends_the_search() -> None:
    with pytest.raises(EvaluationFailed, match=r"search: the loss is nan at step \d+; try a lower learning rate"):
        searched(replace(FEW, recipe=Recipe(lr=1e30, clip_norm=1e30, batch_size=8, warmup_share=0.0)))
