#!/usr/bin/env python3
"""make_cases.py: writes cases.tsv, the covering array of test_attend.c: every pair of values of every two columns occurs in some
row. Rows are built greedily, the candidate with the most new pairs first; a kernel that no row so
far has compiled counts against a candidate, because compiling is what a cold run takes its time for. Deterministic.

    make_cases.py > cases.tsv            make_cases.py --check cases.tsv   (exit status 1 when a pair is missing)
"""
import itertools
import random
import sys

AXES = [
    ("backbone", [0, 1, 2], "0 KIVI, 1 KCVT, 2 token"),
    ("k_bits", [2, 3, 4, 8, 16], ""),
    ("v_bits", [2, 3, 4, 8, 16], ""),
    ("group", [16, 32, 64, 128], "K groups along tokens: at most 64"),
    ("rank_prompt", [0, 1, 4, 8], "sides of 16 bits have none"),
    ("rank_decode", [0, 2, 8], "likewise"),
    ("factor_bits", [16, 8, 4], ""),
    ("outliers", [0, 1, 2, 3], "0 none, 1 vector 2 %, 2 block 2 %, 3 vector 10 %; sides of 16 bits have none"),
    ("head_dim", [64, 80, 96, 128, 256], ""),
    ("group_heads", [1, 3, 4, 7, 8, 16, 32], "query heads of a KV head"),
    ("kv_heads", [1, 2, 3], ""),
    ("queries", list(range(1, 18)), "of the first sequence"),
    ("slack", [0, 1], "max_query_tokens: 0 the largest of the batch, 1 17"),
    ("length", [1, 2, 20, 63, 64, 65, 127, 128, 129, 150, 191, 192, 193, 200, 257, 320], "of the first sequence"),
    ("batch", [1, 2, 3, 4, 5], "sequences, the others of other lengths"),
    ("in_type", [0, 1, 2], "of K and V: 0 f16, 1 bf16, 2 f32"),
    ("q_type", [0, 1, 2], ""),
    ("out_type", [0, 1, 2], ""),
    ("in_layout", [0, 1, 2], "of K, V and tail: 0 packed by token, 1 by head, 2 strided"),
    ("out_layout", [0, 1, 2], "of out; queries have the next one"),
    ("tail", [0, 1, 2], "0 none, 1 as many as queries, 2 given by sequence, also 0"),
    ("soft_cap", [0, 2, 30], ""),
    ("scale", [0, 1], "0 default, 1 0.2"),
    ("window", [20, 64, 128], ""),
    ("recent", [0, 64], ""),
    ("exact", [0, 1, 4, 99], "99 auto"),
    ("segment", [64, 128, 512], "max_segment_tokens"),
    ("arrival", [0, 1, 2, 3, 4], "0 at once, 1 by 33, 2 by 16, 3 by 16 and flush, 4 a prompt and single tokens"),
]
NAMES = [name for name, _, _ in AXES]
AT = {name: i for i, name in enumerate(NAMES)}

# Small enough for a simulator: name=value where it differs from the first value; GEAR_TEST_TINY runs these alone.
TINY = [
    "backbone=0 k_bits=2 v_bits=2 rank_prompt=4 outliers=1 length=65 queries=2 arrival=1 exact=4",
    "backbone=1 k_bits=3 v_bits=4 rank_decode=2 outliers=2 length=65 queries=1 arrival=3 window=20",
    "backbone=2 k_bits=4 v_bits=3 rank_prompt=8 factor_bits=4 outliers=3 length=70 queries=3 arrival=0",
    "backbone=0 k_bits=16 v_bits=8 group=32 rank_prompt=1 factor_bits=8 length=64 queries=1 tail=1 arrival=1",
    "backbone=1 k_bits=8 v_bits=16 length=65 queries=1 group_heads=3 arrival=3 window=64 exact=1",
    "backbone=2 k_bits=2 v_bits=2 group=128 length=1 queries=1 soft_cap=2",
    "backbone=0 k_bits=3 v_bits=2 batch=2 length=20 queries=2 in_layout=2 out_layout=2 tail=2 window=20",
    "backbone=0 k_bits=2 v_bits=3 kv_heads=2 length=65 queries=1 in_type=1 q_type=2 out_type=1 recent=64 exact=99",
    "backbone=1 k_bits=2 v_bits=2 head_dim=80 length=65 queries=1 outliers=2 arrival=1",
    "backbone=2 k_bits=4 v_bits=4 head_dim=96 length=65 queries=1 rank_prompt=1 arrival=1",
    "backbone=0 k_bits=2 v_bits=2 head_dim=128 length=65 queries=1 outliers=1 arrival=1",
    "backbone=0 k_bits=2 v_bits=2 head_dim=256 length=64 queries=1 outliers=2 arrival=3",
]


