/* Between the bridge and the C library (LD_PRELOAD): a wall clock that can be stepped, a disk that
 * is full or slow under the state directory, and key files that open slowly. The machine's own
 * clock and disks are left alone.
 *
 * The driver writes its wishes into the file named by FAULT_SHIM, which is mapped here; see shim.py
 * for the same layout. FAULT_SHIM_STATE and FAULT_SHIM_KEYS are path prefixes.
 *
 * Waits for a moment of the wall clock go on in short slices, as the kernel would wake them when
 * the clock is stepped.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

struct wishes {
  int64_t clock_offset_ns;
  int32_t state_errno;    /* writes under the state directory fail so; 0: they do not */
  int32_t state_delay_ms; /* and take so much longer */
  int32_t key_delay_ms;   /* opening a key file takes so much longer */
  int32_t hits;           /* calls that a wish was carried out on */
};

static struct wishes nothing;
static volatile struct wishes* wishes = &nothing;
static const char* state_prefix = "";
static const char* keys_prefix = "";

/* The C library's own function. Looked up at the first call, since an allocator calls some of them
 * before any constructor runs. */
#define REAL(name)                                                      \
  ({                                                                    \
    static __typeof__(&name) found;                                     \
    if (!found) found = (__typeof__(&name))dlsym(RTLD_NEXT, #name);     \
    found;                                                              \
  })

__attribute__((constructor)) static void attach(void) {
  const char* file = getenv("FAULT_SHIM");
  const char* state = getenv("FAULT_SHIM_STATE");
  const char* keys = getenv("FAULT_SHIM_KEYS");
  if (!file || !state || !keys) return;
  state_prefix = state;
  keys_prefix = keys;
  const int fd = REAL(open)(file, O_RDWR | O_CLOEXEC);
  if (fd < 0) abort();
  void* at = mmap(NULL, sizeof(struct wishes), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (at == MAP_FAILED) abort();
  wishes = at;
}

static void hit(void) { __atomic_add_fetch(&wishes->hits, 1, __ATOMIC_RELAXED); }

static void pause_ms(int32_t ms) {
  const struct timespec pause = {ms / 1000, (long)(ms % 1000) * 1000000};
  if (ms > 0) nanosleep(&pause, NULL);
}

/* ---- the wall clock --------------------------------------------------------------------- */

static int64_t nanos_of(const struct timespec* t) { return t->tv_sec * 1000000000LL + t->tv_nsec; }

static struct timespec time_of(int64_t nanos) {
  struct timespec t = {nanos / 1000000000, nanos % 1000000000};
  return t;
}

static int64_t wall(void) {
  struct timespec t;
  REAL(clock_gettime)(CLOCK_REALTIME, &t);
  return nanos_of(&t) + wishes->clock_offset_ns;
}

int clock_gettime(clockid_t clock, struct timespec* t) {
  const int rc = REAL(clock_gettime)(clock, t);
  if (rc == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
    *t = time_of(nanos_of(t) + wishes->clock_offset_ns);
  }
  return rc;
}

int gettimeofday(struct timeval* restrict t, void* restrict zone) {
  (void)zone;
  const int64_t now = wall();
  t->tv_sec = now / 1000000000;
  t->tv_usec = now % 1000000000 / 1000;
  return 0;
}

time_t time(time_t* t) {
  const time_t now = wall() / 1000000000;
  if (t) *t = now;
  return now;
}

int timespec_get(struct timespec* t, int base) {
  if (base != TIME_UTC) return 0;
  *t = time_of(wall());
  return base;
}

/* The next moment of the real clock to look at the stepped one again. */
static struct timespec slice_of(int64_t until) {
  const int64_t slice = 50000000;
  const int64_t now = wall();
  return time_of((until < now + slice ? until : now + slice) - wishes->clock_offset_ns);
}

int cnd_timedwait(cnd_t* restrict cond, mtx_t* restrict mutex,
                  const struct timespec* restrict until) {
  for (;;) {
    const struct timespec slice = slice_of(nanos_of(until));
    const int rc = REAL(cnd_timedwait)(cond, mutex, &slice);
    if (rc != thrd_timedout || wall() >= nanos_of(until)) return rc;
  }
}

/* Without its version, the lookup finds the condition variable of before 2003. */
static int real_cond_timedwait(pthread_cond_t* cond, pthread_mutex_t* mutex,
                               const struct timespec* until) {
  static __typeof__(&pthread_cond_timedwait) found;
  if (!found) {
    found = (__typeof__(found))dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
  }
  return found(cond, mutex, until);
}

int pthread_cond_timedwait(pthread_cond_t* restrict cond, pthread_mutex_t* restrict mutex,
                           const struct timespec* restrict until) {
  for (;;) {
    const struct timespec slice = slice_of(nanos_of(until));
    const int rc = real_cond_timedwait(cond, mutex, &slice);
    if (rc != ETIMEDOUT || wall() >= nanos_of(until)) return rc;
  }
}

/* ---- files ------------------------------------------------------------------------------ */

static int starts_with(const char* text, const char* prefix) {
  return *prefix && strncmp(text, prefix, strlen(prefix)) == 0;
}

/* True when the call shall fail, with errno set. */
static int state_trouble(int fd) {
  if (wishes->state_errno == 0 && wishes->state_delay_ms == 0) return 0;
  char link[64];
  char path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t size = readlink(link, path, sizeof path - 1);
  if (size < 0) return 0;
  path[size] = '\0';
  if (!starts_with(path, state_prefix)) return 0;
  hit();
  pause_ms(wishes->state_delay_ms);
  errno = wishes->state_errno;
  return errno != 0;
}

int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  if (wishes->key_delay_ms > 0 && starts_with(path, keys_prefix)) {
    hit();
    pause_ms(wishes->key_delay_ms);
  }
  return REAL(open)(path, flags, mode);
}

ssize_t pwrite(int fd, const void* data, size_t size, off_t at) {
  return state_trouble(fd) ? -1 : REAL(pwrite)(fd, data, size, at);
}

ssize_t writev(int fd, const struct iovec* parts, int count) {
  return state_trouble(fd) ? -1 : REAL(writev)(fd, parts, count);
}

/* The same under the names that programs with 32-bit habits use. */
int open64(const char* path, int flags, ...) __attribute__((alias("open")));
ssize_t pwrite64(int fd, const void* data, size_t size, off64_t at)
    __attribute__((alias("pwrite")));

int fdatasync(int fd) { return state_trouble(fd) ? -1 : REAL(fdatasync)(fd); }

int fsync(int fd) { return state_trouble(fd) ? -1 : REAL(fsync)(fd); }
