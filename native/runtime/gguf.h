#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace tritsmith {

/** Tensor types that the runtime reads (ggml's numbers; 36 is bitnet.cpp's I2_S, 1034 our own T3_4). */
enum class TensorType : uint32_t {
  f32 = 0, f16 = 1, q4_0 = 2, q8_0 = 8, q6_k = 14, bf16 = 30, tq1_0 = 34, tq2_0 = 35, i2_s = 36, q2_0 = 42, t3_4 = 1034
};

struct GgufTensor {
  std::vector<uint64_t> shape;  // as in the file: fastest dimension first
  TensorType type = TensorType::f32;
  const uint8_t* data = nullptr;
  size_t bytes = 0;
};

/**
 * Header of a GGUF file (version 2 or 3, little endian). Every length is checked against the bytes that are there before it is used, and a tensor
 * is accepted only if its whole data lies in the file. Views point into the file's memory.
 */
class Gguf {
 public:
  Gguf(const uint8_t* data, size_t size);

  bool has(const std::string& key) const;
  std::string text(const std::string& key) const;
  std::string text(const std::string& key, const std::string& otherwise) const;
  /** A whole number in [0, most]. */
  uint64_t number(const std::string& key, uint64_t most) const;
  uint64_t number(const std::string& key, uint64_t most, uint64_t otherwise) const;
  float real(const std::string& key, float otherwise) const;
  const GgufTensor* find(const std::string& name) const;
  const GgufTensor& tensor(const std::string& name) const;
  size_t tensors() const { return tensors_.size(); }

 private:
  struct Value {
    uint32_t type;
    uint64_t bits;
    std::string_view string;
  };
  const Value* value(const std::string& key) const;
  std::unordered_map<std::string, Value> values_;
  std::unordered_map<std::string, GgufTensor> tensors_;
};

}  // namespace tritsmith
