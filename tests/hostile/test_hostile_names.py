"""Names that a shell, a terminal, a browser or a template would obey: refused by a sentence, or carried as text."""

from __future__ import annotations

import json
import os
import shutil
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from attacks import FIT, OLD_RUNS, SECRET, Scene
from names import PAGES, file_names, hostile_names
from pages import inert, listener, opened
from PIL import Image
from processes import Answer, Asked

from hwnas.report.summary import MOST_RUNS
from hwnas.runs.files import append_line, read_sealed_json, write_sealed_json
from hwnas.spaces.toy import ToySpace


def test_there_are_two_hundred_names() -> None:
    assert len(hostile_names()) >= 200 and len(file_names()) >= 100


def said(scene: Scene, found: Answer, codes: tuple[int, ...] = (2,)) -> str:
    """What a command printed, after the checks that hold for all of it."""
    shown = str(found["out"] + found["err"])
    assert found["escaped"] == "" and found["code"] in codes, found
    assert not any(unicodedata.category(one) in ("Cc", "Cf", "Cs", "Zl", "Zp") for one in shown if one != "\n"), shown
    assert found["code"] == 0 or found["err"].splitlines()[-1].startswith("error: "), shown
    assert SECRET not in shown and not list(scene.at.parent.rglob("fired"))
    return shown


@pytest.fixture
def picture(scene: Scene) -> Path:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)).save(scene.outside / "p.png")
    return scene.outside / "p.png"


sampled = pytest.mark.parametrize("every", [40, pytest.param(1, marks=pytest.mark.slow)])


def network(classes: int) -> dict[str, Any]:
    """The smallest network of the toy space, for so many classes."""
    space = ToySpace()
    data = space.decode(next(iter(space.uniform_architectures().values()))).to_json()
    data["nodes"][-1]["classes"] = classes
    return {**data, "input_shape": [1, 16, 16]}


def test_classes_of_a_pack_are_carried_as_text(ask: Asked, scene: Scene) -> None:
    """A real training, from the pack to the page."""
    with listener() as (port, heard):
        names = [name for name in hostile_names(port) if not name.endswith("\0")][:200]
        images = np.random.default_rng(0).integers(0, 256, (3 * len(names), 16, 16), np.uint8)
        np.savez(scene.at / "pack.npz", x_train=images, y_train=np.arange(len(images)) % len(names), names=names)
        (scene.at / "network.json").write_text(json.dumps(network(len(names))))
        command = ("train", "network.json", "--data", "pack.npz", "--train-steps", "10", "--out", "run")
        said(scene, ask(command, scene.at), codes=(0,))
        assert read_sealed_json(scene.at / "run" / "result.json")["data"]["class_names"] == names
        said(scene, ask(("report", "run"), scene.at), codes=(0,))
        page = inert((scene.at / "run" / "report.html").read_text())
        assert page.words.count(PAGES[0]) >= 1
        dom = inert(opened(scene.at / "run" / "report.html", scene.at.parent / "browser"))
        assert PAGES[0] in dom.words and heard == []


def test_the_browser_would_run_what_a_page_lets_in(scene: Scene) -> None:
    """Else the others prove nothing."""
    with listener() as (port, heard):
        page = scene.at / "page.html"
        page.write_text(f"<!doctype html><title>x</title><p>y</p>{PAGES[0]}{PAGES[20].replace('PORT', str(port))}")
        dom = opened(page, scene.at.parent / "browser")
        assert '<b id="fired">' in dom and "<title>fired" in dom and heard == ["/a"]


def poisoned(value: Any, name: str) -> Any:
    """The same data with every text replaced, and every name of an architecture's choices."""
    if isinstance(value, dict):
        return {f"{name}{key}" if "." in key else key: poisoned(item, name) for key, item in value.items()}
    if isinstance(value, list):
        return [poisoned(item, name) for item in value]
    return name if isinstance(value, str) else value


def test_a_result_full_of_them_makes_an_inert_page(ask: Asked, scene: Scene) -> None:
    with listener() as (port, heard):
        everything = "".join(PAGES).replace("PORT", str(port))
        for run in ("a", "b"):
            path = scene.run(run)
            result = read_sealed_json(path / "result.json")
            kept = {"format": result["format"], "files": result["files"]}
            write_sealed_json(path / "result.json", poisoned(result, everything) | kept)
            gates = {everything: {everything: 0.5}}
            append_line(path / "metrics.jsonl", {"stage": "search", "step": 7, "gates": gates})
        said(scene, ask(("report", "a"), scene.at), codes=(0,))
        said(scene, ask(("report", "a", "b", "--out", "both.html"), scene.at), codes=(0,))
        for page in (scene.at / "a" / "report.html", scene.at / "both.html"):
            assert "document.title" in inert(page.read_text()).words
            inert(opened(page, scene.at.parent / "browser"))
        assert heard == []


