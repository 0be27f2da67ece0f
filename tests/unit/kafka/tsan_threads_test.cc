// Lets this program run under ThreadSanitizer, which knows pthreads but not the C11 threads that
// the client library uses: unknown threads crash it, and unknown locks look like races. Here
// they are the same things by their other name. What the library itself does is not judged.
#if defined(__SANITIZE_THREAD__)

#include <pthread.h>
#include <threads.h>

#include <cerrno>
#include <cstdint>

// Its locks are made under its read-write locks, which are not seen when it is not judged.
extern "C" const char* __tsan_default_suppressions() {
  return "called_from_lib:librdkafka.so\nrace:^mtx_init$\nrace:^mtx_destroy$\n";
}

namespace {

struct Start {
  thrd_start_t function;
  void* argument;
};

void* run(void* start) {
  const Start copy = *static_cast<Start*>(start);
  delete static_cast<Start*>(start);
  return reinterpret_cast<void*>(static_cast<std::intptr_t>(copy.function(copy.argument)));
}

int status(int error) {
  return error == 0 ? thrd_success : error == ETIMEDOUT ? thrd_timedout : thrd_error;
}

pthread_mutex_t* native(mtx_t* mutex) { return reinterpret_cast<pthread_mutex_t*>(mutex); }
pthread_cond_t* native(cnd_t* condition) { return reinterpret_cast<pthread_cond_t*>(condition); }

static_assert(sizeof(mtx_t) >= sizeof(pthread_mutex_t));
static_assert(sizeof(cnd_t) >= sizeof(pthread_cond_t));

}  // namespace

extern "C" {

int thrd_create(thrd_t* thread, thrd_start_t function, void* argument) {
  return status(pthread_create(thread, nullptr, run, new Start{function, argument}));
}

int thrd_join(thrd_t thread, int* result) {
  void* value = nullptr;
  const int error = pthread_join(thread, &value);
  if (result != nullptr) *result = static_cast<int>(reinterpret_cast<std::intptr_t>(value));
  return status(error);
}

int mtx_init(mtx_t* mutex, int type) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  if ((type & mtx_recursive) != 0) pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
  const int error = pthread_mutex_init(native(mutex), &attributes);
  pthread_mutexattr_destroy(&attributes);
  return status(error);
}
void mtx_destroy(mtx_t* mutex) { pthread_mutex_destroy(native(mutex)); }
int mtx_lock(mtx_t* mutex) { return status(pthread_mutex_lock(native(mutex))); }
int mtx_unlock(mtx_t* mutex) { return status(pthread_mutex_unlock(native(mutex))); }

int cnd_init(cnd_t* condition) { return status(pthread_cond_init(native(condition), nullptr)); }
void cnd_destroy(cnd_t* condition) { pthread_cond_destroy(native(condition)); }
int cnd_signal(cnd_t* condition) { return status(pthread_cond_signal(native(condition))); }
int cnd_broadcast(cnd_t* condition) { return status(pthread_cond_broadcast(native(condition))); }
int cnd_wait(cnd_t* condition, mtx_t* mutex) {
  return status(pthread_cond_wait(native(condition), native(mutex)));
}
// cnd_timedwait is the program's own (bridge/kafka/monotonic_waits.h), by pthreads already.

}  // extern "C"

#endif
