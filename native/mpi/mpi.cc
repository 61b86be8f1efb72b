/**
 * The exchange between ranks (native/mpi/index.ts): an addon of its own, compiled with mpicxx when ranks are first asked for. Sums are
 * added here, in a fixed tree: MPI's own reductions choose their order by size and number of ranks.
 */
#include <mpi.h>
#include <napi.h>
#include <sched.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace {

/** Floats that two ranks exchange at a time: a rank holds so many of each other rank. */
constexpr size_t kChunk = size_t{1} << 18;

/** Bytes that this rank gave to others since it joined them. */
std::atomic<uint64_t> sentBytes{0};

int worldRank() {
  int rank;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  return rank;
}

int worldSize() {
  int size;
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  return size;
}

/** Waits without holding a core for long: what is waited for is mostly another rank's computation. */
void waitFor(std::vector<MPI_Request>& requests) {
  int done = 0;
  for (int turn = 0;; turn++) {
    MPI_Testall(static_cast<int>(requests.size()), requests.data(), &done, MPI_STATUSES_IGNORE);
    if (done) break;
    if (turn < 200) {
      sched_yield();
      continue;
    }
    const timespec pause = {0, 50'000};
    nanosleep(&pause, nullptr);
  }
  requests.clear();
}

void add(float* __restrict target, const float* __restrict source, size_t count) {
  for (size_t i = 0; i < count; i++) target[i] += source[i];
}

struct Range {
  size_t begin, end;
  size_t count() const { return end - begin; }
  /** The part that is exchanged in a round. */
  Range piece(size_t round) const { return {std::min(end, begin + round * kChunk), std::min(end, begin + (round + 1) * kChunk)}; }
};

/** The range of each rank. */
std::vector<Range> ranges(Napi::Env env, const Napi::Value& value) {
  const auto bounds = value.As<Napi::Float64Array>();
  if (!value.IsTypedArray() || bounds.TypedArrayType() != napi_float64_array ||
      bounds.ElementLength() != static_cast<size_t>(worldSize()) + 1)
    throw Napi::TypeError::New(env, "bounds must be a Float64Array of one number more than there are ranks.");
  std::vector<Range> result;
  for (int i = 0; i < worldSize(); i++) {
    if (!(bounds[i] >= 0 && bounds[i] <= bounds[i + 1])) throw Napi::RangeError::New(env, "bounds must rise from 0.");
    result.push_back({static_cast<size_t>(bounds[i]), static_cast<size_t>(bounds[i + 1])});
  }
  return result;
}

size_t rounds(const std::vector<Range>& parts) {
  size_t longest = 0;
  for (const Range& part : parts) longest = std::max(longest, part.count());
  return (longest + kChunk - 1) / kChunk;
}

/** The upper halves of floats that are bfloat16 numbers. */
void halve(const float* __restrict values, uint16_t* __restrict halves, size_t count) {
  for (size_t i = 0; i < count; i++) {
    uint32_t bits;
    std::memcpy(&bits, values + i, sizeof bits);
    halves[i] = static_cast<uint16_t>(bits >> 16);
  }
}

void widen(const uint16_t* __restrict halves, float* __restrict values, size_t count) {
  for (size_t i = 0; i < count; i++) {
    const uint32_t bits = static_cast<uint32_t>(halves[i]) << 16;
    std::memcpy(values + i, &bits, sizeof bits);
  }
}

void receive(void* to, size_t count, MPI_Datatype type, int from, int tag, std::vector<MPI_Request>& requests) {
  if (count > 0) MPI_Irecv(to, static_cast<int>(count), type, from, tag, MPI_COMM_WORLD, &requests.emplace_back());
}

void send(const void* from, size_t count, MPI_Datatype type, int to, int tag, std::vector<MPI_Request>& requests) {
  if (count == 0) return;
  MPI_Isend(from, static_cast<int>(count), type, to, tag, MPI_COMM_WORLD, &requests.emplace_back());
  int bytes;
  MPI_Type_size(type, &bytes);
  sentBytes += count * static_cast<uint64_t>(bytes);
}

/** A buffer for each other rank. */
template <typename T>
std::vector<std::vector<T>> buffersOfOthers(size_t most, const std::function<size_t(int)>& count) {
  std::vector<std::vector<T>> buffers(worldSize());
  for (int other = 0; other < worldSize(); other++)
    if (other != worldRank()) buffers[other].resize(std::min(most, count(other)));
  return buffers;
}

/**
 * `values` holds what this rank adds; its own range becomes the sum of all ranks, added pairwise in their order.
 * @param halved all values are bfloat16 numbers, and travel as such
 */
void reduceSlices(float* values, const std::vector<Range>& parts, bool halved) {
  const int rank = worldRank(), size = worldSize();
  auto received = buffersOfOthers<float>(kChunk, [&](int) { return parts[rank].count(); });
  std::vector<std::vector<uint16_t>> halvesIn(size), halvesOut(size);
  if (halved) {
    halvesIn = buffersOfOthers<uint16_t>(kChunk, [&](int) { return parts[rank].count(); });
    halvesOut = buffersOfOthers<uint16_t>(kChunk, [&](int other) { return parts[other].count(); });
  }
  std::vector<MPI_Request> requests;
  for (size_t round = 0; round < rounds(parts); round++) {
    const Range own = parts[rank].piece(round);
    for (int other = 0; other < size; other++) {
      if (other == rank) continue;
      const Range theirs = parts[other].piece(round);
      if (halved) {
        halve(values + theirs.begin, halvesOut[other].data(), theirs.count());
        receive(halvesIn[other].data(), own.count(), MPI_UINT16_T, other, 1, requests);
        send(halvesOut[other].data(), theirs.count(), MPI_UINT16_T, other, 1, requests);
      } else {
        receive(received[other].data(), own.count(), MPI_FLOAT, other, 1, requests);
        send(values + theirs.begin, theirs.count(), MPI_FLOAT, other, 1, requests);
      }
    }
    waitFor(requests);
    if (halved)
      for (int other = 0; other < size; other++)
        if (other != rank) widen(halvesIn[other].data(), received[other].data(), own.count());
    std::vector<float*> sums(size);
    for (int i = 0; i < size; i++) sums[i] = i == rank ? values + own.begin : received[i].data();
    for (int apart = 1; apart < size; apart *= 2)
      for (int i = 0; i + apart < size; i += 2 * apart) add(sums[i], sums[i + apart], own.count());
    if (rank != 0) std::copy(sums[0], sums[0] + own.count(), values + own.begin);
  }
}

/** `all` receives every rank's own range; with a root, the root's alone does. */
void gatherSlices(const float* own, float* all, const std::vector<Range>& parts, int root) {
  const int rank = worldRank(), size = worldSize();
  const bool receives = root < 0 || root == rank;
  if (receives && all + parts[rank].begin != own) std::copy(own, own + parts[rank].count(), all + parts[rank].begin);
  std::vector<MPI_Request> requests;
  for (size_t round = 0; round < rounds(parts); round++) {
    const Range mine = parts[rank].piece(round);
    for (int other = 0; other < size; other++) {
      if (other == rank) continue;
      const Range theirs = parts[other].piece(round);
      if (receives) receive(all + theirs.begin, theirs.count(), MPI_FLOAT, other, 2, requests);
      if (root < 0 || root == other) send(own + (mine.begin - parts[rank].begin), mine.count(), MPI_FLOAT, other, 2, requests);
    }
    waitFor(requests);
  }
}

/** Adds every rank's `own`, which are bfloat16 numbers, to its range of `all`, at every rank. */
void addSlices(const float* own, float* all, const std::vector<Range>& parts) {
  const int rank = worldRank(), size = worldSize();
  add(all + parts[rank].begin, own, parts[rank].count());
  auto received = buffersOfOthers<uint16_t>(kChunk, [&](int other) { return parts[other].count(); });
  std::vector<uint16_t> halves(std::min(kChunk, parts[rank].count()));
  std::vector<float> wide(kChunk);
  std::vector<MPI_Request> requests;
  for (size_t round = 0; round < rounds(parts); round++) {
    const Range mine = parts[rank].piece(round);
    halve(own + (mine.begin - parts[rank].begin), halves.data(), mine.count());
    for (int other = 0; other < size; other++) {
      if (other == rank) continue;
      receive(received[other].data(), parts[other].piece(round).count(), MPI_UINT16_T, other, 3, requests);
      send(halves.data(), mine.count(), MPI_UINT16_T, other, 3, requests);
    }
    waitFor(requests);
    for (int other = 0; other < size; other++) {
      if (other == rank) continue;
      const Range theirs = parts[other].piece(round);
      widen(received[other].data(), wide.data(), theirs.count());
      add(all + theirs.begin, wide.data(), theirs.count());
    }
  }
}

/** Runs an exchange beside the event loop; one at a time. The arrays live as long as it runs. */
class Exchange : public Napi::AsyncWorker {
 public:
  Exchange(Napi::Env env, std::initializer_list<Napi::Value> arrays, std::function<void()> work)
      : Napi::AsyncWorker(env), deferred_(Napi::Promise::Deferred::New(env)), work_(std::move(work)) {
    for (const Napi::Value& array : arrays)
      if (array.IsObject()) arrays_.push_back(Napi::Persistent(array.As<Napi::Object>()));
  }
  Napi::Promise promise() const { return deferred_.Promise(); }
  void Execute() override { work_(); }
  void OnOK() override { deferred_.Resolve(Env().Undefined()); }
  void OnError(const Napi::Error& error) override { deferred_.Reject(error.Value()); }

 private:
  Napi::Promise::Deferred deferred_;
  std::function<void()> work_;
  std::vector<Napi::ObjectReference> arrays_;
};

Napi::Value run(Exchange* exchange) {
  const Napi::Promise promise = exchange->promise();
  exchange->Queue();
  return promise;
}

Napi::Float32Array floats(Napi::Env env, const Napi::Value& value) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_float32_array)
    throw Napi::TypeError::New(env, "Values must be a Float32Array.");
  return value.As<Napi::Float32Array>();
}

