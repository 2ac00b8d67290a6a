"""A policy over the choices of a space: an LSTM that reads each option taken, and a softmax for every choice.

Source: the controller of Zoph, Vasudevan, Shlens, Le 2018 (NASNet, appendix A.1), after Zoph, Le 2017. PPO is that of
Schulman et al. 2017, "Proximal Policy Optimization Algorithms".
Differs: what is no decision is passed over, so that the LSTM reads decisions alone.

All is float64: a score may be as large as 1e30, and Adam squares what comes of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from torch.nn.utils import parameters_to_vector

from hwnas.controllers.decisions import Decisions, Drawn
from hwnas.core.architecture import Architecture, Option

_IMPOSSIBLE = -1e300  # the logit of an option of another choice: finite, so that p·ln p is zero and not NaN
_LARGEST_LOG_RATIO = 50.0  # e^50 is beyond any step that still trains, and is a number


class ChoiceLstm(nn.Module):
    """The network.

    Args:
        decisions: of the space.
        hidden: units of the LSTM, and values of an embedding.
        rng: every weight is drawn from U(−0.1, 0.1).
    """

    def __init__(self, decisions: Decisions, hidden: int, rng: np.random.Generator) -> None:
        super().__init__()
        width, kind = decisions.width, torch.float64
        # Torch would draw first weights of its own from its global generator; on this device there are none.
        with torch.device("meta"):
            self.options = nn.Embedding(width + 1, hidden, dtype=kind)  # the last row: none has been taken yet
            self.lstm = nn.LSTM(hidden, hidden, batch_first=True, dtype=kind)
            self.heads = nn.Linear(hidden, width, dtype=kind)  # the softmaxes of all choices in a row
        self.to_empty(device="cpu")
        self._choice_of = torch.arange(len(decisions.counts)).repeat_interleave(torch.tensor(decisions.counts))
        with torch.no_grad():
            for weights in self.parameters():
                weights.copy_(torch.from_numpy(rng.uniform(-0.1, 0.1, tuple(weights.shape))))

    def forward(self, taken_BT: Tensor) -> tuple[Tensor, Tensor]:
        """How likely the options taken are, and how open their choices.

        Args:
            taken_BT: columns of the options taken by each architecture at its decisions, −1 after the last.

        Returns:
            ln p of each option taken, and the entropy of its choice in nats, both (architectures, decisions); zero
            after the last decision.
        """
        decided_BT = taken_BT >= 0
        none = torch.full_like(taken_BT[:, :1], self.options.num_embeddings - 1)
        read_BT = torch.cat([none, taken_BT[:, :-1].clamp(min=0)], dim=1)
        outputs_BTH, _ = self.lstm(self.options(read_BT))
        columns_BT = taken_BT.clamp(min=0)
        same_choice = self._choice_of == self._choice_of[columns_BT][..., None]
        log_p = self.heads(outputs_BTH).masked_fill(~same_choice, _IMPOSSIBLE).log_softmax(dim=-1)
        entropy_BT = -(log_p.exp() * log_p).sum(dim=-1)
        taken = log_p.gather(-1, columns_BT[..., None])[..., 0]
        return taken * decided_BT, entropy_BT * decided_BT


def clipped_surrogate(log_p: Tensor, old_log_p: Tensor, advantages: Tensor, clip: float) -> Tensor:
    """PPO: min(r·A, clip(r, 1 − ε, 1 + ε)·A) of every decision, where r = p/p_old.

    Source: Schulman et al. 2017, eq. 7; its time steps t are the decisions.
    """
    ratio = (log_p - old_log_p).clamp(max=_LARGEST_LOG_RATIO).exp()
    return torch.minimum(ratio * advantages, ratio.clamp(1 - clip, 1 + clip) * advantages)


def plain_surrogate(log_p: Tensor, advantages: Tensor) -> Tensor:
    """REINFORCE: A·ln p of every decision, whose gradient is the policy gradient.

    Source: Zoph, Le 2017, section 3.2.
    """
    return log_p * advantages


class LstmPolicy:
    """The network and its Adam; draws, and learns from mini-batches.

    Args:
        decisions: of the space.
        hidden: units of the LSTM.
        lr: learning rate of Adam, whose other settings are torch's.
        rng: for the first weights.
    """

    def __init__(self, decisions: Decisions, hidden: int, lr: float, rng: np.random.Generator) -> None:
        self._decisions = decisions
        self.network = ChoiceLstm(decisions, hidden, rng)
        self._adam = torch.optim.Adam(self.network.parameters(), lr=lr)

    @torch.no_grad()
    def draw(self, points: np.ndarray) -> list[Drawn]:
        """One architecture for each row of points, all in one pass.

        Args:
            points: uniform in [0, 1), (architectures, choices); those of choices that are no decision are not used.
        """
        places, network, count = self._decisions, self.network, len(points)
        chosen: list[dict[str, Option]] = [{} for _ in range(count)]
        logs: list[list[float]] = [[] for _ in range(count)]
        last = torch.full((count,), places.width)
        hidden, cell = torch.zeros(2, 1, count, network.lstm.hidden_size, dtype=torch.float64)
        uniform = torch.from_numpy(points)
        for at, choice in enumerate(places.space.choices):
            rows = places.settle(choice, chosen)
            if not rows:
                continue
            columns = places.columns[choice.name]
            outputs, after = network.lstm(network.options(last[rows])[:, None], (hidden[:, rows], cell[:, rows]))
            hidden[:, rows], cell[:, rows] = after
            log_p = linear(outputs[:, 0], network.heads.weight[columns], network.heads.bias[columns]).log_softmax(dim=1)
            below = uniform[rows, at, None] >= log_p.exp().cumsum(dim=1)
            taken = below.sum(dim=1).clamp(max=len(choice.options) - 1)  # sums of shares may end below one
            last[rows] = columns.start + taken
            of_taken = log_p.gather(1, taken[:, None])[:, 0]
            for row, option, log in zip(rows, taken.tolist(), of_taken.tolist(), strict=True):
                chosen[row][choice.name] = choice.options[option]
                logs[row].append(log)
        return [
            Drawn(places.space.architecture(options), tuple(own)) for options, own in zip(chosen, logs, strict=True)
        ]

    @torch.no_grad()
    def judged(self, arch: Architecture) -> Drawn:
        """An architecture, and how likely the policy makes it now.

        Raises:
            InputError: the architecture belongs to another space, or does not fit this one.
        """
        decided = len(self._decisions.of(arch))
        log_p, _ = self.network(self._taken([arch]))
        return Drawn(self._decisions.space.canonical(arch), tuple(log_p[0, :decided].tolist()))

    def learn(
        self, batch: Sequence[Drawn], advantages: Sequence[float], entropy_weight: float, epochs: int,
        clip: float | None,
    ) -> None:  # fmt: skip
        """One step of Adam for each epoch, all on the whole mini-batch.

        The objective is the mean over architectures of the sum over decisions.

        Args:
            batch: what was proposed.
            advantages: score less baseline of each.
            entropy_weight: what a nat of entropy adds to the objective.
            epochs: how many steps.
            clip: ε of PPO; None for the plain policy gradient.
        """
        taken = self._taken([one.architecture for one in batch])
        old = torch.zeros(taken.shape, dtype=torch.float64)
        for row, one in enumerate(batch):
            old[row, : len(one.log_probabilities)] = torch.tensor(one.log_probabilities, dtype=torch.float64)
        of_each = torch.tensor(advantages, dtype=torch.float64)[:, None]
        for _ in range(epochs):
            log_p, entropy = self.network(taken)
            decided = taken >= 0
            gained = (
                plain_surrogate(log_p, of_each) if clip is None else clipped_surrogate(log_p, old, of_each, clip)
            ) * decided
            loss = -(gained + entropy_weight * entropy).sum() / len(batch)
            self._adam.zero_grad()
            loss.backward()
            self._adam.step()

    def values(self) -> dict[str, np.ndarray]:
        """The weights and Adam's two moving averages, of the gradients and of their squares, each in a row."""
        found = {"weights": parameters_to_vector(self.network.parameters()).detach()}
        for name, theirs in (("means", "exp_avg"), ("squares", "exp_avg_sq")):
            own = [self._adam.state[one].get(theirs, torch.zeros_like(one)) for one in self.network.parameters()]
            found[name] = parameters_to_vector(own).detach()
        return {name: row.numpy() for name, row in found.items()}

    def go_on_from(self, values: dict[str, np.ndarray], steps: int) -> None:
        """Takes what `values` gave after so many steps of Adam."""
        parameters = list(self.network.parameters())
        sizes = [one.numel() for one in parameters]
        parts = {
            name: [
                part.view_as(one) for part, one in zip(torch.split(torch.tensor(row), sizes), parameters, strict=True)
            ]
            for name, row in values.items()
        }
        with torch.no_grad():
            for one, part in zip(parameters, parts["weights"], strict=True):
                one.copy_(part)
        moments = {
            place: {
                "step": torch.tensor(float(steps)), "exp_avg": parts["means"][place].clone(),
                "exp_avg_sq": parts["squares"][place].clone(),
            }
            for place in range(len(parameters))
        }  # fmt: skip
        self._adam.load_state_dict({**self._adam.state_dict(), "state": moments if steps else {}})

    def _taken(self, archs: Sequence[Architecture]) -> Tensor:
        """`taken_BT` of the network."""
        rows = [[columns.start + option for columns, option in self._decisions.of(arch)] for arch in archs]
        longest = max(1, *(len(row) for row in rows))
        return torch.tensor([row + [-1] * (longest - len(row)) for row in rows])
