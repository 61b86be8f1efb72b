"""Writes the golden files in this folder (see README.md). Run: python make.py [name ...]; deterministic.

Parameters and inputs are float32 numbers; the computation is float64; results are stored as float32."""

import contextlib
import json
import sys
from pathlib import Path
from unittest import mock

import torch
import torch.nn.functional as F
import transformers
from safetensors.torch import save_file
from transformers.models.gemma3 import modeling_gemma3
from transformers.models.granite import modeling_granite
from transformers.models.llama import modeling_llama
from transformers.models.mistral import modeling_mistral
from transformers.models.olmo2 import modeling_olmo2
from transformers.models.phi3 import modeling_phi3
from transformers.models.qwen2 import modeling_qwen2
from transformers.models.qwen3 import modeling_qwen3
from transformers.models.smollm3 import modeling_smollm3

import reference as ref

FOLDER = Path(__file__).parent
LAYER = 1  # counted from 0: the last of the two
LENGTHS = (12, 7, 9)
PROMPTS = (5, 3, 6)
B, T, VOCAB = 3, 12, 96

SHAPE = dict(hidden_size=48, intermediate_size=96, num_attention_heads=4, num_key_value_heads=2, vocab_size=VOCAB)
SMALL = SHAPE | dict(hidden_size=36, intermediate_size=56)  # sqrt(36) is exact, which Gemma multiplies by
LLAMA3_SCALING = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                      original_max_position_embeddings=64)
CONFIGS = {
    "llama": ref.Config("llama", **SHAPE, head_dim=12, rms_norm_eps=1e-5, rope_theta=10000.0, tie_word_embeddings=False),
    # theta and original length so small that at 12 positions kept, interpolated and divided frequencies all matter.
    "llama3": ref.Config("llama", **SHAPE, head_dim=12, rms_norm_eps=1e-5, rope_theta=500.0, tie_word_embeddings=True,
                         rope_scaling=LLAMA3_SCALING),
    "qwen2": ref.Config("qwen2", **SHAPE, head_dim=12, rms_norm_eps=1e-6, rope_theta=1000000.0, tie_word_embeddings=True),
    "qwen3": ref.Config("qwen3", **SHAPE, head_dim=16, rms_norm_eps=1e-6, rope_theta=1000000.0, tie_word_embeddings=True),
    # Windows shorter than the rows, a scale of attention that is not the head's, two rotary bases, linear scaling of the global one.
    "gemma3": ref.Config("gemma3_text", **SMALL, head_dim=12, rms_norm_eps=1e-6, rope_theta=1000.0, tie_word_embeddings=True,
                         sliding_window=4, layer_types=["sliding_attention", "full_attention"], rope_local_base_freq=100.0,
                         query_pre_attn_scalar=20, rope_scaling=dict(rope_type="linear", factor=8.0)),
    "mistral": ref.Config("mistral", **SMALL, head_dim=12, rms_norm_eps=1e-5, rope_theta=10000.0, tie_word_embeddings=False, sliding_window=5),
    "smollm3": ref.Config("smollm3", **SMALL, head_dim=12, rms_norm_eps=1e-6, rope_theta=5000.0, tie_word_embeddings=True, no_rope_layers=[1, 0]),
    # As in Phi-4-mini: three quarters of a head are rotated, with LongRoPE.
    "phi3": ref.Config("phi3", **SMALL | dict(hidden_size=32), head_dim=8, rms_norm_eps=1e-5, rope_theta=10000.0, tie_word_embeddings=True,
                       partial_rotary_factor=0.75, original_max_position_embeddings=64,
                       rope_scaling=dict(rope_type="longrope", short_factor=[1.0, 1.25, 2.5], long_factor=[2.0, 3.0, 5.0])),
    "granite": ref.Config("granite", **SMALL | dict(hidden_size=32), head_dim=8, rms_norm_eps=1e-5, rope_theta=10000.0, tie_word_embeddings=True,
                          embedding_multiplier=3.0, attention_multiplier=0.2, residual_multiplier=0.22, logits_scaling=4.0),
    "olmo2": ref.Config("olmo2", **SMALL | dict(hidden_size=32), head_dim=8, rms_norm_eps=1e-6, rope_theta=10000.0, tie_word_embeddings=False),
}
NEWER = ("gemma3", "mistral", "smollm3", "phi3", "granite", "olmo2")
HF = {
    "llama": (transformers.LlamaConfig, transformers.LlamaForCausalLM, modeling_llama),
    "qwen2": (transformers.Qwen2Config, transformers.Qwen2ForCausalLM, modeling_qwen2),
    "qwen3": (transformers.Qwen3Config, transformers.Qwen3ForCausalLM, modeling_qwen3),
    "gemma3_text": (transformers.Gemma3TextConfig, transformers.Gemma3ForCausalLM, modeling_gemma3),
    "mistral": (transformers.MistralConfig, transformers.MistralForCausalLM, modeling_mistral),
    "smollm3": (transformers.SmolLM3Config, transformers.SmolLM3ForCausalLM, modeling_smollm3),
    "phi3": (transformers.Phi3Config, transformers.Phi3ForCausalLM, modeling_phi3),
    "granite": (transformers.GraniteConfig, transformers.GraniteForCausalLM, modeling_granite),
    "olmo2": (transformers.Olmo2Config, transformers.Olmo2ForCausalLM, modeling_olmo2),
}


