#include "runtime/gguf.h"

#include <cmath>
#include <cstring>

#include "kernels/pack.h"
#include "runtime/error.h"

namespace tritsmith {
namespace {

constexpr uint32_t kUint8 = 0, kInt8 = 1, kUint16 = 2, kInt16 = 3, kUint32 = 4, kInt32 = 5, kFloat32 = 6, kBool = 7, kString = 8,
                   kArray = 9, kUint64 = 10, kInt64 = 11, kFloat64 = 12;

size_t scalarBytes(uint32_t type) {
  switch (type) {
    case kUint8: case kInt8: case kBool: return 1;
    case kUint16: case kInt16: return 2;
    case kUint32: case kInt32: case kFloat32: return 4;
    case kUint64: case kInt64: case kFloat64: return 8;
    default: damaged("a value has the unknown type " + std::to_string(type) + ".");
  }
}

class Reader {
 public:
  Reader(const uint8_t* data, size_t size) : data_(data), size_(size) {}

  size_t left() const { return size_ - at_; }
  size_t at() const { return at_; }

  const uint8_t* take(uint64_t count) {
    if (count > left()) damaged("it ends in the middle of its header.");
    const uint8_t* const p = data_ + at_;
    at_ += static_cast<size_t>(count);
    return p;
  }
  template <typename Number>
  Number read() {
    Number value;
    std::memcpy(&value, take(sizeof value), sizeof value);
    return value;
  }
  std::string_view string() {
    const uint64_t length = read<uint64_t>();
    const uint8_t* const p = take(length);
    return {reinterpret_cast<const char*>(p), static_cast<size_t>(length)};
  }

