"""
Why moments in bytes have the numbers that they have (docs/method.md, 5.10): AdamW with exact moments beside AdamW with moments in bytes, in blocks whose gradients lie
four decades apart and shrink each at a pace of its own. Prints the distance (L2) of a step from the exact one in the mean of 2,000 steps, of the sum of all, and the longest
step. Needs NumPy. Run: python moment-codes.py
"""
import numpy as np

STEPS, BLOCKS, SIZE = 2000, 16, 256


def floats(codes):
    return np.array([0.0] + [(8 + (code - codes + 1) % 8) * 2.0 ** ((code - codes + 1) // 8 - 3) for code in range(1, codes)])


def decimal(signed):
    """Dettmers' dynamic map of eight bits."""
    numbers = [0.0, 1.0]
    for exponent in range(7):
        edges = np.linspace(0.1, 1, 2 ** (exponent + (0 if signed else 1)) + 1)
        numbers += list(10.0 ** (exponent - 6) * (edges[:-1] + edges[1:]) / 2)
    return np.sort(numbers)


def rounded(values, table, random):
    at = np.clip(np.searchsorted(table, values, side="right"), 1, len(table) - 1)
    low, high = table[at - 1], table[at]
    share = (values - low) / (high - low)
    return np.where(share > (0.5 if random is None else random), high, low)


def simulate(name, first, second, at_random, keeps):
    draws = np.random.default_rng(0)
    shape = (BLOCKS, SIZE)
    sizes = np.exp(draws.normal(0, 1.5, shape)) * 1e-4
    sizes[:, ::40] *= 30
    means, pace = draws.normal(0, 0.2, shape), draws.random(shape) * 1.5
    m = v = m_bytes = v_bytes = exact_sum = bytes_sum = np.zeros(shape)
    errors, longest = [], 0
    for step in range(1, STEPS + 1):
        noise = draws.normal(0, 1, shape) * (draws.random(shape) < 0.7)
        g = sizes * (1 + step / 50) ** -pace * (means + noise)
        moved = lambda m, v: (0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g)
        length = lambda m, v: m / (1 - 0.9**step) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
        (m, v), (m_new, v_new) = moved(m, v), moved(m_bytes, v_bytes)
        exact, found = length(m, v), length(m_new, v_new)
        exact_sum, bytes_sum = exact_sum + exact, bytes_sum + found
        errors.append(np.linalg.norm(found - exact) / np.linalg.norm(exact))
        longest = max(longest, np.abs(found).max())
        m_most, v_most = np.abs(m_new).max(1, keepdims=True), v_new.max(1, keepdims=True)
        m_bytes = np.sign(m_new) * rounded(np.abs(m_new) / m_most, first, None) * m_most
        v_bytes = rounded(v_new / v_most, second, draws.random(shape) if at_random else None) * v_most
        if keeps:
            v_bytes = np.where((v_bytes == 0) & (v_new > 0), second[1] * v_most, v_bytes)
    apart = np.linalg.norm(bytes_sum - exact_sum) / np.linalg.norm(exact_sum)
    print(f"{name:46s} step {np.mean(errors):8.3f}   sum {apart:7.3f}   longest {longest:7.1f}")


simulate("decimal, to the nearest", decimal(True), decimal(False), False, False)
simulate("decimal, to the nearest, never to 0", decimal(True), decimal(False), False, True)
simulate("binary, to the nearest, never to 0", floats(128), floats(256), False, True)
simulate("binary, second moment at random, never to 0", floats(128), floats(256), True, True)