# ---------------------------------------------------------------- inputs

def hf_config(config):
    """What config.json of such a checkpoint says (classic keys, as published checkpoints have them)."""
    value = {k: v for k, v in vars(config).items() if v is not None}
    if config.model_type == "qwen2":
        del value["attention_bias"]  # Qwen2 always has biases on q, k, v and its config.json does not say so
    activation = {"hidden_activation": "gelu_pytorch_tanh"} if config.gemma else {"hidden_act": "silu"}
    if config.model_type in ("phi3", "granite", "olmo2"):
        del value["head_dim"]  # hidden size / heads; their config.json does not say so
    more = {"pad_token_id": 0} if config.model_type in ("phi3", "smollm3", "olmo2") else {}  # the padding of `batch`; else a token without gradient
    return value | {"architectures": [HF[config.model_type][1].__name__], **activation, "max_position_embeddings": 128} | more


def stored(config, tensors):
    """As checkpoints store them: Phi-3 keeps q, k, v in one matrix, and gate and up."""
    if config.model_type != "phi3":
        return tensors
    result = dict(tensors)
    for prefix in [n.removesuffix(".self_attn.q_proj.weight") for n in tensors if n.endswith(".self_attn.q_proj.weight")]:
        for fused, parts in (("self_attn.qkv_proj", ("q_proj", "k_proj", "v_proj")), ("mlp.gate_up_proj", ("gate_proj", "up_proj"))):
            block = f"{prefix}.{fused.split('.')[0]}"
            result[f"{prefix}.{fused}.weight"] = torch.cat([result.pop(f"{block}.{part}.weight") for part in parts])
    return result


def batch():
    """ids, mask, targets [3, 12]: right padding with id 0; token ids repeat across and within rows."""
    generator = torch.Generator().manual_seed(7)
    ids = torch.randint(1, VOCAB, (B, T), generator=generator)
    ids[0, 9], ids[1, 4], ids[2, 2] = ids[0, 2], ids[0, 2], ids[2, 1]
    mask = torch.arange(T)[None] < torch.tensor(LENGTHS)[:, None]
    ids = ids * mask
    targets = torch.full((B, T), ref.NO_TARGET)
    for row, (prompt, length) in enumerate(zip(PROMPTS, LENGTHS)):
        targets[row, prompt - 1:length - 1] = ids[row, prompt:length]
    return ids, mask, targets


def base_parameters(config, seed):
    """Random float32 parameters under their Hugging Face names, norms around 1."""
    generator = torch.Generator().manual_seed(seed)
    draw = lambda std, *shape: torch.randn(*shape, generator=generator) * std
    norm = lambda size: draw(0.2, size) + (0 if config.gemma else 1)
    c, p = config, {}
    q, kv = c.num_attention_heads * c.head_dim, c.num_key_value_heads * c.head_dim
    p["model.embed_tokens.weight"] = draw(0.3, c.vocab_size, c.hidden_size)
    for i in range(c.num_hidden_layers):
        layer = f"model.layers.{i}"
        if not c.post_norms_only:
            p[f"{layer}.input_layernorm.weight"] = norm(c.hidden_size)
        for name, out, inside in (("q", q, c.hidden_size), ("k", kv, c.hidden_size), ("v", kv, c.hidden_size), ("o", c.hidden_size, q)):
            p[f"{layer}.self_attn.{name}_proj.weight"] = draw(0.15, out, inside)
        if c.qk_norm:
            p[f"{layer}.self_attn.q_norm.weight"] = norm(c.head_dim)
            p[f"{layer}.self_attn.k_norm.weight"] = norm(c.head_dim)
        if c.post_norms_only:
            p[f"{layer}.self_attn.q_norm.weight"] = norm(q)
            p[f"{layer}.self_attn.k_norm.weight"] = norm(kv)
        if c.gemma:
            p[f"{layer}.pre_feedforward_layernorm.weight"] = norm(c.hidden_size)
        if c.gemma or c.post_norms_only:
            p[f"{layer}.post_feedforward_layernorm.weight"] = norm(c.hidden_size)
        p[f"{layer}.post_attention_layernorm.weight"] = norm(c.hidden_size)
        p[f"{layer}.mlp.gate_proj.weight"] = draw(0.15, c.intermediate_size, c.hidden_size)
        p[f"{layer}.mlp.up_proj.weight"] = draw(0.15, c.intermediate_size, c.hidden_size)
        p[f"{layer}.mlp.down_proj.weight"] = draw(0.15, c.hidden_size, c.intermediate_size)
    p["model.norm.weight"] = norm(c.hidden_size)
    if not c.tie_word_embeddings:
        p["lm_head.weight"] = draw(0.3, c.vocab_size, c.hidden_size)
    return p


