"""Published figures of the same recipes (docs/results/llm_published.json), and what it is to agree with them."""
import json

PUBLISHED = "docs/results/llm_published.json"
# A row agrees with the published one within so much of KL and so many of 100 answers. KL below FLOOR is rounding.
KL_BOUND = {"training": 0.25, "frontier": 0.15}
ANSWERS, FLOOR = 0.04, 0.0001


def published_rows():
    with open(PUBLISHED, encoding="utf-8") as file:
        return json.load(file)["rows"]


def answers_agree(row, other):
    """Whether the answers of our row are those of the published one, within the bound; so they are where nobody solved."""
    return abs(row.get("accuracy", 0) - other.get("accuracy", row.get("accuracy", 0))) <= ANSWERS + 1e-9


def kl_agrees(row, other):
    ours, theirs = row["kl"], other.get("kl", row["kl"])
    return max(ours, theirs) < FLOOR or abs(ours - theirs) <= KL_BOUND[other["source"]] * theirs + 1e-12
