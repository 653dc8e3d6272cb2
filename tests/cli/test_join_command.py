"""`probekit manifest join`: what it writes, prints and refuses."""

import json

import pandas as pd

from tests.cli.test_commands import one_line


def manifest(tmp_path, name, rows, domain=""):
    table = pd.DataFrame(rows, columns=["path", "generator", "split"])
    table["label"] = (table["generator"] != "real").astype(int)
    folder = tmp_path / "manifests"
    folder.mkdir(exist_ok=True)
    table.assign(domain=domain).to_csv(folder / f"{name}.csv", index=False)


def two(tmp_path):
    photos = [(f"/photos/{i}.png", "real", "train") for i in range(3)]
    manifest(tmp_path, "faces", [*photos, ("/f/lama.png", "lama", "train"), ("/f/s.png", "FaceSwap", "test")])
    manifest(tmp_path, "rooms", [*photos, ("/r/lama.png", "lama", "test"), ("/r/s.png", "face_swap", "test")])


def test_it_prints_counts_shared_names_and_near_misses(type_, tmp_path):
    two(tmp_path)
    found = type_("probekit manifest join faces rooms --name both --domain-of faces=d --domain-of rooms=d --no-bytes")
    assert found.code == 0, found.err
    assert "7 samples → manifests/both.csv" in found.out
    assert "one generator? FaceSwap (faces) and face_swap (rooms)" in found.err
    assert "images that several manifests have: 3" in found.err
    shown = type_("probekit manifest show both --json")
    assert json.loads(shown.out)["samples"] == 7


def test_json_holds_what_is_printed(type_, tmp_path):
    two(tmp_path)
    table = pd.read_csv(tmp_path / "manifests" / "rooms.csv")
    table["path"] = table["path"].str.replace("/photos", "/rooms")
    table.to_csv(tmp_path / "manifests" / "rooms.csv", index=False)
    told = json.loads(type_("probekit manifest join faces rooms --name both --no-bytes --json").out)
    assert (told["samples"], told["merged"]) == (10, 0)
    assert told["shared_generators"] == {"lama": {"faces": 1, "rooms": 1}}
    assert told["alike_generators"] == [{"names": ["FaceSwap", "face_swap"], "manifests": ["faces", "rooms"]}]
    assert {row["domain"] for row in told["rows"]} == {"faces", "rooms"}


def test_a_contradiction_is_one_line_that_names_both(type_, tmp_path):
    two(tmp_path)
    refused = type_("probekit manifest join faces rooms --name both --no-bytes")
    one_line(refused, "domain is 'rooms' in rooms and 'faces' in faces (and 2 more)", "--domain-of NAME=DOMAIN")
    assert not (tmp_path / "manifests" / "both.csv").exists()
    assert type_("probekit manifest join faces rooms --name both --domain-of faces").code == 2
