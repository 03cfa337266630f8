#!/usr/bin/env python3
"""Puts measured tables into docs/benchmarks.md: bench_table.py NAME RUN.json [PEERS.json ...]

NAME    of the place in the document: the text between <!-- table NAME --> and <!-- /table NAME --> is replaced
RUN     what gear-bench --json wrote
PEERS   what ci/bench_peers.py wrote on the same card: a column of the best 16-bit peer
--print writes the tables to standard output and leaves the document alone.
"""
import json
import re
import sys

DOCUMENT = "docs/benchmarks.md"
SHAPE = "batch x KV heads, queries per KV head, tokens"
GEOMETRY = ("batch", "kv_heads", "queries_per_kv_head", "tokens", "head_dim", "query_tokens")


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def number(value, digits):
    return "-" if value is None else f"{value:.{digits}f}"


def times(other, own):
    return "-" if not other or not own else f"{other / own:.2f}x"


def words(row):
    said = [name for name in ("decode", "shuffled", "ragged") if row[name]]
    if row.get("decode_block"):
        return "decode-block"
    said += [f"window={row['window']}"] if row["window"] else []
    return " ".join(said + (["real data"] if row.get("data") == "real" else []))


def shape(row):
    text = f"{row['batch']} x {row['kv_heads']}, {row['queries_per_kv_head']}, {row['tokens']}"
    text += f", d{row['head_dim']}" if row["head_dim"] != 128 else ""
    text += f", {row['query_tokens']} queries" if row["query_tokens"] != 1 else ""
    return text + (f"; {words(row)}" if words(row) else "")


def table(head, rows):
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, ["---"] * len(head)] + rows)


def attend_table(run, peers):
    best = {}
    for row in (row for peer in peers for row in peer["rows"]):
        key = tuple(row[name] for name in GEOMETRY)
        if row["us"] and (key not in best or row["us"] < best[key]["us"]):
            best[key] = row
    openmp = any(row.get("openmp_us") for row in run["rows"])
    head = [SHAPE, "codec", "kernel", "bits", "us", "median", "kernels", "MB", "GB/s", "% of read", "of our 16 bits"]
    head += (["16-bit peer, us", "of the peer"] if best else []) + (["of C + OpenMP"] if openmp else [])
    lines = []
    for row in run["rows"]:
        if row["verb"] != "attend":
            continue
        cells = [shape(row), row["codec"], row["variant"]]
        if "problem" in row:
            lines.append(cells + [row["problem"].replace("|", "/")] + [""] * (len(head) - 4))
            continue
        own = row["device_us"]["best"]
        cells += [number(row["bits_per_value"], 2), number(own, 1), number(row["device_us"]["median"], 1)]
        cells += [number(row["kernels_us"]["best"], 1), number(row["bytes_moved"] / 1e6, 2), number(row["gbps"], 1)]
        cells += [number(row["percent"], 1), times(row["times_16bit"], 1)]
        if best:
            peer = best.get(tuple(row[name] for name in GEOMETRY))
            cells += [f"{peer['us']:.1f} ({peer['backend']})", times(peer["us"], own)] if peer else ["-", "-"]
        if openmp:
            cells.append(times(row["openmp_us"], row["wall_us"]["best"]))
        lines.append(cells)
    return table(head, lines) if lines else ""


def append_table(run):
    head = [SHAPE, "codec", "bits", "us", "median", "input, MB", "GB/s", "% of copy", "tokens/s"]
    lines = []
    for row in run["rows"]:
        if row["verb"] != "append" or row.get("decode_block"):
            continue
        cells = [shape(row), row["codec"]]
        if "problem" in row:
            lines.append(cells + [row["problem"].replace("|", "/")] + [""] * (len(head) - 3))
            continue
        cells += [number(row["bits_per_value"], 2), number(row["device_us"]["best"], 1), number(row["device_us"]["median"], 1)]
        cells += [number(row["bytes_moved"] / 1e6, 2), number(row["gbps"], 2), number(row["percent"], 1)]
        cells.append(number(row["tokens_per_s"], 0))
        lines.append(cells)
    return table(head, lines) if lines else ""


def decode_table(run):
    head = ["batch x KV heads, tokens before", "codec", "block: launches", "us", "median", "kernels", "step: launches", "us",
            "median", "kernels"]
    lines = []
    for row in run["rows"]:
        if not row.get("decode_block"):
            continue
        cells = [f"{row['batch']} x {row['kv_heads']}, {row['tokens']}", row["codec"]]
        if "problem" in row:
            lines.append(cells + [row["problem"].replace("|", "/")] + [""] * (len(head) - 3))
            continue
        for timed in (row, row["step"]):
            cells += [number(timed["launches"], 0), number(timed["device_us"]["best"], 1)]
            cells += [number(timed["device_us"]["median"], 1), number(timed["kernels_us"]["best"], 1)]
        lines.append(cells)
    return table(head, lines) if lines else ""


def when(document):
    return document.get("time") or document["date"]


def card(run, peer):
    """Says that both were measured on one card, where both say on which; two cards do not belong in one table."""
    uuids = [document["device"].get("uuid") for document in (run, peer)]
    if None in uuids:
        return ""
    if uuids[0] != uuids[1]:
        sys.exit(f"bench_table.py: run and peers are of two cards, {uuids[0]} and {uuids[1]}")
    driver = peer["device"].get("driver")
    return f"the same card ({uuids[0]}), " + (f"driver {driver}, " if driver else "")


def document(run, peers):
    device, memory = run["device"], run["bandwidth"]
    text = f"{device['name']} through {device['platform']}, driver {device['driver']}, {when(run)}; gear {run['version']}"
    text += f", commit {run['commit']}. " if run.get("commit") else ". "
    if run.get("openmp"):
        policy = run["openmp"]["wait_policy"]
        text += f"OpenMP: {run['openmp']['threads']} threads, wait policy {policy or 'of the runtime'}. "
    text += f"Measured in the same run: read {memory['read_gbps']:.1f} GB/s, copy {memory['copy_gbps']:.1f} GB/s over "
    text += f"{memory['bytes'] >> 20} MiB."
    for peer in peers:
        text += f" Peers: PyTorch {peer['torch']}, CUDA {peer['cuda']}, cuDNN {peer['cudnn']} on {peer['device']['name']}, "
        text += f"{card(run, peer)}{when(peer)}."
    return "\n\n".join(part for part in (text, attend_table(run, peers), append_table(run), decode_table(run)) if part)


def main():
    arguments = [argument for argument in sys.argv[1:] if argument != "--print"]
    if len(arguments) < 2:
        sys.exit(__doc__)
    name, text = arguments[0], document(load(arguments[1]), [load(path) for path in arguments[2:]])
    if "--print" in sys.argv:
        print(text)
        return
    with open(DOCUMENT, encoding="utf-8") as file:
        old = file.read()
    begin, end = f"<!-- table {name} -->", f"<!-- /table {name} -->"
    new, count = re.subn(re.escape(begin) + r".*?" + re.escape(end), lambda _: f"{begin}\n{text}\n{end}", old, flags=re.S)
    if count != 1:
        sys.exit(f"{DOCUMENT}: one pair of markers for {name} expected, {count} found")
    with open(DOCUMENT, "w", encoding="utf-8") as file:
        file.write(new)


if __name__ == "__main__":
    main()
