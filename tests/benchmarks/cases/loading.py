"""`load-features`: reading features for a question, against an array file.

200,000 rows of 1024 float16 numbers from a store into one float32 array, against `np.load` + `astype(float32)` of the
same numbers in one file. The store is opened anew for each repetition, finds every row by its key and checks every
chunk's checksum; the file does none of that. Both are in the page cache and run in turn; the fastest of each counts.
"""

from collections.abc import Mapping

import numpy as np

from probekit.store import Rows, Store, StoreSettings
from tests.benchmarks import material
from tests.benchmarks.benchmark import Figure, Setting, Target, add
from tests.benchmarks.timing import in_turn

WIDTH = 1024
COMMIT = 8192
TAP = "cls"
SETTINGS = StoreSettings("benchmark", None, {"policy": "native"}, "native", "float32")


@add(
    "load-features",
    stands_for="a question about 200,000 samples of one ViT-L tap (400 MB)",
    targets={"rows in order": Target(at_least=0.40, unit="%"), "rows in disorder": Target(unit="%")},
)
def measure(setting: Setting) -> Mapping[str, Figure]:
    """Rate of the store over that of the file."""
    n = setting.size(200_000, 3000)
    material.require_room(setting.folder, gigabytes=n * WIDTH * 6e-9)
    rng = np.random.default_rng(0)
    store = Store.create(setting.folder, SETTINGS, {"default_tap": TAP, "batch_size": 32})
    keys = rng.integers(0, 256, (n, 32), dtype=np.uint8)
    for begin in range(0, n, COMMIT):
        part = keys[begin : begin + COMMIT]
        features = rng.standard_normal((len(part), WIDTH), dtype=np.float32)
        store.commit(Rows(part, np.zeros(len(part), np.int16), {TAP: features}, {}), [""] * len(part))
        store.fold()
    crops, disorder = np.zeros(n, np.int16), rng.permutation(n)
    file = setting.folder / "features.npy"
    expected = store.read(keys, crops, TAP)
    np.save(file, expected.astype(np.float16))

    def read(order: np.ndarray) -> None:
        found = Store.open(store.path).read(keys[order], crops, TAP)
        assert found[-1, -1] == expected[order[-1], -1]

    def load() -> None:
        found = np.load(file).astype(np.float32)
        assert found[-1, -1] == expected[-1, -1]

    things = {"file": load, "in order": lambda: read(np.arange(n)), "in disorder": lambda: read(disorder)}
    times = in_turn(things, setting.size(5, 2))
    megabytes = n * WIDTH * 2 / 1e6
    rates = {name: megabytes / found.best for name, found in times.items()}
    return {
        f"rows {name}": Figure(
            rates[name] / rates["file"],
            f"{rates[name]:,.0f} MB/s of float16 against {rates['file']:,.0f}",
            raw={"megabytes": megabytes, "seconds": {key: found.seconds for key, found in times.items()}},
        )
        for name in ("in order", "in disorder")
    }
