"""The same in Python: `hwnas.fit(...)` and its smaller relatives. The command line calls these and prints."""

from typing import TYPE_CHECKING

from hwnas.core.on_demand import on_demand

if TYPE_CHECKING:
    from hwnas.api.comparisons import compare
    from hwnas.api.fits import fit, search, train
    from hwnas.api.networks import describe, doctor, draw, export, measure, profile, to_timm, write_report
    from hwnas.api.several import fit_seeds, fit_several
    from hwnas.api.tables import import_table, search_table

__all__ = [
    "compare", "describe", "doctor", "draw", "export", "fit", "fit_seeds", "fit_several", "import_table", "measure",
    "profile", "search", "search_table", "to_timm", "train", "write_report",
]  # fmt: skip
_HOMES = {
    "comparisons": ("compare",),
    "fits": ("fit", "search", "train"),
    "networks": ("describe", "doctor", "draw", "export", "measure", "profile", "to_timm", "write_report"),
    "several": ("fit_seeds", "fit_several"),
    "tables": ("import_table", "search_table"),
}
if not TYPE_CHECKING:  # mypy reads the imports above
    __getattr__ = on_demand(__name__, {name: f"hwnas.api.{home}" for home, names in _HOMES.items() for name in names})
