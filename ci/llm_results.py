"""What gear-llm said, as ci/llm_runs.py keeps it: rows of a model by the names of the caches. Models and sets that were not
run have none."""
import json
import pathlib
import re

MODELS = {"cot": "chain of thought, 9M parameters", "robust": "the same, trained on with noise",
          "smollm2": "SmolLM2-135M-Instruct"}
# Codec files of ci/llm_runs.py.
TITLES = {"k16x4_48x2_v3": "K 16x4 + 48x2, V 3", "k64x2_v2": "K 64x2, V 2", "mix_2_5_s1": "mix_2_5, 1 % outliers on K"}


def load(folder, model, chosen):
    """{name: row}, in the order of the run."""
    path = pathlib.Path(folder, f"llm_{model}_{chosen}.json")
    if not path.exists():
        return {}
    return {row["name"]: row for row in json.loads(path.read_text(encoding="utf-8"))["rows"]}


def is_plan(name):
    """Whether it is a codec file that ci/plan_runs.py had made."""
    return re.fullmatch(r"plan-[\d.]+", name) is not None


# Plans are made for the bits of recipes, rounded up to this.
BITS_STEP = 0.001


def beside_plans(rows):
    """[(recipe's row, row of the best plan that has no more bits, or None)] by bits, of {name: row}."""
    plans = [row for name, row in rows.items() if is_plan(name)]
    recipes = sorted((row for name, row in rows.items() if not is_plan(name)), key=lambda row: row["bits_per_value"])
    out = []
    for recipe in recipes:
        within = [row for row in plans if row["bits_per_value"] < recipe["bits_per_value"] + BITS_STEP]
        out.append((recipe, min(within, key=lambda row: row["kl"], default=None)))
    return out


def shown(name):
    """Presets bold."""
    return f"**{name}**" if re.fullmatch(r"(gear|mix)_\d_\d", name) else TITLES.get(name, name)


def share(row):
    """Of right answers where problems were solved, else of tokens with the likeliest successor of the 16-bit cache."""
    return row.get("accuracy", row["top1"])


def split_name(name):
    """"kivi2+LS" -> ("kivi", 2, "+LS"); None for what is no backbone with parts."""
    match = re.fullmatch(r"(kivi|kcvt|token)([2348])(\+LS|\+L|\+S|)", name)
    return match and (match[1], int(match[2]), match[3])


def sweep_point(name):
    """The rank in prompts and the share of outliers of a 2-bit KIVI cache; None for others."""
    match = re.fullmatch(r"kivi2(?:_r(\d+))?(?:_s([\d.]+))?", name)
    if match:
        return int(match[1] or 0), float(match[2] or 0) / 100
    parts = split_name(name)
    return (4 if "L" in parts[2] else 0, 0.02 if "S" in parts[2] else 0.0) if parts and parts[:2] == ("kivi", 2) else None
