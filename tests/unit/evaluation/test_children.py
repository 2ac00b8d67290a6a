"""Networks trained alone in processes that really crash, hang and run out of memory."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from PIL import Image

from hwnas.compose import toy_data
from hwnas.core.errors import DataError, EvaluationFailed, OutOfMemory, ProcessLost
from hwnas.core.protocols import Checkpoints, NoCheckpoints, Silence
from hwnas.core.seeds import seed_for
from hwnas.data.decode import PixelFormat
from hwnas.data.handover import handed_over, taken_over
from hwnas.data.images import FolderSplit, ImageData, MemorySplit
from hwnas.evaluation import trained_alone
from hwnas.evaluation.isolated import Training, train_in_child
from hwnas.evaluation.standalone import score
from hwnas.evaluation.trained_alone import TrainedAlone
from hwnas.nn.build import build, initialise
from hwnas.runs.checkpoints import CheckpointDirectory
from hwnas.runs.store import RunStore
from hwnas.spaces.toy import ToySpace
from hwnas.training.device import TrainingDevice
from hwnas.training.fit import train
from hwnas.training.recipe import Recipe
from hwnas.workflows.remembered import Remembered, failures, remarks

SPACE, CPU = ToySpace(), TrainingDevice("cpu")
ARCH = SPACE.optimum
RECIPE, STEPS = Recipe(batch_size=32, average_share=0.0), 12
DATA = toy_data()
# A child that does something after step 5, as long as a file is not there.
FAULTY = """
import os, resource, signal, sys, subprocess, time
from pathlib import Path
import torch
from hwnas.evaluation import child
from hwnas.training.loop import Loop
finish = Loop.finish
def finish_and(loop, step, losses, *rest):
    finish(loop, step, losses, *rest)
    once = Path(sys.argv[1])
    if step == 5 and not once.exists():
        FAULT
