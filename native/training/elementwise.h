#pragma once
#include <cstddef>
#include <cstdint>

namespace tritsmith {

/** Scalars of one AdamW step, already combined (see `adamWScalars` in training.cc). */
struct AdamWScalars {
  float gradientScale;
  float keep;            // 1 - learning rate * weight decay
  float beta1;
  float oneMinusBeta1;
  float beta2;
  float oneMinusBeta2;
  float rootCorrection2;  // sqrt(1 - beta2^step)
  float epsilon;
  float stepSize;  // learning rate / (1 - beta1^step)
};

/** Values that share one scale of each moment. */
constexpr size_t kMomentBlock = 256;

/** Moments in a byte each (docs/method.md, 5.10): whole blocks, the last one filled up, and for each block the largest absolute value. */
struct ByteMoments {
  uint8_t* first;
  uint8_t* second;
  float* firstScales;
  float* secondScales;
};

struct TernaryCounts {
  int64_t zeros;
  int64_t positives;
  int64_t flips;
  int64_t masked;     // codes that are not 0 without the mask
  int64_t maskFlips;  // weights that the mask now treats otherwise
};

/**
 * Of every `of` consecutive weights (4 or 8) the `keep` largest stay. `bits` has a byte for each such group, bit i set where weight i stays. With `exact` (of 4)
 * the code of one that stays is its sign, so it is never 0.
 */
struct SparseMask {
  uint8_t* bits;
  size_t keep;
  size_t of;
  bool exact;
};

/**
 * Loops over consecutive floats, compiled once per instruction set from the same source (elementwise_loops.h). Every set gives the same bits:
 * sums run in 16 lanes that are added in one order, and nothing is contracted.
 */
struct ElementwiseTable {
  double (*sumOfAbsolutes)(const float* values, size_t count);
  double (*sumOfSquares)(const float* values, size_t count);
  /** Of the absolute values, the smallest of each four left out; `count` is whole fours. */
  double (*sumOfThree)(const float* values, size_t count);
  TernaryCounts (*quantise)(const float* weights, float delta, float share, float* out, size_t count);
  /** As `quantise`, with weights outside of the mask as 0; the mask is made anew of the weights. `count` is whole groups. */
  TernaryCounts (*quantiseSparse)(const float* weights, float delta, float share, const SparseMask& mask, float* out, size_t count);
  /** How many values have another code than the one that is packed, four to a byte; pieces begin at whole bytes. */
  int64_t (*moved)(const float* values, const uint8_t* packed, size_t count);
  /** Softened codes of weights under one scale (docs/method.md, 3.1). */
  void (*soften)(const float* weights, float delta, float sharpness, float* out, size_t count);
  /** Multiplies gradients by the slope of `soften`. */
  void (*chainSoft)(const float* weights, float delta, float sharpness, float* gradient, size_t count);
  /** Sum of gradients times what a hard code says of the size of its scale (docs/method.md, 2.10). */
  double (*scaleGradient)(const float* weights, const float* gradient, float delta, size_t count);
  /** The same of softened codes, exact. */
  double (*softScaleGradient)(const float* weights, const float* gradient, float delta, float sharpness, size_t count);
  void (*add)(float* target, const float* source, size_t count);
  void (*addScaled)(float* target, const float* source, float scale, size_t count);
  /** `values[i] + rest[i]` becomes the bfloat16 number nearest to it (half to even), and `rest[i]` what that leaves out. NaN stays NaN. */
  void (*roundWithRest)(float* values, float* rest, size_t count);
  void (*adamW)(float* p, const float* g, float* m, float* v, const AdamWScalars& s, size_t count);
  /** As `adamW` from and to bytes. `step` and `block`, the number of the first block, decide how the second moment is rounded. */
  void (*adamWBytes)(float* p, const float* g, const ByteMoments& moments, const AdamWScalars& s, uint64_t step, uint64_t block, size_t count);
};

extern const ElementwiseTable elementwisePortable;
extern const ElementwiseTable elementwiseAvx2;
extern const ElementwiseTable elementwiseAvx512;

/** The widest table that this processor runs. */
const ElementwiseTable& elementwise();

}  // namespace tritsmith
