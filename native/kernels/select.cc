/** Which table this processor runs. */
#include <cstring>

#include "kernels/kernels.h"
#include "products/products.h"

#if defined(__x86_64__) || defined(_M_X64)
#if defined(_MSC_VER)
#include <intrin.h>
#else
#include <cpuid.h>
#endif
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#ifndef HWCAP_ASIMDDP
#define HWCAP_ASIMDDP (1 << 20)
#endif
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace tritsmith {
namespace {

#if defined(__x86_64__) || defined(_M_X64)
struct Registers {
  unsigned a, b, c, d;
};

Registers cpuid(unsigned leaf, unsigned subleaf) {
  Registers r{0, 0, 0, 0};
#if defined(_MSC_VER)
  int values[4];
  __cpuidex(values, static_cast<int>(leaf), static_cast<int>(subleaf));
  r = {static_cast<unsigned>(values[0]), static_cast<unsigned>(values[1]), static_cast<unsigned>(values[2]),
       static_cast<unsigned>(values[3])};
#else
  if (!__get_cpuid_count(leaf, subleaf, &r.a, &r.b, &r.c, &r.d)) return {0, 0, 0, 0};
#endif
  return r;
}

/** Register state that the operating system saves (XCR0). */
unsigned long long savedState() {
#if defined(_MSC_VER)
  return _xgetbv(0);
#else
  unsigned low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return static_cast<unsigned long long>(high) << 32 | low;
#endif
}
#endif

bool bit(unsigned value, int index) { return (value >> index & 1) != 0; }

#if defined(__x86_64__) || defined(_M_X64)
/** What the processor has and the operating system saves the registers of. */
struct InstructionSets {
  bool avx2, avxVnni, avx512, avx512Vnni, avx512Bf16;
};

InstructionSets instructionSets() {
  const Registers one = cpuid(1, 0), seven = cpuid(7, 0), sevenOne = cpuid(7, 1);
  const unsigned long long state = bit(one.c, 27) ? savedState() : 0;
  const bool avx2 = (state & 0x06) == 0x06 && bit(seven.b, 5) && bit(one.c, 12) && bit(one.c, 29);
  const bool avx512 = avx2 && (state & 0xe6) == 0xe6 && bit(seven.b, 16) && bit(seven.b, 17) && bit(seven.b, 30) && bit(seven.b, 31);
  return {avx2, avx2 && bit(sevenOne.a, 4), avx512, avx512 && bit(seven.c, 11) && bit(seven.c, 1), avx512 && bit(sevenOne.a, 5)};
}
#endif

}  // namespace

size_t availableKernels(const Kernels* out[5]) {
  size_t count = 0;
#if defined(__x86_64__) || defined(_M_X64)
  const InstructionSets sets = instructionSets();
  if (sets.avx512Vnni) out[count++] = &kernelsAvx512Vnni;
  if (sets.avxVnni) out[count++] = &kernelsAvxVnni;
  if (sets.avx2) out[count++] = &kernelsAvx2;
#elif defined(__aarch64__)
#if defined(__linux__)
  if ((getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0) out[count++] = &kernelsNeonDot;
#elif defined(__APPLE__)
  int has = 0;
  size_t size = sizeof has;
  if (sysctlbyname("hw.optional.arm.FEAT_DotProd", &has, &size, nullptr, 0) == 0 && has != 0) out[count++] = &kernelsNeonDot;
#endif
#endif
  out[count++] = &kernelsPortable;
  return count;
}

size_t availableProducts(const ProductTable* out[4]) {
  size_t count = 0;
#if defined(__x86_64__) || defined(_M_X64)
  const InstructionSets sets = instructionSets();
  if (sets.avx512Bf16) out[count++] = &productsAvx512Bf16;
  if (sets.avx512) out[count++] = &productsAvx512;
  if (sets.avx2) out[count++] = &productsAvx2;
#endif
  out[count++] = &productsPortable;
  return count;
}

const Kernels* selectKernels(const char* name) {
  const Kernels* available[5];
  const size_t count = availableKernels(available);
  if (name == nullptr || name[0] == '\0') return available[0];
  for (size_t i = 0; i < count; i++)
    if (std::strcmp(available[i]->name, name) == 0) return available[i];
  return nullptr;
}

}  // namespace tritsmith
