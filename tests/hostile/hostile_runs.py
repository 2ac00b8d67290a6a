"""Run directories, stores and caches that lead out of themselves, act by themselves, or never end."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import struct
from pathlib import Path
from typing import Any

from attacks import OLD_RUNS, Scene, attack
from hostile_arrays import TRAIN, checkpoint, hollow

from hwnas.runs.files import read_sealed_json, write_sealed_json

CONFIG = str(OLD_RUNS / "format-2" / "config.yaml")
AGAIN = ("fit", "--config", CONFIG, "--out", "run", "--quiet")
REPLAY = ("fit", "--data", "toy", "--budget", "0.01us", "--out", "new", "--measurements", "run", "--quiet")
REPORT = ("report", "run")
MEASURE = ("measure", "run", "--sessions", "2", "--quiet")


def linked(path: Path, to: Path) -> None:
    """Something of a run lies elsewhere."""
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.symlink_to(to)


def links(name: str, place: str, to: str, *commands: tuple[str, ...]) -> None:
    for number, command in enumerate(commands or (AGAIN, (*AGAIN, "--fresh"))):

        def build(scene: Scene) -> None:
            linked(scene.run() / place, scene.outside / to)

        build.__name__ = f"a_run_whose_{name}_lies_elsewhere{number or ''}"
        attack(*command, words=place)(build)


links("lock", "lock.json", "secret.txt")
links("lock_to_be", "lock.json", "nothing-yet")
links("metrics", "metrics.jsonl", "secret.txt")
links("latencies", "latency", "")
links("checkpoints", "checkpoints", "")
links("baselines", "baselines", "")
links("baseline", "baselines/fixed", "")
links("store", "store.sqlite", "secret.bin", AGAIN, REPLAY)
links("log_of_the_store", "store.sqlite-wal", "secret.bin", AGAIN, REPLAY)
links("seal_of_the_store", "store.sqlite.sha256", "secret.txt", AGAIN, REPLAY)
links("settings", "config.yaml", "secret.txt", AGAIN, REPORT)
links("result", "result.json", "secret.json", AGAIN, REPORT)
links("environment", "env.json", "secret.json", AGAIN, REPORT)
links("model", "model.onnx", "secret.bin", AGAIN, MEASURE)
links("weights", "weights.safetensors", "secret.bin", ("export", "run", "--out", "new"))
links("network", "network.json", "network.json", ("describe", "run"), ("export", "run", "--out", "new"))


@attack(*REPORT, words="config.yaml")
def an_old_run_whose_settings_lie_elsewhere(scene: Scene) -> None:
    """Nothing is sealed there, so the reader says what it finds; it must not be what the secret says."""
    linked(scene.run(version=1) / "config.yaml", scene.outside / "secret.txt")


@attack(*AGAIN, words="", codes=(0, 3))
def a_repository_that_runs_commands(scene: Scene) -> None:
    """Git is asked for the commit; a repository's own settings can name programs for nearly everything else."""
    scene.run()
    git = scene.at / ".git"
    for name in ("objects", "refs/heads", "hooks"):
        (git / name).mkdir(parents=True)
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    (git / "refs" / "heads" / "main").write_text("1" * 40 + "\n")
    shell = json.dumps(scene.shell)
    (git / "config").write_text(
        f"[core]\n repositoryformatversion = 1\n fsmonitor = {shell}\n sshCommand = {shell}\n pager = {shell}\n"
        f'[extensions]\n partialClone = origin\n[remote "origin"]\n url = ext::{scene.shell}\n promisor = true\n'
        f" uploadpack = {shell}\n[protocol]\n allow = always\n[alias]\n rev-parse = {json.dumps('!' + scene.shell)}\n"
    )


@attack("export", "run", "--random-weights", "--out", "new", words="", codes=(0,))
def an_export_onto_links(scene: Scene) -> None:
    scene.run()
    (scene.at / "new").mkdir()
    for name in ("model.onnx", "weights.safetensors", "network.py", "network.json"):
        (scene.at / "new" / name).symlink_to(scene.outside / name)


@attack(*REPORT, words="", codes=(0,))
def a_report_onto_a_link(scene: Scene) -> None:
    (scene.run() / "report.html").symlink_to(scene.outside / "secret.txt")


def pipes(place: str, *commands: tuple[str, ...]) -> None:
    """A pipe in the place of a file: nobody waits for it."""
    for number, command in enumerate(commands):

        def build(scene: Scene) -> None:
            path = scene.run() / place
            path.unlink(missing_ok=True)
            os.mkfifo(path)

        build.__name__ = f"a_pipe_called_{place.replace('.', '_').replace('-', '_')}{number or ''}"
        attack(*command, words=place.removesuffix("-journal"), codes=(1, 2))(build)


