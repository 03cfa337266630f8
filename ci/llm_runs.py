#!/usr/bin/env python3
"""Runs gear-llm for the tables and figures of docs/quality.md and keeps what it says: llm_runs.py GEAR_LLM RUN... [options]

RUN is MODEL_SET: a model (cot, robust, smollm2) and a set of caches (table, training, study, sweep, iterations). Its rows are
kept in RESULTS/llm_RUN.json; caches that have a row there are not run again, so that a run which was cut goes on, and rows
may come from several machines: each names its device. Every call of gear-llm takes as many caches as --at-once says, since
prompts and the 16-bit reference are computed once a call.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

BACKBONES, PARTS = ("kivi", "kcvt", "token"), ("", "+L", "+S", "+LS")
PRESETS = ("gear_2_6", "mix_2_6", "mix_2_2", "mix_2_5", "mix_3_1", "mix_3_5", "mix_4_4")
RANKS, OUTLIERS, ITERATIONS = (1, 2, 8), (0.04, 0.06, 0.1), (1, 2, 16)
# Windows of SmolLM2: those of the study, and the four that plans are judged on.
TEXTS = ("jargon_prose.txt", "jargon_folklore.txt@6000", "jargon_prose.txt@5000")
UNSEEN = ("jargon_prose.txt@5000", "jargon_prose.txt@9000", "jargon_folklore.txt@1000", "jargon_folklore.txt@11000")


def mixed(segments, v_bits, levels="uniform", **more):
    """A codec file of the mixed backbone, for all layers."""
    k = {"backbone": "mixed", "segments": segments, **more}
    return {"layers": [{"k": k, "v": {"backbone": "mixed", "bits": v_bits, "rotate": 1, "levels": levels}}]}


def kivi2(rank, outliers, iterations=0):
    """2-bit KIVI with L of this rank in prompts and of half of it, at least 1, in decoding."""
    side = {"backbone": "kivi", "bits": 2, "rank_prompt": rank, "rank_decode": min(rank, max(1, rank // 2)),
            "power_iterations": iterations, "outlier_fraction": outliers}
    return {"layers": [{"k": side, "v": side}]}


def sweep_name(rank, outliers):
    return "kivi2" + (f"_r{rank}" if rank else "") + (f"_s{100 * outliers:g}" if outliers else "")


# What has no name of its own; SPECs with one of these names become codec files.
CODECS = {"k16x4_48x2_v3": mixed([[16, 4], [48, 2]], 3, "normal"),
          "k64x2_v2": mixed([[64, 2]], 2),
          "mix_2_5_s1": mixed([[16, 4], [48, 2]], 2, outlier_fraction=0.01, outlier_rule="block", delta_bits=8)}
SWEEP = [(rank, outliers) for rank in RANKS for outliers in (0.0, 0.02)] + [
    (rank, outliers) for outliers in OUTLIERS for rank in (0, 4)]
CODECS.update({sweep_name(*point): kivi2(*point) for point in SWEEP})
CODECS.update({f"kivi2_r4_i{count}": kivi2(4, 0.0, count) for count in ITERATIONS})

PAPER = ("kivi2", "kivi2+L", "kivi2+S", "kivi2+LS", "kivi3", "token2", "token2+LS")
PLAIN = [f"{backbone}{bits}{part}" for bits in (2, 3, 4) for backbone in BACKBONES for part in PARTS]
TABLE = ["16", *PAPER, *PRESETS] + [spec for spec in PLAIN if spec not in PAPER]
# The setting of the study: four exact tokens for all, nothing else kept.
STUDY = ("--exact-first", "4", "--recent", "0")
# That of the training's notes: their L has two power iterations.
TRAINING = ("--iters", "2")
LOWRANK = ["kivi2+L", "kivi2+LS", "token2+L", "token2+LS", "kivi4+L", "kivi4+LS"]
# What the study ran on SmolLM2.
RECIPES = ["mix_2_2", "mix_2_5", "gear_2_6", "mix_2_6", "k16x4_48x2_v3", "mix_3_1", "mix_3_5", "mix_4_4",
           "kivi2", "kivi3", "kivi4", "kivi2+LS", "kcvt2+LS"]
SETS = {"training": (TRAINING, {"cot": LOWRANK, "robust": LOWRANK}),
        "table": ((), {"cot": TABLE, "robust": TABLE, "smollm2": TABLE}),
        "study": (STUDY, {"cot": ["kivi2", "kivi2+LS", "kivi3", "k64x2_v2", "mix_2_5", "gear_2_6", "mix_2_5_s1", "mix_2_6",
                                  "mix_3_5"],
                          "robust": ["gear_2_6"],
                          "smollm2": RECIPES}),
        "plan": (STUDY, {"smollm2": RECIPES}),
        "iterations": ((), {"cot": [f"kivi2_r4_i{count}" for count in ITERATIONS]}),
        "sweep": ((), {model: [sweep_name(*point) for point in SWEEP] for model in ("cot", "robust", "smollm2")})}


def rounded(value):
    """Numbers with six digits: that is what the results are good for, and the files stay small."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return {key: rounded(item) for key, item in value.items()} if isinstance(value, dict) else value


