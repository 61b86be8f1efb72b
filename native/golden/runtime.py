"""
Adds to runtime.json the students that it lacks: their logits, computed with PyTorch straight from their GGUF files.

    node students.ts <folder> && python runtime.py <folder>

The reader, the dequantisers and the forward pass below are independent of the C++ runtime; they follow docs/method.md, 2.2 and 2.3 (int8 activations per
token, integer product, one scale) and llama.cpp's definition of the architectures.
"""
import json
import struct
import sys
from pathlib import Path

import numpy as np
import torch

F = torch.float32


def read_gguf(path):
    data = Path(path).read_bytes()
    at = 0

    def take(fmt):
        nonlocal at
        value = struct.unpack_from("<" + fmt, data, at)
        at += struct.calcsize("<" + fmt)
        return value[0] if len(value) == 1 else value

    def text():
        nonlocal at
        n = take("Q")
        value = data[at:at + n].decode()
        at += n
        return value

    scalars = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}

    def value(kind):
        if kind == 8:
            return text()
        if kind == 9:
            element, n = take("I"), take("Q")
            return [value(element) for _ in range(n)]
        return take(scalars[kind])

    assert take("4s") == b"GGUF" and take("I") == 3
    tensor_count, key_count = take("Q"), take("Q")
    keys = {}
    for _ in range(key_count):
        name = text()
        keys[name] = value(take("I"))
    entries = []
    for _ in range(tensor_count):
        name = text()
        shape = [take("Q") for _ in range(take("I"))]
        entries.append((name, shape, take("I"), take("Q")))
    start = (at + 31) // 32 * 32
    tensors = {name: decode(data, start + offset, shape, kind) for name, shape, kind, offset in entries}
    return keys, tensors