def qkv_biases(config, seed=3000):
    """Qwen2's biases of q, k and v; nothing for others."""
    generator = torch.Generator().manual_seed(seed)
    kv = config.num_key_value_heads * config.head_dim
    return {f"model.layers.{i}.self_attn.{n}_proj.bias": 0.3 * torch.randn(size, generator=generator)
            for i in range(config.num_hidden_layers) if config.qkv_bias
            for n, size in (("q", config.num_attention_heads * config.head_dim), ("k", kv), ("v", kv))}


def subln_parameters(config, placement, seed):
    """SubLN weights around 1, named <projection>.subln.weight, as wide as the projection's input."""
    generator = torch.Generator().manual_seed(seed)
    widths = dict.fromkeys(("q_proj", "k_proj", "v_proj", "gate_proj", "up_proj"), config.hidden_size)
    widths |= {"o_proj": config.num_attention_heads * config.head_dim, "down_proj": config.intermediate_size}
    p = {}
    for i in range(config.num_hidden_layers):
        for projection in ref.PLACEMENT[placement]:
            part = "self_attn" if projection in ref.ATTENTION else "mlp"
            p[f"model.layers.{i}.{part}.{projection}.subln.weight"] = 1 + 0.2 * torch.randn(widths[projection], generator=generator)
    return p


def leaves(parameters, dtype=torch.float64):
    return {name: value.to(dtype).clone().requires_grad_() for name, value in parameters.items()}


# ---------------------------------------------------------------- transformers, in float64

@contextlib.contextmanager
def float64_everywhere():
    """transformers casts norms, softmax and rotary tables to float32, which would cut float64 down; here those casts
    go to float64."""
    with mock.patch.object(torch, "float32", torch.float64), mock.patch.object(torch, "float", torch.float64), \
            mock.patch.object(torch.Tensor, "float", torch.Tensor.double):
        yield


def transformers_result(config, parameters, ids, mask, targets):
    """The same outputs and gradients from transformers' own model (eager attention, float64)."""
    config_class, model_class, module = HF[config.model_type]
    settings = hf_config(config)
    captured = []
    original = module.eager_attention_forward

    def capture(self, query, key, value, *rest, **named):
        captured.append({n: t.transpose(1, 2).flatten(2) for n, t in zip("qkv", (query, key, value))})
        return original(self, query, key, value, *rest, **named)

    with float64_everywhere(), mock.patch.object(module, "eager_attention_forward", capture):
        model = model_class._from_config(config_class(**settings), attn_implementation="eager", dtype=torch.float64)
        state = {k: v.double() for k, v in stored(config, parameters).items()}
        missing, unexpected = model.load_state_dict(state, strict=False)
        assert not unexpected and set(missing) <= {"lm_head.weight"}, (missing, unexpected)
        assert all(p.dtype == torch.float64 for p in model.parameters())
        model.eval()
        hidden = []
        model.model.norm.register_forward_pre_hook(lambda _, inputs: hidden.append(inputs[0]))
        logits = model(input_ids=ids, attention_mask=mask.long(), use_cache=False).logits
        loss = ref.cross_entropy(logits, targets)
        loss.backward()
    gradients = {n: p.grad for n, p in model.named_parameters() if n in state}
    return {"hidden": hidden[0], "logits": logits, "layers": captured}, loss, gradients


def agree(mine, theirs, valid=None, what=""):
    if valid is not None:
        mine, theirs = mine[valid], theirs[valid]
    assert theirs.dtype == torch.float64 and mine.shape == theirs.shape, what
    difference = (mine - theirs).abs().max().item()
    assert difference < 1e-10, f"{what}: {difference}"
    return difference


# ---------------------------------------------------------------- files

def write(name, tensors, meta):
    def stored(value):
        value = value.detach()
        return (value.float() if value.is_floating_point() else value.to(torch.int32)).contiguous().clone()

    path = FOLDER / f"{name}.safetensors"
    save_file({k: stored(v) for k, v in tensors.items()}, path, {"meta": json.dumps(meta)})
    print(f"{name}: {path.stat().st_size} bytes, {len(tensors)} tensors")


def io_tensors(ids, mask, targets, out):
    """Inputs and outputs; zero at padding, whose values mean nothing."""
    at = mask[..., None]
    tensors = {"input_ids": ids, "attention_mask": mask.int(), "lengths": torch.tensor(LENGTHS), "targets": targets,
               "out.hidden": out["hidden"] * at, "out.logits": out["logits"] * at}
    return tensors | {f"out.{n}": out["layers"][LAYER][n] * at for n in "qkv"}


