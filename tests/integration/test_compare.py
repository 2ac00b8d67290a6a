"""`hwnas compare` for real, on a made-up table: resumed, killed, in several processes, refused."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from real_runs import ENVIRONMENT, start
from refusals import Refused
from watching import kill, wait_until

import hwnas
from hwnas.compose.comparisons import strategy_settings, table_problem
from hwnas.compose.controllers import CONTROLLERS
from hwnas.core.errors import FileFormatError, ProcessLost, RunError
from hwnas.core.protocols import Silence
from hwnas.runs.files import plain_json, read_sealed_json, write_sealed_json
from made_up_table import made_up

Said = Callable[..., str]
TIMES = ("command", "compute")
CHILD = "hwnas.compose.table_child"
TASK = ("--strategies", "random,evolution", "--seeds", "10", "--evaluations", "120", "--limit", "macs=40.5M")


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("table") / "macro.json"
    path.write_text(json.dumps(made_up()))
    return path


@pytest.fixture(scope="session")
def whole(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A comparison that nothing has interrupted, in two processes."""
    out = tmp_path_factory.mktemp("whole") / "run"
    hwnas.compare(
        f"table:{table}", ["random", "evolution"], seeds=10, evaluations=120, limits=["macs=40.5M"], out=out,
        processes=2,
    )  # fmt: skip
    return out


def found(out: Path) -> bytes:
    """What comparison.json holds besides times and the command, as text."""
    data = read_sealed_json(out / "comparison.json")
    assert data["command"] and data["compute"]
    return json.dumps({name: value for name, value in data.items() if name not in TIMES}).encode()


def rows(out: Path) -> list[tuple[Any, ...]]:
    """The searches that are kept, with their checksums; none while the store is being made."""
    with contextlib.suppress(sqlite3.Error):
        with contextlib.closing(sqlite3.connect(f"file:{out / 'store.sqlite'}?mode=ro", uri=True)) as store:
            return list(store.execute("SELECT name, result, sha256 FROM stages ORDER BY id"))
    return []


def children(process: subprocess.Popen[str]) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        return [one for one in psutil.Process(process.pid).children() if CHILD in one.cmdline()]
    return []


def gone(processes: list[psutil.Process]) -> bool:
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        if not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in processes):
            return True
        time.sleep(0.05)
    return False


def test_the_command_says_who_is_better_and_how_surely(table: Path, whole: Path, tmp_path: Path, said: Said) -> None:
    out = tmp_path / "run"
    printed = said("compare", "--evaluator", f"table:{table}", *TASK, "--out", str(out), "--quiet")
    assert printed.splitlines()[0].split()[:3] == ["strategy", "accuracy,", "%"]
    assert "evolution is better than random by" in printed and str(out / "report.html") in printed
    assert found(out) == found(whole)  # one process and two find the same
    page = (out / "report.html").read_text()
    assert "evolution found the best" in page and "polyline" in page
    kept, first = rows(out), read_sealed_json(out / "comparison.json")
    again = json.loads(said("compare", "--evaluator", f"table:{table}", *TASK, "--out", str(out), "--json"))
    assert rows(out) == kept and len(kept) == 20  # nothing was done again, so even the times are the same
    assert again["compute"] == first["compute"] and again["searches"] == first["searches"]
    (out / "report.html").unlink()
    assert said("report", str(out)).strip() == str(out / "report.html")
    assert (out / "report.html").read_text().count("<polyline") == page.count("<polyline")


def test_every_search_has_equal_cost_and_the_regret_is_that_of_search_table(table: Path, whole: Path) -> None:
    data = read_sealed_json(whole / "comparison.json")
    alone = hwnas.search_table(table, strategy="evolution", evaluations=120, limits=["macs=40.5M"], seeds=10).to_json()
    ours = [row for row in data["searches"] if row["strategy"] == "evolution"]
    assert len(data["searches"]) == 20 and [row["seed"] for row in ours] == list(range(10))
    for row, other in zip(ours, alone["searches"], strict=True):
        assert row["evaluations"] == other["evaluations"] <= 120 and row["proposals"] == other["proposals"]
        assert row["best"]["accuracy"] == other["best"]["accuracy"] == row["course"][-1]
        assert row["best"]["costs"]["macs"] <= 40.5e6
    final = data["strategies"][1]["final"]
    assert final["regret"]["mean"] == pytest.approx(sum(one["regret"] for one in alone["searches"]) / 10)
    assert data["optimum"]["accuracy"] == alone["optimum"]["accuracy"]


