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

/** Bits of the `keep` largest of some weights; of equal ones the first stays. */
template <size_t of>
inline uint8_t largestOf(const float* weights, size_t keep) {
  float sizes[of];
  for (size_t i = 0; i < of; i++) sizes[i] = fabsf(weights[i]);
  unsigned bits = 0;
  for (size_t i = 0; i < of; i++) {
    size_t larger = 0;
    for (size_t j = 0; j < of; j++) larger += sizes[j] > sizes[i] || (j < i && sizes[j] == sizes[i]);
    bits |= static_cast<unsigned>(larger < keep) << i;
  }
  return static_cast<uint8_t>(bits);
}

double sumOfThree(const float* values, size_t count) {
  double lanes[kLanes] = {0};
  for (size_t four = 0; four < count; four += 4) {
    const uint8_t bits = largestOf<4>(values + four, 3);
    for (size_t i = 0; i < 4; i++)
      if ((bits >> i & 1) != 0) lanes[(four + i) % kLanes] += fabs(static_cast<double>(values[four + i]));
  }
  double sum = 0;
  for (size_t lane = 0; lane < kLanes; lane++) sum += lanes[lane];
  return sum;
}

/** Signs of the three largest of each four, and 0. A code before is known by the mask before and a sign, which annealing keeps. */
TernaryCounts quantiseSigns(const float* __restrict weights, float delta, float share, const SparseMask& mask, float* __restrict out,
                            size_t count) {
  TernaryCounts counts{0, 0, 0, 0, 0};
  for (size_t group = 0; group < count / 4; group++, weights += 4, out += 4) {
    const uint8_t bits = largestOf<4>(weights, 3), before = mask.bits[group];
    for (size_t i = 0; i < 4; i++) {
      const float value = (bits >> i & 1) == 0 ? 0.0f : weights[i] < 0 ? -1.0f : 1.0f;
      const float old = (before >> i & 1) == 0 ? 0.0f : out[i] < 0 ? -1.0f : 1.0f;
      const float ratio = weights[i] / delta;
      counts.zeros += value == 0.0f;
      counts.positives += value > 0.0f;
      counts.flips += value != old;
      out[i] = share == 1.0f ? value : ratio + share * (value - ratio);
    }
    for (unsigned changed = bits ^ before; changed != 0; changed &= changed - 1) counts.maskFlips++;
    mask.bits[group] = bits;
  }
  counts.masked = counts.zeros;
  return counts;
}

template <size_t of>
TernaryCounts quantiseGroups(const float* __restrict weights, float delta, float share, const SparseMask& mask, float* __restrict out,
                             size_t count) {
  TernaryCounts counts{0, 0, 0, 0, 0};
  for (size_t group = 0; group < count / of; group++, weights += of, out += of) {
    const uint8_t bits = largestOf<of>(weights, mask.keep);
    for (size_t i = 0; i < of; i++) {
      const float ratio = weights[i] / delta;
      const float dense = ternaryOf(ratio);
      const float value = (bits >> i & 1) != 0 ? dense : 0.0f;
      counts.zeros += value == 0.0f;
      counts.positives += value > 0.0f;
      counts.flips += value != ternaryOf(out[i]);
      counts.masked += value != dense;
      out[i] = share == 1.0f ? value : ratio + share * (value - ratio);
    }
    for (unsigned changed = bits ^ mask.bits[group]; changed != 0; changed &= changed - 1) counts.maskFlips++;
    mask.bits[group] = bits;
  }
  return counts;
}

TernaryCounts quantiseSparse(const float* weights, float delta, float share, const SparseMask& mask, float* out, size_t count) {
  if (mask.exact) return quantiseSigns(weights, delta, share, mask, out, count);
  return mask.of == 4 ? quantiseGroups<4>(weights, delta, share, mask, out, count) : quantiseGroups<8>(weights, delta, share, mask, out, count);
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
const ElementwiseTable TRITSMITH_TABLE = {sumOfAbsolutes, sumOfSquares,  sumOfThree,        quantise, quantiseSparse, soften,
                                          chainSoft,      scaleGradient, softScaleGradient, add,      addScaled,      roundWithRest,
                                          adamW,          adamWBytes};

}  // namespace tritsmith
