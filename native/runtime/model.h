#pragma once
#include <memory>
#include <string>
#include <vector>

#include "kernels/kernels.h"
#include "runtime/memory.h"
#include "threads/pool.h"

namespace tritsmith {

enum class Activation { silu, reluSquared, geluTanh };
enum class RopeStyle { adjacent, halves };  // pairs (2i, 2i + 1), or (i, i + n / 2)
enum class RopeTable { global, local, none };  // the model's base and scaling, the base of layers with a window, or no rotation

/** A linear layer: an optional RMSNorm of its input (SubLN), an optional turn of it, ternary or dense weights, an optional bias. */
struct Linear {
  const float* inputNorm = nullptr;
  /** Columns of the normalised input that a Hadamard matrix turns together (BitNet v2); 1: it stays as it is. */
  size_t hadamardBlock = 1;
  bool isTernary = false;
  PackedTernary ternary;
  DenseMatrix dense;
  const float* bias = nullptr;
  size_t rows() const { return isTernary ? ternary.rows : dense.rows; }
  size_t columns() const { return isTernary ? ternary.columns : dense.columns; }
};

/** Norms that a family does not have are null. */
struct Layer {
  const float* attentionNorm = nullptr;
  Linear q, k, v, o;
  const float* queryNorm = nullptr;  // of each head, or of the whole projection (Shape::wideQueryNorm)
  const float* keyNorm = nullptr;
  const float* attentionPostNorm = nullptr;
  const float* ffnNorm = nullptr;
  Linear gate, up, down;
  const float* ffnPostNorm = nullptr;
  size_t window = 0;  // tokens that a token sees, itself included; 0: all before it
  RopeTable rope = RopeTable::global;
};

struct Shape {
  std::string architecture;
  size_t vocabulary = 0, width = 0, layers = 0, ffn = 0, heads = 0, kvHeads = 0, headDim = 0, trainedContext = 0, ropeDims = 0;
  float normEpsilon = 1e-5f;
  float ropeBase = 10000.0f;
  float localRopeBase = 10000.0f;
  float ropeScale = 1.0f;  // positions are divided by this (linear scaling; global table)
  float ropeMagnitude = 1.0f;  // factor of cos and sin (LongRoPE; global table)
  float embeddingScale = 1.0f, attentionScale = 1.0f, residualScale = 1.0f, logitScale = 1.0f;
  bool wideQueryNorm = false;
  int activationBits = 8;  // of the inputs of ternary layers: 8 or 4
  Activation activation = Activation::silu;
  RopeStyle rope = RopeStyle::halves;
};

struct LoadOptions {
  const Kernels* kernels = nullptr;
  Layout layout = Layout::twoBit;
  /** Of tensors of type T3_4. */
  Layout sparseLayout = Layout::twoBit;
};

/** A student or teacher in memory, read-only after loading. */
struct Model {
  Shape shape;
  const Kernels* kernels = nullptr;
  /** Of the ternary tensors; where there are T3_4 tensors, of these. */
  Layout layout = Layout::twoBit;
  DenseMatrix embedding;
  DenseMatrix head;
  bool tied = true;
  const float* outputNorm = nullptr;
  const float* ropeFactors = nullptr;  // [ropeDims / 2], divides the frequencies (Llama-3 scaling); or null
  std::vector<Layer> layerList;
  size_t fileBytes = 0;
  size_t weightBytes = 0;    // own memory for packed and copied tensors
  size_t mappedBytes = 0;    // tensors used straight from the file
  uint64_t ternaryParameters = 0, denseParameters = 0;
  /** Bytes of weights that one decoded token reads. */
  size_t bytesPerToken = 0;

  std::unique_ptr<FileMap> file;
  Pages weights;
  std::vector<std::unique_ptr<float[]>> floats;
};

/** Loads a model from a GGUF file; throws RuntimeError. `pool` packs the ternary tensors. */
std::unique_ptr<Model> loadModel(std::unique_ptr<FileMap> file, const LoadOptions& options, Pool& pool);

}  // namespace tritsmith
