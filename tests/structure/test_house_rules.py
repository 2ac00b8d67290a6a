"""Sizes, names and calls that the house rules allow, and links that lead somewhere."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sources import PACKAGE, PROJECT, all_python_files, module_name, package_files, tracked_texts, tree_of

FILE_LINES, STRATEGY_LINES, FUNCTION_LINES = 400, 200, 60
# What is longer, and why; one line each.
LONGER_FILES: dict[str, str] = {}
LONGER_FUNCTIONS: dict[str, str] = {
    "hwnas.core.primitives.output_shape": "one arm a primitive, so that the type checker finds one that is missing",
    "hwnas.cli.search.search": "one line an option of the command",
    "benchmarks/supernet_steps.py.main": "one timed loop over what it sets up; split, it would pass ten values on",
}

NO_NAMES = {"utils", "util", "misc", "manager", "managers", "helpers", "helper", "common"}
NO_IMPORTS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "hydra"}
NO_CALLS = {"eval", "exec", "compile", "__import__"}


def shown(path: Path) -> str:
    return str(path.relative_to(PROJECT))


def lines_of(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def functions_of(path: Path) -> Iterator[tuple[str, int]]:
    """("hwnas.nn.build.BuiltNetwork.forward", lines) of every function, the nested ones too."""

    def walk(node: ast.AST, prefix: str) -> Iterator[tuple[str, int]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                name = f"{prefix}.{child.name}"
                if not isinstance(child, ast.ClassDef):
                    yield name, (child.end_lineno or 0) - child.lineno + 1
                yield from walk(child, name)
            else:
                yield from walk(child, prefix)

    inside = PACKAGE in path.parents
    yield from walk(tree_of(path), module_name(path) if inside else shown(path))


def test_files_are_short() -> None:
    sizes = {shown(path): lines_of(path) for path in all_python_files()}
    strategies = {name for name in sizes if name.startswith("src/hwnas/strategies/")}
    too_long = {
        name: lines
        for name, lines in sizes.items()
        if lines > (STRATEGY_LINES if name in strategies else FILE_LINES) and name not in LONGER_FILES
    }
    assert too_long == {}


def test_functions_are_short() -> None:
    sizes = {name: lines for path in all_python_files() for name, lines in functions_of(path)}
    too_long = {name: lines for name, lines in sizes.items() if lines > FUNCTION_LINES and name not in LONGER_FUNCTIONS}
    assert too_long == {}


def test_exceptions_are_still_needed_and_have_a_reason() -> None:
    sizes = {name: lines for path in all_python_files() for name, lines in functions_of(path)}
    files = {shown(path): lines_of(path) for path in all_python_files()}
    assert all(sizes.get(name, 0) > FUNCTION_LINES for name in LONGER_FUNCTIONS)
    assert all(files.get(name, 0) > STRATEGY_LINES for name in LONGER_FILES)
    assert all(reason and "\n" not in reason for reason in [*LONGER_FILES.values(), *LONGER_FUNCTIONS.values()])


def test_no_file_is_a_drawer_for_everything() -> None:
    wrong = [shown(path) for path in package_files() if NO_NAMES & {*path.parts, *path.stem.split("_")}]
    assert wrong == []


def calls_of(path: Path) -> Iterator[tuple[ast.Call, str]]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call):
            yield node, ast.unparse(node.func)


def keyword(call: ast.Call, name: str) -> object:
    for given in call.keywords:
        if given.arg == name and isinstance(given.value, ast.Constant):
            return given.value.value
    return None


def dangers(path: Path) -> Iterator[str]:
    """Calls that can run code from a file or from a text."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        else:
            continue
        yield from (f"imports {name}" for name in names if name.split(".")[0] in NO_IMPORTS)
    for call, name in calls_of(path):
        if name in NO_CALLS or name in ("os.system", "os.popen", "torch.hub.load"):
            yield f"calls {name}"
        if keyword(call, "shell") is True:
            yield f"calls {name} with shell=True"
        if name in ("yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load"):
            yield f"calls {name}: use yaml.safe_load"
        if name == "torch.load" and keyword(call, "weights_only") is not True:
            yield "calls torch.load without weights_only=True"
        if name.endswith(".load") and keyword(call, "allow_pickle") is True:
            yield f"calls {name} with allow_pickle=True"


def test_nothing_runs_code_from_a_file() -> None:
    found = [f"{shown(path)} {danger}" for path in package_files() for danger in dangers(path)]
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        "import pickle", "from dill import loads", "eval('1')", "exec(text)", "subprocess.run(x, shell=True)",
        "yaml.load(file)", "torch.load(path)", "torch.load(path, weights_only=False)", "np.load(p, allow_pickle=True)",
    ],
)  # fmt: skip
def test_the_dangers_are_seen(text: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.py"
    path.write_text(text)
    assert list(dangers(path))


def test_no_assert_on_input() -> None:
    # They vanish under `python -O`. Contract suites are tests, and pytest's.
    found = [
        f"{shown(path)}:{node.lineno}"
        for path in package_files()
        if path.parent.name != "testing"
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Assert)
    ]
    assert found == []


def test_the_package_says_that_it_is_typed() -> None:
    assert (PACKAGE / "py.typed").is_file()


LINK = re.compile(r"!?\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)")


def links_of(path: Path) -> list[str]:
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    return [target for target in LINK.findall(text) if not re.match(r"[a-z]+:", target)]


def anchors_of(path: Path) -> set[str]:
    """What GitHub makes of the headings."""
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    titles = re.findall(r"^#+\s+(.*?)\s*$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_links_in_the_documents_lead_somewhere() -> None:
    pages = [*sorted(PROJECT.glob("*.md")), *sorted((PROJECT / "docs").rglob("*.md"))]
    assert pages
    broken = []
    for page in pages:
        for link in links_of(page):
            file, _, anchor = link.partition("#")
            target = (page.parent / file).resolve() if file else page
            if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors_of(target)):
                broken.append(f"{shown(page)}: {link}")
    assert broken == []


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    # Put together from parts, so that this file does not hold what it looks for.
    folders = ["/" + "work/", "/" + 'work"', "/tmp/" + "venv", "/tmp/" + "spec", "/" + "root/", "/" + "home/"]
    found = [
        f"{shown(path)}: {folder}"
        for path in tracked_texts()
        for folder in folders
        if folder in path.read_text(encoding="utf-8", errors="replace")
    ]
    assert found == []
