"""Settings are checked before anything is loaded, and every refusal says what is expected."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from hwnas.compose.strategies import REWARDS
from hwnas.config import FitConfig, TrainConfig, checked_settings, parse_compute, parse_limits
from hwnas.core.errors import InputError, UnknownName
from hwnas.core.objective import OBJECTIVES


def test_a_fit_needs_a_budget_and_nothing_else() -> None:
    config = checked_settings(FitConfig, {"budget": "40%"})
    assert (config.data, config.target, config.space, config.search_steps) == (
        "mnist5k", "onnxruntime-f32", "auto", None,
    )  # fmt: skip
    with pytest.raises(InputError, match="'budget' is missing.*--budget 1.5ms"):
        checked_settings(FitConfig, {})


@pytest.mark.parametrize("text", ["3", "1.5 parsecs", "-1ms", "0ms", "101%", "", "ms", "nanms", "1e999ms"])
def test_a_budget_has_a_number_and_a_unit(text: str) -> None:
    with pytest.raises(InputError, match="budget"):
        checked_settings(FitConfig, {"budget": text})


@pytest.mark.parametrize(
    ("name", "value", "nearest"),
    [("loss", "absolut", "absolute"), ("effort", "quik", "quick"), ("baselines", "ful", "full"),
     ("train_on", "cud", "cuda"), ("augmentation", "shft", "shift"), ("serch_steps", 10, "search_steps")],
)  # fmt: skip
def test_an_unknown_word_offers_the_nearest(name: str, value: Any, nearest: str) -> None:
    with pytest.raises(UnknownName, match=f"did you mean '{nearest}'"):
        checked_settings(FitConfig, {"budget": "40%", name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [("search_steps", 9), ("train_steps", 0), ("batch_size", 1), ("lr", 0), ("width", -1), ("seed", -1),
     ("threads", 0), ("margin", 0.5), ("sessions", 1), ("held_out", 1), ("loss_weight", 0), ("candidates", "many")],
)  # fmt: skip
def test_a_value_out_of_range_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"setting '{name}'"):
        checked_settings(FitConfig, {"budget": "40%", name: value})


def test_a_training_knows_no_budget() -> None:
    assert checked_settings(TrainConfig, {"lr": 0.2}).lr == 0.2
    with pytest.raises(UnknownName, match="unknown setting 'budget'"):
        checked_settings(TrainConfig, {"budget": "40%"})


def test_limits_are_counted_in_their_units() -> None:
    assert parse_limits(("params=1M", "macs=30k", "activations=512kB", "size=4MB", "memory=2GB")) == {
        "params": 10**6, "macs": 30_000, "activations": 512_000, "size": 4 * 10**6, "memory": 2 * 10**9,
    }  # fmt: skip
    assert parse_limits(("params=1.5M",)) == {"params": 1_500_000}
    for text in ("params", "params=", "params=M", "area=1M", "params=1x", "params=-1", "params=0", "params=1.2.3M"):
        with pytest.raises(InputError, match="limit"):
            checked_settings(FitConfig, {"budget": "40%", "limits": (text,)})


def test_compute_is_a_time_above_zero() -> None:
    assert [parse_compute(text) for text in ("90s", "30min", "2h", "0.5 h")] == [90.0, 1800.0, 7200.0, 1800.0]
    for text in ("30", "30 minutes", "0s", "-1h", "h", "1.2.3s"):
        with pytest.raises(InputError, match="30min"):
            checked_settings(FitConfig, {"budget": "40%", "compute": text})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"evaluations": 5}, "proxyless-g does not read --evaluations"),
        ({"reward": "front"}, "proxyless-g does not read --reward"),
        ({"strategy": "evolution", "loss": "additive"}, "evolution does not read --loss"),
        ({"strategy": "mnasnet", "search_steps": 50}, "mnasnet does not read --search-steps"),
        ({"strategy": "random", "baselines": "full"}, "random has no costlier baselines"),
    ],
)
def test_what_a_strategy_does_not_read_is_refused(values: dict[str, object], said: str) -> None:
    config = checked_settings(FitConfig, {"budget": "40%", **values})
    with pytest.raises(InputError, match=said):
        config.check_read()


def test_what_a_strategy_does_not_read_is_not_kept() -> None:
    supernet = checked_settings(FitConfig, {"budget": "40%", "evaluations": 100})
    children = checked_settings(FitConfig, {"budget": "40%", "strategy": "evolution"})
    supernet.check_read()  # the default, as every front end may give it
    assert "evaluations" not in supernet.kept() and supernet.kept()["loss"] == "absolute"
    assert "loss" not in children.kept() and children.kept()["evaluations"] == 100


def test_the_rewards_of_a_fit_are_those_there_are() -> None:
    (names, _) = get_args(FitConfig.model_fields["reward"].annotation)
    assert set(get_args(names)) == set(OBJECTIVES) == set(REWARDS)
