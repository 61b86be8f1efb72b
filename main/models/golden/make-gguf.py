"""A tiny Llama as a GGUF file, and what transformers computes with the weights that are in it: `python make-gguf.py` writes teacher.gguf and
teacher.json into this folder (gguf 0.19, torch, transformers 5). Query and key rows are regrouped as llama.cpp's converter does it; the
tokenizer is the one of main/formats/gguf/golden/tokenizers.json that splits as SmolLM does."""

import json
from pathlib import Path

import numpy as np
import torch
from gguf import GGMLQuantizationType as T, GGUFWriter, quants
from transformers import LlamaConfig, LlamaForCausalLM

folder = Path(__file__).parent
vocabulary = json.loads((folder / "../../formats/gguf/golden/tokenizers.json").read_text())["byteLevel"]["smollm"]
tokens = vocabulary["tokens"]
config = LlamaConfig(
    vocab_size=len(tokens), hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
    head_dim=16, rms_norm_eps=1e-5, max_position_embeddings=128, tie_word_embeddings=True, rope_parameters={"rope_type": "default", "rope_theta": 1e5},
    attn_implementation="eager",
)
torch.manual_seed(3)
model = LlamaForCausalLM(config).double().eval()
generator = np.random.default_rng(3)
state = model.state_dict()

writer = GGUFWriter(folder / "teacher.gguf", "llama")
writer.add_name("Tiny teacher")
writer.add_string("general.license", "apache-2.0")
writer.add_block_count(2)
writer.add_context_length(128)
writer.add_embedding_length(64)
writer.add_feed_forward_length(96)
writer.add_head_count(4)
writer.add_head_count_kv(2)
writer.add_rope_freq_base(1e5)
writer.add_rope_dimension_count(16)
writer.add_layer_norm_rms_eps(1e-5)
writer.add_vocab_size(len(tokens))
writer.add_tokenizer_model("gpt2")
writer.add_tokenizer_pre("smollm")
writer.add_token_list(tokens)
writer.add_token_types(vocabulary["types"])
writer.add_token_merges(vocabulary["merges"])
writer.add_bos_token_id(tokens.index("<|im_start|>"))
writer.add_eos_token_id(tokens.index("<|im_end|>"))
writer.add_add_bos_token(False)

modules = {"q_proj": "attn_q", "k_proj": "attn_k", "v_proj": "attn_v", "o_proj": "attn_output", "gate_proj": "ffn_gate", "up_proj": "ffn_up",
           "down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}
types = {"q_proj": T.Q5_1, "k_proj": T.Q8_0, "v_proj": T.Q5_0, "o_proj": T.Q4_1, "gate_proj": T.Q8_0, "up_proj": T.Q4_0, "down_proj": T.F16}


def regrouped(values, heads):
    """convert_hf_to_gguf.py, LlamaModel.permute."""
    return values.reshape(heads, 2, values.shape[0] // heads // 2, *values.shape[1:]).swapaxes(1, 2).reshape(values.shape)


def restored(values, heads):
    return values.reshape(heads, values.shape[0] // heads // 2, 2, *values.shape[1:]).swapaxes(1, 2).reshape(values.shape)


def stored(values, type):
    if type == T.F16:
        return values.astype(np.float16)
    return values if type == T.F32 else quants.quantize(values, type)


for name in list(state):
    if name == "lm_head.weight":
        continue
    shape = tuple(state[name].shape)
    norm = len(shape) == 1
    values = (1 + 0.2 * generator.standard_normal(shape) if norm else 0.3 * generator.standard_normal(shape)).astype(np.float32)
    if name == "model.embed_tokens.weight":
        target, type = "token_embd.weight", T.Q8_0
    elif name == "model.norm.weight":
        target, type = "output_norm.weight", T.F32
    else:
        _, _, layer, *rest = name.split(".")
        module = rest[-2]
        target, type = f"blk.{layer}.{modules[module]}.weight", T.F32 if norm else types[module]
    heads = {"attn_q": 4, "attn_k": 2}.get(target.split(".")[-2])
    packed = stored(regrouped(values, heads) if heads else values, type)
    writer.add_tensor(target, packed, raw_dtype=None if type in (T.F32, T.F16) else type)
    values = packed.astype(np.float32) if type in (T.F32, T.F16) else quants.dequantize(packed, type)
    state[name] = torch.from_numpy((restored(values, heads) if heads else values).astype(np.float64))
state["lm_head.weight"] = state["model.embed_tokens.weight"]
model.load_state_dict(state)
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()

ids = generator.integers(0, len(tokens), 24).tolist()
with torch.no_grad():
    logits = model(torch.tensor([ids])).logits[0].float().numpy()
(folder / "teacher.json").write_text(json.dumps({"ids": ids, "logits": logits.astype("<f4").tobytes().hex()}) + "\n")
