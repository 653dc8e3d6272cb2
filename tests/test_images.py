"""Images: right pixels or one clear reason, whatever the file."""

import contextlib
import io
import os
import struct
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter, ImageOps

from probekit import images
from probekit.errors import ImageError

EXIF_ORIENTATION = 0x0112


def picture(width: int = 61, height: int = 43) -> Image.Image:
    """Noise, smoothed a little, so that JPEG has something to keep."""
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(noise).filter(ImageFilter.GaussianBlur(1.1))


def encode(image: Image.Image, format: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def pixels(data: bytes) -> np.ndarray:
    return images.decode(data).permute(1, 2, 0).numpy()


def pil_pixels(data: bytes) -> np.ndarray:
    return np.array(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))


def png(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    """A PNG file from its parts, for what PIL cannot write."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def png_16(values: np.ndarray) -> bytes:
    """uint16 (H, W, channels) as a PNG of 16 bits."""
    height, width, channels = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return png(width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], rows)


def sixteen_bits(channels: int) -> np.ndarray:
    return np.random.default_rng(channels).integers(0, 65536, (9, 7, channels), dtype=np.uint16)


def rounded(values: np.ndarray) -> np.ndarray:
    return np.rint(values.astype(np.float64) / 257).astype(np.uint8)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize(
    "options",
    [
        {"quality": 95},
        {"quality": 40, "subsampling": 2},
        {"quality": 75, "subsampling": 0},
        {"progressive": True},
        {"restart_marker_blocks": 2},
    ],
    ids=str,
)
def test_jpeg_pixels_are_those_of_pil(mode, options):
    data = encode(picture().convert(mode), "JPEG", **options)
    np.testing.assert_array_equal(pixels(data), pil_pixels(data))


@pytest.mark.parametrize("size", [(1, 1), (1, 17), (17, 1), (8, 8), (2, 3)])
def test_jpeg_pixels_of_odd_sizes_are_those_of_pil(size):
    data = encode(picture(*size), "JPEG")
    np.testing.assert_array_equal(pixels(data), pil_pixels(data))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_undone(format, orientation):
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    data = encode(picture(), format, exif=exif)
    got = pixels(data)
    assert got.shape == ((61, 43, 3) if orientation > 4 else (43, 61, 3))
    np.testing.assert_array_equal(got, pil_pixels(data))


@pytest.mark.parametrize("exif", [b"Exif\0\0II*\0garbage!", b"Exif\0\0", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"], ids=repr)
def test_an_unreadable_exif_block_means_upright(exif):
    data = encode(picture(), "JPEG", exif=exif)
    np.testing.assert_array_equal(pixels(data), pil_pixels(encode(picture(), "JPEG")))


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF"])
def test_alpha_is_dropped_and_not_composited(format):
    rgb = np.array(picture())
    alpha = np.full((*rgb.shape[:2], 1), 100, dtype=np.uint8)
    data = encode(Image.fromarray(np.dstack([rgb, alpha])), format, **({"lossless": True} if format == "WEBP" else {}))
    np.testing.assert_array_equal(pixels(data), rgb)


@pytest.mark.parametrize(("mode", "format"), [("L", "PNG"), ("L", "BMP"), ("LA", "PNG"), ("1", "PNG"), ("1", "TIFF")])
def test_grey_becomes_three_equal_channels(mode, format):
    grey = picture().convert("L").point(lambda value: 255 * (value > 120)) if mode == "1" else picture().convert("L")
    got = pixels(encode(grey.convert(mode), format))
    np.testing.assert_array_equal(got, np.repeat(np.array(grey)[..., None], 3, axis=2))


@pytest.mark.parametrize(
    ("format", "options"),
    [
        ("PNG", {}),
        ("PNG", {"transparency": 3}),
        ("PNG", {"transparency": bytes(range(16))}),
        ("GIF", {}),
        ("GIF", {"transparency": 3}),
    ],
    ids=str,
)
def test_palette_images_become_the_colours_of_their_palette(format, options):
    palette = picture().quantize(16)
    np.testing.assert_array_equal(pixels(encode(palette, format, **options)), np.array(palette.convert("RGB")))


def test_the_first_picture_of_an_animation_counts():
    first, second = picture().quantize(16), ImageOps.invert(picture()).quantize(16)
    data = encode(first, "GIF", save_all=True, append_images=[second])
    np.testing.assert_array_equal(pixels(data), np.array(first.convert("RGB")))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bit_png_is_divided_by_257_and_rounded(channels):
    values = sixteen_bits(channels)
    expected = rounded(values[..., :3] if channels >= 3 else values[..., [0, 0, 0]])
    np.testing.assert_array_equal(pixels(png_16(values)), expected)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("big_endian", [False, True])
def test_16_bit_tiff_is_divided_by_257_and_rounded(channels, big_endian):
    values = sixteen_bits(channels)
    data = tiff_16(values, ">" if big_endian else "<")
    expected = rounded(values[..., :3] if channels >= 3 else values[..., [0, 0, 0]])
    np.testing.assert_array_equal(pixels(data), expected)


def tiff_16(values: np.ndarray, order: str, photometric: int | None = None, orientation: int = 1) -> bytes:
    """uint16 (H, W, channels) as an uncompressed TIFF of one strip."""
    height, width, channels = values.shape
    strip = values.astype(order + "u2").tobytes()
    if photometric is None:
        photometric = 2 if channels >= 3 else 1
    tags = [
        (256, 4, [width]),
        (257, 4, [height]),
        (258, 3, [16] * channels),
        (259, 3, [1]),
        (262, 3, [photometric]),
    ]
    tags += [
        (273, 4, [8]),
        (274, 3, [orientation]),
        (277, 3, [channels]),
        (278, 4, [height]),
        (279, 4, [len(strip)]),
    ]
    if channels == 4:
        tags.append((338, 3, [2]))
    directory = 8 + len(strip)
    extra_at = directory + 2 + 12 * len(tags) + 4
    entries, extra = b"", b""
    for tag, kind, numbers in tags:
        content = struct.pack(f"{order}{len(numbers)}{'H' if kind == 3 else 'I'}", *numbers)
        if len(content) > 4:
            content, extra = struct.pack(f"{order}I", extra_at + len(extra)), extra + content
        entries += struct.pack(f"{order}HHI", tag, kind, len(numbers)) + content.ljust(4, b"\0")
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", directory)
    return head + strip + struct.pack(f"{order}H", len(tags)) + entries + struct.pack(f"{order}I", 0) + extra


def test_16_bit_tiff_whose_white_is_zero_is_not_a_negative():
    values = sixteen_bits(1)
    expected = rounded(65535 - values[..., [0, 0, 0]])
    np.testing.assert_array_equal(pixels(tiff_16(values, "<", photometric=0)), expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_16_bit_tiff_is_turned_upright(channels):
    values = sixteen_bits(channels)
    expected = np.rot90(rounded(values if channels == 3 else values[..., [0, 0, 0]]), k=-1)
    np.testing.assert_array_equal(pixels(tiff_16(values, "<", orientation=6)), expected)


def test_16_bit_png_is_turned_upright():
    values = sixteen_bits(3)
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = 6
    block = exif.tobytes().removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(block)) + b"eXIf" + block + struct.pack(">I", zlib.crc32(b"eXIf" + block))
    data = png_16(values)
    data = data[:33] + chunk + data[33:]  # after the header
    np.testing.assert_array_equal(pixels(data), np.rot90(rounded(values), k=-1))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 65535))
def test_the_16_bit_scale_is_exact(value):
    got = pixels(png_16(np.full((1, 1, 1), value, dtype=np.uint16)))
    assert got.ravel().tolist() == [round(value / 257)] * 3


def test_floating_point_pixels_are_refused_with_a_remedy():
    data = encode(Image.new("F", (4, 4), 0.1), "TIFF")
    with pytest.raises(ImageError, match="no fixed range: save them with 8 or 16 bits"):
        images.decode(data)


@pytest.mark.parametrize("kind", ["JPEG", "progressive", "PNG", "GIF", "WEBP", "TIFF", "BMP", "PNG-16"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.9, 0.97])
def test_a_truncated_file_is_an_error_and_never_half_an_image(kind, share):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8))
    match kind:
        case "progressive":
            data = encode(noise, "JPEG", progressive=True)
        case "PNG-16":
            data = png_16(np.random.default_rng(0).integers(0, 65536, (90, 90, 3), dtype=np.uint16))
        case _:
            data = encode(noise, kind)
    assert images.decode(data).shape[0] == 3
    with pytest.raises(ImageError):
        images.decode(data[: int(share * len(data))])


@pytest.mark.parametrize("lost", [1, 2, 50])
def test_a_jpeg_that_lost_its_last_bytes_is_truncated(lost):
    with pytest.raises(ImageError, match="truncated or damaged"):
        images.decode(encode(picture(), "JPEG")[:-lost])


def test_a_png_whose_pixels_were_altered_is_damaged():
    data = bytearray(encode(picture(), "PNG"))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(ImageError, match="truncated or damaged"):
        images.decode(bytes(data))


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "AVIF"]),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=4),
)
def test_flipped_bytes_end_in_pixels_or_in_an_image_error(format, flips):
    data = bytearray(encode(picture(16, 12), format))
    for place, bits in flips:
        data[int(place * len(data))] ^= bits
    with contextlib.suppress(ImageError):  # and in no other error
        assert images.decode(bytes(data), max_pixels=10**6).ndim == 3


@pytest.mark.skipif(sys.platform != "linux", reason="the memory of a process is limited as Linux does")
def test_running_out_of_memory_is_not_taken_for_damage(tmp_path):
    side = 12_000
    (tmp_path / "large.png").write_bytes(png(side, side, 8, 0, bytes(side * (side + 1))))
    code = (
        "import resource, sys, pathlib, torch, torchvision.io, numpy, PIL.PngImagePlugin; from probekit import images\n"
        "used = int(pathlib.Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()\n"
        "room = used + int(sys.argv[2]) * 2**20\n"
        "resource.setrlimit(resource.RLIMIT_AS, (room, room))\n"
        "try: images.load(pathlib.Path(sys.argv[1]))\n"
        "except (MemoryError, RuntimeError) as error: print(type(error).__name__)\n"
    )
    for megabytes in (50, 300, 900):  # for the grey pixels, for the colours, for the tensor
        command = [sys.executable, "-c", code, str(tmp_path / "large.png"), str(megabytes)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout.strip() in ("MemoryError", "RuntimeError"), megabytes


@pytest.mark.parametrize("mistake", [TypeError, IndexError, RuntimeError])
@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_a_mistake_of_this_module_is_not_taken_for_damage(mistake, format, monkeypatch):
    def fail(*_):
        raise mistake("ours")

    monkeypatch.setattr(images, "_upright", fail)
    with pytest.raises(mistake, match="ours"):
        images.decode(encode(picture(), format))


def test_remarks_on_broken_metadata_are_not_printed_from_any_thread(tmp_path):
    data = encode(picture(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff")
    (tmp_path / "odd.jpg").write_bytes(data)
    code = (
        "import sys, warnings, pathlib, concurrent.futures as c; from probekit import images\n"
        "warnings.simplefilter('always')\n"
        "with c.ThreadPoolExecutor(4) as pool: list(pool.map(images.load, [pathlib.Path(sys.argv[1])] * 16))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "odd.jpg")], capture_output=True, check=True)
    assert done.stderr == b""


def test_a_thumbnail_is_a_small_upright_jpeg(tmp_path):
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = 6
    (tmp_path / "a.jpg").write_bytes(encode(picture(), "JPEG", exif=exif))
    small = Image.open(io.BytesIO(images.thumbnail(images.load(tmp_path / "a.jpg"), 30)))
    assert (small.format, small.mode, small.size) == ("JPEG", "RGB", (21, 30))


def test_text_called_jpg_is_no_image(tmp_path):
    path = tmp_path / "notes.jpg"
    path.write_text("hello world")
    with pytest.raises(ImageError, match=r'notes\.jpg: the file is no image, it begins with "hello wo"'):
        images.load(path)
    with pytest.raises(ImageError, match=r"notes\.jpg: the file is no image"):
        images.inspect(path)


def test_an_empty_file_is_called_empty(tmp_path):
    path = tmp_path / "a.png"
    path.touch()
    for read in (images.read_bytes, images.load, images.inspect):
        with pytest.raises(ImageError, match=r"a\.png: the file is empty \(0 bytes\)"):
            read(path)
    with pytest.raises(ImageError, match=r"^the file is empty"):
        images.decode(b"")


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    for read in (images.read_bytes, images.inspect):
        with pytest.raises(ImageError, match=r"gone\.png: there is no such file"):
            read(tmp_path / "gone.png")
        with pytest.raises(ImageError, match="it is a folder, not an image"):
            read(tmp_path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_permission_says_what_to_do(tmp_path):
    path = tmp_path / "secret.png"
    path.write_bytes(encode(picture(), "PNG"))
    path.chmod(0)
    with pytest.raises(ImageError, match="change its permissions"):
        images.read_bytes(path)


def bomb(width: int = 30_000, height: int = 30_000) -> bytes:
    return png(width, height, 8, 2, b"\0" * 1000)


def test_a_bomb_is_refused_by_its_header():
    for look in (images.decode, images.inspect):
        with pytest.raises(ImageError, match="30000 × 30000 pixels exceed the limit of 178,956,970: make"):
            look(bomb())


def test_below_the_limit_a_large_header_neither_warns_nor_is_refused():
    assert Image.MAX_IMAGE_PIXELS is not None
    header = images.inspect(bomb(13_000, 13_000))
    assert (header.width, header.height) == (13_000, 13_000)
    assert header.width * header.height > Image.MAX_IMAGE_PIXELS


def test_the_limit_is_an_argument():
    data = encode(picture(10, 10), "PNG")
    assert images.decode(data, max_pixels=100).shape == (3, 10, 10)
    with pytest.raises(ImageError, match="10 × 10 pixels exceed the limit of 99"):
        images.decode(data, max_pixels=99)


@pytest.mark.parametrize("name", ["a.b.PNG", "Ünïcode 图像.png", "no-extension", "wrong.jpg"])
def test_names_do_not_matter(tmp_path, name):
    path = tmp_path / name
    picture().save(path, "PNG")
    np.testing.assert_array_equal(images.load(path).permute(1, 2, 0).numpy(), np.array(picture()))


@pytest.mark.parametrize(
    ("format", "mode"),
    [("JPEG", "RGB"), ("JPEG", "CMYK"), ("PNG", "RGBA"), ("PNG", "P"), ("GIF", "P"), ("TIFF", "L")],
)
def test_a_header_is_read_from_bytes_and_from_a_file(tmp_path, format, mode):
    data = encode(picture().convert(mode), format)
    (tmp_path / "a").write_bytes(data)
    expected = images.ImageHeader(format, mode, 61, 43)
    assert images.inspect(data) == images.inspect(tmp_path / "a") == expected


def test_a_header_is_read_without_the_pixels():
    data = encode(picture(300, 200), "JPEG")
    assert images.inspect(data[:1000]) == images.ImageHeader("JPEG", "RGB", 300, 200)


def test_many_threads_decode_the_same_pixels():
    files = [encode(picture(64 + i, 40), format) for i in range(6) for format in ("JPEG", "PNG")] * 4
    with ThreadPoolExecutor(8) as pool:
        for data, got in zip(files, pool.map(pixels, files), strict=True):
            np.testing.assert_array_equal(got, pil_pixels(data))


def test_pixels_are_contiguous_and_own_their_memory():
    for data in (encode(picture(), "JPEG"), encode(picture(), "PNG"), png_16(sixteen_bits(1))):
        decoded = images.decode(data)
        assert decoded.is_contiguous()
        decoded.add_(1)  # a shared or read-only buffer would fail or warn here


def test_real_pictures_have_the_pixels_of_pil(shared_data):
    paths = sorted(path for path in (shared_data / "images").rglob("*") if path.suffix.lower() in images.EXTENSIONS)
    assert len(paths) > 100
    for path in paths[::40]:
        data = images.read_bytes(path)
        np.testing.assert_array_equal(pixels(data), pil_pixels(data), err_msg=str(path))


def test_the_module_loads_no_heavy_library():
    modules = "probekit.images, probekit.views, probekit.manifest, probekit.layouts"
    code = f"import sys, {modules}; print(sorted(sys.modules))"
    here = Path(__file__).resolve().parents[1]
    run = subprocess.run([sys.executable, "-c", code], cwd=here, capture_output=True, text=True, check=True)
    for library in ("'torch'", "'torchvision'", "'PIL'", "'cv2'", "'sklearn'"):
        assert library not in run.stdout
