// Included by one file per instruction set, which defines TRITSMITH_TABLE. No standard-library inline function may be used here: the
// linker would keep one copy of it, perhaps one with instructions that the processor lacks.
#include <math.h>

#include "training/elementwise.h"

namespace tritsmith {
namespace {

constexpr size_t kLanes = 16;

template <typename Term>
inline double laneSum(const float* values, size_t count, Term term) {
  double lanes[kLanes] = {0};
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (size_t lane = 0; lane < kLanes; lane++) lanes[lane] += term(static_cast<double>(values[i + lane]));
  for (size_t lane = 0; i < count; i++, lane++) lanes[lane] += term(static_cast<double>(values[i]));
  double sum = 0;
  for (size_t lane = 0; lane < kLanes; lane++) sum += lanes[lane];
  return sum;
}

double sumOfAbsolutes(const float* values, size_t count) {
  return laneSum(values, count, [](double x) { return fabs(x); });
}

double sumOfSquares(const float* values, size_t count) {
  return laneSum(values, count, [](double x) { return x * x; });
}

/** Half to even sends +-0.5 to 0, so the rounded and clamped value is the sign of what lies beyond one half. */
inline float ternaryOf(float ratio) {
  return static_cast<float>(static_cast<int32_t>(ratio > 0.5f) - static_cast<int32_t>(ratio < -0.5f));
}

TernaryCounts quantise(const float* __restrict weights, float delta, float share, float* __restrict out, size_t count) {
  int32_t zeros = 0, positives = 0, flips = 0;
  if (share == 1.0f) {
    for (size_t i = 0; i < count; i++) {
      const float value = ternaryOf(weights[i] / delta);
      zeros += value == 0.0f;
      positives += value > 0.0f;
      flips += value != ternaryOf(out[i]);
      out[i] = value;
    }
  } else {
    for (size_t i = 0; i < count; i++) {
      const float ratio = weights[i] / delta;
      const float value = ternaryOf(ratio);
      zeros += value == 0.0f;
      positives += value > 0.0f;
      flips += value != ternaryOf(out[i]);
      out[i] = ratio + share * (value - ratio);
    }
  }
  return {zeros, positives, flips, 0, 0};
}

// Vectors never leave a function that is not inlined, so nobody's calling convention depends on what the processor has.
#pragma GCC diagnostic ignored "-Wpsabi"

// ---- n:m rules: 16 weights at once, whole groups of 4 or 8, in vectors that the compiler makes of what the processor has ----

typedef float Floats __attribute__((vector_size(16 * sizeof(float))));
typedef int32_t Ints __attribute__((vector_size(16 * sizeof(int32_t))));
static_assert(kLanes == 16, "a vector has a place for each lane");

#define TRITSMITH_INLINE inline __attribute__((always_inline))

template <typename Vector, typename Element>
TRITSMITH_INLINE Vector loaded(const Element* from) {
  Vector vector;
  __builtin_memcpy(&vector, from, sizeof vector);
  return vector;
}

template <typename Vector, typename Element>
TRITSMITH_INLINE void stored(const Vector& vector, Element* to) {
  __builtin_memcpy(to, &vector, sizeof vector);
}

TRITSMITH_INLINE int64_t trueLanes(const Ints& lanes) {
  int64_t sum = 0;
  for (size_t i = 0; i < kLanes; i++) sum -= lanes[i];
  return sum;
}

/** What stands in place i ^ d, for each i. */
template <size_t d, typename Vector>
TRITSMITH_INLINE Vector neighbour(const Vector& x) {
  return __builtin_shufflevector(x, x, 0 ^ d, 1 ^ d, 2 ^ d, 3 ^ d, 4 ^ d, 5 ^ d, 6 ^ d, 7 ^ d, 8 ^ d, 9 ^ d, 10 ^ d, 11 ^ d, 12 ^ d, 13 ^ d, 14 ^ d,
                                 15 ^ d);
}

TRITSMITH_INLINE Ints places() { return Ints{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}; }

TRITSMITH_INLINE Ints none() { return places() & 0; }
TRITSMITH_INLINE Ints everywhere() { return none() - 1; }

/** As `ternaryOf`. A comparison that holds is -1. */
TRITSMITH_INLINE Ints ternaryCodes(const Floats& ratios) { return (ratios < -0.5f) - (ratios > 0.5f); }

/** Each byte in the places of the `of` values that it stands for. */
template <size_t of>
TRITSMITH_INLINE Ints spread(const uint8_t* bytes) {
  int32_t values[kLanes];
  for (size_t i = 0; i < kLanes; i++) values[i] = bytes[i / of];
  return loaded<Ints>(values);
}

/** Adds to `larger` where the weight d places away in the group is larger, or as large and comes first. */
template <size_t d>
TRITSMITH_INLINE void compare(const Floats& sizes, Ints& larger) {
  const Floats other = neighbour<d>(sizes);
  const Ints first = (places() ^ static_cast<int32_t>(d)) < places();
  larger -= (other > sizes) | ((other == sizes) & first);
}

/** -1 where a weight is one of the `keep` largest of its group, and 0; of equal ones the first stays. */
template <size_t of>
TRITSMITH_INLINE Ints largest(const Floats& weights, int32_t keep) {
  Ints bits = loaded<Ints>(&weights);
  bits &= 0x7fffffff;
  const Floats sizes = loaded<Floats>(&bits);
  Ints larger = none();
  compare<1>(sizes, larger);
  compare<2>(sizes, larger);
  compare<3>(sizes, larger);
  if (of == 8) {
    compare<4>(sizes, larger);
    compare<5>(sizes, larger);
    compare<6>(sizes, larger);
    compare<7>(sizes, larger);
  }
  return larger < keep;
}

/** -1 where the bit of a group's byte is set. */
template <size_t of>
TRITSMITH_INLINE Ints keptBefore(const uint8_t* bits) {
  return -(spread<of>(bits) >> (places() & static_cast<int32_t>(of - 1)) & 1);
}

template <size_t of>
TRITSMITH_INLINE void writeBits(const Ints& kept, uint8_t* bits) {
  Ints bytes = kept & (none() + 1) << (places() & static_cast<int32_t>(of - 1));
  bytes |= neighbour<1>(bytes);
  bytes |= neighbour<2>(bytes);
  if (of == 8) bytes |= neighbour<4>(bytes);
  for (size_t group = 0; group < kLanes / of; group++) bits[group] = static_cast<uint8_t>(bytes[group * of]);
}

/** Calls `block(weights, out, bits, live)` for each 16 weights; the rest comes filled up with zeros, and `live` is -1 where a weight is. */
template <size_t of, typename Block>
TRITSMITH_INLINE void inBlocks(const float* weights, float* out, uint8_t* bits, size_t count, const Block& block) {
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) block(weights + i, out + i, bits + i / of, everywhere());
  const size_t rest = count - i;
  if (rest == 0) return;
  float lastWeights[kLanes] = {0}, lastOut[kLanes] = {0};
  uint8_t lastBits[kLanes / 4] = {0};
  __builtin_memcpy(lastWeights, weights + i, rest * sizeof(float));
  __builtin_memcpy(lastOut, out + i, rest * sizeof(float));
  __builtin_memcpy(lastBits, bits + i / of, rest / of);
  block(lastWeights, lastOut, lastBits, places() < static_cast<int32_t>(rest));
  __builtin_memcpy(out + i, lastOut, rest * sizeof(float));
  __builtin_memcpy(bits + i / of, lastBits, rest / of);
}

double sumOfThree(const float* values, size_t count) {
  double lanes[kLanes] = {0};
  const auto add = [&](const float* from) __attribute__((always_inline)) {
    const Ints bits = loaded<Ints>(from) & 0x7fffffff & largest<4>(loaded<Floats>(from), 3);
    float sizes[kLanes];
    stored(bits, sizes);
    for (size_t lane = 0; lane < kLanes; lane++) lanes[lane] += static_cast<double>(sizes[lane]);
  };
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) add(values + i);
  float last[kLanes] = {0};
  __builtin_memcpy(last, values + i, (count - i) * sizeof(float));
  add(last);
  double sum = 0;
  for (size_t lane = 0; lane < kLanes; lane++) sum += lanes[lane];
  return sum;
}

