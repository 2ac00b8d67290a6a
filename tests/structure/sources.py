"""What the structure tests read: the project's Python files, their syntax trees and what they import."""

from __future__ import annotations

import ast
import subprocess
from functools import cache
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
PACKAGE = PROJECT / "src" / "hwnas"


@cache
def package_files() -> tuple[Path, ...]:
    return tuple(sorted(PACKAGE.rglob("*.py")))


@cache
def all_python_files() -> tuple[Path, ...]:
    folders = ("src", "tests", "benchmarks")
    return tuple(sorted(path for folder in folders for path in (PROJECT / folder).rglob("*.py")))


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    """ "hwnas.core.cost" -> "core"; "hwnas.compose" -> "compose"; the package itself -> ""."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


@cache
def imports_of(path: Path) -> frozenset[str]:
    """Every module that a file imports, wherever the import stands: in a function and for types alone, too."""
    own = module_name(path)
    package = own if path.name == "__init__.py" else own.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            found |= {_module_or_name(base, alias.name) for alias in node.names}
    return frozenset(found)


@cache
def modules() -> frozenset[str]:
    return frozenset(module_name(path) for path in package_files())


def _module_or_name(base: str, name: str) -> str:
    """What `from base import name` imports: base.name where that is a module, else base."""
    inner = f"{base}.{name}"
    return inner if inner in modules() else base


@cache
def tracked_texts() -> tuple[Path, ...]:
    """Every text file that belongs to the project, by git where there is one."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode == 0:
        paths = [PROJECT / line for line in listed.stdout.splitlines()]
    else:
        skipped = {".git", ".venv", "runs", "dist", "build", "__pycache__"}
        paths = [p for p in PROJECT.rglob("*") if not skipped & set(p.relative_to(PROJECT).parts)]
    endings = {".py", ".md", ".toml", ".yaml", ".yml", ".json", ".j2", ".css", ".txt", ".cfg", ""}
    return tuple(sorted(path for path in paths if path.is_file() and path.suffix in endings))
