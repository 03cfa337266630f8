#!/usr/bin/env python3
"""Kernels are embedded with each file they include once, where it comes first. If that is under a condition, what includes it
again elsewhere may find nothing. Prints those places of cl/ and fails if there are any."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent / "cl"
WORD = re.compile(r'\s*#\s*(if|endif|else|elif|include)\w*\b\s*(?:"([^"]+)")?')


def walk(path, conditions, first, offences):
    """Goes through a file as the preprocessor does. conditions: the numbers of the #if that it stands in."""
    own = []
    lines = path.read_text().splitlines()
    guard = next((n for n, line in enumerate(lines) if re.match(r"#ifndef GEAR_\w+_CLH$", line)), None)
    for n, line in enumerate(lines):
        word = WORD.match(line)
        if not word:
            continue
        if word.group(1) == "if" and n != guard:
            own.append(f"{path.name}:{n + 1}")
        elif word.group(1) in ("else", "elif") and own:
            own[-1] = f"{path.name}:{n + 1}"
        elif word.group(1) == "endif" and own:
            own.pop()
        elif word.group(1) == "include" and word.group(2):
            at = conditions + own
            name = word.group(2)
            if name not in first:
                first[name] = at
                walk(ROOT / "common" / name, at, first, offences)
            elif at[:len(first[name])] != first[name]:
                offences.add(f"{path.name}:{n + 1}: {name} comes first under the condition of {first[name][-1]}")


found = set()
for kernel in sorted(ROOT.glob("*.cl")):
    walk(kernel, [], {}, found)
print("\n".join(sorted(found)))
sys.exit(bool(found))
