#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace tritsmith {

/** The bytes of a whole file, read-only: mapped, or held in memory. */
class FileMap {
 public:
  explicit FileMap(const std::string& path);
  explicit FileMap(std::unique_ptr<uint8_t[]> bytes, size_t size);
  ~FileMap();
  FileMap(const FileMap&) = delete;
  FileMap& operator=(const FileMap&) = delete;

  const uint8_t* data() const { return data_; }
  size_t size() const { return size_; }
  /** Tells the system that a range was copied and its pages need not stay in memory. */
  void drop(const uint8_t* begin, size_t count) const;

 private:
  const uint8_t* data_ = nullptr;
  size_t size_ = 0;
  std::unique_ptr<uint8_t[]> held_;
#if defined(_WIN32)
  void* file_ = nullptr;
  void* mapping_ = nullptr;
#endif
};

/** Zeroed memory straight from the system, 64-byte aligned at least; pages cost nothing until they are touched. */
class Pages {
 public:
  Pages() = default;
  /** `huge` asks for large pages, which raise the bandwidth of long sequential reads. */
  Pages(size_t bytes, bool huge);
  ~Pages();
  Pages(Pages&& other) noexcept;
  Pages& operator=(Pages&& other) noexcept;

  uint8_t* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
  void* base_ = nullptr;
  size_t mapped_ = 0;
};

}  // namespace tritsmith
