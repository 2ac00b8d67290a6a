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
    "hwnas.cli.fit.fit": "one line an option of the command",
    "hwnas.cli.search.search": "one line an option of the command",
    "benchmarks/supernet_steps.py.main": "one timed loop over what it sets up; split, it would pass ten values on",
}

NO_NAMES = {"utils", "util", "misc", "manager", "managers", "helpers", "helper", "common"}
# What runs code out of data, follows an archive's own paths, or speaks to the network.
NO_IMPORTS = set(
    "pickle _pickle cPickle pickletools dill cloudpickle joblib jsonpickle shelve dbm marshal hydra runpy code codeop "
    "imp pty commands ctypes cffi tarfile rarfile py7zr http urllib urllib3 requests httpx aiohttp ftplib smtplib "
    "telnetlib xmlrpc socketserver webbrowser xml".split()
)
# Who may use these, and why.
SOCKETS = {
    "src/hwnas/runs/lock.py": "the host's name, for whoever finds the lock",
    "src/hwnas/evaluation/channel.py": "a pair of sockets between a process and its child",
    "src/hwnas/evaluation/child.py": "the same",
    "src/hwnas/evaluation/process.py": "the same",
    "src/hwnas/compose/table_child.py": "the same",
}
SUBPROCESSES = {
    "src/hwnas/hardware/worker_process.py": "measures in a process of its own",
    "src/hwnas/evaluation/process.py": "starts the children that train and search",
    "src/hwnas/runs/provenance.py": "asks git for the commit",
    "src/hwnas/hardware/engines/mnn.py": "a converter that prints, crashes, and writes where it stands",
}
NO_CALLS = set(
    "eval exec compile __import__ os.system os.popen os.startfile os.posix_spawn torch.hub.load torch.jit.load "
    "torch.package.PackageImporter torch.ops.load_library torch.utils.cpp_extension.load importlib.import_module "
    "importlib.util.spec_from_file_location yaml.load yaml.load_all yaml.unsafe_load yaml.unsafe_load_all "
    "yaml.full_load yaml.full_load_all tempfile.mktemp shutil.unpack_archive subprocess.getoutput "
    "subprocess.getstatusoutput onnx.load onnx.load_model onnx.hub.load asyncio.create_subprocess_shell".split()
)
MODULES_BY_NAME = {
    "src/hwnas/core/on_demand.py": "loads our own modules when they are asked for, by tables in the code"
}
C_FUNCTIONS = {
    "src/hwnas/hardware/engines/mnn.py": "fflush: what C code printed must not come out later",
    "src/hwnas/hardware/resident.py": "malloc_trim: what was freed and is used again would count as nothing",
}
REASONS = {
    "ctypes": C_FUNCTIONS,
    "socket": SOCKETS,
    "subprocess": SUBPROCESSES,
    "importlib.import_module": MODULES_BY_NAME,
}
NO_METHODS = {"extractall", "enable_load_extension", "load_extension", "register_custom_ops_library", "executescript"}
# A keyword that must be given, and its value.
NEEDED = {
    "torch.load": ("weights_only", True),
    "np.load": ("allow_pickle", False),
    "numpy.load": ("allow_pickle", False),
}


def shown(path: Path) -> str:
    return str(path.relative_to(PROJECT)) if PROJECT in path.parents else path.name


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


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever, and every name out of a module: "os", "os.path", "os.path.join"."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def dangers(path: Path) -> Iterator[str]:
    """What can run code from a file or from a text, follow its paths, or speak to the network."""
    for name in imported(path):
        top = name.split(".")[0]
        reasons = REASONS.get(name) or REASONS.get(top)
        if shown(path) not in reasons if reasons else top in NO_IMPORTS or name in NO_CALLS:
            yield f"imports {name}"
    for call, name in calls_of(path):
        if name in NO_CALLS or name.rpartition(".")[2] in NO_METHODS:
            yield f"calls {name}"
        if any(given.arg == "shell" for given in call.keywords):
            yield f"calls {name} with shell"
        if name.startswith("subprocess.") and call.args and isinstance(call.args[0], (ast.Constant, ast.JoinedStr)):
            yield f"calls {name} with a text"
        word, value = NEEDED.get(name, ("", None))
        if word and keyword(call, word) is not value:
            yield f"calls {name} without {word}={value}"
        if name.endswith("load") and keyword(call, "allow_pickle") is True:
            yield f"calls {name} with allow_pickle=True"


def texts_of(node: ast.AST) -> set[object]:
    return {one.value for one in ast.walk(node) if isinstance(one, ast.Constant)}


def test_nothing_runs_code_from_a_file() -> None:
    found = [f"{shown(path)} {danger}" for path in package_files() for danger in dangers(path)]
    assert found == []


def test_processes_import_nothing_out_of_the_working_directory() -> None:
    """Wherever a module is started by its name, -P stands before it."""
    found = [
        f"{shown(path)}:{node.lineno}"
        for path in package_files()
        for node in ast.walk(tree_of(path))
        if isinstance(node, (ast.Tuple, ast.List)) and "-m" in texts_of(node) and "-P" not in texts_of(node)
    ]
    assert found == []


def test_reasons_for_sockets_and_processes_are_still_needed() -> None:
    for banned, reasons in REASONS.items():
        users = {shown(path) for path in package_files() if banned in imported(path)}
        assert set(reasons) == users and all(reasons.values())


@pytest.mark.parametrize(
    "text",
    [
        "import pickle", "from dill import loads", "eval('1')", "exec(text)", "subprocess.run(x, shell=True)",
        "yaml.load(file)", "torch.load(path)", "torch.load(path, weights_only=False)", "np.load(p, allow_pickle=True)",
        "np.load(p)", "import marshal", "import shelve", "from joblib import load", "import runpy", "import code",
        "import ctypes", "import tarfile", "archive.extractall(p)", "from shutil import unpack_archive",
        "import webbrowser",
        "importlib.import_module(name)", "from importlib import import_module", "from os import system", "os.popen(x)",
        "onnx.load(path)", "from onnx import load", "connection.enable_load_extension(True)", "tempfile.mktemp()",
        "subprocess.run('ls')", "subprocess.run(f'ls {x}')", "subprocess.run(x, shell=yes)", "import subprocess",
        "import socket", "from urllib.request import urlopen", "import requests", "torch.jit.load(p)",
        "yaml.unsafe_load(x)", "subprocess.getoutput(x)", "import xml.etree", "options.register_custom_ops_library(x)",
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
