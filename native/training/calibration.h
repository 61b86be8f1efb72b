#pragma once
#include <napi.h>

namespace tritsmith {

/** Puts the functions of `NativeCalibration` (native/index.ts) on `exports`. */
void exportCalibration(Napi::Env env, Napi::Object exports);

}  // namespace tritsmith
