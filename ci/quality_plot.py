#!/usr/bin/env python3
"""Draws attention error against bits per value: quality_plot.py RECIPES.json EXACT4.json OUT.svg

RECIPES.json  `gear-pack --recent 64 --json FILE` on the shipped layers: each recipe as it is defined
EXACT4.json   the same with `--exact-first 4`: every recipe with the same exact first tokens
"""
import json
import sys

import chart

BITS = chart.Axis(2.0, 6.4, tuple(range(2, 7)), "bits per value")
ERROR = chart.Axis(0.02, 1.0, (0.02, 0.05, 0.1, 0.2, 0.5, 1.0), log=True)
FAMILIES = (("mixed", "#d1495b", "mixed"), ("kivi", "#1c4284", "KIVI"), ("kcvt", "#2e8b57", "KCVT"),
            ("token", "#b9770e", "token groups"))
PARTS = (("", "alone"), ("+L", "with L"), ("+L+S", "with L and S"))


def split_name(name):
    """"kivi-2 +L+S" -> ("kivi", "+L+S"); None for what is not drawn."""
    family = name.split("-")[0]
    if family not in [key for key, _, _ in FAMILIES]:
        return None
    return family, name.rpartition(" ")[2] if " +" in name else ""


def panel(left, title, rows):
    place = chart.Panel(left, title, BITS, ERROR)
    out = place.axes()
    for family, color, _ in FAMILIES:
        for part, _ in PARTS:
            points = sorted((r["bits_per_value"], r["rel_attention"]) for r in rows if split_name(r["name"]) == (family, part))
            if len(points) > 1:
                out.append(place.line(points, color))
            out += place.marks(points, part, color)
    for r in rows:
        if r["preset"] and split_name(r["name"])[0] == "mixed":
            a, b = place.place(r["bits_per_value"], r["rel_attention"])
            default = r["preset"] == "gear_2_6"
            dx, dy, anchor = (10, -8, "start") if default else (-8, 16, "end")
            if default or r["preset"] in ("mix_2_2", "mix_3_1", "mix_3_5", "mix_4_4"):
                out.append(f'<text class="name" text-anchor="{anchor}" x="{a + dx}" y="{b + dy}">{r["preset"]}</text>')
    return out


def legend(y):
    out, x = [], 70
    for _, color, label in FAMILIES:
        out += chart.swatch(x, y, color, label)
        x += 120
    for part, label in PARTS:
        out.append(chart.mark(x + 60, y - 4, part, "#1b2a41"))
        out.append(f'<text class="tick" x="{x + 72}" y="{y}">{label}</text>')
        x += 130
    return out


def main():
    reports = []
    for path in sys.argv[1:3]:
        with open(path, encoding="utf-8") as file:
            reports.append(json.load(file)["rows"])
    height = 66 + 380 + 84
    body = panel(60, "each recipe as it is defined", reports[0])
    body += panel(602, "first 4 tokens exact in every recipe", reports[1])
    chart.write(sys.argv[3], "ci/quality_plot.py",
                "Relative attention error against bits per value for every recipe, by backbone and parts",
                "relative attention error", 1100, height, body + legend(height - 18))


if __name__ == "__main__":
    main()
