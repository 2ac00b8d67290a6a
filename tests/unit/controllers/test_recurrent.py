"""The recurrent controller: probabilities that sum to one, mini-batches, the baseline, exact resume, hostile states."""

from __future__ import annotations

import base64
import json
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from hwnas.controllers.identity import Scored
from hwnas.controllers.recurrent import NASNET, POLICY_GRADIENT, RecurrentController, RecurrentSettings
from hwnas.core.architecture import Architecture
from hwnas.core.errors import FileFormatError, InputError
from hwnas.testing.controllers import SPACE, score_of

SMALL = RecurrentSettings(lr=0.02, batch=8, epochs=3, hidden=6)
PLAIN = RecurrentSettings(lr=0.02, batch=8, epochs=1, clip=None, hidden=6)


def scored(archs: Sequence[Architecture]) -> list[Scored]:
    return [(arch, score_of(arch)) for arch in archs]


def stirred(settings: RecurrentSettings = SMALL, steps: int = 5, seed: int = 0) -> RecurrentController:
    """A controller in the middle of learning, at the start of a mini-batch."""
    controller = RecurrentController(SPACE, seed, settings)
    for _ in range(steps):
        controller.observe(scored(controller.propose(settings.batch)))
    return controller


def through_json(controller: RecurrentController, settings: RecurrentSettings = SMALL) -> RecurrentController:
    again = RecurrentController(SPACE, 0, settings)
    again.load_state_dict(json.loads(json.dumps(controller.state_dict(), allow_nan=False)))
    return again


def weights_of(controller: RecurrentController) -> np.ndarray:
    return controller.policy.values()["weights"].copy()


@pytest.mark.parametrize("steps", [0, 5])
def test_the_probabilities_of_all_networks_sum_to_one(steps: int) -> None:
    controller = stirred(steps=steps)
    shares = [math.exp(controller.log_probability(arch)) for arch in SPACE.enumerate()]
    assert len(shares) == 105 and math.fsum(shares) == pytest.approx(1, abs=1e-12)


def test_networks_are_drawn_with_their_probabilities() -> None:
    controller, draws = stirred(steps=20), 4000
    drawn = Counter(controller.propose(draws))
    shares = {arch: math.exp(controller.log_probability(arch)) for arch in SPACE.enumerate()}
    # Pearson's statistic of 105 classes has mean 104 and deviation sqrt(208) = 14.4.
    statistic = sum((drawn[arch] - draws * p) ** 2 / (draws * p) for arch, p in shares.items())
    assert statistic < 104 + 4 * 14.4
    likely = max(shares, key=lambda arch: shares[arch])
    assert abs(drawn[likely] / draws - shares[likely]) < 4 * math.sqrt(shares[likely] / draws)


def test_nothing_is_learned_before_a_mini_batch_is_whole() -> None:
    controller = RecurrentController(SPACE, 0, SMALL)
    first = weights_of(controller)
    controller.observe(scored(controller.propose(5)))
    controller.observe(scored(controller.propose(2)))
    assert np.array_equal(weights_of(controller), first) and controller.state_dict()["updates"] == 0
    controller.observe(scored(controller.propose(1)))
    assert not np.array_equal(weights_of(controller), first)
    assert (controller.state_dict()["updates"], controller.state_dict()["batch"]) == (1, [])


def test_how_scores_come_together_makes_no_difference() -> None:
    states = []
    for sizes in ([24], [8, 8, 8], [1] * 24, [3, 13, 0, 8]):
        controller = RecurrentController(SPACE, 0, SMALL)
        waiting = scored(controller.propose(24))
        for size in sizes:
            controller.observe(waiting[:size])
            waiting = waiting[size:]
        states.append(json.dumps(controller.state_dict()))
    assert len(set(states)) == 1


def test_a_mini_batch_is_drawn_ahead_by_the_policy_that_it_is_for() -> None:
    one_by_one, at_once = RecurrentController(SPACE, 0, SMALL), RecurrentController(SPACE, 0, SMALL)
    for _ in range(4):
        proposed = at_once.propose(8)
        at_once.observe(scored(proposed))
        for expected in proposed:
            assert one_by_one.propose(1) == [expected]
            one_by_one.observe(scored([expected]))
    assert json.dumps(one_by_one.state_dict()) == json.dumps(at_once.state_dict())


