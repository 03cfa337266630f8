#!/usr/bin/env python3
"""check_programs.py: runs the programs as a user does and looks at what they print, write and return.

    check_programs.py usage PROGRAM...       --help, --version, --usage and a wrong flag of each
    check_programs.py pack GEAR_PACK DATA    one layer of the test data, cold and warm; wrong input; files of failed runs
    check_programs.py info GEAR_INFO         devices, a plan and the presets, as text and as JSON
    check_programs.py llm GEAR_LLM DATA      every mode, with the chain-of-thought model and a synthetic one; wrong input
    check_programs.py plan GEAR_PLAN GEAR_LLM GEAR_PACK DATA
                                             plans for the chain-of-thought model and for two layers of the test data
    check_programs.py bench GEAR_BENCH DATA  wrong input before anything is measured; a row without a result; what documents say
    check_programs.py tune GEAR_TUNE         wrong input before anything is opened
    check_programs.py example PROGRAM...     each returns 0 and says something

A first failure ends it with exit status 1 and one line. GEAR_TEST_DEVICE names the device, GEAR_TEST_TMP a folder for files.
"""
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import time

BYTES = ("codes", "scales", "lowrank", "outliers", "exact", "tables", "window")
# Of layer 7, what gear_2_6 is recorded to give; the errors within a hundredth of themselves, the bits to the digits given.
ROW = {"rel_k": 0.1681, "rel_v": 0.3812, "rel_attention": 0.2477, "rel_attention_all_queries": 0.2497}
BITS, COMPRESSED = 2.607, 1984
ROW_KEYS = {"name", "preset", "order", "nan_values", "inf_values", "bits_per_value", "bits_per_value_all_tokens",
            "compressed_tokens", "bytes", "append_ms", "attend_ms", "lowrank_energy_k", "lowrank_energy_v", *ROW}
DEVICE_KEYS = {"platform", "name", "vendor", "type", "version", "driver", "uuid"}


def need(condition, text):
    if not condition:
        sys.exit("check_programs: " + text)


def run(*command, **variables):
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **variables}, check=False)


def device():
    name = os.environ.get("GEAR_TEST_DEVICE")
    return ("--device", name) if name else ()


def succeed(*command, **variables):
    done = run(*command, **variables)
    need(done.returncode == 0, f"{command}: exit status {done.returncode}: {done.stderr}")
    return done.stdout


def refuse(*command):
    """Exit status 2 and one line on stderr that begins with the program's name; argp adds where to find help."""
    name, done = os.path.basename(command[0]), run(*command)
    lines = [line for line in done.stderr.splitlines() if not line.startswith("Try `")]
    need(done.returncode == 2, f"{command}: exit status {done.returncode}, not 2: {done.stderr}")
    need(len(lines) == 1 and lines[0].startswith(name + ": "), f"{command}: not one line of its own: {done.stderr!r}")
    need(not done.stdout, f"{command}: printed {done.stdout!r}")
    return lines[0]


def usage(programs):
    for program in programs:
        name = os.path.basename(program)
        text = succeed(program, "--help")
        need(f"Usage: {name}" in text and "Exit codes: 0 done" in text, f"{name} --help: {text}")
        version = succeed(program, "--version")
        need(re.fullmatch(rf"{name} \d+\.\d+\.\d+ \(library \d+\.\d+\.\d+\)\n", version), f"{name} --version: {version}")
        need(succeed(program, "--usage").startswith(f"Usage: {name}"), f"{name} --usage")
        need("unrecognized option '--no-such-flag'" in refuse(program, "--no-such-flag"), f"{name} --no-such-flag")
        need("'word'" in refuse(program, "word"), f"{name} word")


def check_bytes(data, where):
    need(set(data) == {*BYTES, "total", "scratch", "unused", "allocated"}, f"{where}: keys {sorted(data)}")
    need(all(isinstance(x, int) and x >= 0 for x in data.values()), f"{where}: {data}")
    need(sum(data[part] for part in BYTES) == data["total"], f"{where}: parts do not add up to the total: {data}")
    need(data["total"] + data["scratch"] + data["unused"] == data["allocated"], f"{where}: allocated is not the sum: {data}")