def test_after_every_kind_of_end_it_becomes_the_uninterrupted_one(table: Path, whole: Path, tmp_path: Path) -> None:
    """Ctrl-C, a kill of the whole and one of a searching process; what had ended is kept as it was, times and all."""
    out = tmp_path / "run"
    command = ("compare", "--evaluator", f"table:{table}", *TASK, "--out", str(out))
    kept: list[tuple[Any, ...]] = []
    for end, more in (("ctrl-c", ("--fresh", "--processes", "2")), ("kill", ()), ("child", ())):
        process = start(*command, *more)
        least = len(kept) + 3
        wait_until(lambda p=process, n=least: len(rows(out)) >= n and children(p), process)
        searching = children(process)
        if end == "kill":
            kill(process)
        else:
            process.send_signal(signal.SIGINT) if end == "ctrl-c" else searching[0].kill()
            _, err = process.communicate(timeout=60)
            last = err.strip().splitlines()[-1]
            code, words = (130, "interrupted. To go on: hwnas compare --evaluator table:") if end == "ctrl-c" else (
                ProcessLost.exit_code, "a searching process was ended by SIGKILL")  # fmt: skip
            assert process.returncode == code and last.startswith(f"error: {words}"), err
            assert "--fresh" not in last and "Traceback" not in err and not (out / "lock.json").exists()
        assert gone(searching)
        before, kept = kept, rows(out)
        assert kept[: len(before)] == before and len(before) + 3 <= len(kept) < 20
        assert not (out / "comparison.json").exists()
    done = start(*command)
    _, err = done.communicate(timeout=120)
    assert done.returncode == 0 and f"{len(kept)} of 20 searches were done before" in err
    assert rows(out)[: len(kept)] == kept and found(out) == found(whole)


