"""
Writes adamw-bytes.json: AdamW with moments in bytes (docs/method.md, 5.10), written from its description with NumPy, one step after the other over whole
arrays. It knows the 256 numbers that a byte stands for as a table and finds the nearest by search, where the addon works on bits. Run: python adamw-bytes.py
"""
import json
from pathlib import Path

import numpy as np

BLOCK = 256
COUNT = 700
STEPS = 40
FIRST_BLOCK = 5
settings = dict(learningRate=2e-3, beta1=0.9, beta2=0.98, epsilon=1e-8, weightDecay=0.05, gradientScale=0.5)
f32 = np.float32


def table(codes):
    """0, then numbers with three digits after the leading one in base 2, the largest of which is 1."""
    eighths = [(8 + (code - codes + 1) % 8) * 2.0 ** ((code - codes + 1) // 8 - 3) for code in range(1, codes)]
    return np.array([0.0] + eighths)


first_table, second_table = table(128), table(256)


def draws(count, state):
    """The same numbers as `values` of the test."""
    out = []
    for _ in range(count):
        state = (state * 1664525 + 1013904223) % 2**32
        out.append(state / 2**31 - 1)
    return np.array(out)


def lowbias(x):
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))


def block_key(step, block):
    z = (step * 0x9E3779B97F4A7C15 + block * 0xD1B54A32D192ED03) % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return (z ^ (z >> 31)) >> 32


def below(values, numbers):
    return np.searchsorted(numbers, values.astype(np.float64), side="right") - 1


def nearest(values, numbers):
    """Half goes up."""
    low = np.minimum(below(values, numbers), len(numbers) - 2)
    middle = (numbers[low] + numbers[low + 1]) / 2
    return low + (values >= middle)


def at_random(values, numbers, random):
    """Up with a probability of how far the value lies from the number below it; never down to 0."""
    low = below(values, numbers)
    high = np.minimum(low + 1, len(numbers) - 1)
    share = (values - numbers[low]) / np.where(high == low, 1, numbers[high] - numbers[low])
    up = np.floor(share * 2.0**20) + random >= 2.0**20
    return np.where(low == 0, values > 0, low + up)


parameters = draws(COUNT, 1).astype(f32)
blocks = -(-COUNT // BLOCK)
first, second = np.zeros(COUNT, int), np.zeros(COUNT, int)
sign = np.ones(COUNT, f32)
first_scale, second_scale = np.zeros(blocks, f32), np.zeros(blocks, f32)
block_of = np.arange(COUNT) // BLOCK
lane = (np.arange(COUNT) % BLOCK).astype(np.uint32)

with np.errstate(over="ignore"):
    for step in range(1, STEPS + 1):
        # Sizes over eight decades, some of which come now and then, and some never.
        sizes = 10.0 ** -(np.arange(COUNT) % 9)
        sizes[np.arange(COUNT) % 11 == step % 3] = 0
        sizes[::50] = 0
        g = (draws(COUNT, 100 + step) * sizes).astype(f32) * f32(settings["gradientScale"])
        m = sign * first_table[first].astype(f32) * first_scale[block_of]
        v = second_table[second].astype(f32) * second_scale[block_of]
        m = m + f32(1 - settings["beta1"]) * (g - m)
        v = v * f32(settings["beta2"]) + f32(1 - settings["beta2"]) * g * g
        correction = f32(np.sqrt(1 - settings["beta2"] ** step))
        size = f32(settings["learningRate"] / (1 - settings["beta1"] ** step))
        keep = f32(1 - settings["learningRate"] * settings["weightDecay"])
        parameters = parameters * keep - size * (m / (np.sqrt(v) / correction + f32(settings["epsilon"])))
        for block in range(blocks):
            own = block_of == block
            first_scale[block], second_scale[block] = np.abs(m[own]).max(), v[own].max()
            key = np.uint32(block_key(step, FIRST_BLOCK + block))
            random = lowbias(key + lane[own] * np.uint32(0x9E3779B9)) >> np.uint32(12)
            first[own] = nearest(np.abs(m[own]) / (first_scale[block] or f32(1)), first_table)
            second[own] = at_random(v[own] / (second_scale[block] or f32(1)), second_table, random)
        sign = np.where(np.signbit(m), -1, 1).astype(f32)

assert parameters.dtype == f32
padded = np.zeros(blocks * BLOCK, np.uint8)
codes = lambda of: np.concatenate([of.astype(np.uint8), padded[len(of):]]).tobytes().hex()
Path(__file__).with_name("adamw-bytes.json").write_text(json.dumps(dict(
    settings=settings, steps=STEPS, firstBlock=FIRST_BLOCK, after=parameters.tolist(),
    first=codes(first + np.where((sign < 0), 128, 0)), second=codes(second),
    firstScales=first_scale.tolist(), secondScales=second_scale.tolist())) + "\n")
