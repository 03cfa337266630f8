#!/usr/bin/env python3
"""Measures uniform and Lloyd-Max levels of V on the mixed backbone, their errors on the shipped layers and the time of attend,
and puts the table into docs/quality.md, between its levels markers: quality_levels.py GEAR_PACK GEAR_BENCH   (paths of the
programs; the default device, --recent 64, four exact tokens; attend of one sequence, 8 KV heads, 4 queries each, 4096 tokens,
head_dim 128). On PoCL set POCL_MAX_PTHREAD_COUNT=1: the time of one core moves least when others work on the machine."""
import json
import os
import subprocess
import sys
import tempfile

from quality_rows import MIXED, measure, put

# name, K segments at head_dim 64 and at 128, bits of V
CODECS = (("mix_3_5", "32x4,32x3", "64x4,64x3", 3), ("mix_4_4", "16x5,48x4", "32x5,96x4", 4))
LEVELS = ("uniform", "normal")


def flags(segments, bits, levels):
    return f"{MIXED}--k-segments {segments} --v-bits {bits} --levels {levels}"


def bench(program):
    """What gear-bench says of each codec and its levels, in order."""
    with tempfile.TemporaryDirectory() as folder:
        shapes, report = os.path.join(folder, "shapes.txt"), os.path.join(folder, "bench.json")
        with open(shapes, "w", encoding="utf-8") as file:
            for _, _, segments, bits in CODECS:
                file.writelines(f"attend 1 8 4 4096 128 1 {flags(segments, bits, levels)}\n" for levels in LEVELS)
        subprocess.run([program, "--shapes", shapes, "--no-16bit", "--seconds", "3", "--json", report], check=True)
        with open(report, encoding="utf-8") as file:
            return json.load(file)


def main():
    report = bench(sys.argv[2])
    times = iter(report["rows"])
    head = ["K as in", "bits of V", "levels", "bits/value", "K", "V", "attention", "attend, us"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for name, segments, _, bits in CODECS:
        for levels in LEVELS:
            row, time = measure(sys.argv[1], flags(segments, bits, levels)), next(times)
            cells = [name, str(bits), levels, f"{row['bits_per_value']:.2f}"]
            cells += [f"{row[key]:.4f}" for key in ("rel_k", "rel_v", "rel_attention")]
            lines.append("| " + " | ".join(cells + [f"{time['device_us']['best']:.0f} ({time['variant']})"]) + " |")
    lines.append(f"\nattend on {report['device']['name']} through {report['device']['platform']}"
                 + (", one core." if os.environ.get("POCL_MAX_PTHREAD_COUNT") == "1" else "."))
    put("levels", "\n".join(lines))


if __name__ == "__main__":
    main()
