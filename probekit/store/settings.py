"""What decides the features in a store, and the address that follows from it."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, get_args

from probekit.fingerprint import fingerprint

NumberFormat = Literal["float16", "float32"]
NUMBER_FORMATS: tuple[NumberFormat, ...] = get_args(NumberFormat)

Precision = Literal["float32", "bfloat16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


@dataclass(frozen=True)
class StoreSettings:
    """Everything that changes a number; two extractions share a store exactly when all of it is equal."""

    model: str
    weights_sha256: str | None
    view: Mapping[str, Any]
    """The view's fields, and its perturbations when there are any."""
    view_name: str
    precision: str
    """Of the computation: `float32` or `bfloat16`."""
    dtype: NumberFormat = "float16"
    """Of the stored features."""
    model_settings: Mapping[str, Any] = field(default_factory=dict)

    def words(self) -> list[str]:
        """Options of `probekit extract`, beside model and taps, that lead to this store and no other."""
        view = self.view
        optional = {
            "--perturb": view.get("perturb"),
            "--decoder": view.get("decoder"),
            "--precision": self.precision if self.weights_sha256 else None,  # others have but one
            "--dtype": self.dtype if self.dtype != "float16" else None,
        }
        words = [
            "--view",
            self.policy,
            *(word for option, value in optional.items() if value for word in (option, str(value))),
        ]
        return [*words, "--compile"] if self.model_settings.get("compiled") else words

    @property
    def policy(self) -> str:
        """The view as `--view` has it: `center`, `texture:3`."""
        view = self.view
        return f"{view['policy']}:{view['top']}" if view.get("top") else str(view["policy"])

    @property
    def perturbation(self) -> str:
        """What is done to images before the view; empty for images as they are."""
        return str(self.view.get("perturb") or "")

    def of_the_same_images(self, other: "StoreSettings") -> bool:
        """Whether both differ in nothing but the perturbation."""
        clean, others = (replace(one, view={**one.view, "perturb": ""}, view_name="") for one in (self, other))
        return clean == others

    @property
    def address(self) -> str:
        """SHA-256 of the settings, in hexadecimal."""
        return fingerprint(self)

    @property
    def folder_name(self) -> str:
        """Name of the store's folder, for people and for look-up: `clip-resize224-crop224-bfloat16-1a2b3c4d5e6f`."""
        parts = (
            self.model,
            self.view_name,
            self.precision,
            *(() if self.dtype == "float16" else (f"as-{self.dtype}",)),
        )
        readable = "-".join(re.sub(r"[^\w.+=-]+", "-", part).strip("-") for part in parts)
        return f"{readable[:120]}-{self.address[:12]}"

    def to_json(self) -> dict[str, Any]:
        """The settings as they stand in the store's attributes."""
        return asdict(self)

    @classmethod
    def from_json(cls, attributes: Mapping[str, Any]) -> "StoreSettings":
        """The settings of a store that was opened."""
        return cls(**attributes)
