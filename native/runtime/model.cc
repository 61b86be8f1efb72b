/** From a GGUF file to a Model: architecture, shapes checked tensor by tensor, ternary tensors packed. */
#include "runtime/model.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>

#include "kernels/pack.h"
#include "kernels/scalar.h"
#include "runtime/error.h"
#include "runtime/gguf.h"

namespace tritsmith {
namespace {

constexpr uint64_t kLargeCount = uint64_t{1} << 24;

std::string shapeText(const GgufTensor& tensor) {
  std::string text;
  for (const uint64_t dimension : tensor.shape) text += (text.empty() ? "" : " x ") + std::to_string(dimension);
  return text;
}

void expectShape(const GgufTensor& tensor, const std::string& name, size_t columns, size_t rows) {
  uint64_t found = 1;
  for (size_t d = 1; d < tensor.shape.size(); d++) found *= tensor.shape[d];
  if (tensor.shape[0] != columns || found != rows)
    damaged("tensor " + name + " is " + shapeText(tensor) + " instead of " + std::to_string(columns) + " x " + std::to_string(rows) + ".");
}

enum class Norms { before, after, around };
enum class QkNorm { none, head, projection };
/** SubLN: none; attn_sub_norm and ffn_sub_norm; *_norm_in; the last with gate's and up's beside down's, without which bitnet.cpp ignores it. */
enum class SubNorms { none, required, optional, optionalTogether };

/** What an architecture's name says of a file (docs/formats.md, 3). */
struct Family {
  const char* name;
  RopeStyle rope;
  Activation activation;
  Norms norms;
  QkNorm qkNorm;
  SubNorms subNorms;
};

constexpr Family kFamilies[] = {
    {"llama", RopeStyle::adjacent, Activation::silu, Norms::before, QkNorm::none, SubNorms::none},
    {"bitnet", RopeStyle::halves, Activation::silu, Norms::before, QkNorm::none, SubNorms::required},
    {"bitnet-b1.58", RopeStyle::halves, Activation::reluSquared, Norms::before, QkNorm::none, SubNorms::required},
    {"bitnet-25", RopeStyle::halves, Activation::reluSquared, Norms::before, QkNorm::none, SubNorms::required},
    {"qwen2", RopeStyle::halves, Activation::silu, Norms::before, QkNorm::none, SubNorms::none},
    {"qwen3", RopeStyle::halves, Activation::silu, Norms::before, QkNorm::head, SubNorms::optionalTogether},
    {"gemma3", RopeStyle::halves, Activation::geluTanh, Norms::around, QkNorm::head, SubNorms::optionalTogether},
    {"smollm3", RopeStyle::adjacent, Activation::silu, Norms::before, QkNorm::none, SubNorms::optional},
    {"granite", RopeStyle::adjacent, Activation::silu, Norms::before, QkNorm::none, SubNorms::optional},
    {"olmo2", RopeStyle::halves, Activation::silu, Norms::after, QkNorm::projection, SubNorms::optional},
    {"phi3", RopeStyle::halves, Activation::silu, Norms::before, QkNorm::none, SubNorms::optional},
};

/** Before the name of a family: a file that is for this runtime alone, and whose tensors don't say so (docs/formats.md, 3.5). */
const std::string kOwnPrefix = "tritsmith-";

const Family& familyOf(const Gguf& file) {
  const std::string whole = file.text("general.architecture");
  const std::string name = whole.compare(0, kOwnPrefix.size(), kOwnPrefix) == 0 ? whole.substr(kOwnPrefix.size()) : whole;
  std::string known;
  for (const Family& family : kFamilies) {
    if (name == family.name) return family;
    known += (known.empty() ? "" : ", ") + std::string(family.name);
  }
  unsupported("The architecture " + name + " is not supported.", known + " are.");
}

/** The kinds of the layers: their windows and rotary tables. */
void readLayerKinds(const Gguf& file, const Shape& s, const std::string& family, std::vector<Layer>& layers) {
  const std::string& a = s.architecture;
  const size_t window = static_cast<size_t>(file.number(a + ".attention.sliding_window", kLargeCount, 0));
  // As llama.cpp: the last of `period` layers sees everything. One layer a period: all have the window.
  const size_t period = static_cast<size_t>(file.number(a + ".attention.sliding_window_pattern", 1000, family == "gemma3" ? 6 : 1));
  const bool localBase = family == "gemma3" || file.real(a + ".rope.freq_base_swa", 0.0f) > 0;
  constexpr size_t kUnrotated = 4;  // every fourth layer of SmolLM3
  for (size_t i = 0; i < layers.size(); i++) {
    if (window > 0 && period > 0 && (period == 1 || i % period < period - 1)) {
      layers[i].window = window;
      if (localBase) layers[i].rope = RopeTable::local;
    }
    if (family == "smollm3" && (i + 1) % kUnrotated == 0) layers[i].rope = RopeTable::none;
  }
}

Shape readShape(const Gguf& file, const Family& family) {
  Shape s;
  s.architecture = file.text("general.architecture");
  s.rope = family.rope;
  s.activation = family.activation;
  s.wideQueryNorm = family.qkNorm == QkNorm::projection;
  const std::string& a = s.architecture;
  const auto count = [&](const char* key) {
    const uint64_t value = file.number(a + "." + key, kLargeCount);
    if (value == 0) damaged(a + "." + key + " is zero.");
    return static_cast<size_t>(value);
  };
  s.width = count("embedding_length");
  s.layers = count("block_count");
  s.ffn = count("feed_forward_length");
  s.heads = count("attention.head_count");
  s.kvHeads = static_cast<size_t>(file.number(a + ".attention.head_count_kv", kLargeCount, s.heads));
  s.trainedContext = count("context_length");
  s.headDim = static_cast<size_t>(file.number(a + ".attention.key_length", 4096, s.width / s.heads));
  const size_t valueDim = static_cast<size_t>(file.number(a + ".attention.value_length", 4096, s.headDim));
  if (s.headDim == 0 || s.headDim > 4096 || s.headDim % 2 != 0) damaged("the head size " + std::to_string(s.headDim) + " is impossible.");
  if (valueDim != s.headDim) unsupported("Heads with different key and value sizes are not supported.");
  if (s.kvHeads == 0 || s.heads % s.kvHeads != 0) damaged("its heads are no multiple of its key/value heads.");
  s.ropeDims = static_cast<size_t>(file.number(a + ".rope.dimension_count", 4096, s.headDim));
  if (s.ropeDims > s.headDim || s.ropeDims % 2 != 0) damaged("it rotates more dimensions than a head has.");
  s.normEpsilon = file.real(a + ".attention.layer_norm_rms_epsilon", 1e-5f);
  s.ropeBase = file.real(a + ".rope.freq_base", 10000.0f);
  if (!(s.ropeBase > 0) || s.normEpsilon < 0) damaged("its RoPE base or norm epsilon is out of range.");
  const std::string scaling = file.text(a + ".rope.scaling.type", "none");
  if (scaling == "linear") {
    s.ropeScale = file.real(a + ".rope.scaling.factor", 1.0f);
    if (!(s.ropeScale > 0)) damaged("its RoPE scaling factor is out of range.");
  } else if (scaling != "none" && scaling != "llama3") {
    unsupported("RoPE scaling of type " + scaling + " is not supported.", "none, linear and Llama-3's are.");
  }
  const auto positive = [&](const char* key, float otherwise) {
    const float value = file.real(a + "." + key, otherwise);
    if (!(value > 0) || !std::isfinite(value)) damaged(a + "." + key + " is out of range.");
    return value;
  };
  s.localRopeBase = positive("rope.freq_base_swa", 10000.0f);
  s.ropeMagnitude = positive("rope.scaling.attn_factor", 1.0f);
  s.attentionScale = positive("attention.scale", 1.0f / std::sqrt(static_cast<float>(s.headDim)));
  s.embeddingScale = positive("embedding_scale", std::strcmp(family.name, "gemma3") == 0 ? std::sqrt(static_cast<float>(s.width)) : 1.0f);
  s.residualScale = positive("residual_scale", 1.0f);
  s.logitScale = 1.0f / positive("logit_scale", 1.0f);
  const uint64_t bits = file.number(a + ".activation.bits", 255, 8);
  if (bits != 8 && bits != 4) unsupported("Inputs of " + std::to_string(bits) + " bits are not supported.", "Inputs of 8 and 4 bits are.");
  s.activationBits = static_cast<int>(bits);
  return s;
}

/** The block of columns that a projection's input is turned in, by its key. */
size_t readHadamard(const Gguf& file, const Shape& s, const char* projection, size_t columns) {
  const std::string key = s.architecture + ".hadamard." + projection;
  const size_t block = static_cast<size_t>(file.number(key, kLargeCount, 1));
  if (block == 0 || (block & (block - 1)) != 0 || columns % block != 0) damaged(key + " is no power of two that divides " + std::to_string(columns) + ".");
  return block;
}

size_t densePanels(const DenseMatrix& m) { return (m.rows + kDensePanelRows - 1) / kDensePanelRows; }

/** Bytes of a matrix as it lies in memory (with panelBytes set: in panels). */
size_t denseBytes(const DenseMatrix& m) { return m.panelBytes == 0 ? m.rows * m.rowBytes : densePanels(m) * m.panelBytes; }

/** Reads tensors into a Model. Ternary tensors are planned first, so that one block of memory holds them all, and packed at the end. */
class Loader {
 public:
  Loader(const Gguf& gguf, Model& model, const LoadOptions& options) : gguf_(gguf), model_(model), options_(options) {}

