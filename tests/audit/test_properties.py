"""File properties: what is written into a file is read back, of whatever program wrote it."""

import io
import math

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from probekit import sources
from probekit.audit.properties import CATEGORIES, PROPERTIES, design_matrix, properties_of, table_of
from probekit.audit.quantisation import LUMINANCE, libjpeg_table, quality_factor
from probekit.errors import ImageError
from tests.audit.pictures import drawn, jpeg, write


def properties(tmp_path, content, name="a.jpg", **sample):
    return properties_of(sources.read(sources.Sample(str(write(tmp_path / name, content)), **sample)))


def saved(picture, kind, **how):
    buffer = io.BytesIO()
    picture.save(buffer, kind, **how)
    return buffer.getvalue()


def test_every_quality_factor_of_pillow_is_recovered(tmp_path):
    picture = drawn(0, (16, 16))
    found = [properties(tmp_path, jpeg(picture, quality)) for quality in range(1, 101)]
    assert [each.quality for each in found] == list(range(1, 101))
    assert {each.tables for each in found} == {"standard"}


def test_every_quality_factor_of_opencv_is_recovered(tmp_path):
    pixels = np.asarray(drawn(0, (16, 16)))
    for quality in range(1, 101):
        written = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
        assert properties(tmp_path, written).quality == quality


def test_grey_jpegs_have_a_quality_too(tmp_path):
    found = properties(tmp_path, jpeg(drawn(0).convert("L"), 37))
    assert (found.quality, found.subsampling) == (37, "grey")


def test_tables_that_libjpeg_does_not_make_are_called_non_standard(tmp_path):
    table = [min(255, step + (place == 63)) for place, step in enumerate(libjpeg_table(LUMINANCE, 75).tolist())]
    found = properties(tmp_path, saved(drawn(0), "JPEG", qtables=[table, table]))
    assert found.tables == "non-standard"
    assert math.isnan(found.quality)
    assert found.quantiser == pytest.approx(np.mean(table), abs=1e-9)


def test_a_luminance_of_one_factor_with_a_chrominance_of_another_is_no_standard_pair():
    tables = {0: libjpeg_table(LUMINANCE, 75).tolist(), 1: libjpeg_table(LUMINANCE, 75).tolist()}
    assert quality_factor(tables) is None
    assert quality_factor({0: tables[0]}) == 75
    assert quality_factor({}) is None


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_chroma_subsampling_is_read_from_the_frame_header(tmp_path, subsampling):
    assert properties(tmp_path, jpeg(drawn(0), subsampling=subsampling)).subsampling == subsampling


@pytest.mark.parametrize(
    ("flag", "name"),
    [(cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440, "4:4:0"), (cv2.IMWRITE_JPEG_SAMPLING_FACTOR_411, "4:1:1")],
)
def test_rarer_subsamplings_have_their_names(tmp_path, flag, name):
    pixels = np.asarray(drawn(0))
    written = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, flag])[1].tobytes()
    assert properties(tmp_path, written).subsampling == name


def test_metadata_and_scans_are_seen(tmp_path):
    plain = properties(tmp_path, jpeg(drawn(0)))
    assert (plain.progressive, plain.exif, plain.icc) == (False, False, False)
    exif = Image.Exif()
    exif[0x010E] = "a camera"
    found = properties(tmp_path, jpeg(drawn(0), progressive=True, exif=exif, icc_profile=b"x" * 200))
    assert (found.progressive, found.exif, found.icc) == (True, True, True)


@pytest.mark.parametrize(("kind", "name"), [("PNG", "a.png"), ("WEBP", "a.jpg"), ("BMP", "a.bmp")])
def test_the_bytes_say_the_format_and_other_formats_have_no_quality(tmp_path, kind, name):
    content = saved(drawn(0, (30, 20)), kind)
    found = properties(tmp_path, content, name)
    assert (found.format, found.tables, found.subsampling) == (kind, "", "")
    assert (found.width, found.height, found.bytes) == (30, 20, len(content))
    assert math.isnan(found.quality)
    assert found.bits_per_pixel == pytest.approx(8 * len(content) / 600)


def test_a_box_has_its_own_size_and_its_files_bytes(tmp_path):
    content = jpeg(drawn(0))
    found = properties(tmp_path, content, box=(4, 8, 20, 40))
    assert (found.width, found.height, found.bytes) == (16, 32, len(content))


def test_what_is_no_image_says_so(tmp_path):
    with pytest.raises(ImageError, match="no image"):
        properties(tmp_path, b"not a picture at all, but long enough to have a beginning")


def test_categories_become_columns_and_what_a_file_lacks_is_nan(tmp_path):
    table = table_of([properties(tmp_path, jpeg(drawn(0), 80)), properties(tmp_path, saved(drawn(1), "PNG"), "b.png")])
    assert list(table.columns) == list(PROPERTIES)
    matrix = design_matrix(table, ["format", "quality", "exif"])
    np.testing.assert_array_equal(matrix, np.array([[1, 0, 80, 0], [0, 1, np.nan, 0]], np.float32))
    assert design_matrix(pd.concat([table, table]), CATEGORIES).shape == (4, 6)
