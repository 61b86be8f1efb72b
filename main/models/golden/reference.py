"""Independent PyTorch reference of what the TypeScript graph engine computes: decoder forward pass,
BitLinear, SubLN and the losses of BitNet Distillation. Written from docs/method.md ("M2" is its section 2,
"M3" and "M5" its sections 3 and 5) and arXiv 2510.13998 (equation numbers); shares no code with the engine.

Everything is a plain function of a dictionary of parameters under their Hugging Face names, so that autograd
gives the gradients. No batching tricks, no fusing: the shortest form that can be compared with the formula.
B batch, T positions, D head width, H query heads, Hk key/value heads, V vocabulary, [B, T, ...] row-major.
"""

import math
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
MLP = ("gate_proj", "up_proj", "down_proj")
# M3: projections that get a SubLN directly before them.
PLACEMENT = {"none": (), "paper": ("o_proj", "down_proj"), "all": ATTENTION + MLP}
NO_TARGET = -100


# ---------------------------------------------------------------- quantisers (M2, Eq. 1-3)

class StraightThrough(torch.autograd.Function):
    """Forward: the quantised value, exactly. Backward: the identity (also where clamp cut off); the
    scale counts as a constant."""

    @staticmethod
    def forward(ctx, value, quantised):
        return quantised.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient, None


@dataclass(frozen=True)
class Quantiser:
    """M2.6: how weights are rounded. `group`: None, one scale for all; else so many columns of a row, 0 for all of them."""

    scale: str = "absmean"
    group: int | None = None
    # Of every `of` columns the `keep` largest stay (M2.7); exactly: as their sign, and what a +1 stands for is the mean of their sizes.
    keep: int = 0
    of: int = 0
    exactly: bool = False
    # M2.9: inputs are rounded to so many bits, those of o and down after a Hadamard matrix.
    bits: int = 8
    hadamard: bool = False
    # M2.10: what a +1 stands for is a parameter `<projection>.delta`.
    learned: bool = False


PLAIN = Quantiser()


def weight_delta(weight, quantiser=PLAIN):
    """M2: delta = max(mean|W|, 1e-5), one per tensor. M2.6: or the median (torch's: the lower one of two in the middle); one per run of
    columns, and then rounded to F16, as wide as the weight."""
    sizes = weight.detach().abs()
    if quantiser.exactly:
        return mean_of_kept(sizes, quantiser)
    if quantiser.group is None:
        return (sizes.mean() if quantiser.scale == "absmean" else sizes.median()).clamp(min=1e-5)
    runs = sizes.reshape(-1, quantiser.group or weight.shape[1])
    delta = (runs.mean(1) if quantiser.scale == "absmean" else runs.median(1).values).clamp(min=1e-5)
    return delta.half().to(weight.dtype)[:, None].expand_as(runs).reshape(weight.shape)


def mean_of_kept(sizes, quantiser):
    """M2.7, exactly: the mean over what is kept, one per tensor or per run of columns."""
    mask = kept(sizes, quantiser)
    if quantiser.group is None:
        return (sizes[mask == 1].mean()).clamp(min=1e-5)
    width = quantiser.group or sizes.shape[1]
    runs, masks = sizes.reshape(-1, width), mask.reshape(-1, width)
    delta = ((runs * masks).sum(1) / masks.sum(1)).clamp(min=1e-5)
    return delta.half().to(sizes.dtype)[:, None].expand_as(runs).reshape(sizes.shape)


def ternary(weight, quantiser=PLAIN):
    """M2: T = clamp(round(W / delta), -1, 1). torch.round rounds half to even. M2.7, exactly: the signs of what is kept."""
    if quantiser.exactly:
        return torch.where(weight.detach() < 0, -1.0, 1.0).to(weight.dtype) * kept(weight, quantiser)
    codes = (weight.detach() / weight_delta(weight, quantiser)).round().clamp(-1, 1)
    return codes if quantiser.of == 0 else codes * kept(weight, quantiser)


def kept(weight, quantiser):
    """M2.7: 1 for the `keep` largest of every `of` consecutive columns (of equal ones the first), else 0."""
    groups = weight.detach().abs().reshape(-1, quantiser.of)
    order = groups.sort(stable=True, dim=-1, descending=True).indices[:, :quantiser.keep]
    return torch.zeros_like(groups).scatter(1, order, 1).reshape(weight.shape)