Loop.finish = finish_and
child.main()
"""


class Told(Silence):
    """A Progress that keeps what is said, and can ask to leave."""

    def __init__(self, leave: BaseException | None = None) -> None:
        self.said: list[str] = []
        self._leave = leave

    def say(self, text: str) -> None:
        self.said.append(text)

    def advance(self, done: int, facts: Mapping[str, Any]) -> None:
        if self._leave:
            raise self._leave


def faulty(fault: str, once: Path | str = "/nowhere") -> tuple[str, ...]:
    return sys.executable, "-c", FAULTY.replace("FAULT", fault), str(once)


def training(**changes: Any) -> Training:
    whole = Training(
        SPACE.decode(ARCH), RECIPE, STEPS, 0, seed_for(0, "initial weights", ARCH.id), f"alone/{ARCH.id}", CPU,
        torch.get_num_threads(),
    )  # fmt: skip
    return replace(whole, **changes)


def kept_below(directory: Path) -> Callable[[str], Checkpoints]:
    return lambda name: CheckpointDirectory(directory / name, every=4)


def evaluator(told: Told, checkpoints: Callable[[str], Checkpoints], command: tuple[str, ...]) -> TrainedAlone:
    return TrainedAlone(
        SPACE, DATA, RECIPE, steps=STEPS, seed=0, device=CPU, checkpoints=checkpoints, progress=told, command=command
    )


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trained_alone, "RETRIES_AFTER_S", (0.0, 0.0))


@pytest.fixture(scope="module")
def in_this_process() -> Any:
    network = build(training().network)
    initialise(network, training().initial_seed)
    trained = train(
        network, DATA, RECIPE, steps=STEPS, seed=0, purpose=training().purpose, device=CPU,
        checkpoints=NoCheckpoints(), progress=Silence(),
    )  # fmt: skip
    return score(trained.network, DATA, DATA.search, CPU).quality


def test_a_crash_is_followed_by_another_process_that_ends_with_the_same_bits(
    tmp_path: Path, in_this_process: Any
) -> None:
    told, once = Told(), tmp_path / "once"
    crash = faulty("once.touch(); os.kill(os.getpid(), signal.SIGSEGV)", once)
    found = evaluator(told, kept_below(tmp_path), crash).evaluate(ARCH)
    assert found == in_this_process
    assert told.said == [
        f"alone/{ARCH.id}: its process was ended by SIGSEGV (it said nothing): another one goes on from its last "
        "checkpoint in 0 s"
    ]


def test_three_crashes_are_the_end_of_an_architecture_and_not_of_the_search() -> None:
    told = Told()
    with pytest.raises(ProcessLost, match="SIGABRT"):
        evaluator(told, lambda name: NoCheckpoints(), faulty("os.abort()")).evaluate(ARCH)
    assert len(told.said) == 2


def test_what_fails_in_itself_is_not_tried_again() -> None:
    told = Told()
    with pytest.raises(EvaluationFailed, match="ended with status 1: ZeroDivisionError") as raised:
        evaluator(told, lambda name: NoCheckpoints(), faulty("1 / 0")).evaluate(ARCH)
    assert raised.value.status == "FAILED" and told.said == []


def test_a_process_that_hangs_is_stopped_with_all_that_it_has_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    start = "pid = subprocess.Popen(['sleep', '600']).pid; once.write_text(f'{os.getpid()} {pid}'); time.sleep(600)"
    with pytest.raises(ProcessLost, match="finished no step in 10 s"):
        train_in_child(training(), DATA, NoCheckpoints(), Silence(), patience_s=10.0, command=faulty(start, pids))
    assert [pid for pid in map(int, pids.read_text().split()) if alive(pid)] == []


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of address space are Linux's")
def test_out_of_memory_is_tried_once_with_half_the_images_and_then_infeasible(tmp_path: Path) -> None:
    """One gigabyte is asked for where half of one is left: in the first training only, then in both."""
    scarce = (
        'here = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize(); '
        "resource.setrlimit(resource.RLIMIT_AS, (here + 2**29, here + 2**29)); torch.ones(2**28)"
    )
    told, store = Told(), RunStore(tmp_path / "store.sqlite")
    with store:
        enough = evaluator(told, kept_below(tmp_path / "a"), faulty(f"once.touch(); {scarce}", tmp_path / "once"))
        found = Remembered(enough, store, "trained-alone").evaluate(ARCH)
        assert found.remark == "trained with 16 images a step instead of 32: memory had run out"
        assert [text.split(" (")[0].split(";")[0] for text in told.said] == [
            f"alone/{ARCH.id}: out of memory with 32 images a step"
        ]
        assert remarks(store) == [{"architecture_id": ARCH.id, "source": "trained-alone", "remark": found.remark}]

        never = Remembered(evaluator(told, kept_below(tmp_path / "b"), faulty(scarce)), store, "never enough")
        for _ in range(2):  # the second time it is remembered
            with pytest.raises(EvaluationFailed, match="out of memory with 16 images"):
                never.evaluate(ARCH)
        assert [row["status"] for row in failures(store)] == ["INFEASIBLE(oom)"]


def test_a_process_that_the_system_kills_is_one_that_ran_out_of_memory() -> None:
    with pytest.raises(OutOfMemory, match="its process ran out of memory with 32 images a step"):
        train_in_child(
            training(), DATA, NoCheckpoints(), Silence(), command=faulty("os.kill(os.getpid(), signal.SIGKILL)")
        )


def test_a_run_that_is_asked_to_stop_leaves_with_the_state_saved_and_no_process(
    tmp_path: Path, in_this_process: Any
) -> None:
    class Asked(NoCheckpoints):
        """Due after step 7: as if asked to stop in that moment."""

        def __init__(self, kept: Checkpoints) -> None:
            self.latest, self.save = kept.latest, kept.save  # type: ignore[method-assign]

        def due(self, step: int) -> bool:
            return step == 7

    kept = CheckpointDirectory(tmp_path / "kept")
    before = set(psutil.Process().children(recursive=True))
    with pytest.raises(KeyboardInterrupt):
        train_in_child(training(), DATA, Asked(kept), Told(KeyboardInterrupt()))
    assert set(psutil.Process().children(recursive=True)) <= before
    saved = kept.latest()
    assert saved is not None and saved.step == 7
    assert train_in_child(training(), DATA, kept, Silence()) == in_this_process


PARENT = """
import sys
sys.path.insert(0, {tests!r})
from test_children import DATA, NoCheckpoints, Silence, train_in_child, training
class Telling(Silence):
    def stage(self, name, total, done=0):
        import psutil
        print(psutil.Process().children()[0].pid, flush=True)
train_in_child(training(steps=10**6), DATA, NoCheckpoints(), Telling())
"""


def test_a_process_whose_parent_is_killed_ends_by_itself() -> None:
    program = PARENT.format(tests=str(Path(__file__).parent))
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert alive(child)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        deadline = time.monotonic() + 60
        while alive(child) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not alive(child)


def folder_data(tmp_path: Path) -> ImageData:
    rng = np.random.default_rng(0)
    for number in range(40):
        Image.fromarray(rng.integers(0, 255, (4, 32), np.uint8)).save(tmp_path / f"{number}.png")
    files = tuple(f"{number}.png" for number in range(40))
    split = FolderSplit(tmp_path, files, torch.arange(40) % 4, PixelFormat(1, 4))
    return replace(DATA, train=split, search=split)


def test_images_arrive_in_another_process_as_they_were_and_the_test_split_does_not(tmp_path: Path) -> None:
    for data in (DATA, folder_data(tmp_path)):
        found = taken_over(*handed_over(data))
        assert replace(found, train=data.train, search=data.search, test=data.test) == data
        for name in ("train", "search"):
            before, after = getattr(data, name), getattr(found, name)
            assert type(before) is type(after) and torch.equal(before.labels, after.labels)
            if isinstance(before, MemorySplit):
                assert torch.equal(before.images, after.images)
                assert after.images.stride() == before.images.stride()
            else:
                assert (before.root, before.files, before.pixels) == (after.root, after.files, after.pixels)
        assert len(found.test) == 0


def test_an_image_that_cannot_be_read_is_named_by_its_own_error(tmp_path: Path) -> None:
    data = folder_data(tmp_path)
    (tmp_path / "7.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"7\.png"):
        train_in_child(training(), data, NoCheckpoints(), Silence())