  const float* floats(const std::string& name, size_t count) {
    const GgufTensor& tensor = gguf_.tensor(name);
    expectShape(tensor, name, count, 1);
    DenseMatrix view = dense(tensor, name);
    model_.floats.push_back(std::make_unique<float[]>(count));
    kernelsPortable.denseRow(view, 0, model_.floats.back().get());
    return model_.floats.back().get();
  }
  const float* floatsIfAny(const std::string& name, size_t count) { return gguf_.find(name) == nullptr ? nullptr : floats(name, count); }

  /** A matrix for products. Q8_0 gets an own copy on large pages and Q6_K one in panels (they are read whole for every token); others stay in the file. */
  void matrix(DenseMatrix& out, const std::string& name, size_t columns, size_t rows) {
    const GgufTensor& tensor = gguf_.tensor(name);
    expectShape(tensor, name, columns, rows);
    model_.denseParameters += static_cast<uint64_t>(columns) * rows;
    out = dense(tensor, name);
    if (out.type == Dense::q6_k || out.type == Dense::q8_0) copied_.push_back(&out);
  }

  void linear(Linear& out, const std::string& name, size_t columns, size_t rows) {
    const GgufTensor& tensor = gguf_.tensor(name + ".weight");
    expectShape(tensor, name + ".weight", columns, rows);
    out.bias = floatsIfAny(name + ".bias", rows);
    const GgufTensor* const beside = gguf_.find(name + ".scale");
    out.isTernary = tensor.type == TensorType::i2_s || tensor.type == TensorType::t3_4 || tensor.type == TensorType::tq1_0 ||
                    tensor.type == TensorType::tq2_0 || tensor.type == TensorType::q2_0;
    if (!out.isTernary) {
      if (beside != nullptr && floats(name + ".scale", 1)[0] != 1.0f) unsupported("Tensor " + name + " is dense and has a scale.");
      matrix(out.dense, name + ".weight", columns, rows);
      return;
    }
    model_.ternaryParameters += static_cast<uint64_t>(columns) * rows;
    if (tensor.type == TensorType::q2_0) expectTernary(tensor, name);
    const Scales inside = scalesInside(tensor, rows, columns), apart = scalesBeside(beside, name, rows, columns);
    if (inside.groups > 1 && apart.groups > 1 && inside.groups != apart.groups)
      unsupported("Tensor " + name + " has scales of two kinds.");
    if (tensor.type == TensorType::t3_4) model_.layout = options_.sparseLayout;
    out.ternary = planTernary(rows, columns, tensor.type == TensorType::t3_4 ? options_.sparseLayout : options_.layout,
                              std::max(inside.groups, apart.groups));
    model_.floats.push_back(std::make_unique<float[]>(packedScales(out.ternary)));
    float* const scales = model_.floats.back().get();
    packScales(out.ternary, scales, [&](size_t group, size_t row) {
      const float scale = inside.at(row, group) * apart.at(row, group);
      if (!std::isfinite(scale)) damaged("a scale of tensor " + name + " is not finite.");
      return scale;
    });
    out.ternary.scales = scales;
    planned_.push_back({&out.ternary, &tensor});
  }

