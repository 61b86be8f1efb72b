"""Q2_0 as ggml itself packs and reads it: `python make-q2.py <libggml-base.so> <folder>` writes q2.json (ctypes, numpy). The library is
the one that node-llama-cpp ships (3.22.1, llama.cpp release v0.5.0). `packed` are ternary values (multiples of 1 and of 0.75, which F16
holds); `foreign` are random blocks, all four codes among them, and the values that ggml reads from them."""

import ctypes
import json
import sys
from pathlib import Path

import numpy as np

ggml = ctypes.CDLL(sys.argv[1])
floats = ctypes.POINTER(ctypes.c_float)
ggml.ggml_quantize_chunk.restype = ctypes.c_size_t
ggml.ggml_quantize_chunk.argtypes = [ctypes.c_int, floats, ctypes.c_void_p] + [ctypes.c_int64] * 3 + [floats]
ggml.dequantize_row_q2_0.argtypes = [ctypes.c_void_p, floats, ctypes.c_int64]
number, block, size = 42, 64, 18

random = np.random.default_rng(11)
ternary = random.integers(-1, 2, (4, 320)).astype(np.int8)


def packed(scale):
    values = ternary.astype(np.float32) * np.float32(scale)
    out = ctypes.create_string_buffer(values.size // block * size)
    used = ggml.ggml_quantize_chunk(number, values.ctypes.data_as(floats), out, 0, *values.shape, None)
    assert used == len(out.raw)
    return out.raw.hex()


foreign = random.integers(0, 256, (6, size), dtype=np.uint8)
foreign[:, :2] = np.array([1, -0.5, 0.0173, 6e-8, 65504, 0], dtype=np.float16).reshape(6, 1).view(np.uint8)
read = np.empty(6 * block, dtype=np.float32)
ggml.dequantize_row_q2_0(foreign.ctypes.data, read.ctypes.data_as(floats), read.size)
content = {
    "ternary": ternary.flatten().tolist(),
    "packed": {"1": packed(1), "0.75": packed(0.75)},
    "foreign": foreign.tobytes().hex(),
    "values": read.tobytes().hex(),
}
Path(sys.argv[2], "q2.json").write_text(json.dumps(content) + "\n")
