// Synchronous calls on files and block devices: open, close, describe, lock, size, preallocate, list extents.
// All take plain file descriptors; errors are thrown in the shape of Node's system errors.

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "addon.h"

namespace lvr {

// open(path, flags, mode): fd. O_CLOEXEC is always added.
static Napi::Value Open(const Napi::CallbackInfo& info) {
  const std::string path = StringArg(info, 0);
  int fd;
  do fd = open(path.c_str(), Int32Arg(info, 1) | O_CLOEXEC, static_cast<mode_t>(Int32Arg(info, 2)));
  while (fd < 0 && errno == EINTR);
  if (fd < 0) throw SystemError(info.Env(), errno, "open", path);
  return Napi::Number::New(info.Env(), fd);
}

// close(fd). The descriptor is gone even when an error is reported (close(2)).
static Napi::Value Close(const Napi::CallbackInfo& info) {
  if (close(Int32Arg(info, 0)) != 0 && errno != EINTR) throw SystemError(info.Env(), errno, "close");
  return info.Env().Undefined();
}

// What O_DIRECT needs for offsets and memory of this file; 0 when the file system does not support it.
static uint32_t DirectAlignment(int fd) {
#ifdef STATX_DIOALIGN
  struct statx extended = {};
  if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &extended) == 0 && (extended.stx_mask & STATX_DIOALIGN) != 0) {
    if (extended.stx_dio_offset_align == 0) return 0;
    return std::max({uint32_t{512}, uint32_t{extended.stx_dio_offset_align}, uint32_t{extended.stx_dio_mem_align}});
  }
#endif
  (void)fd;
  return 4096;  // unknown: a page suits every file system
}

// deviceInfo(fd): { kind, sizeBytes, logicalBlockBytes, rdev, readOnly }. kind: 'file' | 'block' | 'directory' | 'other'; logicalBlockBytes
// is the unit of I/O that this descriptor accepts (0: O_DIRECT is not supported); rdev is 'major:minor' of a block device, else '';
// readOnly tells of a block device that can be opened for writing and then refuses it.
static Napi::Value DeviceInfo(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const int fd = Int32Arg(info, 0);
  struct stat status = {};
  if (fstat(fd, &status) != 0) throw SystemError(env, errno, "fstat");
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0) throw SystemError(env, errno, "fcntl");
  const char* kind = S_ISREG(status.st_mode) ? "file" : S_ISBLK(status.st_mode) ? "block" : S_ISDIR(status.st_mode) ? "directory" : "other";
  uint64_t size = static_cast<uint64_t>(status.st_size);
  uint32_t block = 512;
  std::string rdev;
  int read_only = 0;
  if (S_ISBLK(status.st_mode)) {
    int logical = 0;
    if (ioctl(fd, BLKGETSIZE64, &size) != 0) throw SystemError(env, errno, "ioctl BLKGETSIZE64");
    if (ioctl(fd, BLKSSZGET, &logical) != 0) throw SystemError(env, errno, "ioctl BLKSSZGET");
    if (ioctl(fd, BLKROGET, &read_only) != 0) throw SystemError(env, errno, "ioctl BLKROGET");
    block = static_cast<uint32_t>(logical);
    rdev = std::to_string(major(status.st_rdev)) + ":" + std::to_string(minor(status.st_rdev));
  } else if (S_ISREG(status.st_mode) && (flags & O_DIRECT) != 0) {
    block = DirectAlignment(fd);
  }
  Napi::Object result = Napi::Object::New(env);
  result.Set("kind", Napi::String::New(env, kind));
  result.Set("sizeBytes", Napi::Number::New(env, static_cast<double>(size)));
  result.Set("logicalBlockBytes", Napi::Number::New(env, block));
  result.Set("rdev", Napi::String::New(env, rdev));
  result.Set("readOnly", Napi::Boolean::New(env, read_only != 0));
  return result;
}

// lock(fd): false when another open file description holds the lock.
static Napi::Value Lock(const Napi::CallbackInfo& info) {
  int result;
  do result = flock(Int32Arg(info, 0), LOCK_EX | LOCK_NB);
  while (result != 0 && errno == EINTR);
  if (result != 0 && errno != EWOULDBLOCK) throw SystemError(info.Env(), errno, "flock");
  return Napi::Boolean::New(info.Env(), result == 0);
}

// canWriteBack(fd): whether sync_file_range(2) may be called on it. Without flags it does nothing, and takes no error of writing back either.
static Napi::Value CanWriteBack(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), sync_file_range(Int32Arg(info, 0), 0, 0, 0) == 0);
}

// isCached(fd, offset, lengthBytes): the page cache holds all of the range. False where the kernel does not tell (before Linux 6.5).
static Napi::Value IsCached(const Napi::CallbackInfo& info) {
  constexpr long kCachestat = 451;  // on every architecture; cachestat(2), which older headers lack
  struct { uint64_t offset, length; } range = {static_cast<uint64_t>(Int64Arg(info, 1)), static_cast<uint64_t>(Int64Arg(info, 2))};
  struct { uint64_t cached, dirty, writeback, evicted, recently_evicted; } counts = {};
  const bool known = syscall(kCachestat, Int32Arg(info, 0), &range, &counts, 0U) == 0;
  const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  return Napi::Boolean::New(info.Env(), known && counts.cached * page >= range.length);
}

// dropCached(fd): the page cache forgets what it has of the file and need not write. What other programs map stays.
static Napi::Value DropCached(const Napi::CallbackInfo& info) {
  const int error = posix_fadvise(Int32Arg(info, 0), 0, 0, POSIX_FADV_DONTNEED);
  if (error != 0) throw SystemError(info.Env(), error, "fadvise");
  return info.Env().Undefined();
}

