"""The numeric convention of docs/design.md in NumPy, written independently of src/ref: float32 steps where the convention
rounds, exact float64 quotients where it says "as if computed exactly". Used by gen.py (golden files) and check_gen.py
(comparison with an independent reference)."""
from dataclasses import dataclass

import numpy as np

import mixed

f16, f32, f64 = np.float16, np.float32, np.float64
BLOCK = 64
LARGEST = 65504.0


@dataclass
class Codec:
    is_v: bool
    backbone: str = "kivi"  # kivi, kcvt, token, mixed
    bits: int = 2
    group: int = 64
    fraction: float = 0.0
    rule: str = "vector"  # vector, block
    rank: int = 0
    iterations: int = 10
    factor_bits: int = 16
    segments: tuple = ()  # mixed K: (channels, bits)
    rotate: bool = False  # mixed V
    normal: bool = False  # mixed V: Lloyd-Max levels at 3 and 4 bits
    delta_bits: int = 16

    @property
    def axis(self):
        if self.backbone == "kcvt":
            return "token_all" if self.is_v else "channel_segment"
        if self.backbone == "token" or self.is_v:
            return "token_group"
        return "channel_group"

    @property
    def outlier_axis(self):
        return "channel" if not self.is_v and self.backbone != "token" else "token"


def sanitise(values):
    """Rule 1: halves, how many values were NaN and how many rounded to an infinity."""
    values = np.asarray(values, f32)
    nan = np.isnan(values)
    with np.errstate(over="ignore"):
        beyond = np.isinf(values.astype(f16))
    clean = np.clip(np.where(nan, f32(0), values), -LARGEST, LARGEST).astype(f16)
    return clean, int(nan.sum()), int(beyond.sum())


def replace_exact(x, exact, first):
    """Rule 2. x: halves [heads, tokens, head_dim] from position `first`; returns the staged copy and how many are exact."""
    tokens = x.shape[1]
    fixed = min(max(exact - first, 0), tokens)
    staged = x.copy()
    mean = np.zeros((x.shape[0], x.shape[2]), f32)
    if tokens > fixed:
        total = np.zeros_like(mean)
        for t in range(fixed, tokens):
            total = (total + x[:, t].astype(f32)).astype(f32)
        mean = total * (f32(1) / f32(tokens - fixed))
    for t in range(fixed):
        stand_in = exact + t
        staged[:, t] = x[:, stand_in] if stand_in < tokens else mean.astype(f16)
    return staged, fixed


