"""What a stage cost, and what a result depends on."""

import json
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import hwnas
from hwnas.runs import provenance
from hwnas.runs.clock import Spent, Stopwatch
from hwnas.runs.provenance import environment

BURN = "import time\nwhile time.process_time() < 0.25: pass\n"


def test_time_of_this_process_is_counted() -> None:
    watch = Stopwatch()
    start = time.process_time()
    while time.process_time() - start < 0.1:
        pass
    spent = watch.spent()
    assert spent.cpu_seconds >= 0.1
    assert spent.wall_seconds >= 0.1 * 0.99


def test_time_asleep_is_wall_time_only() -> None:
    watch = Stopwatch()
    time.sleep(0.2)
    spent = watch.spent()
    assert spent.wall_seconds >= 0.2
    assert spent.cpu_seconds < spent.wall_seconds


def test_children_are_counted_once_while_they_live_and_after() -> None:
    watch = Stopwatch()
    command = [sys.executable, "-c", BURN + "print(flush=True)\ninput()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        alive = watch.spent().cpu_seconds
        child.communicate(b"\n")
    ended = watch.spent().cpu_seconds
    assert alive >= 0.2
    assert alive - 0.05 <= ended < 2 * alive


def test_what_a_run_used_before_it_was_cut_off_is_added() -> None:
    spent = Stopwatch(Spent(100.0, 200.0)).spent()
    assert 100.0 <= spent.cpu_seconds < 110.0
    assert 200.0 <= spent.wall_seconds < 260.0


def test_a_clock_that_is_set_does_not_touch_it(monkeypatch) -> None:
    watch = Stopwatch()
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert 0.0 <= watch.spent().wall_seconds < 60.0


def test_the_environment_is_plain_json_and_names_what_matters() -> None:
    facts = environment()
    assert json.loads(json.dumps(facts)) == facts
    assert facts["packages"]["numpy"] and facts["packages"]["torch"]
    assert facts["cpu"] and facts["cores"] >= facts["cores_usable"] >= 1 and facts["memory_bytes"] > 2**20
    assert facts["git_commit"] is None or re.fullmatch("[0-9a-f]{40,64}", facts["git_commit"])
    assert facts == environment()


def test_the_machines_name_is_not_in_it(monkeypatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "secret-host")
    monkeypatch.setenv("HOSTNAME", "secret-host")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    facts = environment()
    assert "secret-host" not in json.dumps(facts)
    assert facts["variables"]["OMP_NUM_THREADS"] == "3"


def test_the_commit_is_that_of_the_directory_and_none_elsewhere(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert environment()["git_commit"] is None
    for arguments in (
        ["init", "-q"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "x"],
    ):
        subprocess.run(["git", *arguments], check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    assert environment()["git_commit"] == head


def test_without_git_or_with_one_that_hangs_there_is_no_commit(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert environment()["git_commit"] is None
    (tmp_path / "git").write_text(f"#!{sys.executable}\nimport time\ntime.sleep(60)\n")
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setattr(provenance, "_GIT_TIMEOUT_SECONDS", 0.2)
    assert environment()["git_commit"] is None


def test_the_room_imports_no_torch() -> None:
    room = Path(hwnas.__file__).parent / "runs"
    modules = ", ".join(f"hwnas.runs.{file.stem}" for file in room.glob("*.py") if file.stem != "__init__")
    code = f"import sys, {modules}\nhwnas.runs.provenance.environment()\nprint(*sys.modules)"
    path = str(Path(hwnas.__file__).parents[1])
    answer = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    loaded = set(answer.stdout.split())
    assert "hwnas.runs.store" in loaded
    assert not loaded & {"torch", "onnx", "onnxruntime", "scipy", "sklearn", "timm", "matplotlib"}
