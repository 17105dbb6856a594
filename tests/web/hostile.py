"""Files that no honest client sends; shared with ``benchmarks/service_load.py``."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
import zlib

import numpy as np
from PIL import Image
from tests.web.served import encoded, picture


class Executed:
    """Whoever unpickles it runs a command."""

    def __reduce__(self):
        return (exec, ("raise SystemExit('a pickle was executed')",))


def chunk(kind, data):
    """Return a chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_bomb(side):
    """Return a few bytes that promise an image of so many rows and columns."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + (chunk(b"IEND", b""))
    )


def tiff_chain(pages):
    """Return a TIFF whose pages go on and on."""
    parts = [b"II*\0" + struct.pack("<I", 8)]
    parts += [struct.pack("<HI", 0, 8 + 6 * (number + 1)) for number in range(pages)]
    return b"".join(parts)


def tiff_bands(side, pages):
    """Return a TIFF whose pages, one for each band, all show the same few bytes."""
    data = zlib.compress(bytes(side * side), 9)
    data += bytes(len(data) % 2)
    tags = ((256, side), (257, side), (258, 8), (259, 8), (262, 1), (273, 8), (277, 1),
            (278, side), (279, len(data)))  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    parts, place = [b"II*\0" + struct.pack("<I", 8 + len(data)) + data], 8 + len(data)
    for left in reversed(range(pages)):
        place += 2 + len(entries) + 4
        parts.append(struct.pack("<H", len(tags)) + entries + struct.pack("<I", place * (left > 0)))
    return b"".join(parts)


def text_bomb():
    """Return a PNG whose comment is small until it is unpacked."""
    good = encoded(picture(8, 8))
    comment = chunk(b"zTXt", b"comment\0\0" + zlib.compress(bytes(20_000_000), 1))
    return good[:33] + comment + good[33:]


def array(values):
    """Return an array as a file."""
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=True)
    return buffer.getvalue()


def promised_array(shape):
    """Return the header of an array of which nothing follows."""
    buffer = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, header)
    return buffer.getvalue()


def zipped():
    """Return an archive with a name that leads elsewhere."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("../../image.png", encoded(picture(8, 8)))
    return buffer.getvalue()


def not_images() -> dict[str, bytes]:
    """Return what is no image; all of it is answered with 415."""
    svg = b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>"
    return {
        "empty": b"",
        "one byte": b"\x89",
        "text": b"hello",
        "zeros": bytes(10_000),
        "svg": svg,
        "xml entities": b'<!DOCTYPE a [<!ENTITY b "bbbb">]><a>&b;</a>',
        "html": b"<html><script>alert(1)</script></html>",
        "pickle": pickle.dumps(Executed()),
        "zip": zipped(),
        "gzip": zlib.compress(encoded(picture(8, 8)), wbits=31),
        "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file\n",
        "pdf": b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj",
        "elf": b"\x7fELF\x02\x01\x01" + bytes(64),
        "url": b"http://127.0.0.1:1/image.png",
        "path": b"/etc/passwd",
        "icns": b"icns" + struct.pack(">I", 16) + bytes(8),
        "psd": b"8BPS\0\1" + bytes(40),
        "json": b'{"image": "file:///etc/passwd"}',
        "polyglot": zipped() + encoded(picture(8, 8)),
    }


def damaged() -> dict[str, bytes]:
    """Return images that are broken, or too large; all are answered with 413 or 422."""
    png, jpeg = encoded(picture(40, 40)), encoded(picture(40, 40), "JPEG")
    return {
        "png bomb": png_bomb(50_000),
        "png of no rows": png_bomb(0),
        "png without data": png_bomb(100),
        "png signature": png[:8],
        "truncated png": png[: len(png) // 2],
        "truncated jpeg": jpeg[: len(jpeg) // 2],
        "jpeg header": jpeg[:20],
        "webp length": b"RIFF\xff\xff\xff\xffWEBPVP8 " + bytes(40),
        "gif header": b"GIF89a\xff\xff\xff\xff\0\0\0",
        "bmp promise": b"BM" + struct.pack("<IHHIIiiHHI", 54, 0, 0, 54, 40, 7000, -7000, 1, 24, 0),
        "ppm promise": b"P6 7000 7000 255\n\0",
        "ppm numbers": b"P6 99999999999999999999 1 255\n",
        "comment bomb": text_bomb(),
        "tiff of nothing": b"II*\0" + bytes(4),
        "tiff elsewhere": b"II*\0\xff\xff\xff\xff",
        "tiff loop": b"II*\0" + struct.pack("<IHI", 8, 0, 8),
        "tiff chain": tiff_chain(100_000),
        "tiff bands": tiff_bands(2000, 256),
        "big tiff": b"II+\0\x08\0\0\0" + b"\xff" * 8,
        "pickled array": array(np.array([Executed()], dtype=object)),
        "promised array": promised_array((10**7, 10**7, 3)),
        "negative array": promised_array((-5, 5, 3)),
        "array of text": array(np.full((2, 3), "x")),
        "array of nan": array(np.full((2, 3, 3), np.nan, np.float32)),
        "array of four axes": array(np.zeros((2, 2, 2, 2), np.uint8)),
        "array of nothing": array(np.zeros((0, 3, 3), np.uint8)),
    }


def odd_but_good() -> dict[str, bytes]:
    """Return images that are strange and can be segmented all the same."""
    image = Image.fromarray(picture(24, 24))
    frames = [Image.new("P", (24, 24), i % 7) for i in range(100)]
    exif = Image.Exif()
    exif[0x010E] = "<script>alert(1)</script>" * 2000
    exif[0x0112] = 77
    return {
        "palette": encoded(image.quantize(7)),
        "one bit": encoded(image.convert("1")),
        "grey and alpha": encoded(image.convert("LA")),
        "cmyk": encoded(image.convert("CMYK"), "JPEG"),
        "many frames": encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "long exif": encoded(image, "JPEG", exif=exif),
        "with a zip behind": encoded(image) + zipped(),
        "with a script behind": encoded(image, "GIF") + b"<script>alert(1)</script>",
        "one pixel": encoded(picture(1, 1)),
        "thin": encoded(picture(1, 3000)),
    }