  void finish(Pool& pool) {
    size_t total = 0;
    const auto reserve = [&](size_t bytes) {
      const size_t at = total;
      total += (bytes + 63) / 64 * 64;
      return at;
    };
    std::vector<size_t> at;
    for (const Planned& p : planned_) at.push_back(reserve(packedBytes(*p.plan)));
    std::vector<size_t> copiedAt;
    for (DenseMatrix* m : copied_) {
      if (m->type == Dense::q6_k) m->panelBytes = q6PanelBytes(m->columns);
      copiedAt.push_back(reserve(denseBytes(*m)));
    }
    model_.weights = Pages(total + kReadAhead, true);
    model_.weightBytes = total;
    for (size_t i = 0; i < planned_.size(); i++) {
      uint8_t* const target = model_.weights.data() + at[i];
      pack(*planned_[i].plan, *planned_[i].tensor, target, pool);
      planned_[i].plan->data = target;
      model_.file->drop(planned_[i].tensor->data, planned_[i].tensor->bytes);
    }
    for (size_t i = 0; i < copied_.size(); i++) {
      uint8_t* const target = model_.weights.data() + copiedAt[i];
      DenseMatrix& matrix = *copied_[i];
      const uint8_t* const source = matrix.data;
      if (matrix.type == Dense::q6_k) {
        pool.pieces(densePanels(matrix), 4, [&](size_t begin, size_t end, int) { packQ6Panels(matrix, begin, end, target); });
        matrix.type = Dense::q6Panels;
      } else {
        std::memcpy(target, source, denseBytes(matrix));
      }
      model_.file->drop(source, matrix.rows * matrix.rowBytes);
      matrix.data = target;
    }
  }

