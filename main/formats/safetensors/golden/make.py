"""Golden values by the reference reader: `python make.py <shared/data> > values.json` (torch, safetensors)."""

import json
import sys
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save

data = Path(sys.argv[1])
golden = {}
for folder, tensors in {
    "fixtures/tiny_qwen3": ["model.embed_tokens.weight", "model.layers.0.self_attn.q_proj.weight"],
    "fixtures/tiny_llama3": ["lm_head.weight", "model.layers.1.mlp.down_proj.weight"],
    "models/story-656k": ["lm_head.weight", "model.layers.1.self_attn.k_proj.weight"],
}.items():
    with safe_open(data / folder / "model.safetensors", "pt") as file:
        golden[folder] = {}
        for name in tensors:
            values = file.get_tensor(name).double()
            golden[folder][name] = {
                "shape": list(values.shape),
                "first": values.flatten()[:4].tolist(),
                "last": values.flatten()[-1].item(),
                "sum": values.sum().item(),
                "squares": (values**2).sum().item(),
            }

torch.manual_seed(1)
small = torch.randn(3, 5) * torch.tensor([1e-6, 1e-3, 1.0, 1e2, 3e4])
file = save(
    {"half": small.half(), "brain": small.bfloat16(), "double": small.double(), "single": small},
    {"format": "pt"},
)
golden["small"] = {
    "file": __import__("base64").b64encode(file).decode(),
    "half": small.half().double().flatten().tolist(),
    "brain": small.bfloat16().double().flatten().tolist(),
    "single": small.double().flatten().tolist(),
}
json.dump(golden, sys.stdout, indent=1)
