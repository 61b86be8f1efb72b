"""Writes golden/bitnet/ (see README.md): one small BitNet b1.58 with statistics like the published 2B4T's, from its three sources, and what
transformers' BitNetForCausalLM computes with it. Run: python make-bitnet.py; deterministic. GGUF and packed bytes are written here, by the layouts
that shared documents describe, with no code of ours."""

import json
import os
import struct
from pathlib import Path

os.environ["TORCHDYNAMO_DISABLE"] = "1"

import numpy as np
import torch
import transformers
from safetensors.torch import save_file
from transformers.integrations.bitnet import BitLinear

FOLDER = Path(__file__).parent / "bitnet"
LAYERS, HIDDEN, FFN, HEADS, KV, VOCAB = 2, 128, 256, 4, 2, 96
DEAD = slice(40, 52)  # neurons of layer 1 that published checkpoints have at 1e-33
CONFIG = {
    "architectures": ["BitNetForCausalLM"],
    "auto_map": {"AutoConfig": "configuration_bitnet.BitNetConfig", "AutoModelForCausalLM": "modeling_bitnet.BitNetForCausalLM"},
    "bos_token_id": 1, "eos_token_id": 2, "hidden_act": "relu2", "hidden_size": HIDDEN, "initializer_range": 0.02,
    "intermediate_size": FFN, "max_position_embeddings": 64, "model_type": "bitnet", "rms_norm_eps": 1e-05,
    "num_attention_heads": HEADS, "num_hidden_layers": LAYERS, "num_key_value_heads": KV, "rope_theta": 500000.0,
    "tie_word_embeddings": True, "torch_dtype": "bfloat16", "use_cache": True, "vocab_size": VOCAB,
}


def master():
    """Latents of order 1 to 7 and norms that make up for them, all in bfloat16."""
    generator = torch.Generator().manual_seed(158)
    draw = lambda std, *shape: torch.randn(*shape, generator=generator) * std
    head = HIDDEN // HEADS
    p = {"model.embed_tokens.weight": draw(0.3, VOCAB, HIDDEN)}
    for i in range(LAYERS):
        name = f"model.layers.{i}."
        for module, rows, columns, std in (
            ("self_attn.q_proj", HIDDEN, HIDDEN, 1.5), ("self_attn.k_proj", KV * head, HIDDEN, 2.0),
            ("self_attn.v_proj", KV * head, HIDDEN, 3.0), ("self_attn.o_proj", HIDDEN, HIDDEN, 4.0),
            ("mlp.gate_proj", FFN, HIDDEN, 2.5), ("mlp.up_proj", FFN, HIDDEN, 7.0), ("mlp.down_proj", HIDDEN, FFN, 5.0),
        ):
            p[f"{name}{module}.weight"] = draw(std, rows, columns)
        p[f"{name}input_layernorm.weight"] = 0.017 + draw(0.004, HIDDEN)
        p[f"{name}self_attn.attn_sub_norm.weight"] = 0.015 + draw(0.003, HIDDEN)
        p[f"{name}post_attention_layernorm.weight"] = 0.02 + draw(0.005, HIDDEN)
        p[f"{name}mlp.ffn_sub_norm.weight"] = 0.03 + draw(0.008, FFN)
    for module in ("gate_proj", "up_proj"):
        p[f"model.layers.1.mlp.{module}.weight"][DEAD] *= 1e-33
    p["model.layers.1.mlp.down_proj.weight"][:, DEAD] *= 1e-33
    p["model.layers.1.mlp.ffn_sub_norm.weight"][DEAD] *= 1e-32
    p["model.norm.weight"] = 1 + draw(0.1, HIDDEN)
    return {name: value.bfloat16() for name, value in p.items()}


def quantise(weight):
    delta = weight.float().abs().mean().clamp(min=1e-5)
    return torch.clamp(torch.round(weight.float() / delta), -1, 1).to(torch.int8), delta


def pack(codes):
    rows = codes.shape[0] // 4
    parts = [(codes[i * rows:(i + 1) * rows].to(torch.int32) + 1) << 2 * i for i in range(4)]
    return sum(parts).to(torch.uint8)


def folder(name, tensors, linear_class, mode):
    path = FOLDER / name
    path.mkdir(parents=True, exist_ok=True)
    said = {"quant_method": "bitnet", "quantization_mode": mode} | ({"linear_class": linear_class} if linear_class else {})
    (path / "config.json").write_text(json.dumps(CONFIG | {"quantization_config": said}, indent=2) + "\n")
    save_file({key: value.contiguous() for key, value in tensors.items()}, path / "model.safetensors", {"format": "pt"})


def packed(parameters, divides):
    result = {}
    for name, value in parameters.items():
        if "_proj" not in name:
            result[name] = value
            continue
        codes, delta = quantise(value)
        result[name] = pack(codes)
        result[f"{name}_scale"] = (1 / delta if divides else delta).reshape(1).bfloat16()
    return result


