"""`hwnas import-table` as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from table_networks import SMALL_ONCE_FOR_ALL

from hwnas.cli import run


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two files of a small table, in the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HWNAS_CACHE", str(tmp_path / "cache"))
    for side, text in SMALL_ONCE_FOR_ALL.items():
        (tmp_path / f"{side}.yaml").write_text(text)
    return [f"{side}.yaml" for side in SMALL_ONCE_FOR_ALL]


def test_import_says_what_there_is_now_and_what_comes_next(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["import-table", *files, "--name", "phone", "--device", "my phone"]
    assert run(command) == 0
    out, err = capsys.readouterr()
    kept = tmp_path / "cache" / "tables" / "phone.json"
    assert err == "" and out.splitlines() == [
        "phone: my phone: imported table, 14 layers, images of 30x30, 32x32",
        f"kept in {kept}",
        "",
        "Next: hwnas describe NETWORK --target phone",
    ]
    assert run([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["new"], found["rows"], found["path"]) == (False, {"30x30": 7, "32x32": 7}, str(kept))


def test_refusals_are_one_sentence(files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["import-table", *files, "--name", "phone"]) == 0
    (tmp_path / "bad.yaml").write_text(SMALL_ONCE_FOR_ALL[32].replace("mean: 0.5", "mean: -0.5"))
    for arguments, words in (
        (["import-table", files[0], "--name", "phone"], "--replace"),
        (["import-table", files[0], "--name", "onnxruntime"], "is taken"),
        (["import-table", files[0], "--name", "../phone"], "is no name"),
        (["import-table", "bad.yaml", "--name", "tablet"], "bad.yaml: row 'Conv_2-input:1x1x32-output:1x1x64'"),
        (["import-table", "none.yaml", "--name", "tablet"], "there is no file none.yaml"),
        (["import-table", "--name", "tablet"], "files"),
        (["import-table", *files], "--name"),
    ):
        capsys.readouterr()
        assert run(arguments) == 2
        out, err = capsys.readouterr()
        assert out == "" and err.startswith("error: ") and err.count("\n") == 1 and words.lower() in err.lower(), err
    assert run(["import-table", files[0], "--name", "phone", "--replace"]) == 0