def test_names_of_runs_side_by_side_make_inert_pages(ask: Asked, scene: Scene) -> None:
    """Every name that a directory can have, and a page for as many as one shows."""
    names = file_names()
    for name in names:
        shutil.copytree(OLD_RUNS / "format-2", scene.at / name, copy_function=os.link)
    with listener() as (_, heard):
        for start in range(0, len(names), MOST_RUNS):
            side_by_side = names[start : start + MOST_RUNS]
            said(scene, ask(("report", "--out=page.html", "--", *side_by_side), scene.at), codes=(0,))
            page = inert((scene.at / "page.html").read_text())
            shown = [name for name in side_by_side if name in page.words]
            dom = inert(opened(scene.at / "page.html", scene.at.parent / "browser"))
            assert len(shown) > 10 and all(name in dom.words for name in shown)
        said(scene, ask(("report", "--", names[0]), scene.at), codes=(0,))
        inert(opened(scene.at / names[0] / "report.html", scene.at.parent / "browser"))
        assert heard == []


def test_names_of_class_folders_and_files(ask: Asked, scene: Scene, picture: Path) -> None:
    for name in file_names():
        place = scene.at / "photos" / name
        place.mkdir(parents=True)
        for number in range(3):
            os.link(picture, place / f"{number}.png")
        os.link(picture, scene.at / "photos" / file_names()[0] / f"{name}.png")
    shown = said(scene, ask((*FIT, "photos", "--space", "toy"), scene.at))
    assert "works on its own images" in shown


@sampled
def test_a_bad_image_is_named_whatever_it_is_called(ask: Asked, every: int, scene: Scene, picture: Path) -> None:
    for kind in ("cat", "dog"):
        (scene.at / "photos" / kind).mkdir(parents=True)
        for number in range(5):
            os.link(picture, scene.at / "photos" / kind / f"{number}.png")
    for name in file_names()[::every]:
        bad = scene.at / "photos" / "cat" / f"{name}.png"
        bad.write_text("no image")
        assert "cannot be read" in said(scene, ask((*FIT, "photos", "--space", "toy"), scene.at))
        bad.unlink()
    for name in file_names():
        (scene.at / "photos" / "dog" / f"{name}.png").write_text("no image")
    shown = said(scene, ask((*FIT, "photos", "--space", "toy", "--skip-bad"), scene.at))
    assert f"{len(file_names())} of the images in photos could not be read and are left out" in shown
    assert "works on its own" in shown


@sampled
def test_names_of_data_and_of_runs(ask: Asked, every: int, scene: Scene, picture: Path) -> None:
    """A path that begins with a dash is typed after --, or with ./ before it."""
    for kind in ("cat", "dog"):
        (scene.at / "data" / kind).mkdir(parents=True)
        for number in range(3):
            os.link(picture, scene.at / "data" / kind / f"{number}.png")
    run, data = scene.run(), scene.at / "data"
    for name in file_names()[::every]:
        data = data.rename(scene.at / name)
        said(scene, ask((*FIT, f"./{name}", "--space", "toy"), scene.at))
        data = data.rename(scene.at / "data")
        run = run.rename(scene.at / name)
        for arguments in (("report", "--", name), ("report", f"./{name}")):
            said(scene, ask(arguments, scene.at), codes=(0, 2))
        page = inert((run / "report.html").read_text()) if (run / "report.html").exists() else None
        assert page is None or "Inside the budget" in page.words or "Over the budget" in page.words
        run = run.rename(scene.at / "run")


@sampled
def test_names_in_settings_and_on_the_command_line(ask: Asked, every: int, scene: Scene) -> None:
    for name in hostile_names()[::every]:
        for setting in ("data", "space", "target", "optimizer", "data_root"):
            (scene.at / "c.yaml").write_text(yaml.safe_dump({setting: name, "search_steps": 1}))
            said(scene, ask(("fit", "--budget", "1ms", "--config", "c.yaml", "--out", "new"), scene.at))
        if "\0" not in name:
            for command in (("describe", "--", name), ("measure", "--", name), ("export", "--out=new", "--", name),
                            ("report", "--out=new.html", "--", name), ("list", "--", name),
                            ("fit", "--budget=1ms", f"--measurements={name}", "--out=new")):  # fmt: skip
                said(scene, ask(command, scene.at))
    assert not (scene.at / "new").exists() and OLD_RUNS.exists()