def test_probabilities_are_those_when_it_was_proposed() -> None:
    controller = RecurrentController(SPACE, 0, SMALL)
    proposed = controller.propose(12)
    before = controller.state_dict()["drawn"]
    controller.observe(scored(proposed[:8]))  # learns, while four wait for their scores
    assert controller.state_dict()["drawn"] == before[8:] and controller.state_dict()["dealt"] == 4
    controller.observe(scored(proposed[8:]))
    kept = [row[:2] for row in controller.state_dict()["batch"]]
    assert kept == before[8:]
    now = list(controller.policy.judged(proposed[8]).log_probabilities)
    assert now != pytest.approx(before[8][1], abs=1e-6)


def test_what_was_passed_over_gets_no_score_any_more() -> None:
    controller = RecurrentController(SPACE, 0, SMALL)
    proposed = controller.propose(6)
    assert len(set(proposed)) == 6
    controller.observe(scored([proposed[2]]))
    assert [row[0] for row in controller.state_dict()["drawn"][:3]] == [arch.to_json() for arch in proposed[3:]]
    assert controller.state_dict()["dealt"] == 3
    controller.observe(scored([proposed[0]]))  # not waited for: as likely as it is now
    assert controller.state_dict()["dealt"] == 3 and len(controller.state_dict()["batch"]) == 2


def test_what_was_never_proposed_is_learned_from_too() -> None:
    best = SPACE.architecture({"kind": "a", "only": "one", "block0": "x", "block1": "x", "block2": "none"})
    controller = RecurrentController(SPACE, 0, SMALL)
    before = controller.log_probability(best)
    others = [arch for arch in SPACE.enumerate() if arch != best][:7]
    controller.observe([(best, 1.0), *((arch, 0.0) for arch in others)])
    assert controller.log_probability(best) > before + 0.01
    with pytest.raises(InputError, match="other@1"):
        controller.observe([(Architecture("other@1", best.choices), 1.0)])


def test_the_baseline_by_hand() -> None:
    settings = RecurrentSettings(lr=0.02, batch=2, epochs=1, clip=None, hidden=6, baseline_decay=0.5, entropy_weight=0)
    controller, by_hand = (RecurrentController(SPACE, 0, settings) for _ in range(2))
    one, two = controller.propose(2)
    controller.observe([(one, 0.8), (two, 0.2)])
    # 0.5·0.8 = 0.4, then 0.5·0.4 + 0.5·0.2 = 0.3; zero-debiased 0.3 / (1 − 0.25) = 0.4.
    assert controller.state_dict()["baseline"] == pytest.approx(0.3)
    by_hand.policy.learn(
        by_hand.policy.draw(np.array([by_hand._points(0), by_hand._points(1)])), [0.4, -0.2], 0, 1, None
    )
    np.testing.assert_allclose(weights_of(controller), weights_of(by_hand), atol=1e-12)


def test_the_order_of_scores_decides() -> None:
    forth, back = (RecurrentController(SPACE, 0, SMALL) for _ in range(2))
    proposed = forth.propose(8)
    assert back.propose(8) == proposed
    forth.observe(scored(proposed))
    back.observe(scored(proposed[::-1]))
    assert not np.array_equal(weights_of(forth), weights_of(back)), "the later of two scores weighs more in the average"


@pytest.mark.parametrize("settings", [SMALL, PLAIN])
@pytest.mark.parametrize(("proposed", "observed"), [(0, 0), (3, 3), (5, 2), (7, 7), (11, 9), (20, 0)])
def test_it_goes_on_bit_for_bit_in_the_middle_of_a_mini_batch(
    settings: RecurrentSettings, proposed: int, observed: int
) -> None:
    whole = stirred(settings)
    waiting = scored(whole.propose(proposed))
    whole.observe(waiting[:observed])
    second = through_json(whole, settings)
    for controller in (whole, second):
        controller.observe(waiting[observed:])
    for step in range(30):
        ahead = whole.propose(1 + step % 3)
        assert second.propose(1 + step % 3) == ahead
        for controller in (whole, second):
            controller.observe(scored(ahead))
    assert np.array_equal(weights_of(whole), weights_of(second))
    assert json.dumps(second.state_dict()) == json.dumps(whole.state_dict())


@pytest.mark.parametrize("settings", [SMALL, PLAIN])
def test_it_learns_which_options_are_good(settings: RecurrentSettings) -> None:
    best = SPACE.architecture(
        {"kind": "b", "kernel": 5, "ratio": 2, "only": "one", "block0": "x", "block1": "y", "block2": "x"}
    )
    for seed in range(2):
        controller = RecurrentController(SPACE, seed, settings)
        for _ in range(60):
            proposed = controller.propose(8)
            controller.observe(
                [(arch, sum(best.as_dict().get(n) == o for n, o in arch.choices) / 7) for arch in proposed]
            )
        assert controller.best_guess() == best
        likeliest = max(SPACE.enumerate(), key=controller.log_probability)
        assert likeliest == best


