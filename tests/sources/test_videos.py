"""Frames: the same pixels as decoding everything from the start, in whatever order they are asked for."""

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from probekit import sources
from probekit.errors import ImageError, UsageError
from probekit.keys import file_digest, sample_key
from probekit.sources import Sample, videos
from tests.sources.conftest import make_video, make_zip, moving_pixels

av = pytest.importorskip("av", reason="frames of videos are read by PyAV, which is not installed")

KINDS = {
    "b-frames.mp4": {"bf": "3", "g": "12"},
    "open-gop.mp4": {"bf": "3", "g": "8", "x264-params": "open-gop=1:scenecut=0"},
    "one-key-frame.mkv": {"bf": "2", "g": "250"},
    "vp9.webm": {"codec": "libvpx-vp9", "g": "10", "auto-alt-ref": "1", "lag-in-frames": "10"},
    "no-times.avi": {"codec": "mpeg4", "bf": "2", "g": "12"},
    "h264.avi": {"bf": "3", "g": "12"},
    "intra.mov": {"codec": "mjpeg"},
    "variable-rate.mp4": {"bf": "3", "g": "12", "pts": [number * 40 + 13 * (number % 3) for number in range(40)]},
}


@pytest.fixture(scope="module", params=KINDS)
def video(request, tmp_path_factory):
    return make_video(tmp_path_factory.mktemp("videos") / request.param, **KINDS[request.param])


def decode_everything(path) -> list[torch.Tensor]:
    with av.open(path) as container:
        container.streams.video[0].codec_context.thread_count = 1
        return [videos._pixels(frame) for frame in container.decode(video=0)]


def frame(path, number) -> torch.Tensor:
    return sources.read(Sample(str(path), frame=number)).decode()


def test_frame_n_is_the_nth_that_decoding_from_the_start_gives(video):
    expected = decode_everything(video)
    assert len(expected) == 40
    rng = np.random.default_rng(0)
    for number in [*range(40), *range(39, -1, -1), *rng.permutation(40)]:
        assert torch.equal(frame(video, int(number)), expected[number]), number


def test_frames_look_like_what_was_recorded(video):
    for number in (0, 17, 39):
        wanted = torch.from_numpy(moving_pixels(number)).permute(2, 0, 1).float()
        smoothed = [torch.nn.functional.avg_pool2d(p, 8) for p in (wanted, frame(video, number).float())]
        assert (smoothed[0] - smoothed[1]).abs().mean() < 12


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    path = make_video(tmp_path_factory.mktemp("video") / "a.mp4", bf="3", g="12")
    return path, decode_everything(path)


@given(order=st.lists(st.integers(0, 39), min_size=1, max_size=12))
@settings(max_examples=25, deadline=None)
def test_the_order_in_which_frames_are_asked_for_changes_no_pixel(example, order):
    path, expected = example
    for number in order:
        assert torch.equal(frame(path, number), expected[number])


def test_threads_may_read_one_video_at_once(example):
    path, expected = example
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda number: frame(path, number), list(range(40)) * 2))
    assert all(map(torch.equal, found, expected * 2))


def test_consecutive_frames_are_decoded_once_each(example, monkeypatch):
    path, _ = example
    decoded = []
    original = videos.Video._decode
    monkeypatch.setattr(videos.Video, "_decode", lambda self: (decoded.append(f.pts) or f for f in original(self)))
    videos._of_thread.__dict__.clear()
    for number in range(40):
        frame(path, number)
    assert len(decoded) <= 44  # 4 key frames


def test_a_video_is_hashed_once_whatever_the_number_of_its_frames(tmp_path, monkeypatch):
    path = make_video(tmp_path / "a.mp4", frames=6)
    hashed = []
    original = sources._digest
    monkeypatch.setattr(sources, "_digest", lambda sample: hashed.append(sample) or original(sample))
    contents = [sources.read(Sample(str(path), frame=number)) for number in range(6)]
    assert len(hashed) == 1
    digest = file_digest(path.read_bytes())
    assert [content.key for content in contents] == [sample_key(digest, {"frame": n}) for n in range(6)]


