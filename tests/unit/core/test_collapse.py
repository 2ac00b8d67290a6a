"""What is wrong with the course of a search: every finding on a course made for it, and none on healthy ones."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable

import pytest

from hwnas.core.collapse import Shares, Watch, controller_settled, entropy_share, findings
from hwnas.core.counted import MacsModel
from hwnas.core.errors import FileFormatError
from hwnas.spaces.macro import MacroSpace
from hwnas.spaces.proxyless import proxyless_space
from hwnas.spaces.toy import ToySpace

STEPS, WARMUP = 400, 200


def course(entropies: Iterable[float], latency: float = 1.0, removed: Iterable[float] | None = None) -> list[Shares]:
    """Ten reports while the choices stand still, then ten that are given."""
    still = [Shares(20 * n, 1.0, 1.6, None if removed is None else 1 / 7) for n in range(1, 11)]
    gone = list(removed) if removed is not None else [None] * 10
    learned = [
        Shares(200 + 20 * n, entropy, latency, share)
        for n, (entropy, share) in enumerate(zip(entropies, gone, strict=True), start=1)
    ]
    return [*still, *learned]


def falling(last: float) -> list[float]:
    return [1.0 + (last - 1.0) * n / 10 for n in range(1, 11)]


def names(found: list[Shares]) -> list[str]:
    return [finding.name for finding in findings(found, WARMUP, STEPS)]


@pytest.mark.parametrize("last", [0.05, 0.3, 0.77, 0.98])
@pytest.mark.parametrize("latency", [0.81, 1.0, 1.19])
@pytest.mark.parametrize("removed", [None, [0.2] * 10, [0.6] * 10])
def test_a_healthy_course_says_nothing(last: float, latency: float, removed: list[float] | None) -> None:
    assert names(course(falling(last), latency, removed)) == []


def test_gates_that_are_decided_early_are_noticed_at_the_step() -> None:
    early = course([0.8, 0.4, 0.1, *[0.05] * 7])
    (found,) = findings(early, WARMUP, STEPS)
    assert (found.name, found.step) == ("settled-early", 260) and found.figures == {"entropy": 0.1, "done": 0.3}
    assert found.says.startswith("The gates were decided at step 260, after 30 % of the architecture steps (entropy 10")
    assert names(course([0.8, 0.7, 0.6, 0.4, 0.1, *[0.05] * 5])) == []  # at half of them
    assert names(course([0.8, 0.05, *[0.5] * 8])) == []  # they opened again


def test_every_layer_removed_is_a_collapse_where_the_target_leaves_room() -> None:
    gone = [0.3, 0.6, 0.94, 0.96, 0.9, 0.95, 0.97, 0.98, 0.99, 0.99]
    found = {finding.name: finding for finding in findings(course(falling(0.2), 0.5, gone), WARMUP, STEPS)}
    assert set(found) == {"layers-removed", "latency-off"}
    removed = found["layers-removed"]
    assert removed.step == 320 and removed.figures == {"removed": 0.99, "latency": 0.5}
    assert "(probability 99 % at the end), though that uses 50 % of the target" in removed.says
    assert names(course(falling(0.2), 0.9, gone)) == []  # the target asks for it


@pytest.mark.parametrize(("latency", "word", "advice"), [(0.79, "use", "--loss absolute"), (1.21, "keep", "larger")])
def test_an_expected_latency_far_off_the_target_is_noticed(latency: float, word: str, advice: str) -> None:
    (found,) = findings(course(falling(0.5), latency), WARMUP, STEPS)
    assert (found.name, found.step) == ("latency-off", 400) and advice in found.advice
    assert f"{100 * latency:.0f} % of the target" in found.says and f"{word} the budget" in found.says


def test_gates_that_never_moved_are_noticed() -> None:
    (found,) = findings(course([0.995] * 10), WARMUP, STEPS)
    assert (found.name, found.step, found.figures) == ("nothing-learned", 400, {"entropy": 0.995})
    assert "entropy 99.5 % of its maximum" in found.says


def test_where_nothing_was_to_be_learned_nothing_is_found() -> None:
    """A supernet of uniform paths has no architecture steps; a run of an older version recorded no shares."""
    uniform = [Shares(20 * n, 1.0, 1.6) for n in range(1, 21)]
    assert findings(uniform, STEPS, STEPS) == findings([], WARMUP, STEPS) == []


def test_a_finding_is_plain_json() -> None:
    (found,) = findings(course([0.995] * 10), WARMUP, STEPS)
    assert json.loads(json.dumps(found.to_json())) == found.to_json()
    assert set(found.to_json()) == {"name", "step", "figures", "says", "advice"}


# the figures


def test_the_entropy_share_by_hand() -> None:
    assert entropy_share([[0.5, 0.5], [1 / 3] * 3]) == pytest.approx(1.0)
    assert entropy_share([[1.0, 0.0], [0.0, 0.0, 1.0]]) == 0.0
    assert entropy_share([[0.5, 0.5], [1.0, 0.0, 0.0, 0.0]]) == pytest.approx(1 / 3)  # ln 2 of ln 2 + ln 4
    assert entropy_share([[1.0]]) == 0.0  # a single option is no decision
    assert entropy_share([[0.97, *[0.005] * 6]]) == pytest.approx(0.097, abs=1e-3)  # what DECIDED says of seven


def test_a_fifth_more_or_less_likely_than_equal_is_as_good_as_uniform() -> None:
    rows = [[math.exp(0.2 * side) for side in (-1, 1, -1, 1, -1, 1)]]
    rows = [[value / sum(row) for value in row] for row in rows]
    assert entropy_share(rows) == pytest.approx(0.989, abs=1e-3)


def test_the_watch_knows_which_option_removes_a_layer() -> None:
    space = proxyless_space("proxyless-small", (1, 24, 24), 10)
    terms = MacsModel().terms(space)
    watch = Watch.over(space, terms, 0.5 * terms.greatest())
    assert set(watch.removal.values()) == {"zero"}
    assert set(watch.removal) == {c.name for c in space.choices.choices if "zero" in c.options}
    even = {c.name: {str(option): 1 / len(c.options) for option in c.options} for c in space.choices.choices}
    shares = watch.shares(7, even, 0.4 * terms.greatest())
    assert shares.entropy == pytest.approx(1.0) and shares.latency == pytest.approx(0.8)
    assert shares.removed == pytest.approx(1 / 7) and shares.step == 7
    macro = MacroSpace()
    assert set(Watch.over(macro, MacsModel().terms(macro), 1.0).removal.values()) == {"identity"}
    toy = ToySpace()
    even = {c.name: {str(option): 1 / 3 for option in c.options} for c in toy.choices.choices}
    assert Watch.over(toy, MacsModel().terms(toy), 1e6).shares(1, even, 1e6).removed is None


def test_a_target_that_no_network_reaches_is_no_fault_of_the_search() -> None:
    toy = ToySpace()
    terms = MacsModel().terms(toy)
    assert Watch.over(toy, terms, 0.1 * terms.least()).target_ms == terms.least()
    assert Watch.over(toy, terms, 10 * terms.greatest()).target_ms == terms.greatest()
    assert Watch.over(toy, terms, 1.5 * terms.least()).target_ms == 1.5 * terms.least()


def test_shares_go_through_json() -> None:
    for shares in (Shares(20, 0.5, 1.1, 0.2), Shares(20, 0.5, 1.1)):
        assert Shares.from_json(20, json.loads(json.dumps(shares.to_json()))) == shares


@pytest.mark.parametrize("wrong", [{"entropy": None}, {"latency": "x"}, {"removed": math.nan}, {"entropy": math.inf}])
def test_damaged_shares_are_refused_by_name(wrong: dict[str, object]) -> None:
    data = Shares(20, 0.5, 1.1, 0.2).to_json()
    with pytest.raises(FileFormatError, match="field 'shares' of a row of metrics"):
        Shares.from_json(20, {**data, **wrong})
    for name in data:
        with pytest.raises(FileFormatError, match=name):
            Shares.from_json(20, {key: value for key, value in data.items() if key != name})


# controllers


def test_a_controller_that_repeats_itself_has_settled() -> None:
    found = controller_settled(1500, 95, 100, 78, 200)
    assert found is not None and (found.name, found.step) == ("controller-settled", 1500)
    assert found.says == (
        "The controller has settled: 95 of the last 100 proposals were repeats, and 78 of 200 networks were evaluated."
    )
    assert found.figures == {"repeats": 95, "window": 100, "evaluated": 78, "evaluations": 200}


@pytest.mark.parametrize(
    ("repeats", "window", "evaluated"),
    [(89, 100, 78), (99, 99, 78), (100, 100, 200)],
    ids=["it still finds new ones", "too few to tell", "nothing was left to spend"],
)
def test_a_controller_that_does_its_work_has_not(repeats: int, window: int, evaluated: int) -> None:
    assert controller_settled(1500, repeats, window, evaluated, 200) is None
