"""What a caller may ask of a data source, checked once."""

from __future__ import annotations

from dataclasses import dataclass

from hwnas.core.errors import InputError, UnknownName

AUGMENTATIONS = ("none", "shift", "shift-flip", "affine")
SMALLEST_SIDE, LARGEST_SIDE = 8, 1024


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How images are read and split.

    Args:
        resolution: side of the square images in pixels, 8 to 1024; None lets the source decide.
        search_share: share of the training images held out for the search, above 0 and below 1.
        test_share: share of all images held out for the test where the source has no test split, above 0 and below 1.
        augmentation: one of AUGMENTATIONS; None lets the source decide.
        skip_bad: leave unreadable images out and count them, instead of stopping.
        workers: processes that decode image files; 0 decodes in this one.
        memory_limit_mb: largest decoded size, in MiB, that is held in memory.

    Raises:
        InputError: a value is out of its range; the message gives the range.
    """

    resolution: int | None = None
    search_share: float = 0.15
    test_share: float = 0.2
    augmentation: str | None = None
    skip_bad: bool = False
    workers: int = 0
    memory_limit_mb: int = 2048

    def __post_init__(self) -> None:
        if self.resolution is not None and not SMALLEST_SIDE <= self.resolution <= LARGEST_SIDE:
            raise InputError(f"resolution {self.resolution} is not between {SMALLEST_SIDE} and {LARGEST_SIDE} pixels")
        for name, share in (("search_share", self.search_share), ("test_share", self.test_share)):
            if not 0 < share < 1:
                raise InputError(f"{name} {share} must be above 0 and below 1, for example 0.15")
        if self.augmentation is not None and self.augmentation not in AUGMENTATIONS:
            raise UnknownName("augmentation", self.augmentation, AUGMENTATIONS)
        if self.workers < 0:
            raise InputError(f"workers {self.workers} must be 0 (decode in this process) or more")
        if self.memory_limit_mb < 1:
            raise InputError(f"memory_limit_mb {self.memory_limit_mb} must be 1 or more")

    def fits_memory(self, size_bytes: int) -> bool:
        """Whether that many bytes of pixels may be held in memory."""
        return size_bytes <= self.memory_limit_mb * 2**20
