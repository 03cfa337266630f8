#!/usr/bin/env python3
"""Draws what caches do to two models' predictions: llm_plot.py RESULTS FOLDER   (results of ci/llm_runs.py; figures are written
to FOLDER). A figure has a panel for each model that was run, and is left as it is where none was."""
import os
import sys

import chart
from llm_results import MODELS, is_plan, load, share, shown, split_name, sweep_point

PANELS = ("cot", "smollm2")
KL = {"cot": chart.Axis(1e-6, 1.0, tuple(10.0 ** e for e in range(-6, 1)), log=True),
      "robust": chart.Axis(1e-6, 1.0, tuple(10.0 ** e for e in range(-6, 1)), log=True),
      "smollm2": chart.Axis(1e-3, 10.0, (1e-3, 1e-2, 0.1, 1.0, 10.0), log=True)}
PLAN_KL = chart.Axis(1e-4, 1.0, (1e-4, 1e-3, 1e-2, 0.1, 1.0), log=True)
SHARE = {"cot": chart.Axis(0.0, 1.0, (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)),
         "smollm2": chart.Axis(0.5, 1.0, (0.5, 0.6, 0.7, 0.8, 0.9, 1.0))}
SHARE_NAME = {"cot": "right answers", "smollm2": "same likeliest token as from 16 bits"}
BACKBONES = (("mixed", "#d1495b", "presets"), ("kivi", "#1c4284", "KIVI"), ("kcvt", "#2e8b57", "KCVT"),
             ("token", "#b9770e", "token groups"))
PLANNED = "#6a4c93"
PARTS = (("", "alone"), ("+L", "with L"), ("+S", "with S"), ("+LS", "with L and S"))
STEPS = (("token2", "#b9770e"), ("kivi2", "#1c4284"), ("kivi2+L", "#4f83cc"), ("kivi2+S", "#7fb069"), ("kivi2+LS", "#2e8b57"),
         ("kivi3", "#1b2a41"), ("mix_2_6", "#e08e79"), ("gear_2_6", "#d1495b"))
NAMED = ("gear_2_6", "mix_2_2", "mix_3_5", "mix_4_4")
STEP = 32  # decoding steps that kl_by_step has means of
WIDTH, TOP = 1100, 66


def lefts(models):
    return zip(models, (60, 602))


def legend(items, y, pitch):
    out = []
    for i, (color, label) in enumerate(items):
        out += chart.swatch(60 + i * pitch, y, color, label)
    return out


def marks_legend(y, x):
    out = []
    for part, label in PARTS:
        out.append(chart.mark(x, y - 4, part, "#1b2a41"))
        out.append(f'<text class="tick" x="{x + 12}" y="{y}">{label}</text>')
        x += 105
    return out


def steps(folder, models):
    """KL over the steps of decoding."""
    body = []
    for model, left in lefts(models):
        rows = load(folder, model, "table")
        last = STEP * max(len(row["kl_by_step"]) for row in rows.values())
        x = chart.Axis(0, last, tuple(range(0, last + 1, 64 if last > 320 else 32)), "tokens decoded")
        panel = chart.Panel(left, MODELS[model], x, KL[model])
        body += panel.axes()
        for name, color in STEPS:
            means = rows[name]["kl_by_step"] if name in rows else []
            points = [(STEP * (i + 0.5), mean) for i, mean in enumerate(means) if mean is not None and mean > 0]
            if points:
                body += [panel.line(points, color)] + panel.marks(points, "", color)
    return body + legend([(color, name) for name, color in STEPS], 512, 130), 530


def parts(folder, models):
    """KL of each 2-bit backbone alone, with L, with S, with both."""
    body = []
    names = [name for name, _, _ in BACKBONES[1:4]]
    for model, left in lefts(models):
        rows = load(folder, model, "table")
        x = chart.Axis(-0.5, 2.5, (0, 1, 2), "backbone, 2 bits", names=tuple(label for _, _, label in BACKBONES[1:4]))
        panel = chart.Panel(left, MODELS[model], x, KL[model])
        body += panel.axes()
        for i, name in enumerate(names):
            points = [(i + 0.16 * (p - 1.5), rows[f"{name}2{part}"]["kl"], part) for p, (part, _) in enumerate(PARTS)
                      if f"{name}2{part}" in rows]
            color = BACKBONES[i + 1][1]
            if len(points) > 1:
                body.append(panel.line([point[:2] for point in points], color))
            for at, kl, part in points:
                body += panel.marks([(at, kl)], part, color)
    return body + marks_legend(512, 60), 530


def swept(folder, model):
    """{(rank, outliers): row} of 2-bit KIVI."""
    rows = {**load(folder, model, "table"), **load(folder, model, "sweep")}
    return {sweep_point(name): row for name, row in rows.items() if sweep_point(name)}


def against(folder, models, x, lines):
    """Shares against one of rank and outliers; `lines`: label, color, and the point of a value on the axis."""
    body = []
    for model, left in lefts(models):
        rows = swept(folder, model)
        panel = chart.Panel(left, f"{MODELS[model]}: {SHARE_NAME[model]}", x, SHARE[model])
        body += panel.axes()
        for _, color, part, point in lines:
            points = [(value, share(rows[point(value)])) for value in x.ticks if point(value) in rows]
            if len(points) > 1:
                body.append(panel.line(points, color))
            body += panel.marks(points, part, color)
    return body + legend([(color, label) for label, color, _, _ in lines], 512, 200), 530


