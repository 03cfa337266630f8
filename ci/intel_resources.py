#!/usr/bin/env python3
"""Prints what each kernel of an ocloc binary uses, and exits 1 when one needs scratch memory (its registers spill).

The binary of ocloc 22 is an ELF file with one section of patch tokens (magic CTNI): a program header, then for each
kernel a header of ten words, its name, code and heaps, and a list of tokens (id, size in bytes, words).
usage: intel_resources.py DEVICE FILE...
"""
import struct
import sys

TOKEN_SLM = 15  # local memory: word 1 is its size
TOKEN_SCRATCH = 18  # media VFE state: present only with scratch memory
TOKEN_EXECUTION = 23  # execution environment: 0..2 required work-group size, 3 SIMD width, 5 barriers, 20 registers


def sections(data):
    start = struct.unpack_from("<Q", data, 0x28)[0]
    size, count, _ = struct.unpack_from("<HHH", data, 0x3A)
    for i in range(count):
        header = struct.unpack_from("<IIQQQQIIQQ", data, start + i * size)
        yield data[header[4]:header[4] + header[5]]


def kernels(section):
    count, patch_size = struct.unpack_from("<I", section, 16)[0], struct.unpack_from("<I", section, 24)[0]
    offset = 28 + patch_size
    for _ in range(count):
        _, _, name_size, list_size, code, general, dynamic, surface, used = struct.unpack_from("<IQIIIIIII", section, offset)
        offset += 40
        name = section[offset:offset + name_size].split(b"\0")[0].decode()
        at = offset + name_size + code + general + dynamic + surface
        offset = at + list_size
        tokens = {}
        while at < offset:
            token, size = struct.unpack_from("<II", section, at)
            tokens.setdefault(token, struct.unpack_from("<%dI" % ((size - 8) // 4), section, at + 8))
            at += size
        yield name, used, tokens


def main():
    device, spills, seen = sys.argv[1], False, 0
    for path in sys.argv[2:]:
        with open(path, "rb") as file:
            data = file.read()
        for section in sections(data):
            if section[:4] != b"CTNI":
                continue
            for name, code, tokens in kernels(section):
                seen += 1
                execution = tokens[TOKEN_EXECUTION]
                slm = tokens.get(TOKEN_SLM, (0, 0))[1]
                scratch = TOKEN_SCRATCH in tokens
                spills |= scratch
                print(f"{device} {name} SIMD{execution[3]} registers {execution[20]} barriers {execution[5]} local {slm} B"
                      f" code {code} B{' SCRATCH' if scratch else ''}")
    if not seen:
        print(f"{device}: no kernel found in the binary")
    return 1 if spills or not seen else 0


sys.exit(main())