def meta_of(config, **more):
    return {"config": hf_config(config), "layer": LAYER, "lengths": LENGTHS, "promptLengths": PROMPTS,
            "noTarget": ref.NO_TARGET, "computedIn": "float64"} | more


def float32_error(parameters, config, *arguments):
    """Relative L2 distance of the same computation in PyTorch float32 from float64, per kind of result: a yardstick
    for the engine's tolerance (the worst gradient tensor and the worst output)."""
    ids, mask, targets = batch()
    found = []
    for dtype in (torch.float64, torch.float32):
        p = leaves(parameters, dtype)
        out = ref.forward(p, config, ids, mask, *arguments)
        outputs = [out["hidden"], out["logits"], *out["layers"][LAYER].values()]
        found.append(([o[mask] for o in outputs], gradients(ref.cross_entropy(out["logits"], targets), p).values()))
    worst = lambda a, b: max(((y - x).norm() / x.norm()).item() for x, y in zip(a, b))
    return {"outputs": worst(found[0][0], found[1][0]), "gradients": worst(found[0][1], found[1][1])}


def gradients(loss, parameters):
    grads = torch.autograd.grad(loss, list(parameters.values()))
    return {f"grad.{name}": g for name, g in zip(parameters, grads)}


def quantised_run(config, parameters, placement, with_gradient=True):
    ids, mask, targets = batch()
    margin = ref.TieMargin()
    p = leaves(parameters)
    with torch.set_grad_enabled(with_gradient):
        out = ref.forward(p, config, ids, mask, True, placement, config.rms_norm_eps, margin)
        loss = ref.cross_entropy(out["logits"], targets)
    return p, out, loss, margin


def best_seed(candidates, margin_of):
    """The seed whose quantised activations stay farthest from rounding ties, so that a float32 engine finds the same bins."""
    return max(candidates, key=margin_of)


def base_seed(arch):
    """Seed of fp-llama and fp-qwen3, chosen by the tie margin of the `none` student."""
    config = CONFIGS[arch]

    def margin_of(seed):
        margin = quantised_run(config, base_parameters(config, seed), "none", False)[3]
        return margin.activation if margin.weight > 1e-6 else 0

    return best_seed(range(1000, 1200), margin_of)


_cache = {}


def parameters_of(arch):
    if arch in ("llama3", "qwen2"):  # llama's, to keep the files small
        return {k: v for k, v in parameters_of("llama").items() if k != "lm_head.weight"} | qkv_biases(CONFIGS[arch])
    if arch not in _cache:
        _cache[arch] = base_parameters(CONFIGS[arch], base_seed(arch))
    return _cache[arch]


def student_of(arch, placement):
    """Base parameters and SubLN weights of a student."""
    config, base = CONFIGS[arch], parameters_of(arch)
    if placement == "none":
        return base, {}
    if (arch, placement) not in _cache:
        margin_of = lambda s: quantised_run(config, base | subln_parameters(config, placement, s), placement, False)[3].activation
        seed = best_seed(range(2000, 2300), margin_of)
        _cache[arch, placement] = subln_parameters(config, placement, seed)
    return base, _cache[arch, placement]


def make_full_precision(arch):
    config, parameters = CONFIGS[arch], parameters_of(arch)
    ids, mask, targets = batch()
    p = leaves(parameters)
    out = ref.forward(p, config, ids, mask)
    loss = ref.cross_entropy(out["logits"], targets)
    grads = gradients(loss, p)
    theirs, their_loss, their_grads = transformers_result(config, parameters, ids, mask, targets)
    worst = max(
        agree(out["hidden"], theirs["hidden"], mask, "hidden"), agree(out["logits"], theirs["logits"], mask, "logits"),
        agree(loss, their_loss, what="loss"),
        *(agree(mine[n], yours[n], mask, f"layer {i} {n}") for i, (mine, yours) in enumerate(zip(out["layers"], theirs["layers"], strict=True)) for n in "qkv"),
        *(agree(g, their_grads[n], what=f"grad.{n}") for n, g in stored(config, {n: grads[f"grad.{n}"] for n in parameters}).items()))
    print(f"fp-{arch}: largest difference from transformers {worst:.1e}")
    tensors = io_tensors(ids, mask, targets, theirs) | {f"grad.{n}": their_grads[n] for n in stored(config, parameters)}
    shared = parameters_of("llama") if arch in ("llama3", "qwen2") else {}
    own = {n: value for n, value in stored(config, parameters).items() if n not in shared}
    more = {"parametersFrom": "fp-llama.safetensors"} if shared else {}
    write(f"fp-{arch}", own | tensors, meta_of(config, loss=their_loss.item(), **more, float32Error=float32_error(parameters, config),
          source=f"transformers {transformers.__version__} {HF[config.model_type][1].__name__}, eager attention, float64"))


