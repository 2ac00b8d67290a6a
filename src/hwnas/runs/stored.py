"""Reading a run without locking or changing it: what a report needs.

Since format 2 every file proves itself: JSON files and config.yaml by a seal, each line of metrics.jsonl by a checksum,
its length by a last line, and the delivered files by their sha256 in result.json. Runs of format 1 have none of these.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas.core.errors import FileFormatError, InputError, RunError, quoted
from hwnas.runs.files import SEAL, Lines, read_json, read_lines, read_sealed_json
from hwnas.runs.settings import read_settings

RUN_FORMAT = "hwnas-run@2"
RESULT_FORMAT = "hwnas-result@2"
COMPARISON_FORMAT = "hwnas-comparison@2"  # 2 as theirs: sealed
CONFIG, ENVIRONMENT, METRICS, RESULT = "config.yaml", "env.json", "metrics.jsonl", "result.json"
COMPARISON = "comparison.json"  # of several searches, in the place of a result
BASELINES, LATENCY = "baselines", "latency"
MODEL_FILES = (
    "model.onnx",
    "model.int8.onnx",
    "model.mnn",
    "model.ncnn.zip",
    "model.pte",
    "model.tflite",
    "model.torch.safetensors",
)
NETWORK_FILES = ("architecture.json", "network.json", "weights.safetensors", "network.py", *MODEL_FILES)
OUTPUTS = (METRICS, RESULT, COMPARISON, *NETWORK_FILES, "report.html")  # what a run writes, besides what it resumes by
METRICS_END = "end"  # the last line of a finished run's metrics.jsonl: how many bytes are before it
_SEALED_SINCE = 2
_LARGEST_BYTES = 2**31  # of a delivered file: what an ONNX file can hold


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run on disk, finished or not.

    Args:
        path: its directory.
        version: of its format.
        config: its resolved settings.
        environment: what it was started under.
    """

    path: Path
    version: int
    config: dict[str, Any]
    environment: dict[str, Any]

    @property
    def finished(self) -> bool:
        """Whether it has a result."""
        return (self.path / RESULT).exists()

    def result(self) -> dict[str, Any]:
        """What is in result.json.

        Raises:
            RunError: the run has not finished, or the result is from a newer hwnas.
            FileFormatError: the file is damaged.
        """
        if not self.finished and "budget" in self.config and (self.path / NETWORK_FILES[0]).exists():
            raise RunError(f"{self.path} holds a search without trainings: run hwnas fit with the same settings there")
        if not self.finished:
            raise RunError(f"{self.path} has no {RESULT} yet: run the command that started it again, it resumes")
        return read_stored(self.path / RESULT, RESULT_FORMAT)[0]

    def metrics(self) -> list[dict[str, Any]]:
        """The whole lines of metrics.jsonl in order; of a step that a resumed run did again, the later line.

        Raises:
            InputError: the file cannot be read.
        """
        kept: dict[tuple[Any, ...], dict[str, Any]] = {}
        for start, line in self._lines().whole:
            stage, step = line.get("stage"), line.get("step")
            named = isinstance(stage, str) and isinstance(step, int)
            if METRICS_END not in line:
                kept[("step", stage, step) if named else ("line", start)] = line
        return list(kept.values())

    def problems(self) -> list[str]:
        """A sentence for everything that is damaged or missing and yet keeps nobody from reading the rest.

        Raises:
            InputError: metrics.jsonl cannot be read.
            FileFormatError: result.json is damaged.
        """
        lines = self._lines()
        problems = [*lines.problems, *(f"{self.path / name} is damaged or missing" for name in self.damaged_files())]
        if self.finished and self.version >= _SEALED_SINCE:
            start, last = lines.whole[-1] if lines.whole else (0, {})
            if last.get(METRICS_END) != start:
                problems.append(f"{self.path / METRICS} has lost lines: it does not end as it was written")
        return problems

    def damaged_files(self) -> list[str]:
        """The delivered files that are missing or not as they were written, relative to the run.

        Raises:
            FileFormatError: result.json is damaged.
        """
        digests = _delivered(self.path, self.result()) if self.finished else {}
        return [name for name, digest in digests.items() if not _is_as(self.path / name, digest)]

    def _lines(self) -> Lines:
        return read_lines(self.path / METRICS, signed=self.version >= _SEALED_SINCE)


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
    facts, version = read_stored(path / ENVIRONMENT, RUN_FORMAT)
    environment = facts.get("environment")
    if not isinstance(environment, dict):
        raise FileFormatError(f"{path / ENVIRONMENT}: field 'environment' must be an object")
    config = read_settings(path / CONFIG, sealed=version >= _SEALED_SINCE)
    return StoredRun(path, version, config, environment)