def check_row(row, text):
    need(set(row) == ROW_KEYS, f"keys of a row: {sorted(row)}")
    need(row["name"] == "mixed-16x4+48x2 v2 +L" and row["preset"] == "gear_2_6" and row["order"] == "queries", str(row))
    need(row["compressed_tokens"] == COMPRESSED, f"compressed_tokens is {row['compressed_tokens']}")
    for key, value in ROW.items():
        need(abs(row[key] - value) <= 0.01 * value, f"{key} is {row[key]}, recorded {value}")
    need(abs(row["bits_per_value"] - BITS) < 0.001, f"bits_per_value is {row['bits_per_value']}, recorded {BITS}")
    check_bytes(row["bytes"], "bytes of the row")
    heads, dim = 3, 64
    bits = 8 * (row["bytes"]["total"] - row["bytes"]["window"]) / (2 * COMPRESSED * heads * dim)
    need(math.isclose(bits, row["bits_per_value"], rel_tol=1e-6), f"bits_per_value {row['bits_per_value']}, by bytes {bits}")
    need(row["append_ms"] > 0 and row["attend_ms"] > 0 and 0 < row["lowrank_energy_k"] < 1, str(row))
    columns = text.splitlines()
    need(columns[1].split()[:2] == ["codec", "preset"], f"header: {columns[1]}")
    need(columns[2].startswith(row["name"]), f"row: {columns[2]}")
    need(columns[2].split()[3:8] == ["gear_2_6"] + ["%.*f" % (n, row[key]) for n, key in (
        (3, "bits_per_value"), (3, "bits_per_value_all_tokens"), (4, "rel_k"), (4, "rel_v"))], f"row: {columns[2]}")


def pack(program, data, folder):
    layer = os.path.join(data, "smollm2-kv", "L07_")
    files = ("--k", layer + "k_post.npy", "--v", layer + "v.npy", "--q", layer + "q_last64.npy")
    out = os.path.join(folder, "pack.json")
    seconds, rows = [], []
    for _ in range(2):  # with no compiled program anywhere, and with all of them
        start = time.monotonic()
        text = succeed(program, *device(), *files, "--preset", "gear_2_6", "--json", out, "--program-cache",
                       os.path.join(folder, "programs"), POCL_CACHE_DIR=os.path.join(folder, "pocl"))
        seconds.append(time.monotonic() - start)
        with open(out, encoding="utf-8") as file:
            document = json.load(file)
        need(set(document) == {"device", "scored_queries", "rows"} and set(document["device"]) == DEVICE_KEYS, str(document))
        need(document["scored_queries"] == "second half" and len(document["rows"]) == 1, str(document))
        check_row(document["rows"][0], text)
        rows.append({k: v for k, v in document["rows"][0].items() if not k.endswith("_ms")})
    need(rows[0] == rows[1], f"two runs differ: {rows}")
    print(f"gear-pack, one layer and one codec: {seconds[0]:.2f} s cold, {seconds[1]:.2f} s warm")

    with open(files[1], "rb") as file:
        keys = file.read()
    for name, content in (("text", b"no array\n"), ("short", keys[:-1]), ("header", keys[:9]), ("empty", b"")):
        bad = os.path.join(folder, name + ".npy")
        with open(bad, "wb") as file:
            file.write(content)
        need(bad in refuse(program, *device(), "--k", bad, *files[2:]), f"{name}.npy: the message does not name the file")
    refuse(program, *device(), "--k", os.path.join(folder, "missing.npy"), *files[2:])
    refuse(program, *device(), *files[:2], "--v", files[5])  # of another shape
    for wrong in (("--preset", "none"), ("--bits", "5"), ("--scale", "x"), ("--order", "size"), ("--k", files[1])):
        refuse(program, *device(), *files, *wrong)
    # A run that fails, here or there, leaves the file of the one before, and nothing beside it.
    with open(out, "rb") as file:
        before = file.read()
    refuse(program, *device(), *files, "--bits", "5", "--json", out)
    need(run(program, "--device", "no such device", *files, "--json", out).returncode != 0, "a device that is not there")
    refuse(program, *device(), "--k", bad, *files[2:], "--json", out)
    with open(out, "rb") as file:
        need(file.read() == before, "a failed run has changed the file of --json")
    refuse(program, *device(), *files, "--json", os.path.join(folder, "no", "folder.json"))
    left = [name for name in os.listdir(folder) if name.startswith("pack.json")]
    need(left == ["pack.json"], f"left behind: {left}")