def rank(folder, models):
    x = chart.Axis(-0.3, 8.3, (0, 1, 2, 4, 8), "rank in prompts; in decoding half of it, at least 1")
    return against(folder, models, x, (("without outliers", "#1c4284", "", lambda r: (r, 0.0)),
                                       ("with 2 % outliers", "#2e8b57", "+LS", lambda r: (r, 0.02))))


def outliers(folder, models):
    x = chart.Axis(-0.3, 10.3, (0, 2, 4, 6, 10), "outliers, % of the values")
    return against(folder, models, x, (("without low rank", "#1c4284", "", lambda s: (0, s / 100)),
                                       ("with rank 4", "#2e8b57", "+LS", lambda s: (4, s / 100))))


def family_of(name):
    """Backbone and parts of a recipe."""
    key = split_name(name)
    return (key[0], key[2]) if key else ("mixed", "")


def plans(rows):
    """KL against bits per value of planned codecs and of the fixed recipes, in one panel."""
    points = sorted((row["bits_per_value"], row["kl"]) for name, row in rows.items() if is_plan(name))
    x = chart.Axis(2.0, 5.0, (2, 2.5, 3, 3.5, 4, 4.5, 5), "bits per value")
    panel = chart.Panel(60, "SmolLM2-135M-Instruct, windows that no plan was fitted on", x, PLAN_KL, width=700)
    body = panel.axes() + [panel.line(points, PLANNED)] + panel.marks(points, "", PLANNED)
    colors = {family: color for family, color, _ in BACKBONES}
    for name, row in rows.items():
        if is_plan(name):
            continue
        family, part = family_of(name)
        body += panel.marks([(row["bits_per_value"], row["kl"])], part, colors[family])
        at, above = panel.place(row["bits_per_value"], row["kl"])
        body.append(f'<text class="name" x="{at + 8}" y="{above - 6}">{shown(name).strip("*")}</text>')
    families = [(color, label) for _, color, label in BACKBONES] + [(PLANNED, "planned")]
    return body + legend(families, 512, 130), 530


def bits(folder, models):
    """KL against bits per value of all that was run as it is defined."""
    body = []
    for model, left in lefts(models):
        x = chart.Axis(2.0, 7.0, tuple(range(2, 8)), "bits per value")
        panel = chart.Panel(left, MODELS[model], x, KL[model])
        body += panel.axes()
        groups = {}
        for name, row in load(folder, model, "table").items():
            if name != "16":
                groups.setdefault(family_of(name), []).append((row["bits_per_value"], row["kl"]))
        for family, color, _ in BACKBONES:
            for part, _ in PARTS:
                points = sorted(groups.get((family, part), []))
                if len(points) > 1:
                    body.append(panel.line(points, color))
                body += panel.marks(points, part, color)
        for name, row in load(folder, model, "table").items():
            if name in NAMED:
                at, below = panel.place(row["bits_per_value"], row["kl"])
                body.append(f'<text class="name" text-anchor="end" x="{at - 8}" y="{below + 14}">{name}</text>')
    families = [(color, label) for _, color, label in BACKBONES]
    return body + legend(families, 512, 115) + marks_legend(512, 650), 530


FIGURES = (("steps", steps, "table", "KL divergence from the 16-bit cache, nats a token",
            "Divergence over the steps of decoding, for 2- and 3-bit caches"),
           ("parts", parts, "table", "KL divergence from the 16-bit cache, nats a token",
            "Divergence of 2-bit backbones alone, with low rank, with outliers and with both"),
           ("rank", rank, "table", "2-bit KIVI", "Accuracy of 2-bit KIVI against the rank of its low-rank part"),
           ("outliers", outliers, "table", "2-bit KIVI", "Accuracy of 2-bit KIVI against the share of outliers"),
           ("kl", bits, "table", "KL divergence from the 16-bit cache, nats a token",
            "Divergence against bits per value for every recipe"))


def draw_plans(folder, out):
    rows = load(folder, "smollm2", "plan")
    if not any(map(is_plan, rows)):
        print("plan_frontier.svg: no results")
        return
    body, height = plans(rows)
    path = os.path.join(out, "plan_frontier.svg")
    chart.write(path, "ci/llm_plot.py", "Divergence against bits per value of planned codecs and of fixed recipes",
                "KL divergence from the 16-bit cache, nats a token", 800, height, body, "plan.md")
    print(path)


def main():
    folder, out = sys.argv[1:3]
    for name, draw, needed, label, about in FIGURES:
        models = [model for model in PANELS if load(folder, model, needed)]
        if not models:
            print(f"quality_{name}.svg: no results")
            continue
        body, height = draw(folder, models)
        path = os.path.join(out, f"quality_{name}.svg")
        chart.write(path, "ci/llm_plot.py", about, label, WIDTH, height, body)
        print(f"{path}: {', '.join(models)}")
    draw_plans(folder, out)


if __name__ == "__main__":
    main()
