#pragma once
#include <napi.h>

namespace tritsmith {

/** Puts the functions of `NativeTraining` (native/index.ts) on `exports`. */
void exportTraining(Napi::Env env, Napi::Object exports);

}  // namespace tritsmith