def activation_gamma(x):
    """M2: gamma = max(max|x|, 1e-5), one per token (last axis)."""
    return x.detach().abs().amax(-1, keepdim=True).clamp(min=1e-5)


def activation_int8(x):
    """M2: xi = clamp(round(x * 127/gamma), -128, 127). An engine may divide by s = gamma/127 instead, which gives
    other integers only where x * 127/gamma is a tie but for rounding, which the golden inputs avoid (TieMargin).
    Exact ties are no rarity without SubLN: at position 0 attention hands v through, v is an integer times one scale,
    and integer * 127 / integer can be k + 1/2."""
    return (x.detach() * (127 / activation_gamma(x))).round().clamp(-128, 127)


def hadamard_matrix(size, dtype):
    """M2.9, Sylvester's construction: H_2n = [[H_n, H_n], [H_n, -H_n]] / sqrt 2, H_1 = [1]."""
    matrix = torch.ones(1, 1, dtype=dtype)
    while matrix.shape[0] < size:
        matrix = torch.cat((torch.cat((matrix, matrix), 1), torch.cat((matrix, -matrix), 1)), 0) / math.sqrt(2)
    return matrix


def turned(x):
    """M2.9: each block of the last axis times the Hadamard matrix; a block is the largest power of two that divides the axis."""
    block = x.shape[-1]
    while block % 2 == 0:
        block //= 2
    block = x.shape[-1] // block
    return (x.unflatten(-1, (-1, block)) @ hadamard_matrix(block, x.dtype)).flatten(-2)


def activation_unit(x, quantiser):
    """What a 1 of the rounded input stands for: gamma / 127 (M2), or with 4 bits beta / sqrt 7, beta = max(mean|x|, 1e-5) (M2.9)."""
    if quantiser.bits == 8:
        return activation_gamma(x) / 127
    return x.detach().abs().mean(-1, keepdim=True).clamp(min=1e-5) / math.sqrt(7)


def activation_codes(x, quantiser):
    if quantiser.bits == 8:
        return activation_int8(x)
    return (x.detach() / activation_unit(x, quantiser)).round().clamp(-8, 7)


class StretchedElastic(torch.autograd.Function):
    """M2.10: ParetoQ's SEQ for ternary weights (arXiv 2502.02631, `StretchedElasticQuant` with 0 bits of its released code) of a weight [O, K]; a: one, or [O, 1].
    With `clips` its own gradient of the weight, which is 0 where |W| > 0.99 a; else straight through everywhere."""

    @staticmethod
    def forward(ctx, weight, a, clips):
        ctx.save_for_backward(weight, a)
        ctx.clips = clips
        return ((weight / a).clamp(-0.99, 0.99) * 1.5).round() / 1.5 * a

    @staticmethod
    def backward(ctx, gradient):
        weight, a = ctx.saved_tensors
        share = weight / a
        low, high = share < -0.99, share > 0.99
        inside = ~(low | high)
        rest = (share.clamp(-0.99, 0.99) * 1.5).round() / 1.5 - share
        of_a = gradient * (high.to(share.dtype) - low.to(share.dtype) + inside * rest) / math.sqrt(weight.numel())
        return gradient * inside if ctx.clips else gradient, of_a.sum() if a.dim() == 0 else of_a.sum(1, keepdim=True), None


def learned_ternary(weight, delta):
    """M2.10: a is 3/2 of what a +1 stands for. delta [1] or [O]; of rows it is rounded to F16, straight through."""
    if delta.numel() == 1:
        return StretchedElastic.apply(weight, 1.5 * delta.reshape(()), False)
    return StretchedElastic.apply(weight, 1.5 * StraightThrough.apply(delta, delta.detach().half().to(delta.dtype))[:, None], False)


