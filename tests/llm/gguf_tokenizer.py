"""The tokenizer of a GGUF file, through the `tokenizers` package: what gear-llm's own is compared with."""
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

NORMAL, CONTROL, ADDED = 1, 3, 4

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}DIGITS| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")


def split(pattern):
    return pre_tokenizers.Split(Regex(pattern), "isolated")


def byte_level(use_regex):
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)


def cutter(pre):
    """The pre-tokenizer that `tokenizer.ggml.pre` names, and whether words that are tokens need no merges."""
    if pre == "gpt-2":
        return byte_level(True), False
    if pre == "smollm":
        return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level(True)]), False
    if pre == "llama-bpe":
        return pre_tokenizers.Sequence([split(LLAMA3.replace("DIGITS", "{1,3}")), byte_level(False)]), True
    if pre == "qwen2":
        return pre_tokenizers.Sequence([split(LLAMA3.replace("DIGITS", "")), byte_level(False)]), False
    raise SystemExit(f"no pre-tokenizer for {pre!r}")


class BytePairs:
    def __init__(self, tokens, types, merges, pre):
        pre_tokenizer, ignore_merges = cutter(pre)
        vocabulary = {}
        for i, token in enumerate(tokens):
            vocabulary.setdefault(token, i)
        self.tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[tuple(m.split(" ")) for m in merges],
                                              ignore_merges=ignore_merges))
        self.tokenizer.pre_tokenizer = pre_tokenizer
        self.tokenizer.decoder = decoders.ByteLevel()
        whole = [AddedToken(token, special=kind == CONTROL, normalized=False)
                 for token, kind in zip(tokens, types) if kind in (CONTROL, ADDED)]
        self.tokenizer.add_special_tokens([t for t in whole if t.special])
        self.tokenizer.add_tokens([t for t in whole if not t.special])

    def encode(self, text):
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def decode(self, ids):
        return self.tokenizer.decode(list(ids), skip_special_tokens=False)


class LongestMatch:
    """Of characters; the escapes of bytes are left out, as the chain-of-thought model has none."""

    def __init__(self, tokens):
        self.tokens = tokens
        self.ids = {token: i for i, token in enumerate(tokens)}
        self.longest = max(map(len, tokens))

    def encode(self, text):
        ids, at = [], 0
        while at < len(text):
            size = next(n for n in range(self.longest, 0, -1) if text[at:at + n] in self.ids)
            ids.append(self.ids[text[at:at + size]])
            at += size
        return ids

    def decode(self, ids):
        return "".join(self.tokens[i] for i in ids)


def from_fields(fields):
    """Of the metadata of a gguf.GGUFReader."""
    def get(key):
        return fields["tokenizer.ggml." + key].contents()
    if get("model") == "rwkv":
        return LongestMatch(get("tokens"))
    return BytePairs(get("tokens"), get("token_type"), get("merges"), get("pre"))
