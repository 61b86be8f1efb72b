"""Golden ids by the reference tokenizers library: `python make.py <shared/data> > ids.json` (tokenizers, transformers)."""

import json
import sys
from pathlib import Path

from tokenizers import Tokenizer
from transformers import Qwen2TokenizerFast

data = Path(sys.argv[1])
texts = [
    "",
    "Once upon a time, there was a little girl named Lily.",
    "<|start_story|>Once upon<|end_story|> a  time\n\n\tHe said: “Café №7” — naïve 日本語 🦙",
    "<|im_start|>user\nHi<|im_end|>\n<|endoftext|>",
    "e\u0301 ﬁ 1234567 'S 's don't   \n  x",
    "the unk <unk> and </s> and ▁ here",
]
story = Tokenizer.from_file(str(data / "models/story-656k/tokenizer.json"))
gpt2 = Tokenizer.from_file(str(data / "tokenizers/gpt2-hf/tokenizer.json"))
folder = data / "tokenizers/qwen2-0.5b"
qwen = Qwen2TokenizerFast(str(folder / "vocab.json"), str(folder / "merges.txt"))
qwen.add_special_tokens({"additional_special_tokens": ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]})
qwen = qwen.backend_tokenizer
golden = {
    name: [
        {
            "text": text,
            "ids": tokenizer.encode(text).ids,
            "bare": tokenizer.encode(text, add_special_tokens=False).ids,
            "decoded": tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False),
            "stripped": tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=True),
        }
        for text in texts
    ]
    for name, tokenizer in {"story": story, "gpt2": gpt2, "qwen2": qwen}.items()
}
json.dump(golden, sys.stdout, indent=1, ensure_ascii=True)
