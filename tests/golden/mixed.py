"""Rules 10 and 11 of docs/design.md (the mixed backbone) in NumPy, written independently of src/ref: channel order, rotation,
fit, stored pairs and codes. Sums that the convention takes in order are taken in order."""
import numpy as np

f16, f32, f64 = np.float16, np.float32, np.float64
BLOCK, LARGEST = 64, 65504.0
TINY = np.array(0x0011, np.uint16).view(f16)
NORMAL = {3: [0.113837, 0.351183, 0.624388, 1.0],
          4: [0.046832, 0.141606, 0.239801, 0.344256, 0.459146, 0.591622, 0.756808, 1.0]}


def fused(a, b, c):
    """fma(a, b, c) of float32 arrays whose product is exact in float64: the float64 sum, rounded to odd, then to float32."""
    p, c = a.astype(f64) * b.astype(f64), c.astype(f64)
    s = p + c
    part = s - p
    rest = (p - (s - part)) + (c - part)
    even = np.ascontiguousarray(s).view(np.uint64) & np.uint64(1) == 0
    return np.where((rest != 0) & even, np.nextafter(s, np.copysign(np.inf, rest)), s).astype(f32)


def quotient(d, scale, low, high):
    """rint_even(d / scale), exactly, for a positive scale: float64 quotients of two floats never round onto a tie."""
    return np.clip(np.rint(d.astype(f64) / scale.astype(f64)), low, high).astype(np.int64)


def ordered_sum(values, keep):
    """float32 sum over the last axis, in order, of what keep has."""
    total = np.zeros(values.shape[:-1], f32)
    for i in range(values.shape[-1]):
        total = np.where(keep[..., i], (total + values[..., i]).astype(f32), total)
    return total


# ------------------------------------------------------------------------------------------------------ rule 10
def channel_order(x, weights):
    """Channels [head][d] by falling importance of x [head][token][d]; equal ones by index."""
    heads, tokens, d = x.shape
    values = x.astype(f32).transpose(0, 2, 1)
    blocks = [values[..., first:first + BLOCK] for first in range(0, tokens, BLOCK)]
    total = lambda a: ordered_sum(a, np.ones(a.shape, bool))
    sums = [total(b) for b in blocks]
    inverse = f32(1) / f32(tokens)
    mean = (total(np.stack(sums, -1)) * inverse).astype(f32)
    parts_ = []
    for block, sum_ in zip(blocks, sums):
        n = f32(block.shape[-1])
        middle = (sum_ * (f32(1) / n)).astype(f32)
        apart, away = (block - middle[..., None]).astype(f32), (middle - mean).astype(f32)
        parts_.append((total((apart * apart).astype(f32)) + (n * (away * away).astype(f32)).astype(f32)).astype(f32))
    importance = (total(np.stack(parts_, -1)) * inverse).astype(f32)
    if weights is not None:
        importance = (importance * weights.astype(f32)).astype(f32)
    importance = np.where(importance > 0, importance, f32(0))
    return np.argsort(-importance.astype(f64), axis=1, kind="stable").astype(np.uint8)


def parts(d):
    """Powers of two that add up to d, the largest first."""
    return [1 << b for b in range(d.bit_length() - 1, -1, -1) if d >> b & 1]


