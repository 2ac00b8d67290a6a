"""The same in Python: `hwnas.fit(...)` and its smaller relatives. The command line calls these and prints."""

from typing import TYPE_CHECKING

from hwnas.core.on_demand import on_demand

if TYPE_CHECKING:
    from hwnas.api.fits import fit, fit_seeds, fit_several, search, train
    from hwnas.api.networks import describe, doctor, draw, export, measure, profile, write_report

__all__ = [
    "describe", "doctor", "draw", "export", "fit", "fit_seeds", "fit_several", "measure", "profile", "search", "train",
    "write_report",
]  # fmt: skip
_FITS = ("fit", "fit_seeds", "fit_several", "search", "train")
if not TYPE_CHECKING:  # mypy reads the imports above
    __getattr__ = on_demand(
        __name__, {name: f"hwnas.api.{'fits' if name in _FITS else 'networks'}" for name in __all__}
    )
