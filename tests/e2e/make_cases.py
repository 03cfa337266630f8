#!/usr/bin/env python3
"""make_cases.py: writes cases.tsv, the covering arrays of test_attend.c. Of the plain backbones: every pair of values of every
two columns occurs in some row. Of the mixed backbone, which begins with the presets: the same, but for pairs within one list of
LOOSE. Deterministic. Compiling is what a cold run takes its time for, and attend is compiled anew for each combination of the
columns COMPILED, so an array is built in two steps: as few combinations of those columns as have all their pairs, and then rows
that add the other columns to one of these combinations, the row with the most new pairs first.

    make_cases.py > cases.tsv            make_cases.py --check cases.tsv   (exit status 1 when a pair is missing)
"""
import itertools
import random
import sys

AXES = [
    ("backbone", [0, 1, 2, 3], "0 KIVI, 1 KCVT, 2 token, 3 mixed"),
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
    ("delta_bits", [16, 8], "of outliers"),
    ("segments", [0, 1, 2, 3, 4, 5], "mixed, K: the lists of case.c"),
    ("rotate", [0, 1], "mixed, V"),
    ("levels", [0, 1], "mixed, V: 0 uniform, 1 Lloyd-Max (at 2 bits uniform too)"),
    ("weights", [0, 1], "mixed: 1 mean squares of queries are given"),
]
NAMES = [name for name, _, _ in AXES]
AT = {name: i for i, name in enumerate(NAMES)}
COMPILED = sorted(AT[name] for name in ("backbone", "k_bits", "v_bits", "rank_prompt", "rank_decode", "factor_bits", "outliers",
                                  "delta_bits", "segments", "rotate", "levels", "head_dim"))
FREE = [i for i in range(len(AXES)) if i not in COMPILED]

PLAIN = {"backbone": [0, 1, 2], "segments": [0], "rotate": [0], "levels": [0], "weights": [0]}
MIXED = {"backbone": [3], "k_bits": [2], "v_bits": [2, 3, 4], "group": [64]}
# Mixed: columns with many values that different code reads. A pair of two of the same list need not occur; queries and lengths
# meet in the array of the plain backbones.
LOOSE = [[AT[name] for name in names] for names in (("segments", "v_bits", "factor_bits", "outliers", "head_dim"),
                                                   ("queries", "length"))]
# Combinations to begin with: the presets, at as many head dimensions.
PRESETS = [
    "v_bits=2 segments=1 rotate=1 head_dim=80",
    "v_bits=2 segments=0 rotate=1 head_dim=96",
    "v_bits=2 segments=0 rotate=1 rank_prompt=4 rank_decode=2 factor_bits=4 head_dim=64",
    "v_bits=2 segments=2 rotate=1 head_dim=256 outliers=2 delta_bits=8",
    "v_bits=3 segments=2 rotate=1 levels=1 head_dim=128",
    "v_bits=3 segments=3 rotate=1 levels=1 head_dim=80 outliers=1 delta_bits=8",
    "v_bits=4 segments=4 rotate=1 levels=1 head_dim=64",
]

# Few query rows, for which attend is compiled apart: one and two.
EXTRA = [
    "backbone=0 k_bits=2 v_bits=2 rank_prompt=4 rank_decode=2 outliers=1 length=200 queries=1 arrival=4",
    "backbone=2 k_bits=4 v_bits=3 rank_prompt=8 outliers=2 factor_bits=4 head_dim=80 length=193 queries=2 batch=2 arrival=2",
    "backbone=1 k_bits=3 v_bits=8 head_dim=256 length=129 queries=1 kv_heads=2 in_type=2 q_type=2 out_type=2 "
    "tail=2 batch=3 arrival=1",
    "backbone=0 k_bits=16 v_bits=16 head_dim=128 length=320 queries=2 in_layout=2 out_layout=2 soft_cap=30 recent=64 arrival=3",
]

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
TINY_MIXED = [
    "segments=1 rotate=1 v_bits=3 levels=1 outliers=2 delta_bits=8 length=65 queries=1 arrival=1 exact=1 weights=1",
]


def fix(row):
    """Queries of a sequence that has fewer tokens need a tail; three query rows or more of a KV head share a kernel."""
    if row[AT["queries"]] > row[AT["length"]]:
        row[AT["tail"]] = 1
    if row[AT["queries"]] * row[AT["group_heads"]] < 3:
        row[AT["slack"]] = 1
    return row


def pairs_of(row, columns):
    return {(i, row[i], j, row[j]) for i, j in itertools.combinations(columns, 2)}


