#!/usr/bin/env python3
"""gear-llm's logits with a 16-bit cache against those of forward.py: every token of a prompt and 64 tokens that follow it.

  compare.py GEAR_LLM MODEL TEXT_FILE...

Each file's first 200 tokens are a prompt. The logits must agree within 2e-2, and their likeliest tokens must be the same:
behind each of the 64, and behind those of the prompt where the reference's two likeliest are further apart than that.
Prints the largest difference for each file. Exit status 1 and one line where that is not so. Needs the packages of requirements.txt."""
import os
import subprocess
import sys
import tempfile

import numpy as np

from forward import Llama

BOUND, PROMPT, TOKENS = 2e-2, 200, 64


def of_program(program, model, path, folder):
    out = os.path.join(folder, "logits.npy")
    subprocess.run([program, "generate", "--model", model, "--prompt-file", path, "--prompt-tokens", str(PROMPT), "--tokens",
                    str(TOKENS + 1), "--ignore-end", "--kv", "16", "--logits", out], check=True, capture_output=True)
    return np.load(out)


def of_reference(model, path):
    with open(path, encoding="utf-8", newline="") as file:
        ids = list(model.tokenizer.encode(file.read())[:PROMPT])
    model.forget()
    logits = [model.forward(ids)]
    for _ in range(TOKENS):
        logits.append(model.forward([int(logits[-1][-1].argmax())]))
    return np.concatenate(logits), len(ids)


def main():
    program, model, *paths = sys.argv[1:]
    reference = Llama(model)
    with tempfile.TemporaryDirectory() as folder:
        for path in paths:
            expected, prompt = of_reference(reference, path)
            got = of_program(program, model, path, folder)
            if got.shape != expected.shape:
                sys.exit(f"{path}: {got.shape} logits, not {expected.shape}")
            difference = np.abs(got - expected).max()
            print(f"{os.path.basename(model)}, {os.path.basename(path)}: {prompt} + {TOKENS} tokens, {difference:.2e} at most")
            second, first = np.partition(expected, -2, axis=1)[:, -2:].T
            clear = (first - second > BOUND) | (np.arange(len(expected)) >= prompt - 1)
            if (clear & (got.argmax(axis=1) != expected.argmax(axis=1))).any():
                sys.exit(f"{path}: another likeliest token")
            if not difference <= BOUND:
                sys.exit(f"{path}: logits differ by {difference:.2e}, more than {BOUND}")


if __name__ == "__main__":
    main()
