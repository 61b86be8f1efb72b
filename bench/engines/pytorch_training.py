"""The peer of `bench -- training`: one optimiser step of a Qwen3-shaped ternary student (BitLinear, SubLN before o and down) in PyTorch.

Reads one JSON document from standard input: {"shape": {...}, "batch", "length", "learned", "threads", "steps", "bf16", "device" (default "cpu")}; prints {"tokensPerSecond",
"peakRssBytes", "losses"}. Written as a practitioner would write it: scaled_dot_product_attention, fused AdamW, fake quantisation in torch.
"""
import json, math, resource, statistics, sys, time
import torch
from torch import nn
import torch.nn.functional as F


class RMSNorm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return F.rms_norm(x, (x.shape[-1],), self.weight, 1e-6)


class BitLinear(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) * 0.02)

    def forward(self, x):
        w = self.weight
        delta = w.abs().mean()
        wq = (w / (delta + 1e-5)).round().clamp(-1, 1) * delta
        scale = 127 / x.abs().amax(-1, keepdim=True).clamp(min=1e-5)
        xq = (x * scale).round() / scale
        return F.linear(x + (xq - x).detach(), w + (wq - w).detach())


def rotate(x, cos, sin):
    a, b = x.chunk(2, -1)
    return x * cos + torch.cat((-b, a), -1) * sin


class Layer(nn.Module):
    def __init__(self, s):
        super().__init__()
        d, hd = s["hiddenSize"], s["headSize"]
        self.heads, self.kv, self.hd = s["heads"], s["kvHeads"], hd
        self.n1, self.n2 = RMSNorm(d), RMSNorm(d)
        self.q, self.k, self.v = BitLinear(d, self.heads * hd), BitLinear(d, self.kv * hd), BitLinear(d, self.kv * hd)
        self.qn, self.kn = RMSNorm(hd), RMSNorm(hd)
        self.so, self.o = RMSNorm(self.heads * hd), BitLinear(self.heads * hd, d)
        self.gate, self.up = BitLinear(d, s["ffnSize"]), BitLinear(d, s["ffnSize"])
        self.sd, self.down = RMSNorm(s["ffnSize"]), BitLinear(s["ffnSize"], d)

    def forward(self, x, cos, sin):
        b, t, _ = x.shape
        h = self.n1(x)
        split = lambda y, n: y.view(b, t, n, self.hd)
        q = rotate(self.qn(split(self.q(h), self.heads)).transpose(1, 2), cos, sin)
        k = rotate(self.kn(split(self.k(h), self.kv)).transpose(1, 2), cos, sin)
        v = split(self.v(h), self.kv).transpose(1, 2)
        y = F.scaled_dot_product_attention(q.to(v.dtype), k.to(v.dtype), v, is_causal=True, enable_gqa=True)
        x = x + self.o(self.so(y.transpose(1, 2).reshape(b, t, -1)))
        h = self.n2(x)
        return x + self.down(self.sd(F.silu(self.gate(h)) * self.up(h)))


class Model(nn.Module):
    def __init__(self, s):
        super().__init__()
        self.embedding = nn.Embedding(s["vocabSize"], s["hiddenSize"])
        nn.init.normal_(self.embedding.weight, std=0.02)
        self.layers = nn.ModuleList(Layer(s) for _ in range(s["layers"]))
        self.norm = RMSNorm(s["hiddenSize"])

    def forward(self, ids, cos, sin, learned):
        x = self.embedding(ids)
        for layer in self.layers:
            x = layer(x, cos, sin)
        return F.linear(self.norm(x[:, -1 - learned:-1]), self.embedding.weight)


job = json.load(sys.stdin)
torch.manual_seed(1)
torch.set_num_threads(job["threads"])
device = job.get("device", "cpu")
s, batch, length = job["shape"], job["batch"], job["length"]
model = Model(s).to(device)
optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01, fused=True)
frequency = s["ropeTheta"] ** (-torch.arange(0, s["headSize"], 2) / s["headSize"])
angle = torch.outer(torch.arange(length), frequency).repeat(1, 2)
cos, sin = angle.cos().to(device), angle.sin().to(device)
seconds, losses = [], []
for step in range(job["steps"] + 1):
    ids = torch.randint(s["vocabSize"], (batch, length), device=device)
    started = time.perf_counter()
    with torch.autocast(device, dtype=torch.bfloat16, enabled=job["bf16"]):
        logits = model(ids, cos, sin, job["learned"])
        loss = F.cross_entropy(logits.reshape(-1, s["vocabSize"]).float(), ids[:, -job["learned"]:].reshape(-1))
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    losses.append(loss.item())
    if step > 0:
        seconds.append(time.perf_counter() - started)
print(json.dumps({
    "tokensPerSecond": batch * length / statistics.median(seconds),
    "peakRssBytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    "losses": losses,
}))