// ftruncate(fd, sizeBytes)
static Napi::Value Truncate(const Napi::CallbackInfo& info) {
  int result;
  do result = ftruncate(Int32Arg(info, 0), Int64Arg(info, 1));
  while (result != 0 && errno == EINTR);
  if (result != 0) throw SystemError(info.Env(), errno, "ftruncate");
  return info.Env().Undefined();
}

// fallocateReserve(fd, offset, lengthBytes): the range gets blocks on disk, so that later writes cannot run out of space.
static Napi::Value Reserve(const Napi::CallbackInfo& info) {
  // posix_fallocate writes a byte per block where the file system has no fallocate; it returns the error instead of setting errno.
  int error;
  do error = posix_fallocate(Int32Arg(info, 0), Int64Arg(info, 1), Int64Arg(info, 2));
  while (error == EINTR);
  if (error != 0) throw SystemError(info.Env(), error, "fallocate");
  return info.Env().Undefined();
}

// One run of extents() that starts at `at`: returns its end and whether it is a hole; everything counts as data where the file
// system (or the block device) does not tell.
static int64_t RunEnd(int fd, int64_t at, int64_t end, bool* hole) {
  const int64_t data = lseek(fd, at, SEEK_DATA);
  *hole = data < 0 ? errno == ENXIO : data > at;
  if (*hole) return data < 0 ? end : std::min(data, end);
  if (data < 0) return end;
  const int64_t next = lseek(fd, at, SEEK_HOLE);
  return next <= at ? end : std::min(next, end);
}

// extents(fd, offset, lengthBytes, out: Float64Array): count. out gets pairs [lengthBytes, 1 = hole | 0 = data], contiguous from offset.
static Napi::Value Extents(const Napi::CallbackInfo& info) {
  const int fd = Int32Arg(info, 0);
  int64_t at = Int64Arg(info, 1);
  const int64_t end = at + Int64Arg(info, 2);
  if (info.Length() < 4 || !info[3].IsTypedArray() || info[3].As<Napi::TypedArray>().TypedArrayType() != napi_float64_array) {
    throw Napi::TypeError::New(info.Env(), "argument 3 must be a Float64Array");
  }
  auto out = info[3].As<Napi::Float64Array>();
  const size_t max = out.ElementLength() / 2;
  size_t count = 0;
  while (at < end && count < max) {
    bool hole = false;
    const int64_t next = RunEnd(fd, at, end, &hole);
    out[count * 2] = static_cast<double>(next - at);
    out[count * 2 + 1] = hole ? 1 : 0;
    count++;
    at = next;
  }
  return Napi::Number::New(info.Env(), static_cast<double>(count));
}

// readCached(fd, memory: Uint8Array, start, lengthBytes, offset): whether the page cache had all of it, which is in
// memory[start, start + lengthBytes) then; asked with RWF_NOWAIT. On the data path, so plain Node-API.
static napi_value ReadCached(napi_env env, napi_callback_info info) {
  napi_value argv[5];
  size_t argc = 5;
  napi_typedarray_type type;
  void* memory = nullptr;
  size_t capacity = 0;
  int32_t fd = -1;
  uint32_t start = 0;
  uint32_t length = 0;
  int64_t offset = 0;
  napi_value result = nullptr;
  if (napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr) != napi_ok || argc < 5 ||
      napi_get_value_int32(env, argv[0], &fd) != napi_ok ||
      napi_get_typedarray_info(env, argv[1], &type, &capacity, &memory, nullptr, nullptr) != napi_ok || type != napi_uint8_array ||
      napi_get_value_uint32(env, argv[2], &start) != napi_ok || napi_get_value_uint32(env, argv[3], &length) != napi_ok ||
      napi_get_value_int64(env, argv[4], &offset) != napi_ok || offset < 0 || start > capacity || length > capacity - start) {
    napi_throw_type_error(env, nullptr, "readCached(fd, memory: Uint8Array, start, lengthBytes, offset)");
    return nullptr;
  }
  const struct iovec span = {static_cast<uint8_t*>(memory) + start, length};
  const bool read = preadv2(fd, &span, 1, offset, RWF_NOWAIT) == static_cast<ssize_t>(length);
  napi_get_boolean(env, read, &result);
  return result;
}

void InitFiles(Napi::Env env, Napi::Object exports) {
  exports.Set("open", Napi::Function::New(env, Open, "open"));
  exports.Set("close", Napi::Function::New(env, Close, "close"));
  exports.Set("deviceInfo", Napi::Function::New(env, DeviceInfo, "deviceInfo"));
  exports.Set("lock", Napi::Function::New(env, Lock, "lock"));
  exports.Set("canWriteBack", Napi::Function::New(env, CanWriteBack, "canWriteBack"));
  exports.Set("isCached", Napi::Function::New(env, IsCached, "isCached"));
  napi_value read_cached = nullptr;
  napi_create_function(env, "readCached", NAPI_AUTO_LENGTH, ReadCached, nullptr, &read_cached);
  napi_set_named_property(env, exports, "readCached", read_cached);
  exports.Set("dropCached", Napi::Function::New(env, DropCached, "dropCached"));
  exports.Set("ftruncate", Napi::Function::New(env, Truncate, "ftruncate"));
  exports.Set("fallocateReserve", Napi::Function::New(env, Reserve, "fallocateReserve"));
  exports.Set("extents", Napi::Function::New(env, Extents, "extents"));
}

}  // namespace lvr
