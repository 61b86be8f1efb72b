"""Golden values of quantised types: `python make-types.py <libggml-base.so> <folder>` writes types.json (ctypes, gguf 0.19, numpy): the name
and size of every type as ggml itself says them, and blocks of random bytes with their values by the gguf package; and types.gguf with the same blocks. The library is the one
that node-llama-cpp ships (3.22.1, llama.cpp release v0.5.0)."""

import ctypes
import json
import sys
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType as T, GGUFWriter, quants

ggml = ctypes.CDLL(sys.argv[1])
ggml.ggml_type_name.restype = ctypes.c_char_p
ggml.ggml_type_size.restype = ctypes.c_size_t
ggml.ggml_blck_size.restype = ctypes.c_int64
types = {}
for number in range(43):
    size = ggml.ggml_type_size(number)
    if size > 0:
        types[number] = [ggml.ggml_type_name(number).decode().upper(), ggml.ggml_blck_size(number), size]

# Byte positions of the F16 scales in a block.
halves = {
    T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q8_0: [0], T.Q2_K: [80, 82], T.Q3_K: [108], T.Q4_K: [0, 2],
    T.Q5_K: [0, 2], T.Q6_K: [208], T.IQ4_NL: [0], T.IQ4_XS: [0], T.TQ1_0: [52], T.TQ2_0: [64],
}
random = np.random.default_rng(11)
blocks = {}
writer = GGUFWriter(Path(sys.argv[2], "types.gguf"), "llama")
for type, places in halves.items():
    size = types[type.value][2]
    count = 3 if types[type.value][1] == 256 else 16
    data = random.integers(0, 256, (count, size)).astype(np.uint8)
    for place in places:
        data[:, place : place + 2] = (random.standard_normal((count, 1)) * 0.05).astype(np.float16).view(np.uint8)
    # A subnormal and a large scale.
    data[0, places[0] : places[0] + 2] = np.array([3e-6], dtype=np.float16).view(np.uint8)
    data[1, places[0] : places[0] + 2] = np.array([60000], dtype=np.float16).view(np.uint8)
    values = quants.dequantize(data, type)
    assert np.isfinite(values).all()
    writer.add_tensor(type.name.lower(), data, raw_dtype=type)
    blocks[type.name] = {"bytes": data.tobytes().hex(), "values": values.astype(np.float32).tobytes().hex()}
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
Path(sys.argv[2], "types.json").write_text(json.dumps({"types": types, "blocks": blocks}) + "\n")