def plain_name(name):
    return pathlib.PurePath(name).stem if name.endswith(".json") else name


def window_flags(arguments, texts):
    """The flags of gear-llm and gear-plan that choose the first windows of texts."""
    flags = ["--prefill", str(arguments.prefill), "--decode", str(arguments.decode)]
    for text in texts[:arguments.windows]:
        flags += ["--text", f"tests/data/text/{text}"]
    return flags


def model_flags(arguments, model, chosen):
    if model == "smollm2":
        texts = UNSEEN if chosen == "plan" else TEXTS
        return ["eval", "--model", arguments.smollm2, *window_flags(arguments, texts), "--batch", str(len(texts))]
    path = arguments.robust if model == "robust" else "tests/data/cot/final.gguf"
    return ["solve", "--model", path, "--problems", "tests/data/cot/eval_public.txt", "--limit", str(arguments.problems)]


def call(arguments, flags, specs, folder):
    """One call of gear-llm; what it reports."""
    words = []
    for spec in specs:
        path = pathlib.Path(folder, spec + ".json")
        if spec in CODECS:
            path.write_text(json.dumps(CODECS[spec]), encoding="utf-8")
        words.append(str(path) if spec in CODECS else spec)
    report = pathlib.Path(folder, "report.json")
    command = [arguments.program, *flags, "--kv", ",".join(words), "--json", str(report)]
    command += ["--device", arguments.device] if arguments.device else []
    print(" ".join(command), flush=True)
    subprocess.run(command, check=True)
    return json.loads(report.read_text(encoding="utf-8"))


def merge(kept, report, path):
    """The new rows behind the kept ones. Rows of another length of run do not belong together."""
    for key in ("problems", "windows", "prefill", "decode"):
        if kept and kept.get(key) != report.get(key):
            sys.exit(f"{path}: has {key} {kept.get(key)}, this run {report.get(key)}")
    for row in report["rows"]:
        row["name"] = plain_name(row["name"])
        row["device"] = f"{report['device']['name']} through {report['device']['platform']}"
    whole = {key: value for key, value in (kept or report).items() if key not in ("device", "rows")}
    whole["model"] = dict(whole["model"], name=os.path.basename(whole["model"]["name"]))
    rows = (kept["rows"] if kept else []) + report["rows"]
    lines = ",\n  ".join(json.dumps(rounded(row)) for row in rows)
    part = path.with_suffix(".part")
    part.write_text(f'{json.dumps(whole)[:-1]}, "rows": [\n  {lines}\n]}}\n', encoding="utf-8")
    part.replace(path)
    return dict(whole, rows=rows)


def run(arguments, name, specs=None):
    """Runs the caches of a set, or `specs` in its setting, that have no row yet; all rows that there are."""
    model, _, chosen = name.partition("_")
    path = pathlib.Path(arguments.results, f"llm_{name}.json")
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    setting, caches = SETS[chosen]
    flags = [*model_flags(arguments, model, chosen), *setting]
    done = {row["name"] for row in kept["rows"]} if kept else set()
    specs = [spec for spec in specs or chosen_caches(arguments, caches[model]) if plain_name(spec) not in done]
    print(f"{name}: {len(done)} caches in {path}, {len(specs)} to run", flush=True)
    while specs:
        now, specs = specs[:arguments.at_once], specs[arguments.at_once:]
        with tempfile.TemporaryDirectory() as folder:
            kept = merge(kept, call(arguments, flags, now, folder), path)
    return kept["rows"] if kept else []


def chosen_caches(arguments, specs):
    return [spec for spec in specs if not arguments.only_caches or spec in arguments.only_caches.split(",")]


def add_options(parser):
    parser.add_argument("--results", default="docs/results", help="folder of what is kept")
    parser.add_argument("--device", help="as gear-llm's")
    parser.add_argument("--at-once", type=int, default=64, metavar="N", help="caches a call")
    parser.add_argument("--problems", type=int, default=200, metavar="N")
    parser.add_argument("--windows", type=int, default=64, metavar="N", help="at most so many of SmolLM2's")
    parser.add_argument("--prefill", type=int, default=1024, metavar="N", help="tokens of a window that are the prompt")
    parser.add_argument("--decode", type=int, default=512, metavar="N", help="tokens of a window that are scored")
    parser.add_argument("--only-caches", metavar="NAME,...", help="no others of a run's caches")
    parser.add_argument("--smollm2", default="models/SmolLM2-135M-Instruct.Q4_1.gguf", metavar="FILE")
    parser.add_argument("--robust", metavar="FILE", help="the model of robust_... runs")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("runs", nargs="+", metavar="RUN")
    add_options(parser)
    arguments = parser.parse_args()
    for name in arguments.runs:
        run(arguments, name)


if __name__ == "__main__":
    main()
