"""Writes the golden files of tests/data/golden: one per input, "GEARGLD1" and then sections; every "case" section (its name)
opens a case. Needs NumPy only; the same output on every machine. See README.md."""
import argparse
import pathlib
import struct

import numpy as np

from convention import BLOCK, Codec, compress, f16, f32

BACKBONES = {"kivi": 0, "kcvt": 1, "token": 2, "mixed": 3}
RULES = {"vector": 0, "block": 1}


# ------------------------------------------------------------------------------------------------------ file format
def section(name, data):
    """name[8], element bytes, element count, data padded to 8 bytes. Little-endian."""
    data = np.ascontiguousarray(data)
    raw = data.astype(data.dtype.newbyteorder("<")).tobytes()
    return struct.pack("<8sII", name.encode(), data.dtype.itemsize, data.size) + raw + b"\0" * (-len(raw) % 8)


def fnv(data):
    h = 0xCBF29CE484222325
    for byte in bytes(data):
        h = (h ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return h


# ------------------------------------------------------------------------------------------------------ inputs
def inputs():
    """Name -> values [heads, tokens, head_dim], float16 or float32."""
    rng = np.random.default_rng(20240601)

    def normal(heads, tokens, d):
        x = rng.standard_normal((heads, tokens, d)) + 4 * rng.standard_normal((heads, 1, d)) * (rng.random((heads, 1, d)) < 0.1)
        return (x * (1 + 8 * (rng.random(x.shape) < 0.01))).astype(f16)

    data = {"normal84": normal(2, 84, 64), "normal20": normal(2, 20, 64), "dim80": normal(2, 20, 80),
            "dim128": normal(2, 20, 128), "dim256": normal(1, 20, 256)}
    left, right = rng.standard_normal((2, 84, 8)), rng.standard_normal((2, 64, 8))
    data["decay84"] = np.einsum("htk,k,hdk->htd", left, 0.5 ** np.arange(8), right).astype(f16)

    constant = normal(2, 40, 64)
    constant[0, :, :16] = f16(-1.5)  # channels that do not vary
    constant[:, 5] = f16(3.25)  # a token that does not vary
    constant[1, :, 32:] = f16(0)
    constant[1, ::3, 32:] = f16(-0.0)
    constant[0, 7] = f16(-0.0)
    data["constant40"] = constant

    for bits in (2, 3, 4, 8):  # scale 2 and odd values: every second value is a tie; equal extremes everywhere
        top = 2 * (2 ** bits - 1)
        ties = rng.integers(0, top + 1, (2, 40, 64))
        ties[:, ::16], ties[:, 1::16] = 0, top
        ties[:, :, ::16], ties[:, :, 1::16] = 0, top
        data[f"ties{bits}"] = (ties - 4).astype(f16)

    tiny = rng.integers(-40, 41, (2, 40, 64)) * (rng.random((2, 40, 64)) < 0.7)
    tiny[:, :, 16:32] = rng.integers(0, 3, (2, 40, 16))  # ranges below one unit of scale
    tiny[:, :, 32:48] *= 50
    tiny[:, 20:30] = rng.integers(0, 2, (2, 10, 64))
    data["subnormal40"] = (tiny * 2.0 ** -24).astype(f16)

    large = rng.choice([-65504.0, 65504.0, 0.0, 1.0, -2.0 ** -24, 30000.0, -40000.0], (2, 40, 64))
    large[0, :, :8] = rng.uniform(60000, 65504, (40, 8))
    data["largest40"] = large.astype(f16)

    wild = (rng.standard_normal((2, 20, 64)) * 100).astype(f32)
    odd = [np.nan, np.inf, -np.inf, 1e30, -1e30, 65504, 65505, -65519.9, 65520, 65503.9, -65504, 1e-8, 3e-8, -0.0, 2.0 ** -25]
    where = rng.choice(wild.size, 20 * len(odd), replace=False)
    wild.reshape(-1)[where] = np.tile(np.array(odd, f32), 20)
    data["wild20"] = wild

    data.update(ragged80=normal(1, 140, 80), ragged96=normal(2, 70, 96), ragged128=normal(1, 70, 128))
    return data


# ------------------------------------------------------------------------------------------------------ record bytes
def padded(a):
    """[heads, tokens, d] -> [heads, blocks, 64, d], zeros behind the end."""
    heads, tokens, d = a.shape
    blocks = -(-tokens // BLOCK)
    out = np.zeros((heads, blocks * BLOCK, d), a.dtype)
    out[:, :tokens] = a
    return out.reshape(heads, blocks, BLOCK, d)


def pair_parts(codec, result):
    """Pairs as a record holds them; head parts in order (head, block), one part for token_all per block."""
    if codec.backbone == "mixed":
        return pack_bits(result["fields"], 10 if codec.is_v else 12)
    both = np.stack([padded(result["scale"]), padded(result["lo"])]).astype(f16).view(np.uint16)  # [2][head][block][64][d]
    if codec.axis == "channel_group":
        at = both[:, :, :, ::codec.group]
        return at.transpose(1, 2, 3, 0, 4)
    if codec.axis == "token_group":
        return both[..., ::min(codec.group, both.shape[-1])].transpose(1, 2, 4, 0, 3)
    if codec.axis == "channel_segment":
        return both[:, :, 0, 0].transpose(1, 0, 2)
    return both[:, 0, :, :, 0].transpose(1, 0, 2)


def mixed_sections(codec, result, weights):
    sections = dict(mixed=np.array([codec.rotate, codec.normal, *sum(codec.segments, ())], np.uint32),
                    supers=result["supers"].astype(f16).view(np.uint16))
    if not codec.is_v:
        sections["order"] = result["order"]
    if weights is not None:
        sections["weights"] = weights.view(np.uint32)
    return sections


def plane(codes, w, is_v):
    """One plane of w bits for codes [64, d], from the prose of docs/format.md: 32 lanes (row 0..7, quarter 0..3) read streams
    of pairs; a pair's codes lie 16 bits apart in a word. Up to 4 consecutive words of a lane lie together."""
    d = codes.shape[1]
    steps, out, at = d // 16, [], 0
    while at < steps:
        size = 1 if is_v else next(g for g in (4, 2, 1) if g <= steps - at)
        words_per_lane = size * w
        words = np.zeros((32, words_per_lane), np.uint32)
        for row in range(8):
            for quarter in range(4):
                stream = []
                if is_v:
                    for half in range(2):
                        for m in range(4):
                            for pair in range(2):
                                token, channel = 16 * m + 2 * quarter + 8 * pair, 16 * at + row + 8 * half
                                stream.append((codes[token, channel], codes[token + 1, channel]))
                else:
                    for j in range(8):
                        for step in range(at, at + size):
                            for pair in range(2):
                                channel = 16 * step + 4 * quarter + 2 * pair
                                stream.append((codes[8 * j + row, channel], codes[8 * j + row, channel + 1]))
                per = 16 // w
                for i, (low, high) in enumerate(stream):
                    shift = i % per * w
                    words[4 * row + quarter, i // per] |= np.uint32(int(low) << shift | int(high) << shift + 16)
        run = min(words_per_lane, 4)
        out.append(words.reshape(32, words_per_lane // run, run).transpose(1, 0, 2).reshape(-1))
        at += size
    return np.concatenate(out).astype("<u4").tobytes()


def planes(codec, codes):
    segments = codec.segments or ((codes.shape[2], codec.bits),)
    out = []
    for block in padded(codes).reshape(-1, BLOCK, codes.shape[2]):
        first = 0
        for channels, bits in segments:
            for w, shift in {3: [(2, 0), (1, 2)], 5: [(4, 0), (1, 4)]}.get(bits, [(bits, 0)]):
                out.append(plane(block[:, first:first + channels] >> shift & (1 << w) - 1, w, codec.is_v))
            first += channels
    return b"".join(out)


def lists(codec, result):
    """Outlier list lengths, index bytes and deltas in record order, and the first entry of every (head, block)."""
    counts, indices, deltas, bases = [], [], [], []
    stored, kind = ("delta_code", np.int8) if codec.delta_bits == 8 else ("delta", f16)
    marked, delta = padded(result["marked"]), padded(result[stored])
    for head, values in zip(marked, delta):
        for block, value in zip(head, values):
            bases.append(len(indices))
            if codec.is_v:
                block, value = block.T, value.T
            for row, line in zip(block, value):
                step = len(row) if codec.is_v else 128
                for first in range(0, len(row), step):
                    found = first + np.flatnonzero(row[first:first + step])
                    counts.append(len(found))
                    indices += list(found)
                    deltas += list(line[found])
    return (np.array(counts, np.uint8), np.array(indices, np.uint8), np.array(deltas, kind), np.array(bases, np.uint32))


def pack_bits(values, bits):
    expanded = values.reshape(-1, 1) >> np.arange(bits) & 1
    return np.packbits(expanded.astype(np.uint8).reshape(-1), bitorder="little")


# ------------------------------------------------------------------------------------------------------ cases
def cases():
    """(name of the input, codec, exact tokens, first position)."""
    grid = [("kivi", False, 16), ("kivi", False, 32), ("kivi", False, 64),
            ("kivi", True, 16), ("kivi", True, 32), ("kivi", True, 64),
            ("kcvt", False, 64), ("kcvt", True, 64), ("token", False, 32)]
    outliers = [("vector", 0.02), ("block", 0.02), ("vector", 0.1), ("block", 0.1)]
    for i, (backbone, is_v, group) in enumerate(grid):
        for j, bits in enumerate((2, 3, 4, 8)):
            yield "normal84", Codec(is_v, backbone, bits, group), 0, 0
            rule, fraction = outliers[(i + j) % 4]
            yield "normal84", Codec(is_v, backbone, bits, group, fraction, rule), 0, 0
    axes = [("kivi", False, 16), ("kivi", True, 32), ("kcvt", False, 64), ("kcvt", True, 64), ("token", False, 64)]
    for i, (backbone, is_v, group) in enumerate(axes):
        for exact, first in ((4, 0), (16, 0), (64, 0), (30, 20)):
            for rule, fraction in (("vector", 0.02), ("block", 0.05)):
                yield "normal20", Codec(is_v, backbone, 2, group, fraction, rule), exact, first
        yield "normal84", Codec(is_v, backbone, 3, group, 0.05, outliers[i % 2][0]), 70, 0
        for j, bits in enumerate((2, 3, 4, 8)):
            rule, fraction = outliers[(i + j) % 4]
            yield f"ties{bits}", Codec(is_v, backbone, bits, group), 0, 0
            yield f"ties{bits}", Codec(is_v, backbone, bits, group, fraction, rule), 0, 0
            yield "subnormal40", Codec(is_v, backbone, bits, group, fraction * (j % 2), rule), 0, 0
            yield "largest40", Codec(is_v, backbone, bits, group, fraction * (1 - j % 2), rule), 0, 0
        for rule, fraction in (("vector", 0.0), ("vector", 0.02), ("block", 0.05)):
            yield "constant40", Codec(is_v, backbone, 2, group, fraction, rule), 0, 0
        yield "wild20", Codec(is_v, backbone, 4, group), 0, 0
        yield "dim80", Codec(is_v, backbone, 3, group, 0.05, outliers[i % 2][0]), 0, 0
        yield "dim256", Codec(is_v, backbone, 2, group, 0.1, outliers[1 - i % 2][0]), 0, 0
    yield "dim80", Codec(True, "kivi", 2, 64), 0, 0
    yield "dim128", Codec(True, "kivi", 2, 128, 0.02, "block"), 0, 0
    yield "dim128", Codec(False, "token", 4, 128, 0.02), 0, 0
    for backbone, is_v in (("kivi", False), ("kivi", True), ("kcvt", False), ("kcvt", True)):
        for bits in (16, 8, 4):
            yield "decay84", Codec(is_v, backbone, 2, 64, rank=4, factor_bits=bits), 0, 0


def mixed_cases():
    """The same for the mixed backbone, and whether the case has weights."""
    k = lambda *segments, **more: Codec(False, "mixed", segments[0][1], 64, segments=segments, **more)
    lists64 = [((16, 4), (48, 2)), ((16, 4), (16, 2), (32, 1)), ((16, 5), (48, 4)), ((32, 4), (32, 3)), ((64, 1),),
               ((16, 8), (16, 3), (16, 1), (16, 2)), ((48, 8), (16, 5))]
    for i, segments in enumerate(lists64):
        yield "normal84", k(*segments), 0, 0, i % 2
        yield "normal84", k(*segments, fraction=0.02, rule=("block", "vector")[i % 2]), 4, 0, 0
        yield "constant40", k(*segments), 0, 0, 0
        yield "subnormal40", k(*segments, fraction=0.05 * (i % 2), rule="block"), 0, 0, 0
        yield "largest40", k(*segments), 0, 0, 0
        yield f"ties{(2, 3, 4, 8)[i % 4]}", k(*segments, fraction=0.05 * (i // 4), rule="block"), 1, 0, 1
    yield "wild20", k(*lists64[0]), 16, 0, 0
    for rule in ("vector", "block"):
        yield "ragged80", k((16, 4), (64, 2), fraction=0.01, rule=rule), 0, 0, 1
        yield "ragged128", k((32, 4), (32, 2), (64, 1), fraction=0.01, rule=rule), 1, 0, 0
    yield "ragged80", k((16, 5), (16, 3), (48, 1)), 70, 0, 0
    yield "ragged96", k((32, 4), (32, 3), (32, 2)), 4, 0, 1
    yield "ragged128", k((32, 5), (96, 4)), 0, 0, 1
    yield "dim256", k((64, 4), (192, 2)), 4, 0, 0
    yield "decay84", k((16, 4), (48, 2), rank=4, factor_bits=4), 0, 0, 0
    names = ("normal84", "ragged80", "ragged96", "ragged128", "constant40", "subnormal40", "largest40", "ties3", "ties4",
             "wild20", "dim256")
    for i, name in enumerate(names):
        for bits in (2, 3, 4):
            for normal in (False, True)[:1 + (bits > 2)]:
                for rotate in (False, True):
                    v = Codec(True, "mixed", bits, 64, rotate=rotate, normal=normal)
                    if (i + bits + normal + rotate) % 3 == 0:
                        v.fraction, v.rule = 0.02, ("vector", "block")[i % 2]
                    yield name, v, (0, 4, 1)[(i + bits) % 3], 0, 0


def delta_cases():
    """Deltas of 8 bits."""
    short = dict(fraction=0.05, delta_bits=8)
    for name in ("normal84", "constant40", "subnormal40", "largest40", "wild20"):
        for backbone, is_v in (("kivi", False), ("kivi", True), ("kcvt", False), ("kcvt", True), ("token", False)):
            rule = ("vector", "block")[(len(name) + is_v) % 2]
            yield name, Codec(is_v, backbone, (2, 3, 4)[len(name) % 3], 64, rule=rule, **short), 0, 0, 0
        for rule in ("vector", "block"):
            yield name, Codec(False, "mixed", 4, 64, segments=((16, 4), (48, 2)), rule=rule, **short), 4, 0, 0
            yield name, Codec(True, "mixed", 2, 64, rotate=True, rule=rule, **short), 4, 0, 0
    yield "dim256", Codec(False, "kivi", 2, 64, rule="block", **short), 0, 0, 0
    yield "dim256", Codec(True, "kivi", 2, 64, rule="vector", **short), 0, 0, 0
    yield "ragged80", Codec(False, "mixed", 4, 64, segments=((16, 4), (64, 2)), rule="block", **short), 70, 0, 1
    yield "ragged128", Codec(True, "mixed", 3, 64, normal=True, rule="vector", **short), 64, 0, 0


def residuals(result):
    """Of every head: the norm of the residual, and of what L leaves of it."""
    return np.array([[np.linalg.norm(r), np.linalg.norm(r - low)]
                     for r, low in zip(result["r"].astype(np.float64), result["low"])])


def case_sections(codec, values, exact, first, weights):
    result = compress(codec, values, exact, first, weights, v=values[:, ::-1])
    config = [codec.is_v, BACKBONES[codec.backbone], codec.bits, codec.group, RULES[codec.rule],
              int(np.array(codec.fraction, f32).view(np.uint32)), codec.rank, codec.iterations, codec.factor_bits, exact, first,
              result["nan"], result["beyond"]]
    counts, indices, deltas, bases = lists(codec, result)
    sections = dict(config=np.array(config, np.uint32), pairs=pair_parts(codec, result),
                    planes=np.array([fnv(planes(codec, result["code"]))], np.uint64))
    if codec.backbone == "mixed":
        sections.update(mixed_sections(codec, result, weights))
    if codec.rank:
        sections["lowrank"] = residuals(result)
        return sections
    # elsewhere the hash of the planes has to do: it covers every code
    if codec.bits < 8 and not codec.fraction and codec.backbone != "mixed":
        sections["codes"] = pack_bits(result["code"], codec.bits)
    if exact:
        sections["standin"] = result["x"][:, :result["fixed"]].view(np.uint16)
    if codec.fraction:
        sections["marked"] = pack_bits(result["marked"].astype(np.int64), 1)
        sections["bases"] = bases
        sections["lists"] = np.array([fnv(counts), fnv(indices), fnv(deltas.tobytes())], np.uint64)
        if codec.delta_bits == 8:
            sections["dscales"] = result["delta_scale"].view(np.uint16)
    return sections


def main():
    here = pathlib.Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, default=here.parent / "data" / "golden")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("*.bin"):
        old.unlink()
    data, files, number = inputs(), {}, 0
    for name, values in data.items():
        raw = values.view(np.uint16 if values.dtype == f16 else np.uint32)
        files[name] = [b"GEARGLD1", section("shape", np.array(values.shape, np.uint32)), section("values", raw)]
    every = [case + (0,) for case in cases()] + list(mixed_cases()) + list(delta_cases())
    rng = np.random.default_rng(7)
    for number, (name, codec, exact, first, weighted) in enumerate(every, 1):
        shape = data[name].shape
        weights = np.exp(2 * rng.standard_normal((shape[0], shape[2]))).astype(f32) if weighted else None
        parts = [codec.backbone, "v" if codec.is_v else "k", f"{codec.bits} bits", f"group {codec.group}"]
        parts += ["segments " + " ".join(f"{channels}x{bits}" for channels, bits in codec.segments)] if codec.segments else []
        parts += ["rotated"] * codec.rotate + ["normal"] * codec.normal + ["weights"] * bool(weighted)
        parts += [f"{codec.rule} {codec.fraction * 100:g} %"] if codec.fraction else []
        parts += ["deltas of 8 bits"] * (codec.delta_bits == 8)
        parts += [f"exact {exact} at {first}"] if exact else []
        parts += [f"rank {codec.rank} in {codec.factor_bits}"] if codec.rank else []
        files[name].append(section("case", np.frombuffer(f"{name}: {', '.join(parts)}".encode() + b"\0", np.uint8)))
        files[name] += [section(key, part) for key, part in case_sections(codec, data[name], exact, first, weights).items()]
    for name, parts in files.items():
        (out / f"{name}.bin").write_bytes(b"".join(parts))
    (out / "list.txt").write_text("".join(f"{name}.bin\n" for name in files))
    size = sum(f.stat().st_size for f in out.iterdir())
    print(f"{number} cases, {len(files)} files, {size} bytes in {out}")


if __name__ == "__main__":
    main()