/**
 * With `exact` the code of a weight that stays is its sign; a code before is then known by the mask before and a sign, which annealing keeps.
 */
template <size_t of, bool exact>
TernaryCounts quantiseGroups(const float* weights, float delta, float share, const SparseMask& mask, float* out, size_t count) {
  Ints zeros = none(), positives = zeros, flips = zeros, masked = zeros, maskFlips = zeros;
  const auto keep = static_cast<int32_t>(mask.keep);
  inBlocks<of>(weights, out, mask.bits, count,
               [&](const float* from, float* to, uint8_t* bits, const Ints& live) __attribute__((always_inline)) {
                 const Floats x = loaded<Floats>(from), old = loaded<Floats>(to), ratio = x / delta;
                 const Ints kept = largest<of>(x, keep), before = keptBefore<of>(bits);
                 const Ints dense = exact ? (x < 0.0f) | 1 : ternaryCodes(ratio);
                 const Ints code = dense & kept;
                 const Ints codeBefore = exact ? ((old < 0.0f) | 1) & before : ternaryCodes(old);
                 zeros += (code == 0) & live;
                 positives += (code > 0) & live;
                 flips += (code != codeBefore) & live;
                 masked += (code != dense) & live;
                 maskFlips += (kept ^ before) & live;
                 writeBits<of>(kept, bits);
                 const Floats value = __builtin_convertvector(code, Floats);
                 stored(share == 1.0f ? value : ratio + share * (value - ratio), to);
               });
  return {trueLanes(zeros), trueLanes(positives), trueLanes(flips), trueLanes(masked), trueLanes(maskFlips)};
}