 private:
  /** What a +1 stands for in a ternary matrix: [rows][groups], or one number for each row or for all. */
  struct Scales {
    std::vector<float> values{1.0f};
    size_t groups = 1;
    bool shared = true;
    float at(size_t row, size_t group) const { return shared ? values[0] : values[row * groups + (groups == 1 ? 0 : group)]; }
  };
  struct Planned {
    PackedTernary* plan;
    const GgufTensor* tensor;
  };
  static constexpr size_t kReadAhead = 64;

  static DenseMatrix dense(const GgufTensor& tensor, const std::string& name) {
    DenseMatrix m;
    m.columns = static_cast<size_t>(tensor.shape[0]);
    m.data = tensor.data;
    m.rowBytes = tensor.bytes;
    m.rows = 1;
    for (size_t d = 1; d < tensor.shape.size(); d++) m.rows *= static_cast<size_t>(tensor.shape[d]);
    m.rowBytes = tensor.bytes / m.rows;
    switch (tensor.type) {
      case TensorType::f32: m.type = Dense::f32; break;
      case TensorType::f16: m.type = Dense::f16; break;
      case TensorType::bf16: m.type = Dense::bf16; break;
      case TensorType::q4_0: m.type = Dense::q4_0; break;
      case TensorType::q8_0: m.type = Dense::q8_0; break;
      case TensorType::q6_k: m.type = Dense::q6_k; break;
      default: unsupported("Tensor " + name + " may not be ternary.");
    }
    return m;
  }

