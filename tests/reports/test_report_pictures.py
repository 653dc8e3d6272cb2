"""Pictures as the page carries them, and what the page weighs."""

import base64
import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from probekit import reports
from probekit.errors import RunError
from probekit.reports.pictures import MOST_WIDTH, embedded

from . import run_folders


def photographs(width=2200, height=1000, seed=0):
    """Coarse noise made smooth: as many colours and as little flat ground as a sheet of photographs."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (height // 20, width // 20, 3), dtype=np.uint8))
    return coarse.resize((width, height), Image.Resampling.BICUBIC)


def drawing(width, height):
    """Lines of several colours with soft edges on white."""
    image = Image.new("RGB", (2 * width, 2 * height), "white")
    for i in range(10):
        ImageDraw.Draw(image).line([(0, i * 150), (2 * width, 2 * height - i * 90)], fill=(25 * i, 90, 200), width=6)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def saved(path, image, **options):
    image.save(path, **options)
    return path


def carried(picture):
    return Image.open(io.BytesIO(base64.b64decode(picture.uri.split(",")[1])))


def test_photographs_become_webp_no_wider_than_the_page_shows(tmp_path):
    path = saved(tmp_path / "sheet.png", photographs(), dpi=(200, 200))
    picture = embedded(path)
    shown = carried(picture)
    assert shown.format == "WEBP"
    assert shown.width == MOST_WIDTH
    assert len(picture.uri) < 0.25 * path.stat().st_size
    assert (picture.width, picture.height) == (round(2200 * 96 / 200), round(1000 * 96 / 200))


def test_a_drawing_keeps_its_lines_and_colours(tmp_path):
    path = saved(tmp_path / "curve.png", drawing(1400, 900), dpi=(200, 200))
    picture = embedded(path)
    shown, drawn = (np.asarray(image.convert("RGB"), float) for image in (carried(picture), Image.open(path)))
    assert np.abs(shown - drawn).mean() < 0.5
    assert np.abs(shown - drawn).max() < 64
    assert len(picture.uri) * 3 / 4 < path.stat().st_size


def test_a_small_picture_and_a_vector_drawing_are_carried_as_they_are(tmp_path):
    small, vector = tmp_path / "small.png", tmp_path / "map.svg"
    small.write_bytes(run_folders.picture())
    vector.write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    for path, media in ((small, "image/png"), (vector, "image/svg+xml")):
        assert embedded(path).uri == f"data:{media};base64,{base64.b64encode(path.read_bytes()).decode()}"
    assert embedded(tmp_path / "map.html") is None


def test_a_transparent_ground_stays_transparent(tmp_path):
    image = photographs(600, 400).convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    shown = carried(embedded(saved(tmp_path / "clear.png", image)))
    assert shown.mode == "RGBA"
    assert np.asarray(shown)[0, 0, 3] == 0


def test_a_torn_picture_is_one_clear_line(tmp_path):
    torn = tmp_path / "torn.png"
    torn.write_bytes(run_folders.picture(size=(400, 400))[:60])
    with pytest.raises(RunError, match=r"torn\.png cannot be read .*run the command again"):
        embedded(torn)


def test_a_report_with_contact_sheets_stays_small(tmp_path):
    file = io.BytesIO()
    photographs(seed=1).save(file, "PNG")
    sheets = {f"sheet-{i}": file.getvalue() for i in range(2)}
    folder = run_folders.write_run(tmp_path, "retrieve", {"runs": [run_folders.retrieval()]}, figures=sheets)
    page = reports.build([*run_folders.demo(tmp_path), folder])
    assert len(file.getvalue()) > 1.5e6
    assert len(page.encode()) < 1.5e6