int64_t moved(const float* values, const uint8_t* packed, size_t count) {
  Ints differing = none();
  const auto compareCodes = [&](const float* from, const uint8_t* bytes, const Ints& live) __attribute__((always_inline)) {
    // A packed code is 1 more.
    const Ints before = (spread<4>(bytes) >> (2 * (places() & 3)) & 3) - 1;
    differing += (ternaryCodes(loaded<Floats>(from)) != before) & live;
  };
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) compareCodes(values + i, packed + i / 4, everywhere());
  const size_t rest = count - i;
  if (rest > 0) {
    float last[kLanes] = {0};
    uint8_t lastBytes[kLanes / 4] = {0};
    __builtin_memcpy(last, values + i, rest * sizeof(float));
    __builtin_memcpy(lastBytes, packed + i / 4, (rest + 3) / 4);
    compareCodes(last, lastBytes, places() < static_cast<int32_t>(rest));
  }
  return trueLanes(differing);
}

TernaryCounts quantiseSparse(const float* weights, float delta, float share, const SparseMask& mask, float* out, size_t count) {
  const auto quantiseMasked = mask.exact ? quantiseGroups<4, true> : mask.of == 4 ? quantiseGroups<4, false> : quantiseGroups<8, false>;
  return quantiseMasked(weights, delta, share, mask, out, count);
}

/**
 * tanh to 3.2e-7 of itself, as the quotient of two polynomials (Eigen, MathFunctionsImpl.h, `generic_fast_tanh_float`): the same bits on every
 * processor and system, many at a time, where a C library computes its own one by one. 1 from 7.9 on.
 */
inline float tanhOf(float x) {
  constexpr float most = 7.90531110763549805f;
  x = x > most ? most : x;
  x = x < -most ? -most : x;
  const float s = x * x;
  float p = s * -2.76076847742355e-16f + 2.00018790482477e-13f;
  p = s * p + -8.60467152213735e-11f;
  p = s * p + 5.12229709037114e-08f;
  p = s * p + 1.48572235717979e-05f;
  p = s * p + 6.37261928875436e-04f;
  p = s * p + 4.89352455891786e-03f;
  float q = s * 1.19825839466702e-06f + 1.18534705686654e-04f;
  q = s * q + 2.26843463243900e-03f;
  q = s * q + 4.89352518554385e-03f;
  return x * p / q;
}

void soften(const float* __restrict weights, float delta, float sharpness, float* __restrict out, size_t count) {
  const float scale = 1 / (2 * tanhOf(sharpness));
  for (size_t i = 0; i < count; i++) {
    const float u = weights[i] / delta;
    out[i] = (tanhOf(sharpness * (u - 0.5f)) + tanhOf(sharpness * (u + 0.5f))) * scale;
  }
}

void chainSoft(const float* __restrict weights, float delta, float sharpness, float* __restrict gradient, size_t count) {
  const float scale = sharpness / (2 * tanhOf(sharpness));
  for (size_t i = 0; i < count; i++) {
    const float u = weights[i] / delta;
    const float low = tanhOf(sharpness * (u - 0.5f)), high = tanhOf(sharpness * (u + 0.5f));
    gradient[i] *= ((1 - low * low) + (1 - high * high)) * scale;
  }
}