  /** TQ1_0 and TQ2_0 end every block with a half scale, Q2_0 begins it with one, I2_S and T3_4 have one float. As few as say the same. */
  static Scales scalesInside(const GgufTensor& tensor, size_t rows, size_t columns) {
    Scales found;
    if (tensor.type == TensorType::i2_s || tensor.type == TensorType::t3_4) {
      std::memcpy(found.values.data(), tensor.data + tensor.bytes - 32, sizeof(float));
      return found;
    }
    const bool q2 = tensor.type == TensorType::q2_0;
    const size_t bytes = q2 ? 18 : tensor.type == TensorType::tq1_0 ? 54 : 66, blocks = columns / (q2 ? 64 : 256);
    const uint8_t* const first = tensor.data + (q2 ? 0 : bytes - 2);
    const auto half = [&](size_t row, size_t block) { return readU16(first + (row * blocks + block) * bytes); };
    /** Whether each row has the same scale in runs of `run` blocks. */
    const auto holds = [&](size_t run) {
      for (size_t row = 0; row < rows; row++)
        for (size_t block = 0; block < blocks; block++)
          if (half(row, block) != half(row, block / run * run)) return false;
      return true;
    };
    while (found.groups < blocks && (blocks % found.groups != 0 || !holds(blocks / found.groups))) found.groups++;
    const size_t run = blocks / found.groups;
    found.values.clear();
    for (size_t row = 0; row < rows; row++)
      for (size_t group = 0; group < found.groups; group++) found.values.push_back(halfToFloat(half(row, group * run)));
    found.shared = found.groups == 1 && std::all_of(found.values.begin(), found.values.end(), [&](float value) { return value == found.values[0]; });
    return found;
  }

  /** The tensor `.scale`: one number, one a row, or several a row. */
  Scales scalesBeside(const GgufTensor* beside, const std::string& name, size_t rows, size_t columns) {
    Scales found;
    if (beside == nullptr) return found;
    uint64_t count = 1;
    for (const uint64_t dimension : beside->shape) count *= dimension;
    found.shared = count == 1;
    if (!found.shared) {
      found.groups = static_cast<size_t>(count / rows);
      if (count % rows != 0 || count / rows > columns || columns % found.groups != 0 || (found.groups > 1 && columns / found.groups % kGroupColumns != 0))
        damaged("tensor " + name + ".scale does not fit its weights.");
    }
    const DenseMatrix view = dense(*beside, name + ".scale");
    found.values.resize(static_cast<size_t>(count));
    for (size_t row = 0; row < view.rows; row++) kernelsPortable.denseRow(view, row, found.values.data() + row * view.columns);
    return found;
  }

  /** Code 3 of Q2_0 is +2, which files of other quantisers have. */
  static void expectTernary(const GgufTensor& tensor, const std::string& name) {
    for (size_t at = 0; at < tensor.bytes; at += 18) {
      uint64_t codes[2];
      std::memcpy(codes, tensor.data + at + 2, sizeof codes);
      if (((codes[0] & codes[0] >> 1 | codes[1] & codes[1] >> 1) & 0x5555555555555555) != 0)
        unsupported("Tensor " + name + " has weights of +2, so it is not ternary.", "Of Q2_0 only files of ternary students are supported.");
    }
  }