class TieMargin:
    """How far the quantisers stayed from a rounding tie: the smallest | |v| mod 1 - 0.5 | in integer steps, over
    activations of real (not padding) tokens and over weights (where only |W/delta| = 0.5 matters; 1.5 is clamped).
    An engine whose error in v is below this gets the same integers, in the multiply form or the divide form."""

    def __init__(self):
        self.activation = 0.5
        self.weight = 0.5

    def see(self, x, weight, valid, quantiser=PLAIN, delta=None):
        v = (x.detach() * (127 / activation_gamma(x)) if quantiser.bits == 8 else x.detach() / activation_unit(x, quantiser))[valid]
        self.activation = min(self.activation, ((v.abs() % 1) - 0.5).abs().min().item())
        if delta is None:
            w = weight.detach().abs() / weight_delta(weight, quantiser)
        else:
            used = delta.detach() if delta.numel() == 1 else delta.detach().half().to(delta.dtype)[:, None]
            w = weight.detach().abs() / used
            # Where the gradient of delta has its step.
            self.weight = min(self.weight, (w - 1.485).abs().min().item())
        self.weight = min(self.weight, (w - 0.5).abs().min().item())


def soft_ternary(weight, sharpness):
    """M3.1: delta (tanh(s (u - 1/2)) + tanh(s (u + 1/2))) / (2 tanh s), u = W / delta, delta a constant."""
    delta, s = weight_delta(weight), torch.tensor(sharpness, dtype=weight.dtype)
    u = weight / delta
    return delta * (torch.tanh(s * (u - 0.5)) + torch.tanh(s * (u + 0.5))) / (2 * torch.tanh(s))


def bit_linear(x, weight, bias=None, sharpness=None, quantiser=PLAIN, delta=None):
    """y = xq Wq^T (+ bias). With the straight-through estimator (M2): dX = dy Wq, dW = dy^T xq; with a sharpness the weights
    are soft and have their own gradient (M3.1); with a learned delta it has one too (M2.10)."""
    if delta is not None:
        wq = learned_ternary(weight, delta)
    elif sharpness is None:
        wq = StraightThrough.apply(weight, ternary(weight, quantiser) * weight_delta(weight, quantiser))
    else:
        wq = soft_ternary(weight, sharpness)
    xq = StraightThrough.apply(x, activation_codes(x, quantiser) * activation_unit(x, quantiser))
    return F.linear(xq, wq, bias)


# ---------------------------------------------------------------- the decoder

@dataclass
class Config:
    """The fields of a Hugging Face config.json that the forward pass needs."""

    model_type: str
    hidden_size: int
    intermediate_size: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    vocab_size: int
    rms_norm_eps: float
    rope_theta: float
    tie_word_embeddings: bool
    num_hidden_layers: int = 2
    rope_scaling: dict | None = None
    attention_bias: bool = field(default=False)
    # What some families have besides; None where config.json says nothing.
    sliding_window: int | None = None
    layer_types: list | None = None
    rope_local_base_freq: float | None = None
    query_pre_attn_scalar: float | None = None
    no_rope_layers: list | None = None
    partial_rotary_factor: float | None = None
    original_max_position_embeddings: int | None = None
    embedding_multiplier: float | None = None
    attention_multiplier: float | None = None
    residual_multiplier: float | None = None
    logits_scaling: float | None = None

    @property
    def qkv_bias(self):
        return self.model_type == "qwen2"

    @property
    def qk_norm(self):
        return self.model_type in ("qwen3", "gemma3_text")

    @property
    def gemma(self):
        return self.model_type == "gemma3_text"

    @property
    def post_norms_only(self):
        return self.model_type == "olmo2"

    def window(self, layer):
        """Positions that a token sees, itself included; None: all before it."""
        if self.layer_types is not None and self.layer_types[layer] == "full_attention":
            return None
        return self.sliding_window

    def rotates(self, layer):
        return self.no_rope_layers is None or self.no_rope_layers[layer] == 1

    @property
    def rotary_dim(self):
        return int(self.head_dim * (self.partial_rotary_factor or 1))

    @property
    def attention_scale(self):
        return self.attention_multiplier or (self.query_pre_attn_scalar or self.head_dim) ** -0.5

    @property
    def embedding_scale(self):
        return self.hidden_size ** 0.5 if self.gemma else self.embedding_multiplier or 1.0


def rms_norm(x, weight, eps):
    """x / sqrt(mean(x^2) + eps) * weight over the last axis. Also SubLN (M3, Eq. 4-5)."""
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * weight


