#!/usr/bin/env python3
"""Puts measured tables into the documents: update_tables.py TABLE.txt RECENT.json EXACT4.json VARIANCE.json

TABLE.txt      what ci/quickstart.sh printed; goes between the markers of README.md as it is
RECENT.json    what `ci/quickstart.sh --recent 64 --json FILE` wrote; becomes the table of docs/quality.md
EXACT4.json    the same with `--exact-first 4`: a column of it, for the recipes that keep no token exact
VARIANCE.json  the same as RECENT.json with `--order variance`: a column of it, for the codecs that have a channel order
ci/quality_plot.py draws the figure from RECENT.json and EXACT4.json.
"""
import json
import re
import sys


def between_markers(path, text):
    with open(path, encoding="utf-8") as file:
        old = file.read()
    marked = f"<!-- table -->\n{text}\n<!-- /table -->"
    new, count = re.subn(r"<!-- table -->.*?<!-- /table -->", lambda _: marked, old, flags=re.S)
    if count != 1:
        sys.exit(f"{path}: one pair of table markers expected, {count} found")
    with open(path, "w", encoding="utf-8") as file:
        file.write(new)


def number(value, digits):
    return "-" if value is None else f"{value:.{digits}f}"


def quality_table(report, exact, variance):
    exact, variance = ({row["name"]: row for row in other["rows"]} for other in (exact, variance))
    head = ["codec", "preset", "bits/value", "K", "V", "attention", "4 tokens exact", "order by variance", "L, K", "L, V"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for row in report["rows"]:
        name = row["name"]
        cells = [name, f"**{row['preset']}**" if row["preset"] else "-", number(row["bits_per_value"], 2)]
        cells += [number(row[key], 4) for key in ("rel_k", "rel_v", "rel_attention")]
        cells.append(number(exact[name]["rel_attention"], 4))
        cells.append(number(variance[name]["rel_attention"] if row["order"] else None, 4))
        cells += [number(row[key], 3) for key in ("lowrank_energy_k", "lowrank_energy_v")]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def ordering(report):
    """GEAR <= GEAR-L <= backbone, for each backbone and width: the claim of the paper, checked on the numbers."""
    rows = {row["name"]: row for row in report["rows"]}
    broken = []
    for name, row in rows.items():
        for part, base in (("+L", name.removesuffix(" +L")), ("+L+S", name.removesuffix("+S"))):
            if name.endswith(" " + part) and base in rows:
                broken += [f"{name} {key}" for key in ("rel_k", "rel_v", "rel_attention") if row[key] > rows[base][key]]
    if broken:
        return "L and S lower every error but: " + ", ".join(broken) + "."
    return "L lowers every error of the row without it, and S those of the row without S."


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        between_markers("README.md", "```\n" + file.read().rstrip() + "\n```")
    reports = []
    for path in sys.argv[2:5]:
        with open(path, encoding="utf-8") as file:
            reports.append(json.load(file))
    report = reports[0]
    device = f"Measured on {report['device']['name']} through {report['device']['platform']}."
    between_markers("docs/quality.md", quality_table(*reports) + "\n\n" + ordering(report) + " " + device)


if __name__ == "__main__":
    main()
