"""The same in Python: `hwnas.fit(...)` and its smaller relatives. The command line calls these and prints."""

from hwnas.api.fits import fit, fit_seeds, fit_several, search, train
from hwnas.api.networks import describe, doctor, draw, export, measure, profile, write_report

__all__ = [
    "describe", "doctor", "draw", "export", "fit", "fit_seeds", "fit_several", "measure", "profile", "search", "train",
    "write_report",
]  # fmt: skip
