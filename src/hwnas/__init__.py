"""hwnas: neural networks made to measure for the hardware they run on.

import hwnas
result = hwnas.fit("photos", budget="1.5ms", out="runs/mine")

Every name below is loaded when it is first used, so that `import hwnas` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hwnas.api import (
        describe,
        doctor,
        draw,
        export,
        fit,
        fit_seeds,
        fit_several,
        measure,
        profile,
        search,
        train,
        write_report,
    )
    from hwnas.core.architecture import Architecture
    from hwnas.core.cost import Budget, Cost
    from hwnas.core.errors import (
        BudgetError,
        DataError,
        EvaluationFailed,
        FileFormatError,
        HwnasError,
        InputError,
        RunError,
        TargetUnavailable,
        UnknownLayer,
        UnknownName,
    )
    from hwnas.core.network import NetworkSpec, Node

__all__ = [
    "Architecture",
    "Budget",
    "BudgetError",
    "Cost",
    "DataError",
    "EvaluationFailed",
    "FileFormatError",
    "HwnasError",
    "InputError",
    "NetworkSpec",
    "Node",
    "RunError",
    "TargetUnavailable",
    "UnknownLayer",
    "UnknownName",
    "describe",
    "doctor",
    "draw",
    "export",
    "fit",
    "fit_seeds",
    "fit_several",
    "measure",
    "profile",
    "search",
    "train",
    "write_report",
]
# Functions are in the api; these are elsewhere, and every other capitalised name is an error.
_VALUES = {
    "Architecture": "hwnas.core.architecture",
    "Budget": "hwnas.core.cost",
    "Cost": "hwnas.core.cost",
    "NetworkSpec": "hwnas.core.network",
    "Node": "hwnas.core.network",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'hwnas' has no attribute {name!r}")
    home = _VALUES.get(name, "hwnas.core.errors" if name[0].isupper() else "hwnas.api")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
