"""Nothing that hwnas does needs the network or tries it.

Every command in this directory is held to that, and so are the real runs of the integration tests.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from attacks import Scene
from processes import Asked, environment


def test_what_follows_a_fit_works_without_a_network(ask: Asked, scene: Scene) -> None:
    scene.run()
    for command in (("report", "run"), ("describe", "run"), ("export", "run", "--out", "new"), ("list", "data")):
        assert ask(command, scene.at)["code"] == 0
    missing = ask(("fit", "--data", "mnist", "--budget", "1ms", "--out", "other"), scene.at)
    assert missing["code"] == 2 and "--download" in missing["err"]


def test_no_engine_tries_it(tmp_path: Path) -> None:
    """Some of their libraries would, when they are imported."""
    program = (
        "import time\n"
        "from hwnas.core.errors import TargetUnavailable\n"
        "from hwnas.hardware.engines import ENGINES, open_engine\n"
        "from hwnas.hardware.model_files import untrained\n"
        "from hwnas.workflows.doctor import TINY\n"
        "for name in ENGINES:\n"
        "    try:\n"
        "        engine = open_engine(name)\n"
        "    except TargetUnavailable:\n"
        "        continue\n"
        "    engine.load(untrained(TINY, engine).content, TINY.input_shape)()\n"
        "time.sleep(0.5)  # those who try do it in a thread\n"
    )
    log = tmp_path / "log"
    subprocess.run([sys.executable, "-c", program], env=environment(log), capture_output=True, check=True)
    assert not log.exists(), log.read_text()


def test_who_tries_the_network_is_seen(tmp_path: Path) -> None:
    program = "import socket; socket.create_connection(('localhost', 9))"
    log = tmp_path / "log"
    done = subprocess.run([sys.executable, "-c", program], env=environment(log), capture_output=True, check=False)
    assert done.returncode != 0 and "socket.getaddrinfo" in log.read_text()


@pytest.mark.slow
def test_a_download_that_was_asked_for_is_what_tries_it(scene: Scene) -> None:
    log = scene.at.parent / "log"
    command = ["fit", "--data", "mnist", "--download", "--budget", "1ms", "--out", "new"]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "hwnas", *command], env=environment(log), cwd=scene.at, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2 and "could not be downloaded" in done.stderr and "Traceback" not in done.stderr
    assert "socket.getaddrinfo" in log.read_text()