Napi::Value reduce(const Napi::CallbackInfo& info) {
  auto values = floats(info.Env(), info[0]);
  const std::vector<Range> parts = ranges(info.Env(), info[1]);
  if (parts.back().end > values.ElementLength()) throw Napi::RangeError::New(info.Env(), "bounds lie outside the values.");
  float* const data = values.Data();
  const bool halved = info[2].ToBoolean();
  return run(new Exchange(info.Env(), {values}, [data, parts, halved] { reduceSlices(data, parts, halved); }));
}

Napi::Value addOwn(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  auto own = floats(env, info[0]), all = floats(env, info[1]);
  const std::vector<Range> parts = ranges(env, info[2]);
  if (parts.back().end > all.ElementLength()) throw Napi::RangeError::New(env, "bounds lie outside the values.");
  if (own.ElementLength() != parts[worldRank()].count()) throw Napi::RangeError::New(env, "own values are not those of the own range.");
  const float* const from = own.Data();
  float* const to = all.Data();
  return run(new Exchange(env, {own, all}, [from, to, parts] { addSlices(from, to, parts); }));
}

Napi::Value gather(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  auto own = floats(env, info[0]);
  const std::vector<Range> parts = ranges(env, info[2]);
  const int root = info[3].As<Napi::Number>().Int32Value();
  const bool receives = root < 0 || root == worldRank();
  float* all = nullptr;
  if (receives) {
    auto array = floats(env, info[1]);
    if (parts.back().end > array.ElementLength()) throw Napi::RangeError::New(env, "bounds lie outside the values.");
    all = array.Data();
  }
  if (own.ElementLength() != parts[worldRank()].count()) throw Napi::RangeError::New(env, "own values are not those of the own range.");
  const float* const data = own.Data();
  return run(new Exchange(env, {own, info[1]}, [data, all, parts, root] { gatherSlices(data, all, parts, root); }));
}

