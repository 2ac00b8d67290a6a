"""Reading a run without locking or changing it: what a report needs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas.core.errors import FileFormatError, InputError, RunError
from hwnas.runs.files import read_json, read_lines
from hwnas.runs.settings import read_settings

RUN_FORMAT = "hwnas-run@1"
RESULT_FORMAT = "hwnas-result@1"
CONFIG, ENVIRONMENT, METRICS, RESULT = "config.yaml", "env.json", "metrics.jsonl", "result.json"


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run on disk, finished or not.

    Args:
        path: its directory.
        config: its resolved settings.
        environment: what it was started under.
    """

    path: Path
    config: dict[str, Any]
    environment: dict[str, Any]

    def result(self) -> dict[str, Any]:
        """What is in result.json.

        Raises:
            RunError: the run has not finished, or the result is from a newer hwnas.
            FileFormatError: the file is damaged.
        """
        path = self.path / RESULT
        if not path.exists():
            raise RunError(f"{self.path} has no {RESULT} yet: run the command that started it again, it resumes")
        result = read_json(path)
        check_format(path, result, RESULT_FORMAT)
        return dict(result)

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl in order; of a step that a resumed run did again, the later line.

        Raises:
            FileFormatError: a line is damaged; a torn last one is dropped.
        """
        kept: dict[tuple[Any, ...], dict[str, Any]] = {}
        for number, line in enumerate(read_lines(self.path / METRICS)):
            stage, step = line.get("stage"), line.get("step")
            named = isinstance(stage, str) and isinstance(step, int)
            kept[("step", stage, step) if named else ("line", number)] = line
        return list(kept.values())


def read_run(path: Path) -> StoredRun:
    """Opens a run for reading.

    Raises:
        InputError: there is no such directory, or it is not a run.
        FileFormatError: its config.yaml or env.json is damaged.
        RunError: it is from a newer hwnas.
    """
    if not path.is_dir():
        raise InputError(f"there is no run directory {path}")
    if not (path / CONFIG).is_file() or not (path / ENVIRONMENT).is_file():
        raise InputError(f"{path} is not a run: a run holds {CONFIG} and {ENVIRONMENT}; give the --out of a run")
    facts = read_json(path / ENVIRONMENT)
    check_format(path / ENVIRONMENT, facts, RUN_FORMAT)
    environment = facts.get("environment")
    if not isinstance(environment, dict):
        raise FileFormatError(f"{path / ENVIRONMENT}: field 'environment' must be an object")
    return StoredRun(path, read_settings(path / CONFIG), environment)


def check_format(path: Path, data: Any, known: str) -> None:
    """Refuses data whose field "format" is of another kind, for example not "hwnas-run@…", or of a newer version.

    Raises:
        FileFormatError: another kind.
        RunError: a newer version.
    """
    found = data.get("format") if isinstance(data, dict) else None
    kind, _, version = found.partition("@") if isinstance(found, str) else ("", "", "")
    known_kind, _, known_version = known.partition("@")
    if kind != known_kind or not version.isdecimal() or len(version) > 9:
        raise FileFormatError(
            f"{path}: field 'format' should be {known!r}, not {found!r}; the file is foreign or damaged"
        )
    if int(version) > int(known_version):
        raise RunError(f"{path} has format {found} from a newer hwnas; this one reads {known}: update hwnas")
