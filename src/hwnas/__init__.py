"""hwnas: neural networks made to measure for the hardware they run on.

import hwnas
result = hwnas.fit("photos", budget="1.5ms", out="runs/mine")

Every name below is loaded when it is first used, so that `import hwnas` costs nothing.
"""

from typing import TYPE_CHECKING

from hwnas.core.on_demand import on_demand

if TYPE_CHECKING:
    from hwnas.api import (
        compare,
        describe,
        doctor,
        draw,
        export,
        fit,
        fit_seeds,
        fit_several,
        import_table,
        measure,
        profile,
        search,
        search_table,
        to_timm,
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
    "compare",
    "describe",
    "doctor",
    "draw",
    "export",
    "fit",
    "fit_seeds",
    "fit_several",
    "import_table",
    "measure",
    "profile",
    "search",
    "search_table",
    "to_timm",
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


if not TYPE_CHECKING:  # mypy reads the imports above
    __getattr__ = on_demand(
        __name__,
        {n: _VALUES.get(n, "hwnas.core.errors" if n[0].isupper() else "hwnas.api") for n in __all__},
    )


def __dir__() -> list[str]:
    return [*globals(), *__all__]
