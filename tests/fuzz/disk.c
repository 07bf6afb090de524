/* A disk that fails: with this library in LD_PRELOAD some of the calls on files below two folders end in an error.

   DISK_BELOW  folders, separated by colons; calls on other files are left alone
   DISK_RATE   how many of a thousand calls fail
   DISK_SEED   which
   DISK_LOG    a file that gets a line for each failure */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES 4096
#define REAL(name) ((__typeof__(&name))real(#name))
static const int ERRORS[] = {EIO, ESTALE, EDQUOT, ETIMEDOUT};
static const char *NAMES[] = {"EIO", "ESTALE", "EDQUOT", "ETIMEDOUT"};
static unsigned char ours[FILES];
static char below[2 * PATH_MAX];
static int rate, log_fd = -1;
static uint64_t state;

static void *real(const char *name) {
  return dlsym(RTLD_NEXT, name);
}

/* Reads the variables; a process calls it again when they have changed. */
__attribute__((constructor)) void disk_begin(void) {
  const char *where = getenv("DISK_BELOW"), *seed = getenv("DISK_SEED"), *many = getenv("DISK_RATE"), *log = getenv("DISK_LOG");
  snprintf(below, sizeof below, "%s", where ? where : "");
  rate = many ? atoi(many) : 0;
  state = (seed ? strtoull(seed, 0, 10) : 1) * 0x9e3779b97f4a7c15ull + 1;
  if (log && rate) log_fd = REAL(open)(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static int is_ours(const char *path) {
  char whole[2 * PATH_MAX], copy[2 * PATH_MAX], *rest, *folder;
  if (!rate || !path) return 0;
  if (path[0] == '/') snprintf(whole, sizeof whole, "%s", path);
  else {
    char here[PATH_MAX];
    if (!getcwd(here, sizeof here)) return 0;
    snprintf(whole, sizeof whole, "%s/%s", here, path);
  }
  strcpy(copy, below);
  for (folder = strtok_r(copy, ":", &rest); folder; folder = strtok_r(0, ":", &rest))
    if (!strncmp(whole, folder, strlen(folder))) return 1;
  return 0;
}

static int fails(const char *call, const char *what) {
  state ^= state << 13, state ^= state >> 7, state ^= state << 17;
  if ((int)((state >> 20) % 1000) >= rate) return 0;
  int which = (state >> 40) % 4;
  char line[PATH_MAX + 64];
  int length = snprintf(line, sizeof line, "%s %s %s\n", call, NAMES[which], what);
  if (log_fd >= 0 && REAL(write)(log_fd, line, length) < 0) log_fd = -1;
  errno = ERRORS[which];
  return 1;
}

static int path_fails(const char *call, const char *path) { return is_ours(path) && fails(call, path); }
static int file_fails(const char *call, int fd) { return rate && fd >= 0 && fd < FILES && ours[fd] && fails(call, "descriptor"); }
static int note(int fd, const char *path) {
  if (fd >= 0 && fd < FILES) ours[fd] = is_ours(path);
  return fd;
}

#define OPEN(name)                                                    \
  int name(const char *path, int flags, ...) {                        \
    va_list more;                                                     \
    va_start(more, flags);                                            \
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0; \
    va_end(more);                                                     \
    if (path_fails("open", path)) return -1;                          \
    return note(REAL(name)(path, flags, mode), path);                 \
  }
OPEN(open)
OPEN(open64)
#define OPENAT(name)                                                  \
  int name(int folder, const char *path, int flags, ...) {            \
    va_list more;                                                     \
    va_start(more, flags);                                            \
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0; \
    va_end(more);                                                     \
    if (path_fails("openat", path)) return -1;                        \
    return note(REAL(name)(folder, path, flags, mode), path);         \
  }
OPENAT(openat)
OPENAT(openat64)
FILE *fopen(const char *path, const char *mode) { return path_fails("fopen", path) ? 0 : REAL(fopen)(path, mode); }
FILE *fopen64(const char *path, const char *mode) { return path_fails("fopen", path) ? 0 : REAL(fopen64)(path, mode); }
ssize_t read(int fd, void *to, size_t n) { return file_fails("read", fd) ? -1 : REAL(read)(fd, to, n); }
ssize_t pread64(int fd, void *to, size_t n, off64_t at) { return file_fails("pread", fd) ? -1 : REAL(pread64)(fd, to, n, at); }
ssize_t write(int fd, const void *from, size_t n) { return file_fails("write", fd) ? -1 : REAL(write)(fd, from, n); }
int fsync(int fd) { return file_fails("fsync", fd) ? -1 : REAL(fsync)(fd); }
int fdatasync(int fd) { return file_fails("fdatasync", fd) ? -1 : REAL(fdatasync)(fd); }
int syncfs(int fd) { return file_fails("syncfs", fd) ? -1 : REAL(syncfs)(fd); }
int ftruncate(int fd, off_t n) { return file_fails("ftruncate", fd) ? -1 : REAL(ftruncate)(fd, n); }
int ftruncate64(int fd, off64_t n) { return file_fails("ftruncate", fd) ? -1 : REAL(ftruncate64)(fd, n); }
int truncate(const char *path, off_t n) { return path_fails("truncate", path) ? -1 : REAL(truncate)(path, n); }
int fstat(int fd, struct stat *to) { return file_fails("fstat", fd) ? -1 : REAL(fstat)(fd, to); }
int fstat64(int fd, struct stat64 *to) { return file_fails("fstat", fd) ? -1 : REAL(fstat64)(fd, to); }
int stat(const char *path, struct stat *to) { return path_fails("stat", path) ? -1 : REAL(stat)(path, to); }
int stat64(const char *path, struct stat64 *to) { return path_fails("stat", path) ? -1 : REAL(stat64)(path, to); }
int lstat(const char *path, struct stat *to) { return path_fails("lstat", path) ? -1 : REAL(lstat)(path, to); }
int lstat64(const char *path, struct stat64 *to) { return path_fails("lstat", path) ? -1 : REAL(lstat64)(path, to); }
int fstatat64(int fd, const char *path, struct stat64 *to, int flags) {
  return path_fails("fstatat", path) ? -1 : REAL(fstatat64)(fd, path, to, flags);
}
int rename(const char *from, const char *to) { return path_fails("rename", to) ? -1 : REAL(rename)(from, to); }
int renameat(int a, const char *from, int b, const char *to) {
  return path_fails("rename", to) ? -1 : REAL(renameat)(a, from, b, to);
}
int link(const char *from, const char *to) { return path_fails("link", to) ? -1 : REAL(link)(from, to); }
int linkat(int a, const char *from, int b, const char *to, int flags) {
  return path_fails("link", to) ? -1 : REAL(linkat)(a, from, b, to, flags);
}
int unlink(const char *path) { return path_fails("unlink", path) ? -1 : REAL(unlink)(path); }
int unlinkat(int fd, const char *path, int flags) { return path_fails("unlink", path) ? -1 : REAL(unlinkat)(fd, path, flags); }
int rmdir(const char *path) { return path_fails("rmdir", path) ? -1 : REAL(rmdir)(path); }
int mkdir(const char *path, mode_t mode) { return path_fails("mkdir", path) ? -1 : REAL(mkdir)(path, mode); }
int mkdirat(int fd, const char *path, mode_t mode) { return path_fails("mkdir", path) ? -1 : REAL(mkdirat)(fd, path, mode); }
DIR *opendir(const char *path) {
  if (path_fails("opendir", path)) return 0;
  DIR *folder = REAL(opendir)(path);
  if (folder) note(dirfd(folder), path);
  return folder;
}
struct dirent *readdir(DIR *folder) { return file_fails("readdir", dirfd(folder)) ? 0 : REAL(readdir)(folder); }
struct dirent64 *readdir64(DIR *folder) { return file_fails("readdir", dirfd(folder)) ? 0 : REAL(readdir64)(folder); }
int close(int fd) { /* as Linux does: the file is closed all the same */
  int failed = file_fails("close", fd), error = errno;
  if (fd >= 0 && fd < FILES) ours[fd] = 0;
  int ended = REAL(close)(fd);
  if (!failed) return ended;
  errno = error;
  return -1;
}