def check_straight_through():
    """docs/method.md, 2.3 and 2.4, written out: y = (xi T^T)(s delta), dX = (dy T) delta, dW = (dy s)^T xi."""
    generator = torch.Generator().manual_seed(5000)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)
    x, w, dy = draw(5, 24).requires_grad_(), draw(7, 24).requires_grad_(), draw(5, 7)
    y = ref.bit_linear(x, w)
    dx, dw = torch.autograd.grad(y, (x, w), dy)
    xi, t, delta = ref.activation_int8(x), ref.ternary(w), ref.weight_delta(w)
    s = ref.activation_gamma(x) / 127
    agree(y.detach(), (xi @ t.T) * s * delta, what="BitLinear")
    agree(dx, dy @ t * delta, what="BitLinear dX")
    agree(dw, (dy * s).T @ xi, what="BitLinear dW")


def make_ternary(arch, placement):
    check_straight_through()
    config = CONFIGS[arch]
    base, subln = student_of(arch, placement)
    ids, mask, targets = batch()
    p, out, loss, margin = quantised_run(config, base | subln, placement)
    assert margin.activation > 5e-5 and margin.weight > 1e-6, vars(margin)
    grads = stored(config, {n.removeprefix("grad."): g for n, g in gradients(loss, p).items()})
    tensors = io_tensors(ids, mask, targets, out) | {f"grad.{n}": g for n, g in grads.items()}
    own = subln | qkv_biases(config)
    deltas = {n: ref.weight_delta(v).item() for n, v in p.items() if n.split(".")[-2] in ref.ATTENTION + ref.MLP and v.ndim == 2}
    write(f"ternary-{arch}-{placement}", own | tensors, meta_of(
        config, loss=loss.item(), placement=placement, sublnEps=config.rms_norm_eps, 
        parametersFrom=f"fp-{'llama' if arch == 'qwen2' else arch}.safetensors",
        float32Error=float32_error(base | subln, config, True, placement, config.rms_norm_eps),
        delta=deltas, tieMargin={"activation": margin.activation, "weight": margin.weight}))


# ---------------------------------------------------------------- losses on their own

def cropped_relation(student, teacher, split):
    """Algorithm 1 word by word on each sequence cut to its length, head by head: what masking must come to."""
    total = 0
    for row, length in enumerate(LENGTHS):
        for head in range(split):
            logs = []
            for x in (student, teacher):
                width = x.shape[-1] // split
                a = x[row, :length, head * width:(head + 1) * width].double()
                a = a / a.square().sum(-1, keepdim=True).sqrt()
                logs.append((a @ a.T).softmax(-1).clamp(min=1e-8).log())
            total += F.kl_div(logs[0], logs[1], reduction="sum", log_target=True)
    return total / (split * sum(LENGTHS))


def make_losses():
    generator = torch.Generator().manual_seed(4000)
    draw = lambda *shape: torch.randn(*shape, generator=generator)
    tensors, values = {}, {}

    def differentiate(name, loss, inputs):
        values[name] = loss.item()
        for key, gradient in zip(inputs, torch.autograd.grad(loss, list(inputs.values()))):
            tensors[f"{name}.grad.{key}"] = gradient

    rows, vocabulary = 9, 64
    logits, targets = 3 * draw(rows, vocabulary), torch.randint(0, vocabulary, (rows,), generator=generator)
    weights = torch.tensor([1, 0.5, 0, 2, 0.25, 1, 0, 0.125, 3])  # rows of weight 0 count for nothing
    tensors |= {"ce.logits": logits, "ce.targets": targets, "ce.weights": weights}
    z = leaves({"logits": logits})
    differentiate("ce", ref.weighted_cross_entropy(z["logits"], targets, weights.double()), z)

    student, teacher = 3 * draw(rows, vocabulary), 3 * draw(rows, vocabulary)
    tensors |= {"kd.student": student, "kd.teacher": teacher}
    for tau in (5, 2):
        for squared in (False, True):
            s = leaves({"student": student})
            loss = ref.logits_distillation(s["student"], teacher.double(), tau, squared)
            differentiate(f"kd.tau{tau}{'.squared' if squared else ''}", loss, s)
            softened = [x.double() / tau for x in (student, teacher)]
            divergence = F.kl_div(softened[0].log_softmax(-1), softened[1].softmax(-1), reduction="batchmean")
            agree(loss.detach(), divergence * (tau**2 if squared else 1), what="KD against torch's kl_div")

    mask = batch()[1]
    student = {n: draw(B, T, width) for n, width in (("q", 32), ("k", 16), ("v", 16))}
    teacher = {n: draw(B, T, width) for n, width in (("q", 48), ("k", 24), ("v", 24))}
    tensors |= {"relation.attention_mask": mask.int(), "relation.lengths": torch.tensor(LENGTHS)}
    tensors |= {f"relation.student.{n}": v for n, v in student.items()} | {f"relation.teacher.{n}": v for n, v in teacher.items()}
    for split in (4, 8):
        s, t = leaves(student), {n: v.double() for n, v in teacher.items()}
        for n in "qkv":
            values[f"relation.split{split}.{n}"] = ref.relation_divergence(s[n], t[n], split, mask).item()
            agree(ref.relation_divergence(s[n], t[n], split, mask).detach(), cropped_relation(student[n], teacher[n], split), what="relation")
        differentiate(f"relation.split{split}", ref.attention_relation(s, t, split, mask), s)
    write("losses", tensors, {"values": values, "computedIn": "float64"})


