"""How many passes of the power iteration L needs: what L leaves of a residual over the best that its rank could leave (what the
singular value decomposition leaves, in the Frobenius norm), for random matrices whose singular values are 1, 1/2, 1/4, ... and,
with --data, for what 2-bit KIVI leaves of real keys and values, each head's first 1024 tokens.

Prints a row for each rank and number of passes: median, 90th percentile and worst ratio, and the share of matrices above 1.02.
The start basis and the 16-bit factors are those of the convention. Needs NumPy; takes a minute."""
import argparse
import pathlib

import numpy as np

from convention import Codec, compress, low_rank


def decaying(rng, tokens, d):
    left, right = (np.linalg.qr(rng.standard_normal((n, d)))[0] for n in (tokens, d))
    return left * 0.5 ** np.arange(d) @ right.T


def real(folder, tokens=1024):
    for path in sorted(folder.glob("*_k_post.npy")) + sorted(folder.glob("*_v.npy")):
        x = np.load(path)[:, :tokens].astype(np.float16)
        yield from x.astype(np.float64) - compress(Codec(path.name.endswith("_v.npy")), x)["whole"]


def table(name, matrices, ranks, passes):
    spectra = [np.linalg.svd(r, compute_uv=False) for r in matrices]
    print(f"{name}, {len(matrices)} matrices")
    print(f"{'rank':>4} {'passes':>6} {'median':>7} {'90 %':>7} {'worst':>7} {'above 1.02':>10}")
    for rank in ranks:
        for count in passes:
            codec = Codec(False, rank=rank, iterations=count)
            ratios = np.array([np.linalg.norm(r - low_rank(codec, r)) / np.linalg.norm(spectrum[rank:])
                               for r, spectrum in zip(matrices, spectra)])
            print(f"{rank:4} {count:6} {np.median(ratios):7.4f} {np.quantile(ratios, 0.9):7.4f} {ratios.max():7.4f} "
                  f"{100 * (ratios > 1.02).mean():9.1f}%", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--matrices", type=int, default=200)
    parser.add_argument("--tokens", type=int, default=192)
    parser.add_argument("--head-dim", type=int, default=64)
    parser.add_argument("--data", type=pathlib.Path, help="folder of *_k_post.npy and *_v.npy, [heads, tokens, head_dim]")
    args = parser.parse_args()
    rng = np.random.default_rng(1)
    matrices = [decaying(rng, args.tokens, args.head_dim) for _ in range(args.matrices)]
    table("singular values 1, 1/2, 1/4, ...", matrices, (1, 2, 4, 8), (1, 2, 3, 4, 6, 10))
    if args.data:
        table("what 2-bit KIVI leaves of real keys and values", list(real(args.data)), (2, 4), (1, 2, 3, 6, 10))


if __name__ == "__main__":
    main()
