"""
Codes of GPTQ and AWQ, by NumPy in double: `pip install numpy==2.4.6 safetensors==0.8.0`, then `python make-calibration.py`.

GPTQ as its paper's Algorithm 1 and its released code have it: the Hessian is inverted, the upper Cholesky factor of the inverse is taken, and columns are
rounded in blocks whose remaining columns are updated once a block. AWQ's search as its released code has it (`_search_module_scale`), with the error of the
linear layers' own outputs, computed from the inputs themselves and not from their moments.
"""
import numpy as np
from safetensors.numpy import save_file

O, K, N = 24, 128, 160
FACTORS = [1 + i / 10 for i in range(11)]
EXPONENTS = [i / 10 for i in range(11)]
rng = np.random.default_rng(7)

# Inputs that depend on one another and differ in size by channel, as those of a language model do.
x = (rng.standard_normal((N, 40)) @ rng.standard_normal((40, K)) * 0.15 + 0.5 * rng.standard_normal((N, K)))
x = (x * np.exp(0.3 * rng.standard_normal(K))).astype(np.float32)
w = (0.05 * rng.standard_normal((O, K)) * np.exp(0.4 * rng.standard_normal((O, 1)))).astype(np.float32)
X = x.astype(np.float64)


def scales_of(weights, group):
    """Absmean of a matrix, of rows, or of 64 columns: one value for each weight, and how many values share one."""
    run = {"tensor": weights.size, "row": K}.get(group, group)
    means = np.maximum(np.abs(weights.astype(np.float64)).reshape(-1, run).mean(1), 1e-5).astype(np.float32)
    return means if means.size == 1 else means.astype(np.float16).astype(np.float32)


def times(scales, factor):
    if scales.size == 1:
        return (scales.astype(np.float64) * factor).astype(np.float32)
    return (scales.astype(np.float64) * factor).astype(np.float32).astype(np.float16).astype(np.float32)


def spread(scales):
    return np.repeat(scales.astype(np.float64), O * K // scales.size).reshape(O, K)


def code(values):
    return np.clip(np.rint(values), -1, 1) + 0.0


def gptq(weights, scales, damping=0.01, block=32):
    hessian = X.T @ X
    hessian[np.diag_indices(K)] += damping * np.mean(np.diag(hessian))
    u = np.linalg.cholesky(np.linalg.inv(hessian)).T
    left, codes, losses, d = weights.astype(np.float64).copy(), np.zeros((O, K)), np.zeros(O), spread(scales)
    for start in range(0, K, block):
        end = min(start + block, K)
        errors = np.zeros((O, end - start))
        for j in range(start, end):
            codes[:, j] = code(left[:, j] / d[:, j])
            errors[:, j - start] = (left[:, j] - codes[:, j] * d[:, j]) / u[j, j]
            left[:, j + 1 : end] -= np.outer(errors[:, j - start], u[j, j + 1 : end])
        losses += (errors**2).sum(1)
        left[:, end:] -= errors @ u[start:end, end:]
    return codes, losses


def nearest(weights, inputs):
    def rounded(scales):
        codes = code(weights.astype(np.float64) / spread(scales))
        error = inputs @ (weights.astype(np.float64) - codes * spread(scales)).T
        return codes, (error**2).sum(0)

    return rounded


def search(weights, group, rounded):
    base = scales_of(weights, group)
    best = None
    for factor in FACTORS:
        scales = times(base, factor)
        codes, losses = rounded(scales)
        if best is None:
            best = [codes, scales, losses]
        elif group == "tensor":
            if losses.sum() < best[2].sum():
                best = [codes, scales, losses]
        else:
            better = losses < best[2]
            of_row = scales.reshape(O, -1)
            kept = best[1].reshape(O, -1).copy()
            kept[better] = of_row[better]
            best = [np.where(better[:, None], codes, best[0]), kept.reshape(-1), np.minimum(losses, best[2])]
    return best


def awq_scales(weights, group):
    size = np.abs(X).mean(0)
    size = np.maximum(size, 1e-4 * size.mean())
    best = (None, np.inf)
    for exponent in EXPONENTS:
        s = size**exponent
        s = s / np.sqrt(s.max() * s.min())
        multiplied = (weights * s).astype(np.float32)
        _, losses = nearest(multiplied, X / s)(times(scales_of(multiplied, group), 1.5))
        if losses.sum() < best[1]:
            best = (s, losses.sum())
    return best[0]


found = {"x": x, "w": w, "hessian": np.triu(X.T @ X), "sizes": np.abs(X).sum(0)}
for group in ("tensor", "row", 64):
    codes, scales, losses = search(w, group, lambda scales: gptq(w, scales))
    name = f"gptq.{group}"
    found |= {f"{name}.codes": codes.astype(np.float32), f"{name}.scales": scales, f"{name}.error": np.array([losses.sum()])}
    codes, scales, losses = search(w, group, nearest(w, X))
    name = f"nearest.{group}"
    found |= {f"{name}.codes": codes.astype(np.float32), f"{name}.scales": scales, f"{name}.error": np.array([losses.sum()])}
    s = awq_scales(w, group)
    multiplied = (w * s).astype(np.float32)
    codes, scales, losses = search(multiplied, group, nearest(multiplied, X / s))
    name = f"awq.{group}"
    found |= {f"{name}.channels": s, f"{name}.codes": codes.astype(np.float32), f"{name}.scales": scales, f"{name}.error": np.array([losses.sum()])}
# What the released code of BitDistill calls gptq and awq.
W = w.astype(np.float64)
delta = np.abs(W).mean() * 1 / np.mean((W.var(0, ddof=1) + 1e-8) ** -0.5)
found |= {"deviation.scales": np.array([delta]), "deviation.codes": code(W / np.float32(delta))}
means = np.abs(W).mean(1)
deltas = np.abs(W).mean() / np.where(means > np.quantile(means, 0.8), 0.7, 1.2)
deltas = deltas.astype(np.float32).astype(np.float16).astype(np.float32)
found |= {"row-levels.scales": deltas, "row-levels.codes": code(W / deltas[:, None])}
for name, values in found.items():
    if name.endswith("error"):
        print(name, values)
save_file({name: np.ascontiguousarray(values.astype(np.float32)) for name, values in found.items()}, "calibration.safetensors")