def gguf(parameters, path, architecture):
    """GGUF 3 with I2_S matrices, F16 embedding, F32 norms; no tokenizer.ggml.pre, as the published file."""
    string = lambda text: struct.pack("<Q", len(text.encode())) + text.encode()
    number = lambda key, value: string(f"{architecture}.{key}") + struct.pack("<II", 4, value)
    real = lambda key, value: string(f"{architecture}.{key}") + struct.pack("<If", 6, value)
    keys = [string("general.architecture") + struct.pack("<I", 8) + string(architecture),
            number("vocab_size", VOCAB), number("context_length", 64), number("embedding_length", HIDDEN), number("block_count", LAYERS),
            number("feed_forward_length", FFN), number("rope.dimension_count", HIDDEN // HEADS), number("attention.head_count", HEADS),
            number("attention.head_count_kv", KV), real("attention.layer_norm_rms_epsilon", 1e-5), real("rope.freq_base", 5e5)]
    tensors = []
    short = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
             "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
             "self_attn.attn_sub_norm": "attn_sub_norm", "post_attention_layernorm": "ffn_norm", "mlp.ffn_sub_norm": "ffn_sub_norm"}
    for name, value in parameters.items():
        if name == "model.embed_tokens.weight":
            tensors.append(("token_embd.weight", value.shape, 1, value.float().numpy().astype("<f2").tobytes()))
        elif name == "model.norm.weight":
            tensors.append(("output_norm.weight", value.shape, 0, value.float().numpy().astype("<f4").tobytes()))
        else:
            layer, module = name.removeprefix("model.layers.").removesuffix(".weight").split(".", 1)
            target = f"blk.{layer}.{short[module]}.weight"
            if "_proj" not in name:
                tensors.append((target, value.shape, 0, value.float().numpy().astype("<f4").tobytes()))
                continue
            codes, delta = quantise(value)
            groups = (codes.numpy().astype(np.uint8).reshape(-1, 4, 32) + 1).astype(np.uint8)
            data = groups[:, 0] << 6 | groups[:, 1] << 4 | groups[:, 2] << 2 | groups[:, 3]
            tensors.append((target, value.shape, 36, data.tobytes() + struct.pack("<f", delta) + bytes(28)))
    header, data = b"", b""
    for name, shape, kind, content in tensors:
        header += string(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *reversed(shape)) + struct.pack("<IQ", kind, len(data))
        data += content + bytes(-len(content) % 32)
    start = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys)) + b"".join(keys) + header
    path.write_bytes(start + bytes(-len(start) % 32) + data)


def load(name):
    """In float32, whatever transformers left in the type of the file."""
    model = transformers.BitNetForCausalLM.from_pretrained(FOLDER / name)
    for parameter in [*model.parameters(), *model.buffers()]:
        if parameter.is_floating_point():
            parameter.data = parameter.data.float()
    for module in model.modules():
        if isinstance(module, BitLinear):
            module.dtype = torch.float32
    return model


parameters = master()
folder("master", parameters, "autobitlinear", "online")
folder("packed", packed(parameters, False), "autobitlinear", "offline")
folder("packed-divided", packed(parameters, True), None, "offline")
gguf(parameters, FOLDER / "published.gguf", "bitnet-b1.58")


def logits(name, ids, nudge=0.0):
    model = load(name)
    with torch.no_grad():
        model.model.embed_tokens.weight.data *= 1 + nudge * torch.linspace(-1, 1, HIDDEN)
        return model(ids).logits[0]


def steady(seed):
    """Tokens of which no int8 rounding is so near a half that the last digits of float32 decide it."""
    ids = torch.randint(1, VOCAB, (1, 24), generator=torch.Generator().manual_seed(seed))
    moved = [(logits(name, ids) - logits(name, ids, 2.0 ** -19)).norm() / logits(name, ids).norm() for name in ("master", "packed", "packed-divided")]
    return ids if max(moved) < 1e-4 else None


ids = next(found for found in map(steady, range(1000)) if found is not None)
model = load("master")
output = model(ids, labels=ids)
output.loss.backward()
result = {"ids": ids.int(), "logits": output.logits.detach()[0], "loss": output.loss.detach().reshape(1)}
for name in ("self_attn.q_proj", "self_attn.v_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj", "self_attn.attn_sub_norm",
             "mlp.ffn_sub_norm", "input_layernorm"):
    full = f"model.layers.1.{name}.weight"
    result[f"grad.{full}"] = dict(model.named_parameters())[full].grad
for name in ("packed", "packed-divided"):
    result[f"logits.{name}"] = logits(name, ids)
    print(name, "differs from the master by", float((result[f"logits.{name}"] - result["logits"]).norm() / result["logits"].norm()))
for name, value in parameters.items():
    if "_proj" in name:
        codes, delta = quantise(value)
        result[f"codes.{name}"], result[f"delta.{name}"] = codes, delta.reshape(1)
print("loss", float(output.loss.detach()))
save_file({key: value.contiguous() for key, value in result.items()}, FOLDER / "reference.safetensors")
