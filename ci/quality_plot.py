#!/usr/bin/env python3
"""Draws attention error against bits per value: quality_plot.py RECIPES.json EXACT4.json OUT.svg

RECIPES.json  `gear-pack --recent 64 --json FILE` on the shipped layers: each recipe as it is defined
EXACT4.json   the same with `--exact-first 4`: every recipe with the same exact first tokens
"""
import json
import math
import sys

BITS = (2.0, 6.4)
ERROR = (0.02, 1.0)
PANEL = {"width": 480, "height": 380, "top": 66}
FAMILIES = (("mixed", "#d1495b", "mixed"), ("kivi", "#1c4284", "KIVI"), ("kcvt", "#2e8b57", "KCVT"),
            ("token", "#b9770e", "token groups"))
PARTS = (("", "alone"), ("+L", "with L"), ("+L+S", "with L and S"))


def split_name(name):
    """"kivi-2 +L+S" -> ("kivi", "+L+S"); None for what is not drawn."""
    family = name.split("-")[0]
    if family not in [key for key, _, _ in FAMILIES]:
        return None
    return family, name.rpartition(" ")[2] if " +" in name else ""


def place(panel_x, bits, error):
    x = panel_x + (bits - BITS[0]) / (BITS[1] - BITS[0]) * PANEL["width"]
    fraction = (math.log(error) - math.log(ERROR[0])) / (math.log(ERROR[1]) - math.log(ERROR[0]))
    return round(x, 1), round(PANEL["top"] + (1 - fraction) * PANEL["height"], 1)


def mark(x, y, part, color):
    if part == "+L":
        return f'<path class="mark" fill="#ffffff" stroke="{color}" d="M{x} {y - 5:.1f}l5 9h-10z"/>'
    if part == "+L+S":
        return f'<path class="mark" fill="#ffffff" stroke="{color}" d="M{x - 4.5:.1f} {y - 4.5:.1f}h9v9h-9z"/>'
    return f'<circle class="mark" cx="{x}" cy="{y}" r="4.5" fill="{color}" stroke="{color}"/>'


def axes(x, title):
    out = [f'<text class="title" x="{x + PANEL["width"] / 2}" y="46">{title}</text>']
    for bits in range(2, 7):
        at, bottom = place(x, bits, ERROR[0])
        out.append(f'<path class="grid" d="M{at} {PANEL["top"]}V{bottom}"/>')
        out.append(f'<text class="tick" text-anchor="middle" x="{at}" y="{bottom + 18}">{bits}</text>')
    for error in (0.02, 0.05, 0.1, 0.2, 0.5, 1.0):
        left, at = place(x, BITS[0], error)
        out.append(f'<path class="grid" d="M{left} {at}h{PANEL["width"]}"/>')
        out.append(f'<text class="tick" text-anchor="end" x="{left - 7}" y="{at + 4}">{error:g}</text>')
    middle, below = x + PANEL["width"] / 2, PANEL["top"] + PANEL["height"] + 38
    out.append(f'<text class="tick" text-anchor="middle" x="{middle}" y="{below}">bits per value</text>')
    return out


def panel(x, title, rows):
    out = axes(x, title)
    for family, color, _ in FAMILIES:
        for part, _ in PARTS:
            points = [(r["bits_per_value"], r["rel_attention"]) for r in rows if split_name(r["name"]) == (family, part)]
            places = [place(x, *point) for point in sorted(points)]
            if len(places) > 1:
                out.append(f'<path class="join" stroke="{color}" d="M' + "L".join(f"{a} {b}" for a, b in places) + '"/>')
            out += [mark(a, b, part, color) for a, b in places]
    for r in rows:
        if r["preset"] and split_name(r["name"])[0] == "mixed":
            a, b = place(x, r["bits_per_value"], r["rel_attention"])
            default = r["preset"] == "gear_2_6"
            dx, dy, anchor = (10, -8, "start") if default else (-8, 16, "end")
            if default or r["preset"] in ("mix_2_2", "mix_3_1", "mix_3_5", "mix_4_4"):
                out.append(f'<text class="name" text-anchor="{anchor}" x="{a + dx}" y="{b + dy}">{r["preset"]}</text>')
    return out


def legend(y):
    out, x = [], 70
    for _, color, label in FAMILIES:
        out.append(f'<rect x="{x}" y="{y - 10}" width="12" height="12" fill="{color}"/>')
        out.append(f'<text class="tick" x="{x + 18}" y="{y}">{label}</text>')
        x += 120
    for part, label in PARTS:
        out.append(mark(x + 60, y - 4, part, "#1b2a41"))
        out.append(f'<text class="tick" x="{x + 72}" y="{y}">{label}</text>')
        x += 130
    return out


def main():
    reports = []
    for path in sys.argv[1:3]:
        with open(path, encoding="utf-8") as file:
            reports.append(json.load(file)["rows"])
    height = PANEL["top"] + PANEL["height"] + 84
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1100 {height}"',
             '     font-family="Helvetica, Arial, sans-serif" role="img"',
             '     aria-label="Relative attention error against bits per value for every recipe, by backbone and parts">',
             "  <!-- quality.svg: made by ci/quality_plot.py; the numbers are those of the table in quality.md. -->",
             "  <style>",
             "    .title { font-size: 15px; fill: #1b2a41; text-anchor: middle }",
             "    .tick { font-size: 12px; fill: #5b6b82 }",
             "    .name { font-size: 11px; fill: #d1495b }",
             "    .grid { stroke: #e3e7ee; stroke-width: 1; fill: none }",
             "    .join { stroke-width: 1.5; fill: none; stroke-opacity: 0.55 }",
             "    .mark { stroke-width: 1.5 }",
             "  </style>",
             f'  <rect width="1100" height="{height}" fill="#ffffff"/>',
             '  <text class="tick" x="24" y="24">relative attention error</text>']
    body = panel(60, "each recipe as it is defined", reports[0])
    body += panel(602, "first 4 tokens exact in every recipe", reports[1])
    lines += ["  " + line for line in body + legend(height - 18)] + ["</svg>"]
    with open(sys.argv[3], "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
