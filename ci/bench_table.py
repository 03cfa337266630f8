#!/usr/bin/env python3
"""Puts measured tables into docs/benchmarks.md: bench_table.py NAME RUN.json [PEERS.json ...]
and into docs/kernels.md: bench_table.py kernels

NAME    of the place in the document: the text between <!-- table NAME --> and <!-- /table NAME --> is replaced
RUN     what gear-bench --json wrote
PEERS   what ci/bench_peers.py wrote on the same card: a column of the best 16-bit peer
kernels from the results in docs/results and what ci/kernel_notes.tsv says of each kernel
--print writes the tables to standard output and leaves the document alone; --check fails where the document has others, or
where no result has a time of a kernel that runs (ci/kernel_notes.tsv: form gpu, portable or cpu).
"""
import json
import re
import sys

DOCUMENT = "docs/benchmarks.md"
KERNELS = "docs/kernels.md"
NOTES = "ci/kernel_notes.tsv"
# By form of the kernels; the row in which a kernel moves most bytes counts.
RUNS = {"gpu": ("docs/results/h100.json", "docs/results/h100_kernels.json"),
        "portable": ("docs/results/h100_kernels_portable.json",),
        "cpu": ("docs/results/cpu.json",)}
# The compressor: columns, shapes, and the share of copy bandwidth that was set out for each.
CODECS = ("mix_2_5", "gear_2_6", "paper_2bit_l", "paper_2bit")
SHAPES = ((1, 32768), (32, 8192))
AIMS = {"mix_2_5": (25, 50), "gear_2_6": (20, 40), "paper_2bit_l": (20, 40), "paper_2bit": (12, 25)}
SHAPE = "batch x KV heads, queries per KV head, tokens"
GEOMETRY = ("batch", "kv_heads", "queries_per_kv_head", "tokens", "head_dim", "query_tokens")


def load(path):
    with open(path, encoding="utf-8") as file:
        found = json.load(file)
    if found.get("left_out"):
        sys.exit(f"bench_table.py: {path}: the run was cut, {found['left_out']} verbs are left out")
    return found


def number(value, digits):
    return "-" if value is None else f"{value:.{digits}f}"


def times(other, own):
    return "-" if not other or not own else f"{other / own:.2f}x"


def data(row):
    """Of a model, and of which of its layers (older documents do not say which); empty for made up data."""
    if not row.get("data", "made").startswith("real"):
        return ""
    layer = row.get("layer")
    return "real data" if layer is None else f"real data, layer {layer}"


def words(row):
    said = [name for name in ("decode", "shuffled", "ragged") if row[name]]
    if row.get("decode_block"):
        said.append("decode-block")
    elif row["window"]:
        said.append(f"window={row['window']}")
    return " ".join(said + ([data(row)] if data(row) else []))


def shape(row):
    text = f"{row['batch']} x {row['kv_heads']}, {row['queries_per_kv_head']}, {row['tokens']}"
    text += f", d{row['head_dim']}" if row["head_dim"] != 128 else ""
    text += f", {row['query_tokens']} queries" if row["query_tokens"] != 1 else ""
    return text + (f"; {words(row)}" if words(row) else "")


def codec(row):
    """The codec's name, and what it leaves out (peers and older documents have no details)."""
    return " ".join(part for part in (row["codec"], row.get("details")) if part)


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
        cells = [shape(row), codec(row), row["variant"]]
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
        cells = [shape(row), codec(row)]
        if "problem" in row:
            lines.append(cells + [row["problem"].replace("|", "/")] + [""] * (len(head) - 3))
            continue
        cells += [number(row["bits_per_value"], 2), number(row["device_us"]["best"], 1), number(row["device_us"]["median"], 1)]
        cells += [number(row["bytes_moved"] / 1e6, 2), number(row["gbps"], 2), number(row["percent"], 1)]
        cells.append(number(row["tokens_per_s"], 0))
        lines.append(cells)
    return table(head, lines) if lines else ""


def block_shape(row):
    """Of a decode-block row: its table is of such rows alone."""
    text = f"{row['batch']} x {row['kv_heads']}, {row['tokens']}"
    return text + (f"; {data(row)}" if data(row) else "")


def decode_table(run):
    head = ["batch x KV heads, tokens before", "codec", "block: launches", "us", "median", "kernels", "step: launches", "us",
            "median", "kernels"]
    lines = []
    for row in run["rows"]:
        if not row.get("decode_block"):
            continue
        cells = [block_shape(row), codec(row)]
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


def values(row, sides):
    tokens = row["batch"] * (64 if row["decode_block"] else row["tokens"])
    return tokens * row["kv_heads"] * row["head_dim"] * len(sides)


def is_shown(row, wanted):
    """Rows of the codec that is wanted, or of any but 16 bits: plain ones or, of append, of a decode block; of attend those of
    four heads a KV head."""
    if "problem" in row:
        return False
    if codec(row) != wanted if wanted else row["codec"] == "16-bit":
        return False
    if row["verb"] == "append":
        return words(row) in ("", "decode-block")
    return not words(row) and (row["head_dim"], row["query_tokens"], row["queries_per_kv_head"]) == (128, 1, 4)


def stage_of(paths, kernel, wanted):
    """The row in which a kernel moves most, and its stage; None: not measured."""
    found = [(row, stage) for path in paths for row in load(path)["rows"] if is_shown(row, wanted)
             for stage in row.get("stages", []) if stage["name"] == kernel and stage["bytes"]]
    return max(found, key=lambda pair: pair[1]["bytes"], default=None)


