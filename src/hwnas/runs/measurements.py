"""Measurements as a file, to be replayed in another run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hwnas.core.errors import FileFormatError, quoted
from hwnas.runs.files import read_json, write_json

MEASUREMENTS_FORMAT = "hwnas-measurements@1"


@dataclass(frozen=True, slots=True)
class MeasurementRecord:
    """A measurement of one file on one target for one purpose, for example "calibration" or "session-3"."""

    target_id: str
    file_sha256: str
    purpose: str
    content: dict[str, Any]


def write_measurements(path: Path, records: Sequence[MeasurementRecord]) -> None:
    """Writes measurements to a JSON file that `read_measurements` reads."""
    write_json(path, {"format": MEASUREMENTS_FORMAT, "measurements": [asdict(record) for record in records]})


def read_measurements(path: Path) -> list[MeasurementRecord]:
    """The measurements of a file.

    Raises:
        InputError: there is no such file.
        FileFormatError: it is not a measurements file, or from a newer version.
    """
    data = read_json(path)
    if not isinstance(data, dict) or data.get("format") != MEASUREMENTS_FORMAT:
        found = data.get("format") if isinstance(data, dict) else type(data).__name__
        raise FileFormatError(
            f"{path} is no measurements file: expected format {MEASUREMENTS_FORMAT!r}, not {quoted(found)}"
        )
    rows = data.get("measurements")
    if not isinstance(rows, list):
        raise FileFormatError(f"{path}: 'measurements' must be a list")
    records: dict[tuple[str, ...], MeasurementRecord] = {}
    for number, row in enumerate(rows):
        fields = row if isinstance(row, dict) else {}
        key = tuple(fields.get(name) for name in ("target_id", "file_sha256", "purpose"))
        content = fields.get("content")
        texts = tuple(value for value in key if isinstance(value, str))
        if len(texts) != 3 or not isinstance(content, dict) or not _is_unicode("".join(texts)):
            raise FileFormatError(f"{path}: measurement {number} needs target_id, file_sha256, purpose and content")
        if texts in records:
            raise FileFormatError(f"{path}: measurement {number} appears a second time")
        records[texts] = MeasurementRecord(*texts, content)
    return list(records.values())


def _is_unicode(text: str) -> bool:
    """Whether a store can hold it: JSON knows halves of characters that it does not."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