pipes("result.json", AGAIN, REPORT)
pipes("metrics.jsonl", AGAIN, REPORT)
pipes("store.sqlite", AGAIN)
pipes("store.sqlite-journal", AGAIN)
pipes("store.sqlite.sha256", AGAIN)
pipes("lock.json", AGAIN)
pipes("env.json", AGAIN)
pipes("network.json", ("describe", "run"))
pipes("model.onnx", MEASURE)


@attack(*TRAIN, words="set aside", codes=(0,))
def a_pipe_among_the_checkpoints(scene: Scene) -> None:
    place = checkpoint(scene, b"", b"{}\n")
    for name in ("manifest.json", "arrays.safetensors", "state.json"):
        (place / name).unlink()
        os.mkfifo(place / name)


@attack(*TRAIN, words="is a link")
def a_checkpoint_of_endless_zeros(scene: Scene) -> None:
    linked(checkpoint(scene, b"", b"{}\n") / "manifest.json", Path("/dev/zero"))


@attack(*TRAIN, words="set aside", codes=(0,))
def a_checkpoint_of_a_terabyte_of_holes(scene: Scene) -> None:
    hollow(checkpoint(scene, b"", b"{}\n") / "arrays.safetensors", 2**40)


def store(name: str, *statements: str, words: str = "store.sqlite is damaged") -> None:
    for number, command in enumerate((AGAIN, REPLAY)):

        def build(scene: Scene) -> None:
            with sqlite3.connect(scene.run() / "store.sqlite") as opened:
                for statement in statements:
                    opened.execute(statement)
            opened.close()

        build.__name__ = f"a_store_with_{name}{number or ''}"
        attack(*command, words=words, slow=number > 0)(build)


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
store("a_trigger", "CREATE TRIGGER t AFTER INSERT ON stages BEGIN DELETE FROM measurements; END")
store(
    "an_endless_trigger",
    f"CREATE TRIGGER t BEFORE INSERT ON trials BEGIN INSERT INTO meta SELECT i, i FROM ({ENDLESS}); END",
)
store(
    "a_view_for_a_table", "DROP TABLE meta", f"CREATE VIEW meta AS SELECT 'version' AS key, i AS value FROM ({ENDLESS})"
)
store("an_endless_version", "UPDATE meta SET value = '1' || hex(zeroblob(4000))")
store("a_version_of_letters", "UPDATE meta SET value = '٣'")
store(
    "an_index_that_computes",
    "CREATE INDEX i ON stages (length(randomblob(500000000)))".replace("randomblob", "zeroblob"),
)
store("columns_that_compute", "DROP TABLE meta", "CREATE TABLE meta (key TEXT DEFAULT 'version', x INT, "
      "value TEXT GENERATED ALWAYS AS (hex(zeroblob(40000000 + x))))", "INSERT INTO meta(x) VALUES (1)")  # fmt: skip
store("a_table_of_another_kind", "CREATE VIRTUAL TABLE v USING fts5(a)")
store("a_row_of_a_gigabyte", "INSERT INTO stages VALUES (99, 'x', 1, 1, zeroblob(80000000), 'x')")
store("rows_that_are_forged", "UPDATE measurements SET content = '{\"x\": 1}'")


@attack(*AGAIN, words="is larger than")
def a_store_of_a_terabyte_of_holes(scene: Scene) -> None:
    path = scene.run() / "store.sqlite"
    path.with_name("store.sqlite.sha256").touch()
    os.truncate(path, 2**40)


