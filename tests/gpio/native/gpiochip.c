/* A GPIO chip for processes without one: preloaded, it answers the kernel's v2 ABI on a directory.
 *
 * NVR_GPIO_DIR/gpiochip0 stands for the chip's device. The level of line N is the first byte of line-N
 * (electrical, '0' or '1'); it stays when processes die. A line is held by a lock on that file, so that
 * two cannot have it, and a duplicate of its descriptor in another process keeps it. Each request goes
 * into `requests` as the bytes given to the kernel, each level of an output into `levels` with the time.
 * Edges of an input are read from the named pipe events-N, into which a test writes the kernel's structs.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/gpio.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#define MOST_FD 1024
static struct { unsigned count, offsets[GPIO_V2_LINES_MAX]; int low, input; } held[MOST_FD];

static const char *dir(void) {
  const char *found = getenv("NVR_GPIO_DIR");
  return found ? found : "/nonexistent";
}

static int is_chip(const char *path) {
  size_t n = strlen(dir());
  return path && !strncmp(path, dir(), n) && !strncmp(path + n, "/gpiochip", 9);
}

static void place(char *out, size_t size, const char *what, unsigned line) {
  snprintf(out, size, "%s/%s-%u", dir(), what, line);
}

static void note_level(unsigned line, int level) {
  char path[512], text[96];
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  snprintf(path, sizeof path, "%s/levels", dir());
  int n = snprintf(text, sizeof text, "%u %d %ld.%09ld\n", line, level, (long)now.tv_sec, now.tv_nsec);
  int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd >= 0) {
    if (write(fd, text, (size_t)n) != n) abort();
    close(fd);
  }
}

static void drive(unsigned line, int level) {
  char path[512];
  place(path, sizeof path, "line", line);
  int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0 || pwrite(fd, level ? "1" : "0", 1, 0) != 1) abort();
  close(fd);
  note_level(line, level);
}

static int level_of(unsigned line) {
  char path[512], byte = '0';
  place(path, sizeof path, "line", line);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd >= 0) {
    if (pread(fd, &byte, 1, 0) != 1) byte = '0';
    close(fd);
  }
  return byte == '1';
}

static int request(struct gpio_v2_line_request *r) {
  char path[512];
  snprintf(path, sizeof path, "%s/requests", dir());
  int log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (log < 0 || write(log, r, sizeof *r) != (ssize_t)sizeof *r) abort();
  close(log);
  unsigned long long values = 0;
  for (unsigned i = 0; i < r->config.num_attrs; i++)
    if (r->config.attrs[i].attr.id == GPIO_V2_LINE_ATTR_ID_OUTPUT_VALUES)
      values = r->config.attrs[i].attr.values;
  int low = !!(r->config.flags & GPIO_V2_LINE_FLAG_ACTIVE_LOW);
  int input = !!(r->config.flags & GPIO_V2_LINE_FLAG_INPUT);
  place(path, sizeof path, "line", r->offsets[0]);
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) abort();
  if (flock(fd, LOCK_EX | LOCK_NB)) {
    close(fd);
    errno = EBUSY;
    return -1;
  }
  if (input) {
    place(path, sizeof path, "events", r->offsets[0]);
    mkfifo(path, 0600);
    fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
  } else {
    /* Beside the level: whether it is active low, for whoever gets a duplicate of the descriptor. */
    if (pwrite(fd, low ? "L" : "H", 1, 1) != 1) abort();
    for (unsigned i = 0; i < r->num_lines; i++)
      drive(r->offsets[i], (int)((values >> i) & 1) ^ low);
  }
  if (fd < 0 || fd >= MOST_FD) abort();
  held[fd].count = r->num_lines;
  held[fd].low = low;
  held[fd].input = input;
  memcpy(held[fd].offsets, r->offsets, sizeof r->offsets);
  r->fd = fd;
  return 0;
}

static int set_values(int fd, const struct gpio_v2_line_values *v) {
  char link[64], path[512], low = 'H';
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, path, sizeof path - 1);
  path[n < 0 ? 0 : n] = 0;
  const char *name = strrchr(path, '/');
  if (!name || strncmp(name, "/line-", 6)) {
    errno = ENOTTY;
    return -1;
  }
  if (pread(fd, &low, 1, 1) != 1) abort();
  if (v->mask & 1) drive((unsigned)atoi(name + 6), (int)(v->bits & 1) ^ (low == 'L'));
  return 0;
}

static int get_values(int fd, struct gpio_v2_line_values *v) {
  v->bits = 0;
  for (unsigned i = 0; fd < MOST_FD && i < held[fd].count; i++)
    if (level_of(held[fd].offsets[i]) ^ held[fd].low) v->bits |= 1ull << i;
  v->bits &= v->mask;
  return 0;
}

int ioctl(int fd, unsigned long code, ...) {
  static int (*next)(int, unsigned long, ...);
  va_list list;
  va_start(list, code);
  void *arg = va_arg(list, void *);
  va_end(list);
  switch (code & 0xffffffffu) {
    case GPIO_GET_CHIPINFO_IOCTL: {
      struct gpiochip_info *info = arg;
      memset(info, 0, sizeof *info);
      strcpy(info->name, "gpiochip0");
      strcpy(info->label, "paper-chip");
      info->lines = 32;
      return 0;
    }
    case GPIO_V2_GET_LINEINFO_IOCTL: {
      struct gpio_v2_line_info *info = arg;
      unsigned line = info->offset;
      memset(info, 0, sizeof *info);
      info->offset = line;
      return 0;
    }
    case GPIO_V2_GET_LINE_IOCTL: return request(arg);
    case GPIO_V2_LINE_SET_VALUES_IOCTL: return set_values(fd, arg);
    case GPIO_V2_LINE_GET_VALUES_IOCTL: return get_values(fd, arg);
  }
  if (!next) next = (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
  return next(fd, code, arg);
}

static int as_device(int answer, const char *path, struct stat *st) {
  if (!answer && is_chip(path)) {
    st->st_mode = S_IFCHR | 0600;
    st->st_rdev = makedev(254, 0);
  }
  return answer;
}

/* Today's names and those of older C libraries, which wheels are built against. */
int stat(const char *path, struct stat *st) {
  return as_device(fstatat(AT_FDCWD, path, st, 0), path, st);
}

int lstat(const char *path, struct stat *st) {
  return as_device(fstatat(AT_FDCWD, path, st, AT_SYMLINK_NOFOLLOW), path, st);
}

int __xstat(int v, const char *path, struct stat *st) { (void)v; return stat(path, st); }
int __lxstat(int v, const char *path, struct stat *st) { (void)v; return lstat(path, st); }

char *realpath(const char *path, char *out) {
  static char *(*next)(const char *, char *);
  if (path && strstr(path, "254:0/subsystem")) {
    if (!out) out = malloc(4096);
    return out ? strcpy(out, "/sys/bus/gpio") : NULL;
  }
  if (!next) next = (char *(*)(const char *, char *))dlsym(RTLD_NEXT, "realpath");
  return next(path, out);
}