def rope_inverse_frequencies(config, layer):
    """theta^(-2i/R), i = 0..R/2-1, of the R rotated dimensions, and what cos and sin are multiplied by; with rope_type "llama3" long wavelengths are divided by `factor`, short ones kept,
    and those between `original/high_freq_factor` and `original/low_freq_factor` interpolated (Llama 3.1)."""
    i = torch.arange(0, config.rotary_dim, 2, dtype=torch.float64)
    local = config.rope_local_base_freq is not None and config.window(layer) is not None
    frequency = (config.rope_local_base_freq if local else config.rope_theta) ** (-i / config.rotary_dim)
    scaling = config.rope_scaling
    if scaling is None or local:
        return frequency, 1.0
    if scaling["rope_type"] == "linear":
        return frequency / scaling["factor"], 1.0
    if scaling["rope_type"] == "longrope":
        # Within the original length: the short factors, and a magnitude from how far the context was stretched.
        original = config.original_max_position_embeddings
        stretched = 128 / original
        return frequency / torch.tensor(scaling["short_factor"], dtype=torch.float64), math.sqrt(1 + math.log(stretched) / math.log(original))
    assert scaling["rope_type"] == "llama3"
    original = scaling["original_max_position_embeddings"]
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    wavelength = 2 * torch.pi / frequency
    smooth = ((original / wavelength - low) / (high - low)).clamp(0, 1)  # 1 keep, 0 divide
    return smooth * frequency + (1 - smooth) * frequency / scaling["factor"], 1.0


def rope(x, config, layer):
    """Rotates the pair (i, i + R/2) of the first R dimensions of x [B, T, heads, D] by position * frequency_i (Hugging Face "half" layout).
    Positions count 0..T-1 from the left; with right padding no position ids are needed."""
    if not config.rotates(layer):
        return x
    frequency, magnitude = rope_inverse_frequencies(config, layer)
    angle = torch.arange(x.shape[1], dtype=torch.float64)[:, None] * frequency
    cos, sin = (magnitude * f[None, :, None].to(x.dtype) for f in (angle.cos(), angle.sin()))
    rotated, rest = x[..., :config.rotary_dim], x[..., config.rotary_dim:]
    a, b = rotated.chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin, rest), -1)


def attention(q, k, v, mask, scale, window=None):
    """Causal attention over the last `window` positions, itself included. q [B, T, H, D], k and v [B, T, Hk, D]; query head h reads key/value head
    h // (H/Hk). Keys at padding are masked."""
    repeat = q.shape[2] // k.shape[2]
    k, v = k.repeat_interleave(repeat, 2), v.repeat_interleave(repeat, 2)
    scores = torch.einsum("bthd,bshd->bhts", q, k) * scale
    causal = torch.ones(q.shape[1], q.shape[1], dtype=torch.bool).tril()
    seen = causal & mask[:, None, None, :]
    if window is not None:
        # Padding whose window holds padding alone sees itself, so that it is a number.
        seen = seen & causal.triu(1 - window) | torch.eye(q.shape[1], dtype=torch.bool)
    scores = scores.masked_fill(~seen, float("-inf"))
    return torch.einsum("bhts,bshd->bthd", scores.softmax(-1), v)


