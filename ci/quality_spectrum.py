#!/usr/bin/env python3
"""Singular values of what 2-bit backbones leave of real keys and values: quality_spectrum.py RESULT.json OUT.svg

Of the first 1984 tokens of the layers of tests/data/smollm2-kv, compressed as one segment by the convention in NumPy
(tests/golden/convention.py): X - D of each KV head, and the share of its energy (sum of squares) in each singular direction,
averaged over heads and layers. Beside them the same of normal noise of that shape. Keeps the shares in RESULT.json, and takes
them from there when it exists."""
import glob
import json
import os
import sys

import numpy as np

import chart

sys.path.insert(0, "tests/golden")
from convention import Codec, compress  # noqa: E402: its folder is known now

TOKENS = 1984
LINES = (("kivi", "#1c4284", "KIVI"), ("kcvt", "#2e8b57", "KCVT"), ("token", "#b9770e", "token groups"),
         ("noise", "#5b6b82", "normal noise"))
SIDES = (("k_post", "keys"), ("v", "values"))


def shares(residuals):
    """Mean over [heads] matrices of the share of each singular value's square."""
    energy = np.linalg.svd(residuals, compute_uv=False) ** 2
    return energy / energy.sum(1, keepdims=True)


def measure():
    out = {}
    for suffix, side in SIDES:
        layers = [np.load(path)[:, :TOKENS] for path in sorted(glob.glob(f"tests/data/smollm2-kv/L*_{suffix}.npy"))]
        for backbone, _, _ in LINES[:-1]:
            codec = Codec(suffix == "v", backbone)
            of_heads = np.concatenate([shares(compress(codec, layer)["r"].astype(np.float32)) for layer in layers])
            out[f"{backbone} {side}"] = [float(f"{share:.4g}") for share in of_heads.mean(0)]
        noise = shares(np.random.default_rng(1).standard_normal(layers[0].shape))
        out[f"noise {side}"] = [float(f"{share:.4g}") for share in noise.mean(0)]
    return out


def main():
    if not os.path.exists(sys.argv[1]):
        text = json.dumps({"tokens": TOKENS, "shares": measure()}).replace('], "', '],\n "')
        with open(sys.argv[1], "w", encoding="utf-8") as file:
            file.write(text + "\n")
    with open(sys.argv[1], encoding="utf-8") as file:
        found = json.load(file)["shares"]
    body = []
    for left, (_, side) in zip((60, 602), SIDES):
        panel = chart.Panel(left, side, chart.Axis(0, 64, tuple(range(0, 65, 8)), "singular value"),
                            chart.Axis(0.003, 0.2, (0.003, 0.01, 0.02, 0.05, 0.1, 0.2), log=True))
        body += panel.axes()
        for name, color, _ in LINES:
            points = list(enumerate(found[f"{name} {side}"], 1))
            body += [panel.line(points, color, "5 4" if name == "noise" else "")] + panel.marks(points[:8], "", color)
    for i, (_, color, label) in enumerate(LINES):
        body += chart.swatch(60 + 140 * i, 512, color, label)
    chart.write(sys.argv[2], "ci/quality_spectrum.py", "Singular values of what 2-bit backbones leave of keys and values",
                "share of the energy of X - D", 1100, 530, body)
    for name, values in found.items():
        print(f"{name}: the first 4 hold {100 * sum(values[:4]):.1f} %")


if __name__ == "__main__":
    main()
