#!/usr/bin/env python3
"""Checks tests/data/cot with forward.py: check_model.py [N]

The completions of the first N problems (20) must be right throughout, each token the likeliest behind those before it."""
import pathlib
import sys

from forward import Llama

DATA = pathlib.Path(__file__).resolve().parent.parent / "data/cot"


def main():
    model = Llama(str(DATA / "final.gguf"))
    lines = (DATA / "eval_public.txt").read_text(encoding="utf-8").splitlines()[:int(sys.argv[1]) if len(sys.argv) > 1 else 20]
    right = 0
    for line in lines:
        prompt, completion = map(model.tokenizer.encode, line.split("\t"))
        model.forget()
        logits = model.forward((prompt + completion)[:-1])
        right += logits[len(prompt) - 1:].argmax(-1).tolist() == completion
    print(f"{right} of {len(lines)} completions right")
    sys.exit(right != len(lines))


if __name__ == "__main__":
    main()
