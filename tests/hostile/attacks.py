"""What an attack is: something built in a directory, a command, and how the command must end.

Every attack may have a canary, a file that the payload makes if it ever runs, and has victims: files outside the
directory that no command may change, and secrets in them that no command may show.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

OLD_RUNS = Path(__file__).parents[1] / "old_runs"
SECRET = "secret-7f3a91c4"
FIT = ("fit", "--budget", "1ms", "--out", "new", "--data")
REFUSED = (2,)


@dataclass(frozen=True)
class Scene:
    """Where an attack is built.

    Args:
        at: the working directory of the command.
        outside: the victims'.
        canary: must never be there.
    """

    at: Path
    outside: Path
    canary: Path

    @property
    def shell(self) -> str:
        """What a payload runs."""
        return f"touch {self.canary}"

    @property
    def bomb(self) -> Bomb:
        """What runs it when it is unpickled."""
        return Bomb(self.shell)

    def run(self, name: str = "run", version: int = 2) -> Path:
        """A finished run in the working directory."""
        return Path(shutil.copytree(OLD_RUNS / f"format-{version}", self.at / name))


class Bomb:
    """Unpickled, it is a command of the shell that has run."""

    def __init__(self, command: str) -> None:
        self._command = command

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (self._command,)


@dataclass(frozen=True)
class Attack:
    """One case.

    Args:
        build: makes it.
        arguments: of hwnas.
        words: of the message; a sentence that names what is wrong.
        codes: of exit that are right.
        cache: set HWNAS_CACHE to the directory "cache" of the scene.
        slow: left to the long form.
    """

    build: Callable[[Scene], object]
    arguments: tuple[str, ...]
    words: str
    codes: tuple[int, ...]
    cache: bool
    slow: bool

    @property
    def name(self) -> str:
        return self.build.__name__


ATTACKS: dict[str, Attack] = {}
Build = Callable[[Scene], object]


def attack(
    *arguments: str, words: str, codes: tuple[int, ...] = REFUSED, cache: bool = False, slow: bool = False
) -> Callable[[Build], Build]:
    """Puts what the function builds into the list."""

    def listed(build: Build) -> Build:
        found = Attack(build, arguments, words, codes, cache, slow)
        if found.name in ATTACKS:
            raise ValueError(f"two attacks are called {found.name}")
        ATTACKS[found.name] = found
        return build

    return listed


def victims(outside: Path) -> None:
    """Files that belong to somebody else."""
    outside.mkdir(parents=True)
    (outside / "secret.txt").write_text(f"{SECRET}: [not, yaml\nroot:x:0:0\n{SECRET}\n")
    (outside / "secret.json").write_text(f'{{"{SECRET}": "{SECRET}"}}')
    (outside / "secret.bin").write_bytes(SECRET.encode() * 4096)
    (outside / "network.json").write_text(f'{{"format": "{SECRET}"}}')
    (outside / "onnxruntime-f32.json").write_text(f'{{"{SECRET}": 1}}')
    for name in ("model.onnx", "weights.safetensors", "network.py", "architecture.json", "metrics.jsonl"):
        (outside / name).write_text(SECRET)
    (outside / "step-00000001").mkdir()
    (outside / "step-00000001" / "state.json").write_text(SECRET)
