"""What the scripts that fill tables of docs/quality.md share: a row of gear-pack on the shipped layers, and a place in the
document."""
import glob
import json
import re
import subprocess
import sys
import tempfile

DOCUMENT = "docs/quality.md"
MIXED = "--backbone mixed --rotate-v --scale-bits 6 "


def measure(pack, flags):
    """The row of the codec that the flags make, on the default device with --recent 64 and four exact tokens."""
    command = [pack, "--recent", "64", "--exact-first", "4"] + flags.split()
    for key in sorted(glob.glob("tests/data/smollm2-kv/L*_k_post.npy")):
        command += ["--k", key, "--v", key.replace("_k_post", "_v"), "--q", key.replace("_k_post", "_q_last64")]
    with tempfile.TemporaryDirectory() as folder:
        path = folder + "/row.json"  # gear-pack replaces a file, it does not write into one that is open
        subprocess.run(command + ["--json", path], check=True, stdout=subprocess.DEVNULL)
        with open(path, encoding="utf-8") as file:
            return json.load(file)["rows"][0]


def put(name, rows, document=DOCUMENT):
    """Replaces the text between <!-- name --> and <!-- /name -->."""
    with open(document, encoding="utf-8") as file:
        old = file.read()
    new, count = re.subn(rf"<!-- {name} -->.*?<!-- /{name} -->", lambda _: f"<!-- {name} -->\n{rows}\n<!-- /{name} -->", old,
                         flags=re.S)
    if count != 1:
        sys.exit(f"{document}: one pair of {name} markers expected, {count} found")
    with open(document, "w", encoding="utf-8") as file:
        file.write(new)
