"""Tables that others have published: latencies become targets, accuracies are searched."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hwnas.api.arguments import check_count, checked_path, macs_limits
from hwnas.core.errors import InputError, quoted
from hwnas.core.objective import check_has_best, objective
from hwnas.core.protocols import Progress, Silence
from hwnas.core.seeds import LARGEST_SEED
from hwnas.core.text import check_text

if TYPE_CHECKING:
    from hwnas.workflows.search_table import TableSearch
    from hwnas.workflows.tables import ImportedTable

MOST_FILES, LONGEST_DEVICE = 100, 200
MOST_EVALUATIONS, MOST_SEEDS = 10**6, 1000


def import_table(
    files: Sequence[str | Path], *, name: str, device: str = "", replace: bool = False
) -> ImportedTable:  # fmt: skip
    """Makes a target of a latency table in the YAML form of ProxylessNAS or Once-for-All. Needs no torch.

    Args:
        files: each for images of another size.
        name: of the target: up to 64 of a-z, 0-9, ".", "_", "-".
        device: what it was measured on, in words; "" for what is known of a published table.
        replace: put it in the place of another table of that name.

    Raises:
        InputError: a name that cannot be or is taken, no such file, or files that do not belong together.
        FileFormatError: a file holds anything that is not understood; names file and row.
    """
    from hwnas.workflows.tables import import_table as import_files

    if isinstance(files, (str, Path)) or not 1 <= len(files) <= MOST_FILES:
        raise InputError(f"a table is a list of 1 to {MOST_FILES} files, not {quoted(files)}")
    check_text("--device", device)
    if len(device) > LONGEST_DEVICE:
        raise InputError(f"--device is a few words, at most {LONGEST_DEVICE} characters, not {len(device):,}")
    return import_files([checked_path("table", file) for file in files], name, device=device, replace=replace)


def search_table(
    table: str | Path, *, strategy: str = "evolution", evaluations: int = 200, limits: Sequence[str] = (),
    reward: str = "hard-limit", seed: int = 0, seeds: int = 1, progress: Progress | None = None,
) -> TableSearch:  # fmt: skip
    """Searches NAS-Bench-Macro, of which every network was trained, and says how far the best found is from the best.

    Args:
        table: nas-bench-macro_cifar10.json as its authors published it.
        strategy: "random", "evolution", "guided", "reinforce", "ppo" or "policy-gradient".
        evaluations: distinct networks that each search may look up; repeats are free, and there are at most 20 times
            as many proposals.
        limits: ("macs=40.5M",) or nothing.
        reward: how accuracy and multiply-accumulates become one score, the limit being the target: "hard-limit",
            "mnasnet-soft", "mnasnet-hard", "tunas-absolute" or "proxyless-r".
        seed: of the first search.
        seeds: how many searches, with seeds that follow each other.
        progress: told how far each is; None for silence.

    Raises:
        InputError: an argument that cannot be, an unknown name, or no such file.
        FileFormatError: the file holds anything that is not understood; names the row.
        BudgetError: no network is inside the limit.
    """
    from hwnas.compose.controllers import known_controller
    from hwnas.strategies.black_box import BlackBoxSettings
    from hwnas.workflows.search_table import read_macro_table
    from hwnas.workflows.search_table import search_table as search

    for what, number, least, most in (
        ("--evaluations", evaluations, 1, MOST_EVALUATIONS),
        ("--seed", seed, 0, LARGEST_SEED),
        ("--seeds", seeds, 1, MOST_SEEDS),
    ):
        check_count(what, number, least, most)
    controller = known_controller(strategy)
    check_has_best(reward)
    wanted = objective(reward, macs_limits(limits))
    known = read_macro_table(checked_path("table", table))
    return search(
        known, controller.make, wanted, BlackBoxSettings(evaluations), range(seed, seed + seeds), progress or Silence()
    )
