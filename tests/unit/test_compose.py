"""Names become objects: spaces, plans of several fits, networks from files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hwnas import compose
from hwnas.config import FitConfig, checked_settings
from hwnas.core.counting import count
from hwnas.core.errors import FileFormatError, InputError, UnknownName
from hwnas.core.objective import LATENCY_LOSSES
from hwnas.hardware.engines import ENGINES
from hwnas.spaces.proxyless import PRESETS

CHAINS = (*PRESETS, "macro", "toy", "auto")


def fit_config(**values: Any) -> FitConfig:
    return checked_settings(FitConfig, {"budget": "40%", **values})


def architecture_file(folder: Path, space: str = "proxyless-small", width: float = 1.0) -> Path:
    opened = compose.open_space(space, PRESETS[space][0].input_shape, 10, width)
    path = folder / "architecture.json"
    path.write_text(json.dumps(next(iter(opened.uniform_architectures().values())).to_json()))
    return path


@pytest.mark.parametrize(
    ("side", "expected"),
    [(28, "proxyless-small"), (32, "proxyless-small"), (64, "proxyless-medium"), (224, "proxyless-imagenet")],
)
def test_auto_takes_a_space_that_fits_the_images(side: int, expected: str) -> None:
    assert compose.open_space("auto", (3, side, side), 10).choices.name == f"{expected}@1"


def test_every_space_opens_without_images() -> None:
    for name in (*compose.SPACES, "auto"):
        space = compose.own_space(name, None, None, None, 1.0)
        assert count(space.decode(space.choices.architecture_at(0))).params > 0
    assert compose.own_space("proxyless-cifar", 28, 1, 7, 0.5).input_shape == (1, 28, 28)
    with pytest.raises(UnknownName, match="did you mean 'proxyless-small'"):
        compose.own_space("proxyles-smal", None, None, None, 1.0)


def test_every_name_has_its_sentence() -> None:
    known = compose.known_names()
    assert known["targets"].keys() == ENGINES.keys()
    assert known["losses"].keys() == LATENCY_LOSSES.keys()
    assert known["spaces"].keys() == compose.SPACES.keys()
    assert {*CHAINS, "mnasnet"} - {"auto"} <= known["spaces"].keys()
    assert {"mnist5k", "digits", "cifar10", "toy"} <= known["data"].keys()
    assert all(text for names in known.values() for text in names.values())


def test_resolving_settles_everything_once() -> None:
    data = compose.toy_data()
    config = compose.resolved(fit_config(target="onnxruntime", budget="1500us", effort="quick"), data)
    assert (config.target, config.budget, config.space) == ("onnxruntime-f32", "1.5ms", "toy")
    assert None not in (config.batch_size, config.search_steps, config.train_steps)
    assert compose.resolved(config, data) == config
    longer = compose.resolved(fit_config(effort="long"), data)
    assert longer.search_steps is not None and config.search_steps is not None
    assert longer.search_steps > 10 * config.search_steps


def test_several_fits_pair_targets_with_budgets() -> None:
    both = ["onnxruntime"], ["40%", "1.5ms"]
    assert list(compose.plan_fits(fit_config(), *both, 1)) == ["onnxruntime-f32-40pct", "onnxruntime-f32-1.5ms"]
    plans = compose.plan_fits(fit_config(seed=5), ["onnxruntime"], ["40%"], 2)
    assert {name: plan.seed for name, plan in plans.items()} == {"seed-5": 5, "seed-6": 6}
    nested = compose.plan_fits(fit_config(), *both, 2)
    assert list(nested)[0] == "onnxruntime-f32-40pct/seed-0" and len(nested) == 4
    assert nested["onnxruntime-f32-1.5ms/seed-1"].budget == "1.5ms"


@pytest.mark.parametrize(
    ("targets", "budgets", "seeds", "message"),
    [(["onnxruntime"] * 2, ["1ms"] * 3, 1, "do not pair"), (["onnxruntime"], ["1ms", "1000us"], 1, "twice"),
     (["onnxrt"], ["1ms"], 1, "unknown target"), (["onnxruntime"], ["1"], 1, "budget"),
     (["onnxruntime"], ["1ms"], 0, "--seeds")],
)  # fmt: skip
def test_several_fits_that_make_no_sense(targets: list[str], budgets: list[str], seeds: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        compose.plan_fits(fit_config(), targets, budgets, seeds)


def test_an_architecture_is_fitted_to_images(tmp_path: Path) -> None:
    path = architecture_file(tmp_path)
    own, other = (
        compose.open_network(str(path)),
        compose.open_network(str(path), compose.Fitting((1, 28, 28), classes=7)),
    )
    assert own.network.input_shape == (3, 32, 32) and other.network.input_shape == (1, 28, 28)
    assert own.architecture == other.architecture is not None
    imagenet = compose.open_network(str(architecture_file(tmp_path, "proxyless-imagenet", width=0.5)))
    assert imagenet.network.input_shape == (3, 224, 224)
    assert imagenet.architecture is not None and imagenet.architecture.space == "proxyless-imagenet-w0.5@1"


def test_a_network_keeps_the_images_it_is_made_for(tmp_path: Path) -> None:
    found = compose.open_network(str(architecture_file(tmp_path)))
    (tmp_path / "network.json").write_text(json.dumps(found.network.to_json()))
    again = compose.open_network(str(tmp_path))
    assert again.network == found.network and again.architecture == found.architecture
    with pytest.raises(InputError, match="made for images of 3x32x32.*architecture.json"):
        compose.open_network(str(tmp_path), compose.Fitting((1, 28, 28)))


def test_what_is_no_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no network at 'nowhere'"):
        compose.open_network("nowhere")
    (tmp_path / "seed-0").mkdir()
    (tmp_path / "seed-0" / "network.json").write_text("{}")
    with pytest.raises(InputError, match="several runs, for example .*seed-0"):
        compose.open_network(str(tmp_path))
    with pytest.raises(FileFormatError, match="hwnas-network@1"):
        compose.open_network(str(tmp_path / "seed-0"))
    (tmp_path / "weights.bin").write_bytes(b"\0")
    with pytest.raises(InputError, match="no network"):
        compose.open_network(str(tmp_path / "weights.bin"))
    strange = tmp_path / "architecture.json"
    for content, error, message in (
        ({"space": "mobile@1", "choices": {}}, UnknownName, "unknown space 'mobile'"),
        ({"space": "proxyless-small-wx@1", "choices": {}}, InputError, "no width"),
        ({"space": "proxyless-small@1", "choices": {"stage9": "k3e3"}}, InputError, "stage"),
    ):
        strange.write_text(json.dumps(content))
        with pytest.raises(error, match=message):
            compose.open_network(str(strange))


def test_an_optimiser_that_nobody_knows_is_refused_before_anything_runs() -> None:
    config = compose.resolved(fit_config(optimizer="sgdd"), compose.toy_data())
    with pytest.raises(UnknownName, match="unknown optimizer 'sgdd'"):
        compose.open_recipe(config)