def values_of(only):
    """Values of every column, where `only` has no other."""
    return [only.get(name, values) for name, values, _ in AXES]


def wanted(values):
    """The pairs that an array of these values must have."""
    loose = LOOSE if values[AT["backbone"]] == MIXED["backbone"] else []
    return {(i, x, j, y)
            for i, j in itertools.combinations(range(len(AXES)), 2) if not any(i in names and j in names for names in loose)
            for x, y in itertools.product(values[i], values[j])}


def complete(row, columns, values, left, rng):
    """Gives the columns that are None values, each the one with the most pairs in `left`."""
    known = [k for k in range(len(row)) if row[k] is not None]
    order = [k for k in columns if row[k] is None]
    rng.shuffle(order)
    for k in order:
        gain = {}
        for value in values[k]:
            gain[value] = sum(((m, row[m], k, value) if m < k else (k, value, m, row[m])) in left for m in known)
        most = max(gain.values())
        row[k] = rng.choice([v for v in values[k] if gain[v] == most])
        known.append(k)
    return row


def build_combinations(values, start, rng, candidates=40):
    left, combinations = {p for p in wanted(values) if p[0] in COMPILED and p[2] in COMPILED}, []
    for row in start:
        combinations.append([x if k in COMPILED else None for k, x in enumerate(row)])
        left -= pairs_of(row, COMPILED)
    while left:
        rows = []
        for i, x, j, y in rng.sample(sorted(left), min(len(left), candidates)):
            row = [None] * len(AXES)
            row[i], row[j] = x, y
            rows.append(complete(row, COMPILED, values, left, rng))
        best = max(rows, key=lambda r: len(pairs_of(r, COMPILED) & left))
        combinations.append(best)
        left -= pairs_of(best, COMPILED)
    return combinations


def build(only, start=(), candidates=60):
    values = values_of(only)
    combinations = min((build_combinations(values, start, random.Random(seed)) for seed in range(40)), key=len)
    rng = random.Random(20)
    everything = list(range(len(AXES)))
    left, rows, found = wanted(values), [], [None]
    while left:
        # Two pairs of which each excludes the other keep being chosen together: after a round without a row, at random.
        prefer, found = left if found else set(), []
        for i, x, j, y in rng.sample(sorted(left), min(len(left), candidates)):
            fitting = [c for c in combinations if c[i] in (None, x) and c[j] in (None, y)]
            if not fitting:
                continue
            row = list(rng.choice(fitting))
            row[i], row[j] = x, y
            row = fix(complete(row, FREE, values, prefer, rng))
            if row[i] == x and row[j] == y:
                found.append(row)
        if found:
            best = max(found, key=lambda r: len(pairs_of(r, everything) & left))
            rows.append(best)
            left -= pairs_of(best, everything)
    print(len(rows), "rows of", len(combinations), "combinations", file=sys.stderr)
    return sorted(rows, key=lambda r: [r[k] for k in (AT["head_dim"], AT["k_bits"], AT["v_bits"])])


def rows_of(texts, only):
    for text in texts:
        row = [values[0] for values in values_of(only)]
        for word in text.split():
            name, value = word.split("=")
            row[AT[name]] = int(value)
        yield row


def read(path):
    with open(path, encoding="ascii") as file:
        lines = [line.split() for line in file if line[0] != "#"]
    if lines[0] != ["set"] + NAMES:
        sys.exit(f"{path}: other columns")
    return [[int(x) for x in line[1:]] for line in lines[1:] if line[0] == "0"]


def main():
    if sys.argv[1:2] == ["--check"]:
        left = wanted(values_of(PLAIN)) | wanted(values_of(MIXED))
        for row in read(sys.argv[2]):
            left -= pairs_of(row, range(len(AXES)))
        print(len(left), "pairs missing", sorted(left)[:5])
        sys.exit(bool(left))
    print("# Written by make_cases.py. set: 0 the covering array, 1 the tiny cases. The other columns:")
    for name, values, text in AXES:
        print("#   %-12s %s%s" % (name, " ".join(map(str, values)), "   " + text if text else ""))
    print("\t".join(["set"] + NAMES))
    arrays = build(PLAIN) + list(rows_of(EXTRA, PLAIN)) + build(MIXED, list(rows_of(PRESETS, MIXED)))
    tiny = list(rows_of(TINY, PLAIN)) + list(rows_of(TINY_MIXED, MIXED))
    for kind, rows in ((0, arrays), (1, tiny)):
        for row in rows:
            print("\t".join(map(str, [kind] + row)))


if __name__ == "__main__":
    main()
