"""Adds to the golden file the cases that it lacks: logits and unpacked weights of exported folders by transformers (5.18, newer families 5.24, with accelerate):
`node write-folders.ts <folder> > cases.json; TORCHDYNAMO_DISABLE=1 python make.py <folder> cases.json huggingface.json`."""

import base64
import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import torch
import transformers
from transformers.integrations.bitnet import AutoBitLinear

folder = Path(sys.argv[1])
spec = json.loads(Path(sys.argv[2]).read_text())
target = Path(sys.argv[3])
golden = json.loads(target.read_text()) if target.exists() else {"transformers": transformers.__version__, "cases": {}}
for name in spec["cases"]:
    if name in golden["cases"]:
        continue
    model = transformers.AutoModelForCausalLM.from_pretrained(folder / name, dtype=torch.float32)
    model.eval()
    unpacked = hashlib.sha256()
    for key, module in sorted(model.named_modules()):
        if isinstance(module, AutoBitLinear):
            unpacked.update(key.encode())
            unpacked.update(module.weight.detach().numpy().astype(np.int8).tobytes())
            unpacked.update(module.weight_scale.detach().numpy().astype(np.float32).tobytes())
    logits = []
    with torch.no_grad():
        for prompt in spec["prompts"]:
            row = model(torch.tensor([prompt])).logits[0, -1].float().numpy()
            logits.append(base64.b64encode(row.tobytes()).decode())
    golden["cases"][name] = {
        "class": type(model).__name__,
        "weights": hashlib.sha256((folder / name / "model.safetensors").read_bytes()).hexdigest(),
        "unpacked": unpacked.hexdigest(),
        "logits": logits,
    }
target.write_text(json.dumps(golden, indent=1) + "\n")