Napi::Value gatherNumbers(const Napi::CallbackInfo& info) {
  auto own = info[0].As<Napi::Float64Array>();
  auto all = info[1].As<Napi::Float64Array>();
  if (all.ElementLength() != own.ElementLength() * static_cast<size_t>(worldSize()))
    throw Napi::RangeError::New(info.Env(), "all must hold the numbers of every rank.");
  const double* const from = own.Data();
  double* const to = all.Data();
  const int count = static_cast<int>(own.ElementLength());
  return run(new Exchange(info.Env(), {own, all}, [from, to, count] {
    std::vector<MPI_Request> requests(1);
    MPI_Iallgather(from, count, MPI_DOUBLE, to, count, MPI_DOUBLE, MPI_COMM_WORLD, requests.data());
    waitFor(requests);
    sentBytes += static_cast<uint64_t>(count) * sizeof(double) * static_cast<uint64_t>(worldSize() - 1);
  }));
}

Napi::Value broadcast(const Napi::CallbackInfo& info) {
  auto bytes = info[0].As<Napi::Uint8Array>();
  if (bytes.ElementLength() > static_cast<size_t>(std::numeric_limits<int>::max()))
    throw Napi::RangeError::New(info.Env(), "Too many bytes for one message.");
  uint8_t* const data = bytes.Data();
  const int count = static_cast<int>(bytes.ElementLength()), root = info[1].As<Napi::Number>().Int32Value();
  return run(new Exchange(info.Env(), {bytes}, [data, count, root] {
    std::vector<MPI_Request> requests(1);
    MPI_Ibcast(data, count, MPI_BYTE, root, MPI_COMM_WORLD, requests.data());
    waitFor(requests);
    if (root == worldRank()) sentBytes += static_cast<uint64_t>(count) * static_cast<uint64_t>(worldSize() - 1);
  }));
}

