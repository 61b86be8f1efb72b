#include "runtime/memory.h"

#include <utility>

#include "runtime/error.h"

#if defined(_WIN32)
#define NOMINMAX
#include <windows.h>
#else
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#endif

namespace tritsmith {
namespace {

constexpr size_t kHugePage = size_t{1} << 21;

[[noreturn]] void outOfMemory(size_t bytes) {
  throw RuntimeError("out-of-memory", "The system gave no memory for " + std::to_string(bytes >> 20) + " MiB.",
                     "Close other programs, or choose a shorter context.");
}

}  // namespace

FileMap::FileMap(std::unique_ptr<uint8_t[]> bytes, size_t size) : data_(bytes.get()), size_(size), held_(std::move(bytes)) {}

#if defined(_WIN32)

FileMap::FileMap(const std::string& path) {
  const int length = MultiByteToWideChar(CP_UTF8, 0, path.c_str(), -1, nullptr, 0);
  std::wstring wide(static_cast<size_t>(length), L'\0');
  MultiByteToWideChar(CP_UTF8, 0, path.c_str(), -1, wide.data(), length);
  file_ = CreateFileW(wide.c_str(), GENERIC_READ, FILE_SHARE_READ, nullptr, OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, nullptr);
  LARGE_INTEGER size;
  if (file_ == INVALID_HANDLE_VALUE || !GetFileSizeEx(file_, &size))
    throw RuntimeError("not-found", "The model file can't be opened: " + path, "Check the path.");
  size_ = static_cast<size_t>(size.QuadPart);
  if (size_ == 0) return;
  mapping_ = CreateFileMappingW(file_, nullptr, PAGE_READONLY, 0, 0, nullptr);
  data_ = mapping_ == nullptr ? nullptr : static_cast<const uint8_t*>(MapViewOfFile(mapping_, FILE_MAP_READ, 0, 0, 0));
  if (data_ == nullptr) outOfMemory(size_);
}

FileMap::~FileMap() {
  if (held_ != nullptr) return;
  if (data_ != nullptr) UnmapViewOfFile(data_);
  if (mapping_ != nullptr) CloseHandle(mapping_);
  if (file_ != INVALID_HANDLE_VALUE) CloseHandle(file_);
}

void FileMap::drop(const uint8_t*, size_t) const {}

Pages::Pages(size_t bytes, bool) : size_(bytes) {
  if (bytes == 0) return;
  base_ = VirtualAlloc(nullptr, bytes, MEM_COMMIT | MEM_RESERVE, PAGE_READWRITE);
  if (base_ == nullptr) outOfMemory(bytes);
  data_ = static_cast<uint8_t*>(base_);
}

Pages::~Pages() {
  if (base_ != nullptr) VirtualFree(base_, 0, MEM_RELEASE);
}

#else

FileMap::FileMap(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat status;
  if (file < 0 || fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) {
    const std::string why = file < 0 ? std::strerror(errno) : "it is not a regular file";
    if (file >= 0) close(file);
    throw RuntimeError("not-found", "The model file " + path + " can't be opened: " + why + ".", "Check the path.");
  }
  size_ = static_cast<size_t>(status.st_size);
  void* const mapped = size_ == 0 ? nullptr : mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file, 0);
  close(file);
  if (mapped == MAP_FAILED) outOfMemory(size_);
  data_ = static_cast<const uint8_t*>(mapped);
}

FileMap::~FileMap() {
  if (held_ != nullptr) return;
  if (data_ != nullptr) munmap(const_cast<uint8_t*>(data_), size_);
}

void FileMap::drop(const uint8_t* begin, size_t count) const {
  if (held_ != nullptr) return;
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t first = (static_cast<size_t>(begin - data_) + page - 1) / page * page;
  const size_t last = (static_cast<size_t>(begin - data_) + count) / page * page;
  if (last > first) madvise(const_cast<uint8_t*>(data_) + first, last - first, MADV_DONTNEED);
}

Pages::Pages(size_t bytes, bool huge) : size_(bytes) {
  if (bytes == 0) return;
  mapped_ = bytes + (huge ? kHugePage : 0);
  base_ = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base_ == MAP_FAILED) {
    base_ = nullptr;
    outOfMemory(bytes);
  }
  data_ = static_cast<uint8_t*>(base_);
#if defined(MADV_HUGEPAGE)
  if (huge) {
    data_ += (kHugePage - reinterpret_cast<uintptr_t>(data_) % kHugePage) % kHugePage;
    // Whole large pages only: the rest would round the memory use up.
    madvise(data_, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
  }
#endif
}

Pages::~Pages() {
  if (base_ != nullptr) munmap(base_, mapped_);
}

#endif

Pages::Pages(Pages&& other) noexcept { *this = std::move(other); }

Pages& Pages::operator=(Pages&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(base_, other.base_);
  std::swap(mapped_, other.mapped_);
  return *this;
}

}  // namespace tritsmith