def decode(data, at, shape, kind):
    """-> float tensor, or (ternary int tensor, scale)."""
    n = int(np.prod(shape))
    dims = list(reversed(shape))
    raw = np.frombuffer(data, np.uint8, offset=at)
    if kind == 0:
        return torch.tensor(raw[:4 * n].view(np.float32).reshape(dims).copy())
    if kind == 1:
        return torch.tensor(raw[:2 * n].view(np.float16).astype(np.float32).reshape(dims))
    if kind == 30:
        bits = raw[:2 * n].view(np.uint16).astype(np.uint32) << 16
        return torch.tensor(bits.view(np.float32).reshape(dims).copy())
    if kind == 2:  # gguf-py's Q4_0
        from gguf.quants import Q4_0
        return torch.tensor(Q4_0.dequantize_blocks(raw[:n // 32 * 18].reshape(-1, 18).copy()).reshape(dims))
    if kind == 8:
        blocks = raw[:n // 32 * 34].reshape(-1, 34)
        d = blocks[:, :2].copy().view(np.float16).astype(np.float32)
        return torch.tensor((d * blocks[:, 2:].view(np.int8).astype(np.float32)).reshape(dims))
    if kind == 14:  # gguf-py's Q6_K
        from gguf.quants import Q6_K
        return torch.tensor(Q6_K.dequantize_blocks(raw[:n // 256 * 210].reshape(-1, 210).copy()).reshape(dims))
    if kind == 36:
        blocks = raw[:n // 4].reshape(-1, 1, 32)
        codes = np.concatenate([(blocks >> shift) & 3 for shift in (6, 4, 2, 0)], axis=1)
        scale = float(raw[n // 4:n // 4 + 4].copy().view(np.float32)[0])
        return torch.tensor(codes.reshape(dims).astype(np.int64) - 1), scale
    if kind in (34, 35):
        from gguf.quants import TQ1_0, TQ2_0
        quants, size = (TQ1_0, 54) if kind == 34 else (TQ2_0, 66)
        values = quants.dequantize_blocks(raw[:n // 256 * size].reshape(-1, size).copy()).reshape(dims)
        return torch.tensor(values).round().to(torch.int64), 1.0
    raise ValueError(kind)


class Student:
    def __init__(self, path):
        self.keys, self.t = read_gguf(path)
        self.arch = self.keys["general.architecture"]
        self.eps = self.key("attention.layer_norm_rms_epsilon")
        self.heads, self.kv = self.key("attention.head_count"), self.key("attention.head_count_kv")
        self.dim = self.key("attention.key_length")

    def key(self, name, otherwise=None):
        return self.keys[f"{self.arch}.{name}"] if otherwise is None else self.keys.get(f"{self.arch}.{name}", otherwise)

    def windowed(self, layer):
        """llama.cpp: the last of each period of layers sees everything, the others `sliding_window` positions."""
        period = self.key("attention.sliding_window_pattern", 6 if self.arch == "gemma3" else 1)
        return self.key("attention.sliding_window", 0) > 0 and (period == 1 or layer % period < period - 1)

    def norm(self, x, name):
        if name + ".weight" not in self.t:
            return x
        return x / torch.sqrt((x * x).mean(-1, keepdim=True) + self.eps) * self.t[name + ".weight"]

    def linear(self, x, name):
        w = self.t[name + ".weight"]
        if isinstance(w, tuple):
            ternary, delta = w
            delta = torch.tensor(delta, dtype=F) * (self.t[name + ".scale"][0] if name + ".scale" in self.t else 1)
            gamma = x.abs().amax(-1, keepdim=True).clamp(min=1e-5)
            xi = torch.clamp(torch.round(x * (127 / gamma)), -128, 127)
            y = (xi.double() @ ternary.double().T).to(F) * ((gamma / 127) * delta)
        else:
            y = (x.double() @ w.double().T).to(F)
        return y + self.t[name + ".bias"] if name + ".bias" in self.t else y

    def rope(self, x, layer):
        """x [T, heads, dim]"""
        if self.arch == "smollm3" and layer % 4 == 3:
            return x
        n = self.key("rope.dimension_count")
        local = self.arch == "gemma3" and self.windowed(layer)
        frequency = (self.key("rope.freq_base_swa", 10000.0) if local else self.key("rope.freq_base")) ** (-torch.arange(0, n, 2, dtype=torch.float64) / n)
        if "rope_freqs.weight" in self.t:
            frequency = frequency / self.t["rope_freqs.weight"].double()
        angle = torch.outer(torch.arange(len(x), dtype=torch.float64), frequency)
        magnitude = self.key("rope.scaling.attn_factor", 1.0)
        cos, sin = (magnitude * angle.cos()).to(F)[:, None], (magnitude * angle.sin()).to(F)[:, None]
        if self.arch in ("llama", "smollm3", "granite"):
            a, b = x[..., 0:n:2], x[..., 1:n:2]
            return torch.stack([a * cos - b * sin, b * cos + a * sin], -1).flatten(-2)
        a, b = x[..., :n // 2], x[..., n // 2:n]
        return torch.cat([a * cos - b * sin, b * cos + a * sin, x[..., n:]], -1)

    def forward(self, ids):
        T = len(ids)
        gemma = self.arch == "gemma3"
        x = self.t["token_embd.weight"][ids] * self.key("embedding_scale", self.key("embedding_length") ** 0.5 if gemma else 1.0)
        scale, residual = self.key("attention.scale", self.dim ** -0.5), self.key("residual_scale", 1.0)
        for i in range(self.key("block_count")):
            b = f"blk.{i}."
            mask = torch.full((T, T), float("-inf"), dtype=F).triu(1)
            if self.windowed(i):
                mask = mask + torch.full((T, T), float("-inf"), dtype=F).tril(-self.key("attention.sliding_window"))
            h = self.norm(x, b + "attn_norm")
            q, k, v = (self.linear(self.norm(h, f"{b}attn_{p}_norm_in"), f"{b}attn_{p}") for p in "qkv")
            if self.arch == "olmo2":
                q, k = self.norm(q, b + "attn_q_norm"), self.norm(k, b + "attn_k_norm")
            q, k, v = q.view(T, self.heads, -1), k.view(T, self.kv, -1), v.view(T, self.kv, -1)
            if self.arch != "olmo2":
                q, k = self.norm(q, b + "attn_q_norm"), self.norm(k, b + "attn_k_norm")
            q, k = self.rope(q, i), self.rope(k, i)
            k, v = (z.repeat_interleave(self.heads // self.kv, 1) for z in (k, v))
            score = torch.einsum("thd,shd->hts", q, k) * scale + mask
            a = torch.einsum("hts,shd->thd", score.softmax(-1), v).reshape(T, -1)
            a = self.norm(self.norm(a, b + "attn_sub_norm"), b + "attn_output_norm_in")
            x = x + residual * self.norm(self.linear(a, b + "attn_output"), b + "post_attention_norm")
            h = self.norm(x, b + "ffn_norm")
            gate = self.linear(self.norm(h, b + "ffn_gate_norm_in"), b + "ffn_gate")
            up = self.linear(self.norm(h, b + "ffn_up_norm_in"), b + "ffn_up")
            if gemma:
                gate = torch.nn.functional.gelu(gate, approximate="tanh")
            else:
                gate = torch.relu(gate) ** 2 if self.arch == "bitnet-b1.58" else torch.nn.functional.silu(gate)
            h = self.norm(self.norm(gate * up, b + "ffn_sub_norm"), b + "ffn_down_norm_in")
            x = x + residual * self.norm(self.linear(h, b + "ffn_down"), b + "post_ffw_norm")
        x = self.norm(x, "output_norm")
        head = self.t.get("output.weight", self.t["token_embd.weight"])
        return (x.double() @ head.double().T).to(F) / self.key("logit_scale", 1.0)


def main(folder):
    torch.set_num_threads(1)
    prompt = [(i * 37 + 11) % 256 for i in range(21)]
    target = Path(__file__).with_name("runtime.json")
    out = json.loads(target.read_text())
    for path in sorted(Path(folder).glob("*.gguf")):
        if path.stem in out:
            continue
        logits = Student(path).forward(torch.tensor(prompt))
        # Rows 0, 9 and 20, rounded to 7 digits.
        out[path.stem] = {str(row): [float(f"{z:.7g}") for z in logits[row].tolist()] for row in (0, 9, 20)}
    target.write_text(json.dumps(out) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
