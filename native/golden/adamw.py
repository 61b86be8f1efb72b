"""Writes adamw.json: what torch.optim.AdamW (single tensor, float32) makes of a few steps. Run: python adamw.py"""
import json
from pathlib import Path

import torch

torch.manual_seed(5)
settings = dict(learningRate=2e-3, beta1=0.9, beta2=0.98, epsilon=1e-6, weightDecay=0.05, gradientScale=1.0)
p = torch.randn(67, requires_grad=True)
start = p.detach().tolist()
optimiser = torch.optim.AdamW([p], lr=settings["learningRate"], betas=(settings["beta1"], settings["beta2"]),
                              eps=settings["epsilon"], weight_decay=settings["weightDecay"], foreach=False)
gradients = []
for step in range(6):
    g = torch.randn(67) * 10 ** (step - 3)
    gradients.append(g.tolist())
    p.grad = g
    optimiser.step()
state = optimiser.state[p]
Path(__file__).with_name("adamw.json").write_text(json.dumps(dict(
    settings=settings, start=start, gradients=gradients, after=p.detach().tolist(),
    firstMoment=state["exp_avg"].tolist(), secondMoment=state["exp_avg_sq"].tolist())) + "\n")
