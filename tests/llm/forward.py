#!/usr/bin/env python3
"""The forward pass of a Llama-architecture GGUF file in NumPy, float32: what gear-llm's logits are compared with.

  forward.py MODEL --prompt TEXT [--tokens N] --out LOGITS.npy
  forward.py MODEL --file TEXT_FILE [--limit TOKENS] --out LOGITS.npy

Writes float32 [tokens, vocabulary]: the logits behind each token of the prompt and of the N tokens that greedy decoding
puts after it. Prints JSON: the ids of all these tokens, how many are the prompt's, their text. The tokens of the
prompt see each other's keys and values in float32; decoded tokens see all in 16 bits, as in a 16-bit cache, unless --exact.
Needs the packages of requirements.txt."""
import argparse
import json

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize

import gguf_tokenizer

F = np.float32


def normalize(x, weight, epsilon):
    return x / np.sqrt(np.mean(np.square(x), axis=-1, keepdims=True) + F(epsilon)) * weight


class Llama:
    """Rows of attn_q and attn_k stay in the file's order, in which RoPE turns channels 2i and 2i + 1 of a head together."""

    def __init__(self, path, exact=False):
        reader = GGUFReader(path)
        self.tokenizer = gguf_tokenizer.from_fields(reader.fields)
        get = {key: field.contents() for key, field in reader.fields.items() if key.startswith(("llama.", "general.arch"))}
        if get["general.architecture"] != "llama":
            raise SystemExit(f"{path}: the architecture is {get['general.architecture']}, not llama")
        self.layers, self.heads = get["llama.block_count"], get["llama.attention.head_count"]
        self.kv_heads = get.get("llama.attention.head_count_kv", self.heads)
        self.head_dim = get.get("llama.attention.key_length", get["llama.embedding_length"] // self.heads)
        self.epsilon = get["llama.attention.layer_norm_rms_epsilon"]
        self.base = get.get("llama.rope.freq_base", 10000.0)
        self.exact = exact
        self.weights = {t.name: np.asarray(dequantize(t.data, t.tensor_type), dtype=F) for t in reader.tensors}
        self.head = self.weights.get("output.weight", self.weights["token_embd.weight"])
        self.keys = [np.zeros((self.kv_heads, 0, self.head_dim), F) for _ in range(self.layers)]
        self.values = [np.zeros((self.kv_heads, 0, self.head_dim), F) for _ in range(self.layers)]

    def rotate(self, x, first):
        """RoPE of x [heads, tokens, head_dim] at the positions from `first` on."""
        pairs = np.arange(self.head_dim // 2)
        angle = np.arange(first, first + x.shape[1])[:, None] * self.base ** (-2.0 * pairs / self.head_dim)
        cos, sin = np.cos(angle).astype(F), np.sin(angle).astype(F)
        out = np.empty_like(x)
        out[..., 0::2] = x[..., 0::2] * cos - x[..., 1::2] * sin
        out[..., 1::2] = x[..., 0::2] * sin + x[..., 1::2] * cos
        return out

    def stored(self, x):
        return x if self.exact else x.astype(np.float16).astype(F)

    def attend(self, layer, x):
        """Attention of the new tokens' x [tokens, width] on themselves and all before them, which it appends to. The tokens of
        the first call, the prompt, see each other before they are stored."""
        def project(name, heads):
            weight = self.weights[f"blk.{layer}.attn_{name}.weight"]
            return (x @ weight.T).reshape(len(x), heads, self.head_dim).swapaxes(0, 1)
        first = self.keys[layer].shape[1]
        query = self.rotate(project("q", self.heads), first)
        key, value = self.rotate(project("k", self.kv_heads), first), project("v", self.kv_heads)
        self.keys[layer] = np.concatenate([self.keys[layer], self.stored(key)], axis=1)
        self.values[layer] = np.concatenate([self.values[layer], self.stored(value)], axis=1)
        if first:
            key, value = self.keys[layer], self.values[layer]
        # Query head h reads KV head h / (heads / kv_heads).
        grouped = query.reshape(self.kv_heads, -1, len(x), self.head_dim)
        scores = np.einsum("kgqd,ktd->kgqt", grouped, key, optimize=True) / F(np.sqrt(self.head_dim))
        hidden = np.arange(key.shape[1])[None, :] > first + np.arange(len(x))[:, None]
        scores[..., hidden] = -np.inf
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        scores /= scores.sum(axis=-1, keepdims=True)
        out = np.einsum("kgqt,ktd->kgqd", scores, value, optimize=True)
        out = out.reshape(self.heads, len(x), self.head_dim).swapaxes(0, 1).reshape(len(x), -1)
        return out @ self.weights[f"blk.{layer}.attn_output.weight"].T

    def feed(self, layer, x):
        gate = x @ self.weights[f"blk.{layer}.ffn_gate.weight"].T
        up = x @ self.weights[f"blk.{layer}.ffn_up.weight"].T
        return (gate / (1 + np.exp(-gate)) * up) @ self.weights[f"blk.{layer}.ffn_down.weight"].T

    def forward(self, ids):
        """Appends the tokens to the sequence; their logits [tokens, vocabulary]."""
        x = self.weights["token_embd.weight"][np.asarray(ids)]
        for layer in range(self.layers):
            x = x + self.attend(layer, normalize(x, self.weights[f"blk.{layer}.attn_norm.weight"], self.epsilon))
            x = x + self.feed(layer, normalize(x, self.weights[f"blk.{layer}.ffn_norm.weight"], self.epsilon))
        return normalize(x, self.weights["output_norm.weight"], self.epsilon) @ self.head.T

    def forget(self):
        self.keys = [k[:, :0] for k in self.keys]
        self.values = [v[:, :0] for v in self.values]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--prompt")
    source.add_argument("--file")
    parser.add_argument("--limit", type=int, help="so many tokens of it at most")
    parser.add_argument("--tokens", type=int, default=0, help="decode so many tokens more")
    parser.add_argument("--exact", action="store_true", help="keys and values stay float32")
    parser.add_argument("--out", required=True)
    arguments = parser.parse_args()
    text = arguments.prompt
    if arguments.file:
        with open(arguments.file, encoding="utf-8", newline="") as file:
            text = file.read()
    model = Llama(arguments.model, arguments.exact)
    prompt = model.tokenizer.encode(text)[:arguments.limit]
    ids, logits = list(prompt), [model.forward(prompt)]
    for _ in range(arguments.tokens):
        ids.append(int(logits[-1][-1].argmax()))
        logits.append(model.forward(ids[-1:]))
    np.save(arguments.out, np.concatenate(logits).astype("<f4"))
    print(json.dumps({"ids": ids, "prompt": len(prompt), "text": model.tokenizer.decode(ids)}))


if __name__ == "__main__":
    main()
