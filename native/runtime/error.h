#pragma once
#include <stdexcept>
#include <string>

namespace tritsmith {

/** What goes wrong in a file or a request. `code` is one of the project's error codes (main/contract/errors.ts). */
struct RuntimeError : std::runtime_error {
  RuntimeError(const char* codeName, const std::string& message, const std::string& whatNext = "")
      : std::runtime_error(message), code(codeName), remedy(whatNext) {}
  const char* code;
  std::string remedy;
};

[[noreturn]] inline void damaged(const std::string& message) {
  throw RuntimeError("damaged", "The GGUF file is damaged: " + message, "Export or download the file again.");
}

[[noreturn]] inline void unsupported(const std::string& message, const std::string& remedy = "") {
  throw RuntimeError("unsupported", message, remedy);
}

}  // namespace tritsmith
