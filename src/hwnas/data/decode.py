"""Reading one image safely: any of the common formats and sizes, grey or colour, into a square of bytes."""

from __future__ import annotations

import statistics
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from hwnas.core.errors import DataError

Result = TypeVar("Result")
Pixels = NDArray[np.uint8]
# What photographs and data sets come in. Pillow knows forty more, and each is a parser that a hostile file may reach
# under any name: EPS starts Ghostscript, FITS unpacks without a limit.
_READ = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "JPEG2000", "AVIF")
MOST_PIXELS = 8192 * 6144  # a camera of 50 megapixels; decoding takes up to nine bytes a pixel
_MOST_SCANS = 100  # encoders write about ten; each passes over all pixels again, and may take a few bytes only
_SURVEY_IMAGES = 1000
_SHOWN = "JPEG, PNG, WebP, BMP, GIF, TIFF, PPM, JPEG 2000 and AVIF"


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """What every image is brought to.

    Args:
        channels: 1 (grey) or 3 (red, green, blue).
        side: height and width in pixels.
    """

    channels: int
    side: int


@dataclass(frozen=True, slots=True)
class Header:
    """What an image file says about itself before it is decoded."""

    width: int
    height: int
    grey: bool


@cache
def readable_formats() -> tuple[str, ...]:
    """The formats that are read, in Pillow's names: those of its build, in the order in which they are tried."""
    Image.init()
    return tuple(name for name in _READ if name in Image.OPEN)


@cache
def readable_suffixes() -> frozenset[str]:
    """The file name endings of those formats, in lower case and with the dot."""
    known = set(readable_formats())
    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in known)


def read_header(file: Path | bytes, name: str) -> Header:
    """Size and kind of an image, without decoding it.

    Args:
        file: path or encoded bytes.
        name: what the message calls it.

    Raises:
        DataError: not an image, or one of more than MOST_PIXELS.
    """
    return _with_image(file, name, lambda image: Header(*image.size, is_grey(image)))


def read_pixels(file: Path | bytes, name: str, wanted: PixelFormat) -> Pixels:
    """Decodes an image, turned upright, its shorter side resized to `wanted.side` and its centre cut out.

    Transparency is dropped. 16-bit grey images keep their upper eight bits. Of several frames the first counts.

    Args:
        file: path or encoded bytes.
        name: what the message calls it.
        wanted: channels and side of the result.

    Returns:
        uint8 array of shape (side, side, channels).

    Raises:
        DataError: not an image, damaged, or one of more than MOST_PIXELS.
    """

    def decode(image: Image.Image) -> Pixels:
        # A JPEG can be decoded at a fraction of its size; twice the wanted side keeps the resize free of aliasing.
        image.draft(None, (2 * wanted.side, 2 * wanted.side))
        _check_scans(image)
        ImageOps.exif_transpose(image, in_place=True)
        return fit(image, wanted)

    return _with_image(file, name, decode)


def fit(image: Image.Image, wanted: PixelFormat) -> Pixels:
    """Brings a decoded image to the wanted channels and side: shorter side resized, centre cut out.

    Returns:
        uint8 array of shape (side, side, channels).

    Raises:
        ValueError: pixels of a kind whose brightest value is not known (32-bit or floating point).
    """
    image = _in_mode(image, "L" if wanted.channels == 1 else "RGB")
    width, height = image.size
    if (width, height) != (wanted.side, wanted.side):
        # One resize out of the central square: the same pixels, and a 1 x 100,000 image does not grow on the way.
        short = min(width, height)
        left, top = (width - short) // 2, (height - short) // 2
        box = (left, top, left + short, top + short)
        image = image.resize((wanted.side, wanted.side), Image.Resampling.BILINEAR, box=box)
    return np.asarray(image, dtype=np.uint8).reshape(wanted.side, wanted.side, wanted.channels)