  struct RowSource {
    const GgufTensor* tensor;
    size_t columns;
    static void i2s(const void* context, size_t r, uint8_t* codes) {
      const auto* const self = static_cast<const RowSource*>(context);
      readI2S(self->tensor->data, r * self->columns, self->columns, codes);
    }
    static void t34(const void* context, size_t r, uint8_t* codes) {
      const auto* const self = static_cast<const RowSource*>(context);
      readT34(self->tensor->data, r * self->columns, self->columns, codes);
    }
    static void tq2(const void* context, size_t r, uint8_t* codes) {
      const auto* const self = static_cast<const RowSource*>(context);
      const uint8_t* block = self->tensor->data + r * self->columns / 256 * 66;
      for (size_t first = 0; first < self->columns; first += 256, block += 66)
        for (size_t group = 0; group < 8; group++)
          for (size_t k = 0; k < 32; k++) codes[first + 32 * group + k] = ternaryCode(block[group / 4 * 32 + k] >> group % 4 * 2);
    }
    static void q2(const void* context, size_t r, uint8_t* codes) {
      const auto* const self = static_cast<const RowSource*>(context);
      const uint8_t* block = self->tensor->data + r * self->columns / 64 * 18;
      for (size_t first = 0; first < self->columns; first += 64, block += 18)
        for (size_t i = 0; i < 16; i++) {
          const uint32_t byte = block[2 + i], four = (byte | byte << 6 | byte << 12 | byte << 18) & 0x03030303;
          std::memcpy(codes + first + 4 * i, &four, sizeof four);
        }
    }
    static void tq1(const void* context, size_t r, uint8_t* codes) {
      const auto* const self = static_cast<const RowSource*>(context);
      const uint8_t* block = self->tensor->data + r * self->columns / 256 * 54;
      for (size_t first = 0; first < self->columns; first += 256, block += 54) {
        readTq1(block, 32, 5, codes + first);
        readTq1(block + 32, 16, 5, codes + first + 160);
        readTq1(block + 48, 4, 4, codes + first + 240);
      }
    }
    /** `width` bytes of `trits` each: trit n of byte p is code n * width + p. A byte is the number of base 3 as a fraction of 256, rounded up. */
    static void readTq1(const uint8_t* bytes, size_t width, size_t trits, uint8_t* codes) {
      for (size_t p = 0; p < width; p++) {
        unsigned fraction = bytes[p];
        for (size_t n = 0; n < trits; n++) {
          fraction *= 3;
          codes[n * width + p] = static_cast<uint8_t>(fraction >> 8);
          fraction &= 255;
        }
      }
    }
  };

  static void pack(const PackedTernary& plan, const GgufTensor& tensor, uint8_t* target, Pool& pool) {
    const RowSource source{&tensor, plan.columns};
    const auto row = tensor.type == TensorType::i2_s    ? RowSource::i2s
                     : tensor.type == TensorType::t3_4  ? RowSource::t34
                     : tensor.type == TensorType::q2_0  ? RowSource::q2
                     : tensor.type == TensorType::tq1_0 ? RowSource::tq1
                                                        : RowSource::tq2;
    pool.pieces(plan.panels, 4, [&](size_t begin, size_t end, int) { packPanels(plan, begin, end, row, &source, target); });
  }