def read_stored(path: Path, known: str) -> tuple[dict[str, Any], int]:
    """A JSON file that hwnas wrote, proved by its seal, and the version of its format; version 1 has no seal.

    Args:
        path: the file.
        known: the newest format that is read, for example "hwnas-run@2".

    Raises:
        InputError: no such file.
        FileFormatError: it is damaged, or of another kind.
        RunError: from a newer hwnas.
    """
    data = read_json(path)
    has_seal = isinstance(data, dict) and SEAL in data
    if has_seal:
        data = read_sealed_json(path)
    version = check_format(path, data, known)
    if has_seal != (version >= _SEALED_SINCE):
        seal = "has a sha256, and its format has none" if has_seal else "lacks the sha256 of its content"
        raise FileFormatError(f"{path} is damaged: it {seal}; restore it from a copy")
    return data, version


def check_format(path: Path, data: Any, known: str) -> int:
    """The version of some data; refuses a field "format" of another kind than `known`, or of a newer version.

    Raises:
        FileFormatError: another kind.
        RunError: a newer version.
    """
    found = data.get("format") if isinstance(data, dict) else None
    kind, _, version = found.partition("@") if isinstance(found, str) else ("", "", "")
    known_kind, _, known_version = known.partition("@")
    if kind != known_kind or not version.isdecimal() or not 0 < int(version[:9]) or len(version) > 9:
        raise FileFormatError(
            f"{path}: field 'format' should be {known!r}, not {quoted(found)}; the file is foreign or damaged"
        )
    if int(version) > int(known_version):
        raise RunError(f"{path} has format {found} from a newer hwnas; this one reads {known}: update hwnas")
    return int(version)


def file_digests(directory: Path) -> dict[str, dict[str, Any]]:
    """The size and sha256 of every network file that a run delivers, by name relative to the run.

    Args:
        directory: of the run; the files of baselines lie below it.

    Returns:
        What result.json keeps as "files".
    """
    places = [directory, *sorted(entry for entry in (directory / BASELINES).glob("*") if entry.is_dir())]
    paths = [place / name for place in places for name in NETWORK_FILES]
    return {path.relative_to(directory).as_posix(): digest for path in paths if (digest := _digest(path)) is not None}


def check_delivered(path: Path) -> None:
    """Refuses a file of a finished run that is not as it was delivered; says nothing about any other file.

    Raises:
        FileFormatError: the file, or the result.json that says how it was, is damaged.
    """
    file = path.parent.resolve() / path.name  # a link in its place is not what was delivered
    for directory in (file.parent, file.parent.parent.parent):  # the run's own, or below baselines/<role>
        if (directory / RESULT).is_file() and (directory / CONFIG).is_file():
            expected = _delivered(directory, read_stored(directory / RESULT, RESULT_FORMAT)[0])
            name = file.relative_to(directory).as_posix()
            if name in expected and not _is_as(file, expected[name]):
                raise FileFormatError(
                    f"{path} is damaged or missing: it does not match the sha256 in {directory / RESULT}; restore it "
                    "from a copy"
                )


def _delivered(directory: Path, result: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a result says of its files; their names lead nowhere else, whoever wrote them."""
    digests = result.get("files", {})
    if not isinstance(digests, Mapping) or not all(_is_network_file(Path(name)) for name in digests):
        raise FileFormatError(f"{directory / RESULT}: field 'files' names other files than those of a run")
    return digests


def _is_network_file(name: Path) -> bool:
    match name.parts:
        case (file,):
            return file in NETWORK_FILES
        case (directory, role, file):
            return directory == BASELINES and role != ".." and file in NETWORK_FILES
    return False


def _is_as(path: Path, digest: Any) -> bool:
    """Whether a file is as its digest says; one of another size is not read, for it may be endless."""
    size = digest.get("bytes") if isinstance(digest, Mapping) else None
    same_size = path.is_file() and path.stat().st_size == size and size <= _LARGEST_BYTES
    return same_size and _digest(path) == digest


def _digest(path: Path) -> dict[str, Any] | None:
    """None where there is no such file."""
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file:
            return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
    except OSError as reason:
        raise InputError(f"cannot read {path}: {reason.strerror}") from reason