def info(program, folder):
    out = os.path.join(folder, "info.json")
    text = succeed(program, *device(), "--json", out, "--preset", "mix_3_5", "--head-dim", "64", "--layers", "3", "--presets")
    with open(out, encoding="utf-8") as file:
        document = json.load(file)
    need(set(document) == {"version", "devices", "cache", "presets"}, f"keys {sorted(document)}")
    need(document["devices"], "no device")
    for found in document["devices"]:
        need(DEVICE_KEYS < set(found) and found["name"] in text, f"a device: {found}")
        need(set(found["attend"]) & {"variant", "error"}, f"attend kernel: {found['attend']}")
    cache = document["cache"]
    need(cache["preset"] == "mix_3_5" and cache["codec"] in text and cache["variant"], str(cache))
    for part in ("allocated", "prompt_block", "decode_segment"):
        check_bytes(cache[part], part)
    need(cache["allocated"]["window"] == 3 * cache["window_tokens"] * 2 * 8 * 64 * 2, f"window: {cache['allocated']}")
    bits = 8 * cache["prompt_block"]["total"] / (2 * 64 * 8 * 64)
    need(math.isclose(bits, cache["prompt_bits"], rel_tol=1e-3), f"prompt_bits is {cache['prompt_bits']}, bytes give {bits}")
    presets = [p["preset"] for p in document["presets"]]
    need("gear_2_6" in presets and all(re.search(rf"^{p} ", text, re.M) for p in presets), str(presets))
    bits = [p["prompt_bits"] for p in document["presets"]]
    need(all(1 < b < 16 for b in bits), str(bits))
    need("head_dim is 72" in refuse_after_devices(program, "--head-dim", "72"), "--head-dim 72")
    refuse_after_devices(program, "--kv-heads", "3", "--query-heads", "4")


def refuse_after_devices(program, *flags):
    done = run(program, *device(), *flags)
    need(done.returncode == 2 and len(done.stderr.splitlines()) == 1, f"{flags}: {done.returncode}: {done.stderr}")
    return done.stderr