def test_a_replaced_video_is_read_anew(tmp_path):
    path = make_video(tmp_path / "a.mp4", frames=6)
    before = frame(path, 2)
    make_video(tmp_path / "b.mp4", frames=9, g="3").replace(path)
    assert torch.equal(frame(path, 2), decode_everything(path)[2])
    assert frame(path, 8).shape == before.shape


def test_a_video_inside_an_archive_gives_the_same_frames_and_keys(tmp_path, example):
    path, expected = example
    archive = make_zip(tmp_path / "videos.zip", {"clips/a.mp4": path.read_bytes()})
    for number in (30, 3, 4):
        content = sources.read(Sample(str(archive), "clips/a.mp4", frame=number))
        assert torch.equal(content.decode(), expected[number])
        assert content.key == sources.read(Sample(str(path), frame=number)).key


def test_a_box_cuts_a_frame(example):
    path, expected = example
    content = sources.read(Sample(str(path), frame=5, box=(8, 4, 40, 44)))
    assert torch.equal(content.decode(), expected[5][:, 4:44, 8:40])
    assert content.key == sample_key(content.digest, {"frame": 5, "x0": 8, "y0": 4, "x1": 40, "y1": 44})


@pytest.mark.parametrize(("rotation", "turns"), [(0, 0), (90, 1), (-90, 3), (180, 2), (-180, 2), (33, 0)])
def test_a_rotation_that_the_video_records_is_undone(example, rotation, turns):
    class Rotated:
        def __init__(self, frame):
            self.reformat, self.rotation = frame.reformat, rotation

    path, expected = example
    with av.open(path) as container:
        turned = videos._pixels(Rotated(next(container.decode(video=0))))
    assert torch.equal(turned, torch.rot90(expected[0], turns, (1, 2)))


def test_white_is_white_and_black_is_black(tmp_path):
    with av.open(tmp_path / "a.mp4", "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"qp": "0"})
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for value in (0, 255):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((32, 32, 3), value, np.uint8))))
        container.mux(stream.encode())
    assert [frame(tmp_path / "a.mp4", n).unique().tolist() for n in (0, 1)] == [[0], [255]]


def test_frames_that_are_not_there_and_files_that_are_no_videos_have_a_reason(tmp_path, example):
    path, _ = example
    with pytest.raises(ImageError, match=r"^it has 40 frames, from 0 to 39: there is no frame 40\.$"):
        frame(path, 40)
    (tmp_path / "text.mp4").write_text("no video at all")
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "cut.mp4").write_bytes(path.read_bytes()[:3000])
    for name in ("text.mp4", "cut.mp4"):
        with pytest.raises(ImageError, match="damaged or no video"):
            frame(tmp_path / name, 0)
    with pytest.raises(ImageError, match=r"empty \(0 bytes\)"):
        frame(tmp_path / "empty.mp4", 0)
    with pytest.raises(ImageError, match="no such file"):
        frame(tmp_path / "gone.mp4", 0)
    with pytest.raises(ImageError, match="name one of its frames in column 'frame'"):
        sources.read(Sample(str(path)))


def test_a_video_that_ends_too_soon_gives_what_it_has(tmp_path):
    whole = make_video(tmp_path / "a.mkv", g="8", bf="2")
    expected = decode_everything(whole)
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    count = videos.Video(str(cut)).timetable.count
    assert 10 < count < 40
    for number in (count // 2, 3):
        assert torch.equal(frame(cut, number), expected[number])


def test_without_pyav_one_line_says_how_to_get_it(tmp_path, monkeypatch):
    (tmp_path / "a.mp4").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UsageError, match=r"pip install 'probekit\[video\]'"):
        frame(tmp_path / "a.mp4", 0)


@pytest.mark.parametrize(
    ("most", "numbers"), [(1, [20]), (2, [10, 30]), (4, [5, 15, 25, 35]), (3, [6, 20, 33]), (99, list(range(40)))]
)
def test_frames_are_chosen_in_the_middle_of_equal_spans(example, most, numbers):
    assert sources.frame_numbers(Sample(str(example[0])), most) == numbers
