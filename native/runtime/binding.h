#pragma once
#include <napi.h>

namespace tritsmith {

/** Puts the classes `StudentRuntime` and `TernaryMatrix` and the function `kernels` on `exports`; native/runtime.ts wraps them. */
void exportRuntime(Napi::Env env, Napi::Object exports);

}  // namespace tritsmith
