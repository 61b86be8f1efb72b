"""Golden file by the reference library: `python make.py <folder>` writes reference.gguf and values.json (gguf, numpy)."""

import json
import sys
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType as T, GGUFWriter, quants

folder = Path(sys.argv[1])
random = np.random.default_rng(1)
ternary = random.integers(-1, 2, (4, 512)).astype(np.float32)
values = (random.standard_normal((2, 256)) * 0.1).astype(np.float32)

writer = GGUFWriter(folder / "reference.gguf", "llama")
writer.add_uint8("all.uint8", 200)
writer.add_int8("all.int8", -100)
writer.add_uint16("all.uint16", 60000)
writer.add_int16("all.int16", -30000)
writer.add_uint32("all.uint32", 4000000000)
writer.add_int32("all.int32", -2000000000)
writer.add_uint64("all.uint64", 2**63)
writer.add_int64("all.int64", -(2**52))
writer.add_float32("all.float32", 1.5)
writer.add_float64("all.float64", 0.1)
writer.add_bool("all.bool", True)
writer.add_string("all.string", "größer ▁")
writer.add_array("all.strings", ["", "a", "Ġb"])
writer.add_array("all.int32s", [1, -2, 3])
writer.add_array("all.float32s", [0.5, -0.25])
expected = {}


def add(name, data, type):
    writer.add_tensor(name, data, raw_dtype=None if type in (T.F32, T.F16) else type)
    expected[name] = quants.dequantize(data, type).astype(np.float64).flatten().tolist()


add("f32", values, T.F32)
add("f16", values.astype(np.float16), T.F16)
for type in (T.BF16, T.Q8_0, T.Q4_0):
    add(type.name.lower(), quants.quantize(values, type), type)
for type in (T.TQ1_0, T.TQ2_0):
    add(type.name.lower(), quants.quantize(ternary, type), type)
q6 = random.integers(0, 256, (2, 210)).astype(np.uint8)
q6[:, 208:] = np.array([0.01, -0.02], dtype=np.float16).reshape(2, 1).view(np.uint8)
add("q6_k", q6, T.Q6_K)
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()

codes = (ternary.flatten() + 1).astype(np.uint8).reshape(-1, 4, 32)
i2s = (codes[:, 0] << 6 | codes[:, 1] << 4 | codes[:, 2] << 2 | codes[:, 3]).astype(np.uint8).tobytes()
i2s += np.float32(0.0173).tobytes() + bytes(28)
packed = {type.name: quants.quantize(ternary, type).tobytes().hex() for type in (T.TQ1_0, T.TQ2_0)}
packed |= {"I2_S": i2s.hex(), "Q8_0": quants.quantize(values, T.Q8_0).tobytes().hex()}
(folder / "values.json").write_text(
    json.dumps({"ternary": ternary.astype(int).flatten().tolist(), "packed": packed, "expected": expected})
)
