"""The settings of a fit as plain, checked values: what the command line, the Python call and a YAML file all fill in."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from hwnas.core.cost import Budget
from hwnas.core.errors import InputError

LIMIT_UNITS = {"": 1, "k": 10**3, "kB": 10**3, "M": 10**6, "MB": 10**6, "G": 10**9, "GB": 10**9}


class FitConfig(BaseModel):
    """Every setting of `hwnas fit`; None means that it is settled from the data, once, and then written down."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: str = Field("mnist5k", description="a known data set, a folder of images or an .npz pack")
    data_root: str | None = Field(None, description="where torchvision data sets lie")
    resolution: int | None = Field(None, description="side of the images in pixels")
    augmentation: Literal["none", "shift", "shift-flip", "affine"] | None = None
    download: bool = Field(False, description="whether a torchvision data set may be downloaded")
    skip_bad: bool = Field(False, description="leave unreadable images out and count them")
    target: str = Field("onnxruntime-f32", description="where the network will run")
    budget: str = Field(..., description="latency limit, for example 1.5ms, 800us or 40% of the largest network")
    limits: tuple[str, ...] = Field((), description="further limits: params=1M, macs=30M, memory=512kB")
    space: str = Field("auto", description="the search space; auto takes one that fits the images")
    width: float = Field(1.0, gt=0, description="multiplies every width of the space")
    strategy: Literal["proxyless-g"] = "proxyless-g"
    loss: Literal["absolute", "additive", "log-product"] = Field("absolute", description="how latency is paid for")
    loss_weight: float | None = Field(None, gt=0, description="its weight; None for the form's default")
    effort: Literal["quick", "standard", "long"] = Field("standard", description="how long searching and training take")
    search_steps: int | None = Field(None, ge=10, description="weight steps of the supernet")
    train_steps: int | None = Field(None, ge=10, description="steps of each final training")
    batch_size: int | None = Field(None, ge=8)
    lr: float = Field(0.1, gt=0, description="peak learning rate for batches of 128")
    optimizer: str = Field("sgd", description="an optimiser that timm knows")
    seed: int = Field(0, ge=0)
    train_on: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    threads: int = Field(1, ge=1, description="torch threads; one is fastest for small supernets on a busy machine")
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


def fit_config(values: dict[str, Any]) -> FitConfig:
    """Checked settings.

    Raises:
        InputError: a setting is unknown or out of range; names it and says what is expected.
    """
    try:
        return FitConfig(**values)
    except ValidationError as reason:
        first = reason.errors()[0]
        cause = first.get("ctx", {}).get("error")
        if isinstance(cause, InputError):
            raise cause from None
        name = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            from hwnas.core.errors import UnknownName

            raise UnknownName("setting", name, FitConfig.model_fields) from None
        if first["type"] == "missing":
            raise InputError(f"setting {name!r} is missing: give for example --{name} 1.5ms or --{name} 40%") from None
        raise InputError(f"setting {name!r}: {first['msg'].lower()}, not {first.get('input')!r}") from None


def read_config(path: Path) -> dict[str, Any]:
    """The settings in a YAML file, such as a run's config.yaml.

    Raises:
        InputError: the file cannot be read or does not hold settings.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as reason:
        raise InputError(f"{path} cannot be read as settings: {' '.join(str(reason).split())}") from None
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise InputError(f"{path} must hold settings by name, for example 'budget: 40%'")
    return values


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