# ---------------------------------------------------------------- distillation and AdamW

TAU, LAMBDA, GAMMA, SPLIT_HEADS = 5, 10, 3, 4
LEARNING_RATE, BETAS, EPSILON, WEIGHT_DECAY, CLIP, STEPS = 1e-3, (0.9, 0.999), 1e-8, 0.01, 1.0, 10


def teacher_parameters():
    """fp-qwen3 with all fourteen projection weights multiplied by 0.5 (exact in float32, so nothing needs storing)."""
    return {n: v * 0.5 if n.endswith("_proj.weight") else v for n, v in parameters_of("qwen3").items()}


def teacher_outputs(dtype=torch.float64):
    ids, mask, _ = batch()
    p = {n: v.to(dtype) for n, v in teacher_parameters().items()}
    return ref.forward(p, CONFIGS["qwen3"], ids, mask)


def distillation_terms(student, teacher, margin=None):
    """The three unweighted terms of M5, L = L_CE + lambda L_LD + gamma L_AD; L_LD on the positions with a target."""
    config = CONFIGS["qwen3"]
    ids, mask, targets = batch()
    out = ref.forward(student, config, ids, mask, True, "paper", config.rms_norm_eps, margin)
    response = targets != ref.NO_TARGET
    return {"crossEntropy": ref.cross_entropy(out["logits"], targets),
            "logits": ref.logits_distillation(out["logits"][response], teacher["logits"][response], TAU),
            "relation": ref.attention_relation(out["layers"][LAYER], teacher["layers"][LAYER], SPLIT_HEADS, mask)}


def weighted(terms):
    return terms["crossEntropy"] + LAMBDA * terms["logits"] + GAMMA * terms["relation"]


def settings():
    return {"tau": TAU, "lambda": LAMBDA, "gamma": GAMMA, "splitHeads": SPLIT_HEADS, "temperatureSquared": False,
            "logitsOn": "positions with a target", "relationOn": "all positions that are no padding",
            "placement": "paper", "sublnEps": CONFIGS["qwen3"].rms_norm_eps,
            "studentFrom": ["fp-qwen3.safetensors", "ternary-qwen3-paper.safetensors (subln)"],
            "teacherFrom": "fp-qwen3.safetensors, every *_proj.weight times 0.5"}


def global_norm(grads):
    return torch.stack([g.norm() for g in grads if g is not None]).norm().item()


def make_distil():
    ids, mask, targets = batch()
    base, subln = student_of("qwen3", "paper")
    p, teacher = leaves(base | subln), teacher_outputs()
    terms = distillation_terms(p, teacher)
    total = weighted(terms)
    norms = {n: global_norm(torch.autograd.grad(t, list(p.values()), retain_graph=True, allow_unused=True)) for n, t in terms.items()}
    at = mask[..., None]
    tensors = {"input_ids": ids, "attention_mask": mask.int(), "lengths": torch.tensor(LENGTHS), "targets": targets,
               "teacher.logits": teacher["logits"] * at}
    tensors |= {f"teacher.{n}": teacher["layers"][LAYER][n] * at for n in "qkv"} | gradients(total, p)
    write("distil-qwen3", tensors, meta_of(CONFIGS["qwen3"], **settings(), terms={n: t.item() for n, t in terms.items()},
          total=total.item(), gradientNormOfTerm=norms, gradientNorm=global_norm([tensors[f"grad.{n}"] for n in p])))


HIDDEN = 2


def make_distil_hidden():
    """As make_distil, with the term of the last hidden states (M5.5) beside the others."""
    ids, mask, targets = batch()
    config = CONFIGS["qwen3"]
    base, subln = student_of("qwen3", "paper")
    p, teacher = leaves(base | subln), teacher_outputs()
    terms = distillation_terms(p, teacher)
    output = ref.forward(p, config, ids, mask, True, "paper", config.rms_norm_eps)["hidden"]
    terms["hidden"] = ref.relative_error(output, teacher["hidden"], mask)
    total = weighted(terms) + HIDDEN * terms["hidden"]
    tensors = {"input_ids": ids, "attention_mask": mask.int(), "lengths": torch.tensor(LENGTHS), "targets": targets} | gradients(total, p)
    write("distil-hidden-qwen3", tensors, meta_of(config, **settings(), hidden=HIDDEN, terms={n: t.item() for n, t in terms.items()}, total=total.item()))


TOKEN_TAU = 2


