"""Damages the state files of a run, one bit or one cut at a time, and says how that is noticed.

A change may be refused by an error of ours that names the file, or told by a sentence that names it while everything
else is read as before; a checkpoint may then be the older one, and lines of metrics.jsonl may be missing. Nothing goes
unnoticed. Whole lines that are cut off metrics.jsonl after the last checkpoint of a run that goes on are no loss: their
steps are done again.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas.core.errors import HwnasError
from hwnas.core.protocols import Checkpoint
from hwnas.hardware.latency_model import FORMAT as LATENCY_FORMAT
from hwnas.runs.checkpoints import CheckpointDirectory
from hwnas.runs.directory import RunDirectory
from hwnas.runs.stored import read_stored

STORE_FILES = ("store.sqlite", "store.sqlite-wal", "store.sqlite-shm")
NOT_STATE = ("report.html", "lock.json", "store.sqlite-wal", "store.sqlite-shm")
TAIL_BYTES = 4096


def state_files(run: Path) -> list[str]:
    """Every file that a later command builds upon, relative to the run."""
    files = (path.relative_to(run).as_posix() for path in sorted(run.rglob("*")) if path.is_file())
    return [name for name in files if name not in NOT_STATE]


def plain(checkpoint: Checkpoint | None) -> Any:
    """A checkpoint as values that can be compared."""
    if checkpoint is None:
        return None
    arrays = {name: (str(array.dtype), array.shape, array.tobytes()) for name, array in checkpoint.arrays.items()}
    return checkpoint.step, arrays, checkpoint.state


def loops(run: Path) -> list[str]:
    """The names of the loops that have checkpoints."""
    found = {path.parent.parent for path in (run / "checkpoints").rglob("manifest.json")}
    return sorted(path.relative_to(run / "checkpoints").as_posix() for path in found)


def contents(
    run: Path, config: dict[str, Any], names: list[str], *, store: bool = True, latency: bool = True
) -> tuple[dict[str, Any], list[str]]:
    """All that the state files hold as the readers give it, and what was said on the way.

    Args:
        run: the directory; opened for going on.
        config: what the run was started with.
        names: of the loops whose checkpoints are loaded.
        store: whether to read the rows of the store, which opening it has proved.
        latency: whether to read the latency models.
    """
    said: list[str] = []
    found: dict[str, Any] = {}
    with RunDirectory.open(run, config, say=said.append) as opened:
        stored = RunDirectory.read(run)
        found |= {"config.yaml": stored.config, "env.json": stored.environment, "metrics.jsonl": stored.metrics()}
        found["result.json"] = stored.result() if stored.finished else None
        for table in (run / "latency").glob("*.json") if latency else ():
            found[f"latency/{table.name}"] = read_stored(table, LATENCY_FORMAT)
        if store:
            rows = opened.store
            found["store.sqlite"] = (rows.stages(), rows.measurements(), rows.trials(), rows.marks())
        for name in names:
            found[f"checkpoints/{name}"] = plain(opened.checkpoints(name).latest())
    return found, said


@dataclass(frozen=True)
class Subject:
    """A run that is damaged again and again.

    Args:
        whole: never changed.
        copy: what is damaged.
        config: what it was started with.
        names: of its loops.
        before: what the whole one holds.
    """

    whole: Path
    copy: Path
    config: dict[str, Any]
    names: list[str]
    before: dict[str, Any]

    def outcome(self, file: str, content: bytes) -> str:
        """How it is noticed that a file has another content: "refused", "told", or "done again" with nothing lost."""
        (self.copy / file).write_bytes(content)
        # What proves itself is not proved again for a change elsewhere: that would take most of the time.
        names = [name for name in self.names if file.startswith(f"checkpoints/{name}/")]
        proved = {"store": file in STORE_FILES, "latency": file.startswith("latency/")}
        try:
            found, said = contents(self.copy, self.config, names, **proved)
        except HwnasError as error:
            assert str(self.copy / file).removesuffix("-wal") in str(error), f"{file} is not named: {error}"
            return "refused"
        finally:
            self._restore(file)
        if not said:
            again = file == "metrics.jsonl" and self._is_done_again(content, found)
            assert again, f"a change of {file} was accepted in silence"
            return "done again"
        assert str(self.copy / file) in " ".join(said), f"{file} is not named: {said}"
        self._check_rest(file, found)
        return "told"

    def _is_done_again(self, content: bytes, found: dict[str, Any]) -> bool:
        lines, before = found["metrics.jsonl"], self.before["metrics.jsonl"]
        kept = max(mark.metrics_bytes for mark in self.before["store.sqlite"][3])
        return not found["result.json"] and len(content) >= kept and lines == before[: len(lines)]

    def _check_rest(self, file: str, found: dict[str, Any]) -> None:
        loop = Path(file).parents[1].as_posix() if file.startswith("checkpoints/") else ""
        for name, before in ((name, self.before[name]) for name in found):
            if name == loop:
                assert found[name] in (before, *self._older(name)), f"{name} is no checkpoint that was saved"
            elif name == file == "metrics.jsonl":
                assert [line for line in found[name] if line not in before] == []
            else:
                assert found[name] == before, f"{name} has changed with {file}"

    def _older(self, loop: str) -> list[Any]:
        """What may come in the place of the newest checkpoint: the one before, or nothing where there is none."""
        steps = sorted((self.whole / loop).glob("step-*"))
        if len(steps) < 2:
            return [None]
        older = self.copy.with_name("older")
        shutil.rmtree(older, ignore_errors=True)
        shutil.copytree(steps[-2], older / steps[-2].name)
        return [plain(CheckpointDirectory(older).latest())]

    def _restore(self, file: str) -> None:
        if file.startswith("checkpoints/"):
            loop = Path(file).parents[1]
            shutil.rmtree(self.copy / loop)
            shutil.copytree(self.whole / loop, self.copy / loop)
            return
        for name in STORE_FILES if file in STORE_FILES else (file,):
            (self.copy / name).unlink(missing_ok=True)
            if (self.whole / name).exists():
                shutil.copy(self.whole / name, self.copy / name)


def subject(run: Path, work: Path) -> Subject:
    """A run as it lies, finished or not, to be damaged in a copy."""
    whole, copy = Path(shutil.copytree(run, work / "whole")), work / "copy"
    config = RunDirectory.read(whole).config
    RunDirectory.open(whole, config).close()  # what a killed process left behind is tidied up
    shutil.copytree(whole, copy)
    before, said = contents(copy, config, loops(whole))
    assert said == []
    return Subject(whole, copy, config, loops(whole), before)


def cuts(content: bytes, every: int = 1) -> Iterator[bytes]:
    """A file cut off at the bytes of its last 4 kB."""
    for length in range(max(0, len(content) - TAIL_BYTES), len(content), every):
        yield content[:length]


def flips(run: Path, count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """(file, content with one bit changed): every state file is as likely as every other."""
    rng, names = random.Random(seed), state_files(run)
    for _ in range(count):
        name = rng.choice(names)
        content = bytearray((run / name).read_bytes())
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        yield name, bytes(content)
