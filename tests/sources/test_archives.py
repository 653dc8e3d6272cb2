"""Archives: the bytes of a member are those that a file would have, and what cannot be read says why."""

import os
import random
import struct
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probekit import sources
from probekit.errors import ImageError
from probekit.keys import file_digest
from probekit.sources import Sample, archives
from tests.sources.conftest import make_tar, make_zip

MEMBERS = {f"real/{n}.png": random.Random(n).randbytes(50 + 1000 * (n % 4)) for n in range(40)} | {
    "图像/ü 1.jpg": b"one",
    "./dotted/a.b.PNG": b"two" * 1000,
    "x" * 150 + "/long.png": b"three",
}
MAKERS = {
    "deflated.zip": make_zip,
    "stored.zip": lambda path, members: make_zip(path, members, zipfile.ZIP_STORED),
    "plain.tar": make_tar,
}


def read(path, member: str) -> bytes:
    content = sources.read(Sample(str(path), member))
    if content.damage:
        content.decode()  # says so
    return content.data


@pytest.fixture(params=MAKERS)
def archive(request, tmp_path):
    return MAKERS[request.param](tmp_path / request.param, MEMBERS)


def test_members_are_read_as_they_were_packed(archive):
    for name, data in MEMBERS.items():
        content = sources.read(Sample(str(archive), name))
        assert (content.data, content.digest, content.key) == (data, file_digest(data), file_digest(data))
        assert content.stat.st_mtime_ns == archive.stat().st_mtime_ns
    assert read(archive, "dotted/a.b.PNG") == MEMBERS["./dotted/a.b.PNG"]


def test_threads_may_read_one_archive_at_once(archive):
    names = list(MEMBERS) * 20
    random.Random(0).shuffle(names)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda name: read(archive, name), names)) == [MEMBERS[name] for name in names]


NAMES = st.from_regex(r"[ab]{1,3}(/[ab.]{1,3}[ab])?", fullmatch=True)


@given(members=st.dictionaries(NAMES, st.binary(min_size=1, max_size=700)), prefix=st.sampled_from(["", "./", "././"]))
@settings(max_examples=25, deadline=None)
def test_any_members_survive_the_way_through_a_tar(tmp_path_factory, members, prefix):
    path = make_tar(tmp_path_factory.getbasetemp() / "any.tar", {prefix + name: data for name, data in members.items()})
    archive = archives.Archive(str(path))  # anew: two may be made within a tick of the clock
    assert {name: archive.read(name) for name in members} == members


