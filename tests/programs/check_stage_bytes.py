#!/usr/bin/env python3
"""check_stage_bytes.py RUN.json: the bytes that gear-bench says each stage must move are no more than its buffers have.

Of append a stage reads or writes, at most, the input, a staged copy of it, a byte of mask a value, a residual as large as the
input, and records no larger than it; and for each fit a matrix of head_dim x head_dim floats. Of attend it is no more than
the row says, of the merge no more than partial results of 64 splits."""
import json
import sys

with open(sys.argv[1], encoding="utf-8") as file:
    rows = json.load(file)["rows"]
failures, seen = [], 0
for row in rows:
    heads = row["batch"] * row["kv_heads"]
    lists = 4096 + 256 * row["batch"] * (row["tokens"] // 64 + 2)
    most = 4.5 * row.get("bytes_moved", 0) + 8 * heads * row["head_dim"] ** 2 + lists
    for stage in row.get("stages", []):
        seen += 1
        limit = most
        if stage["name"].startswith("attend_1"):
            limit = row["bytes_moved"]
        elif stage["name"].startswith("attend_2"):
            limit = heads * row["queries_per_kv_head"] * row["query_tokens"] * (row["head_dim"] + 2) * 4 * 65
        if stage["name"] in ("fill", "copy"):
            continue
        if not stage["bytes"] or stage["bytes"] > limit:
            what = f"{row['codec']}, {row['tokens']} tokens: {stage['name']}"
            failures.append(f"{what} moves {stage['bytes']} bytes of {limit:.0f}")
if not seen:
    failures.append("no stages")
print("\n".join(failures) or f"{seen} stages")
sys.exit(1 if failures else 0)
