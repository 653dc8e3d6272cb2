"""Presets: the robustness tests of the field, as fixed lists of chains.

Where an original draws a parameter at random for each image, a preset has the ends and the middle of its range as
fixed levels, so that every level is a store of its own and a curve can be drawn. `none` is the clean view; it is part
of a preset only where the original has it as a level.

`rine` follows the paper. The code published with it does something else: it passes `cv2.BORDER_DEFAULT`, which is 4,
as the σ of the blur (`blur:k=9,sigma=4`), multiplies the noise by the variance that it drew instead of its square root
(`noise:var=400` for the strongest), gives the drawn JPEG quality to OpenCV in the wrong place, and crops at the centre.
"""

PRESETS: dict[str, tuple[str, ...]] = {
    # UniversalFakeDetect, Ojha et al. 2023, arXiv:2302.10174: JPEG quality 100 … 30, blur σ 0 … 4, where σ 0 is clean
    "ufd": (
        "none",
        *(f"jpeg:{quality}" for quality in range(100, 29, -10)),
        *(f"blur:sigma={sigma}" for sigma in range(1, 5)),
    ),
    # SIDBench, Schinas and Papadopoulos 2024, arXiv:2404.18552; its code blurs before it compresses
    "sidbench": (
        *(f"jpeg:{quality}" for quality in (95, 90, 50, 30)),
        "blur:sigma=2",
        "blur:sigma=4",
        "blur:sigma=2+jpeg:50",
    ),
    # RINE, Koutlis and Papadopoulos 2024, arXiv:2402.19091, after Frank et al. 2020, arXiv:2003.08685: the kernel is
    # drawn from 3, 5, 7, 9 (all four here), the crop from 5–20 %, JPEG quality from 10–75, variance of noise from 5–20
    "rine": (
        *(f"blur:k={k}" for k in (3, 5, 7, 9)),
        *(f"crop:{share}" for share in (0.05, 0.125, 0.2)),
        *(f"jpeg:{quality}" for quality in (10, 42, 75)),
        *(f"noise:var={variance}" for variance in (5, 12.5, 20)),
    ),
    # shorter side 128–1024, kernel 3–15 with σ 3, JPEG quality 10–75, crop 5–20 %
    "ua5": (
        *(f"resize:to={side}" for side in (128, 576, 1024)),
        *(f"blur:k={k},sigma=3" for k in (3, 9, 15)),
        *(f"jpeg:{quality}" for quality in (10, 42, 75)),
        *(f"crop:{share}" for share in (0.05, 0.125, 0.2)),
    ),
}
"""Name → chains, in the order in which they are extracted."""
