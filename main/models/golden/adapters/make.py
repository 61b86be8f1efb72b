"""Writes adapters with peft and what peft merges them to: `make.py` in this folder (torch 2.15, transformers 5.24, peft 0.21)."""

import json
import shutil
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import Qwen2Config, Qwen2ForCausalLM

here = Path(__file__).parent


def base_model(dtype=torch.float32):
    torch.manual_seed(1)
    config = Qwen2Config(
        vocab_size=40, hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=64, tie_word_embeddings=True,
    )
    model = Qwen2ForCausalLM(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model.to(dtype)


def save_base(name, dtype):
    folder = here / name
    shutil.rmtree(folder, ignore_errors=True)
    base_model(dtype).save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)


def randomise(model):
    torch.manual_seed(2)
    for name, parameter in model.named_parameters():
        if "lora_" in name or "modules_to_save" in name:
            if "magnitude" in name:
                parameter.data *= 1 + 0.2 * torch.rand_like(parameter)
            elif "modules_to_save" in name:
                parameter.data += 0.05 * torch.randn_like(parameter)
            else:
                parameter.data = 0.3 * torch.randn_like(parameter)


def changed(before, after):
    return {k: v.clone().contiguous() for k, v in after.items() if k not in before or not torch.equal(before[k], v)}


def case(name, config, dtype=torch.float32, rows=None, merged=None):
    folder = here / name
    shutil.rmtree(folder, ignore_errors=True)
    model = base_model(dtype)
    if rows:
        torch.manual_seed(3)
        model.resize_token_embeddings(rows)
    before = {k: v.clone() for k, v in base_model(dtype).state_dict().items()}
    adapted = get_peft_model(model, config)
    randomise(adapted)
    adapted.save_pretrained(folder, save_embedding_layers=True if rows else "auto")
    (folder / "README.md").unlink(missing_ok=True)
    settings = json.loads((folder / "adapter_config.json").read_text())
    settings["base_model_name_or_path"] = "acme/base"
    (folder / "adapter_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    expected = merged(adapted) if merged else changed(before, adapted.merge_and_unload().state_dict())
    save_file(expected, folder / "merged.safetensors", {"format": "pt"})
    print(name, sorted(expected))


def of_both_sides(adapted):
    """A tied matrix that is changed on each side: what the adapted model computes with, which merging in place would mix."""
    causal = adapted.base_model.model
    weight = causal.model.embed_tokens.base_layer.weight.data
    return {
        "model.embed_tokens.weight": (weight + causal.model.embed_tokens.get_delta_weight("default")).detach().contiguous(),
        "lm_head.weight": (weight + causal.lm_head.get_delta_weight("default")).detach().contiguous(),
    }


lora = dict(task_type="CAUSAL_LM", lora_dropout=0.0)
everything = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
save_base("base", torch.float32)
save_base("base-bf16", torch.bfloat16)
case("lora", LoraConfig(r=4, lora_alpha=6, target_modules=r".*\.(q|v|down)_proj", alpha_pattern={"mlp.down_proj": 20}, **lora))
case("rslora", LoraConfig(r=3, lora_alpha=5, use_rslora=True, target_modules=everything, rank_pattern={"k_proj": 2}, **lora))
case("dora", LoraConfig(r=4, lora_alpha=8, use_dora=True, target_modules=["k_proj", "up_proj"], **lora))
case("bias", LoraConfig(r=2, lora_alpha=4, lora_bias=True, target_modules=["q_proj"], **lora))
case("tokens", LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj"], **lora), rows=44)
case("saved-head", LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj"], modules_to_save=["lm_head"], **lora),
     merged=lambda adapted: {"lm_head.weight": adapted.base_model.model.lm_head.modules_to_save["default"].weight.detach().clone()})
case("both-sides", LoraConfig(r=2, lora_alpha=4, target_modules=["embed_tokens", "lm_head"], **lora), merged=of_both_sides)
case("lora-bf16", LoraConfig(r=4, lora_alpha=8, target_modules=everything, **lora), dtype=torch.bfloat16)