def fix(row):
    """Queries of a sequence that has fewer tokens need a tail."""
    if row[AT["queries"]] > row[AT["length"]]:
        row[AT["tail"]] = 1
    return row


def kernels(row):
    """The kernels that a row compiles, as far as rows differ in them."""
    get = lambda name: row[AT[name]]
    d, rows = get("head_dim"), (17 if get("slack") else get("queries")) * get("group_heads")
    tile = 8 if rows >= 5 else 4 if rows >= 3 else rows
    by_token = get("backbone") == 2
    made = [("partial", d, get("k_bits"), get("v_bits"), by_token and get("k_bits") < 16, tile)] * 6
    for side in ("k_bits", "v_bits"):
        made.append(("quantize", d, side, get(side)))
        if get(side) < 16 and get("outliers"):
            made += [("store", d, side, get(side))] * 3 + [("outliers", d, side, get("outliers"), by_token)]
        if get(side) < 16 and get("rank_prompt") + get("rank_decode"):
            made += [("lowrank", d, side)] * 2
    return made


def pairs_of(row):
    return {(i, row[i], j, row[j]) for i, j in itertools.combinations(range(len(AXES)), 2)}


def all_pairs():
    return {(i, x, j, y)
            for i, j in itertools.combinations(range(len(AXES)), 2)
            for x, y in itertools.product(AXES[i][1], AXES[j][1])}


def build(candidates=60, weight=2.0):
    rng = random.Random(20)
    left, rows, compiled = all_pairs(), [], set()
    while left:
        best, best_score = None, None
        seeds = rng.sample(sorted(left), min(len(left), candidates))
        for i, x, j, y in seeds:
            row = [None] * len(AXES)
            row[i], row[j] = x, y
            order = [k for k in range(len(AXES)) if row[k] is None]
            rng.shuffle(order)
            known = [k for k in range(len(AXES)) if row[k] is not None]
            for k in order:
                gain = {}
                for value in AXES[k][1]:
                    gain[value] = sum(
                        ((m, row[m], k, value) if m < k else (k, value, m, row[m])) in left for m in known)
                most = max(gain.values())
                row[k] = rng.choice([v for v in AXES[k][1] if gain[v] == most])
                known.append(k)
            row = fix(row)
            if row[i] != x or row[j] != y:
                continue
            score = len(pairs_of(row) & left) - weight * sum(k not in compiled for k in kernels(row))
            if best is None or score > best_score:
                best, best_score = row, score
        if best is None:
            continue
        rows.append(best)
        compiled.update(kernels(best))
        left -= pairs_of(best)
    # Rows that share kernels stand together.
    return sorted(rows, key=lambda r: (r[AT["head_dim"]], r[AT["k_bits"]], r[AT["v_bits"]], r[AT["backbone"]]))


def tiny_rows():
    for text in TINY:
        row = [values[0] for _, values, _ in AXES]
        for word in text.split():
            name, value = word.split("=")
            row[AT[name]] = int(value)
        yield row


def read(path):
    with open(path, encoding="ascii") as file:
        lines = [line.split() for line in file if line[0] != "#"]
    assert lines[0] == ["set"] + NAMES, "other columns"
    return [[int(x) for x in line[1:]] for line in lines[1:] if line[0] == "0"]


def main():
    if sys.argv[1:2] == ["--check"]:
        left = all_pairs()
        for row in read(sys.argv[2]):
            left -= pairs_of(row)
        print(len(left), "pairs missing", sorted(left)[:5])
        sys.exit(bool(left))
    rows = build()
    print("# Written by make_cases.py. set: 0 the covering array, 1 the tiny cases. Types of columns:")
    for name, values, text in AXES:
        print("#   %-12s %s%s" % (name, " ".join(map(str, values)), "   " + text if text else ""))
    print("\t".join(["set"] + NAMES))
    for kind, group in ((0, rows), (1, tiny_rows())):
        for row in group:
            print("\t".join(map(str, [kind] + row)))
    used = set()
    for row in rows:
        used.update(kernels(row))
    counts = {}
    for kernel in used:
        counts[kernel[0]] = counts.get(kernel[0], 0) + 1
    print(len(rows), "rows; kernels", counts, file=sys.stderr)


if __name__ == "__main__":
    main()