def forward(parameters, config, ids, mask, quantised=False, placement="none", subln_eps=None, margin=None, hidden=None,
            sharpness=None, quantiser=PLAIN):
    """ids and mask (bool) [B, T]. Returns hidden (before the final norm) [B, T, hidden], logits [B, T, V], and
    per layer q (after bias, qk-norm and RoPE) [B, T, H*D], k the same and v [B, T, Hk*D], heads not repeated.

    SubLN of a projection stands between its input and the projection (M3); the activation quantiser comes after it.
    hidden [B, T, hidden]: what enters the first layer, instead of the embedding of ids. sharpness: of soft weights (M3.1).
    """
    batch, length = ids.shape

    def project(name, x):
        projection = name.split(".")[-1]
        if projection in PLACEMENT[placement]:
            x = rms_norm(x, parameters[f"{name}.subln.weight"], subln_eps)
        weight, bias = parameters[f"{name}.weight"], parameters.get(f"{name}.bias")
        if not quantised:
            return F.linear(x, weight, bias)
        delta = parameters[f"{name}.delta"] if quantiser.learned else None
        if quantiser.hadamard and projection in ("o_proj", "down_proj"):
            x = turned(x)
        if margin is not None:
            margin.see(x, weight, mask, quantiser, delta)
        return bit_linear(x, weight, bias, sharpness, quantiser, delta)

    def norm(name, x):
        weight = parameters[f"{name}.weight"]
        return rms_norm(x, 1 + weight if config.gemma else weight, config.rms_norm_eps)

    # Where a layer has no norm of its own there, the value passes.
    before = (lambda name, x: x) if config.post_norms_only else norm
    after = norm if config.gemma or config.post_norms_only else (lambda name, x: x)
    ffn_norm = "pre_feedforward_layernorm" if config.gemma else "post_attention_layernorm"
    residual = config.residual_multiplier or 1.0
    activation = (lambda x: F.gelu(x, approximate="tanh")) if config.gemma else F.silu

    if hidden is None:
        hidden = F.embedding(ids, parameters["model.embed_tokens.weight"]) * config.embedding_scale
    layers = []
    for index in range(config.num_hidden_layers):
        layer = f"model.layers.{index}"
        x = before(f"{layer}.input_layernorm", hidden)
        heads = lambda y: y.view(batch, length, -1, config.head_dim)
        q, k = project(f"{layer}.self_attn.q_proj", x), project(f"{layer}.self_attn.k_proj", x)
        v = heads(project(f"{layer}.self_attn.v_proj", x))
        if config.post_norms_only:  # OLMo 2 normalises the whole projection
            q, k = norm(f"{layer}.self_attn.q_norm", q), norm(f"{layer}.self_attn.k_norm", k)
        q, k = heads(q), heads(k)
        if config.qk_norm:
            q, k = norm(f"{layer}.self_attn.q_norm", q), norm(f"{layer}.self_attn.k_norm", k)
        q, k = rope(q, config, index), rope(k, config, index)
        mixed = attention(q, k, v, mask, config.attention_scale, config.window(index)).flatten(2)
        mixed = project(f"{layer}.self_attn.o_proj", mixed)
        hidden = hidden + residual * after(f"{layer}.post_attention_layernorm", mixed)
        x = before(f"{layer}.{ffn_norm}", hidden)
        gate = activation(project(f"{layer}.mlp.gate_proj", x))
        mixed = project(f"{layer}.mlp.down_proj", gate * project(f"{layer}.mlp.up_proj", x))
        hidden = hidden + residual * after(f"{layer}.post_feedforward_layernorm", mixed)
        layers.append({"q": q.flatten(2), "k": k.flatten(2), "v": v.flatten(2)})
    head = "model.embed_tokens.weight" if config.tie_word_embeddings else "lm_head.weight"
    logits = F.linear(norm("model.norm", hidden), parameters[head]) / (config.logits_scaling or 1.0)
    return {"hidden": hidden, "logits": logits, "layers": layers}


# ---------------------------------------------------------------- losses (M5, Eq. 8-14)

def relative_error(output, target, mask):
    """M3.1: |y - y'|^2 / |y'|^2 of each token, mean over the valid ones. output, target [B, T, hidden]."""
    output, target = output[mask], target[mask]
    return ((output - target).pow(2).sum(-1) / target.pow(2).sum(-1)).mean()


def cross_entropy(logits, targets):
    """M5, L_CE: mean over the positions that have a target. targets [B, T] name the token that position t must
    predict (already shifted), NO_TARGET elsewhere."""
    return F.cross_entropy(logits.flatten(0, -2), targets.flatten(), ignore_index=NO_TARGET)


def weighted_cross_entropy(logits, targets, weights):
    """sum_i w_i * (logsumexp(z_i) - z_i[target_i]) over rows; not divided by sum w."""
    return (weights * F.cross_entropy(logits, targets, reduction="none")).sum()


def logits_distillation(student, teacher, tau, times_tau_squared=False):
    """M5, L_LD: mean over the n rows of KL(softmax(t/tau) || softmax(s/tau)). logits [n, V]. The paper has no tau^2."""
    log_t, log_s = F.log_softmax(teacher / tau, -1), F.log_softmax(student / tau, -1)
    loss = (log_t.exp() * (log_t - log_s)).sum(-1).mean()
    return loss * tau**2 if times_tau_squared else loss


def next_token_log_probability(logits, ids, mask):
    """[B, T, V] -> [B, T]: of the token that follows each one, temperature 1; NaN behind a row's last token and at padding."""
    following = torch.cat([mask[:, 1:], torch.zeros_like(mask[:, :1])], 1)
    picked = F.log_softmax(logits, -1).gather(-1, ids.roll(-1, 1)[..., None])[..., 0]
    return picked.masked_fill(~following, float("nan"))


