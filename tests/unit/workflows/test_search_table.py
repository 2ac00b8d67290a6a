"""NAS-Bench-Macro as a table of truth: the published file where it is at hand, and one made up in the same form."""

from __future__ import annotations

import json
from collections.abc import Callable
from math import comb
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

import hwnas
from hwnas.cli import run
from hwnas.controllers.random import RandomController
from hwnas.core.errors import BudgetError, FileFormatError, InputError, UnknownName
from hwnas.core.objective import Limited
from hwnas.core.protocols import Silence
from hwnas.strategies.black_box import BlackBoxSettings
from hwnas.workflows.search_table import KnownNetworks, read_macro_table, search_table
from made_up_table import made_up

Edit = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def rows() -> dict[str, Any]:
    return made_up()


@pytest.fixture(scope="module")
def table(rows: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("table") / "macro.json"
    path.write_text(json.dumps(rows))
    return path


@pytest.fixture(scope="module")
def published(shared_data: Path) -> KnownNetworks:
    path = shared_data / "nas-bench-macro" / "nas-bench-macro_cifar10.json"
    if not path.exists():
        pytest.skip(f"no {path}: set HWNAS_DATA to a folder with nas-bench-macro/nas-bench-macro_cifar10.json")
    return read_macro_table(path)


def test_random_search_gives_the_known_figures(published: KnownNetworks) -> None:
    """Mean best of 50, 100, 200 of 3,969 networks: 92.81, 92.90, 92.97, exactly by combinatorics, then by searching."""
    ranked = sorted(100 * accuracy for accuracy in published.accuracies.values())
    assert len(ranked) == 3_969 and ranked[-1] == pytest.approx(93.126663)
    seeds, draws = 60, (50, 100, 200)
    found = search_table(published, RandomController, Limited(), BlackBoxSettings(200), range(seeds), Silence())
    for count, figure, deviation in zip(draws, (92.81, 92.90, 92.97), (0.155, 0.125, 0.1), strict=True):
        ways = [comb(rank, count - 1) for rank in range(len(ranked))]
        expected = sum(way / sum(ways) * accuracy for way, accuracy in zip(ways, ranked, strict=True))
        assert expected == pytest.approx(figure, abs=0.006)
        mean = fmean(100 * best.accuracy for one in found.searched if (best := one.best(count)))
        assert abs(mean - expected) < 4 * deviation / seeds**0.5


def test_the_best_inside_the_limits(published: KnownNetworks) -> None:
    inside = {limit: published.best(Limited(limits={"macs": limit})) for limit in (40.5e6, 60e6)}
    assert [100 * one.accuracy for one in inside.values()] == pytest.approx([91.75, 92.566663])
    assert all(one.costs["macs"] <= limit for limit, one in inside.items())
    assert sum(macs <= 40.5e6 for macs in published.macs.values()) == 528


def test_regret_is_what_the_best_found_lacks(table: Path) -> None:
    found = hwnas.search_table(table, strategy="random", evaluations=30, seed=4, seeds=3)
    result = found.to_json()
    assert result["optimum"]["accuracy"] == pytest.approx((80 + 8 + 6560 / 1e4) / 100)
    assert [row["seed"] for row in result["searches"]] == [4, 5, 6]
    for row in result["searches"]:
        assert row["evaluations"] == row["proposals"] == 30
        assert (
            row["regret"] == pytest.approx(result["optimum"]["accuracy"] - row["best"]["accuracy"])
            and row["regret"] > 0
        )
    again = hwnas.search_table(table, strategy="random", evaluations=30, seed=6)
    assert again.to_json()["searches"][0] == result["searches"][2]


def test_learning_finds_more_than_chance(table: Path) -> None:
    mean = {
        strategy: fmean(row["regret"] for row in hwnas.search_table(
            table, strategy=strategy, evaluations=100, seeds=5).to_json()["searches"])
        for strategy in ("random", "evolution", "reinforce")
    }  # fmt: skip
    assert max(mean["evolution"], mean["reinforce"]) < 0.5 * mean["random"]


@pytest.mark.parametrize("strategy", ["random", "evolution", "reinforce"])
def test_nothing_over_a_hard_limit_is_evaluated(table: Path, strategy: str) -> None:
    found = hwnas.search_table(table, strategy=strategy, evaluations=40, limits=["macs=40.5M"])
    (one,) = found.searched
    assert one.evaluated and all(row.costs["macs"] <= 40.5e6 for row in one.evaluated)
    assert one.proposals > len(one.evaluated)


def test_the_absolute_reward_draws_the_cost_onto_the_target(table: Path) -> None:
    found = hwnas.search_table(table, evaluations=300, limits="macs=60M", reward="tunas-absolute").to_json()
    assert found["optimum"]["macs"] == pytest.approx(60e6, rel=0.25)
    assert found["searches"][0]["regret"] < 0.01


def differ(rows: dict[str, Any]) -> None:
    rows["11101101"] |= {"test_acc": [90.0] * 3, "mean_acc": 90.0}


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (differ, "rows 11101101 and 11101110 are one network"),
        (lambda rows: rows["00000000"].update(flops=7), "row 00000000: flops is 7, and its layers have"),
        (lambda rows: rows.pop("22222222"), "1 of 3,969 networks have no row, such as 22222222"),
        (lambda rows: rows["12121212"].update(mean_acc=1.0), "row 12121212: field 'mean_acc'"),
    ],
)
def test_a_table_that_is_not_that_of_the_space(rows: dict[str, Any], edit: Edit, said: str, tmp_path: Path) -> None:
    damaged = {digits: dict(row) for digits, row in rows.items()}
    edit(damaged)
    path = tmp_path / "damaged.json"
    path.write_text(json.dumps(damaged))
    with pytest.raises(FileFormatError, match=rf"damaged\.json.*({said})"):
        read_macro_table(path)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing.json"):
        hwnas.search_table(tmp_path / "nothing.json")
    large = tmp_path / "large.json"
    large.write_bytes(b" " * (2**23 + 1))
    with pytest.raises(InputError, match="large.json"):
        hwnas.search_table(large)


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"strategy": "evolutoin"}, UnknownName, "did you mean 'evolution'"),
        ({"limits": ["macs=40.5M"], "reward": "tunas"}, UnknownName, "tunas-absolute"),
        ({"reward": "tunas-absolute"}, InputError, "needs a target"),
        ({"limits": ["params=1M"]}, InputError, "macs alone"),
        ({"limits": ["macs=1k"]}, BudgetError, "the smallest one has"),
        ({"evaluations": 0}, InputError, "--evaluations"),
        ({"evaluations": 1.5}, InputError, "--evaluations"),
        ({"seeds": 1001}, InputError, "--seeds"),
        ({"seed": -1}, InputError, "--seed"),
    ],
)
def test_arguments_that_cannot_be(table: Path, arguments: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        hwnas.search_table(table, **arguments)


def test_the_command(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ["search-table", str(table), "--strategy", "random", "--evaluations", "20", "--limit", "macs=40.5M"]
    assert run([*common, "--seeds", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == "seed networks proposals accuracy of the best its cost regret, points".split()
    assert lines[1].split()[:2] == ["0", "20"] and any(line.startswith("the best there is") for line in lines)
    assert run([*common, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["format"] == "hwnas-table-search@1"
    assert run([*common[:-1], "macs=1k"]) == 3
    assert run([*common, "--reward", "none"]) == 2