def make_token_weights():
    """As make_distil, the logits term with weights of tokens (M5.2), over the positions with a target and over all tokens."""
    ids, mask, targets = batch()
    config = CONFIGS["qwen3"]
    base, subln = student_of("qwen3", "paper")
    p, teacher = leaves(base | subln), teacher_outputs()
    student = ref.forward(p, config, ids, mask, True, "paper", config.rms_norm_eps)["logits"]
    tensors = {"input_ids": ids, "attention_mask": mask.int(), "lengths": torch.tensor(LENGTHS), "targets": targets}
    terms = {}
    for kind in ("tsld", "cakld"):
        for tokens, counted in (("response", targets != ref.NO_TARGET), ("all", mask)):
            term = getattr(ref, kind)(student, teacher["logits"], ids, counted, mask, TOKEN_TAU)
            terms[f"{kind}.{tokens}"] = term.item()
            # Those of the head, of the norm before it, and one behind them.
            names = ("model.norm.weight", "model.embed_tokens.weight", "model.layers.1.mlp.down_proj.subln.weight")
            found = torch.autograd.grad(term + ref.cross_entropy(student, targets), [p[n] for n in names], retain_graph=True)
            tensors |= {f"{kind}.{tokens}.{name}": gradient for name, gradient in zip(names, found)}
    write("token-weights-qwen3", tensors, meta_of(config, **settings() | {"lambda": 1, "gamma": 0, "tau": TOKEN_TAU}, terms=terms,
          crossEntropy=ref.cross_entropy(student, targets).item()))


TOP = 5


def make_top_tokens():
    """As make_token_weights, of the teacher the TOP likeliest tokens and the rest (M5.9)."""
    ids, mask, targets = batch()
    config = CONFIGS["qwen3"]
    base, subln = student_of("qwen3", "paper")
    p, teacher = leaves(base | subln), teacher_outputs()
    student = ref.forward(p, config, ids, mask, True, "paper", config.rms_norm_eps)["logits"]
    logits = teacher["logits"]
    classes = ref.top_classes(logits, TOP)
    tensors = {"input_ids": ids, "attention_mask": mask.int(), "lengths": torch.tensor(LENGTHS), "targets": targets}
    terms = {}
    names = ("model.norm.weight", "model.embed_tokens.weight", "model.layers.1.mlp.down_proj.subln.weight")
    for tokens, counted in (("response", targets != ref.NO_TARGET), ("all", mask)):
        found = {
            "alike": ref.token_mean(student, logits, counted, TOKEN_TAU, classes),
            "tsld": ref.tsld(student, logits, ids, counted, mask, TOKEN_TAU, classes=classes),
            "cakld": ref.cakld(student, logits, ids, counted, mask, TOKEN_TAU, classes=classes),
        }
        for kind, term in found.items():
            terms[f"{kind}.{tokens}"] = term.item()
            gradients_of = torch.autograd.grad(term + ref.cross_entropy(student, targets), [p[n] for n in names], retain_graph=True)
            tensors |= {f"{kind}.{tokens}.{name}": gradient for name, gradient in zip(names, gradients_of)}
    write("top-tokens-qwen3", tensors, meta_of(config, **settings() | {"lambda": 1, "gamma": 0, "tau": TOKEN_TAU}, top=TOP, terms=terms,
          crossEntropy=ref.cross_entropy(student, targets).item()))