def rotate(x):
    """Halves [..., d] rotated part by part; butterflies of neighbours first."""
    first, out = 0, []
    for size in parts(x.shape[-1]):
        y = x[..., first:first + size].astype(f32)
        step = 1
        while step < size:
            pairs = y.reshape(*y.shape[:-1], size // (2 * step), 2, step)
            low, high = pairs[..., 0, :], pairs[..., 1, :]
            y = np.stack([low + high, low - high], -2).astype(f32).reshape(y.shape)
            step *= 2
        out.append((y * f32(1 / np.sqrt(f64(size)))).astype(f32))
        first += size
    return np.clip(np.concatenate(out, -1), -LARGEST, LARGEST).astype(f16)


def rotate_back(y):
    """The same on float64 values, exactly enough for errors."""
    first, out = 0, []
    for size in parts(y.shape[-1]):
        h = np.ones((1, 1))
        while len(h) < size:
            h = np.block([[h, h], [h, -h]])
        out.append(y[..., first:first + size] @ h / np.sqrt(size))
        first += size
    return np.concatenate(out, -1)


# ------------------------------------------------------------------------------------------------------ rule 11: fit
def rsqrt(a):
    """1 / sqrt(a) in three Newton steps of float32."""
    a = np.ascontiguousarray(a, f32)
    y, half = (np.uint32(0x5F3759DF) - (a.view(np.uint32) >> np.uint32(1))).view(f32), (f32(0.5) * a).astype(f32)
    for _ in range(3):
        y = (y * (f32(1.5) - ((half * y).astype(f32) * y).astype(f32)).astype(f32)).astype(f32)
    return y


def reciprocal(a):
    y = rsqrt(a)
    return (y * y).astype(f32)


def token_weights(x, v, fixed):
    """Weights [head][token] of 1-bit channels' fit: K as staged, V as it comes in; 1 for the first `fixed` tokens."""
    heads, tokens, _ = x.shape
    weights = np.ones((heads, tokens), f32)

    def norms(a):
        a = a.astype(f32)
        squares = ordered_sum((a * a).astype(f32), np.ones(a.shape, bool))
        return np.where(squares > 0, (squares * rsqrt(np.where(squares > 0, squares, f32(1)))).astype(f32), f32(0))

    k, values = norms(x), norms(v)
    for first in range(0, tokens, BLOCK):
        at = slice(max(first, fixed), min(first + BLOCK, tokens))
        if at.start >= at.stop:
            continue
        inverse = f32(1) / f32(at.stop - at.start)
        sums = [ordered_sum(a[:, at], np.ones(a[:, at].shape, bool)) for a in (k, values)]
        usable = (sums[0] > 0) & (sums[1] > 0)
        mean = ((sums[0] * inverse).astype(f32) * (sums[1] * inverse).astype(f32)).astype(f32)
        scale = reciprocal(np.where(usable, mean, f32(1)))
        norm = (((k[:, at] * values[:, at]).astype(f32) * scale[:, None]).astype(f32) + f32(1e-4)).astype(f32)
        weights[:, at] = np.where(usable[:, None], np.clip(reciprocal(norm), f32(0.01), f32(1000)), f32(1))
    return weights


def fit(values, keep, bits, weights=None):
    """s and z of groups along the last axis; weights of the values, for 1 bit."""
    any_ = keep.any(-1)
    lo = np.where(any_, np.where(keep, values, np.inf).min(-1), 0).astype(f32) + f32(0)
    hi = np.where(any_, np.where(keep, values, -np.inf).max(-1), 0).astype(f32) + f32(0)
    middle, span = ((lo + hi) * f32(0.5)).astype(f32), np.maximum((hi - lo) * f32(0.5), f32(1e-6)).astype(f32)
    if bits != 1:
        return (f32(0.88) * span if bits == 2 else span).astype(f32), middle
    weights = np.broadcast_to(weights, values.shape)
    parts_ = (weights * values).astype(f32)
    average = lambda sum_, all_: (sum_ * reciprocal(np.where(all_ > 0, all_, f32(1)))).astype(f32)
    mean = average(ordered_sum(parts_, keep), ordered_sum(weights, keep))
    best_s, best_z, best_error = span, middle, np.full(span.shape, np.inf, f32)
    for i, share in enumerate((0.5, 0.65, 0.8)):
        s, z = (span * f32(share)).astype(f32), (f32(0.5) * (middle + mean)).astype(f32)
        for pass_ in range(3):
            up = values > z[..., None]
            away = (values - z[..., None]).astype(f32)
            miss = np.where(up, away - s[..., None], away + s[..., None]).astype(f32)
            error = ordered_sum((weights * (miss * miss).astype(f32)).astype(f32), keep)
            if pass_ == 2:
                break
            high, low = (average(ordered_sum(parts_, keep & side), ordered_sum(weights, keep & side)) for side in (up, ~up))
            both = (up & keep).any(-1) & (~up & keep).any(-1)
            new_s, new_z = ((high - low) * f32(0.5)).astype(f32), ((high + low) * f32(0.5)).astype(f32)
            s = np.where(both, np.where(new_s > f32(1e-7), new_s, span), s)
            z = np.where(both, new_z, z)
        better = any_ & ((i == 0) | (error < best_error))
        best_s, best_z = np.where(better, s, best_s), np.where(better, z, best_z)
        best_error = np.where(better, error, best_error)
    return best_s, best_z


def super_scale(largest):
    return np.maximum(np.clip(largest.astype(f32) * f32(1 / 63), 0, LARGEST).astype(f16), TINY)


def blocks_of(a, fill):
    """[head, token, d] -> [head, block, 64, d], `fill` behind the end."""
    heads, tokens, d = a.shape
    count = -(-tokens // BLOCK)
    out = np.full((heads, count * BLOCK, d), fill, a.dtype)
    out[:, :tokens] = a
    return out.reshape(heads, count, BLOCK, d)


def fit_k(codec, x, keep, weights):
    """Returns per [head][block]: supers [segment x 3] halves, pair fields [d], and s and z of every channel."""
    values, keep = blocks_of(x.astype(f32), 0).transpose(0, 1, 3, 2), blocks_of(keep, False).transpose(0, 1, 3, 2)
    supers, fields, scales, zeros, first = [], [], [], [], 0
    if weights is not None:
        weights = blocks_of(weights[..., None], 1).transpose(0, 1, 3, 2)  # [head][block][1][64]
    for channels, bits in codec.segments:
        at = slice(first, first + channels)
        s, z = fit(values[:, :, at], keep[:, :, at], bits, weights)
        unit = super_scale(s.max(-1))
        zero = np.clip(z.min(-1), -LARGEST, LARGEST).astype(f16)
        above = lambda v, zero=zero: np.maximum((v - zero[..., None].astype(f32)).astype(f32), 0)
        zero_unit = super_scale(above(z).max(-1))
        steps = quotient(s, unit[..., None].astype(f32), 1, 63)
        zsteps = quotient(above(z), zero_unit[..., None].astype(f32), 0, 63)
        supers.append(np.stack([unit, zero, zero_unit], -1))
        fields.append(steps | zsteps << 6)
        scales.append((steps * unit[..., None].astype(f64)).astype(f32))
        zeros.append(fused(zsteps.astype(f32), zero_unit[..., None].astype(f32), zero[..., None].astype(f32)))
        first += channels
    join = lambda parts_: np.concatenate(parts_, -1)
    return join(supers), join(fields), join(scales), join(zeros), np.stack([s[..., 0] for s in supers], -1)


def fit_v(codec, x, keep, _):
    """The same: supers [1], pair fields [group x 64], s and z as [group][64]."""
    values, keep = blocks_of(x.astype(f32), 0), blocks_of(keep, False)
    got = [fit(values[..., first:first + 64], keep[..., first:first + 64], codec.bits) for first in range(0, x.shape[2], 64)]
    s, z = (np.stack(part, 2) for part in zip(*got))  # [head][block][group][64]
    unit = super_scale(s.max((2, 3)))
    steps = quotient(s, unit[..., None, None].astype(f32), 1, 63)
    scale = (steps * unit[..., None, None].astype(f64)).astype(f32)
    eighths = quotient((f32(8) * z).astype(f32), scale, -8, 7)
    zero = (eighths * 0.125 * scale.astype(f64)).astype(f32)
    fields = steps | eighths + 8 << 6
    return unit[..., None], fields.reshape(*fields.shape[:2], -1), scale, zero, unit[..., None]


def pairs(codec, x, marked, weights=None):
    """Supers and fields as stored; s, z, the super scale of s and its steps in the shape of x; bits of each channel."""
    heads, tokens, d = x.shape
    supers, fields, s, z, unit = (fit_v if codec.is_v else fit_k)(codec, x, ~marked, weights)
    count = s.shape[1]
    if codec.is_v:
        bits = np.full(d, codec.bits)
        spread = lambda a: np.repeat(a.transpose(0, 1, 3, 2), 64, -1)[..., :d]  # [head][block][64][d]
        units = np.broadcast_to(unit[..., None], (heads, count, BLOCK, d))
        steps = spread((fields & 63).reshape(s.shape))
    else:
        bits = np.repeat([b for _, b in codec.segments], [c for c, _ in codec.segments])
        spread = lambda a: np.broadcast_to(a[:, :, None], (heads, count, BLOCK, d))
        units = spread(np.repeat(unit, [c for c, _ in codec.segments], -1))
        steps = spread(fields & 63)
    flat = lambda a: np.ascontiguousarray(a).reshape(heads, count * BLOCK, d)[:, :tokens]
    return dict(supers=supers, fields=fields, s=flat(spread(s)), z=flat(spread(z)), unit=flat(units), steps=flat(steps),
                bits=bits)


def keys(p, x, inverse):
    """Rule 4, block rule: |x - z| * (inv(S) * (1 / steps))."""
    inv = (inverse(p["unit"]).astype(f32) * (f32(1) / p["steps"].astype(f32)).astype(f32)).astype(f32)
    return (np.abs((x.astype(f32) - p["z"]).astype(f32)) * inv).astype(f32)


# ------------------------------------------------------------------------------------------------------ rule 11: codes
def level_table(bits):
    half = np.array(NORMAL[bits], f32)
    return np.concatenate([-half[::-1], half])


def encode(codec, p, x):
    """Codes and D."""
    x = x.astype(f32)
    if codec.is_v and codec.normal and codec.bits > 2:
        table = level_table(codec.bits)
        away = (x - p["z"]).astype(f32).astype(f64)
        middles = (f32(0.5) * (table[1:] + table[:-1])).astype(f32)
        code = sum((away > m * p["s"].astype(f64)).astype(np.int64) for m in middles.astype(f64))
        return code, lambda c: fused(table[c], p["s"], p["z"])
    top = (2 ** p["bits"] - 1).astype(f32)
    step, low = (p["s"] * (f32(2) / top).astype(f32)).astype(f32), (p["z"] - p["s"]).astype(f32)
    above = (x - low).astype(f32)
    code = np.where(above > 0, quotient(above, step, 0, top), 0)
    return code, lambda c: fused(c.astype(f32), step, low)
