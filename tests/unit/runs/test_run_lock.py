"""Two processes never share a run directory, and a dead one never blocks it."""

import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from boundaries import CONFIG, ENVIRONMENT

from hwnas.core.errors import RunError
from hwnas.runs.directory import RunDirectory
from hwnas.runs.lock import RunLock

HOLDER = """
import os, sys, time
from pathlib import Path
from hwnas.runs.directory import RunDirectory
run = RunDirectory.open(Path(sys.argv[1]), {"seed": 0, "search": {"steps": 100}})
if sys.argv[2] == "fork" and os.fork() == 0:
    time.sleep(600)
print(os.getpid(), flush=True)
time.sleep(600)
"""


def holder(path: Path, how: str = "alone") -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLDER, str(path), how]
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    assert int(process.stdout.readline()) == process.pid
    return process


@pytest.mark.parametrize("fresh", [True, False])
def test_a_second_process_is_refused_with_pid_and_host_of_the_first(tmp_path: Path, fresh: bool) -> None:
    with holder(tmp_path) as first:
        before = os.listdir(tmp_path)
        with pytest.raises(RunError) as refusal:
            RunDirectory.open(tmp_path, CONFIG, fresh=fresh)
        assert f"process {first.pid} on host {socket.gethostname()}" in str(refusal.value)
        assert os.listdir(tmp_path) == before
        RunDirectory.read(tmp_path)
        first.send_signal(signal.SIGKILL)
        first.wait()
        with RunDirectory.open(tmp_path, CONFIG) as run:
            assert run.resumed
            assert json.loads((tmp_path / "lock.json").read_text())["pid"] == os.getpid()


def test_a_child_that_outlives_a_killed_holder_does_not_keep_the_lock(tmp_path: Path) -> None:
    with holder(tmp_path, "fork") as first:
        try:
            first.send_signal(signal.SIGKILL)
            first.wait()
            RunDirectory.open(tmp_path, CONFIG).close()
        finally:
            os.killpg(first.pid, signal.SIGKILL)


def test_a_forked_child_that_ends_does_not_free_the_lock(tmp_path: Path) -> None:
    with RunDirectory.open(tmp_path, CONFIG):
        command = [sys.executable, "-c", "import os; os._exit(0)"]
        subprocess.run(command, check=True, close_fds=False)
        if (child := os.fork()) == 0:
            os._exit(0)
        os.waitpid(child, 0)
        with pytest.raises(RunError, match="this very process"):
            RunDirectory.open(tmp_path, CONFIG)


@pytest.mark.parametrize("content", [b"", b"garbage", b"[1]", b'{"pid": 1, "host": "elsewhere", "started": "2020"}'])
def test_a_lock_file_that_nobody_holds_is_taken_over(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "lock.json").write_bytes(content)
    with RunDirectory.open(tmp_path, CONFIG):
        assert json.loads((tmp_path / "lock.json").read_text())["pid"] == os.getpid()
    assert not (tmp_path / "lock.json").exists()


def test_a_lock_is_given_back_after_every_failure(tmp_path: Path) -> None:
    RunDirectory.open(tmp_path, CONFIG).close()
    with pytest.raises(RunError):
        RunDirectory.open(tmp_path, {"seed": 9})
    with pytest.raises(ZeroDivisionError), RunDirectory.open(tmp_path, CONFIG):
        raise ZeroDivisionError
    assert not (tmp_path / "lock.json").exists()
    RunDirectory.open(tmp_path, CONFIG).close()


@pytest.mark.parametrize("gone", [True, False])
def test_the_last_moment_of_a_dead_holder_is_waited_for_a_living_one_is_not(tmp_path: Path, monkeypatch, gone) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    holder = {"pid": ended.pid if gone else os.getpid(), "host": socket.gethostname(), "started": "2026"}
    (tmp_path / "lock.json").write_text(json.dumps(holder))
    original, tries = fcntl.flock, []

    def refuse_three_times(descriptor: int, operation: int) -> None:
        tries.append(operation)
        if len(tries) <= 3:
            raise BlockingIOError(errno.EAGAIN, "in use")
        original(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", refuse_three_times)
    if gone:
        RunLock.take(tmp_path / "lock.json").release()
    else:
        with pytest.raises(RunError, match=f"process {os.getpid()} "):
            RunLock.take(tmp_path / "lock.json")
        assert len(tries) == 1


@pytest.mark.parametrize(("code", "words"), [(errno.ENOLCK, "has no file locks"), (errno.EIO, "cannot lock")])
def test_a_file_system_without_locks_is_said(tmp_path: Path, monkeypatch, code: int, words: str) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(RunError, match=words):
        RunDirectory.open(tmp_path, CONFIG)


def test_an_unsigned_lock_is_refused_without_a_name(tmp_path: Path) -> None:
    lock = RunLock.take(tmp_path / "lock.json")
    (tmp_path / "lock.json").write_bytes(b"")
    with pytest.raises(RunError, match="in use by another process"):
        RunLock.take(tmp_path / "lock.json")
    lock.release()
    lock.release()
    RunLock.take(tmp_path / "lock.json").release()


@pytest.mark.parametrize(
    "content", [b"garbage", b"\xff" * 5000, b"[1]", b'{"pid": 1%s}' % (b"0" * 30), b'{"pid": -5}', b'{"pid": "1; x"}']
)
def test_a_lock_that_is_held_holds_whatever_became_of_its_text(tmp_path: Path, content: bytes) -> None:
    with RunDirectory.open(tmp_path, CONFIG):
        host = b', "host": "%s"}' % socket.gethostname().encode()
        (tmp_path / "lock.json").write_bytes(content.replace(b"}", host))
        with pytest.raises(RunError, match=f"{tmp_path} is in use by"):
            RunDirectory.open(tmp_path, CONFIG)
    RunDirectory.open(tmp_path, CONFIG).close()


def test_a_lock_file_removed_in_between_is_not_taken_for_the_lock(tmp_path: Path, monkeypatch) -> None:
    """Its holder may remove the file after another has opened it: a lock on that nameless file would guard nothing."""
    path = tmp_path / "lock.json"
    first = RunLock.take(path)
    original, seen = os.open, []

    def open_then_release(*args, **keywords):  # type: ignore[no-untyped-def]
        descriptor = original(*args, **keywords)
        if not seen:
            seen.append(descriptor)
            first.release()
        return descriptor

    monkeypatch.setattr(os, "open", open_then_release)
    second = RunLock.take(path)
    assert path.exists()
    with pytest.raises(RunError):
        RunLock.take(path)
    second.release()
