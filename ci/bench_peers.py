#!/usr/bin/env python3
"""Times PyTorch's 16-bit attention on an NVIDIA card for shapes of gear-bench: bench_peers.py SHAPES.txt [OUT.json]

Each distinct attend geometry of the shapes file (batch, KV heads, queries per KV head, tokens, head_dim, query tokens) is
measured once: scaled_dot_product_attention through cuDNN, FlashAttention and the memory-efficient kernel, on contiguous
16-bit keys and values, replayed as a CUDA graph of many calls, best of many replays. Each backend runs twice: with the query
heads that share a KV head as they are (enable_gqa), and folded into the query axis, which reads each key once and is only
right for one query token. The result of each is checked against the plain formula in float32 before its time counts. A
backend that fails says why. Needs torch 2.x alone. ci/bench_table.py puts OUT.json beside what gear-bench wrote.
"""
import argparse
import datetime
import json
import math
import re
import subprocess
import sys
import time


def read_shapes(path):
    """Distinct attend geometries, in the order of the file; pages and lengths do not concern a dense peer."""
    seen = []
    with open(path, encoding="utf-8") as file:
        for line in file:
            words = line.split("#")[0].split()
            if len(words) < 7 or words[0] not in ("attend", "both"):
                continue
            shape = tuple(int(word) for word in words[1:7])
            if shape not in seen:
                seen.append(shape)
    return seen


def reference(torch, q, k, v):
    """float32 attention of the first sequence and KV head: [queries per KV head, query tokens, head_dim]."""
    group = q.shape[1] // k.shape[1]
    scores = q[0, :group].float() @ k[0, 0].float().T / math.sqrt(q.shape[-1])
    m, tokens = q.shape[2], k.shape[2]
    if m > 1:
        seen = torch.arange(tokens, device=q.device)[None, :] <= torch.arange(m, device=q.device)[:, None] + tokens - m
        scores = scores.masked_fill(~seen, float("-inf"))
    return torch.softmax(scores, -1) @ v[0, 0].float()


def causal_mask(torch, m, tokens, device):
    """None for one query, which sees all; else lower right causal, as an object that kernels know, or a plain mask."""
    if m == 1:
        return None
    try:
        from torch.nn.attention.bias import causal_lower_right
        return causal_lower_right(m, tokens)
    except ImportError:
        return torch.arange(tokens, device=device)[None, :] <= torch.arange(m, device=device)[:, None] + tokens - m


def calls(torch, q, k, v, mask):
    """(name, function) for each way to call it; each returns [batch, query heads, query tokens, head_dim]."""
    sdpa = torch.nn.functional.scaled_dot_product_attention
    group, (batch, heads, m, dim) = q.shape[1] // k.shape[1], q.shape
    shared = {"enable_gqa": True} if group > 1 else {}
    ways = [("heads", lambda: sdpa(q, k, v, attn_mask=mask, **shared))]
    if group > 1 and m == 1:
        folded = q.reshape(batch, k.shape[1], group, dim)
        ways.append(("folded", lambda: sdpa(folded, k, v).reshape(batch, heads, m, dim)))
    return ways


