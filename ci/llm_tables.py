#!/usr/bin/env python3
"""Puts what gear-llm said into docs/quality.md and docs/plan.md, between their markers: llm_tables.py RESULTS   (results of
ci/llm_runs.py and ci/plan_runs.py).
Beside it go the published figures of the same recipes. A table whose runs are missing is left as it is. Prints which rows lie
outside of the bounds that docs/quality.md names."""
import sys

from llm_published import answers_agree, kl_agrees, published_rows
from llm_results import beside_plans, load, shown
from quality_rows import put

SIGNS = {True: "", False: " (!)"}
TITLES = {"cot": "chain of thought", "robust": "the same, with noise", "smollm2": "SmolLM2"}


def digits(value, count):
    return "-" if value is None else f"{value:.{count}f}"


def table(head, rows):
    lines = ["| " + " | ".join(row) + " |" for row in [head] + rows]
    return "\n".join(lines[:1] + ["|---" * len(head) + "|"] + lines[1:])


def devices(*sets):
    names = sorted({row["device"] for rows in sets for row in rows.values()})
    return "Measured on " + ", ".join(names) + "."


def by_bits(rows):
    return sorted(rows.values(), key=lambda row: row["bits_per_value"])


def cot_table(folder):
    rows, robust = load(folder, "cot", "table"), load(folder, "robust", "table")
    head = ["cache", "bits/value", "answers", "completions", "KL", "KL, 99 %", "top-1", "perplexity"]
    head += ["answers, robust", "KL, robust"] if robust else []
    lines = []
    for row in by_bits(rows):
        cells = [shown(row["name"]), digits(row["bits_per_value"], 2), digits(row["accuracy"], 3),
                 digits(row["exact_completion"], 3), digits(row["kl"], 5), digits(row["kl_99"], 4),
                 digits(row["top1"], 4), digits(row["perplexity"], 4)]
        if robust:
            other = robust.get(row["name"], {})
            cells += [digits(other.get("accuracy"), 3), digits(other.get("kl"), 5)]
        lines.append(cells)
    return table(head, lines) + "\n\n" + devices(rows, robust)


def smollm2_table(folder):
    rows = load(folder, "smollm2", "table")
    head = ["cache", "bits/value", "perplexity", "KL", "KL, median", "KL, 99 %", "top-1"]
    lines = [[shown(row["name"]), digits(row["bits_per_value"], 2), digits(row["perplexity"], 3), digits(row["kl"], 4),
              digits(row["kl_median"], 5), digits(row["kl_99"], 3), digits(row["top1"], 4)] for row in by_bits(rows)]
    return table(head, lines) + "\n\n" + devices(rows)


def plan_table(rows):
    head = ["fixed recipe", "bits/value", "KL", "plan made for", "bits/value", "KL", "plan's KL over recipe's"]
    lines = []
    for recipe, plan in beside_plans(rows):
        cells = [shown(recipe["name"]), digits(recipe["bits_per_value"], 3), digits(recipe["kl"], 5)]
        cells += [plan["name"].removeprefix("plan-"), digits(plan["bits_per_value"], 3), digits(plan["kl"], 5),
                  digits(plan["kl"] / recipe["kl"], 2)] if plan else ["-"] * 4
        lines.append(cells)
    figure = "![KL against bits per value, planned and fixed](plan_frontier.svg)\n\n"  # drawn by ci/llm_plot.py
    return figure + table(head, lines) + "\n\n" + devices(rows)


def iterations(folder):
    """KL of 2-bit KIVI with L by its power iterations, those of the table being 10."""
    kl = {int(name.rpartition("_i")[2]): row["kl"] for name, row in load(folder, "cot", "iterations").items()}
    kl[10] = load(folder, "cot", "table")["kivi2+L"]["kl"]
    counts = sorted(kl)
    return (f"On the chain-of-thought model KL of `kivi2+L` is {', '.join(digits(kl[count], 4) for count in counts)} with "
            f"{', '.join(map(str, counts))} iterations.")


def published_table(folder):
    head = ["model", "cache", "published in", "answers", "published", "KL", "published", "ratio"]
    lines, used, outside = [], [], []
    for other in published_rows():
        rows = load(folder, other["model"], other["set"])
        row = rows.get(other["name"])
        if not row:
            continue
        used.append({row["name"]: row})
        answers, kl = answers_agree(row, other), kl_agrees(row, other)
        if not (answers and kl):
            outside.append(f"{other['model']} {other['set']} {other['name']}")
        ratio = digits(row["kl"] / other["kl"], 2) if other.get("kl") else "-"
        lines.append([TITLES[other["model"]], shown(other["name"]), other["source"], digits(row.get("accuracy"), 3),
                      digits(other.get("accuracy"), 3) + SIGNS[answers], digits(row["kl"], 5), digits(other.get("kl"), 5),
                      ratio + SIGNS[kl]])
    return table(head, lines) + "\n\n" + devices(*used), outside, len(lines)


def main():
    folder = sys.argv[1]
    for model, make in (("cot", cot_table), ("smollm2", smollm2_table)):
        if load(folder, model, "table"):
            put(f"llm {model}", make(folder))
            print(f"docs/quality.md: table of {model}")
    if load(folder, "cot", "iterations") and "kivi2+L" in load(folder, "cot", "table"):
        put("llm iterations", iterations(folder))
    plans = load(folder, "smollm2", "plan")
    if plans:
        put("llm plan", plan_table(plans), "docs/plan.md")
        print("docs/plan.md: table of plans beside recipes")
    text, outside, count = published_table(folder)
    if count:
        put("llm published", text)
        print(f"docs/quality.md: {count} rows beside published ones, {len(outside)} outside of the bounds {' '.join(outside)}")


if __name__ == "__main__":
    main()
