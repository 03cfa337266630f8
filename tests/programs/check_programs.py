#!/usr/bin/env python3
"""check_programs.py: runs the programs as a user does and looks at what they print, write and return.

    check_programs.py usage PROGRAM...       --help, --version, --usage and a wrong flag of each
    check_programs.py pack GEAR_PACK DATA    one layer of the test data, cold and warm; wrong input; files of failed runs
    check_programs.py info GEAR_INFO         devices, a plan and the presets, as text and as JSON
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
DEVICE_KEYS = {"platform", "name", "vendor", "type", "version", "driver"}


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
        {"pack": pack, "info": info}[kind](*arguments, folder)


if __name__ == "__main__":
    main()