def super_journal(scene: Scene, victim: Path) -> None:
    """A journal that is ready to be played back, and says that it belongs to a transaction over several stores.

    SQLite removes the file that it names when that is done: by its word, any file at all.
    """
    path = scene.run() / "store.sqlite"
    with sqlite3.connect(path) as opened:
        opened.execute("PRAGMA journal_mode=DELETE")
    opened.close()
    content = path.read_bytes()
    name = str(victim).encode()
    head = struct.pack(">8sIIIII", bytes.fromhex("d9d505f920a163d7"), 0, 0, len(content) // 4096, 512, 4096)
    tail = struct.pack(">I", 2**30 // 4096 + 1) + name + struct.pack(">II", len(name), sum(name))
    path.with_name("store.sqlite-journal").write_bytes(head.ljust(512, b"\0") + tail + head[:8])


@attack(*AGAIN, words="names another file")
def a_journal_that_has_a_file_removed(scene: Scene) -> None:
    super_journal(scene, scene.outside / "secret.txt")


@attack(*REPLAY, words="names another file")
def a_journal_that_has_a_file_removed_by_a_replay(scene: Scene) -> None:
    super_journal(scene, scene.outside / "secret.txt")


def resealed(path: Path, **changes: Any) -> None:
    write_sealed_json(path, {**read_sealed_json(path), **changes})


def digests(scene: Scene) -> tuple[Path, dict[str, Any]]:
    path = scene.run()
    return path, read_sealed_json(path / "result.json")["files"]


@attack("export", "run", "--out", "new", words="result.json")
def a_result_that_names_files_elsewhere(scene: Scene) -> None:
    path, listed = digests(scene)
    resealed(path / "result.json", files={**listed, "../outside/secret.txt": {"bytes": 1, "sha256": "0"}})


@attack("export", "run", "--out", "new", words="weights.safetensors is damaged")
def a_result_of_files_without_end(scene: Scene) -> None:
    path, listed = digests(scene)
    listed["weights.safetensors"] = {"bytes": 2**40, "sha256": "0" * 64}
    resealed(path / "result.json", files=listed)
    hollow(path / "weights.safetensors", 2**40)


@attack(*REPORT, words="", codes=(0,))
def a_report_of_files_without_end(scene: Scene) -> None:
    path, listed = digests(scene)
    resealed(path / "result.json", files=dict.fromkeys(listed, {"bytes": 2**40, "sha256": "0" * 64}))
    for name in listed:
        hollow(path / name, 2**40)


@attack(*REPORT, words="metrics.jsonl")
def metrics_of_a_terabyte_of_holes(scene: Scene) -> None:
    hollow(scene.run() / "metrics.jsonl", 2**40)


@attack(*REPORT, words="metrics.jsonl")
def metrics_of_millions_of_empty_objects(scene: Scene) -> None:
    (scene.run() / "metrics.jsonl").write_bytes(b'{"a":[[],[],[],[],[]]}\n' * 10**6)


@attack(*REPORT, words="", codes=(0,))
def an_old_result_that_nests(scene: Scene) -> None:
    path = scene.run(version=1) / "result.json"
    nested = '{"x":' * 900 + "1" + "}" * 900
    path.write_text(path.read_text().rstrip().removesuffix("}") + f', "search": {nested}}}')


def summary(scene: Scene, **row: Any) -> None:
    """Several fits, as they say themselves."""
    runs = scene.at / "several"
    runs.mkdir()
    listed = {"directory": "a", "error": None, **row}
    write_sealed_json(runs / "result.json", {"format": "hwnas-summary@2", "runs": [listed], "tasks": []})


SEVERAL = ("report", "several", "--out", "page.html")


@attack(*SEVERAL, words="outside")
def a_summary_that_climbs_out(scene: Scene) -> None:
    shutil.copytree(scene.run(), scene.outside / "run")
    summary(scene, directory="../../outside/run")


@attack(*SEVERAL, words="outside")
def a_summary_of_an_absolute_path(scene: Scene) -> None:
    shutil.copytree(scene.run(), scene.outside / "run")
    summary(scene, directory=str(scene.outside / "run"))


@attack(*SEVERAL, words="outside")
def a_summary_of_a_link(scene: Scene) -> None:
    shutil.copytree(scene.run(), scene.outside / "run")
    summary(scene)
    (scene.at / "several" / "a").symlink_to(scene.outside / "run")


@attack(*SEVERAL, words="a field is missing or wrong")
def a_summary_of_another_shape(scene: Scene) -> None:
    summary(scene, directory=["a"])


@attack(
    "fit", "--budget", "40%", "--budget", "50%", "--seeds", "2", "--data", "toy", "--out", "run", words="single run"
)
def several_fits_into_a_run(scene: Scene) -> None:
    scene.run()


def target_id() -> str:
    from hwnas.hardware.targets import open_target

    return open_target("onnxruntime-f32", (1, 4, 32)).key.id


def cache(scene: Scene) -> Path:
    scene.run()
    (scene.at / "cache").mkdir()
    return scene.at / "cache" / f"{target_id()}.json"


@attack(*MEASURE, words="", codes=(0,), cache=True, slow=True)
def a_pipe_in_the_cache(scene: Scene) -> None:
    os.mkfifo(cache(scene))


@attack(*MEASURE, words="", codes=(0,), cache=True, slow=True)
def another_pipe_in_the_cache(scene: Scene) -> None:
    os.mkfifo(cache(scene).with_name("0000.json"))


@attack("doctor", words="", codes=(0,), cache=True)
def pipes_and_nests_for_the_doctor(scene: Scene) -> None:
    path = cache(scene)
    os.mkfifo(path)
    path.with_name("nested.json").write_text("[" * 10**6)


@attack(*MEASURE, words="", codes=(0,), cache=True, slow=True)
def endless_zeros_in_the_cache(scene: Scene) -> None:
    cache(scene).symlink_to("/dev/zero")


@attack(*MEASURE, words="cannot be stored", cache=True)
def a_cache_whose_lock_lies_elsewhere(scene: Scene) -> None:
    cache(scene).with_name("lock").symlink_to(scene.outside / "secret.txt")


@attack(*MEASURE, words="", codes=(0,), cache=True, slow=True)
def a_secret_in_the_cache(scene: Scene) -> None:
    cache(scene).symlink_to(scene.outside / "secret.json")


@attack(*MEASURE, words="", codes=(0,), cache=True, slow=True)
def a_cache_of_code(scene: Scene) -> None:
    cache(scene).write_text(
        json.dumps({"format": "hwnas-target@1", "content": {"py/reduce": [scene.shell]}, "sha256": 1})
    )
