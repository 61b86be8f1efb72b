#include "threads/pool.h"

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

namespace tritsmith {
namespace {

/** Rounds of spinning before a worker sleeps: some tens of microseconds. */
constexpr int kSpinRounds = 4000;

inline void relax() {
#if defined(__x86_64__) || defined(_M_X64)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

Pool::Pool(int threads) : threads_(threads < 1 ? 1 : threads) {
  workers_.reserve(static_cast<size_t>(threads_ - 1));
  for (int thread = 1; thread < threads_; thread++) workers_.emplace_back([this, thread] { serve(thread); });
}

Pool::~Pool() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stop_.store(true);
    generation_.fetch_add(1);
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void Pool::runOnAll(Call call, const void* context) {
  call_ = call;
  context_ = context;
  busy_.store(threads_ - 1, std::memory_order_relaxed);
  generation_.fetch_add(1);
  if (sleeping_.load() > 0) {
    std::lock_guard<std::mutex> lock(mutex_);
    wake_.notify_all();
  }
  call(context, 0, threads_);
  // A worker that lost its core to another process may take milliseconds: give the core away then.
  for (int round = 0; busy_.load(std::memory_order_acquire) != 0; round++) {
    if (round < kSpinRounds) relax();
    else std::this_thread::yield();
  }
}

void Pool::serve(int thread) {
  unsigned seen = 0;
  for (;;) {
    for (int round = 0; round < kSpinRounds && generation_.load(std::memory_order_acquire) == seen; round++) relax();
    if (generation_.load() == seen) {
      std::unique_lock<std::mutex> lock(mutex_);
      sleeping_.fetch_add(1);
      wake_.wait(lock, [&] { return generation_.load() != seen; });
      sleeping_.fetch_sub(1);
    }
    seen++;
    if (stop_.load()) return;
    call_(context_, thread, threads_);
    busy_.fetch_sub(1, std::memory_order_release);
  }
}

}  // namespace tritsmith
