"""The same in Python: `hwnas.fit(...)` and its smaller relatives. The command line calls these and prints."""

from typing import TYPE_CHECKING

from hwnas.core.on_demand import on_demand

if TYPE_CHECKING:
    from hwnas.api.fits import fit, fit_seeds, fit_several, search, train
    from hwnas.api.networks import describe, doctor, draw, export, measure, profile, to_timm, write_report
    from hwnas.api.tables import import_table

__all__ = [
    "describe", "doctor", "draw", "export", "fit", "fit_seeds", "fit_several", "import_table", "measure", "profile",
    "search", "to_timm", "train", "write_report",
]  # fmt: skip
_FITS, _TABLES = ("fit", "fit_seeds", "fit_several", "search", "train"), ("import_table",)
if not TYPE_CHECKING:  # mypy reads the imports above
    __getattr__ = on_demand(
        __name__,
        {n: f"hwnas.api.{'fits' if n in _FITS else 'tables' if n in _TABLES else 'networks'}" for n in __all__},
    )
