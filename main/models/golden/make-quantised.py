"""Writes quantised-<name>.safetensors (see README.md): a student of fp-qwen3 with SubLN `paper`, quantised in other ways than BitNet b1.58's.
Run: python make-quantised.py [name ...]; deterministic. Inputs, arithmetic and what is stored are as in make.py."""

import sys

import torch

import make
import reference as ref

QUANTISERS = {
    "row": ref.Quantiser(group=0),
    "sparse": ref.Quantiser(keep=2, of=4),
    "exactly": ref.Quantiser(keep=3, of=4, exactly=True),
    "columns": ref.Quantiser("absmedian", group=16),
    "hadamard": ref.Quantiser(hadamard=True),
    "four-bits": ref.Quantiser(hadamard=True, bits=4),
    "learned": ref.Quantiser(learned=True),
    "learned-rows": ref.Quantiser(group=0, learned=True),
}
CONFIG = make.CONFIGS["qwen3"]


def learned_scales(parameters, quantiser):
    """Scales that have left their start: 0.8 to 1.4 of the mean of the sizes, of a matrix or of each row."""
    if not quantiser.learned:
        return {}
    generator = torch.Generator().manual_seed(8000)
    found = {}
    for name, weight in parameters.items():
        if name.endswith("_proj.weight"):
            sizes = weight.abs().mean().reshape(1) if quantiser.group is None else weight.abs().mean(1)
            found[name.removesuffix(".weight") + ".delta"] = sizes * (0.8 + 0.6 * torch.rand(sizes.shape, generator=generator))
    return found


def run(parameters, quantiser, with_gradient=True):
    ids, mask, targets = make.batch()
    margin = ref.TieMargin()
    p = make.leaves(parameters)
    with torch.set_grad_enabled(with_gradient):
        out = ref.forward(p, CONFIG, ids, mask, True, "paper", CONFIG.rms_norm_eps, margin, quantiser=quantiser)
        return p, out, ref.cross_entropy(out["logits"], targets), margin


def write(name):
    quantiser, base = QUANTISERS[name], make.parameters_of("qwen3")
    scales = learned_scales(base, quantiser)
    base = base | scales
    subln = lambda seed: make.subln_parameters(CONFIG, "paper", seed)
    seed = make.best_seed(range(6000, 6040), lambda s: run(base | subln(s), quantiser, False)[3].activation)
    p, out, loss, margin = run(base | subln(seed), quantiser)
    assert margin.activation > 5e-5 and margin.weight > 1e-6, vars(margin)
    ids, mask, targets = make.batch()
    make.write(f"quantised-{name}", subln(seed) | scales | make.io_tensors(ids, mask, targets, out) | make.gradients(loss, p), make.meta_of(
        CONFIG, loss=loss.item(), placement="paper", sublnEps=CONFIG.rms_norm_eps, parametersFrom="fp-qwen3.safetensors",
        quantiser=vars(quantiser), tieMargin=vars(margin)))


if __name__ == "__main__":
    torch.set_num_threads(1)
    for chosen in sys.argv[1:] or QUANTISERS:
        write(chosen)
