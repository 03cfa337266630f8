#!/usr/bin/env python3
"""Writes the chain-of-thought model as a GGUF file, F16: convert_cot.py FOLDER TAG OUT.gguf

FOLDER has config.json (geometry, vocabulary), TAG.json (the tensors with their names, shapes, files and offsets) and the
.bin files that it names: little-endian float16, [out, in], Hugging Face's names and channel order. TAG is `final` (plain
training) or `robust` (trained on with noise on keys and values). The output is the same on every machine. Needs the
packages of requirements.txt."""
import argparse
import json
import pathlib

import gguf
import numpy as np

NAMES = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
LAYER_NAMES = {"input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
               "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "post_attention_layernorm": "ffn_norm",
               "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}
TITLES = {"final": "Chain of thought 9M", "robust": "Chain of thought 9M, trained on with noise on keys and values"}


def renamed(name):
    stem = name.removesuffix(".weight")
    if stem in NAMES:
        return NAMES[stem] + ".weight"
    _, _, layer, rest = stem.split(".", 3)
    return f"blk.{layer}.{LAYER_NAMES[rest]}.weight"


def interleaved(rows, heads):
    """Hugging Face turns channel i of a head together with i + head_dim / 2, the llama architecture of GGUF 2i with 2i + 1."""
    return rows.reshape(heads, 2, -1, rows.shape[1]).swapaxes(1, 2).reshape(rows.shape)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("tag", choices=TITLES)
    parser.add_argument("out")
    arguments = parser.parse_args()
    config = json.loads((arguments.folder / "config.json").read_text())["config"]
    tensors = json.loads((arguments.folder / f"{arguments.tag}.json").read_text())["tensors"]

    out = gguf.GGUFWriter(arguments.out, "llama")
    out.add_name(TITLES[arguments.tag])
    out.add_license("apache-2.0")
    out.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    out.add_block_count(config["num_hidden_layers"])
    out.add_context_length(config["max_position_embeddings"])
    out.add_embedding_length(config["hidden_size"])
    out.add_feed_forward_length(config["intermediate_size"])
    out.add_head_count(config["num_attention_heads"])
    out.add_head_count_kv(config["num_key_value_heads"])
    out.add_rope_dimension_count(config["head_dim"])
    out.add_rope_freq_base(config["rope_theta"])
    out.add_layer_norm_rms_eps(config["rms_norm_eps"])
    out.add_vocab_size(config["vocab_size"])
    # A plain vocabulary: the longest token that matches, which here is a character.
    out.add_tokenizer_model("rwkv")
    out.add_token_list(config["vocab"])
    out.add_token_types([gguf.TokenType.NORMAL] * config["vocab_size"])
    out.add_bos_token_id(config["bos_id"])
    out.add_eos_token_id(config["eos_id"])
    out.add_pad_token_id(config["pad_id"])
    # The problems have ^ written before them.
    out.add_add_bos_token(False)

    for tensor in tensors:
        data = np.fromfile(arguments.folder / tensor["file"], "<f2", tensor["bytes"] // 2, offset=tensor["offset"])
        data, name = data.reshape(tensor["shape"]), renamed(tensor["name"])
        if name.endswith("attn_q.weight"):
            data = interleaved(data, config["num_attention_heads"])
        elif name.endswith("attn_k.weight"):
            data = interleaved(data, config["num_key_value_heads"])
        out.add_tensor(name, data.astype(np.float32) if data.ndim == 1 else np.ascontiguousarray(data))
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


if __name__ == "__main__":
    main()