def test_other_settings_are_refused_on_the_same_directory(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    task: dict[str, Any] = {"strategies": ["random"], "seeds": 2, "evaluations": 10, "out": out}
    first = hwnas.compare(f"table:{table}", **task)
    assert "nothing to be compared with" in first.verdicts[0]
    for change, words in (
        ({"evaluations": 11}, "evaluations: 10 -> 11"), ({"seeds": 3}, "seeds: 2 -> 3"),
        ({"strategies": ["random", "evolution"]}, "strategies.evolution"), ({"limits": ["macs=60M"]}, "limits.macs"),
        ({"reward": "proxyless-r", "limits": ["macs=60M"]}, "reward: 'hard-limit' -> 'proxyless-r'"),
    ):  # fmt: skip
        with pytest.raises(RunError, match=f"other settings.*{words}.*--fresh"):
            hwnas.compare(f"table:{table}", **{**task, **change})
    other = made_up()
    other["00000000"] |= {"test_acc": [1.0] * 3, "mean_acc": 1.0}
    (tmp_path / "other.json").write_text(json.dumps(other))
    with pytest.raises(RunError, match="table_sha256"):
        hwnas.compare(f"table:{tmp_path / 'other.json'}", **task)
    with pytest.raises(RunError, match="other settings"):
        hwnas.fit("toy", budget="90%", out=out)
    fresh = hwnas.compare(f"table:{table}", **{**task, "seeds": 1}, fresh=True)
    assert len(fresh.attempts) == 1 and fresh.result["command"].startswith("hwnas.compare(evaluator='table:")


def test_a_reward_is_compared_by_its_score(table: Path, tmp_path: Path) -> None:
    compared = hwnas.compare(
        f"table:{table}", ["random", "evolution"], seeds=6, evaluations=20, limits=["macs=60M"],
        reward="tunas-absolute", out=tmp_path / "run", progress=Silence(),
    )  # fmt: skip
    assert compared.result["figure"] == "score"
    assert compared.result["optimum"]["costs"]["macs"] == pytest.approx(60e6, rel=0.25)
    for one in compared.attempts:
        assert one.course[-1].score == pytest.approx(
            one.course[-1].accuracy - 0.1 * abs(one.course[-1].costs["macs"] / 60e6 - 1)
        )
    assert (
        "points of score" in compared.verdicts[0] and "best score × 100" in (compared.run / "report.html").read_text()
    )


def test_what_cannot_be_is_refused_by_a_sentence(table: Path, here: Path, refused: Refused, whole: Path) -> None:
    on = ("compare", "--out", "new", "--evaluator")
    known = (*on, f"table:{table}")
    (here / "broken.json").write_text("{}")
    os.mkfifo(here / "pipe.json")
    refused(*known, "--strategies", "random,evolutoin", words="did you mean 'evolution'")
    refused(*known, "--strategies", "random,random", words="'random' is given twice")
    refused(*known, "--strategies", "", words="unknown strategy ''")
    refused(*on, "tabel:x", words=("unknown evaluator 'tabel:x'", "table:PATH"))
    refused(*on, "table:", words="unknown evaluator")
    refused(*on, "table:nothing.json", words="no file nothing.json")
    refused(*on, "table:broken.json", words="broken.json")
    refused(*on, "table:pipe.json", words="is not a file")
    refused(*on, "table:" + "x" * 300, words="--evaluator")
    refused(*known, "--limit", "params=1M", words="macs alone")
    refused(*known, "--limit", "macs=1k", words="the smallest one has", code=3)
    refused(*known, "--reward", "tunas", words="tunas-absolute")
    refused(*known, "--reward", "tunas-absolute", words="needs a target")
    refused(*known, "--reward", "front", words="no best one")
    refused(*known, "--seeds", "0", words="--seeds must be from 1 to 500")
    refused(*known, "--seed", "-1", words="--seed")
    refused(*known, "--processes", "0", words="--processes")
    refused(*known, "--evaluations", "0", words="--evaluations")
    refused("compare", "--evaluator", f"table:{table}", words="'--out'")
    refused(*known, "--budget", "1ms", words=("budget: a table trains and times nothing", "leave that out"))
    refused("compare", "--out", "new", words=("'budget' is missing", "--budget 1.5ms"))
    images = ("compare", "--out", "new", "--data", "toy", "--budget", "80%")
    refused(*images, "--processes", "2", words="--at-once 2")
    refused(*images, "--strategies", "random,proxyless-g", words="compare random, evolution, guided, mnasnet")
    refused(*images, "--strategies", "random,mnasnte", words="did you mean 'mnasnet'")
    refused(*images, "--target", "pixel", words="pixel")
    refused(*images[:-1], "fast", words="budget 'fast'")
    refused("compare", "--out", "new", "--data", "nothing", "--budget", "1ms", words="nothing")
    refused("report", str(whole), str(whole), "--out", "both.html", words="is a comparison")
    (here / "mine.txt").write_text("mine")
    refused("compare", "--evaluator", f"table:{table}", "--out", ".", words="not empty and not a run")


def test_a_table_that_changes_under_a_search_ends_it(table: Path) -> None:
    problem = table_problem(f"table:{table}", {}, "hard-limit", 5)
    assert len(problem.open().accuracies) == 3969
    with pytest.raises(FileFormatError, match="was changed while it was searched"):
        replace(problem, sha256="0" * 64).open()


def test_what_strategies_are_made_with_is_part_of_the_settings() -> None:
    settings = strategy_settings(list(CONTROLLERS))
    assert settings["evolution"]["population"] > 1 and settings["random"] == {}
    assert plain_json(settings, "settings") == settings


def test_a_damaged_or_newer_comparison_is_named(whole: Path, tmp_path: Path, here: Path, refused: Refused) -> None:
    copy = here / "copy"
    copy.mkdir()
    for name in ("comparison.json", "config.yaml", "env.json"):
        (copy / name).write_bytes((whole / name).read_bytes())
    data = read_sealed_json(copy / "comparison.json")
    (copy / "comparison.json").write_bytes((copy / "comparison.json").read_bytes().replace(b"random", b"rondam", 1))
    refused("report", "copy", words="comparison.json is damaged")
    write_sealed_json(copy / "comparison.json", {**data, "format": "hwnas-comparison@9"})
    refused("report", "copy", words="from a newer hwnas")
    (copy / "comparison.json").unlink()
    refused("report", "copy", words="has no result.json yet: run the command that started it again")


@pytest.mark.slow
def test_real_searches_are_compared_and_go_on_after_ctrl_c(tmp_path: Path) -> None:
    """Networks are measured and trained for real; a search that has ended is a run that can be trained out."""
    out = tmp_path / "run"
    command = ("compare", "--data", "toy", "--budget", "90%", "--strategies", "random,mnasnet", "--seeds", "1",
               "--evaluations", "2", "--proposals", "2", "--child-steps", "10", "--batch-size", "32", "--at-once", "2",
               "--train-steps", "20", "--out", str(out))  # fmt: skip
    process = start(*command)
    wait_until(lambda: len(rows(out)) == 1 and rows(out / "mnasnet" / "seed-0"), process)  # it has begun
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 130 and "interrupted. To go on: hwnas compare --data toy" in err
    kept = rows(out)
    assert [row[0] for row in kept] == ["random/seed-0"] and not list(out.rglob("lock.json"))
    process = start(*command, "--json")
    printed, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    found = json.loads(printed)
    assert rows(out)[:1] == kept and [row["evaluations"] for row in found["searches"]] == [2, 2]
    assert found["searches"][0]["best"]["costs"]["latency"] <= found["limits"]["latency"]
    assert found["compute"]["mnasnet"]["cpu_seconds"] > 1
    assert "with 1 seed" in found["verdicts"][0].lower()
    trained = start("train", str(out / "random" / "seed-0"), "--data", "toy", "--train-steps", "20", "--batch-size",
                    "32", "--out", str(tmp_path / "trained"), "--json")  # fmt: skip
    printed, err = trained.communicate(timeout=300)
    assert trained.returncode == 0, err
    assert json.loads(printed)["network"]["architecture"] == json.loads(
        (out / "random" / "seed-0" / "architecture.json").read_text()
    )


def test_comparing_loads_no_torch(table: Path, tmp_path: Path) -> None:
    task = ["compare", "--evaluator", f"table:{table}", "--seeds", "1", "--evaluations", "5", "--quiet",
            "--out", str(tmp_path / "run")]  # fmt: skip
    code = f"import sys; from hwnas.cli import run; print('>', run({task!r}), 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "> 0 False"
