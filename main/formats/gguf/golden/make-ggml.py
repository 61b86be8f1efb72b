"""Bytes as ggml itself quantises: `python make-ggml.py <libggml-base.so> <folder>` writes ggml.json (ctypes, numpy). The library is
the one that node-llama-cpp ships (3.22.1, llama.cpp release v0.5.0)."""

import ctypes
import json
import sys
from pathlib import Path

import numpy as np

ggml = ctypes.CDLL(sys.argv[1])
ggml.ggml_quantize_chunk.restype = ctypes.c_size_t
floats = ctypes.POINTER(ctypes.c_float)
ggml.ggml_quantize_chunk.argtypes = [ctypes.c_int, floats, ctypes.c_void_p] + [ctypes.c_int64] * 3 + [floats]
types = {"Q4_0": (2, 32, 18), "Q8_0": (8, 32, 34), "Q6_K": (14, 256, 210)}

random = np.random.default_rng(5)
values = (random.standard_normal((16, 256)) * 0.1).astype(np.float32)
values[3] = 0
values[4, :16] = 0
values[5] *= 1e-6
values[6] *= 1e4
values[7] = np.sign(values[7]) * 0.03
values[8, 100] = 40
packed = {}
for name, (number, block, size) in types.items():
    out = ctypes.create_string_buffer(values.size // block * size)
    used = ggml.ggml_quantize_chunk(number, values.ctypes.data_as(floats), out, 0, values.shape[0], values.shape[1], None)
    assert used == len(out.raw)
    packed[name] = out.raw.hex()
Path(sys.argv[2], "ggml.json").write_text(json.dumps({"values": values.tobytes().hex(), "packed": packed}) + "\n")
