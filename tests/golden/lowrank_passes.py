"""How many passes of the power iteration L needs: what L leaves of a residual over the best that its rank could leave (what the
singular value decomposition leaves, in the Frobenius norm), for random matrices whose singular values are 1, 1/2, 1/4, ..., of
every head_dim and number of tokens asked for, and, with --data, for what 2-bit KIVI leaves of real keys and values, each
head's first 1024 tokens.

Prints a row for each rank and number of passes: median, 90th percentile and worst ratio, and the share of matrices above 1.02;
then the least number of passes with which no random matrix of any shape and rank is above it: the default of the library
(gear.h, power_iterations). The start basis and the 16-bit factors are those of the convention. Needs NumPy; takes 20
minutes."""
import argparse
import pathlib

import numpy as np

from convention import Codec, compress, low_rank

LIMIT = 1.02


def decaying(rng, tokens, d):
    terms = min(tokens, d)
    left, right = (np.linalg.qr(rng.standard_normal((n, terms)))[0] for n in (tokens, d))
    return left * 0.5 ** np.arange(terms) @ right.T


def real(folder, tokens=1024):
    for path in sorted(folder.glob("*_k_post.npy")) + sorted(folder.glob("*_v.npy")):
        x = np.load(path)[:, :tokens].astype(np.float16)
        yield from x.astype(np.float64) - compress(Codec(path.name.endswith("_v.npy")), x)["whole"]


def table(name, count, matrices, ranks, passes):
    """Prints the rows; the worst ratio by number of passes."""
    ratios = {}
    for r in matrices:
        spectrum = np.linalg.svd(r, compute_uv=False)
        for rank in ranks:
            best = np.linalg.norm(spectrum[rank:])
            for number in passes:
                left = np.linalg.norm(r - low_rank(Codec(False, rank=rank, iterations=number), r))
                ratios.setdefault((rank, number), []).append(left / best)
    print(f"{name}, {count} matrices")
    print(f"{'rank':>4} {'passes':>6} {'median':>7} {'90 %':>7} {'worst':>7} {'above 1.02':>10}")
    for (rank, number), found in ratios.items():
        found = np.array(found)
        print(f"{rank:4} {number:6} {np.median(found):7.4f} {np.quantile(found, 0.9):7.4f} {found.max():7.4f} "
              f"{100 * (found > LIMIT).mean():9.2f}%", flush=True)
    return {number: max(max(ratios[rank, number]) for rank in ranks) for number in passes}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--matrices", type=int, default=1000, help="of each shape")
    parser.add_argument("--tokens", type=int, nargs="+", default=[64, 192, 1024])
    parser.add_argument("--head-dim", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--passes", type=int, nargs="+", default=[1, 2, 3, 6, 8, 9, 10, 11])
    parser.add_argument("--data", type=pathlib.Path, help="folder of *_k_post.npy and *_v.npy, [heads, tokens, head_dim]")
    args = parser.parse_args()
    rng = np.random.default_rng(1)
    worst = dict.fromkeys(args.passes, 0)
    for d in args.head_dim:
        for tokens in args.tokens:
            matrices = (decaying(rng, tokens, d) for _ in range(args.matrices))
            found = table(f"singular values 1, 1/2, 1/4, ..., {tokens} tokens, head_dim {d}", args.matrices, matrices,
                          (1, 2, 4, 8), args.passes)
            worst = {number: max(worst[number], found[number]) for number in args.passes}
    enough = [number for number in args.passes if worst[number] <= LIMIT]
    print("worst of all: " + ", ".join(f"{number} passes {worst[number]:.4f}" for number in args.passes))
    print(f"least passes within {LIMIT} for all: {min(enough) if enough else 'more than these'}", flush=True)
    if args.data:
        matrices = list(real(args.data))
        table("what 2-bit KIVI leaves of real keys and values", len(matrices), matrices, (2, 4), args.passes)


if __name__ == "__main__":
    main()
