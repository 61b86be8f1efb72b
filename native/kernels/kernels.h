#pragma once
#include <cstddef>
#include <cstdint>

/**
 * The table of compute kernels and the memory layouts that they share. One table per instruction set; `selectKernels` picks the best that
 * the processor runs. The ternary products are integer and therefore bit-identical in every table. Files that implement a table are compiled
 * with instructions that the processor may lack, so they use no inline function that the linker could share with other files.
 */
namespace tritsmith {

/** How ternary weights lie in memory. Each layout cuts the rows into panels of 32; a panel is a sequence of chunks. */
enum class Layout : uint32_t {
  /**
   * 2 bits per weight. A chunk holds 32 rows x 16 columns: byte [row][b], b = 0..3, holds the codes (weight + 1) of columns b, 4 + b, 8 + b
   * and 12 + b in its bit pairs 0-1, 2-3, 4-5, 6-7.
   */
  twoBit,
  /**
   * 1.6 bits per weight. A chunk holds 32 rows x 20 columns: byte [row][b] holds columns b, 4 + b, 8 + b, 12 + b, 16 + b with codes c0..c4. With
   * q = c0 + 3 c1 + 9 c2 + 27 c3: byte = c4 << 6 | q for q < 64, otherwise 192 | (3 (q - 64) + c4). So one 64-entry look-up decodes most bytes.
   */
  fiveTrits,
  /**
   * 1.25 bits per weight, for rows whose every four columns have exactly three weights that are not 0. A chunk holds 32 rows x 64 columns in five parts of 64
   * bytes; 32-bit number i of part v holds the word v of row i in its low half, and of row 16 + i in its high half. A word has patterns (`patternOf`) of fours of
   * columns: bits 5n ... 5n + 4 of word v are pattern 3v + n, and its bit 15 is bit v of pattern 15.
   */
  threeOfFour,
  /**
   * The same weights for kernels that look up the sum of a four's products (three_of_four.h): also 32 rows x 64 columns, in two halves of 160 bytes with eight fours
   * each. A half is five parts of 32 bytes, one for each row: first the sign of its fours (bit 7 - j of four j: the first weight that is not 0 is +1), then the
   * places of fours 0 and 1, 2 and 3, 4 and 5, 6 and 7 in the lower and upper four bits. A place is 4 times where the 0 is, 2 where the second weight that
   * is not 0 has another sign than the first, 1 where the third has. Row 8 v + 4 l + k of a panel has byte 16 l + 8 (v & 1) + 2 k + (v >> 1) of a part.
   */
  threeOfFourSums,
};

constexpr size_t kPanelRows = 32;
/** Of the first two layouts. */
constexpr size_t kChunkBytes = 128;
constexpr size_t kTwoBitColumns = 16;
constexpr size_t kFiveTritColumns = 20;
constexpr size_t kThreeOfFourBytes = 320;
constexpr size_t kThreeOfFourColumns = 64;
/** Activation rows are padded with zeros to a multiple of this, so that whole chunks of every layout may be read. */
constexpr size_t kActivationPadding = 320;

/** Whether rows must have exactly three weights of each four that are not 0. */
static constexpr bool isThreeOfFour(Layout layout) { return layout == Layout::threeOfFour || layout == Layout::threeOfFourSums; }
static constexpr size_t chunkBytes(Layout layout) { return isThreeOfFour(layout) ? kThreeOfFourBytes : kChunkBytes; }
static constexpr size_t chunkColumns(Layout layout) {
  return isThreeOfFour(layout) ? kThreeOfFourColumns : layout == Layout::twoBit ? kTwoBitColumns : kFiveTritColumns;
}

/** A ternary matrix [rows, columns], packed. Padding rows and columns hold code 0 and meet activations of zero or are not stored. */
struct PackedTernary {
  size_t rows = 0;
  size_t columns = 0;
  Layout layout = Layout::twoBit;
  size_t panels = 0;
  size_t chunks = 0;  // per panel
  /** Runs of columns that have a scale of their own; each is as many chunks. More than one not in the layout fiveTrits. */
  size_t groups = 1;
  const uint8_t* data = nullptr;   // [panels][chunks][chunkBytes], 64-byte aligned
  const float* scales = nullptr;   // what a +1 stands for: [panels][groups][32], for padding rows anything
};

/** The columns of a group are a multiple of this: a chunk of the layout twoBit. */
constexpr size_t kGroupColumns = 16;

/** Activations of `tokens` tokens as int8, in tiles of `tile` tokens: tile u, n tokens wide, lies at u * tile * padded as [padded / 4][n][4]. */
struct QuantisedTokens {
  size_t tokens = 0;
  size_t tile = 1;
  size_t padded = 0;           // columns rounded up to kActivationPadding
  int bits = 8;                // 8, or 4: values from -8 to 7
  int8_t* values = nullptr;    // 64-byte aligned
  float* scales = nullptr;     // s per token: gamma / 127, or beta / sqrt 7 of 4 bits
  int32_t* sums = nullptr;     // sum of the values per token
  /** Sums of runs of `groupColumns` columns (16, 32, 64, 128 or 256, which divide the groups), [runs][tokens], where a matrix has such groups; or null. */
  int32_t* groupSums = nullptr;
  size_t groupColumns = 0;
  /** Where a matrix has the layout threeOfFourSums: what tables with that layout look up, [tokens][padded / 4][32]; or null. */
  uint8_t* fourSums = nullptr;
};

/** Bytes of QuantisedTokens::fourSums. */
static constexpr size_t fourSumsBytes(size_t tokens, size_t padded) { return tokens * padded * 8; }

/**
 * Storage of a dense tensor. Rows as in the file, but for q6Panels: Q6_K with 16 rows side by side (q6_panels.h), which is how a Q6_K matrix has to lie to be
 * multiplied; both have the same size.
 */
enum class Dense : uint32_t { f32, f16, bf16, q4_0, q8_0, q6_k, q6Panels };

constexpr size_t kDensePanelRows = 16;

/** A dense matrix [rows, columns]. */
struct DenseMatrix {
  size_t rows = 0;
  size_t columns = 0;
  Dense type = Dense::f32;
  size_t rowBytes = 0;    // types with rows
  size_t panelBytes = 0;  // q6Panels; a multiple of 64
  const uint8_t* data = nullptr;
};

/** Element type of a KV cache. F32 keeps the forward pass exact, F16 halves it, int8 has one scale per token and head. */
enum class CacheType : uint32_t { f32, f16, int8 };

/** One head of a KV cache: keys in blocks of 16 tokens as [headDim][16], values as rows. */
struct AttentionHead {
  const void* keys;
  const void* values;
  const float* keyScales;    // int8 cache: one scale per token; otherwise null
  const float* valueScales;
  size_t headDim;
};

constexpr size_t kKeyBlock = 16;

struct Kernels {
  const char* name;
  /** Tokens per tile of QuantisedTokens that `multiplyTernary` likes best. */
  size_t tile;
  /** The layout to pack weights in unless something else is asked for. */
  Layout layout;
  /** The same for rows whose fours have exactly three weights that are not 0. */
  Layout sparseLayout;