def train(parameters, loss_of, dtype):
    """AdamW steps on one batch. Weight decay on matrices only; clipping as clip_grad_norm_ does it, by max_norm / (norm + 1e-6)."""
    p = leaves(parameters, dtype)
    groups = [{"params": [v for v in p.values() if v.ndim == 2], "weight_decay": WEIGHT_DECAY},
              {"params": [v for v in p.values() if v.ndim != 2], "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=LEARNING_RATE, betas=BETAS, eps=EPSILON, foreach=False)
    log, after = [], {}
    for step in range(1, STEPS + 1):
        optimiser.zero_grad()
        loss, more = loss_of(p)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(p.values(), CLIP)
        optimiser.step()
        log.append({"step": step, "loss": loss.item(), "gradientNorm": norm.item()} | more())
        if step in (1, STEPS):
            after[step] = {n: v.detach().clone() for n, v in p.items()}
    return log, after


def make_adamw(name, parameters, loss_of, meta):
    """loss_of(dtype) gives the function from parameters to (loss, more to log). Stores the float64 run; the float32 run goes
    into the metadata as its log and its distance from the float64 run."""
    log, after = train(parameters, loss_of(torch.float64), torch.float64)
    log32, after32 = train(parameters, loss_of(torch.float32), torch.float32)
    distance = {}
    for step, values in after.items():
        apart = {n: after32[step][n].double() - v for n, v in values.items()}
        distance[f"step{step}"] = {"relativeToParameters": {n: (d.norm() / values[n].norm()).item() for n, d in apart.items()},
                                   "relativeToUpdate": {n: (d.norm() / (values[n] - parameters[n]).norm()).item() for n, d in apart.items()}}
    # File size: after step 1 only layer 1 without its MLP matrices, and the final norm.
    small = lambda n: not n.startswith(("model.embed_tokens", "model.layers.0.")) and not n.endswith(("gate_proj.weight", "up_proj.weight", "down_proj.weight"))
    tensors = {f"step1.{n}": v for n, v in after[1].items() if small(n)} | {f"step{STEPS}.{n}": v for n, v in after[STEPS].items()}
    write(name, tensors, meta_of(CONFIGS["qwen3"], **meta, float64=log, float32=log32, float32Distance=distance, adamw={
        "learningRate": LEARNING_RATE, "betas": BETAS, "epsilon": EPSILON, "weightDecay": WEIGHT_DECAY,
        "decayed": "2-D parameters (the embedding too)", "clip": CLIP, "steps": STEPS, "schedule": "constant"}))


def make_adamw_ternary():
    base, subln = student_of("qwen3", "paper")

    def loss_of(dtype):
        teacher = teacher_outputs(dtype)

        def loss(p):
            margin = ref.TieMargin()
            terms = distillation_terms(p, teacher, margin)
            return weighted(terms), lambda: {n: t.item() for n, t in terms.items()} | {"tieMargin": vars(margin)}

        return loss

    make_adamw("adamw-qwen3", base | subln, loss_of, settings())


def make_adamw_full_precision():
    config = CONFIGS["qwen3"]
    ids, mask, targets = batch()

    def loss_of(_):
        return lambda p: (ref.cross_entropy(ref.forward(p, config, ids, mask)["logits"], targets), dict)

    make_adamw("adamw-fp-qwen3", parameters_of("qwen3"), loss_of, {"parametersFrom": "fp-qwen3.safetensors", "objective": "cross-entropy"})


SHARPNESS = 4.0


def window_inputs(seed):
    """Random states, one token of which is forty times as large as the others; zero at padding."""
    hidden = torch.randn(B, T, CONFIGS["qwen3"].hidden_size, generator=torch.Generator().manual_seed(seed))
    hidden[0, 0] *= 40
    return hidden * batch()[1][..., None]


def window_margin(seed):
    config, margin = CONFIGS["qwen3"], ref.TieMargin()
    ids, mask, _ = batch()
    base, subln = student_of("qwen3", "paper")
    with torch.no_grad():
        for sharpness in (None, SHARPNESS):
            ref.forward(leaves(base | subln), config, ids, mask, True, "paper", config.rms_norm_eps, margin, window_inputs(seed).double(),
                        sharpness)
    return margin.activation


def make_window():
    """One step of window reconstruction (M3.1) over both layers of the Qwen3 student; the targets are the full-precision layers' outputs."""
    config = CONFIGS["qwen3"]
    ids, mask, _ = batch()
    hidden = window_inputs(best_seed(range(4000, 4200), window_margin))
    base, subln = student_of("qwen3", "paper")
    wide = hidden.double()
    targets = ref.forward(leaves(parameters_of("qwen3")), config, ids, mask, hidden=wide)["hidden"].detach().float() * mask[..., None]
    tensors = {"attention_mask": mask.int(), "inputs": hidden, "targets": targets}
    losses = {}
    for name, sharpness in (("hard", None), ("soft", SHARPNESS)):
        p, margin = leaves(base | subln), ref.TieMargin()
        out = ref.forward(p, config, ids, mask, True, "paper", config.rms_norm_eps, margin, wide, sharpness)
        loss = ref.relative_error(out["hidden"], targets.double(), mask)
        found = gradients(loss, {n: v for n, v in p.items() if n.startswith("model.layers.")})
        tensors |= {f"{name}.{n}": v for n, v in found.items()}
        losses[name] = {"loss": loss.item(), "tieMargin": vars(margin)}
    write("window-qwen3", tensors, meta_of(config, sharpness=SHARPNESS, losses=losses, placement="paper",
          studentFrom=["fp-qwen3.safetensors", "ternary-qwen3-paper.safetensors (subln)"]))


FILES = {f"fp-{a}": (lambda a=a: make_full_precision(a)) for a in CONFIGS}
FILES |= {f"ternary-{a}-{s}": (lambda a=a, s=s: make_ternary(a, s))
          for a, s in [("llama", "none"), ("llama", "paper"), ("llama", "all"), ("qwen2", "paper"),
                       ("qwen3", "none"), ("qwen3", "paper"), ("qwen3", "all"), ("gemma3", "all"), *((a, "paper") for a in NEWER)]}
FILES |= {"losses": make_losses, "distil-qwen3": make_distil, "distil-hidden-qwen3": make_distil_hidden, "token-weights-qwen3": make_token_weights, "top-tokens-qwen3": make_top_tokens, "adamw-qwen3": make_adamw_ternary, "adamw-fp-qwen3": make_adamw_full_precision,
          "window-qwen3": make_window}

if __name__ == "__main__":
    torch.set_num_threads(1)
    for name in sys.argv[1:] or FILES:
        FILES[name]()
