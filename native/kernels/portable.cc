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

uint64_t integerPeak(size_t) { return 0; }

}  // namespace

const Kernels kernelsPortable = {"portable",         4,        Layout::twoBit, quantiseTokens, multiplyTernaryPlain,
                                 multiplyDense<Vec>, denseRow, rmsNorm,        addTo,          siluMultiply,
                                 reluSquaredMultiply, attend<Vec>, softmaxRow, floatsToHalves, integerPeak};

}  // namespace tritsmith
