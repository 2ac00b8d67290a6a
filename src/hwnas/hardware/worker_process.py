"""Starts the measuring process, asks it one thing, and brings its answer or its error back."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from hwnas.core.errors import (
    EvaluationFailed,
    HwnasError,
    ModelRefused,
    OutOfMemory,
    ProcessLost,
    RunError,
    TargetUnavailable,
)
from hwnas.hardware.engines import parse
from hwnas.hardware.model_files import ModelFile

# -P: what lies in the working directory, such as somebody's numpy.py, is not imported.
WORKER = (sys.executable, "-P", "-m", "hwnas.hardware.worker")
_LISTED = 3  # files that a message names
_OWN_ERRORS: dict[str, type[HwnasError]] = {
    kind.__name__: kind for kind in (TargetUnavailable, ModelRefused, OutOfMemory)
}


@final
@dataclass(frozen=True, slots=True)
class WorkerProcess:
    """A process of its own for every request, pinned to as many cores as the target has threads, where that is allowed.

    Args:
        timeout_s: one that lasts longer is stopped.
        command: starts it.
    """

    timeout_s: float = 600.0
    command: tuple[str, ...] = WORKER

    def ask(self, task: str, target: str, models: Mapping[str, ModelFile], **details: Any) -> Any:
        """One answer.

        Args:
            task: "time", "profile", "weigh" or "try".
            target: by name.
            models: files that are needed for it.
            details: what else the task needs, as plain values.

        Raises:
            EvaluationFailed: the process crashed, hung or did not answer.
            ModelRefused: the engine refuses a file.
            OutOfMemory: memory ran out.
            TargetUnavailable: the engine cannot be used here.
            RunError: there is no room for the files.
        """
        with contextlib.ExitStack() as removed:
            paths = _written(models, removed)
            request = {
                "task": task,
                "target": target,
                "threads": parse(target)[1].threads,
                "models": [
                    {"name": name, "path": str(paths[name]), "input_shape": list(model.input_shape)}
                    for name, model in models.items()
                ],
                **details,
            }
            answer = self._answer(target, json.dumps(request), _listed(models))
        if isinstance(answer, dict) and "error" in answer:
            raise _OWN_ERRORS.get(answer.get("kind", ""), EvaluationFailed)(answer["error"])
        return answer

    def _answer(self, target: str, request: str, files: str) -> Any:
        try:
            done = subprocess.run(
                self.command, input=request, capture_output=True, text=True, timeout=self.timeout_s, check=False
            )
        except subprocess.TimeoutExpired:
            raise EvaluationFailed(
                f"measuring on {target!r} did not end within {self.timeout_s:g} s and was stopped: "
                "is the machine overloaded, or a network far too large?"
            ) from None
        if done.returncode != 0:
            raise _crash(f"measuring {files} on {target!r}", done.returncode, done.stderr)
        try:
            return json.loads(done.stdout)
        except json.JSONDecodeError as reason:
            raise EvaluationFailed(f"measuring on {target!r} gave an answer that is no JSON: {reason}") from None


def _listed(models: Mapping[str, ModelFile]) -> str:
    """The files of a session for messages, the largest first."""
    names = sorted(models, key=lambda name: -len(models[name].content))
    said = [f"{name} ({len(models[name].content):,} bytes)" for name in names[:_LISTED]]
    return ", ".join(said + ([f"{len(names) - _LISTED} more files"] if len(names) > _LISTED else []))


def _crash(what: str, status: int, said: str) -> EvaluationFailed:
    """Why a worker ended without an answer; whoever is killed without a word was most often in the way of others."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    last = lines[-1] if lines else "it said nothing"
    if status == -signal.SIGKILL:
        return OutOfMemory(
            f"{what}: its process was killed, probably by the system because memory ran out; end other programs or "
            "search smaller networks, then run the same command again"
        )
    if status < 0:
        return ProcessLost(f"{what}: its process was ended by {signal.Signals(-status).name} ({last})")
    return EvaluationFailed(f"{what} ended with status {status}: {last}")


def _written(models: Mapping[str, ModelFile], removed: contextlib.ExitStack) -> dict[str, Path]:
    """Where the files lie until the stack is closed.

    Raises:
        RunError: there is no room for them.
    """
    paths = {name: f"{index}.model" for index, name in enumerate(models)}
    try:
        folder = Path(removed.enter_context(tempfile.TemporaryDirectory(prefix="hwnas-")))
        for name, model in models.items():
            (folder / paths[name]).write_bytes(model.content)
    except OSError as reason:
        needed = sum(len(model.content) for model in models.values())
        where = f" {reason.filename}" if reason.filename else ""
        raise RunError(
            f"the files to be measured cannot be written{where}: {reason.strerror or reason}, {needed:,} bytes are "
            "needed; free some, or set TMPDIR to a directory on another disk, and run the same command again"
        ) from reason
    return {name: folder / file for name, file in paths.items()}