def read_json(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def llm_solve(program, model, problems, folder):
    out = os.path.join(folder, "solve.json")
    codecs = os.path.join(folder, "codecs.json")
    with open(codecs, "w", encoding="utf-8") as file:
        json.dump({"layers": [{"k": {"bits": 4}, "v": {"bits": 8}}]}, file)
    text = succeed(program, "solve", *device(), "--model", model, "--problems", problems, "--limit", "4", "--batch", "3",
                   "--kv", "16,gear_2_6,kivi2," + codecs, "--json", out)
    rows = {row["name"]: row for row in read_json(out)["rows"]}
    need(list(rows) == ["16", "gear_2_6", "kivi2", codecs], f"rows {list(rows)}")
    need(all(name in text for name in rows), text)
    for name in ("16", "gear_2_6", codecs):
        need(rows[name]["accuracy"] == 1 and rows[name]["exact_completion"] == 1, f"{name}: {rows[name]}")
    need(rows["16"]["kl"] == 0 and 16 <= rows["16"]["bits_per_value"] < 16.2, str(rows["16"]))
    need(0 < rows["gear_2_6"]["kl"] < 0.001 and 2.5 < rows["gear_2_6"]["bits_per_value"] < 3.2, str(rows["gear_2_6"]))
    need(rows["kivi2"]["kl"] > rows["gear_2_6"]["kl"] and rows["kivi2"]["perplexity"] > rows["16"]["perplexity"],
         f"2-bit KIVI is not worse: {rows['kivi2']}")
    need(len(rows["kivi2"]["kl_by_step"]) > 4 and rows["kivi2"]["tokens"] > 400, str(rows["kivi2"]))
    with open(problems, encoding="utf-8") as file:  # a character is a token
        lengths = [len(line.rstrip("\n").split("\t")[1]) for line in file][:4]
    total = sum(kl * sum(min(max(length - 32 * run, 0), 32) for length in lengths)
                for run, kl in enumerate(rows["kivi2"]["kl_by_step"]))
    need(math.isclose(total, rows["kivi2"]["kl"] * sum(lengths), rel_tol=1e-6), f"each 32 steps: {total}, {rows['kivi2']}")


def llm_solve_cut(program, model, prompt, expected, folder):
    """A text that was cut counts whole: one token more than what is expected is wrong."""
    problem, out = os.path.join(folder, "cut.txt"), os.path.join(folder, "cut.json")
    with open(problem, "w", encoding="utf-8") as file:
        file.write(f"{prompt}\t{expected[:10]}\n")
    for tokens, right in ((10, 1), (11, 0)):
        succeed(program, "solve", *device(), "--model", model, "--problems", problem, "--tokens", str(tokens), "--kv", "16",
                "--json", out)
        row = read_json(out)["rows"][0]
        need(row["accuracy"] == row["exact_completion"] == right, f"{tokens} tokens: {row}")


def llm_generate(program, model, prompt, expected):
    command = (program, "generate", *device(), "--model", model, "--prompt", prompt, "--tokens", "300")
    need(succeed(*command, "--kv", "gear_2_6") == expected[:-1] + "\n", "the first problem's completion, without its end")
    drawn = [succeed(*command, "--temperature", "1.5", "--top-p", "0.95", "--ignore-end", "--seed", seed) for seed in "556"]
    need(drawn[0] == drawn[1] != drawn[2], "a seed decides what is drawn")


def llm_eval(program, model, problems, folder):
    """Chunks of 64 tokens give what single steps give."""
    text, out = os.path.join(folder, "text.txt"), os.path.join(folder, "eval.json")
    with open(text, "w", encoding="utf-8") as file:
        file.write("".join(line.replace("\t", "").rstrip("\n") for line in problems[:4]))
    rows = []
    for chunk in ("1", "64"):
        succeed(program, "eval", *device(), "--model", model, "--text", text, "--text", text + "@100", "--prefill", "200",
                "--decode", "150", "--chunk", chunk, "--kv", "kivi2+LS,gear_2_6", "--json", out)
        document = read_json(out)
        need(document["windows"] == 2, str(document))
        rows.append(document["rows"])
    for one, many in zip(*rows):
        need(one["kl"] > 0 and one["tokens"] == many["tokens"] == 300, f"{one}, {many}")
        for key in ("kl", "perplexity", "kl_99", "bits_per_value"):
            need(math.isclose(one[key], many[key], rel_tol=0.02, abs_tol=1e-6),
                 f"{key}: {one[key]} by steps, {many[key]} by chunks")


def llm_batch(program, folder):
    out, memory = os.path.join(folder, "batch.json"), 4 << 20
    succeed(program, "batch", *device(), "--synth", "tiny", "--memory", "4M", "--context", "1000", "--steps", "8", "--kv",
            "16,gear_2_6,paper_2bit", "--json", out)
    exact, default, paper = read_json(out)["rows"]
    need(default["batch"] > 2 * exact["batch"] and default["batch"] > paper["batch"] > exact["batch"] >= 1, "batches")
    for row in (exact, default, paper):
        need(row["bytes"]["allocated"] <= memory and row["tokens_per_second"] > 0, str(row))
        need(row["device_bytes"] > row["bytes"]["allocated"], str(row))


def llm_refuse(program, part, mode, *arguments):
    done = run(program, mode, *device(), *arguments)
    lines = [line for line in done.stderr.splitlines() if not line.startswith("Try `")]
    need(done.returncode == 2 and not done.stdout, f"{mode} {arguments}: {done.returncode}: {done.stdout!r} {done.stderr!r}")
    need(len(lines) == 1 and lines[0].startswith(f"gear-llm {mode}: ") and part in lines[0],
         f"{mode} {arguments}: {done.stderr!r}")


def llm_wrong_input(program, model, folder):
    def file_of(name, content):
        path = os.path.join(folder, name)
        with open(path, "wb") as file:
            file.write(content)
        return path

    with open(model, "rb") as file:
        weights = file.read()
    prompt = ("--prompt", "^ab=01;?ab:")
    for part, path in (("short.gguf", file_of("short.gguf", weights[:100000])),
                       ("text.gguf", file_of("text.gguf", b"no model")), ("none.gguf", os.path.join(folder, "none.gguf"))):
        llm_refuse(program, part, "generate", "--model", path, *prompt)
    other = weights.replace(b"llama", b"gemma", 1)
    llm_refuse(program, "gemma", "generate", "--model", file_of("other.gguf", other), *prompt)
    lost = weights.replace(b"blk.3.ffn_up.weight", b"blk.3.ffn_xx.weight", 1)
    llm_refuse(program, "blk.3.ffn_up.weight", "generate", "--model", file_of("lost.gguf", lost), *prompt)
    llm_refuse(program, "context of", "generate", "--model", model, "--prompt", "^" + "ab=01;" * 100)
    llm_refuse(program, "context of", "generate", "--model", model, *prompt, "--tokens", "5000")
    llm_refuse(program, "'kivi9'", "generate", "--model", model, *prompt, "--kv", "kivi9")
    llm_refuse(program, "one SPEC", "generate", "--model", model, *prompt, "--kv", "16,kivi2")
    llm_refuse(program, "--model", "generate", *prompt)
    llm_refuse(program, "empty", "generate", "--model", model, "--prompt", "")
    llm_refuse(program, "--top-p", "generate", "--model", model, *prompt, "--top-p", "0")
    llm_refuse(program, "is 60", "generate", "--model", model, *prompt, "--kv", "kivi2", "--group", "60")
    for number, lines in enumerate((b"^a=01;?a:\ta.\nno tabulator\n", b"^a:\ta.\n^a:\ta.\ta.\n", b"^a:\ta.\n\ta.\n",
                                    b"^a:\ta.\n^a:\t\n", b"^a:\ta.\n^Z:\ta.\n", b"^a:\ta.\n^" + b"a" * 600 + b"\ta.\n")):
        path = file_of(f"problems{number}.txt", lines)
        llm_refuse(program, f"{path}: line 2: ", "solve", "--model", model, "--problems", path)
    llm_refuse(program, "<|im_start|>", "generate", "--model", model, *prompt, "--chat")
    not_numbers = file_of("nan.gguf", weights[:-4096] + b"\xff" * 4096)  # in F16 and F32
    llm_refuse(program, "16: the model's logits", "solve", "--model", not_numbers, "--problems",
               file_of("problem.txt", b"^a=01;?a:\ta.\n"))
    llm_refuse(program, "no problems", "solve", "--model", model, "--problems", file_of("empty.txt", b""))
    llm_refuse(program, "tokens; 1 windows", "eval", "--model", model, "--text", file_of("brief.txt", b"abc"), "--prefill",
               "10", "--decode", "10")
    for part, first in (("beyond any token", "99999999999999999999"), ("need 21 from token", "18446744073709551596"),
                        ("need 21 from token", "4")):
        llm_refuse(program, part, "eval", "--model", model, "--text", f"{os.path.join(folder, 'brief.txt')}@{first}",
                   "--prefill", "10", "--decode", "10")
    foreign = file_of("foreign.txt", b"ab Z")
    llm_refuse(program, f"{foreign}: byte 2 ", "eval", "--model", model, "--text", foreign, "--prefill", "1", "--decode", "1")
    llm_refuse(program, f"{foreign}: byte 2 ", "generate", "--model", model, "--prompt-file", foreign)
    llm_refuse(program, "--prompt: byte 0 ", "generate", "--model", model, "--prompt", "Z")
    for why, path in (("cannot read", os.path.join(folder, "")), ("No such file", os.path.join(folder, "none.json")),
                      ("line 1: ", file_of("words.json", b"none"))):
        llm_refuse(program, f" {path}: {why}", "generate", "--model", model, *prompt, "--kv", path)
    llm_refuse(program, "takes", "batch", "--synth", "tiny", "--memory", "10K")
    llm_refuse(program, "--memory", "batch", "--synth", "tiny", "--memory", "1e14G")
    llm_refuse(program, "--most", "batch", "--synth", "tiny", "--memory", "1G", "--most", "4294967295")
    llm_refuse(program, "--memory", "batch", "--synth", "tiny", "--memory", "much")
    llm_refuse(program, "'huge'", "batch", "--synth", "huge", "--memory", "1G")


def llm(program, data, folder):
    model, problems = (os.path.join(data, "cot", name) for name in ("final.gguf", "eval_public.txt"))
    with open(problems, encoding="utf-8") as file:
        lines = file.readlines()
    prompt, expected = lines[0].rstrip("\n").split("\t")
    llm_solve(program, model, problems, folder)
    llm_solve_cut(program, model, prompt, expected, folder)
    llm_generate(program, model, prompt, expected)
    llm_eval(program, model, lines, folder)
    llm_batch(program, folder)
    llm_wrong_input(program, model, folder)


def plan_model(program, llm_program, data, folder):
    """Plans keep their budgets, lose no more than presets, and are what gear-llm measures of their files."""
    model = os.path.join(data, "cot", "final.gguf")
    with open(os.path.join(data, "cot", "eval_public.txt"), encoding="utf-8") as file:
        texts = [line.replace("\t", "").rstrip("\n") for line in file]
    out, measured = os.path.join(folder, "plan.json"), os.path.join(folder, "measured.json")
    table, budgets = os.path.join(folder, "table.json"), (2.6, 2.9)
    windows = ["--model", model, "--prefill", "192", "--decode", "160"]
    for number, text in enumerate([text for text in texts if len(text) > 360][:2]):
        path = os.path.join(folder, f"text{number}.txt")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        windows += ["--text", path]
    command = (program, *device(), *windows, "--quick", "--measured", measured)
    succeed(*command, "--frontier", "2.6,2.9", "--out", out, "--json", table)
    files = [os.path.join(folder, f"plan-{budget}.json") for budget in budgets]
    rows = read_json(table)["rows"]
    need([row["budget"] for row in rows] == list(budgets), str(rows))
    succeed(llm_program, "eval", *device(), *windows, "--kv", ",".join(files), "--json", table)
    found = read_json(table)["rows"]
    for row, one, file in zip(rows, found, files):
        need(one["name"] == file and math.isclose(row["kl"], one["kl"], rel_tol=1e-2, abs_tol=1e-7), f"{row}, {one}")
        need(one["bits_per_value"] <= row["bits_per_value"] + 1e-9 and row["bits_per_value"] <= row["budget"], f"{row}, {one}")
        need(row["best_preset"] is None or row["kl"] <= row["best_preset_kl"], str(row))
        need(len(read_json(file)["layers"]) in (1, 6), file)
    need(rows[1]["kl"] <= rows[0]["kl"], f"more bits lose more: {rows}")
    again = os.path.join(folder, "again.json")
    succeed(*command, "--bits", "2.6", "--out", again)  # with what was measured
    need(read_json(again)["layers"] == read_json(files[0])["layers"], "another plan from the same measurements")
    need("below the cheapest" in refuse(*command, "--bits", "1.2", "--out", again), "a budget too small")
    texts = [part for part in windows if part.endswith(".txt")]
    turned = [{texts[0]: texts[1], texts[1]: texts[0]}.get(part, part) for part in command]
    need(measured in refuse(*turned, "--bits", "2.6", "--out", again), "measurements of the same texts in another order")
    setting = ("--exact-first", "4", "--recent", "0", "--bits", "2.9", "--out", again)
    need(measured in refuse(*command, *setting), "measurements with other exact tokens")
    os.remove(measured)
    succeed(*command, *setting)
    need((read_json(again)["exact_first"], read_json(again)["recent"]) == (4, 0), f"{read_json(again)}")
    with open(measured, "w", encoding="utf-8") as file:
        file.write('{"layers": 3}')
    need(measured in refuse(*command, "--bits", "2.6", "--out", again), "measurements of another model")
    need("context of" in refuse(*command, "--decode", "5000", "--bits", "3", "--out", again), "windows beyond the context")


def plan_files(program, pack_program, data, folder):
    files, out = [], os.path.join(folder, "layers.json")
    for layer in ("L07", "L14"):
        stem = os.path.join(data, "smollm2-kv", layer + "_")
        files += ["--k", stem + "k_post.npy", "--v", stem + "v.npy", "--q", stem + "q_last64.npy"]
    table = os.path.join(folder, "table.json")
    succeed(program, *device(), *files, "--quick", "--bits", "2.5", "--out", out, "--json", table)
    row = read_json(table)["rows"][0]
    succeed(pack_program, *device(), *files, "--codec", out, "--json", table)
    found = read_json(table)["rows"][0]
    need(row["per_layer"] and found["order"] == "queries", f"{row}, {found}")
    need(found["bits_per_value"] <= row["bits_per_value"] <= 2.5, f"{row}, {found}")
    # There the root of the mean square, here the mean.
    need(0.9 * row["rel_attention"] < found["rel_attention"] <= 1.001 * row["rel_attention"], f"{row}, {found}")
    codecs = read_json(out)
    with open(out, "w", encoding="utf-8") as file:
        json.dump({**codecs, "layers": 3 * codecs["layers"][:1]}, file)
    need("codecs for 3 layers" in refuse(pack_program, *device(), *files, "--codec", out), "layers that differ")
    need("no codec flags" in refuse(pack_program, *device(), *files, "--codec", out, "--rank", "2"), "--codec and --rank")
    need("two budgets" in refuse(program, *device(), *files, "--frontier", "3,3.0", "--out", out), "a budget twice")
    missing = os.path.join(folder, "no", "folder.json")
    need(missing in refuse(program, *device(), *files, "--bits", "3", "--out", missing), "a folder that is not there")
    for part, wrong in (("--out", ("--bits", "3")), ("--bits", ("--out", out)), ("'0'", ("--bits", "0", "--out", out)),
                        ("'x'", ("--frontier", "3,x", "--out", out)),
                        ("equally often", (*files[:2], "--bits", "3", "--out", out)),
                        ("--model", ("--text", files[1], "--bits", "3", "--out", out)),
                        ("one of --model", ("--model", files[1], "--bits", "3", "--out", out))):
        need(part in refuse(program, *device(), *files, *wrong), f"{wrong}")


def plan(program, llm_program, pack_program, data, folder):
    plan_model(program, llm_program, data, folder)
    plan_files(program, pack_program, data, folder)


def leave_early(*command):
    """Reads the first line alone; a write to the closed pipe is an error, not the end (Python ignores SIGPIPE)."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, restore_signals=False) as process:
        process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()
    return process.returncode, said


def bench_rows(program, folder, *flags, lines):
    """What --json says of these shapes."""
    shapes, out = os.path.join(folder, "rows.txt"), os.path.join(folder, "rows.json")
    with open(shapes, "w", encoding="utf-8") as file:
        file.write("".join(line + "\n" for line in lines))
    quick = ("--repeat", "1", "--seconds", "0.01", "--buffer", "1")
    succeed(program, *device(), "--shapes", shapes, *quick, "--json", out, *flags)
    return read_json(out)


def bench_choice(program, folder):
    """Which rows there are: each that was asked for, and before it the 16 bits that it is compared with, unless known."""
    plain = "--k-bits 16 --v-bits 16"
    lines = (f"attend 1 2 1 256 64 1 {plain} --window 128 --recent 16", f"attend 1 2 1 256 64 1 {plain} --exact-first 4",
             f"attend 1 2 1 256 64 1 {plain}", "attend 1 2 1 256 64 1 decode --preset kivi_2",
             f"append 1 2 1 256 64 1 decode-block {plain} --window 16", "append 1 2 1 256 64 1 decode-block --preset kivi_2",
             "append 1 2 1 256 64 1 decode-block --preset kivi_2 --window 16")
    asked = [("attend", "16-bit", ""), ("attend", "16-bit", "window=128 recent=16"), ("attend", "16-bit", "exact-first=4"),
             ("attend", "kivi_2", ""), ("append", "16-bit", "window=16"), ("append", "16-bit", ""), ("append", "kivi_2", ""),
             ("append", "kivi_2", "window=16")]
    document = bench_rows(program, folder, lines=lines)
    rows = document["rows"]
    need([(row["verb"], row["codec"], row["details"]) for row in rows] == asked and document["left_out"] == 0, f"{document}")
    us = {(row["codec"], row["details"]): row["device_us"]["best"] for row in rows if row["decode_block"]}
    for details in ("", "window=16"):
        times = [row["times_16bit"] for row in rows if row["verb"] == "append" and row["details"] == details][-1]
        need(math.isclose(times, us["16-bit", details] / us["kivi_2", details], rel_tol=1e-6), f"{details}: {times} of {us}")
    document = bench_rows(program, folder, "--no-16bit", "--stop-after", "1e-9", lines=("both 1 2 1 256 64 1",) * 3)
    need(document["left_out"] >= 5 and document["left_out"] + len(document["rows"]) == 6, f"left out: {document}")
    document = bench_rows(program, folder, "--stop-after", "0.1", "--seconds", "0.2", "--repeat", "1000",
                          lines=("append 1 2 1 256 64 1 --preset kivi_2",))
    need(document["left_out"] == 1 and [row["codec"] for row in document["rows"]] == ["16-bit"], f"left out: {document}")


def bench(program, data, folder):
    shapes, out, csv = (os.path.join(folder, name) for name in ("shapes.txt", "bench.json", "bench.csv"))
    with open(shapes, "w", encoding="utf-8") as file:
        file.write("".join(f"attend 1 2 1 256 64 1{data} --preset gear_2_6\n" for data in ("", " data=real", " data=real:0")))
        file.write("append 1 8 1 256 128 1 data=real:7 --k-bits 16 --v-bits 16\n")  # exact: on the device as on the host
    unknown = os.path.join(folder, "unknown.txt")
    with open(unknown, "w", encoding="utf-8") as file:
        file.write("attend 1 2 1 256 64 1 data=real:5\n")
    real, missing = ("--data", os.path.join(data, "smollm2-kv")), os.path.join(folder, "no", "file")
    for part, wrong in (("--data DIR is needed", ()), ("L00_k_post.npy", ("--data", folder)),
                        ("contains 'no device'", (*real, "--device", "no device")),
                        *((missing, (*real, flag, missing)) for flag in ("--json", "--csv", "--report"))):
        need(part in refuse(program, "--shapes", shapes, *wrong), f"{wrong}")
    need("layers 0, 1, 7, 14, 22, 29" in refuse(program, "--shapes", unknown, *real), "a layer that is not there")
    quick = ("--shapes", shapes, *real, "--repeat", "1", "--buffer", "1")
    succeed(program, *device(), *quick, "--json", out)
    document = read_json(out)
    need({"commit", "time", "openmp"} < set(document) and set(document["device"]) == DEVICE_KEYS, f"keys {set(document)}")
    kinds = [("made", None), ("made", None), ("real", 14), ("real:0", 0), ("made", None), ("real:7", 7)]
    need([(row["data"], row["layer"]) for row in document["rows"]] == kinds, f"{document['rows']}")
    bench_choice(program, folder)
    if document["device"]["type"] != "CPU":
        return
    need(document["openmp"] is None or document["openmp"]["wait_policy"] == os.environ.get("OMP_WAIT_POLICY", "passive"),
         f"{document['openmp']}")
    code, said = leave_early(program, *device(), *quick, "--csv", csv)
    need(code and "standard output" in said, f"nobody reads what it prints: {code}: {said}")
    with open(csv, encoding="utf-8") as file:
        need(len(file.read().splitlines()) > 3, "no CSV where nobody reads what is printed")
    done = run(program, *device(), *quick, "--attend", "nvidia", "--csv", csv)
    need(done.returncode == 1 and done.stderr.endswith("4 of 6 rows have no result\n"), f"{done.returncode}: {done.stderr}")
    with open(csv, encoding="utf-8") as file:
        need(file.read().count("no NVIDIA GPU") == 4, "rows without a result in the CSV")


def tune(program, folder):
    shapes, out = os.path.join(folder, "shapes.txt"), os.path.join(folder, "tune.def")
    with open(shapes, "w", encoding="utf-8") as file:
        file.write("attend 1 2 1 256 64 1 data=real --preset gear_2_6\n")
    need("data=real" in refuse(program, "--shapes", shapes, "--device", "no device", "--write", out), "real data")
    need(not os.path.exists(out), "a refused call wrote a database")


def examples(programs):
    for program in programs:
        text = succeed(program)
        need("out[" in text and "nan" not in text, f"{program}: {text}")
        print(os.path.basename(program) + ": " + text.splitlines()[-1])


def main():
    kind, arguments = sys.argv[1], sys.argv[2:]
    if kind in ("usage", "example"):
        {"usage": usage, "example": examples}[kind](arguments)
        return
    with tempfile.TemporaryDirectory(dir=os.environ.get("GEAR_TEST_TMP")) as folder:
        {"pack": pack, "info": info, "llm": llm, "plan": plan, "bench": bench, "tune": tune}[kind](*arguments, folder)


if __name__ == "__main__":
    main()
