/** Plain C++: runs everywhere, and is what the other tables are compared with. */
#include "kernels/float_loops.h"
#include "kernels/ternary_loops.h"

namespace tritsmith {
namespace {

struct Vec {
  struct Reg {
    float lane[8];
  };
  static constexpr size_t width = 8;
  static Reg zero() { return all(0); }
  static Reg all(float x) {
    Reg r;
    for (float& l : r.lane) l = x;
    return r;
  }
  static Reg load(const float* p) {
    Reg r;
    memcpy(r.lane, p, sizeof r.lane);
    return r;
  }
  static Reg loadHalf(const uint8_t* p) {
    Reg r;
    for (size_t i = 0; i < width; i++) r.lane[i] = halfToFloat(readU16(p + 2 * i));
    return r;
  }
  static Reg loadBf16(const uint8_t* p) {
    Reg r;
    for (size_t i = 0; i < width; i++) r.lane[i] = bitsToFloat(static_cast<uint32_t>(readU16(p + 2 * i)) << 16);
    return r;
  }
  static Reg loadInt8(const int8_t* p) {
    Reg r;
    for (size_t i = 0; i < width; i++) r.lane[i] = static_cast<float>(p[i]);
    return r;
  }
  static float half(const uint8_t* p) { return halfToFloat(readU16(p)); }
  static void store(float* p, Reg x) { memcpy(p, x.lane, sizeof x.lane); }
  static Reg fma(Reg a, Reg b, Reg c) {
    for (size_t i = 0; i < width; i++) c.lane[i] += a.lane[i] * b.lane[i];
    return c;
  }
  static Reg mul(Reg a, Reg b) {
    for (size_t i = 0; i < width; i++) a.lane[i] *= b.lane[i];
    return a;
  }
  static Reg add(Reg a, Reg b) {
    for (size_t i = 0; i < width; i++) a.lane[i] += b.lane[i];
    return a;
  }
  static float sum(Reg x) {
    return ((x.lane[0] + x.lane[4]) + (x.lane[2] + x.lane[6])) + ((x.lane[1] + x.lane[5]) + (x.lane[3] + x.lane[7]));
  }
};

struct Ints {
  struct Reg {
    uint32_t lane[16];
  };
  struct Floats {
    float lane[16];
  };
  static constexpr size_t lanes = 16;
  static Reg load(const uint8_t* p) {
    Reg r;
    memcpy(r.lane, p, sizeof r.lane);
    return r;
  }
  static Reg spread(uint8_t value) { return all(static_cast<int32_t>(value * 0x01010101u)); }
  static Reg all(int32_t value) {
    Reg r;
    for (uint32_t& l : r.lane) l = static_cast<uint32_t>(value);
    return r;
  }
  static Reg both(Reg a, Reg b) {
    for (size_t i = 0; i < lanes; i++) a.lane[i] &= b.lane[i];
    return a;
  }
  static Reg either(Reg a, Reg b) {
    for (size_t i = 0; i < lanes; i++) a.lane[i] |= b.lane[i];
    return a;
  }
  template <int n>
  static Reg right(Reg a) {
    for (uint32_t& l : a.lane) l >>= n;
    return a;
  }
  static Reg dot(Reg acc, Reg codes, const int8_t* x) {
    for (size_t i = 0; i < lanes; i++) {
      const uint32_t c = codes.lane[i];
      const int32_t sum = static_cast<int32_t>(c & 255) * x[0] + static_cast<int32_t>(c >> 8 & 255) * x[1] +
                          static_cast<int32_t>(c >> 16 & 255) * x[2] + static_cast<int32_t>(c >> 24) * x[3];
      acc.lane[i] += static_cast<uint32_t>(sum);
    }
    return acc;
  }
  static Reg joined(Reg high, Reg low) {
    for (size_t i = 0; i < lanes; i++) low.lane[i] += high.lane[i] << 8;
    return low;
  }
  static Floats floats(Reg a) {
    Floats f;
    for (size_t i = 0; i < lanes; i++) f.lane[i] = static_cast<float>(static_cast<int32_t>(a.lane[i]));
    return f;
  }
  static Floats scales(const uint8_t* p) {
    Floats f;
    for (size_t i = 0; i < lanes; i++) f.lane[i] = static_cast<float>(static_cast<int8_t>(p[i]));
    return f;
  }
  static Floats halves(const uint8_t* p) {
    Floats f;
    for (size_t i = 0; i < lanes; i++) f.lane[i] = halfToFloat(readU16(p + 2 * i));
    return f;
  }
  static Floats zero() { return Floats{}; }
  static Floats scaled(Floats a, float number) {
    for (float& l : a.lane) l *= number;
    return a;
  }
  static Floats fma(Floats a, Floats b, Floats c) {
    for (size_t i = 0; i < lanes; i++) c.lane[i] += a.lane[i] * b.lane[i];
    return c;
  }
  static void store(float* y, Floats a, size_t count) { memcpy(y, a.lane, count * sizeof(float)); }
};

uint64_t integerPeak(size_t) { return 0; }

}  // namespace

const Kernels kernelsPortable = {"portable",         4,        Layout::twoBit, Layout::twoBit, quantiseTokens, multiplyTernaryPlain,
                                 multiplyDense<Vec, Ints>, denseRow, rmsNorm,        addTo,          siluMultiply,
                                 reluSquaredMultiply, geluMultiply, hadamard, attend<Vec>, softmaxRow, floatsToHalves, integerPeak};

}  // namespace tritsmith
