/*
 * A slow disk, for programs that are started with this before the C library (LD_PRELOAD): a sync is done as
 * ever, and its caller goes on no sooner than MAYFLY_BENCH_SYNC_US after it began.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

typedef int (*sync_call)(int);

static int slowly(const char *name, int file) {
  const char *text = getenv("MAYFLY_BENCH_SYNC_US");
  long us = text == NULL ? 0 : atol(text);
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_nsec += us * 1000;
  until.tv_sec += until.tv_nsec / 1000000000;
  until.tv_nsec %= 1000000000;
  int answer = ((sync_call)dlsym(RTLD_NEXT, name))(file);
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) != 0) {
  }
  return answer;
}

int fsync(int file) { return slowly("fsync", file); }

int fdatasync(int file) { return slowly("fdatasync", file); }