template <typename Term>
inline double weighedSum(const float* __restrict weights, const float* __restrict gradient, float delta, size_t count, Term term) {
  double lanes[kLanes] = {0};
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (size_t lane = 0; lane < kLanes; lane++)
      lanes[lane] += static_cast<double>(gradient[i + lane]) * static_cast<double>(term(weights[i + lane] / delta));
  for (size_t lane = 0; i < count; i++, lane++)
    lanes[lane] += static_cast<double>(gradient[i]) * static_cast<double>(term(weights[i] / delta));
  double sum = 0;
  for (size_t lane = 0; lane < kLanes; lane++) sum += lanes[lane];
  return sum;
}

/** ParetoQ's step in units of a = 1.5 delta: its clip at 0.99 and its levels of 1 beyond it are 1.485 and 1.5 here. */
double scaleGradient(const float* weights, const float* gradient, float delta, size_t count) {
  return weighedSum(weights, gradient, delta, count, [](float u) {
    const float rest = ternaryOf(u) - u;
    return u > 1.485f ? 1.5f : u < -1.485f ? -1.5f : rest;
  });
}

double softScaleGradient(const float* weights, const float* gradient, float delta, float sharpness, size_t count) {
  const float scale = 1 / (2 * tanhOf(sharpness));
  return weighedSum(weights, gradient, delta, count, [sharpness, scale](float u) {
    const float low = tanhOf(sharpness * (u - 0.5f)), high = tanhOf(sharpness * (u + 0.5f));
    return (low + high) * scale - u * (((1 - low * low) + (1 - high * high)) * (sharpness * scale));
  });
}

void add(float* __restrict target, const float* __restrict source, size_t count) {
  for (size_t i = 0; i < count; i++) target[i] += source[i];
}

void addScaled(float* __restrict target, const float* __restrict source, float scale, size_t count) {
  for (size_t i = 0; i < count; i++) target[i] += scale * source[i];
}

void adamW(float* __restrict p, const float* __restrict g, float* __restrict m, float* __restrict v, const AdamWScalars& scalars,
           size_t count) {
  const AdamWScalars s = scalars;
  const bool nearNew = s.oneMinusBeta1 >= 0.5f;  // torch.lerp switches its formula there
  for (size_t i = 0; i < count; i++) {
    const float gradient = g[i] * s.gradientScale;
    const float difference = gradient - m[i];
    const float first = nearNew ? gradient - difference * s.beta1 : m[i] + s.oneMinusBeta1 * difference;
    const float second = v[i] * s.beta2 + s.oneMinusBeta2 * gradient * gradient;
    m[i] = first;
    v[i] = second;
    const float denominator = sqrtf(second) / s.rootCorrection2 + s.epsilon;
    p[i] = p[i] * s.keep - s.stepSize * (first / denominator);
  }
}

inline uint32_t bitsOf(float value) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  return bits;
}

inline float floatOf(uint32_t bits) {
  float value;
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}

/**
 * A byte holds the upper bits of a float32 between 0 and 1: 3 of its mantissa, and as much of its exponent as there are bits left. The largest code is 1, code 0 is 0.
 * The first moment has 7 bits and a sign, the second 8.
 */
constexpr int kCutBits = 20;
constexpr uint32_t kBelowFirst = (0x3f800000u >> kCutBits) - 127, kBelowSecond = (0x3f800000u >> kCutBits) - 255;

/** A number for the rounding of a block's values, of which every lane makes its own with `lowBias`. */
inline uint32_t blockKey(uint64_t step, uint64_t block) {
  uint64_t z = step * 0x9e3779b97f4a7c15u + block * 0xd1b54a32d192ed03u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return static_cast<uint32_t>((z ^ (z >> 31)) >> 32);
}

/** Wellons' lowbias32 (nullprogram.com/blog/2018/07/31). */
inline uint32_t lowBias(uint32_t x) {
  x = (x ^ (x >> 16)) * 0x7feb352du;
  x = (x ^ (x >> 15)) * 0x846ca68bu;
  return x ^ (x >> 16);
}

