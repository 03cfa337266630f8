"""What the mixed backbone does to values that it is not made for, at 64 channels: V with a level common to all channels, whose
groups have few values of the other sign or none; constant V; rotated V near the end of half precision. Prints the relative
error of V for KIVI, and for the mixed backbone as it is and rotated. Needs NumPy."""
import numpy as np

from convention import Codec, compress

CODECS = [Codec(True, backbone, bits, rotate=rotate, normal=rotate and bits > 2)
          for bits in (2, 3, 4) for backbone, rotate in (("kivi", False), ("mixed", False), ("mixed", True))]


def row(name, values):
    x = values.astype(np.float16)
    exact = x.astype(np.float64)
    errors = [np.linalg.norm(compress(codec, x)["whole"] - exact) / np.linalg.norm(exact) for codec in CODECS]
    print(f"| {name} | " + " | ".join(f"{error:.2f}" for error in errors) + " |")


def main():
    print("| V | " + " | ".join(f"{codec.backbone}{', rotated' * codec.rotate} {codec.bits}" for codec in CODECS) + " |")
    print("|---" * (1 + len(CODECS)) + "|")
    noise = np.random.default_rng(1).standard_normal((2, 512, 64))
    for level in (0, 0.5, 1, 2, 4):
        row(f"normal, deviation 1, about {level}", noise + level)
    row("0.3 everywhere", np.full((1, 64, 64), 0.3))
    row("8188 (65504 / 8) everywhere", np.full((1, 64, 64), 8188.0))
    row("60000 everywhere", np.full((1, 64, 64), 60000.0))


if __name__ == "__main__":
    main()