  /** Quantises rows [begin, end) of `columns` floats to out.bits (docs/method.md, 2.2 and 2.9) into out.values, scales and sums. */
  void (*quantiseTokens)(const float* x, size_t stride, size_t columns, const QuantisedTokens& out, size_t begin, size_t end);
  /**
   * y[t][r] = float(sum_k xi[t][k] T[r][k]) * (s[t] * delta[r]) for the rows of panels [begin, end); y has `stride` floats per token. Of several groups of
   * columns: the sum of these products over the groups, in their order.
   */
  void (*multiplyTernary)(const PackedTernary& w, size_t begin, size_t end, const QuantisedTokens& x, float* y, size_t stride);

  /**
   * y[t][r - begin] = sum_k x[t][k] W[r][k] for rows [begin, end) and tokens [0, tokens). `scratch` holds 8 * columns floats. Q6_K is multiplied in integers
   * with activations of 16 bits per block of 256, which moves a sum by some 1e-5 of its terms' size. Q6_K has to lie in panels.
   */
  void (*multiplyDense)(const DenseMatrix& w, size_t begin, size_t end, const float* x, size_t xStride, size_t tokens, float* y,
                        size_t yStride, float* scratch);
  /** Row `row` of a dense matrix as floats. */
  void (*denseRow)(const DenseMatrix& w, size_t row, float* out);

  /** out = x / sqrt(mean(x^2) + epsilon) * weight. */
  void (*rmsNorm)(const float* x, const float* weight, float epsilon, float* out, size_t count);
  void (*add)(float* target, const float* source, size_t count);
  /** gate = silu(gate) * up. */
  void (*siluMultiply)(float* gate, const float* up, size_t count);
  /** gate = relu(gate)^2 * up. */
  void (*reluSquaredMultiply)(float* gate, const float* up, size_t count);
  /** gate = gelu(gate) * up, gelu by its tanh formula. */
  void (*geluMultiply)(float* gate, const float* up, size_t count);
  /**
   * x = H x for each `block` values, a power of two that divides `count`: H is the orthonormal Hadamard matrix (docs/method.md, 2.9). Sums in one order in every
   * table, so its bits are the same in all of them.
   */
  void (*hadamard)(float* x, size_t count, size_t block);
  /**
   * Attention of up to 8 queries [queries][headDim], already scaled, over keys [starts[q], lengths[q]); out[q] is a row of headDim floats. `scratch`
   * holds 8 * (largest length rounded up to 16) floats. `type` is the element type of the cache.
   */
  void (*attend)(const AttentionHead& head, CacheType type, const float* const* queries, const size_t* starts, const size_t* lengths,
                 size_t count, float* const* out, float* scratch);
  /** x = softmax(x). */
  void (*softmax)(float* x, size_t count);
  void (*floatToHalf)(const float* x, uint16_t* out, size_t count);
  /** Does nothing but the table's integer multiply-adds, in registers; returns how many it did (0: not measured). */
  uint64_t (*integerPeak)(size_t rounds);
};

extern const Kernels kernelsPortable;
extern const Kernels kernelsAvx2;
extern const Kernels kernelsAvxVnni;
extern const Kernels kernelsAvx512Vnni;
extern const Kernels kernelsNeonDot;

/** The best table, or the one named (`portable`, `avx2`, `avx-vnni`, `avx512-vnni`, `neon-dot`); null if this processor can't run it. */
const Kernels* selectKernels(const char* name);

/** Names of the tables that this processor runs, best first; returns how many (at most 5). */
size_t availableKernels(const Kernels* out[5]);

}  // namespace tritsmith
