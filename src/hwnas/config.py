"""Settings as plain, checked values: what the command line, the Python call and a YAML file all fill in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from hwnas.core.cost import Budget
from hwnas.core.errors import InputError, UnknownName

LIMIT_UNITS = {"": 1, "k": 10**3, "kB": 10**3, "M": 10**6, "MB": 10**6, "G": 10**9, "GB": 10**9}
COMPUTE_UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0}
_COMPUTE = re.compile(r"\s*([0-9.]+)\s*(s|min|h)\s*")


class TrainConfig(BaseModel):
    """Every setting of a training: images, recipe, device; None means that it is settled from the data, once."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: str = Field("mnist5k", description="a known data set, a folder of images or an .npz pack")
    data_root: str | None = Field(None, description="where torchvision data sets lie")
    resolution: int | None = Field(None, description="side of the images in pixels")
    augmentation: Literal["none", "shift", "shift-flip", "affine"] | None = None
    download: bool = Field(False, description="whether a torchvision data set may be downloaded")
    skip_bad: bool = Field(False, description="leave unreadable images out and count them")
    workers: int = Field(0, ge=0, description="processes that decode image files too large to be held in memory")
    effort: Literal["quick", "standard", "long"] = Field("standard", description="how long searching and training take")
    train_steps: int | None = Field(None, ge=10, description="steps of each final training")
    batch_size: int | None = Field(None, ge=8)
    lr: float = Field(0.1, gt=0, description="peak learning rate for batches of 128")
    optimizer: str = Field("sgd", description="an optimiser that timm knows")
    seed: int = Field(0, ge=0)
    train_on: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    threads: int = Field(1, ge=1, description="torch threads; one is fastest for small supernets on a busy machine")


class FitConfig(TrainConfig):
    """Every setting of `hwnas fit`; None means that it is settled from the data, once, and then written down."""

    target: str = Field("onnxruntime-f32", description="where the network will run")
    budget: str = Field(..., description="latency limit, for example 1.5ms, 800us or 40% of the largest network")
    limits: tuple[str, ...] = Field((), description="further limits: params=1M, macs=30M, memory=512kB")
    space: str = Field("auto", description="the search space; auto takes one that fits the images")
    width: float = Field(1.0, gt=0, description="multiplies every width of the space")
    strategy: Literal["proxyless-g"] = "proxyless-g"
    loss: Literal["absolute", "additive", "log-product"] = Field("absolute", description="how latency is paid for")
    loss_weight: float | None = Field(None, gt=0, description="its weight; None for the form's default")
    search_steps: int | None = Field(None, ge=10, description="weight steps of the supernet")
    compute: str | None = Field(None, description="CPU time of the whole fit, instead of an effort: 90s, 30min, 2h")
    baselines: Literal["none", "standard", "full"] = "standard"
    candidates: int = Field(100, ge=1, description="architectures scored on shared weights, for each contender")
    sessions: int = Field(5, ge=2, description="measuring processes of every final file")
    held_out: int = Field(12, ge=2, description="networks that judge the latency model")
    margin: float = Field(0.03, ge=0, lt=0.5, description="share of the budget that predictions leave free")
    rounds: int = Field(3, ge=0, description="how often a file that missed may be followed by another network")

    @field_validator("budget")
    @classmethod
    def _budget_reads(cls, text: str) -> str:
        Budget.parse(text)
        return text

    @field_validator("limits")
    @classmethod
    def _limits_read(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        parse_limits(texts)
        return texts

    @field_validator("compute")
    @classmethod
    def _compute_reads(cls, text: str | None) -> str | None:
        if text is not None:
            parse_compute(text)
        return text


Settings = TypeVar("Settings", bound=TrainConfig)


def checked_settings(kind: type[Settings], values: Mapping[str, Any]) -> Settings:
    """Settings of one kind, checked.

    Args:
        kind: FitConfig or TrainConfig.
        values: by name; what is left out gets its default.

    Raises:
        InputError: a setting is unknown, missing or out of range; names it and says what is expected.
    """
    try:
        return kind(**values)
    except ValidationError as reason:
        first = reason.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    match first["type"]:
        case "extra_forbidden":
            raise UnknownName("setting", name, kind.model_fields)
        case "literal_error":
            raise UnknownName(name, str(first["input"]), _names(kind.model_fields[name].annotation))
        case "missing":
            raise InputError(f"setting {name!r} is missing: give for example --{name} 1.5ms or --{name} 40%")
        case _:
            said = first["msg"][0].lower() + first["msg"][1:]
            raise InputError(f"setting {name!r}: {said}, not {first.get('input')!r}")


def _names(annotation: Any) -> list[str]:
    """The texts of a Literal, wherever it stands in an annotation."""
    return [name for part in get_args(annotation) for name in ([part] if isinstance(part, str) else _names(part))]


def parse_limits(texts: tuple[str, ...]) -> dict[str, int]:
    """Reads "params=1M", "macs=30M" and "memory=512kB" into {name: number}.

    Raises:
        InputError: another name, no number or an unknown unit.
    """
    found: dict[str, int] = {}
    for text in texts:
        name, _, amount = text.partition("=")
        unit = amount.lstrip("0123456789.")
        try:
            if name not in ("params", "macs", "memory") or unit not in LIMIT_UNITS:
                raise ValueError
            found[name] = int(float(amount.removesuffix(unit) if unit else amount) * LIMIT_UNITS[unit])
        except ValueError:
            raise InputError(f"limit {text!r}: write params=1M, macs=30M or memory=512kB") from None
        if found[name] <= 0:
            raise InputError(f"limit {text!r} must be above zero")
    return found


def parse_compute(text: str) -> float:
    """Reads "90s", "30min" or "2h" as CPU seconds.

    Raises:
        InputError: no number above zero, or another unit.
    """
    match = _COMPUTE.fullmatch(text)
    try:
        seconds = float(match.group(1)) * COMPUTE_UNITS[match.group(2)] if match else 0.0
    except ValueError:
        seconds = 0.0
    if not seconds > 0:
        raise InputError(f"compute {text!r}: write CPU time above zero with its unit, for example 90s, 30min or 2h")
    return seconds
