#!/usr/bin/env python3
"""Writes the golden files of tests/data/gguf: make_golden.py [FOLDER]

blocks.gguf: for each tensor type TYPE that gear-llm reads, random blocks as the tensor TYPE and the float32 values that the
gguf package makes of them as the tensor TYPE.values.
bpe_PRE.gguf: a small byte-level vocabulary whose merges reach over spaces, digits and line ends, so that words that are cut
elsewhere give other ids, with texts (test.text) and the ids that the tokenizers package gives for all of them one after the
other: test.ids and their numbers test.counts with control tokens, test.plain_ids and test.plain_counts with these as plain
text. Needs the packages of requirements.txt."""
import json
import pathlib
import random
import sys
import unicodedata

import gguf
import numpy as np
from gguf.quants import dequantize
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

import gguf_tokenizer
from gguf_tokenizer import ADDED, CONTROL, NORMAL

ROOT = pathlib.Path(__file__).resolve().parent.parent
TYPES = ["F32", "F16", "BF16", "Q4_0", "Q4_1", "Q8_0", "Q4_K", "Q6_K"]
# Where the 16-bit floats of a block are, so that they can be given ordinary values.
SCALES = {"Q4_0": [0], "Q4_1": [0, 2], "Q8_0": [0], "Q4_K": [0, 2], "Q6_K": [208]}


def random_rows(rng, name, rows=2, values=512):
    """The bytes of rows of the type, [rows, bytes]."""
    if name in ("F32", "F16", "BF16"):
        x = (rng.standard_normal((rows, values)) * 10.0 ** rng.integers(-9, 5, (rows, values))).astype(np.float32)
        x[0, :4] = [0.0, -0.0, 65504.0, -1.0]
        if name == "F16":
            return np.clip(x, -65504, 65504).astype("<f2").view(np.uint8)
        raw = x.astype("<f4").view(np.uint8)
        return raw if name == "F32" else np.ascontiguousarray(raw.reshape(rows, values, 4)[..., 2:]).reshape(rows, -1)
    per_block, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[name]]
    raw = rng.integers(0, 256, (rows, values // per_block, size), dtype=np.uint8)
    for at in SCALES[name]:
        scale = rng.standard_normal(raw.shape[:2]) * 10.0 ** rng.integers(-7, 3, raw.shape[:2])
        raw[..., at:at + 2] = scale.astype("<f2")[..., None].view(np.uint8)
    return raw.reshape(rows, -1)


def write_blocks(path):
    rng = np.random.default_rng(20240607)
    out = gguf.GGUFWriter(path, "none")
    for name in TYPES:
        kind, raw = gguf.GGMLQuantizationType[name], random_rows(rng, name)
        values = np.asarray(dequantize(raw.view({"F32": "<f4", "F16": "<f2"}.get(name, np.uint8)), kind), dtype=np.float32)
        out.add_tensor(name, raw, raw_dtype=kind)
        out.add_tensor(name + ".values", values)
    close(out)


def close(out):
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


def train(size):
    """Merges over whole lines with their ends."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    trainer = trainers.BpeTrainer(vocab_size=size, max_token_length=8, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    lines = (ROOT / "data/text/jargon_prose.txt").read_text(encoding="utf-8").splitlines(keepends=True)
    lines += [f"{a} {b}{a}, {1000 * a + b}\t  'S {a}\r\n\r\n   it'll" for a in range(1900, 2030) for b in (3, 19, 200)]
    tokenizer.train_from_iterator(lines, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    return tokens, [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]


def texts():
    prose = (ROOT / "data/text/jargon_folklore.txt").read_text(encoding="utf-8")
    cases = ["", " ", "a", "\n", prose[:1200], prose[20000:20600],
             "I'm can't WE'LL they're THEY'RE 'sound 'S 'ſ 'tis x'd",
             "0 1 12 123 1234 12345 3.14159, 1,000,000 ²³½ Ⅷ ٣٤٥ 一二三 v2.0.1",
             "  two\n\n\n   three\t\ttabs \r\n\r\n end  ", "a\u00a0b\u3000c\u2028d\u180ee\u200bf\x85g\x1ch\x00i\x7f",
             "naïve café Straße ΑΒΓ где 日本語のテキスト 한국어 العربية हिन्दी e\u0301 👩‍👩‍👧 🏳️‍🌈 𝔘𝔫𝔦",
             "<|im_start|>user\nHi<|im_end|>\n<|endoftext|><|im_start|><tool> <tool>x <|im_start> <tool", " unmerged unmerged",
             "snake_case camelCase x=y+1; // !!! ... ???", "e" * 200, " " * 70 + "x", "\n" * 9 + " \n x"]
    rng = random.Random(7)
    pools = [(32, 127), (0xA0, 0x250), (0x370, 0x600), (0x900, 0xE00), (0x2000, 0x2070), (0x3000, 0x3100), (0x4E00, 0x4F00),
             (0x1F300, 0x1F600)]
    for _ in range(12):
        out = ""
        while len(out) < 80:
            low, high = rng.choice(pools)
            out += "".join(chr(rng.randrange(low, high)) for _ in range(rng.randrange(1, 5)))
            out += rng.choice(["", " ", "7", "\n", "'s"])
        cases.append("".join(c for c in out if unicodedata.category(c) not in ("Cn", "Cs")))
    return cases


def write_pairs(path, pre, tokens, merges):
    types = [NORMAL] * len(tokens)
    more = [("<|endoftext|>", CONTROL), ("<|im_start|>", CONTROL), ("<|im_end|>", CONTROL), ("<tool>", ADDED),
            ("<tool>x", ADDED), ("Ġunmerged", NORMAL)]
    tokens, types = tokens + [token for token, _ in more], types + [kind for _, kind in more]
    theirs = gguf_tokenizer.BytePairs(tokens, types, merges, pre)
    out = gguf.GGUFWriter(path, "none")
    out.add_tokenizer_model("gpt2")
    out.add_tokenizer_pre(pre)
    out.add_token_list(tokens)
    out.add_token_types(types)
    out.add_token_merges(merges)
    out.add_bos_token_id(tokens.index("<|im_start|>"))
    out.add_eos_token_id(tokens.index("<|im_end|>"))
    cases = texts()
    out.add_array("test.text", cases)
    for prefix, plain in (("test.", False), ("test.plain_", True)):
        theirs.tokenizer.encode_special_tokens = plain
        ids = [theirs.encode(text) for text in cases]
        assert plain or all(theirs.decode(i) == text for i, text in zip(ids, cases))
        out.add_array(prefix + "ids", np.concatenate([np.array(i, int) for i in ids]).tolist())
        out.add_array(prefix + "counts", [len(i) for i in ids])
    close(out)


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "data/gguf"
    folder.mkdir(exist_ok=True)
    write_blocks(folder / "blocks.gguf")
    tokens, merges = train(640)
    for pre in ("gpt-2", "smollm", "llama-bpe", "qwen2"):
        write_pairs(folder / f"bpe_{pre}.gguf", pre, tokens, merges)


if __name__ == "__main__":
    main()
