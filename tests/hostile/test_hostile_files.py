"""Files that would run code, read or write elsewhere, or take all memory and time, through the real command line.

Each is refused by one sentence, or read as what it is and no more. In the long form every case has a process of its
own; in the short form all share one, in which a case may take no more CPU time and memory than the long form allows.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import unicodedata
from pathlib import Path
from typing import Any

import hostile_arrays  # noqa: F401 - each of these adds its attacks
import hostile_images  # noqa: F401
import hostile_onnx  # noqa: F401
import hostile_runs  # noqa: F401
import hostile_text  # noqa: F401
import pytest
import yaml
from attacks import ATTACKS, SECRET, Attack, Scene, victims
from processes import IDLE, Asked, alone

from hwnas.hardware.engines import ENGINES

MOST_CPU_S, MOST_MB = 5.0, 500.0
ENGINE_CPU_S = 1.5  # to start a process, load an engine and run a tiny network
_READ_BYTES = 10**7


def most_cpu_s(attack: Attack) -> float:
    """The doctor tries every engine, nobody else more than one."""
    return MOST_CPU_S + (ENGINE_CPU_S * len(ENGINES) if attack.arguments == ("doctor",) else 0.0)


def contents(path: Path) -> dict[str, Any]:
    """Everything below a path: where links lead, and the content of all but endless files."""
    found: dict[str, Any] = {}
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            one = Path(folder, name)
            plain = one.is_file() and not one.is_symlink() and one.stat().st_size < _READ_BYTES
            kind = os.readlink(one) if one.is_symlink() else one.lstat().st_mode
            found[str(one.relative_to(path))] = one.read_bytes() if plain else kind
    return found


def built(attack: Attack, scene: Scene, capfd: pytest.CaptureFixture[str]) -> dict[str, dict[str, Any]]:
    """What there is before the command."""
    attack.build(scene)
    capfd.readouterr()
    return {"at": contents(scene.at), "outside": contents(scene.outside)}


def check(attack: Attack, scene: Scene, before: dict[str, dict[str, Any]], code: int, out: str, err: str) -> None:
    assert not scene.canary.exists(), "code of the file has run"
    assert code in attack.codes, err
    assert "Traceback" not in err and attack.words in err, err
    shown = (out + err).replace("\n", "")
    assert not any(unicodedata.category(one) in ("Cc", "Cf", "Cs") for one in shown), shown
    assert len(shown) < 20_000 and (code == 0 or err.count("\nerror: ") + err.startswith("error: ") == 1), err
    assert contents(scene.outside) == before["outside"], "a file outside was changed"
    assert SECRET not in shown, "a file outside was read"
    for name, content in contents(scene.at).items():
        made = content != before["at"].get(name) and isinstance(content, bytes)
        assert not made or SECRET.encode() not in content, f"a file outside was read into {name}"


@pytest.mark.parametrize("name", [name for name, attack in ATTACKS.items() if not attack.slow])
def test_a_hostile_file_is_refused(ask: Asked, scene: Scene, capfd: pytest.CaptureFixture[str], name: str) -> None:
    attack = ATTACKS[name]
    before = built(attack, scene, capfd)
    found = ask(attack.arguments, scene.at, *([scene.at / "cache"] if attack.cache else []))
    assert found["escaped"] == ""
    check(attack, scene, before, found["code"], found["out"], found["err"])
    assert found["cpu_s"] < most_cpu_s(attack) and found["peak_mb"] < MOST_MB


@pytest.mark.slow
def test_every_hostile_file_is_refused_in_a_process_of_its_own(
    tmp_path: Path, cache_of_the_session: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "idle" / "at").mkdir(parents=True)
    idle = alone(IDLE, tmp_path / "idle" / "at", cache_of_the_session)
    assert idle[0] == 2, idle
    most: dict[str, tuple[float, str]] = {"CPU seconds": (0.0, ""), "MiB": (0.0, "")}
    for name, attack in ATTACKS.items():
        place = tmp_path / name
        scene = Scene(place / "at", place / "outside", place / "canary")
        scene.at.mkdir(parents=True)
        victims(scene.outside)
        before = built(attack, scene, capfd)
        cache = scene.at / "cache" if attack.cache else cache_of_the_session
        code, out, err, cpu_s, peak_mb = alone(attack.arguments, scene.at, cache)
        check(attack, scene, before, code, out, err)
        assert cpu_s - idle[3] < most_cpu_s(attack) and peak_mb - idle[4] < MOST_MB, (name, cpu_s, peak_mb, idle)
        for what, value in (("CPU seconds", cpu_s - idle[3]), ("MiB", peak_mb - idle[4])):
            most[what] = max(most[what], (value, name))
        subprocess.run(["rm", "-rf", str(place)], check=True)
    with capfd.disabled():
        print(f"\n{len(ATTACKS)} hostile files; a command that does nothing: {idle[3]:.1f} s, {idle[4]:.0f} MiB; "
              f"at most above that: {most}")  # fmt: skip


def test_there_are_attacks_of_every_kind() -> None:
    words = ("pickle", "objects", "safetensors", "tag", "laughs", "onnx", "link", "pipe", "image", "pack", "network",
             "measurements", "store", "journal", "lies_elsewhere", "summary", "cache", "checkpoint")  # fmt: skip
    assert len(ATTACKS) > 150 and all(any(word in name for name in ATTACKS) for word in words)


def test_the_payloads_would_fire_where_they_are_let_in(scene: Scene) -> None:
    """A canary that cannot sing proves nothing."""
    pickle.loads(pickle.dumps(scene.bomb))
    assert scene.canary.exists()
    scene.canary.unlink()
    yaml.unsafe_load(f'!!python/object/apply:os.system ["{scene.shell}"]')
    assert scene.canary.exists()