/** Joins the other ranks. Calls come from the threads of libuv, one at a time. */
Napi::Value join(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  int provided = 0;
  if (MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided) != MPI_SUCCESS || provided < MPI_THREAD_SERIALIZED)
    throw Napi::Error::New(env, "This MPI library cannot be called from more than one thread.");
  char node[MPI_MAX_PROCESSOR_NAME], library[MPI_MAX_LIBRARY_VERSION_STRING];
  int nodeLength = 0, libraryLength = 0;
  MPI_Get_processor_name(node, &nodeLength);
  MPI_Get_library_version(library, &libraryLength);
  Napi::Object result = Napi::Object::New(env);
  result.Set("rank", worldRank());
  result.Set("size", worldSize());
  result.Set("node", std::string(node, static_cast<size_t>(nodeLength)));
  result.Set("library", std::string(library, static_cast<size_t>(libraryLength)));
  return result;
}

Napi::Value sent(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), static_cast<double>(sentBytes.load())); }

void leave(const Napi::CallbackInfo&) { MPI_Finalize(); }

void abortAll(const Napi::CallbackInfo& info) { MPI_Abort(MPI_COMM_WORLD, info[0].As<Napi::Number>().Int32Value()); }

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  exports.Set("join", Napi::Function::New(env, join, "join"));
  exports.Set("leave", Napi::Function::New(env, leave, "leave"));
  exports.Set("abort", Napi::Function::New(env, abortAll, "abort"));
  exports.Set("reduceSlices", Napi::Function::New(env, reduce, "reduceSlices"));
  exports.Set("gatherSlices", Napi::Function::New(env, gather, "gatherSlices"));
  exports.Set("addSlices", Napi::Function::New(env, addOwn, "addSlices"));
  exports.Set("sent", Napi::Function::New(env, sent, "sent"));
  exports.Set("gatherNumbers", Napi::Function::New(env, gatherNumbers, "gatherNumbers"));
  exports.Set("broadcast", Napi::Function::New(env, broadcast, "broadcast"));
  return exports;
}

}  // namespace

NODE_API_MODULE(mpi, initialise)
