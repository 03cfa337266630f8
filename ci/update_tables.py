#!/usr/bin/env python3
"""Puts measured tables into the documents: update_tables.py TABLE.txt RECENT.json

TABLE.txt    what ci/quickstart.sh printed; goes between the markers of README.md as it is
RECENT.json  what `ci/quickstart.sh --recent 64 --json FILE` wrote; becomes the table of docs/quality.md
"""
import json
import re
import sys


def between_markers(path, text):
    with open(path, encoding="utf-8") as file:
        old = file.read()
    new, count = re.subn(r"<!-- table -->.*?<!-- /table -->", lambda _: f"<!-- table -->\n{text}\n<!-- /table -->", old, flags=re.S)
    if count != 1:
        sys.exit(f"{path}: one pair of table markers expected, {count} found")
    with open(path, "w", encoding="utf-8") as file:
        file.write(new)


def number(value, digits):
    return "-" if value is None else f"{value:.{digits}f}"


def quality_table(report):
    lines = ["| codec | bits/value | K | V | attention | energy in L, K | energy in L, V |", "|---|---|---|---|---|---|---|"]
    for row in report["rows"]:
        cells = [number(row["bits_per_value"], 2)]
        cells += [number(row[key], 4) for key in ("rel_k", "rel_v", "rel_attention")]
        cells += [number(row[key], 3) for key in ("lowrank_energy_k", "lowrank_energy_v")]
        lines.append(f"| {row['name']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def ordering(report):
    """GEAR <= GEAR-L <= backbone, for each backbone and width: the claim of the paper, checked on the numbers."""
    rows = {row["name"]: row for row in report["rows"]}
    broken = []
    for name, row in rows.items():
        for part, base in (("+L", name.removesuffix(" +L")), ("+L+S", name.removesuffix("+S"))):
            if name.endswith(" " + part):
                broken += [f"{name} {key}" for key in ("rel_k", "rel_v", "rel_attention") if row[key] > rows[base][key]]
    return "It holds in every row." if not broken else "It does not hold for: " + ", ".join(broken) + "."


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        between_markers("README.md", "```\n" + file.read().rstrip() + "\n```")
    with open(sys.argv[2], encoding="utf-8") as file:
        report = json.load(file)
    device = f"Measured on {report['device']['name']} through {report['device']['platform']}."
    between_markers("docs/quality.md", quality_table(report) + "\n\n" + ordering(report) + " " + device)


if __name__ == "__main__":
    main()
