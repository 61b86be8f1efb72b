/** ARM NEON with the dot-product extension. */
#include <arm_neon.h>

#include "kernels/float_loops.h"
#include "kernels/ternary_loops.h"

namespace tritsmith {
namespace {

struct Vec {
  using Reg = float32x4_t;
  static constexpr size_t width = 4;
  static Reg zero() { return vdupq_n_f32(0); }
  static Reg all(float x) { return vdupq_n_f32(x); }
  static Reg load(const float* p) { return vld1q_f32(p); }
  static Reg loadHalf(const uint8_t* p) { return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p))); }
  static Reg loadBf16(const uint8_t* p) { return vreinterpretq_f32_u32(vshll_n_u16(vreinterpret_u16_u8(vld1_u8(p)), 16)); }
  static Reg loadInt8(const int8_t* p) {
    int32_t four;
    memcpy(&four, p, 4);
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(four))))));
  }
  static float half(const uint8_t* p) { return halfToFloat(readU16(p)); }
  static void store(float* p, Reg x) { vst1q_f32(p, x); }
  static Reg fma(Reg a, Reg b, Reg c) { return vfmaq_f32(c, a, b); }
  static Reg mul(Reg a, Reg b) { return vmulq_f32(a, b); }
  static Reg add(Reg a, Reg b) { return vaddq_f32(a, b); }
  static float sum(Reg x) { return vaddvq_f32(x); }
};

struct Ints {
  using Reg = int32x4_t;
  using Floats = float32x4_t;
  static constexpr size_t lanes = 4;
  static Reg load(const uint8_t* p) { return vreinterpretq_s32_u8(vld1q_u8(p)); }
  static Reg spread(uint8_t value) { return vreinterpretq_s32_u8(vdupq_n_u8(value)); }
  static Reg all(int32_t value) { return vdupq_n_s32(value); }
  static Reg both(Reg a, Reg b) { return vandq_s32(a, b); }
  static Reg either(Reg a, Reg b) { return vorrq_s32(a, b); }
  template <int n>
  static Reg right(Reg a) { return vreinterpretq_s32_u8(vshrq_n_u8(vreinterpretq_u8_s32(a), n)); }
  // Codes are below 64, so they may be read as signed bytes.
  static Reg dot(Reg acc, Reg codes, const int8_t* x) {
    return vdotq_s32(acc, vreinterpretq_s8_s32(codes), vreinterpretq_s8_s32(vdupq_n_s32(readI32(x))));
  }
  static Reg joined(Reg high, Reg low) { return vaddq_s32(vshlq_n_s32(high, 8), low); }
  static Floats floats(Reg a) { return vcvtq_f32_s32(a); }
  static Floats scales(const uint8_t* p) { return Vec::loadInt8(reinterpret_cast<const int8_t*>(p)); }
  static Floats halves(const uint8_t* p) { return Vec::loadHalf(p); }
  static Floats zero() { return vdupq_n_f32(0); }
  static Floats scaled(Floats a, float number) { return vmulq_n_f32(a, number); }
  static Floats fma(Floats a, Floats b, Floats c) { return vfmaq_f32(c, a, b); }
  static void store(float* y, Floats a, size_t count) {
    float results[lanes];
    vst1q_f32(results, a);
    memcpy(y, results, count * sizeof(float));
  }
};

constexpr size_t kTile = 4;

/** 16 rows (half a panel) times T tokens, 2-bit layout. With `more` it is added to y. */
template <size_t T>
void halfPanel(const uint8_t* w, size_t chunks, const int8_t* x, size_t rows, const float* scales, const int32_t* sums, const float* deltas,
               float* y, size_t stride, bool more) {
  int32x4_t acc[4][T];
  for (size_t r = 0; r < 4; r++)
    for (size_t t = 0; t < T; t++) acc[r][t] = vdupq_n_s32(0);
  const uint8x16_t mask = vdupq_n_u8(3);
  for (size_t c = 0; c < chunks; c++, w += kChunkBytes) {
    uint8x16_t codes[4];
    for (size_t r = 0; r < 4; r++) codes[r] = vld1q_u8(w + 16 * r);
    for (size_t g = 0; g < 4; g++, x += 4 * T)
      for (size_t r = 0; r < 4; r++) {
        const int8x16_t field = vreinterpretq_s8_u8(vandq_u8(codes[r], mask));
        for (size_t t = 0; t < T; t++) acc[r][t] = vdotq_s32(acc[r][t], field, vreinterpretq_s8_s32(vdupq_n_s32(readI32(x + 4 * t))));
        codes[r] = vshrq_n_u8(codes[r], 2);
      }
  }
  for (size_t t = 0; t < T; t++)
    for (size_t r = 0; r < 4; r++) {
      const float32x4_t value = vcvtq_f32_s32(vsubq_s32(acc[r][t], vdupq_n_s32(sums[t])));
      float results[4] = {0};
      const size_t count = rows <= 4 * r ? 0 : rows - 4 * r < 4 ? rows - 4 * r : 4;
      float* const out = y + t * stride + 4 * r;
      float32x4_t product = vmulq_f32(value, vmulq_f32(vdupq_n_f32(scales[t]), vld1q_f32(deltas + 4 * r)));
      if (more) {
        memcpy(results, out, count * sizeof(float));
        product = vaddq_f32(vld1q_f32(results), product);
      }
      vst1q_f32(results, product);
      memcpy(out, results, count * sizeof(float));
    }
}

void multiplyTernary(const PackedTernary& w, size_t begin, size_t end, const QuantisedTokens& x, float* y, size_t stride) {
  if (w.layout != Layout::twoBit) return multiplyTernaryPlain(w, begin, end, x, y, stride);
  for (size_t panel = begin; panel < end; panel++)
    for (size_t t = 0; t < x.tokens; t += kTile)
      for (size_t half = 0; half < 2; half++) {
        const size_t first = panel * kPanelRows + half * 16;
        if (first >= w.rows) continue;
        const size_t rows = w.rows - first < 16 ? w.rows - first : 16;
        const size_t tokens = x.tokens - t < kTile ? x.tokens - t : kTile;
        const auto call = tokens == 1 ? halfPanel<1> : tokens == 2 ? halfPanel<2> : tokens == 3 ? halfPanel<3> : halfPanel<4>;
        const size_t chunks = w.chunks / w.groups;
        for (size_t group = 0; group < w.groups; group++) {
          int32_t sums[kTile];
          sumsOfGroup(w, x, group, t, tokens, sums);
          call(w.data + (panel * w.chunks + group * chunks) * kChunkBytes + half * 64, chunks,
               x.values + t * x.padded + group * chunks * kTwoBitColumns * tokens, rows, x.scales + t, sums,
               w.scales + (panel * w.groups + group) * kPanelRows + half * 16, y + t * stride + first, stride, group > 0);
        }
      }
}

uint64_t integerPeak(size_t) { return 0; }

}  // namespace

const Kernels kernelsNeonDot = {"neon-dot",         kTile,    Layout::twoBit, Layout::twoBit, quantiseTokens, multiplyTernary,
                                multiplyDense<Vec, Ints>, denseRow, rmsNorm,        addTo,          siluMultiply,
                                reluSquaredMultiply, geluMultiply, hadamard, attend<Vec>, softmaxRow, floatsToHalves, integerPeak};

}  // namespace tritsmith
