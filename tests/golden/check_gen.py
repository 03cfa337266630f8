"""Compares the generator's convention with an independent float64 reference of GEAR (a Python file with compress, GearConfig
and outlier_count, given by its path), on random data and on .npy files of real keys and values. Prints a table; exit code 1
when a row is out of bounds. Not part of the test suite. See README.md.

Bounds: 99.8 % of the codes agree and relative errors agree within 0.5 % (2 % where outliers or L take part; outliers are filled
differently, so with them no codes are compared). At 8 bits the rounding of the scale to a half alone moves 2 to 3 % of the
codes by one: 97 % must agree, and none may be off by more than 1. The reference rounds the number of outliers down (1 instead
of 2 of 192 values at 2 %), which makes another codec of it: it is given the convention's count."""
import argparse
import importlib.util
import pathlib
import sys

import numpy as np

import check_mixed
from convention import Codec, compress, per_end, start_basis

KIND = {False: "K", True: "V"}
FAMILIES = [("kivi", 64), ("kivi", 32), ("kcvt", 64), ("token", 64)]


def load(path):
    spec = importlib.util.spec_from_file_location("reference", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["reference"] = module
    spec.loader.exec_module(module)

    def count(shape, kind, fraction, _rule):
        length = shape[1] if kind == "K" else shape[0] * shape[2]
        return per_end(fraction, length, length)

    module.outlier_count = count
    return module


def relative(x, whole):
    return np.linalg.norm(whole - x) / np.linalg.norm(x)


def compare(reference, x, codec):
    """Share of equal codes, largest difference of codes, and both relative errors."""
    ours = compress(codec, x)
    config = reference.GearConfig(bits=codec.bits, group=None if codec.backbone == "kcvt" else codec.group,
                                  k_axis="channel" if codec.backbone == "token" else "token", s=codec.fraction,
                                  loops=codec.iterations, fill="mid")
    kind = "V" if codec.outlier_axis == "token" else "K"  # its outliers of kind V are a token's
    if codec.backbone == "token":
        config.v_axis = "channel"
    start = np.stack([start_basis(x.shape[2], codec.rank)] * x.shape[0]) if codec.rank else None
    theirs = reference.compress(x.astype(np.float64), kind, config, codec.rank, B0=start)
    difference = np.abs(ours["code"] - theirs.codes.astype(np.int64))
    exact = x.astype(np.float64)
    return (difference == 0).mean(), difference.max(), relative(exact, ours["whole"]), relative(exact, theirs.reconstruct())


def rows():
    for backbone, group in FAMILIES:
        for bits in (2, 3, 4, 8):
            yield "alone", backbone, group, bits, 0, 0.0
        for bits in (2, 4):
            yield "+L", backbone, group, bits, 4, 0.0
            yield "+S", backbone, group, bits, 0, 0.02
            yield "+L+S", backbone, group, bits, 4, 0.02


def random_data():
    rng = np.random.default_rng(5)
    k = rng.standard_normal((2, 512, 64)) + 6 * rng.standard_normal((2, 1, 64)) * (rng.random((2, 1, 64)) < 0.1)
    return [(False, k.astype(np.float16)), (True, rng.standard_normal((2, 512, 64)).astype(np.float16))]


def real_data(folder, tokens):
    for path in sorted(folder.glob("*_k_post.npy")) + sorted(folder.glob("*_v.npy")):
        yield path.name.endswith("_v.npy"), np.load(path)[:, :tokens].astype(np.float16)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reference", type=pathlib.Path)
    parser.add_argument("--data", type=pathlib.Path, help="folder of *_k_post.npy and *_v.npy, [heads, tokens, head_dim]")
    parser.add_argument("--tokens", type=int, default=1024)
    parser.add_argument("--frontier", type=pathlib.Path,
                        help="frontier.py: compare the presets of the mixed backbone too (with --data)")
    args = parser.parse_args()
    reference = load(args.reference)
    sets = [("random", random_data())] + ([("real", list(real_data(args.data, args.tokens)))] if args.data else [])
    bad = 0
    print(f"{'data':7} {'side':4} {'backbone':8} {'group':>5} {'bits':>4} {'parts':6} {'equal codes':>11} {'off by':>6} "
          f"{'error':>8} {'reference':>9} {'differs':>8}  verdict")
    for name, data in sets:
        for parts, backbone, group, bits, rank, fraction in rows():
            for is_v in (False, True):
                codec = Codec(is_v, backbone, bits, group, fraction, rank=rank)
                got = [compare(reference, x, codec) for side, x in data if side == is_v]
                equal, off = min(g[0] for g in got), max(g[1] for g in got)
                ours, theirs = np.mean([g[2] for g in got]), np.mean([g[3] for g in got])
                apart = max(abs(g[2] / g[3] - 1) for g in got)
                fine = apart <= (0.02 if rank or fraction else 0.005)
                if not fraction:
                    fine = fine and (equal >= 0.998 if bits < 8 else equal >= 0.97 and off <= 1)
                bad += not fine
                print(f"{name:7} {KIND[is_v]:4} {backbone:8} {group:5} {bits:4} {parts:6} {100 * equal:10.3f}% {off:6} "
                      f"{ours:8.5f} {theirs:9.5f} {100 * apart:7.3f}%  {'ok' if fine else 'OUT OF BOUNDS'}")
    if args.frontier and args.data:
        bad += check_mixed.check(args.frontier, args.data)
    print(f"{bad} rows out of bounds")
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