def time_graph(torch, call, seconds):
    """Best and median microseconds of one call inside a CUDA graph of many."""
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            call()
    torch.cuda.synchronize()
    begin = time.perf_counter()
    call()
    torch.cuda.synchronize()
    per_graph = max(1, min(50, int(0.005 / max(time.perf_counter() - begin, 1e-6))))
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(per_graph):
            call()
    times, begin = [], time.perf_counter()
    while len(times) < 10 or time.perf_counter() - begin < seconds:
        first, last = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        first.record()
        graph.replay()
        last.record()
        last.synchronize()
        times.append(1e3 * first.elapsed_time(last) / per_graph)
    del graph
    times.sort()
    return times[0], times[len(times) // 2]


def backends(torch):
    from torch.nn.attention import SDPBackend
    names = (("cudnn", "CUDNN_ATTENTION"), ("flash", "FLASH_ATTENTION"), ("efficient", "EFFICIENT_ATTENTION"))
    return [(name, getattr(SDPBackend, attribute)) for name, attribute in names if hasattr(SDPBackend, attribute)]


def measure(torch, shape, seconds):
    from torch.nn.attention import sdpa_kernel
    batch, kv_heads, group, tokens, dim, m = shape
    make = lambda heads, n: torch.randn(batch, heads, n, dim, device="cuda", dtype=torch.float16)
    q, k, v = make(kv_heads * group, m), make(kv_heads, tokens), make(kv_heads, tokens)
    expected, mask, tried = reference(torch, q, k, v), causal_mask(torch, m, tokens, "cuda"), []
    for name, backend in backends(torch):
        for way, call in calls(torch, q, k, v, mask):
            entry = {"backend": f"{name} {way}"}
            try:
                with sdpa_kernel(backend):
                    error = (call()[0, :group].float() - expected).abs().max().item() / expected.abs().max().item()
                    if not error < 0.01:
                        raise RuntimeError(f"wrong result: off by {error:.3g} of the largest value")
                    entry["us"], entry["median_us"] = time_graph(torch, call, seconds)
            except Exception as problem:  # whatever a backend lacks for this shape
                entry["problem"] = " ".join(str(problem).split())[:200]
                torch.cuda.synchronize()
            tried.append(entry)
            said = f"{entry['us']:9.1f} us" if "us" in entry else entry["problem"]
            print(f"  {entry['backend']:20} {said}", file=sys.stderr)
    timed = [entry for entry in tried if "us" in entry]
    best = min(timed, key=lambda entry: entry["us"]) if timed else None
    names = ("batch", "kv_heads", "queries_per_kv_head", "tokens", "head_dim", "query_tokens")
    moved = 4 * batch * kv_heads * tokens * dim + 4 * q.numel()
    row = dict(zip(names, shape), bytes_moved=moved, backends=tried, us=best and best["us"], backend=best and best["backend"])
    row["gbps"] = moved / (1e3 * best["us"]) if best else None
    return row


def driver(uuid):
    """Version of the card's driver, or None where nothing tells it."""
    try:
        query = ["nvidia-smi", "--query-gpu=uuid,driver_version", "--format=csv,noheader"]
        said = subprocess.run(query, capture_output=True, text=True, check=True).stdout
        cards = [line.split(", ") for line in said.splitlines()]
        return next(version for name, version in cards if uuid is None or name.removeprefix("GPU-") == uuid)
    except (OSError, subprocess.CalledProcessError, ValueError, StopIteration):
        pass
    try:
        with open("/proc/driver/nvidia/version", encoding="utf-8") as file:
            found = re.search(r"\b\d+\.\d+(\.\d+)?\b", file.readline())
            return found and found[0]
    except OSError:
        return None


def describe(torch):
    """Name, uuid and driver of the card: gear-bench writes the same of the device that it measures."""
    uuid = getattr(torch.cuda.get_device_properties(0), "uuid", None)  # since torch 2.5
    uuid = None if uuid is None else str(uuid).removeprefix("GPU-")
    return {"name": torch.cuda.get_device_name(0), "uuid": uuid, "driver": driver(uuid)}


def now():
    moment = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"date": moment[:10], "time": moment}


def main():
    parser = argparse.ArgumentParser(description="PyTorch's 16-bit attention for the shapes of gear-bench")
    parser.add_argument("shapes")
    parser.add_argument("out", nargs="?")
    parser.add_argument("--seconds", type=float, default=0.3, help="time of each backend [0.3]")
    options = parser.parse_args()
    import torch
    if not torch.cuda.is_available():
        sys.exit("bench_peers.py: torch sees no CUDA device")
    report = {"program": "bench_peers", **now(), "device": describe(torch),
              "torch": torch.__version__, "cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version(), "rows": []}
    for shape in read_shapes(options.shapes):
        print("x".join(map(str, shape)), file=sys.stderr)
        try:
            report["rows"].append(measure(torch, shape, options.seconds))
        except Exception as problem:  # out of memory: the next shape may fit
            print(f"  {problem}", file=sys.stderr)
        torch.cuda.empty_cache()
        if options.out:
            with open(options.out, "w", encoding="utf-8") as file:
                json.dump(report, file, indent=2)
    if not options.out:
        json.dump(report, sys.stdout, indent=2)


if __name__ == "__main__":
    main()
