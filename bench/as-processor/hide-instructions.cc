/**
 * Loaded before a program (LD_PRELOAD), so that it finds a processor without AVX-512 and AMX, and without AVX-VNNI unless TRITSMITH_AS_PROCESSOR is avx-vnni: the
 * system lets CPUID fault (arch_prctl(2), ARCH_SET_CPUID; threads inherit it), and the handler answers in its place. Linux on x86-64 whose processor can do that
 * (`cpuid_fault` in /proc/cpuinfo). Instructions are hidden from those that ask, not disabled.
 */
#include <cpuid.h>
#include <dlfcn.h>
#include <signal.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

namespace {

constexpr long kSetCpuid = 0x1012;  // ARCH_SET_CPUID
bool keepsAvxVnni = false;

bool letCpuidFault(bool faults) { return syscall(SYS_arch_prctl, kSetCpuid, faults ? 0L : 1L) == 0; }

void clear(unsigned& word, std::initializer_list<int> bits) {
  for (const int bit : bits) word &= ~(1u << bit);
}

/** The answer of a leaf without what is hidden (Intel's manual, volume 2, CPUID, leaf 7). */
void hide(unsigned leaf, unsigned subleaf, unsigned& a, unsigned& b, unsigned& c, unsigned& d) {
  if (leaf == 7 && subleaf == 0) {
    clear(b, {16, 17, 21, 26, 27, 28, 30, 31});  // F, DQ, IFMA, PF, ER, CD, BW, VL
    clear(c, {1, 6, 11, 12, 14});                // VBMI, VBMI2, VNNI, BITALG, VPOPCNTDQ
    clear(d, {2, 3, 8, 22, 23, 24, 25});         // 4VNNIW, 4FMAPS, VP2INTERSECT, AMX-BF16, FP16, AMX-TILE, AMX-INT8
  }
  if (leaf == 7 && subleaf == 1) {
    clear(a, {5, 21});                // AVX512-BF16, AMX-FP16
    if (!keepsAvxVnni) clear(a, {4});  // AVX-VNNI
    clear(d, {4, 5, 8, 10, 19});      // AVX-VNNI-INT8, AVX-NE-CONVERT, AMX-COMPLEX, AVX-VNNI-INT16, AVX10
  }
}

using Sigaction = int (*)(int, const struct sigaction*, struct sigaction*);

Sigaction systemsOwn() {
  static const auto found = reinterpret_cast<Sigaction>(dlsym(RTLD_NEXT, "sigaction"));
  return found;
}

void onFault(int, siginfo_t* info, void* context) {
  greg_t* const registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  const auto* const code = reinterpret_cast<const unsigned char*>(registers[REG_RIP]);
  if (info->si_code != SI_KERNEL || code[0] != 0x0f || code[1] != 0xa2) {
    // A fault of the program's own ends it.
    struct sigaction ending = {};
    ending.sa_handler = SIG_DFL;
    systemsOwn()(SIGSEGV, &ending, nullptr);
    raise(SIGSEGV);
    return;
  }
  const auto leaf = static_cast<unsigned>(registers[REG_RAX]), subleaf = static_cast<unsigned>(registers[REG_RCX]);
  unsigned a, b, c, d;
  letCpuidFault(false);
  __cpuid_count(leaf, subleaf, a, b, c, d);
  letCpuidFault(true);
  hide(leaf, subleaf, a, b, c, d);
  registers[REG_RAX] = a;
  registers[REG_RBX] = b;
  registers[REG_RCX] = c;
  registers[REG_RDX] = d;
  registers[REG_RIP] += 2;
}

__attribute__((constructor)) void begin() {
  const char* const processor = std::getenv("TRITSMITH_AS_PROCESSOR");
  keepsAvxVnni = processor != nullptr && std::strcmp(processor, "avx-vnni") == 0;
  struct sigaction action = {};
  action.sa_sigaction = onFault;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  systemsOwn()(SIGSEGV, &action, nullptr);
  if (letCpuidFault(true)) return;
  std::fputs("This processor or system cannot hide instructions (no CPUID faulting).\n", stderr);
  _exit(1);
}

}  // namespace

/** A handler of SIGSEGV of the program's own would take this one's place: it is not installed. */
extern "C" __attribute__((visibility("default"))) int sigaction(int signal, const struct sigaction* action, struct sigaction* before) {
  return signal == SIGSEGV && action != nullptr ? 0 : systemsOwn()(signal, action, before);
}
