"""What the token weights of the 1-bit channels (docs/design.md, rule 11) change at preset mix_2_2: relative error of K and of
attention with and without them, by channel order, on .npy files of real keys, values and queries: token_weights.py FOLDER.
The mean over the layers, four exact tokens, no window; the second half of the queries scores."""
import pathlib
import sys

import numpy as np

import mixed
from check_mixed import EXACT, attention, load_layers, presets, relative
from convention import Codec, compress


def errors(layers, weighted):
    segments, bits, _ = presets(layers[0][0].shape[2])["mix_2_2"]
    rows = []
    for k, v, q in layers:
        half = q.shape[1] // 2
        weights = (q[:, :half].astype(np.float32).reshape(len(k), -1, k.shape[2]) ** 2).mean(1) if weighted else None
        stored_k = compress(Codec(False, "mixed", segments=segments), k, EXACT, weights=weights, v=v)["whole"]
        stored_v = compress(Codec(True, "mixed", bits, rotate=True), v, EXACT)["whole"]
        q, k, v = (x.astype(np.float64) for x in (q[:, half:], k, v))
        rows.append((relative(k, stored_k), relative(attention(q, k, v), attention(q, stored_k, stored_v))))
    return np.mean(rows, 0)


def main():
    layers = load_layers(pathlib.Path(sys.argv[1]))
    found = mixed.token_weights
    for weighted in (False, True):
        mixed.token_weights = found
        with_k, with_attention = errors(layers, weighted)
        mixed.token_weights = lambda x, v, fixed: np.ones(x.shape[:2], np.float32)
        k, out = errors(layers, weighted)
        print(f"order by {'queries' if weighted else 'variance'}: K {k:.4f} without, {with_k:.4f} with "
              f"({100 * (with_k / k - 1):+.1f} %); attention {out:.4f} without, {with_attention:.4f} with "
              f"({100 * (with_attention / out - 1):+.1f} %)")


if __name__ == "__main__":
    main()
