"""Golden ids of tokenizers in GGUF metadata: `python make-tokenizers.py <shared/data> <folder>` writes tokenizers.json (tokenizers 0.23,
sentencepiece 0.2). Small vocabularies, trained here: a byte-level one for each way of splitting, and two of SentencePiece; the keys are those
that llama.cpp's converter writes, the ids those of the library that made the vocabulary."""

import io
import json
import sys
from pathlib import Path

import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

# The published split patterns (tokenizer.json of Qwen2, Llama 3, Mistral Nemo, GPT-4o).
QWEN2 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = QWEN2.replace(r"\p{N}|", r"\p{N}{1,3}|")
TEKKEN = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
GPT4O = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def split(pattern):
    plain = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"), plain])


def splitting():
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)


def digits():
    return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), splitting()])


families = {
    "gpt-2": (splitting, False), "olmo": (splitting, False), "smollm": (digits, False), "refact": (digits, False),
    "qwen2": (lambda: split(QWEN2), False), "llama-bpe": (lambda: split(LLAMA3), True), "dbrx": (lambda: split(LLAMA3), False),
    "tekken": (lambda: split(TEKKEN), True), "gpt-4o": (lambda: split(GPT4O), False),
}
corpus = (Path(sys.argv[1]) / "tokenizers/vectors/ggml-vocab-qwen2.gguf.inp").read_text()
corpus = [corpus, "the film was good, it's 123 times better than that; HeLLo WorLD, camelCase and snake_case they'LL don't 2024 1234567"] * 4
texts = [
    "",
    "The film was  good, wasn't it?\n\nYes: 12345.67 times.\t\"Naïve\" café — 日本語のテキスト 🎬🍿",
    "e\u0301 decomposed, <|im_start|>user\nhello<|im_end|> WE'LL i'm 007 ١٢٣ camelCaseWORD HTTPServer/\n",
    "   leading and trailing   \r\n ",
    "don'T\u00a0x!!!///\n\n  y  <turn>z",
]
out = {"texts": texts, "byteLevel": {}, "pieces": {}}
for pre, (make, ignore) in families.items():
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore))
    tokenizer.pre_tokenizer = make()
    tokenizer.decoder = decoders.ByteLevel()
    if pre == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(corpus, trainers.BpeTrainer(vocab_size=420, initial_alphabet=alphabet, show_progress=False))
    if ignore:
        # A token that no merge makes: found as a whole alone.
        state = json.loads(tokenizer.to_str())
        state["model"]["vocab"]["better"] = len(state["model"]["vocab"])
        tokenizer = Tokenizer.from_str(json.dumps(state))
    tokenizer.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    tokenizer.add_tokens([AddedToken("<turn>", normalized=False)])
    state = json.loads(tokenizer.to_str())
    vocab = state["model"]["vocab"] | {token["content"]: token["id"] for token in state["added_tokens"]}
    tokens = sorted(vocab, key=vocab.get)
    special = {token["content"]: 3 if token["special"] else 4 for token in state["added_tokens"]}
    out["byteLevel"][pre] = {
        "tokens": tokens,
        "types": [special.get(token, 1) for token in tokens],
        "merges": [" ".join(pair) for pair in state["model"]["merges"]],
        "ids": [tokenizer.encode(text).ids for text in texts + ["better"]],
    }

for name, prefix in {"gemma": False, "llama": True}.items():
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([line for text in corpus for line in text.split("\n")]), model_writer=model, model_type="bpe", vocab_size=700,
        byte_fallback=True, character_coverage=0.98, normalization_rule_name="identity", add_dummy_prefix=prefix,
        remove_extra_whitespaces=False, split_digits=True, allow_whitespace_only_pieces=True,
        user_defined_symbols=[] if prefix else ["▁▁", "▁▁▁", "<turn>"],
        control_symbols=["<|im_start|>", "<|im_end|>"], num_threads=1, minloglevel=2,
    )
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    count = processor.get_piece_size()
    kind = lambda i: 2 if processor.is_unknown(i) else 3 if processor.is_control(i) else 6 if processor.is_byte(i) else 4 if processor.id_to_piece(i) in ("▁▁", "▁▁▁", "<turn>") and not prefix else 1
    types = [kind(i) for i in range(count)]
    out["pieces"][name] = {
        # User-defined pieces stand in the file with real spaces, as the converter writes them.
        "tokens": [processor.id_to_piece(i).replace("▁", " ") if types[i] == 4 else processor.id_to_piece(i) for i in range(count)],
        "types": types,
        "scores": [processor.get_score(i) for i in range(count)],
        "addSpacePrefix": prefix,
        "texts": [text for text in texts if "<|im" not in text and not (prefix and "<turn>" in text)],
        "ids": [processor.encode(text) for text in texts if "<|im" not in text and not (prefix and "<turn>" in text)],
    }
Path(sys.argv[2], "tokenizers.json").write_text(json.dumps(out, ensure_ascii=True) + "\n")