  const Gguf& gguf_;
  Model& model_;
  const LoadOptions& options_;
  std::vector<Planned> planned_;
  std::vector<DenseMatrix*> copied_;
};

/**
 * SubLN weights of one layer, whichever names the file uses (docs/formats.md, 3.1, 3.2 and 3.4): `attn_sub_norm` and `ffn_sub_norm`, or `*_norm_in`, which
 * architectures without SubLN have in files that are written to be measured here alone.
 */
void readSubNorms(Loader& load, const Gguf& file, const Shape& s, SubNorms subNorms, const std::string& block, Layer& layer) {
  const size_t attentionWidth = s.heads * s.headDim;
  switch (subNorms) {
    case SubNorms::none:
      if (file.find(block + "attn_sub_norm.weight") != nullptr)
        unsupported("The architecture " + s.architecture + " has no SubLN, but the file has " + block + "attn_sub_norm.");
      break;
    case SubNorms::required:
      layer.o.inputNorm = load.floats(block + "attn_sub_norm.weight", attentionWidth);
      layer.down.inputNorm = load.floats(block + "ffn_sub_norm.weight", s.ffn);
      return;
    case SubNorms::optional:
    case SubNorms::optionalTogether: break;
  }
  layer.q.inputNorm = load.floatsIfAny(block + "attn_q_norm_in.weight", s.width);
  layer.k.inputNorm = load.floatsIfAny(block + "attn_k_norm_in.weight", s.width);
  layer.v.inputNorm = load.floatsIfAny(block + "attn_v_norm_in.weight", s.width);
  layer.o.inputNorm = load.floatsIfAny(block + "attn_output_norm_in.weight", attentionWidth);
  layer.gate.inputNorm = load.floatsIfAny(block + "ffn_gate_norm_in.weight", s.width);
  layer.up.inputNorm = load.floatsIfAny(block + "ffn_up_norm_in.weight", s.width);
  layer.down.inputNorm = load.floatsIfAny(block + "ffn_down_norm_in.weight", s.ffn);
  if (subNorms == SubNorms::optionalTogether && layer.down.inputNorm != nullptr && layer.gate.inputNorm == nullptr)
    unsupported("The file has " + block + "ffn_down_norm_in without ffn_gate_norm_in, which bitnet.cpp would ignore.",
                "Export the student again.");
}

/** Equal norms share one pointer, so that their input is normalised and quantised once. */
void shareEqual(std::initializer_list<const float**> norms, size_t count) {
  for (const auto first : norms)
    for (const auto other : norms)
      if (*first != nullptr && *other != nullptr && *first != *other && std::memcmp(*first, *other, count * sizeof(float)) == 0)
        *other = *first;
}

/**
 * SubLN before o and down alone is written to `qwen3` and `gemma3` files as ffn_norm = 1 with its weight in gate's and up's norms (docs/formats.md, 3.3). The two
 * norms in a row are that one norm: the second only divides by sqrt(1 + epsilon), which training did not.
 */
void joinUnitNorm(Layer& layer, size_t width) {
  if (layer.ffnNorm == nullptr || layer.gate.inputNorm == nullptr || layer.gate.inputNorm != layer.up.inputNorm) return;
  if (!std::all_of(layer.ffnNorm, layer.ffnNorm + width, [](float weight) { return weight == 1.0f; })) return;
  layer.ffnNorm = layer.gate.inputNorm;
  layer.gate.inputNorm = layer.up.inputNorm = nullptr;
}

size_t readBytes(const Linear& l) {
  if (!l.isTernary) return denseBytes(l.dense);
  return packedBytes(l.ternary) + (l.ternary.groups > 1 ? packedScales(l.ternary) * sizeof(float) : 0);
}

}  // namespace

std::unique_ptr<Model> loadModel(std::unique_ptr<FileMap> bytes, const LoadOptions& options, Pool& pool) {
  auto model = std::make_unique<Model>();
  model->kernels = options.kernels;
  model->layout = options.layout;
  model->file = std::move(bytes);
  model->fileBytes = model->file->size();
  const Gguf file(model->file->data(), model->file->size());
  const Family& family = familyOf(file);
  model->shape = readShape(file, family);
  Shape& s = model->shape;
  const GgufTensor& table = file.tensor("token_embd.weight");
  if (table.shape.size() != 2 || table.shape[1] > kLargeCount) damaged("token_embd.weight is no matrix of a usable size.");
  s.vocabulary = static_cast<size_t>(table.shape[1]);
  if (s.layers > file.tensors()) damaged("it has fewer tensors than layers.");

  Loader load(file, *model, options);
  load.matrix(model->embedding, "token_embd.weight", s.width, s.vocabulary);
  model->tied = file.find("output.weight") == nullptr;
  if (!model->tied) load.matrix(model->head, "output.weight", s.width, s.vocabulary);
  model->outputNorm = load.floats("output_norm.weight", s.width);
  model->ropeFactors = load.floatsIfAny("rope_freqs.weight", s.ropeDims / 2);
  const size_t attentionWidth = s.heads * s.headDim, kvWidth = s.kvHeads * s.headDim;
  model->layerList.resize(s.layers);
  readLayerKinds(file, s, family.name, model->layerList);
  const size_t turnedOutput = readHadamard(file, s, "attn_output", attentionWidth), turnedDown = readHadamard(file, s, "ffn_down", s.ffn);
  const bool wide = family.qkNorm == QkNorm::projection;
  for (size_t i = 0; i < s.layers; i++) {
    Layer& layer = model->layerList[i];
    const std::string block = "blk." + std::to_string(i) + ".";
    if (family.norms != Norms::after) {
      layer.attentionNorm = load.floats(block + "attn_norm.weight", s.width);
      layer.ffnNorm = load.floats(block + "ffn_norm.weight", s.width);
    }
    if (family.norms != Norms::before) {
      layer.attentionPostNorm = load.floats(block + "post_attention_norm.weight", s.width);
      layer.ffnPostNorm = load.floats(block + "post_ffw_norm.weight", s.width);
    }
    if (family.qkNorm != QkNorm::none) {
      layer.queryNorm = load.floats(block + "attn_q_norm.weight", wide ? attentionWidth : s.headDim);
      layer.keyNorm = load.floats(block + "attn_k_norm.weight", wide ? kvWidth : s.headDim);
    } else if (file.find(block + "attn_q_norm.weight") != nullptr || file.find(block + "attn_k_norm.weight") != nullptr) {
      unsupported("The query and key norms of " + block + " don't fit the architecture " + s.architecture + ".");
    }
    if (file.find(block + "attn_qkv.weight") != nullptr)
      unsupported("Tensor " + block + "attn_qkv.weight holds several projections, which is not supported.",
                  "Export the model with Tritsmith, which writes them one by one.");
    load.linear(layer.q, block + "attn_q", s.width, attentionWidth);
    load.linear(layer.k, block + "attn_k", s.width, kvWidth);
    load.linear(layer.v, block + "attn_v", s.width, kvWidth);
    load.linear(layer.o, block + "attn_output", attentionWidth, s.width);
    load.linear(layer.gate, block + "ffn_gate", s.width, s.ffn);
    load.linear(layer.up, block + "ffn_up", s.width, s.ffn);
    load.linear(layer.down, block + "ffn_down", s.ffn, s.width);
    layer.o.hadamardBlock = turnedOutput;
    layer.down.hadamardBlock = turnedDown;
    readSubNorms(load, file, s, family.subNorms, block, layer);
    shareEqual({&layer.q.inputNorm, &layer.k.inputNorm, &layer.v.inputNorm}, s.width);
    shareEqual({&layer.gate.inputNorm, &layer.up.inputNorm}, s.width);
    joinUnitNorm(layer, s.width);
  }
  load.finish(pool);
  if (model->tied) model->head = model->embedding;

  const auto mapped = [&](const DenseMatrix& m) {
    return m.data >= model->file->data() && m.data < model->file->data() + model->file->size() ? m.rows * m.rowBytes : 0;
  };
  model->mappedBytes = mapped(model->embedding) + (model->tied ? 0 : mapped(model->head));
  model->bytesPerToken = denseBytes(model->head);
  for (const Layer& layer : model->layerList)
    for (const Linear* l : {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down}) {
      model->bytesPerToken += readBytes(*l);
      if (!l->isTernary) model->mappedBytes += mapped(l->dense);
    }
  if (model->mappedBytes == 0) model->file.reset();
  return model;
}

}  // namespace tritsmith
