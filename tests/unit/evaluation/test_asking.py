"""Questions for several processes: every answer comes once, and a child that fails is named with its reason."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from hwnas.core.errors import EvaluationFailed, InputError, ProcessLost
from hwnas.evaluation.asking import answers

CHILD = """
import os, socket, time
from hwnas.evaluation.channel import Channel
channel = Channel(socket.socket(fileno=0))
opening = channel.receive().facts
try:
    while True:
        asked = channel.receive().facts
        match asked.get("do"):
            case "die":
                print("out of luck", flush=True)
                os._exit(7)
            case "kill":
                os.kill(os.getpid(), 9)
            case "fail":
                channel.send({"error": "no such thing", "kind": asked["kind"]})
            case "hang":
                time.sleep(60)
            case _:
                channel.send({"at": 1})
                channel.send({"sum": opening["plus"] + asked["number"], "threads": os.environ["OMP_NUM_THREADS"]})
except EOFError:
    pass
"""
COMMAND = (sys.executable, "-P", "-c", CHILD)


def ask(*questions: dict[str, Any], processes: int = 2, patience_s: float = 60) -> dict[int, Any]:
    found: dict[int, Any] = {}
    for number, said in answers(COMMAND, {"plus": 10}, questions, processes, patience_s):
        if "at" not in said:
            assert number not in found
            found[number] = said["sum"], said["threads"]
    return found


@pytest.mark.parametrize("processes", [1, 3, 50])
def test_every_question_is_answered_once(processes: int) -> None:
    found = ask(*({"number": number} for number in range(7)), processes=processes)
    assert found == {number: (10 + number, "1") for number in range(7)}


def test_nothing_is_asked_of_nobody() -> None:
    assert ask() == {}


@pytest.mark.parametrize(
    ("question", "error", "said"),
    [
        ({"do": "die"}, ProcessLost, "ended with status 7 .out of luck.*run the same command again"),
        ({"do": "kill"}, ProcessLost, "was ended by SIGKILL .it said nothing"),
        ({"do": "fail", "kind": "InputError"}, InputError, "no such thing"),
        ({"do": "fail", "kind": "Exception"}, EvaluationFailed, "no such thing"),
    ],
)
def test_how_a_child_ends_is_said(question: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        ask({"number": 1}, question, {"number": 2})


def test_children_that_hang_are_stopped() -> None:
    with pytest.raises(ProcessLost, match="not said a word"):
        ask({"do": "hang"}, patience_s=1.5)


def test_a_command_that_is_none() -> None:
    with pytest.raises(ProcessLost, match="ended with status 3"):
        list(answers((sys.executable, "-c", "raise SystemExit(3)"), {}, [{"number": 1}], 1))
