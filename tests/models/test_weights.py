"""Where weights come from, what files they may be in, and what a machine without network says."""

import pickle
import subprocess
import sys
import time

import huggingface_hub.constants
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from probekit import models
from probekit.errors import UsageError, WeightsError
from probekit.fingerprint import hash_file
from probekit.models import weights


@pytest.fixture
def layer():
    torch.manual_seed(0)
    return torch.nn.Linear(3, 2)


def test_listing_models_loads_no_heavy_library():
    code = (
        "import sys; from probekit import models; assert 'clip' in models.names();"
        "heavy = {'torch', 'timm', 'transformers', 'open_clip', 'segment_anything', 'huggingface_hub'};"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("clip", "open_clip_model.safetensors"),
        ("dinov2", "model.safetensors"),
        ("hf:facebook/dinov2-base", "config.json"),
        ("timm:vit_tiny_patch16_224", "model.safetensors"),
        ("sam", "sam_vit_b_01ec64.pth"),
    ],
)
def test_without_a_hub_one_line_names_the_file_and_both_ways_to_supply_it(name, file):
    with pytest.raises(WeightsError, match=f"^{name}: cannot get {file} from ") as caught:
        models.find(name)
    message = str(caught.value)
    assert f"--weights {name}=FILE" in message
    assert "run once with network" in message
    assert "\n" not in message


def test_a_hub_that_does_not_answer_is_given_up_at_once(monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(
        huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", "http://127.0.0.1:9/{repo_id}/{filename}"
    )
    start = time.monotonic()
    with pytest.raises(WeightsError, match=r"cannot get model\.safetensors from hf:facebook/dinov2-large"):
        models.find("dinov2")
    assert time.monotonic() - start < 8  # huggingface_hub alone would retry for 23 s


def test_a_file_in_the_hub_cache_is_found_without_network(tmp_path, layer):
    snapshot = tmp_path / "hub" / "models--some--repo" / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("0" * 40)
    save_file(layer.state_dict(), snapshot / "model.safetensors")
    assert weights.from_hub("x", "some/repo", ["absent.bin", "model.safetensors"]) == snapshot / "model.safetensors"


def test_a_file_in_torchs_cache_is_found_without_network(tmp_path):
    kept = tmp_path / "torch" / "hub" / "checkpoints" / "some.pth"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"kept")
    assert weights.from_url("x", "https://example.org/some.pth", md5="") == kept


def test_a_damaged_download_is_refused_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    (tmp_path / "sam.pth").write_bytes(b"half of it")
    with pytest.raises(WeightsError, match="damaged"):
        weights.from_url("sam", (tmp_path / "sam.pth").as_uri(), md5="01ec64")
    assert list((tmp_path / "torch" / "hub" / "checkpoints").iterdir()) == []


def test_a_download_with_the_right_hash_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    (tmp_path / "sam.pth").write_bytes(b"all of it")
    found = weights.from_url("sam", (tmp_path / "sam.pth").as_uri(), md5="1eac3d")
    assert found.read_bytes() == b"all of it"


def test_the_hash_is_that_of_the_file(tmp_path, layer):
    save_file(layer.state_dict(), tmp_path / "a.safetensors")
    assert weights.measure(tmp_path / "a.safetensors").sha256 == hash_file(tmp_path / "a.safetensors")


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(WeightsError, match=r"nowhere\.pt: No such file or directory. Check --weights\.$"):
        models.find("timm:vit_tiny_patch16_224", tmp_path / "nowhere.pt")


def test_a_folder_where_a_file_is_meant_is_one_line(tmp_path):
    with pytest.raises(WeightsError, match="Is a directory"):
        models.find("timm:vit_tiny_patch16_224", tmp_path)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: s,
        lambda s: {"state_dict": s, "epoch": 3},
        lambda s: {"model": {f"module.{k}": v for k, v in s.items()}, "optimizer": {"lr": 0.1}},
        lambda s: {"state_dict": {f"_orig_mod.module.{k}": v for k, v in s.items()}},
    ],
)
def test_wrappers_around_a_state_dictionary_are_taken_off(wrap, tmp_path, layer):
    torch.save(wrap(layer.state_dict()), tmp_path / "a.pt")
    found = weights.read(tmp_path / "a.pt")
    assert set(found) == {"weight", "bias"}
    assert torch.equal(found["weight"], layer.weight)
    assert weights.shapes(tmp_path / "a.pt") == {"weight": (2, 3), "bias": (2,)}


