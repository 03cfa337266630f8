#!/usr/bin/env python3
"""Measures outliers with deltas of 16 and of 8 bits on the shipped layers and puts the table into docs/quality.md, between its
deltas markers: quality_deltas.py GEAR_PACK   (path of the program; the default device, --recent 64, four exact tokens)"""
import sys

from quality_rows import MIXED, measure, put

ON_K = " --outliers 0.01 --outlier-rule block"
CODECS = (
    ("mix_2_5 + 1 % on K", MIXED + "--k-segments 16x4,48x2 --v-bits 2", ON_K),
    ("gear_2_6 + 1 % on K", MIXED + "--k-segments 16x4,48x2 --v-bits 2 --rank 4 --factor-bits 4", ON_K),
    ("mix_3_5 + 1 % on K", MIXED + "--k-segments 32x4,32x3 --v-bits 3 --levels normal", ON_K),
    ("paper_2bit", "--rank 4 --decode-rank 2", " --outliers 0.02"),
    ("paper_4bit", "--backbone kcvt --k-bits 4 --v-bits 4 --rank 4 --decode-rank 2", " --outliers 0.02"),
)


def table(pack):
    head = ["codec", "deltas", "bits/value", "K", "V", "attention"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for name, codec, outliers in CODECS:
        for label, flags in (("no outliers", ""), ("16 bits", outliers), ("8 bits", outliers + " --delta-bits 8")):
            row = measure(pack, codec + flags)
            cells = [name if not flags else "", label, f"{row['bits_per_value']:.2f}"]
            cells += [f"{row[key]:.5f}" for key in ("rel_k", "rel_v", "rel_attention")]
            lines.append("| " + " | ".join(cells) + " |")
            print(lines[-1], flush=True)
    return "\n".join(lines)


if __name__ == "__main__":
    put("deltas", table(sys.argv[1]))