def amount(value):
    return "< 0.01" if value < 0.01 else number(value, 2)


def kernel_row(row):
    text = f"{codec(row)}, {row['batch']} x {row['kv_heads']} x {row['tokens']}"
    return text + (", a block" if row["decode_block"] else "")


def notes():
    with open(NOTES, encoding="utf-8") as file:
        return [line.rstrip("\n").split("\t") for line in file if not line.startswith("#")]


def measured(kernel, form):
    form, _, wanted = form.partition(":")
    return stage_of(RUNS.get(form, ()), kernel, wanted)


def unmeasured():
    """Kernels that a form runs and no result has a time of: a run was cut, or its shapes do not call them."""
    return [f"{kernel} ({form})" for _, kernel, form, *_ in notes() if form != "-" and not measured(kernel, form)]


def roofline_table():
    head = ["file", "kernel", "bytes a value: read; written", "instructions a value", "row", "us", "bytes a value", "% of peak",
            "limited by"]
    lines, last = [], None
    for stem, kernel, form, sides, moves, instructions, limit in notes():
        found = measured(kernel, form)
        form = form.partition(":")[0]
        cells = ["-"] * 4
        if found:
            row, stage = found
            share = "read" if row["verb"] == "attend" else "copy"
            cells = [kernel_row(row), number(stage["us"], 1), amount(stage["bytes"] / values(row, sides)),
                     f"{stage['percent']:.1f} ({share})"]
        name = f"`{kernel}`" + (", portable form" if form == "portable" else "")
        name += ", a CPU device" if form == "cpu" and not kernel.endswith("_cpu") else ""
        lines.append([f"`{stem}`" if stem != last else "", name, moves, instructions] + cells + [limit])
        last = stem
    return table(head, lines)


def compressor_table():
    run = load("docs/results/h100.json")
    copy = run["bandwidth"]["copy_gbps"]
    plain = {(codec(row), row["batch"], row["tokens"]): row for row in reversed(run["rows"])
             if row["verb"] == "append" and not words(row) and "problem" not in row and
             (row["kv_heads"], row["head_dim"]) == (8, 128)}
    rows = {(name, batch): plain.get((name, batch, tokens)) for name in CODECS for batch, tokens in SHAPES}

    def us(row, *names):
        found = [sum(stage["us"] for stage in row["stages"] if stage["name"].startswith(name)) for name in names]
        return ", ".join(number(time, 0) for time in found) if any(found) else ""

    def line(label, cell):
        cells = [[cell(rows[name, batch]) if rows[name, batch] else "-" for batch, _ in SHAPES] for name in CODECS]
        return [label] + ["; ".join(pair) if any(pair) else "" for pair in cells]

    def rest(row):
        small = ("upload", "append_6_window", "fill", "append_1_order")
        return number(sum(stage["us"] for stage in row["stages"] if stage["name"].startswith(small)), 0)

    def least(row):
        return number(sum(stage["bytes"] or 0 for stage in row["stages"]) / copy / 1e3, 0)

    def share(row):
        return f"{row['percent']:.0f} % ({AIMS[row['codec']][row['batch'] > 1]})"

    lines = [line("append_block, with the channel order", lambda row: us(row, "append_block")),
             line("append_1_moments", lambda row: us(row, "append_1_moments")),
             line("append_4_lowrank_fit", lambda row: us(row, "append_4_lowrank_fit")),
             line("append_1_marks: channels, tokens", lambda row: us(row, "append_1_marks_channels", "append_1_marks_tokens")),
             line("append_5: bases, store_marked", lambda row: us(row, "append_5_bases", "append_5_store_marked")),
             line("lists of the round, window, counters after a clear", rest),
             line("bytes of its stages, in microseconds at the bandwidth of a copy", least),
             line("all", lambda row: number(row["device_us"]["best"], 0)),
             line("share of copy bandwidth, the input alone counted once (aim)", share)]
    return table([""] + list(CODECS), lines)


def replaced(document, name, text):
    with open(document, encoding="utf-8") as file:
        old = file.read()
    begin, end = f"<!-- table {name} -->", f"<!-- /table {name} -->"
    new, count = re.subn(re.escape(begin) + r".*?" + re.escape(end), lambda _: f"{begin}\n{text}\n{end}", old, flags=re.S)
    if count != 1:
        sys.exit(f"{document}: one pair of markers for {name} expected, {count} found")
    return old, new


def main():
    arguments = [argument for argument in sys.argv[1:] if argument not in ("--print", "--check")]
    if arguments == ["kernels"]:
        parts = [(KERNELS, "compressor", compressor_table()), (KERNELS, "roofline", roofline_table())]
    elif len(arguments) >= 2:
        parts = [(DOCUMENT, arguments[0], document(load(arguments[1]), [load(path) for path in arguments[2:]]))]
    else:
        sys.exit(__doc__)
    for target, name, text in parts:
        if "--print" in sys.argv:
            print(text)
            continue
        old, new = replaced(target, name, text)
        if "--check" in sys.argv and name == "roofline" and unmeasured():
            sys.exit(f"{target}: no result in {', '.join(sum(RUNS.values(), ()))} has {', '.join(unmeasured())}")
        if "--check" in sys.argv and new != old:
            sys.exit(f"{target}: the table {name} is not what the results say; {sys.argv[0]} {' '.join(arguments)}")
        if "--check" not in sys.argv:
            with open(target, "w", encoding="utf-8") as file:
                file.write(new)


if __name__ == "__main__":
    main()
