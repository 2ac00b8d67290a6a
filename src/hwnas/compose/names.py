"""What can be asked for by name, with one sentence each."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from hwnas.compose.fits import LOSSES
from hwnas.compose.spaces import SPACES
from hwnas.compose.strategies import REWARDS, STRATEGIES
from hwnas.config import GRADIENT
from hwnas.data.catalogue import known_sources
from hwnas.hardware.engines import ALIASES, ENGINES
from hwnas.hardware.tables.store import known_tables
from hwnas.networks.catalogue import NETWORKS
from hwnas.networks.published import Published
from hwnas.workflows.files import model_name

_GRADIENT = "ProxylessNAS's gradient form: a supernet, and gates that learn from its loss and a latency model"


@dataclass(frozen=True, slots=True)
class ListedTarget:
    """A target as it is listed; none of its library is imported to know this.

    Args:
        name: engine and precision.
        short: another name for it; None where there is none.
        title: what runs the networks.
        precision: what it computes in.
        file: what ships for it.
        package: what it needs.
        installed: the package's version, "" where that is not known; None where it is not installed.
        install: the command that installs it.
    """

    name: str
    short: str | None
    title: str
    precision: str
    file: str
    package: str
    installed: str | None
    install: str

    @property
    def missing(self) -> str:
        """How to get what is not installed, as the end of a sentence."""
        return f" (not installed: {self.install})" if self.installed is None else ""

    def to_json(self) -> dict[str, str | None]:
        """A dictionary of plain values."""
        return asdict(self)


def targets() -> list[ListedTarget]:
    """Every target on this machine, whether or not its engine is installed."""
    short = {full: alias for alias, full in ALIASES.items()}
    return [
        ListedTarget(
            name, short.get(name), offer.title, offer.precision, model_name(offer.suffix), offer.library.package,
            offer.library.installed(), offer.library.remedy,
        )
        for name, offer in ENGINES.items()
    ]  # fmt: skip


def known_names() -> dict[str, dict[str, str]]:
    """Everything that can be asked for by name, by kind ("networks", "spaces", …), each with one sentence."""
    data = {**known_sources(), "toy": "generated images for the space 'toy': two bars, the label says how far apart"}
    return {
        "networks": {name: _sentence(one) for name, one in NETWORKS.items()},
        "spaces": {name: space.text for name, space in SPACES.items()},
        "data": data,
        "targets": {one.name: f"{one.title}, {one.precision}{one.missing}" for one in targets()},
        "tables": known_tables(),
        "losses": LOSSES,
        "strategies": {GRADIENT: _GRADIENT, **{name: one.text for name, one in STRATEGIES.items()}},
        "rewards": REWARDS,
    }


def _sentence(network: Published) -> str:
    top1 = f", {network.reported_top1:g} % top-1 reported" if network.reported_top1 else ""
    return f"{network.title} ({network.data}, {network.resolution} pixels{top1})"