def _groups(codec, shape):
    """For each value the number of its group, and how many there are."""
    heads, tokens, d = shape
    h, t, c = np.ogrid[:heads, :tokens, :d]
    if codec.axis == "channel_group":
        per = -(-tokens // codec.group)
        return (h * per + t // codec.group) * d + c, heads * per * d
    if codec.axis == "token_group":
        group = min(codec.group, d)
        per = -(-d // group)
        return (h * per + c // group) * tokens + t, heads * per * tokens
    if codec.axis == "channel_segment":
        return h * d + c + 0 * t, heads * d
    return t + 0 * h + 0 * c, tokens


def pairs(codec, x, marked):
    """Rule 5: scale and lo of every value's group, as half arrays of the shape of x."""
    number, count = _groups(codec, x.shape)
    number = np.broadcast_to(number, x.shape)
    lo, hi = np.full(count, np.inf, f32), np.full(count, -np.inf, f32)
    np.minimum.at(lo, number[~marked], x[~marked].astype(f32))
    np.maximum.at(hi, number[~marked], x[~marked].astype(f32))
    empty = ~np.isfinite(lo)
    lo[empty] = hi[empty] = 0
    lo, hi = lo + f32(0), hi + f32(0)  # -0 becomes +0
    scale = ((hi - lo).astype(f32) * (f32(1) / f32(2 ** codec.bits - 1))).astype(f32).astype(f16)
    return scale[number], lo.astype(f16)[number]


def inverse(scale):
    """Rule 6: inv of positive halves."""
    mantissa, exponent = np.frexp(scale.astype(f64))
    m = np.rint(mantissa * 2048).astype(np.int64)  # 1024 .. 2047, scale = m 2^(exponent - 11)
    safe = np.where(m > 0, m, 1024)
    return ((1 << 31) // safe).astype(f64) * 2.0 ** (-31.0 - (exponent - 11))


def quotient(d, scale, low, high):
    """rint_even(d / scale), exactly: d has 24 bits and scale 11, so a float64 quotient never rounds onto a tie."""
    s = np.where(scale > 0, scale.astype(f64), 1)
    return np.where(scale > 0, np.clip(np.rint(d.astype(f64) / s), low, high), 0).astype(np.int64)


def _rint(value):
    return int(np.rint(value))


def per_end(fraction, length, available):
    return min(max(1, _rint(float(f32(fraction)) / 2 * length)), available // 2)


def per_block(fraction, d, available):
    return min(max(1, _rint(float(f32(fraction)) * 64 * d)), available)


def block_keys(codec, x, marked, token_weights):
    """Rule 4, block rule: distances from the middle of the group in units of its scale."""
    if codec.backbone == "mixed":
        return mixed.keys(mixed.pairs(codec, x, marked, token_weights), x, inverse)
    scale, lo = pairs(codec, x, marked)
    mid = ((0.5 * (2 ** codec.bits - 1)) * scale.astype(f64) + lo.astype(f64)).astype(f32)
    inv = np.where(scale > 0, inverse(np.where(scale > 0, scale, f16(1))), 0).astype(f32)
    return (np.abs((x.astype(f32) - mid).astype(f32)) * inv).astype(f32)


def mark(codec, x, fixed, token_weights=None):
    """Rule 4: the outliers of a segment whose first `fixed` rows are exact."""
    heads, tokens, d = x.shape
    marked = np.zeros(x.shape, bool)
    if codec.fraction <= 0:
        return marked
    value = x.astype(f64) + 0.0  # -0 equals +0
    if codec.rule == "block":
        key = block_keys(codec, x, marked, token_weights)
        for h in range(heads):
            for first in range(0, tokens, BLOCK):
                start, end = max(first, fixed), min(first + BLOCK, tokens)
                rows = key[h, start:end].reshape(-1)
                n = per_block(codec.fraction, d, rows.size) if rows.size else 0
                chosen = np.argsort(-rows.astype(f64), kind="stable")[:n]
                marked[h, start:end].reshape(-1)[chosen] = True
        return marked
    if codec.outlier_axis == "channel":
        vectors, out = value[:, fixed:].transpose(0, 2, 1).reshape(heads * d, -1), (heads, d, tokens - fixed)
        length = tokens
    else:
        vectors, out = value[:, fixed:].transpose(1, 0, 2).reshape(tokens - fixed, heads * d), None
        length = heads * d
    flags = np.zeros(vectors.shape, bool)
    k = per_end(codec.fraction, length, vectors.shape[1])
    for i, vector in enumerate(vectors):
        top = np.argsort(-vector, kind="stable")[:k]
        rest = np.setdiff1d(np.arange(vector.size), top)
        flags[i, top] = True
        flags[i, rest[np.argsort(vector[rest], kind="stable")[:k]]] = True
    if out:
        marked[:, fixed:] = flags.reshape(out).transpose(0, 2, 1)
    else:
        marked[:, fixed:] = flags.reshape(tokens - fixed, heads, d).transpose(1, 0, 2)
    return marked


def start_basis(d, rank):
    row, column = np.meshgrid(np.arange(d, dtype=np.uint64), np.arange(rank, dtype=np.uint64), indexing="ij")
    low = np.uint64(0xFFFFFFFF)
    h = (row * np.uint64(0x9E3779B1) + column * np.uint64(0x85EBCA77) + np.uint64(0x165667B1)) & low
    h ^= h >> np.uint64(16)
    h = (h * np.uint64(0x7FEB352D)) & low
    h ^= h >> np.uint64(15)
    h = (h * np.uint64(0x846CA68B)) & low
    h ^= h >> np.uint64(16)
    return (h >> np.uint64(8)).astype(f64) * 2.0 ** -23 - 1


def _stored(factor, bits):
    """Rule 8: what reading a stored factor [n, rank] gives back."""
    if bits == 16:
        return np.clip(factor.astype(f32), -LARGEST, LARGEST).astype(f16).astype(f64)
    top = 2 ** (bits - 1) - 1
    largest = np.abs(factor).max(0).astype(f32)
    scale = np.clip((largest * (f32(1) / f32(top))).astype(f32), 0, LARGEST).astype(f16)
    return quotient(factor.astype(f32), np.broadcast_to(scale, factor.shape), -top, top) * scale.astype(f64)


def low_rank(codec, r):
    """Rule 8: L of one head's residual [tokens, head_dim], from the stored factors."""
    rank = min(codec.rank, *r.shape)
    r = r.astype(f64)
    if not rank or not r.any():
        return np.zeros(r.shape)
    b = start_basis(r.shape[1], rank)
    for _ in range(codec.iterations):
        b = np.linalg.qr(b)[0]
        a = np.linalg.qr(r @ b)[0]
        b = r.T @ a
    return _stored(a, codec.factor_bits) @ _stored(b, codec.factor_bits).T


def quantise(codec, x, marked, token_weights=None):
    """Rules 5 to 7 and 11: pairs, codes, D."""
    if codec.backbone == "mixed":
        p = mixed.pairs(codec, x, marked, token_weights)
        code, value = mixed.encode(codec, p, x)
        code = np.where(marked, 1 << (p["bits"] - 1), code)
        return dict(p, code=code, dense=value(code))
    scale, lo = pairs(codec, x, marked)
    d = (x.astype(f32) - lo.astype(f32)).astype(f32)
    code = quotient(d, scale, 0, 2 ** codec.bits - 1)
    code[marked] = np.where(scale[marked] > 0, 2 ** (codec.bits - 1), 0)
    dense = (code * scale.astype(f64) + lo.astype(f64)).astype(f32)  # the sum is exact in float64: one rounding, as fma
    return dict(scale=scale, lo=lo, code=code, dense=dense)


def store_deltas(codec, rest, marked):
    """Rule 9: what reading the deltas of d = `rest` [head][token][channel] gives back, and with 8 bits the codes and the scales
    [head][block]."""
    rest = np.where(marked, rest, f32(0))
    if codec.delta_bits == 16:
        return dict(delta=np.clip(rest, -LARGEST, LARGEST).astype(f16))
    heads, tokens, _ = rest.shape
    scales = np.zeros((heads, -(-tokens // BLOCK)), f16)
    code = np.zeros(rest.shape, np.int64)
    for block in range(scales.shape[1]):
        part = rest[:, block * BLOCK:(block + 1) * BLOCK]
        scales[:, block] = np.clip(np.abs(part).max((1, 2)) * (f32(1) / f32(127)), 0, LARGEST).astype(f16)
        scale = np.broadcast_to(scales[:, block, None, None], part.shape)
        code[:, block * BLOCK:(block + 1) * BLOCK] = quotient(part, scale, -127, 127)
    return dict(delta=code * np.repeat(scales.astype(f64), BLOCK, 1)[:, :tokens, None], delta_code=code, delta_scale=scales)


def compress(codec, values, exact=0, first=0, weights=None, order=None, v=None):
    """All stages on one segment. Returns every intermediate as a dict of arrays of the shape of `values`. Mixed K: `order` is
    that of the sequence, or the segment opens it and finds its own (with `weights` [head][d], if given); `v` are the values
    that K of 1 bit is weighed with."""
    clean, nan, beyond = sanitise(values)
    x, fixed = replace_exact(clean, exact, first)
    back, token_weights = lambda a: a, None
    if codec.backbone == "mixed" and not codec.is_v:
        order = mixed.channel_order(x, weights) if order is None else order
        x = np.take_along_axis(x, order[:, None].astype(np.int64), 2)
        back = lambda a: np.take_along_axis(a, np.argsort(order, 1)[:, None], 2)
        if any(bits == 1 for _, bits in codec.segments):
            token_weights = mixed.token_weights(x, sanitise(v)[0], fixed)
    elif codec.rotate:
        x, back = mixed.rotate(x), mixed.rotate_back
    is_exact = np.zeros(x.shape, bool)
    is_exact[:, :fixed] = True
    marked = mark(codec, x, fixed, token_weights)
    result = quantise(codec, x, marked, token_weights)
    dense = result["dense"]
    r = np.where(marked | is_exact, f32(0), (x.astype(f32) - dense).astype(f32))
    r = np.clip(r, -LARGEST, LARGEST).astype(f16)  # rule 7: kept in halves
    low = np.stack([low_rank(codec, head) for head in r]) if codec.rank else np.zeros(x.shape)
    rest = ((x.astype(f32) - dense).astype(f32).astype(f64) - low).astype(f32)
    sparse = store_deltas(codec, rest, marked)
    whole = np.where(is_exact, clean.astype(f64), back(dense.astype(f64) + low + sparse["delta"].astype(f64)))
    return dict(result, **sparse, clean=clean, x=x, fixed=fixed, nan=nan, beyond=beyond, marked=marked, r=r, low=low,
                whole=whole, order=order)
