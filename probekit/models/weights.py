"""Weights: found on this machine or fetched once, hashed, and read as plain tensors, never as code."""

import hashlib
import json
import os
import struct
import sys
import textwrap
import warnings
import zipfile
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from probekit.errors import WeightsError
from probekit.fingerprint import fingerprint, hash_file
from probekit.models import Weights
from probekit.paths import AnyPath

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

TIMEOUT = 5.0
"""Seconds to wait for a hub's first answer: a machine without network must say so at once."""

SAFETENSORS_INDEX = "model.safetensors.index.json"
NO_PICKLE = (LookupError, ValueError, TypeError, AttributeError, AssertionError, OverflowError, struct.error)
"""What torch's reader of old files raises, beside errors of its own, for bytes that it cannot follow."""
WRAPPERS = ("state_dict", "model_state_dict", "model")
PREFIXES = ("module.", "_orig_mod.")  # DataParallel, torch.compile


# Where the weights are


def measure(path: Path) -> Weights:
    """The weights in a file, or in the shards that an index names, with their hash.

    Raises:
        WeightsError: a file is missing or cannot be read.
    """
    try:
        hashes = [_hash(file, status.st_size, status.st_mtime_ns) for file in shards(path) if (status := file.stat())]
    except OSError as error:
        raise WeightsError(f"{error.filename or path}: {error.strerror or error}. Check --weights.") from error
    return Weights(path, hashes[0] if len(hashes) == 1 else fingerprint(hashes))


@lru_cache(maxsize=256)
def _hash(file: Path, size: int, mtime_ns: int) -> str:
    """Hash of a file that is asked for several times in one run; a file that changed is read again."""
    return hash_file(file)


def shards(path: Path) -> list[Path]:
    """The files that hold the tensors: the file itself, or all that a `.index.json` names, sorted.

    Raises:
        WeightsError: an index that is not one.
    """
    if not path.name.endswith(".index.json"):
        return [path]
    try:
        return sorted({path.parent / name for name in json.loads(path.read_bytes())["weight_map"].values()})
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise WeightsError(f"{path}: not an index of weight shards. Give the weights file itself.") from error


def from_hub(model: str, repo: str, files: Sequence[str]) -> Path:
    """The first of these files that a Hugging Face repository has: from the hub cache, else fetched into it.

    Raises:
        WeightsError: none can be had; one line that names the file and the two ways to supply it.
    """
    from huggingface_hub import try_to_load_from_cache

    for file in files:
        cached = try_to_load_from_cache(repo, file)
        if isinstance(cached, str):
            return Path(cached)
    for file in files:
        if found := from_hub_if_any(model, repo, file):
            return found
    raise unreachable(model, files[0], f"hf:{repo}", f"the repository has no {' or '.join(files)}")


def from_hub_if_any(model: str, repo: str, file: str) -> Path | None:
    """A file of a repository; None only where the hub said, now or when last asked, that there is none.

    Raises:
        WeightsError: the hub cannot be asked.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    cached = try_to_load_from_cache(repo, file)
    if cached is not None:
        return Path(cached) if isinstance(cached, str) else None
    try:
        get_hf_file_metadata(hf_hub_url(repo, file), timeout=TIMEOUT)  # one try; a download makes six
        return Path(hf_hub_download(repo, file, etag_timeout=TIMEOUT))
    except LocalEntryNotFoundError as error:  # a kind of EntryNotFoundError, but one of the network
        raise unreachable(model, file, f"hf:{repo}", str(error)) from error
    except EntryNotFoundError:
        return None
    except (OSError, _transport_error()) as error:
        raise unreachable(model, file, f"hf:{repo}", str(error)) from error


def from_url(model: str, url: str, md5: str) -> Path:
    """A file of that address in torch's own cache folder, fetched there if need be; `md5` begins its hash.

    Raises:
        WeightsError: it cannot be had; one line that names the file and the two ways to supply it.
    """
    import urllib.request

    from huggingface_hub import constants
    from torch.hub import get_dir

    target = Path(get_dir()) / "checkpoints" / url.rpartition("/")[2]
    if target.exists():
        return target
    if constants.HF_HUB_OFFLINE:
        raise unreachable(model, target.name, url, "HF_HUB_OFFLINE is set", target.parent)
    partial = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.md5(usedforsecurity=False)
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer, partial.open("wb") as file:
            while block := answer.read(1 << 20):
                digest.update(block)
                file.write(block)
        if not digest.hexdigest().startswith(md5):
            raise OSError("the download was damaged on its way")
        partial.replace(target)
    except OSError as error:
        raise unreachable(model, target.name, url, str(error), target.parent) from error
    finally:
        partial.unlink(missing_ok=True)
    return target


def unreachable(model: str, file: str, source: str, reason: str, cache: AnyPath | None = None) -> WeightsError:
    """The error for weights that cannot be had: what was wanted, why not, and the two ways to supply it."""
    from huggingface_hub import constants

    why = textwrap.shorten(reason, 160, placeholder=" …").rstrip(".")
    given = f"weights with {file} beside them" if file.endswith(".json") else "it"
    return WeightsError(
        f"{model}: cannot get {file} from {source} ({why}). Give {given} with --weights {model}=FILE, "
        f"or run once with network so that it is kept in {cache or constants.HF_HUB_CACHE}."
    )


# What is in them


def read(path: Path) -> "dict[str, Tensor]":
    """The tensors of a safetensors file, of its shards, or of a torch file, without wrappers around them.

    Raises:
        WeightsError: the file holds something else, or code.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    state: dict[str, Tensor] = {}
    for file in shards(path):
        if file.suffix != ".safetensors":
            state |= _read_torch(file)
            continue
        try:
            state |= load_file(file)
        except (SafetensorError, OSError) as error:
            raise WeightsError(f"{file}: not a safetensors file: {_short(error)}. Fetch it again.") from error
    return unwrap(state, path)


def shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Name → shape of the tensors, from the header alone where the format has one.

    Raises:
        WeightsError: the file holds something else, or code.
    """
    from safetensors import SafetensorError, safe_open

    found: dict[str, tuple[int, ...]] = {}
    for file in shards(path):
        if file.suffix != ".safetensors":
            found |= {name: tuple(tensor.shape) for name, tensor in _read_torch(file).items()}
            continue
        try:
            with safe_open(file, "pt") as content:
                found |= {name: tuple(content.get_slice(name).get_shape()) for name in content.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise WeightsError(f"{file}: not a safetensors file: {_short(error)}. Fetch it again.") from error
    return found


def unwrap(content: object, path: Path) -> "dict[str, Tensor]":
    """The named tensors inside a training checkpoint, without the prefixes that wrappers add to every name.

    Raises:
        WeightsError: there are none.
    """
    from torch import Tensor

    while isinstance(content, dict) and (inner := next((w for w in WRAPPERS if w in content), None)):
        content = content[inner]
    if not isinstance(content, dict) or not content:
        raise WeightsError(f"{path}: holds no named tensors. Save the model's state_dict() alone.")
    if strangers := [key for key, value in content.items() if not isinstance(value, Tensor)]:
        raise WeightsError(f"{path}: {strangers[0]!r} is no tensor. Save the model's state_dict() alone.")
    while prefix := next((p for p in PREFIXES if all(key.startswith(p) for key in content)), None):
        content = {key.removeprefix(prefix): value for key, value in content.items()}
    return content


def part(state: "dict[str, Tensor]", prefix: str, path: Path) -> "dict[str, Tensor]":
    """The tensors under a prefix, named without it: one tower of a model that has several.

    Raises:
        WeightsError: there are none.
    """
    found = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    if not found:
        raise WeightsError(f"{path}: no tensor is named {prefix}…; the first is {next(iter(state))!r}. Wrong file?")
    return found


def fit(build: "Callable[[], Module]", state: "dict[str, Tensor]", path: Path, model: str) -> "Module":
    """The network with these tensors; every name and every shape must match.

    It is built without memory and takes the tensors as they are: a random start of a large network takes
    longer than reading it. Buffers that no checkpoint holds are the exception: they need a real start.

    Raises:
        WeightsError: they do not match; names the file and the first that differ.
    """
    import torch

    with torch.device("meta"):
        network = build()
    if computed := {name for name, _ in network.named_buffers()} - set(network.state_dict()):
        network = build()
    try:
        network.load_state_dict(state, strict=True, assign=not computed)
    except RuntimeError as error:
        raise misfit(path, model, error) from error
    return network


def misfit(path: Path, model: str, reason: object) -> WeightsError:
    """The error for the weights of another model, in one line."""
    return WeightsError(f"{path}: not the weights of {model}: {_short(reason)}")


def place(network: "Module", device: str, precision: str) -> "Module":
    """The network on the device, every weight in that precision, fixed and in evaluation mode."""
    import torch

    dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]
    return network.to(device, dtype).eval().requires_grad_(False)


def _read_torch(path: Path) -> "dict[str, Tensor]":
    """What torch.save wrote, if it is tensors and plain containers only."""
    import pickle  # for the name of an exception only

    import torch

    if _is_torchscript(path):
        raise WeightsError(
            f"{path}: a TorchScript archive (OpenAI's own CLIP files are) holds code, which is not run here. "
            "Use the same weights in safetensors, from hf:timm/vit_large_patch14_clip_224.openai, "
            "or, where you trust the file, torch.save(torch.jit.load(FILE).state_dict(), NEW)."
        )
    mmap = zipfile.is_zipfile(path)  # a file of the old format cannot be mapped
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Detected pickle protocol")  # refused in words of our own
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path}: not a file of tensors alone, and nothing else is unpickled. "
            "Where you trust it, save its state_dict() as safetensors."
        ) from error
    except (RuntimeError, EOFError, OSError) as error:
        raise WeightsError(f"{path}: not a torch file: {_short(error)}. Fetch it again.") from error
    except NO_PICKLE as error:
        raise WeightsError(f"{path}: not a torch file. Give a checkpoint (.safetensors, .pt, .pth, .bin).") from error
    return unwrap(content, path)


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except zipfile.BadZipFile as error:
        raise WeightsError(f"{path}: a damaged torch file: {_short(error)}. Fetch it again.") from error


def _transport_error() -> type[Exception]:
    """What huggingface_hub's HTTP client raises when no answer comes: it has changed clients three times."""
    from huggingface_hub import get_session

    client = sys.modules[type(get_session()).__module__.partition(".")[0]]
    found: type[Exception] = client.HTTPError
    return found


def _short(reason: object) -> str:
    return textwrap.shorten(str(reason), 240, placeholder=" …")
