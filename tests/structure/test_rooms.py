"""Who imports whom: the table of docs/design.md, section 3, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from graphlib import CycleError, TopologicalSorter

import pytest
from sources import imports_of, module_name, package_files, room_of

LOWER = {
    "core", "spaces", "networks", "formats", "nn", "data", "controllers", "runs", "hardware", "training", "evaluation",
}  # fmt: skip
ALLOWED: dict[str, set[str]] = {
    "core": set(),
    "spaces": {"core"},
    "networks": {"core", "spaces"},
    "formats": {"core"},
    "nn": {"core"},
    "data": {"core"},
    "controllers": {"core"},
    "runs": {"core"},
    "hardware": {"core", "formats"},
    "training": {"core", "nn", "data"},
    "evaluation": {"core", "nn", "data", "training"},
    "report": {"core", "runs"},
    "strategies": {"core", "spaces", "nn", "data", "training", "evaluation", "hardware", "controllers", "runs"},
    "workflows": LOWER | {"strategies", "report"},
    # The table names the three as one row; among them calls go down: cli, api, compose, config.
    "config": {"core"},
    "compose": LOWER | {"strategies", "report", "workflows", "config"},
    "api": LOWER | {"strategies", "report", "workflows", "config", "compose"},
    "cli": LOWER | {"strategies", "report", "workflows", "config", "compose", "api"},
    # Contract suites stand beside the package: they hold an outside part against core, formats and nn.
    "testing": {"core", "formats", "nn"},
    "__main__": {"cli"},
    "": {"api", "core"},
}
# Which file may import more than its room, from where, and why.
MORE = {
    "hwnas.hardware.engines.torch_eager": ({"nn"}, "a target that runs networks in torch runs those that nn builds"),
}
WITHOUT_TORCH = {"core", "spaces", "networks", "formats", "hardware", "controllers", "report", "runs"}
# Which of their files may have it, and why.
WITH_TORCH = {"hwnas.controllers.lstm": "an LSTM and its Adam are torch's own; only a controller that is made loads it"}
WHEN_OPENED = {
    "hwnas.hardware.engines.torch_eager": "a target that is torch itself; only one that is opened loads it",
    "hwnas.hardware.engines.executorch": "its library takes torch's tensors; only a target that is opened loads it",
}
TENSORS = {"torch", "torchvision", "timm"}


def edges() -> set[tuple[str, str]]:
    return {
        (module_name(path), imported)
        for path in package_files()
        for imported in imports_of(path)
        if imported == "hwnas" or imported.startswith("hwnas.")
    }


def test_no_edge_but_those_of_the_table() -> None:
    wrong = [
        f"{importer} imports {imported}"
        for importer, imported in sorted(edges())
        if room_of(importer) != room_of(imported)
        and room_of(imported) not in ALLOWED[room_of(importer)] | MORE.get(importer, (set(), ""))[0]
    ]
    assert wrong == []


def test_every_exception_is_needed() -> None:
    found = edges()
    for importer, (rooms, _) in MORE.items():
        assert rooms == {room_of(imported) for who, imported in found if who == importer} - ALLOWED[
            room_of(importer)
        ] - {room_of(importer)}
    seen = {module_name(path): imports_of(path) for path in package_files()}
    assert all("torch" in seen[module] for module in WHEN_OPENED)


def test_imports_in_functions_and_for_types_are_seen() -> None:
    seen = dict.fromkeys(imported for importer, imported in edges() if importer.startswith("hwnas.compose"))
    assert {"hwnas.core.cost", "hwnas.data.images", "hwnas.hardware.engines"} <= set(seen)


def test_every_room_is_in_the_table() -> None:
    assert {room_of(module_name(path)) for path in package_files()} <= set(ALLOWED)


def test_no_cycle_between_modules() -> None:
    graph: dict[str, set[str]] = {}
    for importer, imported in edges():
        if importer != imported:
            graph.setdefault(importer, set()).add(imported)
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as found:
        pytest.fail(f"modules import each other: {' -> '.join(found.args[1])}")


def without_torch(module: str) -> bool:
    return room_of(module) in WITHOUT_TORCH and module not in WITH_TORCH


def test_rooms_without_torch() -> None:
    wrong = [
        f"{module_name(path)} imports {imported}"
        for path in package_files()
        if without_torch(module_name(path)) and module_name(path) not in WHEN_OPENED
        for imported in imports_of(path)
        if imported.split(".")[0] in TENSORS
    ]
    assert wrong == []


def left_loaded(program: str) -> set[str]:
    """The heavy packages that are loaded after a program ran in a fresh process."""
    heavy = {*TENSORS, "sklearn", "scipy.stats", "onnxruntime", "matplotlib"}
    code = f"import sys\n{program}\nprint('loaded:', *sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].removeprefix("loaded:").split())


def test_importing_hwnas_loads_nothing_heavy() -> None:
    assert left_loaded("import hwnas") == set()


def test_importing_every_room_without_torch_loads_no_torch() -> None:
    names = [module_name(path) for path in package_files()]
    without = [name for name in names if without_torch(name) and not name.endswith("__main__")]
    assert left_loaded("import " + ", ".join(without)) & TENSORS == set()
    assert "torch" in left_loaded("import " + ", ".join(WITH_TORCH)), "an exception that is needed no more"


def test_commands_that_learn_nothing_load_no_torch() -> None:
    program = (
        "from hwnas.cli import run\n"
        "run(['list'])\n"
        "from hwnas.compose.controllers import CONTROLLERS\n"
        "from hwnas.spaces.toy import ToySpace\n"
        "for name in ('random', 'evolution', 'reinforce'):\n"
        "    CONTROLLERS[name].make(ToySpace().choices, 0).propose(1)\n"
        "print([known.settings for known in CONTROLLERS.values()])"
    )
    assert left_loaded(program) & TENSORS == set()


def test_everything_that_hwnas_exports_is_there() -> None:
    import hwnas

    assert len(set(hwnas.__all__)) == len(hwnas.__all__)
    for name in hwnas.__all__:
        assert getattr(hwnas, name).__doc__, name
    assert set(hwnas.__all__) <= set(dir(hwnas))


def test_help_of_every_command_loads_nothing_heavy() -> None:
    program = (
        "import contextlib, io\n"
        "from hwnas.cli.app import app\n"
        "from typer.main import get_command\n"
        "command = get_command(app)\n"
        "for words in [[], *([name] for name in command.commands)]:\n"
        "    shown = io.StringIO()\n"
        "    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(shown):\n"
        "        command.main([*words, '--help'], prog_name='hwnas')\n"
        "    assert 'Usage' in shown.getvalue(), words\n"
    )
    assert left_loaded(program) == set()
