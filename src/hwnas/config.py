"""Settings as plain, checked values: what the command line, the Python call and a YAML file all fill in."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from hwnas.core.cost import Budget
from hwnas.core.errors import InputError, UnknownName, quoted
from hwnas.core.seeds import LARGEST_SEED
from hwnas.core.text import check_text

LIMIT_UNITS = {"": 1, "k": 10**3, "kB": 10**3, "M": 10**6, "MB": 10**6, "G": 10**9, "GB": 10**9}
COMPUTE_UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0}
_LIMIT = re.compile(r"(params|macs|activations|size|memory)=([0-9.]{1,40})(k|kB|M|MB|G|GB|)")
_COMPUTE = re.compile(r"\s*([0-9.]{1,40})\s*(s|min|h)\s*")
MOST_STEPS, MOST_COMPUTE_S = 10**9, 1e9
LARGEST_LIMIT = 10**15
GRADIENT = "proxyless-g"  # the strategy that trains a supernet; every other one is a black-box search
_OF_CHILDREN = ("reward", "evaluations", "child_steps", "proposals", "at_once")  # read by black-box searches alone
_OF_SUPERNET = ("search_steps", "loss", "loss_weight", "candidates", "held_out")  # read by the other alone


class TrainConfig(BaseModel):
    """Every setting of a training: images, recipe, device; None means that it is settled from the data, once."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    data: str = Field("mnist5k", description="a known data set, a folder of images or an .npz pack")
    data_root: str | None = Field(None, description="where torchvision data sets lie")
    resolution: int | None = Field(None, ge=8, le=1024, description="side of the images in pixels")
    augmentation: Literal["none", "shift", "shift-flip", "affine"] | None = None
    download: bool = Field(False, description="whether a torchvision data set may be downloaded")
    skip_bad: bool = Field(False, description="leave unreadable images out and count them")
    workers: int = Field(0, ge=0, le=256, description="processes that decode images too many to be held in memory")
    effort: Literal["quick", "standard", "long"] = Field("standard", description="how long searching and training take")
    train_steps: int | None = Field(None, ge=10, le=MOST_STEPS, description="steps of each final training")
    batch_size: int | None = Field(None, ge=8, le=2**16)
    lr: float = Field(0.1, gt=0, le=1000, description="peak learning rate for batches of 128")
    optimizer: str = Field("sgd", description="an optimiser that timm knows")
    seed: int = Field(0, ge=0, le=LARGEST_SEED)
    train_on: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    threads: int = Field(1, ge=1, le=1024, description="of torch; one is fastest for small supernets on a busy machine")

    @field_validator("data", "data_root", mode="before")
    @classmethod
    def _path_as_text(cls, value: Any) -> Any:
        return os.fspath(value) if isinstance(value, os.PathLike) else value

    @field_validator("*", mode="before")
    @classmethod
    def _plain(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuses what would pass for something else: true for 1, and text that no file of settings can hold."""
        if isinstance(value, bool) and cls.model_fields[info.field_name or ""].annotation is not bool:
            raise InputError(f"setting {info.field_name!r}: input should be a number or text, not {value}")
        if isinstance(value, str):
            check_text(f"setting {info.field_name!r}", value)
        return value


class FitConfig(TrainConfig):
    """Every setting of `hwnas fit`; None means that it is settled from the data, once, and then written down."""

    target: str = Field("onnxruntime-f32", description="where the network will run")
    budget: str = Field(..., description="latency limit, for example 1.5ms, 800us or 40% of the largest network")
    limits: tuple[str, ...] = Field((), description="further limits: params=1M, macs=30M, size=4MB, …")
    space: str = Field("auto", description="the search space; auto takes one that fits the images")
    width: float = Field(1.0, ge=0.1, le=4, description="multiplies every width of the space")
    strategy: Literal["proxyless-g", "random", "evolution", "guided", "mnasnet"] = "proxyless-g"
    loss: Literal["absolute", "additive", "log-product"] = Field("absolute", description="how latency is paid for")
    loss_weight: float | None = Field(None, gt=0, le=1e6, description="its weight; None for the form's default")
    search_steps: int | None = Field(None, ge=10, le=MOST_STEPS, description="weight steps of the supernet")
    reward: Literal["hard-limit", "mnasnet-soft", "mnasnet-hard", "tunas-absolute", "proxyless-r", "front"] | None = (
        Field(None, description="of a black-box search; None for the strategy's own")
    )
    evaluations: int = Field(100, ge=1, le=10**6, description="networks that a black-box search trains alone")
    child_steps: int | None = Field(None, ge=10, le=MOST_STEPS, description="training steps of each of them")
    proposals: int = Field(10, ge=1, le=10_000, description="of them that are proposed and measured together")
    at_once: int = Field(1, ge=1, le=256, description="of them that are trained at a time")
    compute: str | None = Field(None, description="CPU time of the whole fit, instead of an effort: 90s, 30min, 2h")
    baselines: Literal["none", "standard", "full"] = "standard"
    candidates: int = Field(
        100, ge=1, le=10**6, description="architectures scored on shared weights, by each contender"
    )
    sessions: int = Field(5, ge=2, le=1000, description="measuring processes of every final file")
    held_out: int = Field(12, ge=2, le=1000, description="networks that judge the latency model")
    margin: float = Field(0.03, ge=0, lt=0.5, description="share of the budget that predictions leave free")
    rounds: int = Field(3, ge=0, le=100, description="how often a file that missed may be followed by another network")

    def kept(self) -> dict[str, Any]:
        """What a run keeps and a resumed one must equal, as plain values, without what the strategy does not read."""
        return {name: value for name, value in self.model_dump(mode="json").items() if name not in self._unread}

    def check_read(self) -> None:
        """Refuses what was set and is not read by the strategy.

        Raises:
            InputError: names the setting.
        """
        for name in self._unread:
            if name in self.model_fields_set and getattr(self, name) != type(self).model_fields[name].default:
                option = f"--{name.replace('_', '-')}"
                raise InputError(
                    f"strategy {self.strategy} does not read {option}: leave it out, or give another --strategy"
                )

        if self.baselines == "full" and self.strategy != GRADIENT:
            raise InputError(
                f"strategy {self.strategy} has no costlier baselines than the standard ones: give --baselines standard "
                "or none"
            )

    @property
    def _unread(self) -> tuple[str, ...]:
        return _OF_CHILDREN if self.strategy == GRADIENT else _OF_SUPERNET

    @field_validator("budget", mode="before")
    @classmethod
    def _budget_reads(cls, value: Any) -> Any:
        if isinstance(value, (str, int, float)):
            Budget.parse(str(value))
        return value

    @field_validator("limits", mode="before")
    @classmethod
    def _one_limit(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

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
            raise InputError(f"setting {quoted(name)}: {said}, not {quoted(first.get('input'))}")


def _names(annotation: Any) -> list[str]:
    """The texts of a Literal, wherever it stands in an annotation."""
    return [name for part in get_args(annotation) for name in ([part] if isinstance(part, str) else _names(part))]


def parse_limits(texts: tuple[str, ...]) -> dict[str, int]:
    """Reads "params=1M", "macs=30M", "activations=512kB", "size=4MB" and "memory=16MB" into {name: number}.

    Raises:
        InputError: another name, no number, an unknown unit, out of range, or one name twice.
    """
    found: dict[str, int] = {}
    for text in texts:
        match = _LIMIT.fullmatch(text)
        try:
            amount = float(match[2]) * LIMIT_UNITS[match[3]] if match else math.nan
        except ValueError:
            amount = math.nan
        if match is None or math.isnan(amount):
            raise InputError(
                f"limit {quoted(text)}: write params=1M, macs=30M, activations=512kB, size=4MB or memory=16MB"
            )
        if not 1 <= amount <= LARGEST_LIMIT:
            raise InputError(f"limit {quoted(text)} must be above zero and at most {LARGEST_LIMIT:.0e}")
        if match[1] in found:
            raise InputError(f"limit {quoted(text)}: {match[1]} is limited twice; give each limit once")
        found[match[1]] = int(amount)
    return found


def parse_compute(text: str) -> float:
    """Reads "90s", "30min" or "2h" as CPU seconds.

    Raises:
        InputError: no number above zero, another unit, or more than 1e9 s.
    """
    match = _COMPUTE.fullmatch(text)
    try:
        seconds = float(match[1]) * COMPUTE_UNITS[match[2]] if match else 0.0
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= MOST_COMPUTE_S:
        raise InputError(
            f"compute {quoted(text)}: write CPU time above zero with its unit, for example 90s, 30min or 2h; at most "
            f"{MOST_COMPUTE_S:g}s"
        )
    return seconds