def test_names_and_shapes_come_from_the_header_of_a_safetensors_file(tmp_path, layer):
    save_file(layer.state_dict(), tmp_path / "a.safetensors")
    assert weights.shapes(tmp_path / "a.safetensors") == {"weight": (2, 3), "bias": (2,)}


class Harmful:
    """What a pickle must not be able to make."""

    def __reduce__(self):
        return (exec, ("raise SystemExit('a pickle was run')",))


@pytest.mark.parametrize("save", [torch.save, lambda o, path: path.write_bytes(pickle.dumps(o))])
def test_code_in_a_torch_file_is_refused_and_not_run(save, tmp_path):
    save({"weight": Harmful()}, tmp_path / "bad.pt")
    with pytest.raises(WeightsError, match=r"bad\.pt: not a file of tensors alone"):
        weights.read(tmp_path / "bad.pt")


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning", "ignore:`torch.jit:DeprecationWarning")
def test_a_torchscript_archive_is_refused_with_what_to_do_instead(tmp_path, layer):
    torch.jit.trace(layer, torch.zeros(1, 3)).save(tmp_path / "ViT-L-14.pt")
    with pytest.raises(WeightsError, match=r"TorchScript archive .* holds code.*vit_large_patch14_clip_224\.openai"):
        weights.read(tmp_path / "ViT-L-14.pt")


@pytest.mark.parametrize("name", ["a.safetensors", "a.pt", "a.bin", "a.txt"])
@pytest.mark.parametrize(
    "content",
    [b"", b"not weights at all", b"hello world\n", b"the weights\n", b"jjjj", b"U6\x86Jt\xd9*", b"\x80\x02", b"PK\5\6"],
)
def test_a_file_that_holds_no_weights_is_one_line(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=name) as caught:
        weights.read(tmp_path / name)
    assert "\n" not in str(caught.value)


@settings(max_examples=200, deadline=None)
@given(start=st.sampled_from([b"", b"\x80\x02", b"PK\3\4"]), rest=st.binary(max_size=60))
def test_no_bytes_escape_as_another_error(start, rest, tmp_path_factory):
    file = tmp_path_factory.getbasetemp() / "garbage.pt"
    file.write_bytes(start + rest)
    with pytest.raises(WeightsError, match=r"garbage\.pt"):
        weights.read(file)


@pytest.mark.parametrize("name", ["hf:/some/folder", "hf:a/b/c/d", "hf:not a name", "hf:~/x", "hf:./x"])
def test_a_name_that_no_hub_can_have_is_one_line(name):
    with pytest.raises(UsageError, match="no folder here, and no repository can be called so: give") as caught:
        models.find(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "timm:no such",
        "timm:",
        "timm:hf-hub:a/b",
        "timm:.x",
        "open_clip:X",
        "open_clip:",
        "open_clip:/openai",
        "open_clip:ViT-B-32/nosuch",
        "open_clip:ViT-B-32",
        "open_clip:../x",
        "sam:vit_x",
        "sam: ",
        "hf:",
        ":",
        "clip:x",
    ],
)
def test_an_odd_name_is_refused_in_one_line(name):
    with pytest.raises(UsageError) as caught:
        models.find(name)
    assert "\n" not in str(caught.value)


def test_a_truncated_file_is_one_line(tmp_path, layer):
    for name, write in (("a.safetensors", save_file), ("a.pt", torch.save)):
        write(layer.state_dict(), tmp_path / name)
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-40])
        with pytest.raises(WeightsError, match=name):
            weights.read(tmp_path / name)


def test_what_is_no_tensor_is_named(tmp_path, layer):
    torch.save({"epoch": 3, "weights": layer.state_dict()}, tmp_path / "a.pt")
    with pytest.raises(WeightsError, match=r"a\.pt: 'epoch' is no tensor"):
        weights.read(tmp_path / "a.pt")


def test_an_index_that_is_none_is_one_line(tmp_path):
    (tmp_path / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(WeightsError, match="not an index"):
        weights.measure(tmp_path / "model.safetensors.index.json")


def test_a_network_with_computed_buffers_keeps_them(tmp_path):
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(2, 2)
            self.register_buffer("table", torch.arange(2.0), persistent=False)

    found = weights.fit(Net, Net().state_dict(), tmp_path, "net")
    assert found.table.tolist() == [0.0, 1.0]
