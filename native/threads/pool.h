#pragma once
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace tritsmith {

/**
 * A fixed set of threads that run one function together. Workers spin for a short while after a call (the next one usually comes
 * within microseconds) and then sleep, so an idle pool costs nothing. The caller is thread 0.
 */
class Pool {
 public:
  explicit Pool(int threads);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  int threads() const { return threads_; }

  /** Calls `work(thread, threads)` once on every thread and returns when all are done. One call at a time; `work` may not throw. */
  template <typename Work>
  void run(const Work& work) {
    if (threads_ == 1) {
      work(0, 1);
      return;
    }
    runOnAll([](const void* context, int thread, int count) { (*static_cast<const Work*>(context))(thread, count); }, &work);
  }

  /**
   * Calls `work(begin, end, thread)` on consecutive pieces of [0, count); every piece is `grain` long but the last. Threads take pieces as
   * they become free, so `work` must give the same result whoever runs it.
   */
  template <typename Work>
  void pieces(size_t count, size_t grain, const Work& work) {
    if (threads_ == 1 || count <= grain) {
      for (size_t begin = 0; begin < count; begin += grain) work(begin, begin + grain < count ? begin + grain : count, 0);
      return;
    }
    std::atomic<size_t> next{0};
    run([&](int thread, int) {
      for (;;) {
        const size_t begin = next.fetch_add(grain, std::memory_order_relaxed);
        if (begin >= count) return;
        work(begin, begin + grain < count ? begin + grain : count, thread);
      }
    });
  }

 private:
  using Call = void (*)(const void* context, int thread, int threads);
  void runOnAll(Call call, const void* context);
  void serve(int thread);

  const int threads_;
  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<unsigned> generation_{0};
  std::atomic<int> sleeping_{0};
  std::atomic<int> busy_{0};
  std::atomic<bool> stop_{false};
  Call call_ = nullptr;
  const void* context_ = nullptr;
};

}  // namespace tritsmith
