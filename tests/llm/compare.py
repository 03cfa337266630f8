#!/usr/bin/env python3
"""gear-llm's logits with a 16-bit cache against those of forward.py: every token of a prompt and 64 tokens that follow it.

  compare.py GEAR_LLM MODEL TEXT_FILE...

Each file's first 200 tokens are a prompt. Its logits must agree within 2e-3. Those of the tokens behind it must agree within
2e-2, as a key or value that lies between two 16-bit floats may go to one here and to the other there. The likeliest tokens
must be the same, in the prompt where the reference's two likeliest are further apart than the bound. Prints the largest
differences for each file. Exit status 1 and one line where that is not so. Needs the packages of requirements.txt."""
import os
import subprocess
import sys
import tempfile

import numpy as np

from forward import Llama

PROMPT, TOKENS = 200, 64
PROMPT_BOUND, DECODE_BOUND = 2e-3, 2e-2


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
            difference = np.abs(got - expected).max(axis=1)
            in_prompt, behind = difference[:prompt].max(), difference[prompt:].max()
            print(f"{os.path.basename(model)}, {os.path.basename(path)}: logits differ by {in_prompt:.2e} in the prompt, "
                  f"by {behind:.2e} behind it")
            second, first = np.partition(expected, -2, axis=1)[:, -2:].T
            clear = (first - second > PROMPT_BOUND) | (np.arange(len(expected)) >= prompt - 1)
            if (clear & (got.argmax(axis=1) != expected.argmax(axis=1))).any():
                sys.exit(f"{path}: another likeliest token")
            if not (in_prompt <= PROMPT_BOUND and behind <= DECODE_BOUND):
                sys.exit(f"{path}: logits differ by more than {PROMPT_BOUND} in the prompt or {DECODE_BOUND} behind it")


if __name__ == "__main__":
    main()
