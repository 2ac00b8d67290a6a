"""What is refused before ncnn sees it: every change of a text that makes it other than what is written."""

from __future__ import annotations

import io
import random
import zipfile

import numpy as np
import pytest

from hwnas.core.errors import FileFormatError
from hwnas.formats.arrays import random_arrays
from hwnas.formats.ncnn_file import BIN, PARAM, archive, to_ncnn
from hwnas.formats.ncnn_reading import read_ncnn
from hwnas.testing.engines import networks

MOBILE, TREE = (networks()[name] for name in ("mobile", "tree"))
FILE = to_ncnn(MOBILE, random_arrays(MOBILE, 0))


def parts(file: bytes = FILE) -> tuple[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(file)) as packed:
        return packed.read(PARAM).decode(), packed.read(BIN)


def refused(text: str, weights: bytes) -> str:
    with pytest.raises(FileFormatError) as caught:
        read_ncnn(archive(text, weights))
    return str(caught.value)


def test_a_cut_file_and_a_flipped_bit_are_noticed() -> None:
    rng = random.Random(0)
    for _ in range(60):
        at = rng.randrange(len(FILE))
        with pytest.raises(FileFormatError):
            read_ncnn(FILE[:at])
        flipped = bytearray(FILE)
        flipped[at] ^= 1 << rng.randrange(8)
        try:
            found = read_ncnn(bytes(flipped))
        except FileFormatError:
            continue
        assert (found.param.decode(), found.weights) == parts()  # a date, or the like
    for nothing in (b"", b"PK", bytes(1000), b"7767517\n"):
        with pytest.raises(FileFormatError, match="no ncnn file"):
            read_ncnn(nothing)


def packed(*entries: tuple[str, bytes], kind: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", kind) as archived:
        for name, content in entries:
            archived.writestr(name, content)
    return file.getvalue()


def test_other_archives_are_refused() -> None:
    text, weights = parts()
    entries = (PARAM, text.encode()), (BIN, weights)
    assert read_ncnn(packed(*entries)).weights == weights
    for file in (
        packed(entries[0]),
        packed(*entries, ("more", b"")),
        packed(*reversed(entries)),
    ):
        with pytest.raises(FileFormatError, match="an archive of"):
            read_ncnn(file)
    with pytest.raises(FileFormatError, match="compressed"):  # a small file could become an endless one
        read_ncnn(packed(*entries, kind=zipfile.ZIP_DEFLATED))
    with pytest.raises(FileFormatError, match="no text"):
        read_ncnn(packed((PARAM, b"\xff\xfe"), entries[1]))


def test_weights_that_do_not_fit_the_text_are_refused() -> None:
    text, weights = parts()
    assert "line 29: model.bin ends before its weights" in refused(text, weights[:-4])
    assert f"has {len(weights) + 4:,} bytes" in refused(text, weights + bytes(4))
    assert "line 4: its weight is not in f32" in refused(text, b"\x47\x6b\x30\x01" + weights[4:])


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("7767517", "7767518", "begins with 7767517"),
        ("27 30", "28 30", "is not whole"),
        ("27 30", "27 31", "is not whole"),
        ("gate.act 0=1.66666667e-01 1=0.5", "gate.act 0=1.66666667e-01 1=0.6", "line 26: no layer"),
        ("BinaryOp", "Eltwise", "no layer 'Eltwise 0=0'"),
        ("images stem.bn 0=8", "images stem.bn 0=9", "line 4: a weight of 216 values does not fit"),
        ("6=216", "6=432", "line 4: a weight of 432 values does not fit"),
        ("0=14 1=18 2=3", "0=14 1=18 2=1", "line 4: a weight of 216 values does not fit"),
        ("0=14 1=18 2=3", "0=14 1=99999 2=99", "line 3: a value of (99, 99999, 14) is empty or too large"),
        ("0=14 1=18 2=3", "0=0 1=18 2=3", "is empty or too large"),
        ("7=24", "7=0", "cannot split 24 and 24 channels by 0"),
        ("7=24", "7=5", "cannot split 24 and 24 channels by 5"),
        ("3=2 4=2", "3=0 4=2", "cannot move by 0"),
        ("4=2 14=2", "4=99999 14=2", "a padding of 2 and 99999"),
        ("2=1 3=2", "2=0 3=2", "a dilation of 0"),
        ("4=1 14=1 5=1 6=216", "4=-1 14=1 5=1 6=216", "are not those of such a layer"),
        ("5=1 6=216", "5=1 6=216 19=1", "are not those of such a layer"),
        ("5=1 6=216", "6=216 5=1", "are not those of such a layer"),
        ("1 1 images stem.bn", "1 1 image stem.bn", "blob 'image' is not there to be read"),
        ("2 1 same.project.bn down.project.bn.1", "2 1 same.project.bn down.project.bn.0", "is not there to be read"),
        ("2 1 same.project.bn down.project.bn.1", "2 1 same.project.bn same.project.bn", "as no layer does"),
        ("1 2 down.project.bn", "1 1 down.project.bn", "no layer 'Split down.project.bn.1'"),
        ("1 1 images stem.bn", "1 2 images stem.bn other", "as no layer does"),
        ("stem.conv 1 1", "stem\tconv 1 1", "is no layer"),  # one word to us, two to ncnn
        ("stem.conv 1 1", "stem\0conv 1 1", "is no layer"),
        ("stem.conv 1 1", f"{'x' * 256} 1 1", "is no layer"),
        ("stem.conv 1 1", "stem.conv 1  1", "is no layer"),
        ("excite.se.gate 0=48", "excite.se.gate 0=24", "a weight of 192 values does not fit values of (4,)"),
        ("InnerProduct excite.se.reduce", "Convolution excite.se.reduce", "are not those of such a layer"),
        ("Pooling classifier.pool 1 1 gate.act classifier.pool 0=1 4=1\n", "", "blob 'classifier.pool' is not there"),
        (" scores ", " points ", "is not whole"),
    ],
)  # fmt: skip
def test_a_changed_text_is_refused(old: str, new: str, reason: str) -> None:
    text, weights = parts()
    assert old in text and reason in refused(text.replace(old, new, 1), weights)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("-23309=1,6 -23310=1,12", "-23309=1,6 -23310=1,13"),
        ("-23309=1,6 -23310=1,12", "-23309=1,12 -23310=1,6"),
        ("-23311=1,0", "-23311=1,1"),
        ("-23309=1,6", "-23309=2,6"),
        ("shuffle 0=2", "shuffle 0=0"),
        ("shuffle 0=2", "shuffle 0=5"),
        ("8=16", "8=17"),
        ("tree.in.bn 0=8", "tree.in.bn 0=4"),
        ("1=1.00000000e-05", "1=nan"),
    ],
)
def test_a_changed_tree_is_refused(old: str, new: str) -> None:
    text, weights = parts(to_ncnn(TREE, random_arrays(TREE, 0)))
    assert old in text and refused(text.replace(old, new, 1), weights)


def test_names_need_not_be_ascii() -> None:
    text, weights = parts()
    named = text.replace("stem", "tronco·α")
    assert read_ncnn(archive(named, weights)).param == named.encode()
    assert np.prod(read_ncnn(FILE).output_shape) == 7