 private:
  const uint8_t* data_;
  size_t size_;
  size_t at_ = 0;
};

uint64_t times(uint64_t a, uint64_t b) {
  if (b != 0 && a > UINT64_MAX / b) damaged("a tensor is larger than any file.");
  return a * b;
}

/** Bytes of a tensor, or throws on a row that is no whole number of blocks. */
uint64_t tensorBytes(TensorType type, const std::vector<uint64_t>& shape, const std::string& name) {
  uint64_t count = 1;
  for (const uint64_t dimension : shape) count = times(count, dimension);
  const uint64_t width = shape[0];
  const auto blocks = [&](uint64_t block, uint64_t bytes) {
    if (width % block != 0) damaged("rows of tensor " + name + " are no whole number of blocks.");
    return times(count / block, bytes);
  };
  switch (type) {
    case TensorType::f32: return times(count, 4);
    case TensorType::f16: case TensorType::bf16: return times(count, 2);
    case TensorType::q4_0: return blocks(32, 18);
    case TensorType::q8_0: return blocks(32, 34);
    case TensorType::q6_k: return blocks(256, 210);
    case TensorType::tq1_0: return blocks(256, 54);
    case TensorType::tq2_0: return blocks(256, 66);
    case TensorType::q2_0: return blocks(64, 18);
    // Blocks go on over the ends of rows; files that are written to be measured here alone (docs/formats.md, 2.1) fill up the last one.
    case TensorType::i2_s: return (count / 128 + (count % 128 != 0)) * 32 + 32;
    case TensorType::t3_4:
      if (width % 4 != 0) damaged("rows of tensor " + name + " are no whole fours.");
      return patternBytes(count) + 32;
  }
  unsupported("Tensor " + name + " has type " + std::to_string(static_cast<uint32_t>(type)) + ", which this runtime doesn't read.",
              "Export the model with I2_S, T3_4, Q2_0, TQ1_0, TQ2_0, F32, F16, BF16, Q4_0, Q8_0 or Q6_K tensors.");
}

}  // namespace

Gguf::Gguf(const uint8_t* data, size_t size) {
  Reader reader(data, size);
  if (size < 24 || std::memcmp(reader.take(4), "GGUF", 4) != 0)
    throw RuntimeError("bad-input", "This is not a GGUF file.", "Choose a file that ends in .gguf.");
  const uint32_t version = reader.read<uint32_t>();
  if (version != 2 && version != 3) unsupported("GGUF version " + std::to_string(version) + " is not supported (2 and 3 are).");
  const uint64_t tensorCount = reader.read<uint64_t>(), valueCount = reader.read<uint64_t>();

  // The smallest entry of either kind takes more than 12 bytes, so a larger count can't be honest.
  if (tensorCount > reader.left() / 12 || valueCount > reader.left() / 12) damaged("its header promises more entries than it holds.");
  for (uint64_t i = 0; i < valueCount; i++) {
    const std::string key(reader.string());
    Value value{reader.read<uint32_t>(), 0, {}};
    if (value.type == kString) {
      value.string = reader.string();
    } else if (value.type == kArray) {
      const uint32_t element = reader.read<uint32_t>();
      const uint64_t length = reader.read<uint64_t>();
      value.bits = length;
      if (element == kString)
        for (uint64_t k = 0; k < length; k++) reader.string();
      else reader.take(times(length, scalarBytes(element)));
    } else {
      const size_t bytes = scalarBytes(value.type);
      std::memcpy(&value.bits, reader.take(bytes), bytes);
    }
    if (!values_.emplace(key, value).second) damaged("the key " + key + " occurs twice.");
  }

  struct Entry {
    std::string name;
    GgufTensor tensor;
    uint64_t offset;
  };
  std::vector<Entry> entries;
  for (uint64_t i = 0; i < tensorCount; i++) {
    Entry entry;
    entry.name = std::string(reader.string());
    const uint32_t dimensions = reader.read<uint32_t>();
    if (dimensions < 1 || dimensions > 4) damaged("tensor " + entry.name + " has " + std::to_string(dimensions) + " dimensions.");
    for (uint32_t d = 0; d < dimensions; d++) {
      entry.tensor.shape.push_back(reader.read<uint64_t>());
      if (entry.tensor.shape.back() == 0) damaged("tensor " + entry.name + " is empty.");
    }
    entry.tensor.type = static_cast<TensorType>(reader.read<uint32_t>());
    entry.offset = reader.read<uint64_t>();
    entries.push_back(std::move(entry));
  }

  const uint64_t alignment = number("general.alignment", uint64_t{1} << 20, 32);
  if (alignment == 0 || (alignment & (alignment - 1)) != 0) damaged("its alignment is no power of two.");
  const uint64_t start = (reader.at() + alignment - 1) / alignment * alignment;
  for (Entry& entry : entries) {
    const uint64_t bytes = tensorBytes(entry.tensor.type, entry.tensor.shape, entry.name);
    if (entry.offset % alignment != 0) damaged("tensor " + entry.name + " is not aligned.");
    if (start > size || entry.offset > size - start || bytes > size - start - entry.offset)
      damaged("the data of tensor " + entry.name + " lies beyond its end.");
    entry.tensor.data = data + start + entry.offset;
    entry.tensor.bytes = static_cast<size_t>(bytes);
    if (!tensors_.emplace(entry.name, std::move(entry.tensor)).second) damaged("tensor " + entry.name + " occurs twice.");
  }
}

const Gguf::Value* Gguf::value(const std::string& key) const {
  const auto found = values_.find(key);
  return found == values_.end() ? nullptr : &found->second;
}

bool Gguf::has(const std::string& key) const { return value(key) != nullptr; }

std::string Gguf::text(const std::string& key) const {
  const Value* const found = value(key);
  if (found == nullptr || found->type != kString) damaged("the text " + key + " is missing.");
  return std::string(found->string);
}

std::string Gguf::text(const std::string& key, const std::string& otherwise) const { return has(key) ? text(key) : otherwise; }

uint64_t Gguf::number(const std::string& key, uint64_t most) const {
  const Value* const found = value(key);
  if (found == nullptr) damaged("the number " + key + " is missing.");
  int64_t signedBits = 0;
  switch (found->type) {
    case kUint8: case kUint16: case kUint32: case kUint64: case kBool:
      if (found->bits > most) damaged(key + " is out of range.");
      return found->bits;
    case kInt8: signedBits = static_cast<int8_t>(found->bits); break;
    case kInt16: signedBits = static_cast<int16_t>(found->bits); break;
    case kInt32: signedBits = static_cast<int32_t>(found->bits); break;
    case kInt64: signedBits = static_cast<int64_t>(found->bits); break;
    default: damaged(key + " is not a whole number.");
  }
  if (signedBits < 0 || static_cast<uint64_t>(signedBits) > most) damaged(key + " is out of range.");
  return static_cast<uint64_t>(signedBits);
}

uint64_t Gguf::number(const std::string& key, uint64_t most, uint64_t otherwise) const { return has(key) ? number(key, most) : otherwise; }

float Gguf::real(const std::string& key, float otherwise) const {
  const Value* const found = value(key);
  if (found == nullptr) return otherwise;
  float result;
  if (found->type == kFloat32) {
    const uint32_t bits = static_cast<uint32_t>(found->bits);
    std::memcpy(&result, &bits, sizeof result);
  } else if (found->type == kFloat64) {
    double wide;
    std::memcpy(&wide, &found->bits, sizeof wide);
    if (!(std::fabs(wide) <= 3.4e38)) damaged(key + " is out of range.");
    result = static_cast<float>(wide);
  } else {
    damaged(key + " is not a floating-point number.");
  }
  if (!std::isfinite(result)) damaged(key + " is not finite.");
  return result;
}

const GgufTensor* Gguf::find(const std::string& name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

const GgufTensor& Gguf::tensor(const std::string& name) const {
  const GgufTensor* const found = find(name);
  if (found == nullptr) damaged("tensor " + name + " is missing.");
  return *found;
}

}  // namespace tritsmith
