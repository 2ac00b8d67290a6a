"""What a run has found out, as one hash: equal for equal runs, whenever and wherever they ran."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from hwnas.core.protocols import Checkpoint
from hwnas.runs.directory import RunDirectory
from hwnas.runs.files import plain_json

# When, where and by whom; the images are known by their fingerprint, not by their folder's name.
_CIRCUMSTANCES = ("command", "created", "hwnas", "compute", "shared", "environment", "repeat")


def canonical_sha256(result: Mapping[str, Any], run: RunDirectory) -> str:
    """The sha256 of a run's canonical form: result, measurements, trials, and what the search learned, bit for bit.

    Given the same recorded measurements, a run that was cut off and resumed has that of one that was not.

    Args:
        result: of the run, with the digests of the delivered files.
        run: its store and the last checkpoint of its search, if it has one.
    """
    kept = {key: value for key, value in result.items() if key not in _CIRCUMSTANCES}
    kept["data"] = {key: value for key, value in result.get("data", {}).items() if key != "name"}
    rows = [[row.target_id, row.file_sha256, row.purpose, row.content] for row in run.store.measurements()]
    trials = [[row.source, row.architecture_id, row.seed, row.content] for row in run.store.trials()]
    learned = run.checkpoints("search").latest()
    form = {
        "result": plain_json(kept, "result"),
        "measurements": sorted(rows, key=lambda row: row[:3]),
        "trials": sorted(trials, key=lambda row: row[:2]),
        "search": None if learned is None else _digest(learned),
    }
    return hashlib.sha256(json.dumps(form, sort_keys=True).encode("ascii")).hexdigest()


def _digest(checkpoint: Checkpoint) -> str:
    """Of every bit of every array: weights, gates, momenta."""
    digest = hashlib.sha256()
    for name, array in sorted(checkpoint.arrays.items()):
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
