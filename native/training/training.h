#pragma once
#include <napi.h>

#include <cstddef>
#include <functional>

namespace tritsmith {

/** Calls `work(begin, end)` on consecutive pieces of [0, count) on the threads of the training functions; the pieces do not depend on their number. */
void inTrainingPieces(size_t count, size_t piece, const std::function<void(size_t, size_t)>& work);

/** Puts the functions of `NativeTraining` (native/index.ts) on `exports`. */
void exportTraining(Napi::Env env, Napi::Object exports);

}  // namespace tritsmith
