"""Token ids of 200 dev rows, 200 corpus lines and some awkward strings by Hugging Face's own `tokenizers` (0.23.2).

    python make.py > tokens.json    (in this folder)
"""

import json
import sys
from pathlib import Path

import tokenizers

demo = Path(__file__).resolve().parents[2] / "demo"
tokenizer = tokenizers.Tokenizer.from_file(str(demo / "teacher" / "tokenizer.json"))
dev = [line.split("\t")[0] for line in (demo / "task" / "dev.tsv").read_text().splitlines()[1:]]
corpus = [json.loads(line)["text"] for line in (demo / "corpus.jsonl").read_text().splitlines()]
awkward = ["", " ", "  two  spaces ", "naïve £5 — 日本 \t x\n\ny  ", "don't DON'T 12345 :-)", "a</s>b<pad>", "\U0001f600"]
texts = dev[::15] + corpus[:: len(corpus) // 200][:200] + awkward
json.dump([[text, tokenizer.encode(text).ids] for text in texts], sys.stdout, indent=None, separators=(",", ":"))
print()