def test_entropy_keeps_a_distribution_open() -> None:
    shares = {}
    for weight in (0.0, 1.0):
        controller = stirred(RecurrentSettings(lr=0.02, batch=8, epochs=3, hidden=6, entropy_weight=weight), 40)
        shares[weight] = max(math.exp(controller.log_probability(arch)) for arch in SPACE.enumerate())
    assert shares[1.0] < 0.15 < 0.5 < shares[0.0]


@pytest.mark.parametrize("settings", [RecurrentSettings(lr=1.0, hidden=6, batch=4, epochs=20), PLAIN])
def test_the_largest_scores_leave_numbers(settings: RecurrentSettings) -> None:
    controller = RecurrentController(SPACE, 0, settings)
    for step in range(12):
        proposed = controller.propose(4)
        controller.observe([(arch, (-1) ** (step + at) * 1e30) for at, arch in enumerate(proposed)])
    assert all(np.isfinite(row).all() for row in controller.policy.values().values())
    assert len(through_json(controller, settings).propose(3)) == 3


def packed(*values: float) -> str:
    return base64.b64encode(np.array(values, dtype="<f8").tobytes()).decode()


def row_with(row: str, value: float) -> str:
    values = np.frombuffer(base64.b64decode(row), dtype="<f8").copy()
    values[0] = value
    return packed(*values)


def damage() -> list[tuple[str, Any]]:
    state = stirred_state()
    arch, logs = state["drawn"][0]
    return [
        ("weights", "?"), ("weights", 7), ("weights", packed(1.0)), ("weights", state["weights"][:-4]),
        ("weights", row_with(state["weights"], math.nan)), ("weights", row_with(state["weights"], 1e10)),
        ("weights", "é" * len(state["weights"])), ("weights", None),
        ("squares", row_with(state["squares"], -1.0)), ("squares", row_with(state["squares"], math.inf)),
        ("means", row_with(state["means"], 1e9)), ("means", row_with(state["means"], math.nan)),
        ("baseline", "x"), ("baseline", math.nan), ("proposed", -1), ("observed", 1.5), ("updates", True),
        ("dealt", len(state["drawn"]) + 1), ("drawn", 7), ("drawn", [[arch]]), ("drawn", [[arch, logs[1:]]]),
        ("drawn", [[arch, [0.5] * len(logs)]]), ("drawn", [[arch, [-math.inf] * len(logs)]]),
        ("drawn", [[{"space": "contract@1", "choices": {"kind": "z"}}, logs]]),
        ("batch", [[arch, logs]]), ("batch", [[arch, logs, math.inf]]), ("batch", [[arch, logs, 0.5]] * 8),
        ("best", 3), ("best", [arch, "good"]),
    ]  # fmt: skip


def stirred_state() -> dict[str, Any]:
    controller = stirred()
    controller.observe(scored(controller.propose(5)[:3]))
    return dict(json.loads(json.dumps(controller.state_dict())))


@pytest.mark.parametrize("at", range(len(damage())))
def test_states_that_are_damaged(at: int) -> None:
    name, value = damage()[at]
    controller = stirred(seed=0, steps=1)
    before = json.dumps(controller.state_dict())
    with pytest.raises((FileFormatError, InputError)):
        controller.load_state_dict({**stirred_state(), name: value})
    assert json.dumps(controller.state_dict()) == before, "what is refused leaves no trace"


def test_settings_of_another_are_refused() -> None:
    with pytest.raises(FileFormatError, match="settings"):
        RecurrentController(SPACE, 0, PLAIN).load_state_dict(stirred_state())


def test_the_settings_of_the_papers() -> None:
    assert (NASNET.lr, NASNET.entropy_weight, NASNET.baseline_decay) == (0.00035, 1e-5, 0.95)
    assert (NASNET.batch, NASNET.clip, NASNET.hidden) == (20, 0.2, 100)
    assert POLICY_GRADIENT.clip is None and POLICY_GRADIENT.epochs == 1


@pytest.mark.parametrize(
    "settings",
    [{"lr": 0.0}, {"lr": math.nan}, {"lr": 2.0}, {"entropy_weight": -1.0}, {"baseline_decay": 1.0}, {"batch": 0},
     {"epochs": 0}, {"clip": 0.0}, {"clip": 1.0}, {"clip": None, "epochs": 2}, {"hidden": 0}, {"hidden": 5000}],
)  # fmt: skip
def test_settings_out_of_range(settings: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="LSTM|PPO|plain"):
        RecurrentSettings(**settings)