def fit_all(images_NHWC: Pixels, side: int) -> Pixels:
    """Brings an array of images, shape (N, H, W, 1 or 3), to (N, side, side, 1 or 3)."""
    channels = images_NHWC.shape[3]
    if images_NHWC.shape[1:3] == (side, side):
        return images_NHWC
    fitted = np.empty((len(images_NHWC), side, side, channels), np.uint8)
    for row, pixels in enumerate(images_NHWC):
        image = Image.fromarray(np.ascontiguousarray(pixels[:, :, 0] if channels == 1 else pixels))
        fitted[row] = fit(image, PixelFormat(channels, side))
    return fitted


def survey(count: int, header: Callable[[int], Header], resolution: int | None, skip_bad: bool) -> PixelFormat:
    """Chooses channels and side from up to 1,000 images, evenly spaced.

    Three channels, unless every image looked at is grey. Without a resolution, images that are all the same square of
    16 to 224 pixels keep their size; otherwise the median shorter side m decides: 32 if m < 48, 64 if m < 96, 128 if
    m < 192, else 224.

    Args:
        count: number of images, 1 or more.
        header: reads the header of one image, by number.
        resolution: the side, where the caller has chosen.
        skip_bad: pass over unreadable images.

    Raises:
        DataError: an image cannot be read, or with `skip_bad` none of those looked at can.
    """
    headers: list[Header] = []
    for row in np.unique(np.linspace(0, count - 1, min(count, _SURVEY_IMAGES)).astype(np.int64)).tolist():
        try:
            headers.append(header(row))
        except DataError:
            if not skip_bad:
                raise
    if not headers:
        raise DataError(f"none of {count} images can be read: expected {_SHOWN}")
    channels = 1 if all(found.grey for found in headers) else 3
    return PixelFormat(channels, resolution or _default_side(headers))


def _default_side(headers: Sequence[Header]) -> int:
    sizes = {(found.width, found.height) for found in headers}
    width, height = next(iter(sizes))
    if len(sizes) == 1 and width == height and 16 <= width <= 224:
        return width
    middle = statistics.median(min(found.width, found.height) for found in headers)
    return 32 if middle < 48 else 64 if middle < 96 else 128 if middle < 192 else 224


def _with_image(file: Path | bytes, name: str, use: Callable[[Image.Image], Result]) -> Result:
    try:
        with _strict():
            source: Any = BytesIO(file) if isinstance(file, bytes) else file
            with Image.open(source, formats=readable_formats()) as image:
                return use(image)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise DataError(
            f"image {name} has more than {MOST_PIXELS:,} pixels: make it smaller, or leave bad images out with "
            "--skip-bad"
        ) from None
    except UnidentifiedImageError:
        reason = f"it is none of {_SHOWN}"
    except Exception as error:  # decoders raise anything at all on damaged or hostile files
        reason = str(error) or type(error).__name__
    raise DataError(f"image {name} cannot be read ({reason}): replace it, or leave bad images out with --skip-bad")


@contextmanager
def _strict() -> Iterator[None]:
    """Within, Pillow takes no image of more than MOST_PIXELS, also where it lies in another, as in an icon."""
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = min(before or MOST_PIXELS, MOST_PIXELS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # remarks on odd metadata, one for every image
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _check_scans(image: Image.Image) -> None:
    """Refuses a JPEG of 50 kB that would take minutes."""
    if image.format in ("JPEG", "MPO"):
        file: Any = image.fp  # type: ignore[attr-defined]
        place = file.tell()
        file.seek(0)
        scans = file.read().count(b"\xff\xda")
        file.seek(place)
        if scans > _MOST_SCANS:
            raise ValueError(f"it has {scans:,} scans, and at most {_MOST_SCANS} are read")


def is_grey(image: Image.Image) -> bool:
    """Whether an image holds one channel, with or without transparency."""
    return image.mode in ("1", "L", "LA") or image.mode.startswith("I;16")


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    if image.mode in ("I", "F"):
        raise ValueError(f"its pixels are of kind {image.mode!r}, 32 bits with no known range; 8 or 16 are expected")
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA")  # the palette's colours, whether or not some are transparent
    return image if image.mode == mode else image.convert(mode)
