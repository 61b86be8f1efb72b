/** The Node-API addon: one module for the training functions and the student's runtime. */
#include <napi.h>

#include "runtime/binding.h"
#include "training/calibration.h"
#include "training/training.h"

namespace {

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  tritsmith::exportTraining(env, exports);
  tritsmith::exportCalibration(env, exports);
  tritsmith::exportRuntime(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(tritsmith, initialise)