void adamWBlock(float* __restrict p, const float* __restrict g, uint8_t* __restrict firstCodes, uint8_t* __restrict secondCodes,
                float& firstScale, float& secondScale, const AdamWScalars& scalars, uint32_t key, size_t count) {
  const AdamWScalars s = scalars;
  const bool nearNew = s.oneMinusBeta1 >= 0.5f;
  const float before1 = firstScale, before2 = secondScale;
  float firsts[kMomentBlock], seconds[kMomentBlock];
  // Floats that are not negative have the order of their bits, and a maximum of integers is one instruction everywhere.
  int32_t largest1 = 0, largest2 = 0;
  for (size_t i = 0; i < count; i++) {
    const uint32_t code1 = firstCodes[i], code2 = secondCodes[i];
    const uint32_t size1 = code1 & 127u;
    const float m = (size1 == 0 ? 0.0f : floatOf(((size1 + kBelowFirst) << kCutBits) | (code1 & 128u) << 24)) * before1;
    const float v = (code2 == 0 ? 0.0f : floatOf((code2 + kBelowSecond) << kCutBits)) * before2;
    const float gradient = g[i] * s.gradientScale;
    const float difference = gradient - m;
    const float first = nearNew ? gradient - difference * s.beta1 : m + s.oneMinusBeta1 * difference;
    const float whole = v * s.beta2 + s.oneMinusBeta2 * gradient * gradient;
    // An infinite scale would make NaN of the block's zeros.
    const float second = whole > 3.4028234e38f ? 3.4028234e38f : whole;
    firsts[i] = first;
    seconds[i] = second;
    const int32_t bits1 = static_cast<int32_t>(bitsOf(first) & 0x7fffffffu), bits2 = static_cast<int32_t>(bitsOf(second));
    largest1 = bits1 > largest1 ? bits1 : largest1;
    largest2 = bits2 > largest2 ? bits2 : largest2;
    p[i] = p[i] * s.keep - s.stepSize * (first / (sqrtf(second) / s.rootCorrection2 + s.epsilon));
  }
  firstScale = floatOf(static_cast<uint32_t>(largest1));
  secondScale = floatOf(static_cast<uint32_t>(largest2));
  const float by1 = largest1 == 0 ? 1.0f : firstScale, by2 = largest2 == 0 ? 1.0f : secondScale;
  constexpr uint32_t least1 = (1 + kBelowFirst) << kCutBits, least2 = (1 + kBelowSecond) << kCutBits;
  const float half1 = floatOf(least1) / 2;
  for (size_t i = 0; i < count; i++) {
    const uint32_t bits = bitsOf(firsts[i]);
    const float size = floatOf(bits & 0x7fffffffu) / by1;
    const uint32_t near = bitsOf(size) + (1u << (kCutBits - 1));
    const uint32_t code = near < least1 ? (size >= half1 ? 1u : 0u) : (near >> kCutBits) - kBelowFirst;
    firstCodes[i] = static_cast<uint8_t>(code | (bits >> 31) << 7);
  }
  for (size_t i = 0; i < count; i++) {
    const float share = seconds[i] / by2;
    const uint32_t random = lowBias(key + static_cast<uint32_t>(i) * 0x9e3779b9u) >> (32 - kCutBits);
    // What is there never becomes nothing: a first moment over a second of 0 would be a step without bound.
    const uint32_t code = bitsOf(share) < least2 ? (seconds[i] > 0 ? 1u : 0u) : ((bitsOf(share) + random) >> kCutBits) - kBelowSecond;
    secondCodes[i] = static_cast<uint8_t>(code);
  }
}

void adamWBytes(float* p, const float* g, const ByteMoments& moments, const AdamWScalars& scalars, uint64_t step, uint64_t block,
                size_t count) {
  for (size_t at = 0, i = 0; i < count; at++, i += kMomentBlock)
    adamWBlock(p + i, g + i, moments.first + i, moments.second + i, moments.firstScales[at], moments.secondScales[at], scalars,
               blockKey(step, block + at), count - i < kMomentBlock ? count - i : kMomentBlock);
}

void roundWithRest(float* __restrict values, float* __restrict rest, size_t count) {
  for (size_t i = 0; i < count; i++) {
    const float whole = values[i] + rest[i];
    const uint32_t bits = bitsOf(whole);
    const uint32_t nearest = bits + 0x7fffu + ((bits >> 16) & 1u);
    const uint32_t kept = ((bits & 0x7fffffffu) > 0x7f800000u ? bits | 0x400000u : nearest) & 0xffff0000u;
    const float rounded = floatOf(kept);
    values[i] = rounded;
    rest[i] = whole - rounded;
  }
}

}  // namespace

extern const ElementwiseTable TRITSMITH_TABLE;
const ElementwiseTable TRITSMITH_TABLE = {sumOfAbsolutes, sumOfSquares,  sumOfThree,        quantise, quantiseSparse, moved,
                                          soften,         chainSoft,     scaleGradient,     softScaleGradient, add,   addScaled,
                                          roundWithRest,  adamW,         adamWBytes};

}  // namespace tritsmith