def test_of_equal_names_the_last_counts(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as tar, zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        for data in (b"first", b"last"):
            (tmp_path / "a.png").write_bytes(data)
            tar.add(tmp_path / "a.png", "a.png")
        packed.writestr("a.png", b"first")
        with pytest.warns(UserWarning, match="Duplicate"):
            packed.writestr("a.png", b"last")
    assert [read(tmp_path / name, "a.png") for name in ("a.tar", "a.zip")] == [b"last", b"last"]


def test_an_archive_that_changed_is_listed_anew(archive):
    assert read(archive, "real/1.png") == MEMBERS["real/1.png"]
    changed = {name: data[::-1] + b"!" for name, data in MEMBERS.items()}
    MAKERS[archive.name](archive.with_suffix(".new"), changed).replace(archive)
    assert read(archive, "real/1.png") == changed["real/1.png"]


def test_members_that_are_no_files_have_a_reason(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name, kind in (("link", tarfile.SYMTYPE), ("hard", tarfile.LNKTYPE), ("folder", tarfile.DIRTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
        pipe = tarfile.TarInfo("pipe")
        pipe.type = tarfile.FIFOTYPE
        tar.addfile(pipe)
    for name, reason in (("link", "a link"), ("hard", "a link"), ("folder", "a folder"), ("pipe", "a special file")):
        with pytest.raises(ImageError, match=f"^it is {reason}"):
            read(tmp_path / "a.tar", name)
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr(link, "/etc/passwd")
        packed.mkdir("folder")
        packed.writestr("empty.png", b"")
        packed.writestr("bzip2.png", b"x" * 100, zipfile.ZIP_BZIP2)
    for name, reason in (("link", "a link"), ("folder/", "a folder"), ("bzip2.png", "compressed in a way")):
        with pytest.raises(ImageError, match=f"^it is {reason}"):
            read(tmp_path / "a.zip", name)
    with pytest.raises(ImageError, match=r"^the member is empty \(0 bytes\)"):
        read(tmp_path / "a.zip", "empty.png")


def test_names_that_point_elsewhere_never_reach_the_file_system(tmp_path):
    (tmp_path / "secret.png").write_bytes(b"secret")
    for path in (make_zip(tmp_path / "a.zip", {"a.png": b"x"}), make_tar(tmp_path / "a.tar", {"a.png": b"x"})):
        for name in ("../secret.png", str(tmp_path / "secret.png"), "a.png/../../secret.png"):
            with pytest.raises(ImageError, match=r"^the archive has no such member\.$"):
                read(path, name)


def test_an_encrypted_member_has_a_reason(tmp_path):
    path = make_zip(tmp_path / "a.zip", {"a.png": b"x" * 50}, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    path.write_bytes(data)
    with pytest.raises(ImageError, match=r"^it is encrypted"):
        read(path, "a.png")


def test_a_bomb_is_refused_before_it_goes_off(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_MEMBER", 1000)
    bomb = {"bomb.png": bytes(100_000), "fine.png": bytes(999)}
    for path in (make_zip(tmp_path / "a.zip", bomb), make_tar(tmp_path / "a.tar", bomb)):
        with pytest.raises(ImageError, match="the limit of a member"):
            read(path, "bomb.png")
        assert len(read(path, "fine.png")) == 999
    path = make_zip(tmp_path / "liar.zip", bomb)
    data = bytearray(path.read_bytes())
    place = data.index(b"PK\x01\x02") + 24  # the size that the directory tells of the first member
    data[place : place + 4] = struct.pack("<I", 500)
    path.write_bytes(data)
    with pytest.raises(ImageError, match=r"checksum differs"):
        read(path, "bomb.png")
    assert len(archives._inflate(zlib_bomb(), 500)) == 501


def zlib_bomb() -> bytes:
    import zlib

    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(bytes(10_000_000)) + packer.flush()


def test_a_flipped_byte_in_a_zip_is_found(tmp_path):
    path = make_zip(tmp_path / "a.zip", {"a.png": b"x" * 500}, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[data.index(b"xxx") + 100] ^= 1
    path.write_bytes(data)
    with pytest.raises(ImageError, match=r"checksum differs"):
        read(path, "a.png")


def test_what_a_truncated_tar_still_holds_can_be_read(tmp_path):
    path = make_tar(tmp_path / "a.tar", MEMBERS)
    whole = path.read_bytes()
    place = whole.index(MEMBERS["real/7.png"])
    for end in (place + 100, place - 300, 3000):
        path.write_bytes(whole[:end])
        assert read(path, "real/0.png") == MEMBERS["real/0.png"]
        with pytest.raises(ImageError, match=r"no such member\. .*(cut off|damaged).*copy it again"):
            read(path, "real/7.png")
    damaged = bytearray(whole)
    damaged[place - 400] ^= 255  # in the header before it
    path.write_bytes(damaged)
    with pytest.raises(ImageError, match=r"no such member\. the archive is damaged at byte"):
        read(path, "real/8.png")


def test_archives_that_cannot_be_read_have_a_reason(tmp_path):
    whole = make_zip(tmp_path / "a.zip", MEMBERS).read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.tar").write_text("no archive " * 100)
    (tmp_path / "empty.zip").write_bytes(b"")
    (tmp_path / "folder.zip").mkdir()
    os.mkfifo(tmp_path / "pipe.tar")
    make_tar(tmp_path / "a.tar.gz", {"a.png": b"x"}, "w:gz")
    reasons = {
        "cut.zip": "cut off or damaged",
        "text.tar": r"no \.tar or \.zip",
        "empty.zip": r"empty \(0 bytes\)",
        "folder.zip": "no file, so no archive",
        "pipe.tar": "no file, so no archive",
        "a.tar.gz": r"compressed as a whole \(gzip\).*decompress it to a plain \.tar",
        "gone.zip": "there is no such file",
        "zero\0byte.zip": "cannot be opened",
    }
    for name, reason in reasons.items():
        with pytest.raises(ImageError, match=reason):
            read(tmp_path / name, "a.png")
    with pytest.raises(ImageError, match="name one of its images in column 'member'"):
        sources.read(Sample(str(tmp_path / "a.zip")))


def test_few_archives_are_open_at_one_time(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_OPEN", 5)
    paths = [make_zip(tmp_path / f"{n}.zip", {"a.png": bytes([n])}) for n in range(40)]
    descriptors = Path("/proc/self/fd")
    before = len(list(descriptors.iterdir())) if descriptors.is_dir() else None
    for _ in range(2):
        assert [read(path, "a.png") for path in paths] == [bytes([n]) for n in range(40)]
    if before is not None:
        assert len(list(descriptors.iterdir())) <= before + 5


def test_an_archive_is_listed_once_however_many_threads_want_it(tmp_path, monkeypatch):
    path = make_zip(tmp_path / "a.zip", MEMBERS)
    listed = []
    original = archives._members
    monkeypatch.setattr(archives, "_members", lambda file: listed.append(file) or original(file))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda name: read(path, name), list(MEMBERS) * 3))
    assert len(listed) == 1
