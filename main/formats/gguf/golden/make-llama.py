"""Golden file of a SentencePiece vocabulary in GGUF: `python make-llama.py <shared/data> > llama.json` (gguf, sentencepiece).

Tokens, scores and types as llama.cpp's own converter (gguf-py) reads them from Llama 2's tokenizer.model; ids of texts as SentencePiece itself
splits them.
"""

import hashlib
import json
import struct
import sys
from pathlib import Path

from gguf.vocab import SentencePieceVocab
from sentencepiece import SentencePieceProcessor

folder = Path(sys.argv[1]) / "tokenizers/llama2"
entries = list(SentencePieceVocab(folder).all_tokens())
texts = [token.decode("utf8") for token, _, _ in entries]
scores = [score for _, score, _ in entries]
types = [int(type) for _, _, type in entries]


def digest(data):
    return hashlib.sha256(data).hexdigest()


processor = SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
plain = [
    "",
    "Hello, world!",
    " leading, trailing ",
    "two  spaces and\ttabs\n\nand lines\r\n",
    "naïve café — 日本語 🦙 \u0000 ﷽",
    "1234567890 3.14159 don't 'S",
    "▁ the mark itself",
    "def f(x):\n    return x ** 2  # comment",
]
json.dump(
    {
        "tokens": {
            "count": len(texts),
            "sha256": digest("\n".join(texts).encode("utf8")),
            "scoresSha256": digest(b"".join(struct.pack("<f", score) for score in scores)),
            "typesSha256": digest(bytes(types)),
        },
        "texts": [{"text": text, "ids": processor.encode(text)} for text in plain],
    },
    sys.stdout,
    indent=1,
)
