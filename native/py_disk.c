/* Making many file ranges durable with one flush, without the GIL in between. */
#define _GNU_SOURCE
#include "nvr_native.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

PyDoc_STRVAR(sync_ranges_doc,
"sync_ranges(ranges, fd, /)\n--\n\n"
"Start writing each ``(fd, offset, size)``, wait for all of them, then fdatasync `fd`.\n\n"
"Raises:\n    OSError: The first that failed. Linux only: ENOSYS elsewhere.");

typedef struct {
  int fd;
  long long offset, size;
} range;

static int sync_all(const range *ranges, Py_ssize_t count, int fd) {
#ifdef __linux__
  const unsigned start = SYNC_FILE_RANGE_WRITE;
  const unsigned all = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
  for (Py_ssize_t i = 0; i < count; i++)
    if (sync_file_range(ranges[i].fd, ranges[i].offset, ranges[i].size, start)) return errno;
  for (Py_ssize_t i = 0; i < count; i++)
    if (sync_file_range(ranges[i].fd, ranges[i].offset, ranges[i].size, all)) return errno;
  return fdatasync(fd) ? errno : 0;
#else
  (void)ranges, (void)count, (void)fd;
  return ENOSYS;
#endif
}

static PyObject *sync_ranges(PyObject *module, PyObject *args) {
  PyObject *list;
  int fd, failed;
  if (!PyArg_ParseTuple(args, "O!i", &PyList_Type, &list, &fd)) return NULL;
  Py_ssize_t count = PyList_Size(list);
  range *ranges = PyMem_Calloc((size_t)count + 1, sizeof *ranges);
  if (!ranges) return PyErr_NoMemory();
  for (Py_ssize_t i = 0; i < count; i++) {
    PyObject *item = PyList_GetItem(list, i);
    if (!item || !PyTuple_Check(item) ||
        !PyArg_ParseTuple(item, "iLL", &ranges[i].fd, &ranges[i].offset, &ranges[i].size)) {
      PyMem_Free(ranges);
      if (!PyErr_Occurred()) PyErr_SetString(PyExc_TypeError, "a range is (fd, offset, size)");
      return NULL;
    }
  }
  Py_BEGIN_ALLOW_THREADS
  failed = sync_all(ranges, count, fd);
  Py_END_ALLOW_THREADS
  PyMem_Free(ranges);
  if (failed) {
    errno = failed;
    return PyErr_SetFromErrno(PyExc_OSError);
  }
  Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"sync_ranges", sync_ranges, METH_VARARGS, sync_ranges_doc},
    {NULL, NULL, 0, NULL},
};

int nvr_add_disk(PyObject *module) { return PyModule_AddFunctions(module, methods); }