def top_classes(teacher, k):
    """M5.9: logits [..., V] -> log-probabilities of k + 1 classes, the teacher's k likeliest tokens and all others together."""
    chosen = torch.zeros_like(teacher, dtype=torch.bool).scatter(-1, teacher.topk(k, -1).indices, True)

    def classes(logits):
        log_p = F.log_softmax(logits, -1)
        rest = log_p.masked_fill(chosen, float("-inf")).logsumexp(-1, keepdim=True)
        return torch.cat([log_p[chosen].unflatten(0, (*teacher.shape[:-1], k)), rest], -1)

    return classes


def token_mean(student, teacher, counted, tau, classes):
    """Mean over the counted tokens of KL(teacher || student), both as log-probabilities of the classes."""
    log_t, log_s = classes(teacher / tau), classes(student / tau)
    return F.kl_div(log_s, log_t, reduction="none", log_target=True).sum(-1)[counted].mean()


def vocabulary(logits):
    """Each token is a class."""
    return F.log_softmax(logits, -1)


def tsld(student, teacher, ids, counted, mask, tau, temperature=10, classes=vocabulary):
    """Kim et al., arXiv 2308.06744: mean over the counted tokens of w KL(teacher || student); w is the softmax, over the counted tokens of a row that have a
    next one, of the teacher's cross-entropy of that token / temperature, times their number; 1 for a row's last token."""
    log_p = next_token_log_probability(teacher, ids, mask)
    log_t, log_s = classes(teacher / tau), classes(student / tau)
    divergence = (log_t.exp() * (log_t - log_s)).sum(-1)
    total = 0
    for row in range(ids.shape[0]):
        chosen = counted[row] & ~log_p[row].isnan()
        total = total + (chosen.sum() * F.softmax(-log_p[row][chosen] / temperature, -1) * divergence[row][chosen]).sum()
        total = total + divergence[row][counted[row] & log_p[row].isnan()].sum()
    return total / counted.sum()


def cakld(student, teacher, ids, counted, mask, tau, classes=vocabulary):
    """Du et al., arXiv 2402.10631, with the confidence of each token: mean of c KL(student || teacher) + (1 - c) KL(teacher || student)."""
    c = next_token_log_probability(teacher, ids, mask).exp().nan_to_num(0)
    log_t, log_s = classes(teacher / tau), classes(student / tau)
    forward = F.kl_div(log_s, log_t, reduction="none", log_target=True).sum(-1)
    reverse = F.kl_div(log_t, log_s, reduction="none", log_target=True).sum(-1)
    return (c * reverse + (1 - c) * forward)[counted].mean()


def relation(x, split_heads, mask):
    """M5, Algorithm 1: R = softmax(A A^T) with A = x reshaped to [B, split, T, dim'], L2-normalised over dim' (dividing by
    max(||a||, 1e-12)), temperature 1, over the columns that are no padding; clamped at 1e-8. Returns [B, split, T, T]."""
    a = F.normalize(x.unflatten(-1, (split_heads, -1)).transpose(1, 2), dim=-1, eps=1e-12)
    scores = (a @ a.transpose(-1, -2)).masked_fill(~mask[:, None, None, :], float("-inf"))
    return scores.softmax(-1).clamp(min=1e-8)


def relation_divergence(student, teacher, split_heads, mask):
    """M5, Algorithm 1, one of Q, K, V: sum over valid columns of R_t (log R_t - log R_s), averaged over the
    split * (number of valid tokens) valid rows. Widths of student and teacher may differ."""
    r_s, r_t = relation(student, split_heads, mask), relation(teacher, split_heads, mask)
    valid = (mask[:, None, :, None] & mask[:, None, None, :]).expand_as(r_s)
    return (r_t * (r_t.log() - r_s.log()))[valid].sum() / (split_heads * mask.sum())


def attention_relation(student, teacher, split_heads, mask):
    """M5, L_AD: the sum over Q, K and V (not divided by 3, not by split_heads)."""
    return sum(relation_divergence(student[n], teacher[n], split_heads, mask) for n in ("q", "k", "v"))
