"""Fingerprints: equal settings, equal addresses; any difference, another address."""

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit.fingerprint import canonical_json, fingerprint, hash_bytes, hash_file


@dataclass(frozen=True)
class Settings:
    name: str = "srm"
    C: float = 0.1
    taps: tuple[str, ...] = ("a", "b")


def test_each_field_changes_the_fingerprint():
    base = Settings()
    others = [replace(base, name="npr"), replace(base, C=0.2), replace(base, taps=("b", "a"))]
    assert len({fingerprint(settings) for settings in (base, *others)}) == 4
    assert fingerprint(base) == fingerprint(Settings())


@given(st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False)))
def test_dictionaries_have_no_order(settings):
    assert fingerprint(settings) == fingerprint(dict(reversed(settings.items())))


def test_what_json_cannot_hold_is_refused():
    with pytest.raises(TypeError, match="object cannot be part of settings"):
        fingerprint({"x": object()})
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(float("nan"))


def test_a_file_and_its_bytes_have_one_hash(tmp_path):
    (tmp_path / "f").write_bytes(b"abc")
    assert hash_file(tmp_path / "f") == hash_bytes(b"abc")
    assert hash_bytes(b"abc").startswith("ba7816bf")
